"""Rows made ready to be selected from, and the names of the temporary tables they stand in.

Text is parsed once, into a temporary table whose order is the file's; Parquet is read where it lies.
"""

from dataclasses import dataclass
from typing import Final

import duckdb

LINE: Final = "__line"
STAGED: Final = "ingest_rows"
MALFORMED: Final = "ingest_malformed"  # line, reason
REJECT_ERRORS: Final = "ingest_reject_errors"  # filled by DuckDB's CSV reader
REJECT_SCANS: Final = "ingest_reject_scans"
TEMPORARY: Final = (STAGED, MALFORMED, REJECT_ERRORS, REJECT_SCANS)


@dataclass(frozen=True)
class Rows:
    """scan: what stands after FROM; numbered: the same with the line as a further column; count: malformed included."""

    scan: str
    numbered: str
    count: int
    malformed: int = 0


# Within a transaction the row ids of a new table do not begin at 0.
RECORD: Final = f"(rowid - (SELECT min(rowid) FROM {STAGED}) + 1)"


def drop(connection: duckdb.DuckDBPyConnection) -> None:
    """Removes what was staged for the last file."""
    for table in TEMPORARY:
        connection.execute(f"DROP TABLE IF EXISTS {table}")
