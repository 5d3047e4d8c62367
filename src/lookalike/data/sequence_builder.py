"""TODO"""

import contextlib
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lookalike.data import id_encoding
from lookalike.data.database import CODED_FIELDS, Cut, Database
from lookalike.data.id_encoding import KnownCodes, Watermark
from lookalike.data.sequences import Sequences, Vocabulary

MAX_ATTRIBUTES = 50_000  # values of item attributes that are known by name; rarer ones are left out


MAX_PROFILE = 64  # values of user attributes


CODE = np.dtype(np.int16)  # 0 is missing


COLUMNS: dict[str, np.dtype[Any]] = {  # of a log without declared columns
    "time": np.dtype(np.int64),  # seconds since 1970, UTC
    "item": np.dtype(np.int32),
    "value": np.dtype(np.float32),  # NaN where the log names none
    "quantity": np.dtype(np.float32),
    "event_type": CODE,
    "country": CODE,
    "device": CODE,
    "source": CODE,
}


def build_sequences(
    store: Database,
    cut: Cut,
    folder: Path,
    known: Vocabulary | None = None,
    seen: Watermark | pl.DataFrame | None = None,
) -> tuple[Sequences, Vocabulary]:
    """Streams the events before the cut into `folder` and opens them. Memory is bounded by one batch of rows.

    Also writes `users.parquet` there: `row`, `user_id`, `tie`, `events`. With `known` its numbers are kept and new items
    follow; with `seen` only users with other events than those are read, and `all_users.parquet` has everybody. A frame
    with a column `user_id` in its place names the users to read.
    """
    id_encoding.encode_ids(store, cut, _known_codes(known))
    if isinstance(seen, pl.DataFrame):
        id_encoding.keep_users(store, seen)
    elif seen is not None:
        _write_users(store, folder / "all_users.parquet")
        id_encoding.keep_changed_users(store, cut, seen)
    counts = _write_users(store, folder / "users.parquet")
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    fields = id_encoding.encoded_fields(store)
    kinds = {name: kind for name, kind in COLUMNS.items() if name not in CODED_FIELDS}
    kinds |= dict.fromkeys(fields.values(), CODE)
    with contextlib.ExitStack() as stack:  # written, not mapped: pages of a new file cost more to map than to write
        files = {name: stack.enter_context(open(folder / f"{name}.bin", "wb")) for name in kinds}
        for batch in id_encoding.event_stream(store, cut):
            for name, file in files.items():
                values = batch.column(name)
                filled = values.fill_null(np.nan) if kinds[name].kind == "f" else values
                filled.to_numpy(zero_copy_only=False).tofile(file)
    columns = {name: _mapped(folder / f"{name}.bin", kind) for name, kind in kinds.items()}
    assert all(len(column) == offsets[-1] for column in columns.values()), "every counted event is streamed once"
    vocabulary, profile = _vocabulary(store, len(counts), known)
    flat = {name: column for name, column in columns.items() if name not in fields.values()}
    nothing = np.broadcast_to(
        np.zeros(1, CODE), int(offsets[-1])
    )  # of a field that a known vocabulary has and this log not
    for name in vocabulary.codes:
        flat[name] = columns[fields[name]] if name in fields else nothing
    return Sequences(_seconds(cut.as_of), offsets, flat, profile), vocabulary


def _mapped(file: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    return np.memmap(file, kind, "r") if file.stat().st_size else np.empty(0, kind)


def _vocabulary(
    store: Database, users: int, known: Vocabulary | None
) -> tuple[Vocabulary, tuple[NDArray[np.int64], NDArray[np.int32]]]:
    names, fields = _known_codes(known), id_encoding.encoded_fields(store)
    items = id_encoding.item_list(store)
    attributes, item_pairs = id_encoding.item_attribute_codes(store, MAX_ATTRIBUTES, names)
    profile, user_pairs = id_encoding.user_attribute_codes(store, MAX_PROFILE, names)
    of_items = _csr(item_pairs["row"].to_numpy(), item_pairs["code"].to_numpy(), len(items))
    vocabulary = Vocabulary(
        items=items,
        codes=known.codes
        if known
        else {name: id_encoding.code_values(store, column) for name, column in fields.items()},
        attributes=attributes,
        item_attributes=_extended(known.item_attributes, of_items) if known else of_items,
        profile=profile,
    )
    return vocabulary, _csr(user_pairs["row"].to_numpy(), user_pairs["code"].to_numpy(), users)


def _known_codes(known: Vocabulary | None) -> KnownCodes | None:
    return KnownCodes(known.items, known.codes, known.attributes, known.profile) if known else None


def _extended(
    known: tuple[NDArray[np.int64], NDArray[np.int32]], every: tuple[NDArray[np.int64], NDArray[np.int32]]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The known items with the attributes they were trained with, and the items after them with those of `every`."""
    first = len(known[0]) - 1
    begin = every[0][first]
    return np.concatenate([known[0], every[0][first + 1 :] - begin + known[0][-1]]), np.concatenate(
        [known[1], every[1][begin:]]
    )


def _seconds(moment: datetime) -> int:
    """Whole seconds since 1970, rounded up: no event that counts is after it."""
    return math.ceil(moment.replace(tzinfo=UTC).timestamp())


def _csr(
    rows: NDArray[np.integer], codes: NDArray[np.integer], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(row, code) pairs sorted by row as CSR offsets and codes."""
    offsets = np.searchsorted(rows, np.arange(count + 1)).astype(np.int64)
    return offsets, codes.astype(np.int32)


def _write_users(store: Database, path: Path) -> NDArray[np.int64]:
    """Writes who the rows are; gives how many events each has."""
    counts = []
    reader = id_encoding.user_rows(store)
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            counts.append(batch.column("events").to_numpy(zero_copy_only=False))
    return np.concatenate(counts) if counts else np.zeros(0, np.int64)
