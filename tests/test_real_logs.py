"""The four commands on real public logs, with no flag that a new user would not know, and few epochs."""

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


def ids(path: Path) -> set[str]:
    read = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
    return set(read["user_id"].cast(pl.String))


def spoken(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    return ran


def lift(listed: list[str], truth: set[str], candidates: int) -> float:
    """Hits over the hits of a random order."""
    return len(truth.intersection(listed)) / (len(listed) * len(truth) / candidates)


@pytest.mark.parametrize("name", ["online_retail", "complete_journey", "toys"])
def test_four_commands_on_a_real_log(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str) -> None:
    folder = folder_of(name)
    command = Command(capsys, tmp_path / "space")
    tables = [word for kind in ("items", "users") if (folder / f"{kind}.parquet").exists()
              for word in (f"--{kind}", folder / f"{kind}.parquet")]  # fmt: skip
    held = spoken(command("--json", "ingest", folder / "events.parquet", *tables)).json["totals"]
    known = pl.scan_parquet(folder / "events.parquet").select(pl.col("user_id").cast(pl.String).drop_nulls().unique())
    users = set(known.collect()["user_id"])
    assert held["users"] == len(users)
    made = spoken(command("--json", "train", "--encoder", "mean", "--dim", "32", "--epochs", "2")).json
    assert made["users"] == len(users)
    encoder = made["figures"]["encoder"]
    assert 0 < encoder["ndcg@20"] < encoder["recall@20"] < 1
    tasks = [task for task in json.loads((folder / "tasks.json").read_text()) if task["kind"] == "new"]
    task = max(tasks, key=lambda one: (one["seed"], one["max_lift_5"]))["task"]
    seed, truth = ids(folder / "seeds" / f"{task}.csv"), ids(folder / "truth" / f"{task}.parquet")
    excluded = folder / "exclude" / f"{task}.csv"
    suppress = ("--suppress", excluded) if excluded.exists() else ()
    left_out = (ids(excluded) if excluded.exists() else set()) | seed
    seed_file = folder / "seeds" / f"{task}.csv"
    done = spoken(command("--json", "expand", "--seed", seed_file, "--size", "5%", *suppress, "--force")).json
    listed = pl.read_csv(done["prospects"], infer_schema=False)["user_id"].to_list()
    assert done["candidates"] == len(users - left_out)
    assert len(listed) == len(set(listed)) == done["size"] == round(0.05 * done["candidates"])
    assert set(listed) <= users - left_out
    found = lift(listed, truth - left_out, done["candidates"])
    assert found > 1, f"lift {found:.2f} on what happened after the log, {done['lift']:.2f} promised"
    again = spoken(command("--json", "expand", "--seed", seed_file, "--size", "5%", *suppress, "--force")).json
    assert pl.read_csv(again["prospects"], infer_schema=False)["user_id"].to_list() == listed
    page = Path(spoken(command("--json", "report")).json["page"]).read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert not {user for user in listed[:100] if len(user) > 8 and user in page}  # no prospect is named in a report


def test_random_seed_on_a_real_log_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = folder_of("online_retail")
    space = tmp_path / "space"
    for words in (
        ("ingest", folder / "events.parquet"),
        ("train", "--encoder", "mean", "--dim", "16", "--epochs", "1"),
    ):
        assert main(["--workspace", str(space), "--quiet", *map(str, words)]) == 0
    users = pl.read_parquet(next(space.glob("embeddings/v*/users.parquet")))["user_id"].sort()
    codes = []
    for number in range(5):
        seed = tmp_path / f"random-{number}.csv"
        users.sample(200, seed=number).to_frame().write_csv(seed)
        codes.append(Command(capsys, space)("--json", "expand", "--seed", seed, "--size", "5%").code)
    assert codes == [5] * 5
