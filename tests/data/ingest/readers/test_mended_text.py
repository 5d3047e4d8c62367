"""Copies of texts in which nothing is left that DuckDB would lose."""

from pathlib import Path

import pytest

from log_files import write
from lookalike.data.ingest.readers import mended_text
from lookalike.data.ingest.sources import describe_source

BLOCKS = pytest.mark.parametrize("block", [1, 2, 7, 1 << 20])


@BLOCKS
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"ab\n" + b"x" * 25 + b"\nend", b"ab\n" + b"x" * 20 + b"\xff\nend"),
        (b'ab,"' + b"x" * 25 + b'"\r\nend', b'ab,"' + b"x" * 16 + b'\xff"\r\nend'),
        (b'ab,"' + b"x" * 25 + b'",""\rend', b'ab,"' + b"x" * 16 + b'\xff"\rend'),
        (b"ab\n" + b"x" * 25, b"ab\n" + b"x" * 20 + b"\xff"),
    ],
)
def test_csv_keeps_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, content: bytes, expected: bytes
) -> None:
    monkeypatch.setattr(mended_text, "_BLOCK_SIZE", block)
    copy = mended_text.mended_csv(describe_source(write(tmp_path / "a.csv", content)), 20, tmp_path)
    assert copy.path.read_bytes() == expected


@BLOCKS
def test_json_lines_that_cannot_be_read_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(mended_text, "_BLOCK_SIZE", block)
    lines = [b"short", b"", "zoë".encode(), b"m\xfcller", b"x" * 30, b"\x00pad\x00", b"a\x00b", b"last\xff"]
    expected = [b"short", b"", "zoë".encode(), b"not UTF-8", b"16 MiB or more", b"pad", b"a\x01b", b"not UTF-8"]
    for line_end in (b"\n", b"\r\n", b"\r"):
        source = describe_source(write(tmp_path / "a.jsonl", line_end.join(lines)))
        copy = mended_text.mended_lines(source, 20, tmp_path)
        assert copy.path.read_bytes() == line_end.join(expected)
