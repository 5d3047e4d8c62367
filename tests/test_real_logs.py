"""Ingest, train, expand and report on real public logs, with the flags a new user would give, and few epochs."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from lookalike.cli.app import main
from small_log import Command, Ran

TASKS = Path(__file__).resolve().parents[2] / "shared" / "bench" / "tasks"
pytestmark = [pytest.mark.real, pytest.mark.slow]


def folder_of(name: str) -> Path:
    folder = TASKS / name
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder}: the real logs must be there in CI")
        pytest.skip("the benchmark's logs are not here")
    return folder


def ids_in(path: Path) -> set[str]:
    frame = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    return set(frame["user_id"].cast(pl.String))


def prospect_ids(expanded: Ran) -> list[str]:
    """The ids of the list that `expand --json` wrote."""
    ids: list[str] = pl.read_csv(expanded.json["prospects"], infer_schema=False)["user_id"].to_list()
    return ids


def succeeded(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    return ran


def true_lift(listed: list[str], truth: set[str], candidates: int) -> float:
    """Hits on the list over the hits of a random one."""
    return len(truth.intersection(listed)) / (len(listed) * len(truth) / candidates)


@pytest.mark.parametrize("name", ["online_retail", "complete_journey", "toys"])
def test_the_commands_on_a_real_log(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    folder = folder_of(name)
    command = Command(capsys, tmp_path / "space")
    tables = [
        word
        for kind in ("items", "users")
        if (folder / f"{kind}.parquet").exists()
        for word in (f"--{kind}", folder / f"{kind}.parquet")
    ]
    totals = succeeded(command("--json", "ingest", folder / "events.parquet", *tables)).json["totals"]
    user_ids = pl.scan_parquet(folder / "events.parquet").select(
        pl.col("user_id").cast(pl.String).drop_nulls().unique()
    )
    users = set(user_ids.collect()["user_id"])
    assert totals["users"] == len(users)
    trained = succeeded(command("--json", "train", "--encoder", "mean", "--dim", "32", "--epochs", "2")).json
    assert trained["users"] == len(users)
    metrics = trained["figures"]["encoder"]
    assert 0 < metrics["ndcg@20"] < metrics["recall@20"] < 1
    tasks = [task for task in json.loads((folder / "tasks.json").read_text()) if task["kind"] == "new"]
    task = max(tasks, key=lambda task: (task["seed"], task["max_lift_5"]))["task"]
    seed_file, excluded_file = folder / "seeds" / f"{task}.csv", folder / "exclude" / f"{task}.csv"
    seed, truth = ids_in(seed_file), ids_in(folder / "truth" / f"{task}.parquet")
    suppress = ("--suppress", excluded_file) if excluded_file.exists() else ()
    excluded = (ids_in(excluded_file) if suppress else set()) | seed
    expand = ("--json", "expand", "--seed", seed_file, "--size", "5%", *suppress, "--force")
    expanded = succeeded(command(*expand))
    listed, result = prospect_ids(expanded), expanded.json
    assert result["candidates"] == len(users - excluded)
    assert len(listed) == len(set(listed)) == result["size"] == round(0.05 * result["candidates"])
    assert set(listed) <= users - excluded
    lift = true_lift(listed, truth - excluded, result["candidates"])
    assert lift > 1, f"lift {lift:.2f} on what happened after the log, {result['lift']:.2f} when held out"
    assert prospect_ids(succeeded(command(*expand))) == listed
    page = Path(succeeded(command("--json", "report")).json["page"]).read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert not {user for user in listed[:100] if len(user) > 8 and user in page}, "a report names no prospect"


def test_random_seeds_on_a_real_log_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = folder_of("online_retail")
    workspace = tmp_path / "space"
    for words in (
        ("ingest", folder / "events.parquet"),
        ("train", "--encoder", "mean", "--dim", "16", "--epochs", "1"),
    ):
        assert main(["--workspace", str(workspace), "--quiet", *map(str, words)]) == 0
    users = pl.read_parquet(next(workspace.glob("embeddings/v*/users.parquet")))["user_id"].sort()
    codes = []
    for number in range(5):
        seed = tmp_path / f"random-{number}.csv"
        users.sample(200, seed=number).to_frame().write_csv(seed)
        codes.append(Command(capsys, workspace)("--json", "expand", "--seed", seed, "--size", "5%").code)
    assert codes == [5] * 5
