"""The list of an earlier day: it finds who comes next, and nothing from after that day reaches it."""

import json
import shutil
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

import small_log
from lookalike.cli.app import main
from lookalike.data import database
from lookalike.data.database import Cut
from lookalike.embeddings import representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.encoder import runs
from lookalike.expansion import backtest, point_in_time
from lookalike.expansion.examples import build_examples
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.point_in_time import PointInTime
from lookalike.expansion.seed import SeedPeople
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.settings import ExpandSettings
from small_log import FANS, Command, Inputs, events, user_ids

pytest_plugins = ("space_fixtures",)
SETTINGS = ExpandSettings(repeats=1, folds=3)


def fans_with_moments() -> pl.DataFrame:
    """Everybody of the planted taste, each a seed from their fifth event on."""
    fans = user_ids()[:FANS]
    ordered = events().filter(pl.col("user_id").is_in(fans)).sort("user_id", "ts")
    return ordered.group_by("user_id", maintain_order=True).agg(ts=pl.col("ts").get(5)).sort("user_id")


def run_on(space: Path, scratch: Path) -> backtest.Backtest:
    workspace = WorkspaceFolder(space)
    live = representation.live_version(workspace)
    seed = UserIndex(live).match({"fans": fans_with_moments()})["fans"].rows
    by_id = dict(fans_with_moments().rows())
    moment = np.array([point_in_time.to_seconds(by_id[user]) for user in UserIndex(live).ids(seed)])
    people = SeedPeople(seed, np.zeros(0, np.int64), moment=moment)
    cut = Cut(live.manifest.as_of)
    known = build_examples(live, people, SETTINGS)
    scratch.mkdir()
    with database.open_file(workspace.database, read_only=True) as opened:
        past = PointInTime(opened, runs.load_run(workspace, live.manifest.run), live, scratch, cut)
        return backtest.run_backtest(past, people, known, "logistic", SETTINGS)


def test_the_list_of_an_earlier_day_finds_who_comes_next(trained_space: Path, tmp_path: Path) -> None:
    found = run_on(trained_space, tmp_path / "scratch")
    told = backtest.backtest_record(found, "logistic", 0.2, 0.95)
    assert found.seeds + found.quantiles["logistic"].shape[1] + found.newcomers == FANS
    assert found.quantiles["logistic"].shape[1] >= 20
    assert told["lifts"]["logistic"]["lift"] > 1.5  # type: ignore[index]
    assert told["lifts"]["logistic"]["lift"] > told["lifts"][ACTIVITY]["lift"]  # type: ignore[index]
    assert {*told["curves"]} == {"centroid", "logistic", "plain", ACTIVITY}  # type: ignore[misc]


def test_nothing_from_the_cut_on_is_read(trained_space: Path, tmp_path: Path) -> None:
    before = run_on(trained_space, tmp_path / "a")
    space = tmp_path / "space"
    shutil.copytree(trained_space, space)
    with duckdb.connect(str(WorkspaceFolder(space).database)) as connection:
        gone = connection.execute("DELETE FROM events WHERE ts >= ?", [before.cut]).fetchone()
        assert gone is not None
        assert gone[0] > 500
    after = run_on(space, tmp_path / "b")
    assert after.seeds == before.seeds
    for name, quantiles in before.quantiles.items():
        assert np.array_equal(quantiles, after.quantiles[name]), name


def expanded(ready: Command, frame: pl.DataFrame, tmp_path: Path, *words: str) -> dict[str, object]:
    frame.with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S")).write_csv(tmp_path / "dated.csv")
    ran = ready("expand", "--seed", tmp_path / "dated.csv", "--size", "20%", "--force", *words)
    assert ran.code == 0, ran.err
    text = (ready.workspace / "audiences" / "dated" / "evaluation.json").read_text()
    found: dict[str, object] = json.loads(text)
    return found


def test_a_seed_with_moments_is_tested_in_time_and_the_report_says_how(ready: Command, tmp_path: Path) -> None:
    told = expanded(ready, fans_with_moments(), tmp_path)
    assert told["backtest"]["seeds"] >= 25  # type: ignore[index]
    assert ready("report", "dated").code == 0
    page = (ready.workspace / "audiences" / "dated" / "report.html").read_text()
    assert "Would it have found those who came next?" in page
    assert "who became seeds after it" in page


def test_where_too_few_come_later_there_is_none_and_asking_for_it_says_why(ready: Command, tmp_path: Path) -> None:
    alike = fans_with_moments().with_columns(ts=pl.lit(datetime(2024, 3, 1)))  # all at once: nobody came before
    assert expanded(ready, alike, tmp_path)["backtest"] is None
    words = ("expand", "--seed", tmp_path / "dated.csv", "--size", "20%", "--backtest")
    ran = ready(*words)
    assert ran.code == 5
    assert "too few for a backtest" in ran.complaint[0]


def test_a_backtest_needs_moments(ready: Command, inputs: Inputs) -> None:
    message, hint = ready.refused(2, "expand", "--seed", inputs.seed, "--size", "20", "--backtest")
    assert "when people became seeds" in message
    assert "--before" in hint


def test_seeds_that_came_after_the_log_cannot_be_tested(ready: Command, tmp_path: Path) -> None:
    late = fans_with_moments().with_columns(ts=pl.lit(datetime(2031, 3, 1)))
    assert expanded(ready, late, tmp_path)["backtest"] is None
    ran = ready("expand", "--seed", tmp_path / "dated.csv", "--size", "20%", "--backtest")
    assert "after the log ends" in ran.complaint[0]


@pytest.mark.parametrize("moments_of", [[5, 1, 9, 3, 7, 2, 8, 6, 4, 10], [1] * 5 + [2] * 5])
def test_the_cut_leaves_the_last_for_the_test(moments_of: list[int]) -> None:
    moment = np.array(moments_of)
    cut = backtest.cut_of(moment)
    assert 0 < (moment < cut).sum() <= 7
    assert (moment >= cut).sum() >= 3


def test_what_a_table_of_users_says_is_not_read_by_the_plain_figures(
    tmp_path: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    # the table is of today: it says who became a customer later
    everybody, fans = user_ids(), set(user_ids()[:FANS])
    table = {"user_id": everybody, "customer": ["yes" if user in fans else "no" for user in everybody]}
    pl.DataFrame(table).write_csv(tmp_path / "users.csv")
    space = tmp_path / "space"
    space.mkdir()
    (space / "lookalike.toml").write_text(small_log.SETTINGS)
    for words in (("ingest", inputs.log, "--items", inputs.items, "--users", tmp_path / "users.csv"), small_log.TRAIN):
        assert main(["--workspace", str(space), "--quiet", *map(str, words)]) == 0, capsys.readouterr().err
    told = backtest.backtest_record(run_on(space, tmp_path / "scratch"), "logistic", 0.2, 0.95)["lifts"]
    assert told["logistic"]["lift"] > 4.5  # type: ignore[index]
    assert told["plain"]["lift"] < 4  # type: ignore[index]


def test_who_is_looked_for_is_not_fitted_on_as_a_stranger(
    trained_space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowds, examples = [], point_in_time.examples_at_moments
    monkeypatch.setattr(
        point_in_time, "examples_at_moments", lambda *of: crowds.append((of[1].seed, of[4])) or examples(*of)
    )
    run_on(trained_space, tmp_path / "scratch")
    live = representation.live_version(WorkspaceFolder(trained_space))
    seed = UserIndex(live).match({"fans": fans_with_moments()})["fans"].rows
    [(earlier, crowd)] = crowds
    assert len(crowd) > 50
    assert not set(crowd) & (set(seed) - set(earlier))
