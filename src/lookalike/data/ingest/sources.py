"""Which files were asked for, and in which format each is. Nothing is read but the first bytes of each file."""

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

import pyarrow as pa

from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.results import FileKind
from lookalike.errors import DataError

KNOWN_FORMATS: Final = "CSV, TSV, JSON lines (plain, .gz, .zst) and Parquet"

_TEXT_FORMATS: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_COMPRESSED_SUFFIXES: Final = (".gz", ".zst")
_PARQUET_SUFFIXES: Final = (".parquet", ".pq")
_COMPRESSIONS: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # by the first bytes of a file
_UNREADABLE_NAME: Final = re.compile(r"[\\\udc80-\udcff]")  # DuckDB takes a backslash for a slash
_BUFFER_SIZE: Final = 1 << 20


@dataclass(frozen=True)
class Source:
    """One file: its path, format and compression."""

    path: Path
    format: str  # a key of readers.READERS
    compression: str  # none, gzip or zstd

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def size(self) -> int:
        return self.path.stat().st_size


class InputFile(NamedTuple):
    """A file with what it holds."""

    source: Source
    kind: FileKind


def find_input_files(paths: list[Path], options: IngestOptions) -> list[InputFile]:
    """The event files in the order of their names, then the tables of items and users.

    Raises DataError when a file is missing, empty or in a format that cannot be read.
    """
    tables: list[InputFile] = []
    if options.items:
        tables.append(InputFile(describe_source(options.items), "items"))
    if options.users:
        tables.append(InputFile(describe_source(options.users), "users"))
    table_paths = {table.source.path.resolve() for table in tables}
    events = [source for source in expand_paths(paths) if source.path.resolve() not in table_paths]
    files = [InputFile(source, "events") for source in events] + tables
    if not files:
        raise DataError("no file was given", f"known are {KNOWN_FORMATS}")
    return files


def expand_paths(paths: list[Path]) -> list[Source]:
    """The files that the paths name, sorted, each once. Raises DataError for a path without a readable file."""
    files: dict[Path, Path] = {}
    for path in paths:
        for file in _expand(path):
            files.setdefault(file.resolve(), file)
    return sorted((describe_source(file) for file in files.values()), key=lambda source: source.name)


def describe_source(path: Path) -> Source:
    """The file with its format, recognised by its content first and its suffix second. Raises DataError."""
    if not path.is_file():
        raise DataError(f"{path}: no such file", "check the path")
    if _UNREADABLE_NAME.search(str(path)):
        shown = str(path).encode(errors="replace").decode()
        raise DataError(f"{shown}: the name has a backslash or is not UTF-8", "rename the file or its folder")
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", "check the permissions") from error
    if not magic:
        raise _empty(path)
    if magic == b"PK\x03\x04":
        raise DataError(f"{path}: is a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV")
    if magic == b"PAR1" or path.suffix.lower() in _PARQUET_SUFFIXES:
        return Source(path, "parquet", "none")
    return _describe_text(path, magic)


def _describe_text(path: Path, magic: bytes) -> Source:
    compression = next((name for start, name in _COMPRESSIONS.items() if magic.startswith(start)), "none")
    text_file = Source(path, "csv", compression)
    head = read_head(text_file, 4096).lstrip(b"\xef\xbb\xbf \t\r\n\xff\xfe\x00")
    if not head:
        raise _empty(path)
    if _TEXT_FORMATS.get(_format_suffix(path)) == "jsonl" or head.startswith(b"{"):
        return Source(path, "json" if head.startswith(b"[") else "jsonl", compression)
    return text_file


def _empty(path: Path) -> DataError:
    return DataError(f"{path}: the file is empty", "leave it out, or export it again")


def open_stream(source: Source) -> IO[bytes]:
    """The decompressed bytes, as a stream."""
    compression = None if source.compression == "none" else source.compression
    stream: IO[bytes] = pa.input_stream(str(source.path), compression=compression, buffer_size=_BUFFER_SIZE)
    return stream


def read_head(source: Source, size: int) -> bytes:
    """The first decompressed bytes. Raises DataError when the file cannot be decompressed."""
    try:
        with open_stream(source) as file:
            return file.read(size)
    except (OSError, EOFError) as error:
        raise DataError(
            f"{source.name}: cannot be unpacked ({error})", "the file is damaged; export it again"
        ) from error


def _expand(path: Path) -> Iterator[Path]:
    """The files of a folder, of a glob pattern, or the file itself."""
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and _is_readable(file)]
        if not files:
            raise DataError(f"{path}: no file in this folder can be read", f"known are {KNOWN_FORMATS}")
        yield from files
    elif path.exists():
        yield path
    else:
        is_pattern = glob.has_magic(str(path))
        matches = _matches(path) if is_pattern else []
        if not matches:
            hint = "no file matches the pattern: check the path" if is_pattern else "check the path"
            raise DataError(f"{path}: no such file or folder", hint)
        for match in matches:
            if match.is_dir():
                yield from _expand(match)
            else:
                yield match


def _matches(pattern: Path) -> list[Path]:
    """What a pattern names, sorted. Folders that exist are no part of it, whatever characters their names have; links are
    not followed by `**`, and hidden files not found by `*`. Raises DataError for what is not a pattern."""
    folder = next(parent for parent in pattern.parents if parent.exists())
    parts = pattern.relative_to(folder)
    finds_hidden = any(part.startswith(".") for part in parts.parts)
    try:
        found = sorted(folder.glob(str(parts)))
    except (ValueError, NotImplementedError) as error:
        raise DataError(f"{pattern}: is not a pattern", "** stands for folders, and only between slashes") from error
    return [file for file in found if file.exists() and (finds_hidden or not _is_hidden(file.relative_to(folder)))]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_readable(file: Path) -> bool:
    """Whether a file in a folder is taken. Hidden ones are markers and partial files of other programs (_SUCCESS)."""
    hidden = file.name.startswith((".", "_"))
    return not hidden and (_format_suffix(file) in _TEXT_FORMATS or file.suffix.lower() in _PARQUET_SUFFIXES)


def _format_suffix(path: Path) -> str:
    """The suffix before that of the compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
