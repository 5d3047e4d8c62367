"""Names and contents that meet the program's own: each file is read rightly, or refused in one clear line."""

import json
from pathlib import Path

import pytest

from log_files import ingest, refused, stored_events, stored_rejects, write, write_parquet
from lookalike.data.database import Database, quoted
from lookalike.data.ingest.id_file import read_id_file
from lookalike.data.ingest.staging import RESERVED_NAMES

# Names of columns in the SQL of the readers, and words with a meaning to DuckDB; as many as columns of context are kept.
OWN_NAMES = ("__text", "__cells", "__fault", "rowid", "least", "bad", "k", "cell_0")
MORE_NAMES = (
    "v",
    "t",
    "x",
    "edges",
    "edge",
    "key",
    "place",
    "n",
    "h",
    "j",
    "filename",
    "file_id",
    "columns",
    "%s",
    "{}",
    "a.b",
)
FORMATS = ("csv", "jsonl", "json", "parquet")
USERS = ("ann", "bob", "", "cy")


def table(path: Path, *columns: str) -> Path:
    """Four rows with columns of these names; the third has no user."""
    rows: list[dict[str, str]] = [
        {"user_id": user, "ts": "2024-03-01"} | {column: f"cell {number}" for column in columns}
        for number, user in enumerate(USERS)
    ]
    if path.suffix == ".jsonl":
        return write(path, "\n".join(map(json.dumps, rows)))
    if path.suffix == ".json":
        return write(path, json.dumps(rows))
    if path.suffix == ".csv":
        return write(path, "\n".join(",".join(row) for row in [list(rows[0]), *(list(row.values()) for row in rows)]))
    names = ", ".join(quoted(name) for name in rows[0])
    values = ", ".join(str(tuple(row.values())) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(path.parent.parent / "made.parquet", f"SELECT * FROM (VALUES {values}) AS t({names})")
    return write(path, (path.parent.parent / "made.parquet").read_bytes())


@pytest.mark.parametrize("suffix", FORMATS)
def test_columns_may_have_names_that_the_program_uses(database: Database, tmp_path: Path, suffix: str) -> None:
    path = table(tmp_path / f"a.{suffix}", *OWN_NAMES, *MORE_NAMES)
    result = ingest(
        database, path, context=OWN_NAMES, users=table(tmp_path / f"users.{suffix}", *OWN_NAMES, *MORE_NAMES)
    )
    slots = ", ".join(f"context_{number}" for number in range(1, 9))
    cells = [tuple([f"cell {number}"] * 8) for number in (0, 1, 3)]
    assert stored_events(database, f"user_id, {slots}") == [
        (user, *row) for user, row in zip(("ann", "bob", "cy"), cells, strict=True)
    ]
    assert stored_rejects(database) == [(4 if suffix == "csv" else 3, "empty user_id")] * 2
    assert [report.added for report in result.files] == [3, 3]
    stored = database.rows("SELECT DISTINCT attribute FROM user_attributes")
    assert {name for (name,) in stored} == {*OWN_NAMES, *MORE_NAMES, "ts"}
    assert read_id_file(path).ids["user_id"].to_list() == ["ann", "bob", "cy"]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("column", RESERVED_NAMES)
def test_the_few_names_that_it_needs_are_refused(database: Database, tmp_path: Path, column: str, suffix: str) -> None:
    path = table(tmp_path / f"a.{suffix}", column.upper())
    assert "a name that this program uses itself" in refused(database, path).message


@pytest.mark.parametrize("folder", ["a__line", "user_id=7", "'); DROP"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_folder_may_have_such_a_name(database: Database, tmp_path: Path, folder: str, suffix: str) -> None:
    path = table(tmp_path / folder / f"x__line.{suffix}", "country")
    ingest(database, path)
    assert [user for (user,) in stored_events(database, "user_id")] == ["ann", "bob", "cy"]
    assert stored_rejects(database) == [(4 if suffix == "csv" else 3, "empty user_id")]


def test_a_header_line_may_be_longer_than_what_is_looked_at_first(database: Database, tmp_path: Path) -> None:
    names = ",".join(f"{'column' * 30}{number}" for number in range(1_500))
    cells = "," * 1_499
    path = write(tmp_path / "a.csv", f"{names},user_id,ts\n{cells},ann,2024-03-01\n")
    assert len(names) > 1 << 18
    ingest(database, path)
    assert stored_events(database, "user_id") == [("ann",)]


def test_a_header_line_without_end_is_refused(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "user_id,ts," + "name," * (1 << 20) + "\nann,2024-03-01\n")
    assert "the header line has more than 4 million characters" in refused(database, path).message


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("field", ["user_id", "ts", "value", "item_id"])
def test_numbers_of_any_length_are_read_or_rejected(
    database: Database, tmp_path: Path, field: str, suffix: str
) -> None:
    digits = "9" * 4_400
    rows = [{"user_id": "ann", "ts": "2024-03-01", "value": "1", "item_id": "i"} for _ in range(3)]
    rows[1] |= {field: digits}
    if suffix == "csv":
        text = "\n".join(",".join(row) for row in [list(rows[0]), *(list(row.values()) for row in rows)])
    else:
        lines = [json.dumps(row).replace(f'"{digits}"', digits) for row in rows]
        text = "\n".join(lines) if suffix == "jsonl" else f"[{','.join(lines)}]"
    (report,) = ingest(database, write(tmp_path / f"a.{suffix}", text)).files
    assert report.rows == 3
    assert report.added + report.duplicates + sum(report.rejected.values()) == 3
    assert report.rejected == ({"unreadable time": 1} if field == "ts" else {})


@pytest.mark.parametrize("depth", [900, 5_000, 200_000])
def test_json_of_any_depth_is_read_or_refused(database: Database, tmp_path: Path, depth: int) -> None:
    good = '{"user_id": "ann", "ts": "2024-03-01"}'
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deep = f'{{"user_id": "bob", "ts": "2024-03-01", "x": {opening * depth}1{closing * depth}}}'
        (report,) = ingest(database, write(tmp_path / f"{len(opening)}.jsonl", f"{good}\n{deep}"), again=True).files
        assert report.rows == report.added + report.duplicates + sum(report.rejected.values()) == 2
        path = write(tmp_path / f"{len(opening)}.json", f"[{good},{deep}]")
        (report,) = ingest(database, path).files
        assert report.rows == 2
    for text in ("[" * depth, "[" * depth + "]" * depth, '{"user_id":' * depth):
        refused(database, write(tmp_path / "b.json", text))
        refused(database, write(tmp_path / "b.jsonl", text))
