"""The report in Chromium: it fetches nothing, violates no policy, and its tooltips are right."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from example_evaluation import (
    SHARES,
    detailed_evaluation,
    example_evaluation,
    hostile_evaluation,
    refused_evaluation,
    replaced,
)
from lookalike.expansion.result import Evaluation
from lookalike.reporting.page import page

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><b id=injected>\x00\n\u2028{{7*7}}"
LIFT_STRIPS = "#chart-lift .live .mark-rect.role-mark path"
RECALL_STRIPS = "#chart-recall .live .mark-rect.role-mark path"
SCORER_DOTS = "#chart-scorers .live .mark-symbol.role-mark path"


def skip_without(requirement: str) -> None:
    """Skips the test on a developer's machine; in CI that would hide the whole file."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{requirement} is needed in CI")
    pytest.skip(f"{requirement} is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_without("playwright")
    chromium = next((path for name in NAMES if (path := shutil.which(name))), None)
    if chromium is None:
        skip_without("Chromium")
    # Chromium refuses to start as root with its sandbox on
    flags = FLAGS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield browser
        browser.close()


@dataclass
class OpenedPage:
    """An open page, and what it did since it was opened."""

    tab: Any
    url: str
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def record(self) -> None:
        """Starts to record requests, console messages, errors and dialogs."""
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        self.tab.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        self.tab.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def assert_well_behaved(self) -> None:
        assert self.requests == [self.url]
        assert self.console == []
        assert self.dialogs == []
        if self.tab.evaluate("'violations' in window"):
            assert self.tab.evaluate("window.violations") == []


Show = Callable[..., Any]


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Show]:
    """Opens the page of an evaluation from a file and gives its tab. When the test ends, nothing may have gone wrong."""
    contexts, pages = [], list[OpenedPage]()

    def show(evaluation: Evaluation, **options: Any) -> Any:
        path = tmp_path / f"report-{len(pages)}.html"
        path.write_text(page(evaluation), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        opened = OpenedPage(context.new_page(), path.as_uri())
        opened.record()
        pages.append(opened)
        if options.get("java_script_enabled", True):
            opened.tab.add_init_script(
                "window.violations = []; document.addEventListener('securitypolicyviolation',"
                " event => window.violations.push(event.violatedDirective + ' ' + event.blockedURI));"
            )
        opened.tab.goto(opened.url)
        return opened.tab

    yield show
    for opened in pages:
        opened.assert_well_behaved()
    for context in contexts:
        context.close()


def wait_for_charts(tab: Any) -> None:
    tab.wait_for_function("document.querySelectorAll('.chart.drawn .live svg').length === 3")
    assert tab.locator(".chart").count() == 3


def tooltip(tab: Any, marks: str, position: int) -> dict[str, str]:
    """The rows of the tooltip over one mark."""
    target = tab.locator(marks).nth(position)
    target.scroll_into_view_if_needed()
    box = target.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.locator("#vg-tooltip-element.visible").wait_for()
    keys = tab.locator("#vg-tooltip-element td.key").all_inner_texts()
    values = tab.locator("#vg-tooltip-element td.value").all_inner_texts()
    return dict(zip(keys, values, strict=True))


def hostile() -> Evaluation:
    """Hostile text everywhere, and one label of ten thousand letters."""
    evaluation = hostile_evaluation(HOSTILE)
    return replaced(evaluation, "prospect_list.over_index.groups.0.rows.1.label", HOSTILE + "x" * 10_000)


def test_the_page_draws_its_charts_and_fetches_nothing(show: Show) -> None:
    tab = show(example_evaluation())
    wait_for_charts(tab)
    assert tab.title() == "retro-bags: lift report"
    assert tab.locator(".chart[role=img]").count() == 3
    assert tab.locator("main").count() == 1


def test_a_tooltip_names_each_method_with_its_figure_at_that_size(show: Show) -> None:
    tab = show(example_evaluation())
    wait_for_charts(tab)
    five_percent = SHARES.index(0.05)
    assert tooltip(tab, LIFT_STRIPS, five_percent) == {
        "Size": "5%, 168 people",
        "logistic (chosen)": "3.8×",
        "centroid": "2.7×",
        "activity alone": "2.0×",
        "random pick": "1×",
        "logistic, 95% band": "2.4–5.2",
    }
    recall = tooltip(tab, RECALL_STRIPS, five_percent)
    assert recall["logistic (chosen)"] == "19.1%"
    assert recall["random pick"] == "5%"


def test_a_tooltip_names_the_scorer_with_its_band(show: Show) -> None:
    tab = show(example_evaluation())
    wait_for_charts(tab)
    last = tab.locator(SCORER_DOTS).count() - 1
    assert tooltip(tab, SCORER_DOTS, last) == {
        "Scorer": "centroid",
        "Lift": "2.7×",
        "95% band": "1.5–4.0",
        "AUC": "0.741",
    }


def test_hostile_text_is_shown_and_never_run(show: Show) -> None:
    tab = show(hostile())
    wait_for_charts(tab)
    assert tab.locator("#injected").count() == 0
    assert tab.locator("img").count() == 0
    assert tab.locator("script").count() == 3
    assert tab.locator("h1").inner_text().startswith("</script><script>alert(1)")
    assert any(key.startswith("</script><script>") for key in tooltip(tab, LIFT_STRIPS, 5))
    first = tab.locator(SCORER_DOTS).count() - 3
    assert tooltip(tab, SCORER_DOTS, first)["Scorer"].startswith("</script><script>alert(1)")
    assert tab.locator("#injected").count() == 0


@pytest.mark.parametrize("evaluation", [example_evaluation(), detailed_evaluation(), hostile()], ids=range(3))
def test_nothing_is_wider_than_a_phone(show: Show, evaluation: Evaluation) -> None:
    tab = show(evaluation, viewport={"width": 390, "height": 800})
    wait_for_charts(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_charts_follow_the_colour_scheme_and_print_is_light(show: Show) -> None:
    tab = show(example_evaluation(), color_scheme="dark")
    wait_for_charts(tab)
    line = "getComputedStyle(document.querySelector('#chart-lift .live .mark-line path')).stroke"
    background = "getComputedStyle(document.documentElement).backgroundColor"
    dark_line, dark_background = tab.evaluate(line), tab.evaluate(background)
    tab.emulate_media(color_scheme="light")
    assert tab.evaluate(line) != dark_line
    light_background = tab.evaluate(background)
    assert light_background != dark_background
    tab.emulate_media(color_scheme="dark", media="print")
    assert tab.evaluate(background) == light_background


def test_print_shows_the_static_charts(show: Show) -> None:
    tab = show(example_evaluation())
    wait_for_charts(tab)
    assert not tab.locator("#chart-lift .static svg").is_visible()
    tab.emulate_media(media="print")
    assert tab.locator("#chart-lift .static svg").is_visible()
    assert not tab.locator("#chart-lift .live").is_visible()
    assert tab.pdf(format="A4").startswith(b"%PDF")


def test_without_scripts_the_static_charts_are_shown(show: Show) -> None:
    tab = show(example_evaluation(), java_script_enabled=False)
    for name in ("lift", "recall", "scorers"):
        assert tab.locator(f"#chart-{name} .static svg").is_visible()


def test_a_refused_seed_has_its_charts_and_the_verdict_first(show: Show) -> None:
    curves = {method: points[-1:] for method, points in refused_evaluation().curves.items()}
    tab = show(replaced(refused_evaluation(), "curves", curves))
    wait_for_charts(tab)
    assert tab.locator(".verdict h2").inner_text() == "Do not expand this seed"
    assert tab.locator("#tiers").count() == 0
