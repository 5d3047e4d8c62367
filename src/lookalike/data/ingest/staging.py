"""Rows made ready to be selected from, and the names of the temporary tables they stand in.

Text is parsed once, into a temporary table whose order is the file's; Parquet is read where it lies. The events made from
either wait in a table of their own until their duplicates are out: DuckDB writes rows that were deleted in the transaction
that brought them twice, through its log, and all others of the transaction with them.
"""

import contextlib
from dataclasses import dataclass
from typing import Final

import duckdb

LINE: Final = "__line"


STAGED: Final = "ingest_rows"


EVENTS: Final = "ingest_events"  # the event fields that the file has, in its order


TWINS: Final = "ingest_twins"


KEYED: Final = "ingest_keyed"  # of a table: its rows, each with its key


KEYS: Final = "ingest_keys"


MALFORMED: Final = "ingest_malformed"  # line, reason


REJECT_ERRORS: Final = "ingest_reject_errors"  # filled by DuckDB's CSV reader


REJECT_SCANS: Final = "ingest_reject_scans"


TEMPORARY: Final = (STAGED, EVENTS, TWINS, KEYED, KEYS, MALFORMED, REJECT_ERRORS, REJECT_SCANS)


@dataclass(frozen=True)
class StagedRows:
    """scan: what stands after FROM; numbered: the same with the line as a further column; count: malformed included."""

    scan: str
    numbered: str
    count: int
    malformed: int = 0


# Within a transaction the row ids of a new table do not begin at 0.
RECORD: Final = f"(rowid - (SELECT min(rowid) FROM {STAGED}) + 1)"


def drop_staged(connection: duckdb.DuckDBPyConnection) -> None:
    """Removes what was staged for the last file."""
    for table in TEMPORARY:
        with contextlib.suppress(duckdb.Error):  # of a connection that a fatal error has ended, which is told already
            connection.execute(f"DROP TABLE IF EXISTS {table}")
