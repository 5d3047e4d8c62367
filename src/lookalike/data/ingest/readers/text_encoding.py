"""Text files before they are tables: which encoding, and the same text as UTF-8 where it is another."""

import codecs
import io
import uuid
from dataclasses import replace
from pathlib import Path

from lookalike.data.ingest.sources import Source, open_stream
from lookalike.errors import DataError

_BOMS = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def detect_encoding(start: bytes) -> str:
    """utf-8, utf-16, utf-16-le, utf-16-be or cp1252, from the first bytes of a file."""
    for mark, name in _BOMS:
        if start.startswith(mark):
            return name
    if len(start) > 3 and b"\x00" in start:  # ASCII text in UTF-16 without a mark: every second byte is 0
        if start[1::2].count(0) > 0.3 * len(start) / 2 and not start[0::2].count(0):
            return "utf-16-le"
        if start[0::2].count(0) > 0.3 * len(start) / 2 and not start[1::2].count(0):
            return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # may end within a character
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def decode_head(start: bytes, name: str) -> str:
    """The first bytes as text without a byte order mark; a character cut at the end is left out."""
    return codecs.getincrementaldecoder(name)("replace").decode(start).removeprefix("\ufeff")


def copy_as_utf8(source: Source, name: str, folder: Path) -> Source:
    """A copy of the file in UTF-8 with \\n line ends. Raises DataError when the bytes are not in that encoding."""
    target = folder / f"{uuid.uuid4().hex}.txt"
    # cp1252 leaves five bytes undefined, Latin-1 none; it reads the rest the same but for quotes.
    for attempt in ("cp1252", "latin-1") if name == "cp1252" else (name,):
        try:
            with open_stream(source) as packed, open(target, "w", encoding="utf-8", newline="") as out:
                text = io.TextIOWrapper(packed, encoding=attempt)
                while block := text.read(1 << 20):
                    out.write(block)
            return replace(source, path=target, compression="none")
        except UnicodeError:
            continue
        except (OSError, EOFError) as error:
            raise DataError(f"{source.name}: cannot be unpacked ({error})", "export the file again") from error
    raise DataError(f"{source.name}: the text is not valid {name}", "save it as UTF-8")
