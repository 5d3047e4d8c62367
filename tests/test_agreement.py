"""Verdict, headline, figures and advice of one report agree, whatever the verdict."""

import itertools
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

import lookalike as la
from example_evaluation import example_evaluation
from expansion_context import measured, opened_context
from lookalike.data.id_lists import IdFrame
from lookalike.expansion import seed_profile
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.judgement import judge_without
from lookalike.expansion.messages import SeveralAudiences
from lookalike.expansion.result import Band, Evaluation, MethodLift, promised
from lookalike.expansion.seed_reader import read_seed
from lookalike.expansion.verdict import after_backtest
from lookalike.reporting import content
from lookalike.reporting.verdict_text import leak_caution, verdict_text
from rule_log import RULE, USERS, RuleSpace, rule_space

EVERYBODY = [f"u{row:05d}" for row in range(USERS)]


def random_people(space: RuleSpace, count: int) -> list[str]:
    return np.random.default_rng(8).permutation(EVERYBODY)[:count].tolist()


def with_moments(space: RuleSpace) -> pl.DataFrame:
    return space.deeds.group_by("user_id").agg(pl.col("ts").min()).sort("user_id")


CASES: dict[str, Callable[[RuleSpace], dict[str, Any]]] = {
    "forecast": lambda space: {"seed": space.seed(), "size": 60},
    "forecast of few": lambda space: {"seed": space.seed(26), "size": 20},
    "recognition": lambda space: {"seed": space.seed(), "size": 60, "as_of_now": True},
    "rule and auto": lambda space: {"seed_rule": RULE, "size": "auto"},
    "too long": lambda space: {"seed": space.seed(), "size": "90%", "as_of_now": True},
    "moments": lambda space: {"seed": with_moments(space), "size": 60},
    "random": lambda space: {"seed": random_people(space, 80), "size": 60},
    "random and forced": lambda space: {"seed": random_people(space, 80), "size": 60, "force": True},
    "random and auto": lambda space: {"seed": random_people(space, 80), "size": "auto"},
}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> RuleSpace:
    return rule_space(tmp_path_factory.mktemp("agreement"))


@pytest.fixture(scope="module")
def ws(space: RuleSpace, tmp_path_factory: pytest.TempPathFactory) -> la.Workspace:
    folder = tmp_path_factory.mktemp("agreement") / "space"
    shutil.copytree(space.workspace.root, folder)
    return la.open(folder)


@pytest.mark.parametrize("case", CASES)
def test_one_report_says_one_thing(ws: la.Workspace, space: RuleSpace, case: str) -> None:
    result = ws.expand(**CASES[case](space), name=case.replace(" ", "-"))
    check_agreement(result.evaluation)
    assert (result.prospects_file is not None) == (result.verdict.expand or result.verdict.forced)
    assert result.lift == result.evaluation.promise
    assert result.summary().lift == result.lift.value


def check_agreement(evaluation: Evaluation) -> None:
    verdict, text = evaluation.verdict, verdict_text(evaluation)
    largest = next(figure for figure in content.key_figures(evaluation) if figure.name == "Largest list worth taking")
    against = [line for line in text.lines if line.mark == "against"]
    if verdict.expand:
        assert text.headline.startswith(("Expand", "Split"))
        assert not against
        assert largest.value != "none"
        assert evaluation.promise.low > 1
        assert not any(line.text.startswith("No size passes") for line in text.lines)
    else:
        assert text.headline == "Do not expand this seed"
        assert against
        assert verdict.up_to is None
    if verdict.up_to is not None:
        assert verdict.up_to < evaluation.size
    if evaluation.held_out.activity_lift > evaluation.held_out.lift:
        assert not any(line.mark == "for" and line.text.startswith("Ranking by activity") for line in text.lines)


def test_the_cases_are_of_every_kind(ws: la.Workspace, space: RuleSpace) -> None:
    made = {
        case: ws.expand(**CASES[case](space), name=case.replace(" ", "-"))
        for case in ("forecast", "too long", "random")
    }
    assert made["forecast"].evaluation.forecast is not None
    assert made["too long"].verdict.up_to is not None
    assert not made["random"].verdict.expand


# --- advice that is followed ------------------------------------------------------------------------------------------


def advised(evaluation: Evaluation) -> dict[str, Any]:
    """The options that the advice on features that give the seed away names."""
    words = shlex.split(leak_caution(evaluation).replace("(", " ").replace(")", " "))
    options: dict[str, Any] = {"drop_features": []}
    for flag, value in itertools.pairwise(words):
        if flag == "--drop-features":
            options["drop_features"].append(value.rstrip(","))
        elif flag == "--scorer":
            options["scorer"] = value.rstrip(",")
        elif (flag, value) == ("without", "--balance"):
            options["balance"] = False
    return options


ADVISED: dict[str, Callable[[RuleSpace], dict[str, Any]]] = {
    "auto": lambda space: {"seed": space.seed(), "as_of_now": True},
    "a scorer that cannot be fitted then": lambda space: {
        "seed": space.seed(),
        "as_of_now": True,
        "scorer": "centroid",
    },
    "balance": lambda space: {"seed": space.doers, "as_of_now": True, "balance": True},
}


@pytest.mark.parametrize("case", ADVISED)
def test_dropping_what_gives_the_seed_away_gives_the_verdict_that_was_told(
    ws: la.Workspace, space: RuleSpace, case: str
) -> None:
    options = {"size": 60, "name": case.replace(" ", "-")} | ADVISED[case](space)
    told = ws.expand(**options).evaluation
    assert told.seed_profile.leaks
    followed = ws.expand(**options | advised(told))
    assert followed.verdict.expand == told.seed_profile.expand_without_leaks
    assert followed.lift.value == told.seed_profile.lift_without_leaks
    assert not followed.evaluation.seed_profile.leaks


@pytest.mark.parametrize("kind", ["rule", "picked", "moments", "as it is"])
def test_what_is_tried_without_features_is_what_comes_without_them(space: RuleSpace, kind: str) -> None:
    events = space.log.events.group_by("user_id").len().sort("len", "user_id", descending=True)
    busiest = events.filter(events["user_id"].is_in(space.doers))["user_id"].to_list()[:50]
    people = {"picked": pl.DataFrame({"user_id": busiest}), "moments": with_moments(space)}
    seed = IdFrame(people.get(kind, pl.DataFrame({"user_id": space.seed()})), "the seed")
    audience = Audience(
        "a", seed, Size(count=60), drop_features=("category=c1",), as_of_now=kind == "as it is",
        before=RULE if kind == "picked" else None,
    )  # fmt: skip
    with opened_context(space.workspace.root) as context:
        tried = judge_without(context, audience, read_seed(context, audience), ("category=c0", "log_events"))
        followed = measured(context, replace(audience, drop_features=("category=c1", "category=c0", "log_events")))
    assert tried.verdict.decision == followed.verdict.decision
    assert tried.promise == promised(followed.selection.lift_band, followed.backtest, followed.selection.scorer)


@pytest.mark.parametrize(("people", "size"), [((100, 100), 200), ((100, 60), 12)])
def test_a_split_is_advised_where_each_list_is_worth_making(
    ws: la.Workspace, space: RuleSpace, monkeypatch: pytest.MonkeyPatch, people: tuple[int, int], size: int
) -> None:
    """On this log one list finds as many as two, so that the gain is stated here; the lists are real."""
    monkeypatch.setattr(seed_profile, "gain_of_splitting", lambda *_: (0.2, True))
    seed = [user for interest, count in enumerate(people, 1) for user in space.log.with_interest(interest)[:count]]
    told = ws.expand(seed=seed, size=size, as_of_now=True, name=f"two-{size}")
    parts = len(told.evaluation.seed_profile.sub_audiences)
    assert parts > 1
    lists = ws.expand_all(seed=seed, size=size, as_of_now=True, name=f"two-{size}", split=True)
    each = all(part.verdict.expand for part in lists)
    assert each == (size == 200)
    assert told.evaluation.seed_profile.splitting_reliable == each
    assert told.verdict.parts == (parts if each else None)
    assert any(isinstance(warning, SeveralAudiences) for warning in told.warnings) == each


# --- when hold-out and backtest part ---------------------------------------------------------------------------------


def test_a_backtest_that_is_much_lower_is_the_promise_and_decides() -> None:
    verdict, held_out = example_evaluation().verdict, Band(5.0, 4.0, 6.0)
    assert verdict.expand
    near = MethodLift(lift=3.9, low=3, high=4.5)
    assert after_backtest(verdict, held_out, near) == verdict
    lower = after_backtest(verdict, held_out, MethodLift(lift=2.5, low=1.5, high=3.5))
    assert lower.expand
    assert next(check for check in lower.checks if check.name == "above_chance").value == 2.5
    nothing = after_backtest(verdict, held_out, MethodLift(lift=1.2, low=0.8, high=1.6))
    assert not nothing.expand
    assert nothing.up_to is None
    assert [check.name for check in nothing.failed] == ["above_chance"]
