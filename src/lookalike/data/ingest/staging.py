"""Temporary tables that hold the rows of one file until they are stored.

Text is parsed once, into a temporary table in the order of the file; Parquet is read in place. The events made from
either wait in a table of their own until their duplicates are removed: rows that are inserted and deleted in one
transaction go through DuckDB's log twice, and with them all other rows of the transaction.
"""

import contextlib
from dataclasses import dataclass
from typing import Final

import duckdb

LINE: Final = "__line"  # column with the line or row number in the file

RESERVED_NAMES: Final = (LINE, "__key", "__no_time", "file_row_number")  # of columns beside those of a file

STAGED_ROWS: Final = "ingest_rows"
STAGED_EVENTS: Final = "ingest_events"  # the event fields that the file has, in its order
DUPLICATE_HASHES: Final = "ingest_twins"
KEYED_ROWS: Final = "ingest_keyed"  # rows of an items or users table, each with its key
LAST_ROWS: Final = "ingest_keys"  # each key with the line of its last row
MALFORMED: Final = "ingest_malformed"  # line, reason
REJECT_ERRORS: Final = "ingest_reject_errors"  # filled by DuckDB's CSV reader
REJECT_SCANS: Final = "ingest_reject_scans"

_TEMPORARY: Final = (
    STAGED_ROWS,
    STAGED_EVENTS,
    DUPLICATE_HASHES,
    KEYED_ROWS,
    LAST_ROWS,
    MALFORMED,
    REJECT_ERRORS,
    REJECT_SCANS,
)

# The number of a staged row, from 1. Within a transaction the row ids of a new table do not begin at 0.
RECORD: Final = f"(rowid - (SELECT min(rowid) FROM {STAGED_ROWS}) + 1)"


def staged_columns(names: list[str]) -> list[tuple[str, str]]:
    """(column of the staged rows, column of the file): numbered, since a file may have a column `rowid`."""
    return [(f"cell_{position}", name) for position, name in enumerate(names)]


@dataclass(frozen=True)
class StagedRows:
    """The rows of one file, ready to be selected from."""

    scan: str  # what stands after FROM
    numbered: str  # the same with the column __line
    count: int  # malformed lines included
    malformed: int = 0


def drop_staged(connection: duckdb.DuckDBPyConnection) -> None:
    """Drops the temporary tables of the last file."""
    for table in _TEMPORARY:
        with contextlib.suppress(duckdb.Error):  # a connection ended by a fatal error, which is reported already
            connection.execute(f"DROP TABLE IF EXISTS {table}")
