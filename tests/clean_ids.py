"""Ids as a log has them, for tests that make up ids."""

import duckdb
import polars as pl

from lookalike.data.ingest.id_cells import id_text, is_placeholder


def clean_ids(ids: list[str]) -> list[str]:
    """The ids as they are stored, without those that stand for nobody, in their order."""
    given = pl.DataFrame({"given": ids, "place": range(len(ids))}, {"given": pl.String, "place": pl.Int64}).to_arrow()
    with duckdb.connect() as connection:
        connection.register("ids", given)
        text = id_text("given", "VARCHAR")
        rows = connection.execute(f"SELECT {text} FROM ids WHERE NOT {is_placeholder(text)} ORDER BY place").fetchall()
    return [user_id for (user_id,) in rows]
