"""Ids of which one side is hashed and the other is not: a list of SHA-256 hashes for a log of plain ids, or the reverse."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from lookalike.data.database import Database
from lookalike.data.id_spellings import kind_of
from lookalike.data.ingest.sql import parquet

# Kind of ids -> DuckDB's function that makes them.
_FUNCTIONS: Final = {
    "SHA-256 hashes": "sha256",
    "SHA-1 hashes": "sha1",
    "MD5 hashes or UUIDs without dashes": "md5",
}
_SAMPLE = 1_000  # users, whose ids show whether the log's are hashes


@dataclass(frozen=True)
class HashedIds:
    """How a list and the users differ: which side is hashed, and by which function."""

    function: str
    hashed: Literal["list", "users"]


def find_hashing(database: Database, ids: pl.DataFrame, users_file: Path) -> HashedIds | None:
    """Whether either the ids of a list (column `user_id`) or those of the users are hashes; None if both or neither are."""
    users = database.frame(f"SELECT user_id FROM {parquet(users_file)} LIMIT ?", _SAMPLE)
    listed, known = _FUNCTIONS.get(kind_of(ids)), _FUNCTIONS.get(kind_of(users))
    if listed and not known:
        return HashedIds(listed, "list")
    return HashedIds(known, "users") if known and not listed else None


def match_hashed(database: Database, ids: pl.DataFrame, users_file: Path, how: HashedIds) -> pl.DataFrame:
    """The users who are on a list if one side is hashed: columns `row`, `user_id` (of the list), each pair once.

    What is hashed is the id as it is written, and in small letters.
    """
    plain, hashed = ("user_id", "listed") if how.hashed == "list" else ("listed", "user_id")
    with database.registered(hashed_list=ids.select(listed="user_id").unique()):
        return database.frame(
            f"""SELECT DISTINCT u.row::BIGINT AS row, l.listed AS user_id FROM {_either(how, plain, users_file)}
                ON lower({hashed}) = h ORDER BY row, user_id"""
        )


def _either(how: HashedIds, plain: str, users_file: Path) -> str:
    """The two sides to be joined; the one with plain ids also has their hashes (h)."""
    users, listed = f"(SELECT row, user_id FROM {parquet(users_file)})", "hashed_list"
    forms = f"unnest([{how.function}({plain}), {how.function}(lower({plain}))]) AS h"
    if how.hashed == "list":
        return f"(SELECT *, {forms} FROM {users}) AS u JOIN {listed} AS l"
    return f"{users} AS u JOIN (SELECT *, {forms} FROM {listed}) AS l"
