"""Random histories of a workspace: whatever was done before, nobody who must not be listed is in any file of a list.

LOOKALIKE_HISTORIES says how many histories are run; docs/reliability.md has the figures of long runs.
"""

import hashlib
import os
import random
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import lookalike as la
from lookalike.data import id_lists
from lookalike.data.id_spellings import count_ways, plain_form
from lookalike.errors import ExpansionError, SettingsError
from small_log import SETTINGS, USERS, events, user_ids
from spellings import KINDS, spelled

HISTORIES = int(os.environ.get("LOOKALIKE_HISTORIES", "12"))
SPELLINGS = 100_000


def test_any_spelling_of_an_id_is_alike() -> None:
    rng = random.Random(5)
    ids = [KINDS[kind](rng) for kind in rng.choices(list(KINDS), k=SPELLINGS)]
    pairs = pl.DataFrame({"user_id": [spelled(user_id, rng) for user_id in ids], "known": ids})
    other = pairs.filter(plain_form("user_id") != plain_form("known"))
    assert other.rows()[:5] == []
    # hostile spellings, and yet others are nobody's: two ids are alike by chance only
    assert pairs.select(plain_form("known").n_unique()).item() > 0.999 * pairs["known"].n_unique()
    assert set(count_ways(pairs)) > {"as written", "capitals", "leading zeros", "thousands marks"}


# --- through the program ----------------------------------------------------------------------------------------------


@dataclass
class History:
    """A workspace with what was done to it: who must not be listed, by the ids of the log."""

    ws: la.Workspace
    folder: Path
    ids: list[str]
    rng: random.Random
    standing: dict[int, dict[str, str]] = field(default_factory=dict)  # list -> person -> as it is written on the list
    files: dict[int, Path] = field(default_factory=dict)  # of lists that were added
    lists: dict[str, set[str]] = field(default_factory=dict)
    made: int = 0

    def file(self, people: list[str]) -> Path:
        """A list of these people, spelled at random or hashed, in one of three formats."""
        return self.write(self.spelled(people))

    def spelled(self, people: list[str]) -> list[str]:
        if self.rng.random() < 0.2:
            return [hashlib.sha256(user_id.encode()).hexdigest() for user_id in people]
        return [spelled(user_id, self.rng) for user_id in people]

    def write(self, ids: list[str]) -> Path:
        self.made += 1
        frame = pl.DataFrame({"user_id": ids})
        path = self.folder / f"list{self.made}.{self.rng.choice(('csv', 'parquet', 'jsonl'))}"
        writers = {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}
        writers[path.suffix](path)
        return path

    def some(self, low: int, high: int) -> list[str]:
        return self.rng.sample(self.ids, self.rng.randint(low, high))

    def suppress(self) -> None:
        people = self.some(1, 60)
        written = self.spelled(people)
        reason = self.rng.choice(("optout", "customer", "campaign:spring"))
        until = date(2999, 1, 1) if self.rng.random() < 0.3 else None
        file = self.write(written)
        added = self.ws.suppress_add(file, reason=reason, until=until).added
        stored = id_lists.read_ids(file).ids["user_id"]
        self.standing[added.number] = dict(zip(people, stored, strict=True))
        self.files[added.number] = file

    def unsuppress(self) -> None:
        """Takes one list off the standing list, or its ids off all lists, after which they may be added again."""
        if not self.standing:
            return
        number = self.rng.choice(list(self.standing))
        if self.rng.random() < 0.5:
            self.ws.suppress_remove(number)
            del self.standing[number]
            return
        gone = {*self.standing[number].values()}
        self.ws.suppress_remove(self.files[number])
        for each, people in self.standing.items():
            self.standing[each] = {who: text for who, text in people.items() if text not in gone}

    def ingest(self) -> None:
        """New events of known people; their vectors may or may not be brought up to date."""
        self.made += 1
        log = logged(self.ids).sample(200, seed=self.made).with_columns(pl.col("ts").dt.offset_by("1d"))
        log.write_parquet(self.folder / f"log{self.made}.parquet")
        self.ws.ingest(self.folder / f"log{self.made}.parquet")
        if self.rng.random() < 0.5:
            self.ws.embed()

    def expand(self) -> None:
        """One list, or one for each part of the seed; looked through for everybody who must not be on it."""
        seed, out = self.some(40, 90), self.some(1, 60)
        apart = self.rng.sample(list(self.lists), self.rng.randint(0, min(2, len(self.lists))))
        self.made += 1
        if self.rng.random() < 0.25:
            self.check(self.ws.expand_all(self.definition(seed, out), scorer="centroid", force=True), {*seed, *out})
            return
        results = self.ws.expand_all(
            seed=self.file(seed) if self.rng.random() < 0.5 else seed,
            size=self.rng.choice((20, 40, "10%")),
            split=self.rng.random() < 0.2,
            name=f"a{self.made}",
            scorer="centroid",
            suppress=[self.file(out)] if self.rng.random() < 0.7 else [out],
            disjoint_from=apart,
            format=self.rng.choice(("csv", "parquet")),
            reasons=self.rng.random() < 0.3,
            force=True,
        )
        self.check(results, {*seed, *out}.union(*(self.lists[name] for name in apart)))

    def definition(self, seed: list[str], out: list[str]) -> Path:
        path = self.folder / f"d{self.made}.toml"
        path.write_text(f'seed = "{self.file(seed).name}"\nsize = 30\nsuppress = "{self.file(out).name}"\n')
        return path

    def check(self, results: list[la.ExpandResult], barred: set[str]) -> None:
        barred = barred.union(*self.standing.values())
        for result in results:
            listed = people_in(result)
            assert not listed & barred
            if listed:
                self.lists[result.name] = listed


def people_in(result: la.ExpandResult) -> set[str]:
    """Everybody in the files of a list."""
    if result.prospects is None:
        return set()
    listed = set(result.prospects["user_id"])
    if result.reasons is not None:
        assert set(result.reasons["user_id"]) <= listed
    return listed


def logged(ids: list[str]) -> pl.DataFrame:
    return events().with_columns(user_id=pl.col("user_id").replace_strict(dict(zip(user_ids(), ids, strict=True))))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    root = tmp_path_factory.mktemp("history")
    root.joinpath("lookalike.toml").write_text(SETTINGS)
    rng = random.Random(int(os.environ.get("LOOKALIKE_HISTORIES_SEED", "1")))
    ids = [list(KINDS.values())[number % len(KINDS)](rng) for number in range(USERS)]
    logged(ids).write_parquet(root / "log.parquet")
    ws = la.open(root)
    ws.ingest(root / "log.parquet")
    ws.train(encoder="mean", dim=16, epochs=1)
    return History(ws, root, [*logged(ids)["user_id"].unique(maintain_order=True)], rng)


@pytest.mark.slow
def test_nobody_who_must_not_be_listed_is_listed_in_any_history(history: History) -> None:
    steps = {history.expand: 6, history.suppress: 2, history.unsuppress: 1, history.ingest: 1}
    lists = 0
    for _ in range(HISTORIES):
        for step in history.rng.choices(list(steps), list(steps.values()), k=6):
            try:
                step()
            except (ExpansionError, SettingsError):  # too few people are left, or the seed is one audience
                continue
        lists = len(history.lists)
    assert lists > HISTORIES
