"""The formats a log may come in. Each reader tells a file's columns and makes its rows ready to be selected from."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import duckdb

from lookalike.data.ingest.readers import csv, jsonl, parquet
from lookalike.data.ingest.sources import Source
from lookalike.data.ingest.staging import StagedRows
from lookalike.errors import DataError


class Reader(Protocol):
    """One readable file."""

    @property
    def source(self) -> Source: ...

    @property
    def columns(self) -> dict[str, str]:
        """Name -> DuckDB type, in the file's order."""
        ...

    @property
    def scan(self) -> str:
        """What stands after FROM to look at the first rows; malformed lines are left out."""
        ...

    @property
    def delimiter(self) -> str:
        """Between the cells of a line; empty where the format has none."""
        ...

    def stage(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        """The rows of these columns, whole, with the malformed lines told apart."""
        ...


Describe = Callable[[duckdb.DuckDBPyConnection, Source, Path], Reader]


READERS: Final[dict[str, Describe]] = {
    "csv": csv.describe_csv,
    "jsonl": jsonl.describe_jsonl,
    "json": jsonl.describe_jsonl,
    "parquet": parquet.describe_parquet,
}


def open_reader(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> Reader:
    """The reader of a file. `scratch` takes copies in UTF-8. Raises DataError when the file is no such file."""
    try:
        return READERS[source.format](connection, source, scratch)
    except duckdb.Error as error:
        raise unreadable_error(source, error) from error


def unreadable_error(source: Source, error: duckdb.Error) -> DataError:
    """DuckDB's complaint about a file in our words."""
    text = str(error).splitlines()[0].replace(str(source.path.resolve()), source.path.name)
    return DataError(
        f"{source.name}: cannot be read as {source.format} ({text})", "the file is damaged; export it again"
    )
