"""Ids and rows lead to each other, for many lists in one pass."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.data.database import open_file
from lookalike.embeddings import representation, user_index
from lookalike.embeddings.user_index import UserIndex
from lookalike.errors import StateError
from lookalike.workspace.paths import WorkspaceFolder
from stored_vectors import values_of, write


@pytest.fixture
def index(tmp_path: Path) -> UserIndex:
    """The users u0 to u52."""
    workspace = WorkspaceFolder(tmp_path / "space")
    write(workspace, values_of())
    return UserIndex(representation.live_version(workspace))


def ids_of(*ids: str) -> pl.DataFrame:
    return pl.DataFrame({"user_id": ids}, {"user_id": pl.String})


def test_known_users_have_rows_and_others_are_unmatched(index: UserIndex) -> None:
    match = index.match({"seed": ids_of("u40", "stranger", "u3", "u3", "U3", " u3", "stranger")})["seed"]
    assert match.rows.tolist() == [3, 40]
    assert match.rows.dtype == np.int64
    assert sorted(match.unmatched["user_id"]) == [" u3", "U3", "stranger"]
    assert match.unmatched.columns == ["user_id"]


def test_a_line_is_kept_for_each_line_of_the_list(index: UserIndex) -> None:
    ids = ids_of("u40", "u3", "nobody", "u3").with_columns(value=pl.Series([4.0, 1.0, 9.0, 2.0]), ts=pl.int_range(4))
    match = index.match({"seed": ids})["seed"]
    assert match.matched.columns == ["row", "user_id", "value", "ts"]
    assert match.matched.schema["row"] == pl.Int64
    assert match.matched.rows() == [(3, "u3", 1.0, 1), (3, "u3", 2.0, 3), (40, "u40", 4.0, 0)]


def test_many_lists_are_matched_in_one_pass(index: UserIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    scan = pl.scan_parquet
    monkeypatch.setattr(user_index.pl, "scan_parquet", lambda file, **how: passes.append(file) or scan(file, **how))
    matches = index.match(
        {"seed": ids_of("u5", "u1"), "suppress": ids_of("u5", "x").with_columns(note=1), "none": ids_of()}
    )
    assert len(passes) == 1
    assert {name: match.rows.tolist() for name, match in matches.items()} == {
        "seed": [1, 5],
        "suppress": [5],
        "none": [],
    }
    assert matches["suppress"].matched.columns == ["row", "user_id", "note"]
    assert [len(match.unmatched) for match in matches.values()] == [0, 1, 0]


def test_no_lists_are_no_matches(index: UserIndex) -> None:
    assert index.match({}) == {}


def test_ids_come_in_the_order_of_the_rows(index: UserIndex) -> None:
    assert index.ids(np.array([40, 3, 17, 3])).to_list() == ["u40", "u3", "u17", "u3"]
    assert index.ids(np.zeros(0, np.int64)).to_list() == []


def test_users_of_another_version_are_refused(index: UserIndex) -> None:
    file = index.checked_file()
    pl.read_parquet(file).with_columns(pl.col("user_id").reverse()).write_parquet(file)
    with pytest.raises(StateError, match="is not the file that was written with this version"):
        index.match({"seed": ids_of("u1")})


def test_a_missing_file_is_a_state_error(index: UserIndex) -> None:
    index.checked_file().unlink()
    with pytest.raises(StateError, match=r"users\.parquet: damaged or missing"):
        index.ids(np.array([1]))


def test_users_who_could_be_on_a_list_in_another_spelling(index: UserIndex) -> None:
    lists = {"suppress": ids_of("U40", '="u3"', "u5.0", "stranger"), "seed": ids_of("u7"), "none": ids_of()}
    alike = index.spelled(lists)
    assert {name: each.rows.tolist() for name, each in alike.items()} == {
        "suppress": [3, 5, 40],
        "seed": [7],
        "none": [],
    }
    assert [each.ways for each in alike.values()] == [
        {"quotes or brackets": 1, "capitals": 1, "a final .0": 1},
        {"as written": 1},
        {},
    ]
    assert [each.unmatched["user_id"].to_list() for each in alike.values()] == [["stranger"], [], []]
    assert index.spelled({}) == {}


@pytest.mark.parametrize("function", ["sha256", "sha1", "md5"])
def test_users_whose_hashes_are_on_a_list(index: UserIndex, function: str, tmp_path: Path) -> None:
    hashes = [hashlib.new(function, text.encode()).hexdigest() for text in ("u3", "u40", "stranger")]
    with open_file(tmp_path / "lookalike.duckdb") as database:
        alike = index.hashed(database, ids_of(hashes[0].upper(), *hashes[1:]))
        plain = index.hashed(database, ids_of("u3", "stranger"))
    assert alike.rows.tolist() == [3, 40]
    assert alike.ways == {f"hashing ({function})": 2}
    assert alike.unmatched["user_id"].to_list() == [hashes[2]]
    assert (plain.rows.tolist(), plain.ways, len(plain.unmatched)) == ([], {}, 2)
