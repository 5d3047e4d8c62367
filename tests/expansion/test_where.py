"""A list for some people only: who they are, what it learns from, and what is said when too few seeds are among them."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

import lookalike as la
from expansion_context import opened_context
from lookalike.data.id_lists import IdFrame
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion.audience import Audience, Size, load_definition
from lookalike.expansion.rule import parse_condition
from lookalike.expansion.rule_finder import find_rule
from lookalike.expansion.seed import Seed
from lookalike.expansion.seed_reader import read_seed
from lookalike.expansion.seed_summary import WhereSummary
from lookalike.expansion.where import users_inside
from lookalike.reporting.rule_section import rule_sentence
from lookalike.reporting.seed_section import whom_and_what
from rule_log import RULE, USERS, RuleSpace, rule_space

EVERYBODY = [f"u{row:05d}" for row in range(USERS)]
GOLD = EVERYBODY[::3]


def frame(ids: list[str]) -> IdFrame:
    return IdFrame(pl.DataFrame({"user_id": ids}), "the list")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> RuleSpace:
    """One user in three has the plan gold. The last event of odd users is in FR, their earlier ones are in DE; events of
    even users are in DE, the last one without a country."""
    space = rule_space(tmp_path_factory.mktemp("filter"))
    with duckdb.connect(str(space.workspace.database)) as connection:
        plans = pl.DataFrame({"id": EVERYBODY, "plan": np.where(np.isin(EVERYBODY, GOLD), "gold", "free")})
        connection.register("plans", plans.to_arrow())
        connection.execute("INSERT INTO user_attributes SELECT id, 'plan', plan FROM plans")
        connection.execute("UPDATE events SET country = 'DE'")
        connection.execute(
            """UPDATE events SET country = CASE WHEN right(user_id, 1)::INT % 2 = 1 THEN 'FR' END
               WHERE (user_id, ts) IN (SELECT user_id, max(ts) FROM events GROUP BY user_id HAVING min(ts) < max(ts))"""
        )
    return space


@pytest.fixture(scope="module")
def ws(space: RuleSpace, tmp_path_factory: pytest.TempPathFactory) -> la.Workspace:
    folder = tmp_path_factory.mktemp("filter") / "space"
    shutil.copytree(space.workspace.root, folder)
    return la.open(folder)


def test_only_people_it_is_for_are_listed_and_compared_with(ws: la.Workspace, space: RuleSpace) -> None:
    seed = EVERYBODY[:120]
    result = ws.expand(seed=seed, size=40, where="plan = gold", as_of_now=True, force=True)
    assert result.prospects is not None
    assert set(result.prospects["user_id"]) <= set(GOLD) - set(seed)
    assert result.evaluation.where == WhereSummary(conditions=("plan = gold",), users=300, seeds=40, of_seeds=120)
    assert result.evaluation.seed.used == 40
    assert (result.evaluation.universe, result.evaluation.candidates) == (300, 260)


def test_the_list_is_that_of_a_log_of_these_people_alone(ws: la.Workspace) -> None:
    seed = EVERYBODY[:120]
    others = sorted(set(EVERYBODY) - set(GOLD))
    by_condition = ws.expand(seed=seed, size=40, where="plan = gold", as_of_now=True, force=True)
    by_hand = ws.expand(
        seed=sorted(set(seed) & set(GOLD)), suppress=others, size=40, name="by-hand", as_of_now=True, force=True
    )
    assert by_condition.prospects is not None
    assert by_hand.prospects is not None
    assert by_condition.prospects.equals(by_hand.prospects)
    assert by_condition.lift == by_hand.lift


def test_only_doers_among_them_teach_and_are_looked_for(space: RuleSpace) -> None:
    audience = Audience(
        "a", frame(space.doers), Size(count=20),
        where=(parse_condition("plan = gold"),),
    )  # fmt: skip
    with opened_context(space.workspace.root) as context:
        read = read_seed(context, audience)
        assert read.seed.doers is not None
        assert set(context.index.ids(read.seed.doers.rows)) == set(space.doers) & set(GOLD)
        assert read.rule is not None
        assert read.rule.rule == RULE  # and not that they are gold
        assert read.rule.everybody_share == len(read.seed.doers.rows) / 300


@pytest.mark.parametrize(
    ("conditions", "is_inside"),
    [
        (("country = FR",), lambda number: number % 2 == 1),  # the last known value
        (("country = DE",), lambda number: number % 2 == 0),
        (("country = FR or country = DE",), lambda number: True),
        (("country = FR", "plan = gold"), lambda number: number % 2 == 1 and number % 3 == 0),
        (("plan = gold or country = FR",), lambda number: number % 2 == 1 or number % 3 == 0),
    ],
)  # fmt: skip
def test_conditions_read_attributes_and_last_values(space: RuleSpace, conditions, is_inside) -> None:  # type: ignore[no-untyped-def]
    with duckdb.connect(str(space.workspace.database), read_only=True) as connection:
        several = connection.sql("SELECT user_id FROM events GROUP BY 1 HAVING min(ts) < max(ts)").pl()["user_id"]
    with opened_context(space.workspace.root) as context:
        found = set(context.index.ids(users_inside(context, tuple(map(parse_condition, conditions)))))
    assert found & set(several) == {user for user in several if is_inside(int(user[1:]))}


@pytest.mark.parametrize(
    ("condition", "error", "problem"),
    [
        ("shoe = 4", SettingsError, "no field of people is called 'shoe'"),
        ("item = i0001", SettingsError, "no field of people is called 'item'"),
        ("event_type = purchase", SettingsError, "no field of people is called 'event_type'"),
        ("plan = silver", ExpansionError, "nobody is plan = silver"),
        ("plan = ' OR 1=1", SettingsError, "no field of people is called '1'"),
        ("plan = \"' OR 1=1 --\"", ExpansionError, "nobody is"),
        ("plan = gold and country = FR", SettingsError, "condition .*: unexpected '='"),
        ("plan = gold since 2024-01-01", SettingsError, "column 13: unexpected 'since'"),
        ("plan", SettingsError, "expected = after the field"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_condition_is_said(
    ws: la.Workspace, condition: str, error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        ws.expand(seed=EVERYBODY[:120], size=40, where=condition)


def test_too_few_seeds_among_them_are_an_error(ws: la.Workspace) -> None:
    seed = [*sorted(set(EVERYBODY) - set(GOLD))[:80], *GOLD[:10]]
    with pytest.raises(ExpansionError, match="fewer than 25 of 90 seeds are people that the list is for"):
        ws.expand(seed=seed, size=40, where="plan = gold")


def test_hints_name_values_and_the_flag_for_deeds(ws: la.Workspace) -> None:
    hints = []
    for condition in ("plan = Gold", "event_type = purchase", "plan = gold and country = FR"):
        with pytest.raises((SettingsError, ExpansionError)) as raised:
            ws.expand(seed=EVERYBODY[:120], size=40, where=condition)
        hints.append(raised.value.hint)
    assert hints[0] == "values of plan: free, gold"
    assert "--seed-rule" in hints[1]
    assert "--where once more" in hints[2]


def test_negatives_and_other_lists_are_of_these_people_too(space: RuleSpace) -> None:
    audience = Audience(
        "a", frame(EVERYBODY[:120]), Size(count=20), negative=(frame(EVERYBODY[200:260]),), as_of_now=True,
        where=(parse_condition("plan = gold"),),
    )  # fmt: skip
    with opened_context(space.workspace.root) as context:
        seed = read_seed(context, audience).seed
        gold = context.index.match({"gold": pl.DataFrame({"user_id": GOLD})})["gold"].rows
        assert len(seed.negatives) == 20
        assert set(seed.negatives) <= set(gold)
        assert set(seed.outside) == set(range(context.representation.users)) - set(gold)
        assert set(seed.outside) <= set(seed.excluded)


def test_a_rule_is_told_of_the_seeds_it_is_looked_for_among(ws: la.Workspace, space: RuleSpace) -> None:
    inside = len(set(space.doers) & set(GOLD))
    result = ws.expand(seed=space.doers, size=20, where="plan = gold", force=True, name="inside")
    rule = result.evaluation.rule
    assert rule is not None
    assert (rule.seeds, rule.of_seeds, rule.seed_share) == (inside, inside, 1)
    assert f"{inside} of {inside} seeds" in rule_sentence(rule)
    summary = result.summary()
    assert (summary.rule, summary.where, summary.forecast) == (
        rule,
        result.evaluation.where,
        result.evaluation.forecast,
    )
    assert len(whom_and_what(result.evaluation)) == 2


@pytest.mark.parametrize("options", [{"include_doers": True}, {"before": RULE}, {"seed_rule": RULE}])
def test_nobody_else_is_listed_whatever_else_is_asked_for(
    ws: la.Workspace, space: RuleSpace, options: dict[str, Any]
) -> None:
    seed = {} if "seed_rule" in options else {"seed": space.doers}
    result = ws.expand(**seed, size=20, where="plan = gold", force=True, name="options", **options)
    assert result.prospects is not None
    assert set(result.prospects["user_id"]) <= set(GOLD)


def test_the_rule_tells_the_seed_from_people_inside_only(space: RuleSpace) -> None:
    """Everybody inside has bought dog food; it sets the seed apart from those outside alone."""
    with opened_context(space.workspace.root) as context:
        doers = context.index.match({"doers": pl.DataFrame({"user_id": space.doers})})["doers"].rows
        outside = np.setdiff1d(np.arange(context.representation.users), doers)
        assert find_rule(context, Seed(doers[::2], outside, outside=outside)) is None
        everywhere = find_rule(context, Seed(doers[::2], doers[:0]))
    assert everywhere is not None
    assert str(everywhere.rule) == RULE


def test_a_definition_may_have_conditions(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('seed = "seed.csv"\nsize = 9\nwhere = "country = FR"\n')
    (tmp_path / "b.toml").write_text('seed = "seed.csv"\nsize = 9\nwhere = ["country = FR", "plan = gold"]\n')
    assert load_definition(tmp_path / "a.toml").where == (parse_condition("country = FR"),)
    assert load_definition(tmp_path / "b.toml").record().where == ("country = FR", "plan = gold")
