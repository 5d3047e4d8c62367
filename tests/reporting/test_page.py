"""The page: it fetches nothing, runs nothing from outside, and shows every figure as text too."""

import hashlib
import json
import re
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from example_evaluation import (
    HOSTILE_TEXTS,
    detailed_evaluation,
    example_evaluation,
    hostile_evaluation,
    refused_evaluation,
    replaced,
)
from lookalike.expansion.result import Evaluation
from lookalike.reporting.formatting import NBSP
from lookalike.reporting.page import asset, json_in_script, page


def visible(html: str) -> str:
    """The page without its scripts and styles, which hold a library."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)


def text_of(html: str) -> str:
    """The visible text, on one line, with plain spaces."""
    without_tags = re.sub(r"<[^>]*>", " ", visible(html))
    return " ".join(without_tags.replace("&#39;", "'").split())


# --- what it says ----------------------------------------------------------------------------------------------------


def test_the_verdict_with_its_key_number_comes_first() -> None:
    shown = visible(page(example_evaluation()))
    sentence = f"the first 168{NBSP}people on the list held 3.8× as many of them as a random pick (likely 2.4–5.2)"
    assert shown.index("Expand this seed") < shown.index(sentence) < shown.index("Key figures")


def test_the_same_evaluation_gives_the_same_page_in_another_process(tmp_path: Path) -> None:
    evaluation = example_evaluation()
    evaluation.write(tmp_path / "evaluation.json")
    code = (
        "import pathlib, sys\n"
        "from lookalike.expansion.result import Evaluation\n"
        "from lookalike.reporting.page import page\n"
        "sys.stdout.write(page(Evaluation.read(pathlib.Path(sys.argv[1]))))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "evaluation.json")]
    process = subprocess.run(command, capture_output=True, check=True)
    assert process.stdout.decode() == page(evaluation) == page(evaluation.model_copy(deep=True))


def test_a_refused_seed_has_no_list_and_the_failed_check() -> None:
    shown = visible(page(refused_evaluation()))
    assert "Do not expand this seed" in shown
    assert "No list was written." in shown
    assert "Not reliably better than chance: 1.2×" in shown
    assert "What the audience does more" not in shown
    assert 'id="tiers"' not in shown


def test_a_forced_list_keeps_its_verdict_and_its_list() -> None:
    verdict = refused_evaluation().verdict.model_copy(update={"forced": True})
    shown = visible(page(replaced(example_evaluation(), "verdict", verdict)))
    assert "Do not expand this seed" in shown
    assert "because it was forced" in shown
    assert "What the audience does more" in shown


def test_an_evaluation_with_as_little_as_possible_has_a_page() -> None:
    evaluation = refused_evaluation()
    curves = {method: points[-1:] for method, points in evaluation.curves.items() if method != "centroid"}
    changes = {"curves": curves, "warnings": (), "scorers": evaluation.scorers[:1]}
    shown = visible(page(evaluation.model_copy(update=changes)))
    assert shown.count('class="live"') == 3
    assert 'id="warnings"' not in shown


def test_a_group_without_a_clear_row_says_so() -> None:
    assert "Nothing here is clearly more frequent than in the base." in page(example_evaluation())


def test_the_most_reliable_traits_come_first_and_the_hidden_are_counted() -> None:
    shown = visible(page(example_evaluation()))
    assert shown.index("Rabbit night light") < shown.index("Set of 3 cake tins") < shown.index("Spotty bunting")
    assert "White hanging heart" not in shown
    assert f"2,841 hidden: fewer than 25{NBSP}people." in shown
    items = shown[shown.index(">Items<") : shown.index(">Category<")]
    assert items.count('scope="row"') == 12


def test_every_chart_has_a_description_and_a_table() -> None:
    shown = visible(page(example_evaluation()))
    descriptions = re.findall(r'role="img" aria-label="([^"]+)"', shown)
    assert len(descriptions) == 3
    assert "3.8×" in descriptions[0]
    assert "19.1%" in descriptions[1]
    assert "logistic" in descriptions[2]
    assert shown.count("<details>") >= 3
    assert shown.count("<caption>") >= 6


def test_very_small_and_very_large_figures_are_shown() -> None:
    evaluation = example_evaluation().model_copy(update={"size": 10**12, "candidates": 10**15, "prospects": 10**12})
    held_out = {"lift": 1e-9, "low": 0, "high": 1e300, "share": 1e-12, "max_lift": 1e300}
    evaluation = evaluation.model_copy(update={"held_out": evaluation.held_out.model_copy(update=held_out)})
    row = "prospect_list.over_index.groups.0.rows.0"
    for name, value in {"ratio": 1e12, "ratio_low": 1e11, "ratio_high": 1e300}.items():
        evaluation = replaced(evaluation, f"{row}.{name}", value)
    shown = visible(page(evaluation))
    assert "1,000,000,000,000" in shown
    assert f"&lt;{NBSP}0.01×" in shown
    assert "nan" not in text_of(shown).lower().split()


def test_the_centroid_can_be_the_chosen_scorer() -> None:
    shown = visible(page(replaced(example_evaluation(), "scorer", "centroid")))
    assert "centroid (chosen)" in shown
    assert shown.count('class="key centroid"') == 0


# --- what only some seeds have ---------------------------------------------------------------------------------------


def test_a_backtest_stands_beside_the_hold_out() -> None:
    text = text_of(page(detailed_evaluation()))
    assert "Would it have found those who came next?" in text
    assert "holds 3.1× as many of the 64 people who became seeds later" in text
    assert "9 more people had no event by then" in text
    assert "Today's hold-out says 3.8×." in text
    assert "aggregates alone (leakage-free)" in text
    assert "Would it have found" not in page(example_evaluation())


def test_the_first_tier_is_compared_with_the_last_in_a_section_of_its_own() -> None:
    shown = visible(page(detailed_evaluation()))
    assert shown.index("What the first tier does more than the last") < shown.index("What the audience does more")
    assert len(re.findall(r'id="tier-1"', shown)) == len(re.findall(r'id="group-1"', shown)) == 1


def test_sub_audiences_mismatches_and_clusters_are_shown() -> None:
    text = text_of(page(detailed_evaluation()))
    for fact in (
        "95% like part 1 (60% of the seed), 5% like part 2 (40% of the seed)",
        "Separate lists find 12% more of the hidden seeds than one list of the same size; make them with --split.",
        "12 seed ids match no user: 4 differ from the log's only by the way they are written (3 in capitals, 1 in leading zeros)",
        "3 seeds rank behind 95% of the candidates when hidden; by chance it would be 8.",
        "word=tea",
        "1,234",
    ):
        assert fact in text


def test_a_seed_that_is_better_split_says_so_in_its_headline() -> None:
    assert "Split this seed into 2 lists" in page(replaced(detailed_evaluation(), "verdict.parts", 2))


def test_warnings_are_counted_at_the_top_and_listed_at_the_end() -> None:
    shown = visible(page(example_evaluation()))
    assert ">1 warning</a> below." in shown
    assert "12 of 226 seed ids are not known users: the list is made from the other 214" in shown


# --- what it must not do ---------------------------------------------------------------------------------------------


def test_the_page_fetches_nothing_and_has_no_code_outside_its_policy() -> None:
    html = page(example_evaluation())
    shown = visible(html)
    assert not re.findall(r'(?:src|href|action|data|poster)="(?!#|data:,")', shown)
    assert not re.findall(r"\son\w+=", shown)
    assert " style=" not in shown
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "unsafe" not in policy[1]
    for tag in ("script", "style"):
        for attributes, content in re.findall(rf"<{tag}([^>]*)>(.*?)</{tag}>", html, flags=re.DOTALL):
            if "application/json" not in attributes:
                digest = b64encode(hashlib.sha256(content.encode()).digest()).decode()
                assert f"sha256-{digest}" in policy[1].replace("&#43;", "+").replace("&#34;", '"')


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_no_text_from_outside_breaks_out(text: str) -> None:
    html = page(hostile_evaluation(text))
    assert html.encode()
    shown = visible(html)
    assert "<script" not in shown
    assert "<img" not in shown
    assert "alert(1)</script>" not in shown
    assert "49" not in re.findall(r"<h1>(.*?)</h1>", shown, flags=re.DOTALL)[0], "a template in the text was run"
    assert not set(shown) & set("\x00\x1b\u202e\u2066\u2028\u2029")
    assert "x" * 700 not in html


def test_a_shortened_label_has_its_longer_form_in_a_title() -> None:
    evaluation = replaced(example_evaluation(), "prospect_list.over_index.groups.0.rows.0.label", "long " * 40)
    html = page(replaced(evaluation, "prospect_list.over_index.groups.0.rows.0.ratio_low", 9.0))
    assert f'title="{("long " * 40).strip()}"' in html
    assert "long…" in html or "long …" in html


def test_json_cannot_end_its_script_element() -> None:
    text = json_in_script({"a": "</script><!-- & \u2028\u2029", "b": float("nan"), "c": [float("inf")]})
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == {"a": "</script><!-- & \u2028\u2029", "b": None, "c": [None]}


def test_importing_the_page_loads_neither_the_template_engine_nor_the_charts() -> None:
    code = "import sys, lookalike.reporting.page; print(sorted({'jinja2', 'vl_convert'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


# --- how it looks ----------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_aa_requires(scheme: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", asset("style.css"), flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[0] if scheme == "light" else blocks[0] + blocks[1]))
    pairs = [(text, "page") for text in ("ink", "muted", "link", "chosen", "centroid", "activity", "random")]
    pairs += [("ink", "yes-ground"), ("yes", "yes-ground"), ("ink", "no-ground"), ("no", "no-ground")]
    for text, ground in pairs:
        high, low = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def test_every_name_in_the_template_is_used() -> None:
    """A figure that the page no longer shows must not stay in the view."""
    from lookalike.reporting.page import view

    template = asset("page.html.j2")
    assert [name for name in view(example_evaluation()) if not re.search(rf"\b{name}\b", template)] == []


def test_every_evaluation_of_the_examples_survives_json(tmp_path: Path) -> None:
    for evaluation in (example_evaluation(), detailed_evaluation(), refused_evaluation()):
        evaluation.write(tmp_path / "evaluation.json")
        assert Evaluation.read(tmp_path / "evaluation.json") == evaluation
