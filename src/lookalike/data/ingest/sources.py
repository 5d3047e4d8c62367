"""Finds the files that were asked for and says what each one is, before anything is read whole."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from lookalike.errors import DataError

TEXT_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}


PACKED_SUFFIXES = (".gz", ".zst")


PARQUET_SUFFIXES = (".parquet", ".pq")


KNOWN_FORMATS = "CSV, TSV, JSON lines (plain, .gz, .zst) and Parquet"


_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


_BLOCK = 1 << 20


@dataclass(frozen=True)
class Source:
    """One file: where it lies, what its content is, how it is packed."""

    path: Path
    format: str  # a key of readers.READERS
    compression: str  # none, gzip or zstd

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def expand_paths(paths: list[Path]) -> list[Source]:
    """Every file the paths name, sorted, each once. Raises DataError for a path that leads to nothing we can read."""
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _expanded(path):
            found.setdefault(file.resolve(), file)
    return sorted((describe_source(file) for file in found.values()), key=lambda one: one.name)


def describe_source(path: Path) -> Source:
    """The file with its format, found by its content first and its suffix second. Raises DataError."""
    if not path.is_file():
        raise DataError(f"{path}: no such file", "check the path")
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", "check the permissions") from error
    if not head:
        raise DataError(f"{path}: the file is empty", "leave it out, or export it again")
    if head == b"PK\x03\x04":
        raise DataError(f"{path}: is a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV")
    if head == b"PAR1" or path.suffix.lower() in PARQUET_SUFFIXES:
        return Source(path, "parquet", "none")
    compression = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "none")
    packed = Source(path, "csv", compression)
    kind = TEXT_SUFFIXES.get(_suffix(path), "csv")
    start = read_head(packed, 4096).lstrip(b"\xef\xbb\xbf \t\r\n\xff\xfe\x00")
    if not start:
        raise DataError(f"{path}: the file is empty", "leave it out, or export it again")
    if kind == "jsonl" or start.startswith(b"{"):
        return Source(path, "json" if start.startswith(b"[") else "jsonl", compression)
    return packed


def open_stream(source: Source) -> IO[bytes]:
    """The unpacked bytes, read as they are asked for."""
    packed = None if source.compression == "none" else source.compression
    opened: IO[bytes] = pa.input_stream(str(source.path), compression=packed, buffer_size=_BLOCK)
    return opened


def read_head(source: Source, size: int) -> bytes:
    """The first bytes of the unpacked file. Raises DataError when it cannot be unpacked."""
    try:
        with open_stream(source) as file:
            return file.read(size)
    except (OSError, EOFError) as error:
        raise DataError(
            f"{source.name}: cannot be unpacked ({error})", "the file is damaged; export it again"
        ) from error


def _expanded(path: Path) -> Iterator[Path]:
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and _known(file)]
        if not files:
            raise DataError(f"{path}: no file in this folder can be read", f"known are {KNOWN_FORMATS}")
        yield from files
    elif path.exists():
        yield path
    else:
        matches = (
            [Path(name) for name in sorted(glob.glob(str(path), recursive=True))] if glob.has_magic(str(path)) else []
        )
        if not matches:
            raise DataError(f"{path}: no such file or folder", "check the path")
        for match in matches:
            if match.is_dir():
                yield from _expanded(match)
            else:
                yield match


def _known(path: Path) -> bool:
    hidden = path.name.startswith((".", "_"))  # _SUCCESS and .part files of other programs
    return not hidden and (_suffix(path) in TEXT_SUFFIXES or path.suffix.lower() in PARQUET_SUFFIXES)


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
