"""What every reader guarantees: columns in the order of the file, cells as they are, rows counted, lines numbered."""

import json
from pathlib import Path

import duckdb
import pytest

from lookalike.data.ingest import readers, sources, staging
from lookalike.data.ingest.readers import Reader

ROWS = [("ann", "1", "x,y"), ("bob", "2", None), ("zoë <b>", "3", 'say "hi"')]
NAMES = ("user id", "when's", "sku")


def _csv(path: Path) -> Path:
    quoted = [['"' + (cell or "").replace('"', '""') + '"' for cell in row] for row in [NAMES, *ROWS]]
    path.write_text("\n".join(",".join(row) for row in quoted), encoding="utf-8")
    return path


def _objects() -> list[dict[str, str | None]]:
    return [dict(zip(NAMES, row, strict=True)) for row in ROWS]


def _jsonl(path: Path) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in _objects()))
    return path


def _json(path: Path) -> Path:
    path.write_text(json.dumps(_objects(), indent=1))
    return path


def _parquet(path: Path) -> Path:
    connection = duckdb.connect()
    connection.execute('CREATE TABLE t ("user id" VARCHAR, "when\'s" VARCHAR, sku VARCHAR)')
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
    connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    return path


WRITERS = {
    "csv": ("log.csv", _csv),
    "jsonl": ("log.jsonl", _jsonl),
    "json": ("log.json", _json),
    "parquet": ("log.parquet", _parquet),
}


Opened = tuple[duckdb.DuckDBPyConnection, Reader]


@pytest.fixture(params=sorted(readers.READERS))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    name, write = WRITERS[request.param]
    connection = duckdb.connect()
    source = sources.describe_source(write(tmp_path / name))
    assert source.format == request.param
    return connection, readers.open_reader(connection, source, tmp_path)


def test_columns_are_in_the_order_of_the_file(opened: Opened) -> None:
    _, reader = opened
    assert list(reader.columns) == list(NAMES)
    assert set(reader.columns.values()) == {"VARCHAR"}


def test_the_scan_gives_the_rows_as_they_are(opened: Opened) -> None:
    connection, reader = opened
    assert connection.execute(f"SELECT * FROM {reader.scan}").fetchall() == ROWS


def test_staged_rows_are_counted_and_numbered_also_within_a_transaction(opened: Opened) -> None:
    connection, reader = opened
    connection.execute("BEGIN")
    rows = reader.stage(connection, ["sku", "user id"])
    assert (rows.count, rows.malformed) == (3, 0)
    assert connection.execute(f'SELECT "user id" FROM {rows.scan}').fetchall() == [(row[0],) for row in ROWS]
    lines = connection.execute(f"SELECT {staging.LINE}, sku FROM {rows.numbered} ORDER BY 1").fetchall()
    first = lines[0][0]
    assert first == (2 if reader.source.format == "csv" else 1)
    assert lines == [(first + position, row[2]) for position, row in enumerate(ROWS)]


def test_dropping_what_was_staged_makes_room_for_the_next_file(opened: Opened) -> None:
    connection, reader = opened
    for _ in range(2):
        reader.stage(connection, ["sku"])
        staging.drop_staged(connection)
    assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
