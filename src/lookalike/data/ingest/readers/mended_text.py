"""A copy of a UTF-8 text in which nothing is left that DuckDB would lose without a word.

It skips a line that is longer than its buffer, and of JSON lines those that are not UTF-8 or hold a NUL. What cannot be
mended is left in a form that is rejected and counted.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from lookalike.data.ingest.readers.text_encoding import new_copy
from lookalike.data.ingest.sources import Source, open_stream

NOT_UTF8: Final = b"not UTF-8"
TOO_LONG: Final = b"16 MiB or more"

_BLOCK_SIZE = 1 << 20
_NO_UTF8: Final = b"\xff"  # a byte that no UTF-8 text has
_NO_JSON: Final = b"\x01"  # a byte that no JSON text has


def mended_csv(source: Source, max_line: int, folder: Path) -> Source:
    """The copy of delimited text. A row with more than `max_line` bytes on a line becomes one that is not UTF-8: the line
    is cut there, with as many quotes as tell whether its last cell is closed."""

    def mended(line: bytes, left_out: bytes) -> bytes:
        return line if not left_out else line + _NO_UTF8 + b'"' * (left_out.count(b'"') % 2) + _line_end(left_out)

    return _copy(source, max_line, folder, mended)


def mended_lines(source: Source, max_line: int, folder: Path) -> Source:
    """The copy of JSON lines, with NULs cut from both ends of lines; elsewhere they become what no JSON text has. A line
    that is not UTF-8 or has more than `max_line` bytes becomes one of the two marks."""

    def mended(line: bytes, left_out: bytes) -> bytes:
        if left_out:
            return TOO_LONG + _line_end(left_out)
        end = _line_end(line)
        text = line[: len(line) - len(end)].strip(b"\x00")
        return (text.replace(b"\x00", _NO_JSON) if _is_utf8(text) else NOT_UTF8) + end

    return _copy(source, max_line, folder, mended)


def _copy(source: Source, max_line: int, folder: Path, mended: Callable[[bytes, bytes], bytes]) -> Source:
    target = new_copy(folder)
    with open(target, "wb") as copy:
        for line, left_out in _lines(source, max_line):
            copy.write(mended(line, left_out))
    return replace(source, path=target, compression="none")


def _lines(source: Source, max_line: int) -> Iterator[tuple[bytes, bytes]]:
    """Each line with its line end. Of one with more than `max_line` bytes come the first so many bytes, and of the rest the
    quotes and the line end only."""
    pending, quotes = b"", b""
    with open_stream(source) as stream:
        while block := stream.read(_BLOCK_SIZE):
            *lines, pending = (pending + block).splitlines(keepends=True)
            if pending.endswith(b"\n"):
                lines, pending = [*lines, pending], b""
            for line in lines:
                yield line[:max_line], quotes + _skeleton(line[max_line:])
                quotes = b""
            if len(pending) > max_line:
                quotes += _skeleton(pending[max_line:-1])
                pending = pending[:max_line] + pending[-1:]  # a line end may be cut between its two characters
    if pending:
        yield pending[:max_line], quotes + _skeleton(pending[max_line:])


def _skeleton(text: bytes) -> bytes:
    """The quotes, and the line end; something if there was anything."""
    return b"." * bool(text) + b'"' * (text.count(b'"') % 2) + _line_end(text)


def _line_end(line: bytes) -> bytes:
    return line[len(line.rstrip(b"\r\n")) :]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
