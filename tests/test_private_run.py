"""A run tells of nobody: no e-mail address, phone number or user of the log is in any byte of its files."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.data import id_encoding, private_values
from lookalike.data.database import Cut, Database
from lookalike.data.sequences import Vocabulary
from lookalike.encoder.results import PersonalItems
from lookalike.reporting.messages import sentence
from small_log import SETTINGS, Command, Inputs, events, items, write

pytest_plugins = ("space_fixtures",)
PERSONAL = ("@mail", "@shop", "mail.example", "+4917", "person-", "secret", "zz-")
CUT = Cut(datetime(2024, 2, 1))
WIDE = "everybody@shop.example"  # that all people have: still an address


def planted(inputs: Inputs) -> tuple[Path, Path, Path]:
    """A log of users `person-…` in which values of few people, addresses and phones are in every column."""
    log = events().with_columns(user_id="person-" + pl.col("user_id"), number=pl.int_range(pl.len()))
    rare = pl.col("number") % 97 == 0
    log = log.with_columns(
        source=pl.when(rare).then("a" + pl.col("number").cast(pl.String) + "@mail.example").otherwise(pl.lit(WIDE)),
        country=pl.when(pl.col("number") < 40).then(pl.lit("zz-few")).otherwise(pl.lit("DE")),
        device=pl.when(rare).then(pl.lit("+491701234567")).otherwise(pl.lit("mobile")),
        event_type=pl.when(pl.col("number") < 40).then(pl.lit("zz-called")).otherwise("event_type"),
        campaign=pl.when(pl.col("number") < 40).then(pl.lit("zz-one")).otherwise(pl.lit("spring")),
        item_id=pl.when(rare).then("profile/" + pl.col("user_id"))
        .when(pl.col("number") % 89 == 0).then(pl.lit("mailto:a@mail.example"))
        .when(pl.col("number") % 83 == 0).then(pl.lit("tel:+491701234567"))
        .when(pl.col("number") < 20).then(pl.format("r{}", pl.col("number") % 2))
        .otherwise("item_id"),
    )  # fmt: skip
    log.drop("number").write_parquet(inputs.log)
    rare = pl.DataFrame({"item_id": ["r0", "r1"], "title": ["secret thing"] * 2, "family": ["secret"] * 2})
    rare_items = pl.concat([items(), rare]).with_columns(
        seller=pl.when(pl.col("item_id") < "i50").then(pl.lit("shop@mail.example")).otherwise(pl.lit("+491701234567")),
    )
    rare_items.write_csv(inputs.items)
    users = log.select("user_id").unique().sort("user_id").with_columns(
        contact=pl.lit("all@mail.example"), plan=pl.lit("pro"), club=pl.lit("zz-") + pl.col("user_id")
    )  # fmt: skip
    users.write_csv(file := inputs.folder / "users.csv")
    return inputs.log, inputs.items, file


def content_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file as it is, and tables also as text: they are compressed."""
    for file in folder.iterdir():
        yield file.name, file.read_bytes()
        if file.suffix == ".parquet":
            yield file.name, str(pl.read_parquet(file).to_dicts()).encode()


def test_no_file_of_a_run_names_anybody(fresh: Command, tmp_path: Path) -> None:
    log, table, users = planted(write(tmp_path / "inputs"))
    (fresh.workspace / "lookalike.toml").write_text(SETTINGS)
    ran = fresh("ingest", log, "--items", table, "--users", users, "--context", "campaign")
    assert ran.code == 0, ran.err
    ran = fresh("train", "--encoder", "mean", "--dim", "16", "--epochs", "1")
    assert ran.code == 0, ran.err
    assert "not learned:" in ran.err
    contents = dict(content_of(fresh.workspace / "runs" / "r000001"))
    assert len(contents) == 8
    for name, content in contents.items():
        assert [word for word in PERSONAL if word.encode() in content] == [], name
    assert b"garden" in contents["vocabulary.json"]
    assert b"spring" in contents["vocabulary.json"]
    assert b"i07" in contents["items.parquet"]


@pytest.mark.parametrize(
    ("item", "named"),
    [
        ("anna@mail.example", True),
        ("https://shop.example/?to=anna@mail.example&x=1", True),
        ("tel:+49 170 1234567", True),
        ("u-4711", True),
        ("page/u-4711/posts", True),
        ("u-47112", False),
        ("4711", False),  # a product is numbered as a customer is
        ("123456789012", True),
        ("00123456789012", False),
        ("a+1", False),
        ("shoe@home", False),
    ],
)
def test_an_item_is_left_out_that_names_somebody(database: Database, item: str, named: bool) -> None:
    for user in ("u-4711", "4711", "123456789012"):
        database.rows(
            "INSERT INTO events (user_id, ts, event_type, item_id, file_id) VALUES (?, '2024-01-01', 'view', ?, 1)",
            user,
            item,
        )
    id_encoding.encode_ids(database, CUT)
    assert id_encoding.item_list(database) == ([] if named else [item])
    assert private_values.count_personal_items(database, CUT) == (named, named)


def meet(database: Database, users: list[str], items: list[str]) -> None:
    """One view of each of the items by each of the users."""
    views = pl.DataFrame({"user_id": users}).join(pl.DataFrame({"item_id": items}), how="cross")
    with database.registered(views=views):
        database.rows(
            "INSERT INTO events (user_id, ts, event_type, item_id, file_id) "
            "SELECT user_id, '2024-01-01', 'view', item_id, 1 FROM views"
        )


@pytest.mark.parametrize(
    ("people", "items", "kept"),
    [
        (25, ["/news/p1", "/news/p2"], True),
        (24, ["/news/p1", "/news/p2"], False),
        (24, [f"/news/p{number}" for number in range(100)], False),
        (3, [f"/news/p{number}" for number in range(101)], True),
        (25, ["news"], True),  # an artist, or an item numbered as a user is
        (24, ["news"], False),
        (25, ["https://shop.example/u4/news"], True),
        (25, ["news?to=anna@mail.example"], False),
    ],
)
def test_what_many_people_or_items_have_names_nobody(
    database: Database, people: int, items: list[str], kept: bool
) -> None:
    meet(database, ["news", *(f"u{number}" for number in range(1, people))], items)
    id_encoding.encode_ids(database, CUT)
    assert sorted(id_encoding.item_list(database)) == (sorted(items) if kept else [])


def test_a_common_part_does_not_hide_a_rare_one(database: Database) -> None:
    meet(database, ["news", *(f"person{number}" for number in range(30))], ["/news/p1", "/news/p2"])
    meet(database, ["news"], ["/news/person7"])
    id_encoding.encode_ids(database, CUT)
    assert id_encoding.item_list(database) == ["/news/p1", "/news/p2"]
    items, share = private_values.count_personal_items(database, CUT)
    assert (items, share) == (1, pytest.approx(1 / 63))


def test_items_that_a_run_names_already_are_known_to_it(database: Database) -> None:
    meet(database, ["news", "anna"], ["/news/p1", "/news/p2"])
    no_attributes = (np.zeros(2, np.int64), np.zeros(0, np.int32))
    known = Vocabulary(["/news/p1"], {}, [], no_attributes, [])
    id_encoding.encode_ids(database, CUT, known)
    assert database.rows("SELECT item_id, n FROM item_rows") == [("/news/p1", 2)]


def test_many_events_without_their_items_are_a_warning() -> None:
    assert sentence(PersonalItems(items=1, share=0.05)).startswith("not learned")
    assert "warning: not learned: 9 items" in sentence(PersonalItems(items=9, share=0.06))
