"""The report in a real Chromium: it asks for nothing, breaks no rule of its own, and its tooltips are right."""

import copy
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lookalike.reporting.page import page

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
EXAMPLE = json.loads((Path(__file__).parent / "evaluation_example.json").read_text(encoding="utf-8"))
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><b id=injected>\x00\n\u2028{{7*7}}"
NBSP = "\u00a0"


def missing(what: str) -> None:
    """On a developer's machine a browser may be missing; in CI that would hide the whole file."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is needed in CI")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    chromium = next((found for name in NAMES if (found := shutil.which(name))), None)
    if chromium is None:
        missing("Chromium")
    # Chromium refuses to start as root with its sandbox on.
    flags = FLAGS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


@dataclass
class Seen:
    """What a page did while it was open."""

    requests: list[str] = field(default_factory=list)
    talk: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@dataclass
class Opened:
    """An open page and what it did."""

    page: Any
    seen: Seen
    url: str


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens an evaluation's page from a file, with every event recorded; at the end nothing may have gone wrong."""
    contexts, opened = [], []

    def show(evaluation: dict[str, Any], **options: Any) -> Opened:
        path = tmp_path / f"report-{len(opened)}.html"
        path.write_text(page(evaluation), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        shown, seen = context.new_page(), Seen()
        shown.on("request", lambda request: seen.requests.append(request.url))
        shown.on("console", lambda message: seen.talk.append(f"{message.type}: {message.text}"))
        shown.on("pageerror", lambda error: seen.talk.append(f"error: {error}"))
        shown.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
        if options.get("java_script_enabled", True):
            shown.add_init_script(
                "window.broken = []; document.addEventListener('securitypolicyviolation',"
                " event => window.broken.push(event.violatedDirective + ' ' + event.blockedURI));"
            )
        shown.goto(path.as_uri())
        opened.append(Opened(shown, seen, path.as_uri()))
        return opened[-1]

    yield show
    for one in opened:
        assert one.seen.requests == [one.url]
        assert one.seen.talk == []
        assert one.seen.dialogs == []
        if one.page.evaluate("'broken' in window"):
            assert one.page.evaluate("window.broken") == []
    for context in contexts:
        context.close()


def drawn(shown: Any, charts: int) -> None:
    shown.wait_for_function("n => document.querySelectorAll('.chart.drawn .live svg').length === n", arg=charts)
    assert shown.locator(".chart").count() == charts


def tooltip(shown: Any, mark: str, place: int) -> dict[str, str]:
    """The tooltip over one mark, as its rows."""
    target = shown.locator(mark).nth(place)
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    shown.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown.locator("#vg-tooltip-element.visible").wait_for()
    keys = shown.locator("#vg-tooltip-element td.key").all_inner_texts()
    values = shown.locator("#vg-tooltip-element td.value").all_inner_texts()
    return dict(zip(keys, values, strict=True))


def hostile() -> dict[str, Any]:
    evaluation = copy.deepcopy(EXAMPLE)
    evaluation["name"] = HOSTILE
    evaluation["scorer"] = HOSTILE
    evaluation["curves"][HOSTILE] = evaluation["curves"].pop("logistic")
    evaluation["scorers"][0]["name"] = HOSTILE
    evaluation["verdict"]["reasons"] = [HOSTILE]
    evaluation["warnings"] = [HOSTILE, "\u202eright to left"]
    evaluation["settings"] = {HOSTILE: HOSTILE}
    evaluation["counts"] = {HOSTILE: [HOSTILE]}
    evaluation["tiers"][0]["tier"] = HOSTILE
    for group in evaluation["insights"]["groups"]:
        group["title"] = HOSTILE
        group["rows"][0]["label"] = HOSTILE + "x" * 10_000
    return evaluation


def test_the_page_draws_its_charts_and_asks_for_nothing(show: Any) -> None:
    opened = show(EXAMPLE)
    drawn(opened.page, 3)
    assert opened.page.title() == "retro-bags: lift report"
    assert opened.page.locator(".chart[role=img]").count() == 3
    assert opened.page.locator("main").count() == 1


def test_a_tooltip_names_each_method_with_its_lift_at_that_size(show: Any) -> None:
    opened = show(EXAMPLE)
    drawn(opened.page, 3)
    shares = [point["share"] for point in EXAMPLE["curves"]["logistic"]]
    place = shares.index(0.05)
    said = tooltip(opened.page, "#chart-lift .live .mark-rect.role-mark path", place)
    assert said == {
        "Size": f"5{NBSP}%, 168 people",
        "logistic (chosen)": f"3.8{NBSP}×",
        "centroid": f"2.7{NBSP}×",
        "activity alone": f"2.0{NBSP}×",
        "random pick": f"1{NBSP}×",
        f"logistic, 95{NBSP}% band": "2.4 to 5.2",
    }
    said = tooltip(opened.page, "#chart-recall .live .mark-rect.role-mark path", place)
    assert said["logistic (chosen)"] == f"19.1{NBSP}%"
    assert said["random pick"] == f"5{NBSP}%"


def test_a_tooltip_names_the_scorer_with_its_interval(show: Any) -> None:
    opened = show(EXAMPLE)
    drawn(opened.page, 3)
    dots = opened.page.locator("#chart-scorers .live .mark-symbol.role-mark path")
    said = tooltip(opened.page, "#chart-scorers .live .mark-symbol.role-mark path", dots.count() - 1)
    assert said == {"Scorer": "centroid", "Lift": f"2.7{NBSP}×", f"95{NBSP}% band": "1.5 to 4.0", "AUC": "0.741"}


def test_hostile_text_is_shown_and_never_run(show: Any) -> None:
    opened = show(hostile())
    drawn(opened.page, 3)
    assert opened.page.locator("#injected").count() == 0
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("script").count() == 3
    assert opened.page.locator("h1").inner_text().startswith("</script><script>alert(1)")
    said = tooltip(opened.page, "#chart-lift .live .mark-rect.role-mark path", 5)
    assert any(key.startswith("</script><script>") for key in said)
    dots = opened.page.locator("#chart-scorers .live .mark-symbol.role-mark path")
    said = tooltip(opened.page, "#chart-scorers .live .mark-symbol.role-mark path", dots.count() - 3)
    assert said["Scorer"].startswith("</script><script>alert(1)")
    assert opened.page.locator("#injected").count() == 0


def test_nothing_stands_wider_than_a_phone_even_with_labels_of_ten_thousand_letters(show: Any) -> None:
    for evaluation in (EXAMPLE, hostile()):
        opened = show(evaluation, viewport={"width": 390, "height": 800})
        drawn(opened.page, 3)
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 390


def test_charts_follow_the_colour_scheme_and_print_is_light(show: Any) -> None:
    opened = show(EXAMPLE, color_scheme="dark")
    drawn(opened.page, 3)
    colour = "getComputedStyle(document.querySelector('#chart-lift .live .mark-line path')).stroke"
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark, dark_ground = opened.page.evaluate(colour), opened.page.evaluate(ground)
    opened.page.emulate_media(color_scheme="light")
    assert opened.page.evaluate(colour) != dark
    light_ground = opened.page.evaluate(ground)
    assert light_ground != dark_ground
    opened.page.emulate_media(color_scheme="dark", media="print")
    assert opened.page.evaluate(ground) == light_ground


def test_print_shows_the_static_charts(show: Any) -> None:
    opened = show(EXAMPLE)
    drawn(opened.page, 3)
    assert not opened.page.locator("#chart-lift .static svg").is_visible()
    opened.page.emulate_media(media="print")
    assert opened.page.locator("#chart-lift .static svg").is_visible()
    assert not opened.page.locator("#chart-lift .live").is_visible()
    assert opened.page.pdf(format="A4").startswith(b"%PDF")


def test_without_scripts_the_static_charts_stand(show: Any) -> None:
    opened = show(EXAMPLE, java_script_enabled=False)
    for name in ("lift", "recall", "scorers"):
        assert opened.page.locator(f"#chart-{name} .static svg").is_visible()


def test_a_page_without_figures_opens_without_charts(show: Any) -> None:
    bare = {"name": "bare", "verdict": {"decision": "do not expand", "reasons": ["The seed has one person."]}}
    opened = show(bare)
    assert opened.page.locator(".chart").count() == 0
    assert opened.page.locator(".verdict h2").inner_text() == "Do not expand this seed"
