"""The encoding of a text file, and a copy of it in UTF-8."""

import codecs
import io
import uuid
from dataclasses import replace
from pathlib import Path

from lookalike.data.ingest.sources import Source, open_stream
from lookalike.errors import DataError

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_BLOCK_SIZE = 1 << 22
_MIN_ZERO_SHARE = 0.3  # of every second byte, from which text without a byte order mark is UTF-16


def detect_encoding(head: bytes) -> str:
    """utf-8, utf-16, utf-16-le, utf-16-be or cp1252, from the first bytes of a file."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    if len(head) > 3 and b"\x00" in head:  # in ASCII text as UTF-16 every second byte is 0
        min_zeros = _MIN_ZERO_SHARE * len(head) / 2
        if head[1::2].count(0) > min_zeros and not head[0::2].count(0):
            return "utf-16-le"
        if head[0::2].count(0) > min_zeros and not head[1::2].count(0):
            return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # incremental: the last character may be cut
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def decode_head(head: bytes, encoding: str) -> str:
    """The first bytes as text, without a byte order mark and without a character that is cut at the end."""
    return codecs.getincrementaldecoder(encoding)("replace").decode(head).removeprefix("\ufeff")


def copy_as_utf8(source: Source, encoding: str, folder: Path) -> Source:
    """A copy of the file in UTF-8 with \\n line ends. Raises DataError when the bytes are not in that encoding."""
    target = folder / f"{uuid.uuid4().hex}.txt"
    # cp1252 leaves five bytes undefined, Latin-1 none, and they differ in little but the quotes.
    for attempt in ("cp1252", "latin-1") if encoding == "cp1252" else (encoding,):
        try:
            with open_stream(source) as stream, open(target, "w", encoding="utf-8", newline="") as copy:
                text = io.TextIOWrapper(stream, encoding=attempt)
                while block := text.read(1 << 20):
                    copy.write(block)
            return replace(source, path=target, compression="none")
        except UnicodeError:
            continue
        except (OSError, EOFError) as error:
            raise DataError(f"{source.name}: cannot be unpacked ({error})", "export the file again") from error
    raise DataError(f"{source.name}: the text is not valid {encoding}", "save it as UTF-8")


def unreadable_lines(source: Source, max_size: int) -> list[int]:
    """The numbers, from 1, of the lines of a UTF-8 file that DuckDB's reader leaves out without a word: those with other
    bytes than UTF-8, and those of `max_size` bytes or more. Memory is bounded by one block and one line."""
    found: list[int] = []
    before, pending, is_too_long = 0, b"", False  # lines before, and what has been read of the line after them
    with open_stream(source) as stream:
        while block := stream.read(_BLOCK_SIZE):
            whole, newline, rest = block.rpartition(b"\n")
            if newline:
                lines = pending + whole
                found += [before + place for place in _unreadable(lines, max_size, is_too_long)]
                before, pending, is_too_long = before + lines.count(b"\n") + 1, rest, False
            elif not is_too_long:
                pending += rest
            if len(pending) > max_size:  # its end, perhaps gigabytes later, is not needed
                pending, is_too_long = b"", True
    if pending or is_too_long:
        found += [before + place for place in _unreadable(pending, max_size, is_too_long)]
    return found


def _unreadable(lines: bytes, max_size: int, first_is_too_long: bool) -> list[int]:
    """The places, from 1, of the unreadable ones of some lines; of the first one perhaps only the end is there."""
    if not first_is_too_long and len(lines) < max_size and _is_utf8(lines):
        return []
    return [
        place
        for place, line in enumerate(lines.split(b"\n"), 1)
        if (first_is_too_long and place == 1) or len(line.removesuffix(b"\r")) >= max_size or not _is_utf8(line)
    ]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
