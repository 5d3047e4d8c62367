"""The file formats. A reader knows the columns of a file and makes its rows available to SQL.

May import: the sources, staging and SQL modules of ingest.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

import duckdb

from lookalike.data.ingest.readers import csv, jsonl, parquet
from lookalike.data.ingest.sources import Source
from lookalike.data.ingest.staging import RESERVED_NAMES, StagedRows
from lookalike.data.schema import MAX_ID_LENGTH
from lookalike.errors import DataError, without_quotes


class Reader(Protocol):
    """One file that can be read."""

    @property
    def source(self) -> Source: ...

    @property
    def columns(self) -> dict[str, str]:
        """Name -> DuckDB type, in the order of the file."""
        ...

    @property
    def scan(self) -> str:
        """What stands after FROM to look at the first rows. Malformed lines are ignored."""
        ...

    @property
    def delimiter(self) -> str:
        """Between the cells of a line; empty where the format has none."""
        ...

    @property
    def encoding(self) -> str:
        """Of the text, as it is read; empty for Parquet."""
        ...

    def stage(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        """All rows of these columns, with the malformed lines set apart."""
        ...


OpenReader = Callable[[duckdb.DuckDBPyConnection, Source, Path], Reader]

_RENAME: Final = "rename the column"

READERS: Final[dict[str, OpenReader]] = {
    "csv": csv.open_csv,
    "jsonl": jsonl.open_jsonl,
    "json": jsonl.open_jsonl,
    "parquet": parquet.open_parquet,
}


def open_reader(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> Reader:
    """The reader of a file; copies in UTF-8 go to `scratch`. Raises DataError when the file cannot be read."""
    try:
        reader = READERS[source.format](connection, source, scratch)
    except duckdb.Error as error:
        raise unreadable_error(source, error) from error
    if any(len(name) > MAX_ID_LENGTH for name in reader.columns):
        raise DataError(f"{source.name}: has a column whose name has more than 10,000 characters", _RENAME)
    for name in reader.columns:
        if name.lower() in RESERVED_NAMES:
            raise DataError(f"{source.name}: has a column {name}, a name that this program uses itself", _RENAME)
    return reader


@contextlib.contextmanager
def reading_errors(source: Source) -> Iterator[None]:
    """Turns DuckDB's errors about the file into DataError. Those about the disk or the memory pass through."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.FatalException, duckdb.TransactionException, duckdb.InterruptException):
        raise
    except duckdb.Error as error:
        if "No space left" in str(error):
            raise
        raise unreadable_error(source, error) from error


def unreadable_error(source: Source, error: duckdb.Error) -> DataError:
    """The DataError for DuckDB's error about a file."""
    text = without_quotes(str(error).replace(str(source.path.resolve()), source.path.name))
    return DataError(
        f"{source.name}: cannot be read as {source.format} ({text})", "the file is damaged; export it again"
    )
