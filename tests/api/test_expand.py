"""The expand verb: what it returns and writes, and what it refuses without a change on the disk."""

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lookalike
from lookalike.api import expand as expand_verb
from lookalike.api.expand import ExpandResult
from lookalike.cli.app import main
from lookalike.errors import DataError, ExpansionError, LookalikeError, SettingsError, StateError
from lookalike.expansion import evaluation, prospects, seed_profile
from lookalike.expansion.manifest import ExpansionManifest
from lookalike.expansion.messages import FewNegatives, ListedElsewhere, NothingToBalance, SeedsWithoutHistory
from lookalike.expansion.result import Evaluation
from lookalike.expansion.summary import ExpandSummary
from lookalike.reporting.messages import is_warning
from lookalike.reporting.verdict_text import leak_caution
from recording_progress import RecordingProgress
from small_log import (
    FANS,
    SETTINGS,
    TRAIN,
    Command,
    Inputs,
    events,
    fans_with_moments,
    id_file,
    items,
    snapshot,
    user_ids,
)

pytest_plugins = ("space_fixtures",)

TWO_TASTES = [*user_ids()[:60], *user_ids()[FANS : FANS + 60]]


@pytest.fixture
def progress() -> RecordingProgress:
    return RecordingProgress()


@pytest.fixture
def workspace(trained_space: Path, tmp_path: Path, progress: RecordingProgress) -> lookalike.Workspace:
    """A trained workspace that is the test's own."""
    shutil.copytree(trained_space, tmp_path / "space")
    return lookalike.open(tmp_path / "space", progress=progress)


@pytest.fixture
def two_sub_audiences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every seed is two sub-audiences: those of so small a log hardly stand apart."""
    monkeypatch.setattr(seed_profile, "MIN_SEPARATION", 0.0)
    monkeypatch.setattr(seed_profile, "MIN_STABILITY", -1.0)
    monkeypatch.setattr(seed_profile, "MAX_SUB_AUDIENCES", 2)


def ids(path: Path) -> list[str]:
    return pl.read_csv(path, schema_overrides={"user_id": pl.String})["user_id"].to_list()


def write(path: Path, users: Sequence[str], **columns: Sequence[object]) -> Path:
    pl.DataFrame({"user_id": users, **columns}, strict=False).write_csv(path)
    return path


def definition(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def listed(result: ExpandResult) -> list[str]:
    """The users on the list, by rank."""
    assert result.prospects is not None
    return result.prospects["user_id"].to_list()


def list_bytes(result: ExpandResult) -> bytes:
    assert result.prospects_file is not None
    return result.prospects_file.read_bytes()


def refused(
    workspace: lookalike.Workspace, kind: type[LookalikeError], definitions: Sequence[Path] = (), **options: object
) -> LookalikeError:
    """The error of an expansion that must fail, without any change on the disk."""
    before = snapshot(workspace.path)
    with pytest.raises(LookalikeError) as failure:
        workspace.expand_all(definitions, **options)
    assert type(failure.value) is kind
    assert snapshot(workspace.path) == before
    return failure.value


# --- what it returns and writes --------------------------------------------------------------------------------------


def test_the_result_is_what_is_stored(workspace: lookalike.Workspace, inputs: Inputs) -> None:
    result = workspace.expand(inputs.seed, "10%", suppress=inputs.suppressed, scorer="logistic")
    folder = workspace.path / "audiences" / "fans"
    assert (result.folder, result.name) == (folder, "fans")
    assert result.evaluation == Evaluation.read(folder / "evaluation.json")
    assert (result.verdict, result.warnings) == (result.evaluation.verdict, result.evaluation.warnings)
    assert result.lift == result.evaluation.held_out.lift_band
    assert result.prospects is not None
    assert result.prospects.columns == ["rank", "user_id", "score", "tier"]
    assert listed(result) == ids(folder / "prospects.csv")
    assert len(listed(result)) == result.evaluation.prospects == result.evaluation.size
    assert not set(listed(result)) & {*ids(inputs.seed), *ids(inputs.suppressed)}
    assert (result.reasons, result.reasons_file) == (None, None)
    assert result.report().evaluation == result.evaluation


def test_the_summary_is_the_main_figures_of_the_evaluation(ready: Command, inputs: Inputs) -> None:
    ran = ready("--json", "expand", "--seed", inputs.seed, "--size", "20")
    assert ran.code == 0, ran.err
    summary, folder = ExpandSummary.model_validate(ran.json), ready.workspace / "audiences" / "fans"
    evaluation = Evaluation.read(folder / "evaluation.json")
    assert summary.checks == evaluation.verdict.checks
    assert (summary.name, summary.scorer, summary.size) == ("fans", evaluation.scorer, 20)
    assert (summary.verdict, summary.up_to) == (evaluation.verdict.decision, evaluation.verdict.up_to)
    assert (summary.lift, summary.lift_low, summary.lift_high) == evaluation.held_out.lift_band
    assert (summary.matched, summary.used, summary.match_rate) == (40, 40, 1.0)
    assert (summary.prospects, summary.reasons) == (str(folder / "prospects.csv"), None)
    assert summary.evaluation == str(folder / "evaluation.json")
    assert summary.backtest is None


def test_a_list_that_was_replaced_since_cannot_be_read(
    workspace: lookalike.Workspace, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "utc_now", lambda: "2026-03-01T00:00:00Z")  # all within one second
    result = workspace.expand(inputs.seed, 20, reasons=True)
    again = workspace.expand(inputs.seed, 20, replace=True)
    assert listed(again) == listed(result), "the same list, written again"
    with pytest.raises(StateError, match="was expanded again since"):
        _ = result.reasons
    workspace.expand(inputs.seed, 21)
    with pytest.raises(StateError, match="was expanded again since"):
        _ = result.prospects


def test_an_untrained_workspace_is_a_state_error(tmp_path: Path, inputs: Inputs) -> None:
    with pytest.raises(StateError, match="no encoder was trained"):
        lookalike.open(tmp_path / "empty").expand(inputs.seed, 20)
    assert not (tmp_path / "empty").exists()


def test_what_fails_a_seed_is_what_the_command_ends_with(ready: Command, inputs: Inputs) -> None:
    ran = ready("--json", "expand", "--seed", inputs.others, "--size", "20")
    assert ran.code == 5
    summary = ExpandSummary.model_validate(ran.json)
    failed = [check for check in summary.checks if check.required and not check.passed]
    assert failed
    assert summary.verdict == "do not expand"
    message, _ = ran.complaint
    assert message.startswith("do not expand: ")
    assert len(message.split("; ")) == len(failed)


# --- values ----------------------------------------------------------------------------------------------------------


def test_equal_values_give_the_same_bytes_as_no_values(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path
) -> None:
    seed = ids(inputs.seed)
    plain = workspace.expand(write(tmp_path / "plain.csv", seed), 20)
    valued = workspace.expand(write(tmp_path / "valued.csv", seed, value=[7] * len(seed)), 20)
    assert list_bytes(plain) == list_bytes(valued)
    assert valued.evaluation.seed.valued
    assert not plain.evaluation.seed.valued


def test_large_values_are_winsorised_and_lower_the_effective_sample_size(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path
) -> None:
    seed = ids(inputs.seed)
    result = workspace.expand(write(tmp_path / "rich.csv", seed, value=[1_000_000, *range(1, len(seed))]), 20)
    assert 20 < result.evaluation.seed.effective < 39
    assert result.evaluation.held_out.value_lift > 1


@pytest.mark.parametrize("value", ["-1", "inf", "nan", "much", ""])
def test_a_value_that_is_no_weight_is_refused_with_its_line(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path, value: str
) -> None:
    seed = ids(inputs.seed)
    file = write(tmp_path / "odd.csv", seed, value=["1", "2", value, *["3"] * (len(seed) - 3)])
    error = refused(workspace, DataError, seed=file, size=20)
    assert "odd.csv: line 4: value " in error.message
    assert "(1 such line)" in error.message
    assert "value" in error.hint


# --- negative examples -----------------------------------------------------------------------------------------------


def test_users_similar_to_negative_examples_rank_lower(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path
) -> None:
    seed, others = ids(inputs.seed), ids(inputs.others)
    mixed = write(tmp_path / "mixed.csv", [*seed, *others[:20]])
    negative = write(tmp_path / "negative.csv", others[20:])
    options = {"seed": mixed, "size": 30, "scorer": "logistic", "force": True}
    plain = workspace.expand(**options, name="plain")
    against = workspace.expand(**options, name="against", negative=negative)
    assert against.evaluation.seed.negatives > 0
    assert listed(plain) != listed(against)
    manifest = ExpansionManifest.read(against.folder / "manifest.json")
    assert [file.name for file in manifest.inputs] == ["mixed.csv", "negative.csv"]


def test_negative_examples_that_match_nobody_are_warned_of(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path, progress: RecordingProgress
) -> None:
    nobody = write(tmp_path / "nobody.csv", ["x1", "x2"])
    result = workspace.expand(inputs.seed, 20, negative=nobody)
    assert FewNegatives(matched=0) in result.warnings
    assert FewNegatives(matched=0) in progress.messages
    refused(workspace, DataError, seed=inputs.seed, size=20, negative=tmp_path / "gone.csv")


def test_negative_examples_may_be_given_with_moments(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path
) -> None:
    """Some negative examples are in the background too, each at a moment of its own."""
    negative = write(tmp_path / "negative.csv", user_ids()[150:200])
    before = workspace.expand(inputs.seed, 20, before="purchase", negative=negative, force=True)
    assert before.evaluation.seed.negatives == 50
    assert len(listed(before)) == 20
    dated = write(tmp_path / "dated.csv", user_ids()[:40], ts=["2024-03-01T12:00:00"] * 40)
    assert len(listed(workspace.expand(dated, 20, negative=negative, force=True))) == 20


# --- features, sub-audiences, other lists ----------------------------------------------------------------------------


def test_a_dropped_feature_takes_the_user_embedding_with_it(workspace: lookalike.Workspace, inputs: Inputs) -> None:
    options = {"seed": inputs.seed, "size": 20}
    result = workspace.expand(**options, drop_features=["log_events"], force=True)
    measured = {figures.name for figures in result.evaluation.scorers}
    assert "logistic" in measured
    assert not measured & {"centroid", "transfer", "neighbours", "ensemble"}
    refused(workspace, SettingsError, **options, drop_features=["log_event"])
    refused(workspace, SettingsError, **options, drop_features=["log_events"], scorer="centroid", force=True)


def test_a_seed_that_is_one_audience_is_not_split(workspace: lookalike.Workspace, inputs: Inputs) -> None:
    error = refused(workspace, ExpansionError, seed=inputs.seed, size=20, split=True)
    assert "one audience" in error.message


@pytest.mark.usefixtures("two_sub_audiences")
def test_each_part_of_a_seed_has_a_list_without_anybody_of_the_seed(
    workspace: lookalike.Workspace, tmp_path: Path
) -> None:
    file = write(tmp_path / "both.csv", TWO_TASTES)
    results = workspace.expand_all(seed=file, size=20, split=True, force=True)
    assert [result.name for result in results] == ["both-1", "both-2"]
    seeds = [result.evaluation.seed for result in results]
    assert [(seed.part, seed.parts) for seed in seeds] == [(1, 2), (2, 2)]
    assert sum(seed.used for seed in seeds) == seeds[0].matched
    for result in results:
        assert not set(listed(result)) & set(TWO_TASTES)
    assert workspace.report("both-1").path == results[0].folder / "report.html"


@pytest.mark.usefixtures("two_sub_audiences")
def test_a_balanced_list_has_the_shares_of_the_seed(workspace: lookalike.Workspace, tmp_path: Path) -> None:
    file = write(tmp_path / "both.csv", TWO_TASTES)
    options = {"seed": file, "size": 40, "scorer": "logistic", "force": True}
    plain, balanced = workspace.expand(**options), workspace.expand(**options, balance=True)

    def largest_difference(result: ExpandResult) -> float:
        assert result.evaluation.prospect_list is not None
        return max(abs(share.list_share - share.seed_share) for share in result.evaluation.prospect_list.shares)

    assert plain.evaluation.prospect_list is not None
    assert sum(share.list_share for share in plain.evaluation.prospect_list.shares) == pytest.approx(1)
    assert largest_difference(balanced) < 0.12
    assert largest_difference(balanced) < largest_difference(plain)
    assert plain.evaluation.seed_profile.gain_of_splitting is not None
    assert (plain.evaluation.balanced, balanced.evaluation.balanced) == (False, True)
    page = " ".join(balanced.report().html.split())
    assert "Of the list" in page
    assert "--balance" not in page, "it is balanced already"
    error = refused(workspace, SettingsError, **options, balance=True, drop_features=["log_events"])
    assert "--balance reads the user embedding" in error.message


def test_one_audience_has_nothing_to_balance(
    workspace: lookalike.Workspace, inputs: Inputs, progress: RecordingProgress
) -> None:
    plain = list_bytes(workspace.expand(inputs.seed, 20))
    balanced = workspace.expand(inputs.seed, 20, balance=True)
    assert NothingToBalance() in balanced.warnings
    assert NothingToBalance() in progress.messages
    assert list_bytes(balanced) == plain


def test_the_first_tier_is_compared_with_the_last(workspace: lookalike.Workspace, inputs: Inputs) -> None:
    (workspace.path / "lookalike.toml").write_text("[expand]\nrepeats = 2\nfolds = 3\ntiers = 2\n")
    result = workspace.expand(inputs.seed, 100)
    assert result.evaluation.prospect_list is not None
    comparison = result.evaluation.prospect_list.between_tiers
    assert comparison is not None
    assert (comparison.audience_users, comparison.base_users) == (50, 50)
    assert [row.label for group in comparison.groups for row in group.rows]
    assert "What the first tier does more than the last" in workspace.report("fans").html
    # tiers of 20 users are too small to compare
    small = workspace.expand(inputs.seed, 40, replace=True).evaluation.prospect_list
    assert small is not None
    assert small.between_tiers is None


def test_a_list_may_be_disjoint_from_another(
    workspace: lookalike.Workspace, inputs: Inputs, progress: RecordingProgress
) -> None:
    options = {"seed": inputs.seed, "size": 30}
    first = workspace.expand(**options, name="first")
    second = workspace.expand(**options, name="second", disjoint_from=["first"], force=True)
    workspace.expand(**options, name="again")
    assert not set(listed(first)) & set(listed(second))
    assert ListedElsewhere(users=30) in second.warnings
    assert second.evaluation.candidates == first.evaluation.candidates - 30
    overlap = workspace.overlap("first", "second", "again")
    assert {(pair.first, pair.second): pair.both for pair in overlap.pairs} == {
        ("first", "second"): 0,
        ("first", "again"): 30,
        ("second", "again"): 0,
    }
    assert [(count.lists, count.people) for count in overlap.by_lists] == [(1, 30), (2, 30), (3, 0)]
    refused(workspace, StateError, **options, name="third", disjoint_from=["gone"])
    with pytest.raises(StateError):
        workspace.overlap("first", "gone")
    with pytest.raises(SettingsError, match="two different audiences"):
        workspace.overlap("first", "first")


def test_the_overlap_is_printed_as_people_and_as_a_share(ready: Command, inputs: Inputs) -> None:
    for name in ("first", "again"):
        assert ready("expand", "--seed", inputs.seed, "--size", "30", "--name", name).code == 0
    assert "30 (100%)" in ready("overlap", "first", "again").out


def test_a_feature_that_defines_the_seed_is_a_caution_beside_the_verdict(ready: Command, tmp_path: Path) -> None:
    purchases = events().filter(pl.col("event_type") == "purchase")["user_id"].value_counts()
    buyers = purchases.sort("count", "user_id", descending=True)["user_id"].to_list()[:40]
    result = lookalike.open(ready.workspace).expand(write(tmp_path / "buyers.csv", buyers), 20, force=True)
    profile = result.evaluation.seed_profile
    assert profile.leaks
    assert profile.lift_without_leaks is not None
    assert "--drop-features" in leak_caution(result.evaluation)
    lines = ready("report", "buyers").out.splitlines()
    assert sum(line.startswith("! ") and "nearly define" in line for line in lines) == 1


# --- definitions -----------------------------------------------------------------------------------------------------


def test_a_definition_may_ask_for_balance_and_explanations(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path
) -> None:
    text = f'seed = "{inputs.seed}"\nsize = 20\nbalance = true\nreasons = true\n'
    result = workspace.expand(definition=definition(tmp_path / "asked.toml", text))
    assert result.reasons_file is not None
    assert result.reasons_file.exists()
    assert result.reasons is not None
    assert result.reasons.columns == ["rank", "user_id", "cluster", "shared"]
    assert NothingToBalance() in result.warnings


def test_a_name_that_was_not_given_does_not_replace_the_list_of_another_seed(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path
) -> None:
    own, another = (
        definition(tmp_path / f"{file}.toml", f'name = "same"\nseed = "{seed}"\nsize = 20\n')
        for file, seed in (("own", inputs.seed), ("another", inputs.others))
    )
    workspace.expand(definition=own)
    error = refused(workspace, SettingsError, [another])
    assert "audiences/same holds the list of another seed" in error.message
    assert "--name" in error.hint
    workspace.expand(definition=own)  # a definition may replace its own list
    assert workspace.expand(definition=another, name="same").name == "same"


def test_every_warning_that_is_said_is_in_the_summary(
    workspace: lookalike.Workspace, progress: RecordingProgress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "write_list", lambda *arguments: 4)  # as if four ids were escaped
    some = id_file(tmp_path / "some.csv", [*user_ids()[:30], *(f"nobody{n}" for n in range(30)), "U030"])
    nobody = id_file(tmp_path / "nobody.csv", ["a", "b"])
    result = workspace.expand(
        some, 20, suppress=nobody, allow_unmatched="100%", negative=nobody, balance=True, force=True
    )
    warnings = [message for message in progress.messages if is_warning(message)]
    assert len(warnings) >= 5
    assert list(result.summary().warnings) == warnings


def test_several_definitions_are_ranked_in_one_pass_and_each_list_is_as_if_made_alone(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    rank = prospects.rank
    monkeypatch.setattr(
        prospects, "rank", lambda live, requests, *more: passes.append(len(requests)) or rank(live, requests, *more)
    )
    seed = f'seed = "{inputs.seed}"\n'
    centroid = f'size = "10%"\nscorer = "centroid"\nsuppress = "{inputs.suppressed}"\n'
    files = [
        definition(tmp_path / "fans.toml", f"{seed}size = 20\n"),
        definition(tmp_path / "stated.toml", seed + centroid),
        definition(tmp_path / "noise.toml", f'seed = "{inputs.others}"\nsize = 20\n'),  # refused by the verdict
    ]
    results = workspace.expand_all(files)
    assert [result.name for result in results] == ["fans", "stated", "noise"]
    assert results[2].prospects_file is None
    assert passes == [2]
    together = [list_bytes(result) for result in results[:2]]
    for file, expected in zip(files, together, strict=False):
        assert list_bytes(workspace.expand(definition=file)) == expected
    assert "--name is for one audience, not for 3" in refused(workspace, SettingsError, files, name="x").message


def test_audiences_of_one_command_have_names_of_their_own_and_do_not_wait_for_each_other(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path
) -> None:
    seed = f'seed = "{inputs.seed}"\nsize = 20\n'
    first = definition(tmp_path / "fans.toml", seed)
    second = definition(tmp_path / "stated.toml", f'{seed}disjoint_from = ["fans"]\n')
    workspace.expand(definition=first)
    error = refused(workspace, SettingsError, [first, second])
    assert "stated is to be kept apart from fans, which is being made in the same command" in error.message
    assert error.hint == "lookalike expand fans.toml first"
    definition(second, f'name = "fans"\n{seed}')
    assert "two audiences are called fans" in refused(workspace, SettingsError, [first, second]).message


# --- explanations ----------------------------------------------------------------------------------------------------


def test_without_the_flag_no_explanations_are_written(workspace: lookalike.Workspace, inputs: Inputs) -> None:
    result = workspace.expand(inputs.seed, 40)
    assert (result.reasons, result.reasons_file, result.summary().reasons) == (None, None, None)
    assert not list(result.folder.glob("reasons*"))


@pytest.mark.slow
def test_no_text_of_the_log_becomes_a_formula(
    tmp_path: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = items().rename({"family": "=HYPERLINK(1)"})
    hostile.with_columns(title="=1+1 " + pl.col("title")).write_csv(tmp_path / "items.csv")
    space = tmp_path / "space"
    space.mkdir()
    (space / "lookalike.toml").write_text(SETTINGS)
    for words in (
        ("ingest", inputs.log, "--items", tmp_path / "items.csv"),
        TRAIN,
        ("expand", "--seed", inputs.seed, "--size", "40", "--reasons"),
    ):
        assert main(["--workspace", str(space), "--quiet", *map(str, words)]) == 0, capsys.readouterr().err
    lines = (space / "audiences" / "fans" / "reasons.csv").read_text().splitlines()[1:]
    shared = [line.split(",", 3)[3].strip('"') for line in lines]
    assert any("HYPERLINK" in text or "=1+1" in text for text in shared)
    assert not [text for text in shared if text.startswith(("=", "+", "-", "@"))]


# --- seeds with moments ----------------------------------------------------------------------------------------------


def dated(path: Path, frame: pl.DataFrame) -> Path:
    frame.with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S")).write_csv(path)
    return path


def test_a_seed_with_moments_is_expanded_as_it_was(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path
) -> None:
    seed = ids(inputs.seed)
    file = write(tmp_path / "then.csv", seed, ts=["2024-03-01T12:00:00"] * len(seed))
    then = workspace.expand(file, 20, force=True)
    now = workspace.expand(inputs.seed, 20)
    assert then.evaluation.seed.point_in_time
    assert not now.evaluation.seed.point_in_time
    assert then.evaluation.seed_profile.median_events < now.evaluation.seed_profile.median_events
    assert not set(listed(then)) & set(seed)


def test_before_an_event_type_events_from_the_first_of_it_on_are_not_read(
    workspace: lookalike.Workspace, inputs: Inputs
) -> None:
    options = {"seed": inputs.seed, "size": 20, "force": True}
    evaluation = workspace.expand(**options, before="purchase").evaluation
    assert evaluation.seed.point_in_time
    assert not any("purchase" in leak.column for leak in evaluation.seed_profile.leaks)
    error = refused(workspace, SettingsError, **options, before="buy")
    assert "buy" in error.message
    assert "purchase" in error.hint


def test_seeds_without_history_are_warned_of_and_too_many_are_an_error(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path, progress: RecordingProgress
) -> None:
    seed = ids(inputs.seed)
    late = ["2023-01-01"] * 3 + ["2024-03-20"] * (len(seed) - 3)
    result = workspace.expand(write(tmp_path / "late.csv", seed, ts=late), 20, force=True)
    assert SeedsWithoutHistory(seeds=3) in result.warnings
    assert SeedsWithoutHistory(seeds=3) in progress.messages
    assert result.evaluation.seed.used == len(seed) - 3
    never = write(tmp_path / "never.csv", seed, ts=["2023-01-01"] * len(seed))
    assert "only 0 seeds and " in refused(workspace, ExpansionError, seed=never, size=20).message


def test_a_moment_that_is_no_time_is_refused_with_its_line(
    workspace: lookalike.Workspace, inputs: Inputs, tmp_path: Path
) -> None:
    seed = ids(inputs.seed)
    times = ["2024-03-01", "soon", *["2024-03-01"] * (len(seed) - 2)]
    error = refused(workspace, DataError, seed=write(tmp_path / "odd.csv", seed, ts=times), size=20)
    assert "line 3: ts is text, not a time" in error.message


def test_random_buyers_are_no_audience_before_they_bought(workspace: lookalike.Workspace, tmp_path: Path) -> None:
    """The moment of a purchase differs from other moments; that must not count as similarity."""
    buyers = events().filter(pl.col("event_type") == "purchase")["user_id"].unique().sort()
    lifts = []
    for run in range(3):
        file = write(tmp_path / f"b{run}.csv", buyers.sample(80, seed=run).to_list())
        lifts.append(workspace.expand(file, "10%", before="purchase", force=True).lift.value)
    assert np.mean(lifts) < 1.6


# --- the backtest ----------------------------------------------------------------------------------------------------


def test_a_seed_with_moments_is_backtested_and_the_report_shows_it(
    workspace: lookalike.Workspace, tmp_path: Path
) -> None:
    result = workspace.expand(dated(tmp_path / "dated.csv", fans_with_moments()), "20%", force=True)
    backtest = result.evaluation.backtest
    assert backtest is not None
    assert backtest.seeds >= 25
    summary = result.summary().backtest
    assert summary is not None
    own, plain = backtest.lifts[result.evaluation.scorer], backtest.lifts["plain"]
    assert (summary.cut, summary.plain_lift) == (backtest.cut, plain.lift)
    assert (summary.lift, summary.low, summary.high) == (own.lift, own.low, own.high)
    page = workspace.report("dated").html
    assert "Would it have found those who came next?" in page
    assert "who became seeds later" in page


@pytest.mark.parametrize(
    ("moment", "reason"),
    [(datetime(2024, 3, 1), "too few for a backtest"), (datetime(2031, 3, 1), "after the log ends")],
    ids=["all at once", "after the log"],
)
def test_without_a_backtest_a_list_is_made_unless_it_was_insisted_on(
    workspace: lookalike.Workspace, tmp_path: Path, moment: datetime, reason: str
) -> None:
    file = dated(tmp_path / "dated.csv", fans_with_moments().with_columns(ts=pl.lit(moment)))
    assert workspace.expand(file, "20%", force=True).evaluation.backtest is None
    error = refused(workspace, ExpansionError, seed=file, size="20%", backtest=True)
    assert reason in error.message
    assert error.exit_code == 5


def test_a_backtest_needs_moments(workspace: lookalike.Workspace, inputs: Inputs) -> None:
    error = refused(workspace, SettingsError, seed=inputs.seed, size=20, backtest=True)
    assert "when people became seeds" in error.message
    assert "--before" in error.hint


# --- locks and threads -----------------------------------------------------------------------------------------------


def test_a_workspace_in_use_is_a_state_error(workspace: lookalike.Workspace, inputs: Inputs) -> None:
    with workspace.folder.locked(), pytest.raises(StateError, match="is working on this workspace"):
        workspace.expand(inputs.seed, 20)


def test_an_interrupt_leaves_no_temporary_file(
    workspace: lookalike.Workspace, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    before = snapshot(workspace.path)
    monkeypatch.setattr(expand_verb, "rank_prospects", interrupt)
    with pytest.raises(KeyboardInterrupt):
        workspace.expand(inputs.seed, 20)
    assert snapshot(workspace.path) == before


def test_switches_of_a_definition_hold_unless_a_flag_replaces_them(ready: Command, inputs: Inputs) -> None:
    definition = inputs.folder / "explained.toml"
    definition.write_text('seed = "fans.csv"\nsize = 40\nscorer = "centroid"\nreasons = true\nbalance = true\n')
    ran = ready("expand", definition, "--force")
    assert ran.code == 0, ran.err
    assert (ready.workspace / "audiences" / "explained" / "reasons.csv").exists()
    assert "nothing to balance" in ran.err
