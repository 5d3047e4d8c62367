"""Ids of which one side is hashed and the other is not: a list of SHA-256 hashes for a log of plain ids, or the reverse."""

from pathlib import Path

import polars as pl

from lookalike.data.database import Database
from lookalike.data.id_spellings import HASH_PATTERNS

_SAMPLE = 1_000  # users, whose ids show whether the log's are hashes
_MOST = 0.5


def match_hashed(database: Database, ids: pl.DataFrame, users_file: Path) -> pl.DataFrame:
    """The users who are on a list (column `user_id`) if one side is hashed: columns `row`, `user_id` (of the list) and
    `function`, each pair once.

    Every id that looks like a hash is compared with the hashes of the users' ids, as they are written and in small letters;
    where the users' ids are hashes, every other id is hashed.
    """
    users_are = _function_of_users(database, users_file)
    found = [pl.DataFrame(schema={"row": pl.Int64, "user_id": pl.String, "function": pl.String})]
    for function, pattern in HASH_PATTERNS.items():
        is_hash = pl.col("user_id").str.contains(pattern)
        listed = ids.filter(~is_hash if users_are == function else is_hash)
        if len(listed) and users_are in (None, function):
            pairs = _pairs(database, listed, users_file, function, users_are == function)
            found.append(pairs.with_columns(function=pl.lit(function)))
    return pl.concat(found)


def _function_of_users(database: Database, users_file: Path) -> str | None:
    """The function that made most of the users' ids; None if they are no hashes."""
    users = database.frame("SELECT user_id FROM read_parquet([?]) LIMIT ?", str(users_file), _SAMPLE)
    shares = {name: users["user_id"].str.contains(pattern).mean() for name, pattern in HASH_PATTERNS.items()}
    return next((name for name, share in shares.items() if isinstance(share, float) and share > _MOST), None)


def _pairs(database: Database, listed: pl.DataFrame, users_file: Path, function: str, hash_list: bool) -> pl.DataFrame:
    """Rows of users and ids of the list: one of the two is hashed and joined with the other."""
    plain, hashed = ("listed", "u.user_id") if hash_list else ("user_id", "l.listed")
    forms = f"unnest([{function}({plain}), {function}(lower({plain}))]) AS h"
    users, others = "(SELECT row, user_id FROM read_parquet([?]))", "hashed_list"
    both = (
        f"{users} AS u JOIN (SELECT listed, {forms} FROM {others}) AS l"
        if hash_list
        else f"(SELECT row, {forms} FROM {users}) AS u JOIN {others} AS l"
    )
    with database.registered(hashed_list=listed.select(listed="user_id").unique()):
        return database.frame(
            f"SELECT DISTINCT u.row::BIGINT AS row, l.listed AS user_id FROM {both} ON lower({hashed}) = h "
            "ORDER BY row, user_id",
            str(users_file),
        )
