"""The report's page and tables: what they say, that they say it twice the same, and that no text breaks out."""

import copy
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from lookalike.cli.report_tables import report_tables
from lookalike.reporting import formatting
from lookalike.reporting.charts import charts
from lookalike.reporting.page import asset, in_script, page

PATH = Path(__file__).parent / "evaluation_example.json"
NBSP = "\u00a0"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "</style></title></svg>\"'` onmouseover=alert(1)",
    "line\none\r\ttwo\x00three\x1b[31m",
    "x" * 10_000,
    "\u202egnp.exe \u2066isolate",
    "שלום עולם مرحبا नमस्ते 你好",
    "{{ 7 * 7 }}{% raw %}",
    "a\u2028b\u2029c",
    "[red]markup[/red][/]",
    "\ud800 lone",
    "e" + "\u0301" * 5_000,
    "",
]


@pytest.fixture
def evaluation() -> dict[str, Any]:
    return json.loads(PATH.read_text(encoding="utf-8"))


def printed(evaluation: dict[str, Any], width: int = 80) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    for one in report_tables(evaluation):
        console.print(one)
    return out.getvalue()


def visible(html: str) -> str:
    """The page without its scripts and styles, which hold a library."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)


def test_the_verdict_comes_first_in_one_sentence_with_the_key_number(evaluation: dict[str, Any]) -> None:
    said = f"Of seed people hidden as a test, the first 168{NBSP}people hold 3.8 times as many as a random pick "
    said += f"(95{NBSP}% band 2.4 to 5.2); ranking by activity alone gives 2.0{NBSP}×."
    assert said in page(evaluation)
    assert said.replace(NBSP, " ") in " ".join(printed(evaluation).split())


def test_the_same_evaluation_gives_the_same_page(evaluation: dict[str, Any]) -> None:
    script = "import json, sys; from lookalike.report import page; sys.stdout.write(page(json.load(open(sys.argv[1]))))"
    other = subprocess.run([sys.executable, "-c", script, str(PATH)], capture_output=True, check=True)
    assert other.stdout.decode() == page(evaluation) == page(copy.deepcopy(evaluation))


def test_the_page_names_no_address_it_could_fetch_and_no_code_outside_its_policy(evaluation: dict[str, Any]) -> None:
    html = page(evaluation)
    shown = visible(html)
    assert not re.findall(r'(?:src|href|action|data|poster)="(?!#|data:,")', shown)
    assert not re.findall(r"\son\w+=", shown)
    assert " style=" not in shown
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_breaks_out_of_the_page_or_drives_the_terminal(evaluation: dict[str, Any], text: str) -> None:
    evaluation["name"] = evaluation["scorer"] = evaluation["requested_size"] = text
    evaluation["curves"][text] = evaluation["curves"].pop("logistic")
    evaluation["scorers"][0]["name"] = text
    evaluation["verdict"]["reasons"] = evaluation["warnings"] = [text]
    evaluation["settings"] = {text: text, "list": [text, {text: text}]}
    evaluation["representation"] = {"version": text, "run": text, "blocks": {text: 3}, "trained": text}
    evaluation["created"] = text
    evaluation["tiers"][0]["tier"] = text
    for group in evaluation["insights"]["groups"]:
        group["title"] = group["rows"][0]["label"] = text
    html = page(evaluation)
    assert html.encode()
    shown = visible(html)
    assert "<script" not in shown
    assert "<img" not in shown
    assert "alert(1)</script>" not in shown
    assert not set(shown) & {"\x00", "\x1b", "\u202e", "\u2066", "\u2028", "\u2029"}
    assert "x" * 700 not in html
    out = printed(evaluation)
    assert not set(out) & {"\x00", "\x1b", "\u202e", "\u2028"}
    assert max(cell_len(line) for line in out.splitlines()) <= 80


def test_a_shortened_label_keeps_a_longer_form_in_its_title(evaluation: dict[str, Any]) -> None:
    evaluation["insights"]["groups"][0]["rows"][0] |= {"label": "long " * 40, "ratio_low": 9}
    html = page(evaluation)
    assert f'title="{("long " * 40).strip()}"' in html
    assert "long …" in html or "long…" in html


def test_json_in_a_script_element_cannot_end_it() -> None:
    text = in_script({"a": "</script><!-- & \u2028\u2029", "b": float("nan"), "c": [float("inf")]})
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == {"a": "</script><!-- & \u2028\u2029", "b": None, "c": [None]}


def test_do_not_expand_says_so_and_that_no_list_was_written(evaluation: dict[str, Any]) -> None:
    evaluation |= {"insights": None, "tiers": [], "prospects": 0}
    evaluation["verdict"] = {"decision": "do not expand", "reasons": ["The lift may be chance."], "forced": False}
    shown = visible(page(evaluation))
    assert "Do not expand this seed" in shown
    assert "No list was written." in shown
    assert "The lift may be chance." in shown
    assert "What the audience does more" not in shown
    assert "do not expand this seed" in printed(evaluation)


def test_a_forced_list_keeps_its_verdict_and_says_that_it_was_forced(evaluation: dict[str, Any]) -> None:
    evaluation["verdict"] |= {"decision": "do not expand", "forced": True}
    shown = visible(page(evaluation))
    assert "Do not expand this seed" in shown
    assert "because it was forced" in shown


def test_an_evaluation_with_almost_nothing_in_it_still_gives_a_page_and_tables() -> None:
    bare = {"name": "bare", "held_out": None, "curves": {}, "insights": None, "scorers": None}
    assert "could not be measured" in page(bare)
    assert "could not be measured" in printed(bare)


def test_insights_show_the_surest_first_and_count_what_they_leave_out(evaluation: dict[str, Any]) -> None:
    shown = visible(page(evaluation))
    assert shown.index("Rabbit night light") < shown.index("Set of 3 cake tins") < shown.index("Spotty bunting")
    assert "White hanging heart" not in shown
    assert f"2,841 hidden for having fewer than 25{NBSP}people." in shown
    items = shown[shown.index(">Items<") : shown.index(">Category<")]
    assert items.count('scope="row"') == 12


def test_a_group_with_nothing_sure_says_so(evaluation: dict[str, Any]) -> None:
    for row in evaluation["insights"]["groups"][0]["rows"]:
        row["ratio_low"] = 0.9
    assert "Nothing here is clearly more frequent than in the base." in page(evaluation)


def test_every_chart_has_a_finding_in_words_and_a_table_beside_it(evaluation: dict[str, Any]) -> None:
    shown = visible(page(evaluation))
    findings = re.findall(r'role="img" aria-label="([^"]+)"', shown)
    assert len(findings) == len(charts(evaluation)) == 3
    assert [f"3.8{NBSP}×" in findings[0], f"19.1{NBSP}%" in findings[1], "logistic" in findings[2]] == [True] * 3
    assert shown.count("<details>") >= 3
    assert shown.count("<caption>") >= 6


def test_very_small_and_very_large_figures_still_give_a_page(evaluation: dict[str, Any]) -> None:
    evaluation |= {"size": 10**12, "candidates": 10**15, "universe": 10**400, "prospects": 10**12}
    evaluation["held_out"] |= {"lift": 1e-9, "low": 0, "high": 1e300, "share": 1e-12, "max_lift": float("inf")}
    evaluation["insights"]["groups"][0]["rows"][0] |= {"ratio": 1e12, "ratio_low": 1e11, "ratio_high": None}
    shown = visible(page(evaluation))
    assert "1,000,000,000,000" in shown
    assert f"<{NBSP}0.01 times".replace("<", "&lt;") in shown
    assert "nan" not in shown.lower()
    assert max(len(line) for line in printed(evaluation).splitlines()) <= 80


@pytest.mark.parametrize("measured", [0, 1, 2])
def test_a_curve_of_few_points_or_of_holes_still_draws(evaluation: dict[str, Any], measured: int) -> None:
    for method, curve in evaluation["curves"].items():
        evaluation["curves"][method] = curve[:measured]
    if measured == 2:
        evaluation["curves"]["centroid"][0] |= {"lift": None, "recall": None}
    html = page(evaluation)
    assert html.count('class="live"') == (3 if measured else 1)
    assert printed(evaluation)


def test_the_centroid_can_be_the_chosen_scorer(evaluation: dict[str, Any]) -> None:
    evaluation["scorer"] = "centroid"
    shown = visible(page(evaluation))
    assert "centroid (chosen)" in shown
    assert shown.count('class="key centroid"') == 0


def test_figures_read_as_people_write_them() -> None:
    assert formatting.count(1234567) == "1,234,567"
    assert [formatting.ratio(value) for value in (0, 0.001, 0.96, 1, 1.04, 3.14159, 42.04, 1234.5)] == [
        *("0", f"<{NBSP}0.01", "0.96", "1", "1.04", "3.1", "42.0", "1,234"),
    ]
    assert [formatting.percent(value) for value in (0, 0.00001, 0.001, 0.05, 0.9474, 0.9999, 1)] == [
        *(f"0{NBSP}%", f"<{NBSP}0.01{NBSP}%", f"0.1{NBSP}%", f"5{NBSP}%"),
        *(f"94.7{NBSP}%", f">{NBSP}99.9{NBSP}%", f"100{NBSP}%"),
    ]
    for nothing in (None, float("nan"), float("inf"), "7", True, 10**400):
        assert formatting.count(nothing) == formatting.times(nothing) == formatting.percent(nothing) == "–"
    assert formatting.band(1, None) == "1 or more"
    assert formatting.moment("2011-12-10T09:14:27+00:00") == "10 December 2011, 09:14 UTC"
    assert formatting.moment("soon") == "soon"
    assert formatting.plural(1, "person", "people") == f"1{NBSP}person"


def test_importing_the_report_loads_neither_the_template_engine_nor_the_charts() -> None:
    script = "import sys, lookalike.report; print(sorted({'jinja2', 'vl_convert'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"[]\n"


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_as_wcag_aa_asks(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", asset("style.css"), flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[0] if scheme == "light" else blocks[0] + blocks[1]))
    pairs = [(text, "page") for text in ("ink", "muted", "link", "chosen", "centroid", "activity", "random")]
    pairs += [("ink", "yes-ground"), ("yes", "yes-ground"), ("ink", "no-ground"), ("no", "no-ground")]
    for text, ground in pairs:
        high, low = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def test_the_tables_fit_eighty_columns_and_mark_the_size_asked_for(evaluation: dict[str, Any]) -> None:
    out = printed(evaluation)
    assert max(len(line) for line in out.splitlines()) <= 80
    assert re.search(r"› 5 % +168 +3\.8 × +2\.4 to 5\.2 +2\.7 × +2\.0 × +1 ×", out)
    assert "█" in out
    assert "warning: 12 of 226" in out


# --- what is said of the seed, of time, and of the parts of a list -----------------------------------------------------


@pytest.fixture
def full(evaluation: dict[str, Any]) -> dict[str, Any]:
    """An evaluation with all that a seed with moments and two sub-audiences has."""
    lifts = {
        "logistic": {"lift": 3.1, "low": 2.0, "high": 4.4},
        "plain": {"lift": 2.2, "low": 1.3, "high": 3.4},
        "activity": {"lift": 1.4, "low": 0.7, "high": 2.4},
    }
    evaluation["backtest"] = {"cut": "2011-09-01T00:00:00", "seeds": 120, "later": 64, "newcomers": 9, "share": 0.05}
    evaluation["backtest"]["lifts"] = lifts
    evaluation["between_tiers"] = copy.deepcopy(evaluation["insights"])
    evaluation["shares"] = [{"seed": 0.6, "list": 0.95, "more_of": []}, {"seed": 0.4, "list": 0.05, "more_of": []}]
    evaluation["diagnosis"] = {"groups": [{"share": 0.6, "more_of": ["word=a"]}, {"share": 0.4, "more_of": ["word=b"]}]}
    evaluation["diagnosis"] |= {"gain_of_splitting": 0.12, "splitting_is_sure": True, "unlike": 3, "leaks": []}
    evaluation["seed"] |= {"unmatched": 7, "spelled_otherwise": 4, "without_vector": 2, "used": 168}
    evaluation["held_out"]["largest"] = 1_234
    evaluation["reasons"] = [{"cluster": 1, "seed": 0.7, "list": 0.9, "more_of": ["word=tea"]}]
    return evaluation


def test_the_backtest_stands_beside_the_hold_out(full: dict[str, Any]) -> None:
    html = visible(page(full))
    assert "Would it have found those who came next?" in html
    assert f"holds 3.1{NBSP}× as many of the 64{NBSP}people who became seeds after it" in html
    assert f"9{NBSP}people more had done nothing by then" in html
    assert f"The hold-out of today says 3.8{NBSP}×." in html
    assert "plain figures alone" in html
    del full["backtest"]
    assert "Would it have found" not in page(full)


def test_the_first_tier_beside_the_last_is_a_section_of_its_own(full: dict[str, Any]) -> None:
    html = visible(page(full))
    assert html.index("What the first tier does more than the last") < html.index("What the audience does more")
    assert len(re.findall(r'id="tier-1"', html)) == len(re.findall(r'id="group-1"', html)) == 1


def test_what_is_said_of_the_seed_and_its_parts(full: dict[str, Any]) -> None:
    for text in (visible(page(full)), printed(full)):
        said = " ".join(text.split())  # a fixed space is a space
        assert "95 % like part 1 (60 % of the seed), 5 % like part 2 (40 % of the seed)" in said
        assert (
            "Lists of their own find 12 % more of the hidden seed people than one list of the same size; make one"
            in said
        )
        assert "7 ids of the seed match nobody: 4 would but for capitals" in said
        assert "3 seeds are ranked behind 95 % of the candidates when hidden: by chance it would be 8." in said
        assert "1,234" in said
        assert "word=tea" in said
        assert "The hold-out of today says 3.8 ×." in said
    full["diagnosis"] |= {"gain_of_splitting": -0.03, "splitting_is_sure": False}
    assert f"find 3{NBSP}% fewer of the hidden seed people than one list of the same size; which may be chance" in page(
        full
    )


def test_a_seed_that_is_better_split_says_so_first(full: dict[str, Any]) -> None:
    full["verdict"]["parts"] = 2
    assert "Split this seed into 2 lists" in page(full)
    assert "split this seed into 2 lists" in printed(full)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_of_a_part_breaks_out(full: dict[str, Any], text: str) -> None:
    full["diagnosis"]["groups"][0]["more_of"] = [text]
    full["between_tiers"]["groups"][0]["title"] = text
    full["backtest"]["lifts"][text] = {"lift": 1.0, "low": 0.5, "high": 2.0}
    shown = visible(page(full))
    assert "<script" not in shown
    assert "<img" not in shown
    assert not set(shown) & {"\x00", "\x1b", "\u202e", "\u2066", "\u2028", "\u2029"}
    assert not set(printed(full)) & {"\x00", "\x1b", "\u202e", "\u2028"}
