"""The encoding of a text file, and a copy of it in UTF-8."""

import codecs
import io
import re
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lookalike.data.ingest.sources import Source, open_stream
from lookalike.errors import DataError

UTF_8: Final = "utf-8"
WINDOWS: Final = "cp1252"  # never recognised, only assumed: every file could be in it

_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_BLOCK_SIZE = 1 << 20  # less than the longest line that is read
_MIN_ZERO_SHARE = 0.3  # of every second byte, from which text without a byte order mark is UTF-16
_MIN_UTF8_SHARE = 0.01  # of the bytes beyond ASCII; other encodings make UTF-8 characters by chance, and rarely
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")  # what Python makes of a byte that is no UTF-8


@dataclass(frozen=True)
class Survey:
    """What a whole file read as UTF-8 has that makes it hard to read."""

    other_bytes: int = 0  # that are no UTF-8
    utf8_bytes: int = 0  # of characters beyond ASCII, after the first of each
    has_long_line: bool = False
    has_nul: bool = False

    @property
    def encoding(self) -> str:
        """UTF-8, where only single lines are damaged too; Windows-1252 if there is next to no UTF-8 beside other bytes."""
        return UTF_8 if self.utf8_bytes >= _MIN_UTF8_SHARE * self.other_bytes else WINDOWS


@dataclass(frozen=True)
class Utf8Text:
    """A text file, or its copy in UTF-8."""

    file: Source
    encoding: str  # of the file that was given
    survey: Survey  # of `file`


def as_utf8(source: Source, head: bytes, max_line: int, scratch: Path) -> Utf8Text:
    """The file itself if it is UTF-8, else a copy. Raises DataError when the bytes are not in the encoding they seem to be.

    JSON that is not UTF-16 is UTF-8 (RFC 8259, section 8.1): nothing else is assumed of it.
    """
    encoding = wide_encoding(head)
    if not encoding:
        found = survey(source, max_line)
        if found.encoding == UTF_8 or source.format != "csv":
            return Utf8Text(source, UTF_8, found)
        encoding = found.encoding
    copy = copy_as_utf8(source, encoding, scratch)
    return Utf8Text(copy, encoding, survey(copy, max_line))


def wide_encoding(head: bytes) -> str:
    """utf-16, utf-16-le or utf-16-be by the first bytes of a file; empty for any other encoding."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    if len(head) > 3 and b"\x00" in head:  # in ASCII text as UTF-16 every second byte is 0
        min_zeros = _MIN_ZERO_SHARE * len(head) / 2
        if head[1::2].count(0) > min_zeros and not head[0::2].count(0):
            return "utf-16-le"
        if head[0::2].count(0) > min_zeros and not head[1::2].count(0):
            return "utf-16-be"
    return ""


def decode_head(head: bytes, encoding: str) -> str:
    """The first bytes as text, without a byte order mark and without a character that is cut at the end."""
    return codecs.getincrementaldecoder(encoding)("replace").decode(head).removeprefix("\ufeff")


def survey(source: Source, max_line: int) -> Survey:
    """Reads the whole file once; a line is long from `max_line` bytes on. Raises DataError when it cannot be unpacked."""
    decoder = codecs.getincrementaldecoder(UTF_8)("surrogateescape")
    other_bytes = utf8_bytes = since_line_end = 0
    has_long_line = has_nul = False
    try:
        with open_stream(source) as stream:
            while block := stream.read(_BLOCK_SIZE):
                if not block.isascii() or decoder.getstate()[0]:
                    text = decoder.decode(block)
                    escaped = 0 if text.isascii() else len(_ESCAPED_BYTE.findall(text))
                    other_bytes, utf8_bytes = other_bytes + escaped, utf8_bytes + len(block) - len(text)
                has_nul = has_nul or b"\x00" in block
                line_end = b"\n" if b"\n" in block else b"\r"
                first = block.find(line_end)
                since_line_end += len(block) if first < 0 else first
                has_long_line = has_long_line or since_line_end >= max_line
                if first >= 0:
                    since_line_end = len(block) - 1 - block.rfind(line_end)
    except (OSError, EOFError) as error:
        raise _cannot_be_unpacked(source, error) from error
    cut_off = len(decoder.decode(b"", final=True))
    return Survey(other_bytes + cut_off, utf8_bytes - cut_off, has_long_line, has_nul)


def copy_as_utf8(source: Source, encoding: str, folder: Path) -> Source:
    """A copy of the file in UTF-8 with \\n line ends; what is no UTF-8 in a file of that encoding stays as it is.

    Raises DataError when the bytes are not in that encoding.
    """
    target = new_copy(folder)
    # cp1252 leaves five bytes undefined, Latin-1 none, and they differ in little but the quotes.
    for attempt in (WINDOWS, "latin-1") if encoding == WINDOWS else (encoding,):
        errors = "surrogateescape" if encoding == UTF_8 else "strict"
        try:
            with (
                open_stream(source) as stream,
                open(target, "w", encoding=UTF_8, errors=errors, newline="") as copy,
            ):
                text = io.TextIOWrapper(stream, encoding=attempt, errors=errors)
                while block := text.read(1 << 20):
                    copy.write(block)
            return replace(source, path=target, compression="none")
        except UnicodeError:
            continue
        except (OSError, EOFError) as error:
            raise _cannot_be_unpacked(source, error) from error
    raise DataError(f"{source.name}: the text is not valid {encoding}", "save it as UTF-8")


def new_copy(folder: Path) -> Path:
    """The path of a new file in the folder."""
    return folder / f"{uuid.uuid4().hex}.txt"


def _cannot_be_unpacked(source: Source, error: Exception) -> DataError:
    return DataError(f"{source.name}: cannot be unpacked ({error})", "export the file again")
