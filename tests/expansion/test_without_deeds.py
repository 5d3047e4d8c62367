"""Seeds of people who have done something: the rule is found, they are read without it, and a forecast judges the list."""

import shutil
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

import lookalike as la
from expansion_context import opened_context
from lookalike.data.database import open_in
from lookalike.data.id_lists import IdFrame
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion import measurement, seed_profile
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.doers import NEVER, find_doers
from lookalike.expansion.examples import Examples
from lookalike.expansion.histories import Histories
from lookalike.expansion.measurement import split_by_sub_audience
from lookalike.expansion.messages import InCommon
from lookalike.expansion.reading import read_examples
from lookalike.expansion.rule import parse_rule
from lookalike.expansion.rule_finder import find_rule, likelihood_gain
from lookalike.expansion.seed import Seed
from lookalike.expansion.seed_profile import SubAudiences
from lookalike.expansion.seed_reader import read_seed
from lookalike.expansion.without_deeds import DeedFilter, DoerHistories, read_histories
from lookalike.workspace.paths import WorkspaceFolder
from rule_log import RULE, RuleSpace, rule_space


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> RuleSpace:
    return rule_space(tmp_path_factory.mktemp("rule"))


@pytest.fixture
def ws(space: RuleSpace, tmp_path: Path) -> la.Workspace:
    shutil.copytree(space.workspace.root, tmp_path / "space")
    return la.open(tmp_path / "space")


def rule_of(space: RuleSpace, seed: list[str]) -> str | None:
    with opened_context(space.workspace.root) as context:
        rows = context.index.match({"seed": pl.DataFrame({"user_id": seed})})["seed"].rows
        found = find_rule(context, Seed(rows, np.zeros(0, np.int64)))
        return None if found is None or not found.is_used else str(found.rule)


# --- what the seeds have in common -----------------------------------------------------------------------------------


def test_where_people_live_is_no_deed(space: RuleSpace, tmp_path: Path) -> None:
    """One user in ten is in FR and never leaves it; a column that changes from visit to visit can be a deed."""
    shutil.copytree(space.workspace.root, tmp_path / "space")
    with duckdb.connect(str(WorkspaceFolder(tmp_path / "space").database)) as connection:
        connection.execute("UPDATE events SET country = CASE WHEN right(user_id, 1) = '7' THEN 'FR' ELSE 'DE' END")
        connection.execute("UPDATE events SET device = CASE WHEN item_id = 'd0' THEN 'app' ELSE 'web' END")
        app = connection.sql("SELECT DISTINCT user_id FROM events WHERE device = 'app'").pl()["user_id"].to_list()
    french = [user for user in space.log.user_ids if user.endswith("7")][:60]
    with opened_context(tmp_path / "space") as context:
        found = []
        for people in (french, app):
            rows = context.index.match({"seed": pl.DataFrame({"user_id": people})})["seed"].rows
            found.append(find_rule(context, Seed(rows, np.zeros(0, np.int64))))
    assert found[0] is None
    assert found[1] is not None
    assert str(found[1].rule) in ("device = app", "item = d0")


def test_the_rule_of_a_seed_is_found(space: RuleSpace) -> None:
    assert rule_of(space, space.seed()) == RULE


def test_a_union_of_items_is_found(space: RuleSpace) -> None:
    buyers = space.deeds.filter(pl.col("item_id").is_in(["d0", "d1"]))["user_id"].unique().sort().to_list()
    assert rule_of(space, buyers) in ("item = d0 or item = d1", "item = d1 or item = d0")


def test_people_who_merely_share_an_interest_have_no_rule(space: RuleSpace) -> None:
    others = sorted({f"u{row:05d}" for row in range(900)} - set(space.doers))
    assert rule_of(space, others[:60]) is None


def test_what_everybody_does_is_no_rule(space: RuleSpace) -> None:
    assert rule_of(space, [f"u{row:05d}" for row in range(0, 900, 9)]) is None


def test_buyers_of_the_last_weeks_have_a_rule_with_a_first_day(space: RuleSpace) -> None:
    late = space.deeds.filter(pl.col("ts") >= pl.datetime(2024, 4, 25))["user_id"].unique().sort().to_list()
    assert rule_of(space, late) == f"{RULE} since 2024-04-25"


def test_buyers_of_three_have_a_rule_with_a_number(space: RuleSpace) -> None:
    loyal = space.deeds.group_by("user_id").len().filter(pl.col("len") >= 3)["user_id"].sort().to_list()
    assert rule_of(space, loyal) == f"{RULE} at least 3 times"


def test_gain_is_the_kullback_leibler_divergence_of_a_rarer_deed() -> None:
    gain = likelihood_gain(10, np.array([0.5, 0.2]), np.array([0.25, 0.4]))
    assert gain.tolist() == [pytest.approx(10 * (0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75))), 0]


# --- who has done it, and how they are read --------------------------------------------------------------------------


def test_doers_are_all_who_fulfil_the_rule_since_their_first_deed(space: RuleSpace) -> None:
    first = dict(space.deeds.group_by("user_id").agg(pl.col("ts").min()).rows())
    with opened_context(space.workspace.root) as context:
        doers = find_doers(context, parse_rule(RULE))
        ids = context.index.ids(doers.rows).to_list()
        absent = doers.moments_of(np.setdiff1d(np.arange(context.representation.users), doers.rows))
    assert sorted(ids) == space.doers
    assert dict(zip(ids, doers.moment.tolist(), strict=True)) == {
        user: _seconds(moment) for user, moment in first.items()
    }
    assert (absent == NEVER).all()


def _seconds(moment: object) -> int:
    return int(np.datetime64(moment, "s").astype(np.int64))  # type: ignore[call-overload]


def test_a_second_purchase_is_the_moment_of_those_who_buy_twice(space: RuleSpace) -> None:
    with opened_context(space.workspace.root) as context:
        doers = find_doers(context, parse_rule(f"{RULE} at least 2 times"))
        ids = context.index.ids(doers.rows).to_list()
    times = space.deeds.sort("ts").group_by("user_id", maintain_order=True).agg("ts")
    second = {user: _seconds(moments[1]) for user, moments in times.rows() if len(moments) > 1}
    assert dict(zip(ids, doers.moment.tolist(), strict=True)) == second


def test_only_the_deeds_are_taken_out_of_a_history(space: RuleSpace) -> None:
    with opened_context(space.workspace.root) as context:
        doers = find_doers(context, parse_rule(RULE))
        histories = Histories.read(context, doers.rows[:20])
        is_deed = DeedFilter.of(context, doers.rule, histories.vocabulary)
        read = DoerHistories(histories, doers, is_deed, doers.rows, np.zeros(0, np.int64))
        places = np.arange(20)
        kept = read.without_deeds(histories.sequences, places)
        items = np.array(histories.vocabulary.items)[np.asarray(histories.sequences["item"])]
        as_they_are, _ = histories.vectors(places)
        stored = context.representation.gather(histories.rows)
        without, _ = histories.vectors(places, keep=read.without_deeds)
        names = context.representation.layout.aggregates
        column = context.representation.layout.column("category=dog food")
    assert (kept == ~np.char.startswith(items, "d")).all()
    assert np.array_equal(as_they_are, stored), "nothing taken out gives the stored vectors"
    assert "category=dog food" in names
    assert (as_they_are[:, column] > 0).all()
    assert (without[:, column] == 0).all()


def test_deeds_that_are_new_to_the_encoder_are_taken_out_too(space: RuleSpace, tmp_path: Path) -> None:
    shutil.copytree(space.workspace.root, tmp_path / "space")
    ws = la.open(tmp_path / "space")
    redeemers = [f"u{row:05d}" for row in range(0, 800, 8)]
    rows = [f"{user},2024-05-19 12:00:0{place % 10},redeem" for place, user in enumerate(redeemers)]
    (tmp_path / "late.csv").write_text("\n".join(["user_id,ts,event_type", *rows]))
    ws.ingest(tmp_path / "late.csv")
    ws.embed()
    with opened_context(tmp_path / "space") as context:
        doers = find_doers(context, parse_rule("event_type = redeem"))
        read = read_histories(context, Seed(doers.rows, np.zeros(0, np.int64)), doers, doers.rows)
        places = read.histories.places(doers.rows)
        kept = read.without_deeds(read.histories.sequences, np.arange(len(read.histories.rows)))
        without, _ = read.histories.vectors(places, keep=read.without_deeds)
        column = context.representation.layout.column("log_events")
        stored = context.representation.gather(doers.rows)
    assert len(doers.rows) == (~kept).sum() == len(redeemers)
    assert (without[:, column] < stored[:, column]).all()


def test_an_attribute_of_items_with_the_name_of_a_field_of_events_is_never_a_term(
    space: RuleSpace, tmp_path: Path
) -> None:
    shutil.copytree(space.workspace.root, tmp_path / "space")
    with open_in(WorkspaceFolder(tmp_path / "space")) as database:
        database.connection.execute("UPDATE item_attributes SET attribute = 'source'")
    ws = la.open(tmp_path / "space")
    result = ws.expand(seed=space.seed(), size=60, force=True)
    assert result.evaluation.rule is not None
    assert "source" not in result.evaluation.rule.rule


# --- the list and its figures ----------------------------------------------------------------------------------------


def test_nobody_who_has_done_it_is_listed_and_the_report_says_so(ws: la.Workspace, space: RuleSpace) -> None:
    result = ws.expand(seed=space.seed(), size=60)
    rule, forecast = result.evaluation.rule, result.evaluation.forecast
    assert rule is not None
    assert forecast is not None
    assert (rule.rule, rule.stated, rule.seeds) == (RULE, False, 60)
    assert (rule.doers, rule.left_out) == (len(space.doers), len(space.doers) - 60)
    assert result.prospects is not None
    assert not set(result.prospects["user_id"]) & set(space.doers)
    later = space.deeds.group_by("user_id").agg(pl.col("ts").min()).filter(pl.col("ts") >= forecast.cut).height
    assert 0.9 * later <= forecast.later <= later, "all but those who did nothing before"
    html = result.report().html
    assert "60 of 60 seeds have done category = dog food" in html
    assert "people who did it later" in html


def test_slices_and_the_worth_of_the_encoder_are_of_seeds_read_without_their_deeds(
    ws: la.Workspace, space: RuleSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hold-out that tells whether more seeds would help is the one they are told by: nothing is fitted for them."""
    held_out: list[Examples] = []
    once = seed_profile.held_out_once
    for module in (seed_profile, measurement):
        monkeypatch.setattr(module, "held_out_once", lambda *each: held_out.append(each[0]) or once(*each))
    result = ws.expand(seed=space.doers, size=60, force=True)
    assert len(held_out) == 1
    slices, blocks = result.evaluation.slices, result.evaluation.blocks
    assert slices is not None
    assert blocks is not None
    assert slices.measured_on == "hidden_seeds_without_deeds"
    assert blocks.measured == result.evaluation.seed.used == held_out[0].seeds
    now = ws.expand(seed=space.doers, size=60, force=True, as_of_now=True, name="now").evaluation
    assert now.slices is not None
    assert now.blocks is not None
    assert now.slices.measured_on == "hidden_seeds"
    assert now.slices.lift > slices.lift
    assert now.blocks.both.lift.value > blocks.both.lift.value
    assert len(held_out) == 1, "a hold-out of all scorers is at hand"


def test_the_promise_is_far_below_recognition(ws: la.Workspace, space: RuleSpace) -> None:
    honest = ws.expand(seed=space.seed(), size=60, name="honest", force=True)
    recognised = ws.expand(seed=space.seed(), size=60, name="now", as_of_now=True, force=True)
    assert recognised.evaluation.rule is None
    assert recognised.evaluation.forecast is None
    assert recognised.lift.value > 1.5 * honest.lift.value
    assert honest.lift.value > 1.5  # interest and activity do tell


def test_doers_are_listed_if_they_are_asked_for(ws: la.Workspace, space: RuleSpace) -> None:
    result = ws.expand(seed=space.seed(), size=60, include_doers=True, force=True)
    assert result.evaluation.rule is not None
    assert result.evaluation.rule.left_out == 0
    assert result.prospects is not None
    assert set(result.prospects["user_id"]) & set(space.doers)
    assert not set(result.prospects["user_id"]) & set(space.seed())


def test_a_stated_rule_is_used_as_one_that_is_found(ws: la.Workspace, space: RuleSpace) -> None:
    found = ws.expand(seed=space.seed(), size=60, force=True)
    stated = ws.expand(seed=space.seed(), size=60, before=RULE, name="stated", force=True)
    assert stated.evaluation.rule is not None
    assert stated.evaluation.rule.stated
    assert stated.prospects is not None
    assert found.prospects is not None
    assert stated.prospects.equals(found.prospects)


def test_suppressed_doers_stay_suppressed(ws: la.Workspace, space: RuleSpace) -> None:
    suppressed = [user for user in space.doers if user not in space.seed()][:40]
    result = ws.expand(seed=space.seed(), size=60, suppress=suppressed, include_doers=True, force=True)
    assert result.prospects is not None
    assert not set(result.prospects["user_id"]) & set(suppressed)


def test_everybody_who_fulfils_a_rule_can_be_the_seed(ws: la.Workspace, space: RuleSpace) -> None:
    by_rule = ws.expand(seed_rule=RULE, size=60, force=True)
    by_list = ws.expand(seed=space.doers, before=RULE, size=60, name="listed", force=True)
    assert by_rule.name == "category-dog-food"
    assert by_rule.evaluation.seed.matched == len(space.doers)
    assert by_rule.evaluation.rule is not None
    assert by_rule.evaluation.rule.left_out == 0
    assert by_rule.prospects is not None
    assert by_list.prospects is not None
    assert by_rule.prospects.equals(by_list.prospects)


def test_a_definition_may_state_the_rule_of_the_seed(ws: la.Workspace, tmp_path: Path) -> None:
    (tmp_path / "dogs.toml").write_text(f'seed_rule = "{RULE} since 2024-04-01"\nsize = 60\n')
    result = ws.expand(definition=tmp_path / "dogs.toml", force=True)
    assert result.evaluation.rule is not None
    assert result.evaluation.rule.rule == f"{RULE} since 2024-04-01"
    assert result.evaluation.rule.stated


def test_seeds_that_are_read_as_they_are_are_warned_of_what_gives_them_away(ws: la.Workspace, space: RuleSpace) -> None:
    now = ws.expand(seed=space.seed(), size=60, as_of_now=True, force=True)
    assert now.warnings[0] == InCommon(rule=RULE, seed_share=1)
    others = sorted({f"u{row:05d}" for row in range(900)} - set(space.doers))[:15]
    mixed = ws.expand(seed=space.seed() + others, size=60, name="mixed", force=True)
    assert mixed.evaluation.rule is None
    assert mixed.warnings[0] == InCommon(rule=RULE, seed_share=0.8)


def test_doers_are_no_strangers_also_where_they_may_be_listed(space: RuleSpace) -> None:
    seed = IdFrame(pl.DataFrame({"user_id": space.seed()}), "the seed")
    with opened_context(space.workspace.root) as context:
        audience = Audience("a", seed, Size(count=60), include_doers=True)
        reading = read_examples(context, read_seed(context, audience))
        column = context.representation.layout.column("category=dog food")
    assert (reading.examples.background[:, column] == 0).all()


def test_each_part_of_a_split_is_taught_by_its_own_people(space: RuleSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    def halves(examples: Examples, *_: object) -> SubAudiences:
        return SubAudiences((), np.arange(examples.seeds) % 2)

    monkeypatch.setattr(measurement, "find_sub_audiences", halves)
    seed = IdFrame(pl.DataFrame({"user_id": space.doers}), "the seed")
    with opened_context(space.workspace.root) as context:
        audience = Audience("a", seed, Size(count=60))
        parts = split_by_sub_audience(context, audience, read_seed(context, audience))
        readings = [read_examples(context, part) for _, part in parts]
    for (_, part), reading in zip(parts, readings, strict=True):
        assert part.seed.doers is not None
        assert part.seed.doers.rows.tolist() == part.seed.rows.tolist()
        assert reading.examples.teaching == reading.examples.seeds


def test_balance_is_refused_for_seeds_that_are_read_without_their_deeds(ws: la.Workspace, space: RuleSpace) -> None:
    with pytest.raises(SettingsError, match="--balance keeps the shares of seeds as they are"):
        ws.expand(seed=space.seed(), size=60, balance=True)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("colour = red", "no field is called 'colour'"),
        ("category = cat food", "no seed fulfils the rule category = cat food"),
        (f"{RULE} since 2030-01-01", "no seed fulfils the rule"),
        ("category = '; DROP TABLE events; --", "no seed fulfils the rule"),
        ("category =", "column 11: expected a value"),
    ],
)
def test_a_rule_that_names_nothing_is_refused(ws: la.Workspace, space: RuleSpace, rule: str, problem: str) -> None:
    with pytest.raises((SettingsError, ExpansionError)) as raised:
        ws.expand(seed=space.seed(), size=60, before=rule)
    assert problem in raised.value.message


def test_moments_of_the_file_and_a_rule_contradict_each_other(ws: la.Workspace, space: RuleSpace) -> None:
    seed = pl.DataFrame({"user_id": space.seed(), "ts": ["2024-05-01"] * 60})
    with pytest.raises(SettingsError, match="both say when"):
        ws.expand(seed=seed, size=60, before=RULE)


def test_two_seeds_contradict_each_other(ws: la.Workspace, space: RuleSpace, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both say who the seed is"):
        ws.expand(seed=space.seed(), seed_rule=RULE, size=60)
    with pytest.raises(SettingsError, match="and --before too"):
        ws.expand(seed_rule=RULE, before=RULE, size=60)
    (tmp_path / "none.toml").write_text("size = 60\n")
    with pytest.raises(SettingsError, match="give either seed or seed_rule"):
        ws.expand(definition=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("category = cat food", "nobody fulfils the rule category = cat food"),
        ('category = "dog food\' OR 1=1 --"', "nobody fulfils the rule"),
        ("event_type = view or event_type = purchase", "every user is a seed"),
        ("item = " + "x" * 10_000, "is too long"),
    ],
)
def test_a_seed_rule_that_makes_no_seed_is_refused(ws: la.Workspace, rule: str, problem: str) -> None:
    with pytest.raises((SettingsError, ExpansionError)) as raised:
        ws.expand(seed_rule=rule, size=60)
    assert problem in raised.value.message


def test_as_of_now_and_a_rule_contradict_each_other(ws: la.Workspace, space: RuleSpace) -> None:
    with pytest.raises(SettingsError, match="as-of-now"):
        ws.expand(seed=space.seed(), size=60, before=RULE, as_of_now=True)


def test_people_who_have_done_nothing_else_teach_nothing(ws: la.Workspace, space: RuleSpace) -> None:
    everything = "event_type = view or event_type = purchase"
    with pytest.raises(ExpansionError, match=r"have done nothing but|nobody to rank"):
        ws.expand(seed=space.seed(), size=60, before=everything)
