"""A small log with one planted taste, and the commands on it, for the tests of the whole program.

300 users have events in 100 days; the first 90 prefer the items of one family. The seed is 40 of them, so a good list has
the other 50. The order of the user ids is random, so that sorting by id cannot find them.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lookalike.cli.app import main

USERS = 300
FANS = 90
ITEMS = 60
FAMILY = 15  # items 0 to 14 are what the fans like
DAYS = 100
TRAIN = ("train", "--encoder", "mean", "--dim", "16", "--epochs", "1")
SETTINGS = "[train]\ncontent_dim = 8\ngroup_columns = 16\n[expand]\nrepeats = 2\nfolds = 3\n"


def user_ids() -> list[str]:
    order = np.random.default_rng(7).permutation(USERS)
    return [f"u{number:03d}" for number in order]


def events() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    ids = np.array(user_ids())
    count = rng.integers(6, 20, USERS)
    user = np.repeat(np.arange(USERS), count)
    fan = (user < FANS) & (rng.random(len(user)) < 0.6)
    item = np.where(fan, rng.integers(0, FAMILY, len(user)), rng.integers(0, ITEMS, len(user)))
    second = rng.integers(0, DAYS * 86_400, len(user))
    kind = np.where(rng.random(len(user)) < 0.2, "purchase", "view")
    frame = pl.DataFrame({"user_id": ids[user], "second": second, "event_type": kind, "item": item})
    return frame.select(
        "user_id",
        (pl.datetime(2024, 1, 1) + pl.duration(seconds="second")).alias("ts"),
        "event_type",
        ("i" + pl.col("item").cast(pl.String).str.zfill(2)).alias("item_id"),
    )


def fans_with_moments() -> pl.DataFrame:
    """All who share the taste, each a seed from their sixth event on: columns `user_id`, `ts`."""
    ordered = events().filter(pl.col("user_id").is_in(user_ids()[:FANS])).sort("user_id", "ts")
    return ordered.group_by("user_id", maintain_order=True).agg(ts=pl.col("ts").get(5)).sort("user_id")


def items() -> pl.DataFrame:
    numbers = np.arange(ITEMS)
    family = np.where(numbers < FAMILY, "garden", np.where(numbers % 2, "kitchen", "office"))
    titles = [f"{kind} thing {number}" for kind, number in zip(family, numbers, strict=True)]
    return pl.DataFrame({"item_id": [f"i{number:02d}" for number in numbers], "title": titles, "family": family})


def id_file(path: Path, ids: list[str]) -> Path:
    """A CSV with the column user_id."""
    pl.DataFrame({"user_id": ids}, schema={"user_id": pl.String}).write_csv(path)
    return path


@dataclass(frozen=True)
class Inputs:
    """The files a client would send, in one folder."""

    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "events.parquet"

    @property
    def items(self) -> Path:
        return self.folder / "items.csv"

    @property
    def seed(self) -> Path:
        """40 of the 90 users who share a taste."""
        return self.folder / "fans.csv"

    @property
    def others(self) -> Path:
        """38 users who have nothing in common."""
        return self.folder / "others.csv"

    @property
    def suppressed(self) -> Path:
        """20 users who must not be listed: fans, some of them seeds, and others."""
        return self.folder / "suppressed.csv"


def write(folder: Path) -> Inputs:
    folder.mkdir(parents=True, exist_ok=True)
    inputs = Inputs(folder)
    events().write_parquet(inputs.log)
    items().write_csv(inputs.items)
    ids = user_ids()
    id_file(inputs.seed, ids[:40])
    id_file(inputs.others, ids[::8])
    id_file(inputs.suppressed, ids[35:50] + ids[-5:])
    return inputs


@dataclass(frozen=True)
class Ran:
    """What one command returned and printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        assert self.out.endswith("}\n"), (self.out, self.err)
        assert self.out.count("\n") == 1, self.out
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    @property
    def complaint(self) -> tuple[str, str]:
        """Message and hint of the error, the last two lines on stderr."""
        lines = self.err.splitlines()
        assert [line.split(":")[0] for line in lines[-2:]] == ["error", "hint"], self.err
        return lines[-2].removeprefix("error: "), lines[-1].removeprefix("hint: ")


class Command:
    """Runs commands of the program on one workspace, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], workspace: Path) -> None:
        self.capsys = capsys
        self.workspace = workspace

    def __call__(self, *words: object) -> Ran:
        self.capsys.readouterr()
        code = main(["--workspace", str(self.workspace), *map(str, words)])
        output = self.capsys.readouterr()
        return Ran(code, output.out, output.err)

    def refused(self, code: int, *words: object) -> tuple[str, str]:
        """Message and hint of a command that must fail with two lines on stderr, and change nothing on disk."""
        before = snapshot(self.workspace)
        ran = self(*words)
        assert (ran.code, ran.out) == (code, ""), ran
        assert len(ran.err.splitlines()) == 2, ran.err
        assert "Traceback" not in ran.err
        assert snapshot(self.workspace) == before
        return ran.complaint


def snapshot(folder: Path) -> Mapping[str, str]:
    """The hash of every file by its path in the folder. The lock, which contains a process number, is left out."""
    hashes = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base) / name
            if path.name != ".lock":
                hashes[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def trained(folder: Path, inputs: Inputs) -> Path:
    """A workspace with the log and a trained encoder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lookalike.toml").write_text(SETTINGS)
    for words in (("ingest", inputs.log, "--items", inputs.items), TRAIN):
        assert main(["--workspace", str(folder), "--quiet", "--json", *map(str, words)]) == 0
    return folder
