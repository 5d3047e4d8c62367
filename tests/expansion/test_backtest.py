"""The list of an earlier day: it finds who comes next, and nothing from that day on reaches it."""

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

import small_log
from expansion_context import opened_context
from expansion_examples import selection_of
from lookalike.cli.app import main
from lookalike.data.arrays import Floats, Rows
from lookalike.errors import ExpansionError
from lookalike.expansion import backtest
from lookalike.expansion.backtest import PLAIN, earlier_cut, run_backtest
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.examples import Examples, build_examples
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.point_in_time import PointInTime
from lookalike.expansion.result import Backtest
from lookalike.expansion.seed import Seed, to_seconds
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.settings import ExpandSettings
from small_log import FANS, Inputs, fans_with_moments, user_ids

pytest_plugins = ("space_fixtures",)

ONE_REPEAT = ExpandSettings(repeats=1, folds=3)
NOBODY = np.zeros(0, np.int64)
AFTER_THE_LOG = to_seconds(datetime(2031, 3, 1))


def dated_seed(context: ExpansionContext) -> Seed:
    """All fans, each with their moment."""
    match = context.index.match({"seed": fans_with_moments()})["seed"]
    moments = [to_seconds(ts) for ts in match.matched["ts"]]
    return Seed(match.rows, NOBODY, moment=np.array(moments))


def backtest_of(space: Path, *, seed: Seed | None = None, sub_audiences: int = 0, scorer: str = "logistic") -> Backtest:
    with opened_context(space, ONE_REPEAT) as context:
        seed = seed or dated_seed(context)
        examples = build_examples(context, seed)
        if sub_audiences:
            examples = replace(examples, sub_audience=np.arange(examples.seeds) % sub_audiences)
        selection = selection_of(np.full((1, 40), 0.1), 0.2, scorer)
        return run_backtest(PointInTime.of(context), seed, examples, selection)


def test_the_list_of_an_earlier_day_finds_who_comes_next(trained_space: Path) -> None:
    result = backtest_of(trained_space)
    assert result.seeds + result.later + result.newcomers == FANS
    assert result.later >= 20
    assert result.share == 0.2
    lift = result.lifts["logistic"]
    assert lift.lift > 1.5
    assert lift.low <= lift.lift <= lift.high
    assert lift.lift > result.lifts[ACTIVITY].lift
    assert set(result.curves) == set(result.lifts) == {"centroid", "logistic", PLAIN, ACTIVITY}
    assert all(0.2 in [point.share for point in curve] for curve in result.curves.values())


def test_events_from_the_cut_on_are_not_read(
    trained_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantiles: list[Floats] = []
    rank_quantiles = backtest.rank_quantiles

    def recorded(*arguments: object) -> Floats:
        quantiles.append(rank_quantiles(*arguments))
        return quantiles[-1]

    monkeypatch.setattr(backtest, "rank_quantiles", recorded)
    before = backtest_of(trained_space)
    shutil.copytree(trained_space, tmp_path / "space")
    with duckdb.connect(str(WorkspaceFolder(tmp_path / "space").database)) as connection:
        deleted = connection.execute("DELETE FROM events WHERE ts >= ?", [before.cut]).fetchone()
        assert deleted is not None
        assert deleted[0] > 500
    with opened_context(trained_space) as context:
        seed = dated_seed(context)
    after = backtest_of(tmp_path / "space", seed=seed)
    assert after == before
    assert len(quantiles) == 8
    for first, second in zip(quantiles[:4], quantiles[4:], strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("moments", [[5, 1, 9, 3, 7, 2, 8, 6, 4, 10], [1] * 5 + [2] * 5], ids=["all differ", "two"])
def test_the_cut_leaves_the_latest_moments_to_be_found(moments: list[int]) -> None:
    cut = earlier_cut(np.array(moments))
    assert 0 < (np.array(moments) < cut).sum() <= 7
    assert (np.array(moments) >= cut).sum() >= 3


def test_without_a_moment_in_the_log_there_is_no_cut() -> None:
    with pytest.raises(ExpansionError, match="became seeds after the log ends"):
        earlier_cut(np.zeros(0, np.int64))


def test_user_attributes_are_not_read_by_the_leakage_free_baseline(
    tmp_path: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    # attributes are those of today: they tell who became a customer later
    everybody, fans = user_ids(), set(user_ids()[:FANS])
    attributes = {"user_id": everybody, "customer": ["yes" if user in fans else "no" for user in everybody]}
    pl.DataFrame(attributes).write_csv(tmp_path / "users.csv")
    space = tmp_path / "space"
    space.mkdir()
    (space / "lookalike.toml").write_text(small_log.SETTINGS)
    ingest = ("ingest", inputs.log, "--items", inputs.items, "--users", tmp_path / "users.csv")
    for words in (ingest, small_log.TRAIN):
        assert main(["--workspace", str(space), "--quiet", *map(str, words)]) == 0, capsys.readouterr().err
    lifts = backtest_of(space).lifts
    assert lifts["logistic"].lift > 4.5
    assert lifts[PLAIN].lift < 4


def test_later_seeds_are_not_in_the_background_of_the_fit(trained_space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[tuple[Rows, Rows]] = []
    examples_at_moments = backtest.examples_at_moments

    def recorded(past: PointInTime, seed: Seed, examples: Examples, background: Rows) -> tuple[Examples, int]:
        fits.append((seed.rows, background))
        return examples_at_moments(past, seed, examples, background)

    monkeypatch.setattr(backtest, "examples_at_moments", recorded)
    backtest_of(trained_space)
    with opened_context(trained_space) as context:
        seed = dated_seed(context).rows
    ((earlier, background),) = fits
    assert len(background) > 50
    assert not set(background) & (set(seed) - set(earlier))


def test_a_balanced_scorer_is_fitted_on_as_many_sub_audiences(
    trained_space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    cluster = backtest.cluster

    def recorded(sample: np.ndarray, vectors: np.ndarray, count: int, random_seed: int) -> Rows:
        counts.append(count)
        return cluster(sample, vectors, count, random_seed)

    monkeypatch.setattr(backtest, "cluster", recorded)
    assert backtest_of(trained_space, sub_audiences=3).lifts["logistic"].lift > 1
    assert counts == [3]


def test_too_few_seeds_before_or_after_the_cut_are_an_error(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        seed = dated_seed(context)
    at_once = replace(seed, moment=np.full(len(seed.rows), to_seconds(datetime(2024, 3, 1))))
    with pytest.raises(ExpansionError, match=r"0 seeds before 2024-03-01 .* too few for a backtest"):
        backtest_of(trained_space, seed=at_once)
    few = seed.subset(np.arange(len(seed.rows)) < 30)
    with pytest.raises(ExpansionError, match="too few for a backtest") as refused:
        backtest_of(trained_space, seed=few)
    assert "at least 25 before and 10 after" in refused.value.hint
    late = replace(seed, moment=np.full(len(seed.rows), AFTER_THE_LOG))
    with pytest.raises(ExpansionError, match="after the log ends"):
        backtest_of(trained_space, seed=late)


def test_a_seed_without_the_event_is_neither_earlier_nor_later(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        seed = dated_seed(context)
    assert seed.moment is not None
    undated = np.arange(len(seed.rows)) >= 80
    moment = np.where(undated, AFTER_THE_LOG, seed.moment)
    result = backtest_of(trained_space, seed=replace(seed, moment=moment))
    assert result.seeds + result.later + result.newcomers == 80


def test_negative_examples_may_be_in_the_background(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        seed = dated_seed(context)
    others = np.setdiff1d(np.arange(small_log.USERS), seed.rows)
    result = backtest_of(trained_space, seed=replace(seed, negatives=others[:60]))
    assert result.seeds == backtest_of(trained_space).seeds
    assert result.lifts["logistic"].lift > 1
