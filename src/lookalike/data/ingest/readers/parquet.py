"""Parquet files, which DuckDB reads in place."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import sql
from lookalike.data.ingest.sources import Source
from lookalike.data.ingest.staging import LINE, StagedRows


@dataclass(frozen=True)
class ParquetFile:
    source: Source
    columns: dict[str, str]
    delimiter: str = ""
    encoding: str = ""

    @property
    def scan(self) -> str:
        return f"read_parquet({sql.path_literal(self.source.path)}, binary_as_string=true, hive_partitioning=false)"

    def stage(self, connection: duckdb.DuckDBPyConnection, names: list[str]) -> StagedRows:
        row = connection.execute(f"SELECT count(*) FROM {self.scan}").fetchone()
        assert row is not None
        columns = ", ".join(quoted(name) for name in names)
        numbered_scan = self.scan[:-1] + ", file_row_number=true)"
        return StagedRows(self.scan, f"(SELECT file_row_number + 1 AS {LINE}, {columns} FROM {numbered_scan})", row[0])


def open_parquet(connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path) -> ParquetFile:
    """The file with its columns. Raises duckdb.Error when it is damaged."""
    file = ParquetFile(source, {})
    columns = connection.execute(f"DESCRIBE SELECT * FROM {file.scan}").fetchall()
    return ParquetFile(source, {row[0]: row[1] for row in columns})
