"""No row disappears: every line of a file is a row, a rejected row with its line, or blank."""

import gzip
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from log_files import ingest, write
from lookalike.data.database import Database
from lookalike.data.ingest import readers, sources
from lookalike.data.ingest.readers import csv, jsonl, mended_text, text_encoding
from lookalike.errors import DataError

LONGEST = 4_096  # bytes of a line: small enough for files that fill DuckDB's buffers, which grow with it

GOOD = ("plain", "umlaut", "padded", "quoted")
BAD = ("other byte", "nul inside", "long", "very long", "other byte in long", "broken")


def cells(kind: str, number: int) -> str:
    """What the second cell holds, before what makes the line a bad one."""
    long = {"long": 1.1, "very long": 20, "other byte in long": 3}
    return "z" * int(LONGEST * long[kind]) if kind in long else "müller" if kind == "umlaut" else f"word{number}"


def csv_line(kind: str, number: int, line_end: str) -> str:
    if kind == "broken":
        return "one cell"
    text = f'"two{line_end}lines ""quoted"""' if kind == "quoted" else cells(kind, number)
    return f"u{number},{text}"


def json_line(kind: str, number: int, line_end: str) -> str:
    return "{broken" if kind == "broken" else f'{{"user_id": "u{number}", "größe": "{cells(kind, number)}"}}'


def damaged(kind: str, line: bytes) -> bytes:
    """The line with what no text has."""
    if kind.startswith("other byte"):
        return line[:-3] + b"\xe9" + line[-3:]
    if kind == "nul inside":
        return line[:-3] + b"\x00" + line[-3:]
    return b"\x00" + line + b"\x00\x00" if kind == "padded" else line


WRITERS = {"csv": ("user_id,größe", csv_line), "jsonl": ('{"user_id": "u", "größe": "groß"}', json_line)}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(sorted(WRITERS)),
    encoding=st.sampled_from(("utf-8", "utf-8", "utf-16-le", "utf-16-be")),
    line_end=st.sampled_from(("\n", "\r\n", "\r")),
    kinds=st.lists(st.sampled_from((*GOOD, *BAD)), min_size=1, max_size=30),
    repeats=st.sampled_from((1, 1, 40)),
    packed=st.booleans(),
)
def test_rows_are_good_rows_and_malformed_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    encoding: str,
    line_end: str,
    kinds: list[str],
    repeats: int,
    packed: bool,
) -> None:
    for module in (csv, jsonl):
        monkeypatch.setattr(module, "_MAX_LINE_SIZE", LONGEST)
        monkeypatch.setattr(module, "_HEAD_SIZE", 300)
    for module in (text_encoding, mended_text):
        monkeypatch.setattr(module, "_BLOCK_SIZE", 300)
    if encoding != "utf-8":  # a byte too many, or a NUL, is a fault of the whole file there
        kinds = [kind for kind in kinds if kind not in ("other byte", "nul inside", "padded", "other byte in long")]
    if suffix == "jsonl":
        kinds = [kind if kind != "quoted" else "plain" for kind in kinds]
    kinds = ["umlaut", *kinds * repeats]
    header, make_line = WRITERS[suffix]
    lines = [header, *(make_line(kind, number, line_end) for number, kind in enumerate(kinds))]
    bytes_of_lines = [line.encode(encoding) for line in lines]
    bytes_of_lines[1:] = [damaged(kind, line) for kind, line in zip(kinds, bytes_of_lines[1:], strict=True)]
    content = line_end.encode(encoding).join(bytes_of_lines)
    path = write(tmp_path / f"a.{suffix}", gzip.compress(content, 1) if packed else content)

    with duckdb.connect() as connection:
        reader = readers.open_reader(connection, sources.describe_source(path), tmp_path)
        rows = reader.stage(connection, list(reader.columns))
        good = connection.execute(f"SELECT count(*) FROM {rows.scan}").fetchone()
        malformed = connection.execute("SELECT line FROM ingest_malformed ORDER BY line").fetchall()

    first_is_a_row = suffix == "jsonl"
    bad = BAD if suffix == "jsonl" else [kind for kind in BAD if kind != "nul inside"]  # a cell may hold a NUL
    expected = [line for line, kind in enumerate(kinds, start=2) if kind in bad]
    assert (rows.count, rows.malformed) == (len(kinds) + first_is_a_row, len(expected))
    assert good == (rows.count - rows.malformed,)
    assert [line for (line,) in malformed] == expected


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_rows_are_added_duplicates_and_rejected_in_a_file_larger_than_every_buffer(
    database: Database, tmp_path: Path, suffix: str
) -> None:
    make = "u{0},2024-01-{1:02},{2}" if suffix == "csv" else '{{"user_id": "u{0}", "ts": "2024-01-{1:02}", "x": "{2}"}}'
    lines = [make.format(number % 1_000, 1 + number % 28, "ü").encode() for number in range(30_000)]
    size = 70 << 20 if suffix == "csv" else 17 << 20
    lines += [b"m\xfcller," + lines[0], make.format("long", 1, "z" * size).encode(), lines[0], lines[1] + b"\x00"]
    lines = [b"user_id,ts,x"] * (suffix == "csv") + lines + lines[:30_000]
    result = ingest(database, write(tmp_path / f"a.{suffix}", b"\n".join(lines)))
    (report,) = result.files
    assert report.rows == len(lines) - (suffix == "csv") == 60_004
    assert report.added == len({(number % 1_000, number % 28) for number in range(30_000)})
    assert sum(report.rejected.values()) == 2
    assert report.added + report.duplicates + 2 == report.rows


@pytest.mark.parametrize("before", ["", "zoë,2024-01-01\n"])
@pytest.mark.parametrize("quoted", ['"bob,2024-01-01\n', 'bob,"2024-01-01\n'])
def test_a_quote_that_swallows_more_than_the_buffer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, quoted: str
) -> None:
    monkeypatch.setattr(csv, "_MAX_LINE_SIZE", LONGEST)
    monkeypatch.setattr(text_encoding, "_BLOCK_SIZE", 300)
    text = "user_id,ts\n" + before + "ann,2024-01-01\n" * 50 + quoted + "eve,2024-01-01\n" * 40_000
    path = write(tmp_path / "a.csv", text)
    with duckdb.connect() as connection:
        reader = readers.open_reader(connection, sources.describe_source(path), tmp_path)
        with pytest.raises(DataError, match="a quote is opened and never closed"):
            reader.stage(connection, list(reader.columns))
