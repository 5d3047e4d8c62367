"""Logs and seeds as they should not be: an honest verdict or one clear error, and no warning of Python's.

Every test goes through the commands, as a user would. pytest turns a warning of Python's into a failure.
"""

import json
import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lookalike.expansion.result import Evaluation
from planted_log import START, Population, planted
from small_log import SETTINGS, TRAIN, Command, Ran, id_file, user_ids

pytest_plugins = ("space_fixtures",)

USERS = 300
Space = Callable[..., Command]


@pytest.fixture
def space(fresh: Command, tmp_path: Path) -> Space:
    """Trains on events, an items table and a users table; either may be missing."""

    def build(events: pl.DataFrame, items: pl.DataFrame | None = None, users: pl.DataFrame | None = None) -> Command:
        (fresh.workspace / "lookalike.toml").write_text(SETTINGS)
        events.write_parquet(tmp_path / "events.parquet")
        words: list[object] = [tmp_path / "events.parquet"]
        for kind, table in (("items", items), ("users", users)):
            if table is not None:
                table.write_csv(tmp_path / f"{kind}.csv")
                words += [f"--{kind}", tmp_path / f"{kind}.csv"]
        assert all_finite(fresh("--json", "ingest", *words).json)
        return fresh

    return build


def all_finite(value: Any) -> bool:
    """Whether every number of a JSON value is finite."""
    if isinstance(value, dict):
        return all(map(all_finite, value.values()))
    if isinstance(value, list):
        return all(map(all_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def trained(command: Command) -> Ran:
    """Trains; what it said, with all its figures finite."""
    ran = command("--json", *TRAIN)
    assert (ran.code, all_finite(ran.json)) == (0, True), ran.err
    assert command("status").code == 0
    return ran


def expand(command: Command, seed: list[str], *words: object, size: str = "5%") -> tuple[Ran, Evaluation]:
    """Expands, checks figures and report, and gives what was said and measured."""
    file = id_file(command.workspace.parent / "seed.csv", seed)
    ran = command("--json", "expand", "--seed", file, "--size", size, "--name", "a", *words)
    assert ran.code in (0, 5), ran.err
    evaluation = command.workspace / "audiences" / "a" / "evaluation.json"
    assert all_finite(json.loads(evaluation.read_text()))
    assert command("report", "a", "--all").code == 0
    return ran, Evaluation.read(evaluation)


def random_people(ids: list[str], count: int) -> list[str]:
    return [ids[place] for place in np.random.default_rng(4).permutation(len(ids))[:count]]


def refused_at_random(command: Command, ids: list[str], count: int = 60) -> None:
    """Random people are no audience."""
    ran, evaluation = expand(command, random_people(ids, count), size="auto")
    assert ran.code == 5
    assert not evaluation.verdict.expand


def one_event_each(users: int, groups: int = 3) -> Population:
    """Users with one event each, about an item of one of a few groups."""
    rng = np.random.default_rng(3)
    group, items = rng.integers(0, groups, users), 20 * groups
    user_ids = [f"u{row:05d}" for row in range(users)]
    item = rng.integers(0, items // groups, users) * groups + group
    events = pl.DataFrame(
        {
            "user_id": user_ids,
            "ts": [START + timedelta(seconds=int(second)) for second in rng.integers(0, 80 * 86_400, users)],
            "event_type": "view",
            "item_id": [f"i{row:04d}" for row in item],
        }
    )
    catalogue = pl.DataFrame(
        {"item_id": [f"i{row:04d}" for row in range(items)], "category": [f"c{row % groups}" for row in range(items)]}
    )
    return Population(events, catalogue, group, user_ids, np.ones(users, np.int64))


# --- the log ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_items", [True, False])
def test_items_that_are_new_each_day(space: Space, with_items: bool) -> None:
    log = planted(USERS, interests=3, items=15)
    of_day = pl.format("{}-{}", "item_id", pl.col("ts").dt.date())
    events = log.events.with_columns(item_id=of_day)
    items = events.select("item_id", category=pl.col("item_id").str.slice(0, 5)).unique(maintain_order=True)
    command = space(events, items if with_items else None)
    trained(command)
    refused_at_random(command, log.user_ids)


def test_one_event_a_user(space: Space) -> None:
    log = one_event_each(900)
    command = space(log.events, log.items)
    ran = trained(command)
    assert "held-out recall" not in ran.err
    did = log.with_interest(0)[:60]
    ran, evaluation = expand(command, did)
    assert "100% of the seeds have done category = c0, most of them nothing else" in ran.err
    assert "--before" not in ran.err
    assert evaluation.rule is None


def test_parts_of_random_people_are_not_split_off(space: Space) -> None:
    """Everybody belongs to one of three groups, and so do random people: a list for each group finds that group."""
    log = one_event_each(900)
    command = space(log.events, log.items)
    trained(command)
    seed = random_people(log.user_ids, 150)
    ran, evaluation = expand(command, seed)
    assert len(evaluation.seed_profile.sub_audiences) > 1
    assert not evaluation.seed_profile.splitting_reliable
    assert "--split" not in ran.err
    words = ("expand", "--seed", command.workspace.parent / "seed.csv", "--size", "5%", "--split")
    message, _ = command.refused(5, *words)
    assert message.startswith("the seed cannot be told from random people who are as active")
    assert command(*words, "--force").code == 0


def test_one_item_for_nine_in_ten_events(space: Space) -> None:
    log = planted(USERS)
    others = pl.Series(np.random.default_rng(1).random(len(log.events)) < 0.1)
    command = space(
        log.events.with_columns(pl.when(others).then("item_id").otherwise(pl.lit("i0000")).alias("item_id"))
    )
    trained(command)
    refused_at_random(command, log.user_ids)


@pytest.mark.parametrize("span", [timedelta(0), timedelta(hours=1), timedelta(days=1)], ids=str)
def test_a_short_log(space: Space, span: timedelta) -> None:
    log = planted(USERS)
    share = (log.events["ts"] - START).dt.total_seconds() / (80 * 86_400)
    seconds = (share * span.total_seconds()).cast(pl.Int64)
    command = space(log.events.with_columns(ts=pl.lit(START) + pl.duration(seconds=seconds)), log.items)
    trained(command)
    refused_at_random(command, log.user_ids)


def test_a_log_of_a_few_people(space: Space) -> None:
    log = planted(3)
    command = space(log.events, log.items)
    trained(command)
    seed = id_file(command.workspace.parent / "seed.csv", log.user_ids)
    message, _ = command.refused(5, "expand", "--seed", seed, "--size", "auto", "--force")
    assert message.startswith("seed.csv: 3 of 3 ids match a known user")


@pytest.mark.parametrize("columns", [("user_id", "ts"), ("user_id", "ts", "event_type"), ("user_id", "ts", "item_id")])
def test_a_log_without_items_or_without_attributes(space: Space, columns: tuple[str, ...]) -> None:
    log = planted(USERS)
    unused = log.items.with_columns("z" + pl.col("item_id"))  # of which no event is
    command = space(log.events.select(columns), unused)
    trained(command)
    refused_at_random(command, log.user_ids)


def news(people: int, topics: int = 3, days: int = 10) -> Population:
    """Articles of each topic come every two hours and are read for a few; people read mostly about one topic."""
    rng = np.random.default_rng(5)
    interest, activity = rng.integers(0, topics, people), 3 + rng.geometric(0.1, people)
    owner = np.repeat(np.arange(people), activity)
    second = rng.integers(86_400, days * 86_400, len(owner))
    topic = np.where(rng.random(len(owner)) < 0.7, interest[owner], rng.integers(0, topics, len(owner)))
    number = second // 7_200 - rng.geometric(0.6, len(owner))
    user_ids = [f"u{row:05d}" for row in range(people)]
    events = pl.DataFrame(
        {
            "user_id": np.array(user_ids)[owner],
            "ts": [START + timedelta(seconds=int(each)) for each in second],
            "event_type": "click",
            "item_id": [f"a{each}-{of}" for each, of in zip(number, topic, strict=True)],
        }
    )
    articles = events.select("item_id", category=pl.format("topic {}", pl.col("item_id").str.extract(r"-(\d+)")))
    return Population(events, articles.unique(maintain_order=True), interest, user_ids, activity)


def test_news_whose_articles_are_read_for_hours(space: Space) -> None:
    log = news(600)
    command = space(log.events, log.items)
    assert trained(command).json["figures"]["popularity_of_late"]["days"] < 1
    refused_at_random(command, log.user_ids)
    readers = log.events.filter(pl.col("item_id").str.starts_with("a40-") | pl.col("item_id").str.starts_with("a41-"))
    ran, evaluation = expand(command, readers["user_id"].unique(maintain_order=True).to_list())
    assert evaluation.rule is not None or "in_common" in {warning.code for warning in evaluation.warnings}, ran.err
    assert "a40-" in ran.err
    assert "a41-" in ran.err


def robot(user: str, events: int) -> pl.DataFrame:
    """Somebody who looks at everything all day long."""
    rng = np.random.default_rng(list(user.encode()))
    return pl.DataFrame(
        {
            "user_id": user,
            "ts": [START + timedelta(seconds=int(second)) for second in rng.integers(0, 20 * 86_400, events)],
            "event_type": "view",
            "item_id": [f"i{item:04d}" for item in rng.integers(0, 100, events)],
            "value": 0.0,
        }
    )


def test_robots_among_people_and_as_a_seed(space: Space) -> None:
    log, robots = planted(USERS), [f"robot{number}" for number in range(26)]
    events = pl.concat([log.events, *(robot(name, 500) for name in robots)])
    command = space(events, log.items)
    trained(command)
    refused_at_random(command, log.user_ids)
    ran, _ = expand(command, robots)
    assert "26 of 26 seeds have more events a day than 99.9% of all users: most likely bots or staff" in ran.err


def test_a_wide_users_table_says_what_is_not_read(space: Space) -> None:
    log = planted(USERS)
    rng, people = np.random.default_rng(2), [*log.user_ids, *(f"x{number:04d}" for number in range(10 * USERS))]
    columns = {f"c{number:03d}": rng.integers(0, 4, len(people)).astype(str) for number in range(20)}
    rare = {"hobby": rng.integers(0, 9, len(people)).astype(str)}
    command = space(log.events, log.items, pl.DataFrame({"user_id": people} | columns | rare))
    (told,) = [line for line in trained(command).err.splitlines() if line.startswith("warning: of the users table")]
    assert "only the 64 most common values are read: 25 others are not" in told
    assert "hobby" in told or "..." in told
    refused_at_random(command, log.user_ids)
    ran, evaluation = expand(command, people[USERS : USERS + 60])  # they have no events, and nothing in common but that
    assert (ran.code, evaluation.verdict.expand) == (5, False)


# --- the seed --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def everybody() -> list[str]:
    return sorted(user_ids())


def test_nearly_everybody_as_a_seed(ready: Command, everybody: list[str], tmp_path: Path) -> None:
    """The others are too few to tell what is usual, and too few to be told from random people."""
    ran, evaluation = expand(ready, everybody[:290])
    assert (ran.code, evaluation.candidates, evaluation.seed_profile.busy) == (5, 10, 0)
    assert evaluation.rule is None
    assert "not tested against random people who are as active" in ran.err
    words = (
        "expand",
        "--seed",
        id_file(tmp_path / "seed.csv", everybody[:299]),
        "--size",
        "auto",
        "--force",
        "--name",
        "b",
    )
    message, hint = ready.refused(5, *words)
    assert message.startswith("too few people are left to compare the seeds with: 1,")
    assert "smaller seed" in hint
