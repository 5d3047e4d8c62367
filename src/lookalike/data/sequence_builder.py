"""Builds the sequences of a cut from the database: events are streamed to files, one a column, and mapped from there."""

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
from lookalike.data.arrays import Csr, Rows
from lookalike.data.column_files import map_column
from lookalike.data.database import CODED_FIELDS, Cut, Database
from lookalike.data.id_encoding import Watermark
from lookalike.data.sequences import Sequences, Vocabulary

MAX_ATTRIBUTES = 50_000  # (attribute, value) pairs of items that have a code; rarer ones are ignored
MAX_PROFILE = 64  # (attribute, value) pairs of users

CODE = np.dtype(np.int16)  # 0 is missing
COLUMNS: dict[str, np.dtype[Any]] = {  # of a log without declared context columns
    "time": np.dtype(np.int64),  # seconds since 1970, UTC
    "item": np.dtype(np.int32),  # -1 is no item
    "value": np.dtype(np.float32),  # NaN is missing
    "quantity": np.dtype(np.float32),  # NaN is missing
    "event_type": CODE,
    "country": CODE,
    "device": CODE,
    "source": CODE,
}


def build_sequences(
    database: Database, cut: Cut, folder: Path, vocabulary: Vocabulary | None = None
) -> tuple[Sequences, Vocabulary]:
    """The sequences of all users and their vocabulary. Memory is bounded by one batch of rows.

    With a vocabulary its numbers are kept, and items that are new to it come after its own.
    Writes the columns and `users.parquet` (`row`, `user_id`, `tie`, `events`) to the folder.
    """
    id_encoding.encode_ids(database, cut, vocabulary)
    return _write_sequences(database, cut, folder, vocabulary)


def build_changed(
    database: Database, cut: Cut, folder: Path, vocabulary: Vocabulary, watermark: Watermark
) -> tuple[Sequences, Vocabulary]:
    """As `build_sequences`, for the users with events that the watermark does not cover.

    Also writes `all_users.parquet`, which holds everybody.
    """
    id_encoding.encode_ids(database, cut, vocabulary)
    _write_users(database, folder / "all_users.parquet")
    id_encoding.keep_changed_users(database, cut, watermark)
    return _write_sequences(database, cut, folder, vocabulary)


def build_for_users(
    database: Database, cut: Cut, folder: Path, vocabulary: Vocabulary, users: pl.DataFrame
) -> tuple[Sequences, Vocabulary]:
    """As `build_sequences`, for the users of a frame with a column `user_id`."""
    id_encoding.encode_ids(database, cut, vocabulary)
    id_encoding.keep_users(database, users)
    return _write_sequences(database, cut, folder, vocabulary)


def _write_sequences(
    database: Database, cut: Cut, folder: Path, vocabulary: Vocabulary | None
) -> tuple[Sequences, Vocabulary]:
    """Writes and maps the users and events that `encode_ids` has numbered."""
    counts = _write_users(database, folder / "users.parquet")
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    fields = id_encoding.encoded_fields(database)
    columns = _write_events(database, cut, folder, list(fields.values()))
    assert all(len(column) == offsets[-1] for column in columns.values()), "every counted event is streamed once"
    vocabulary, profile = _encode_attributes(database, len(counts), vocabulary)
    plain = {name: column for name, column in columns.items() if name not in fields.values()}
    missing = np.broadcast_to(np.zeros(1, CODE), int(offsets[-1]))  # a field of the vocabulary that this log lacks
    coded = {name: columns[fields[name]] if name in fields else missing for name in vocabulary.codes}
    return Sequences(_seconds(cut.as_of), offsets, plain | coded, profile), vocabulary


def _write_users(database: Database, path: Path) -> Rows:
    """Writes the numbered users; gives how many events each has, [N]."""
    counts = []
    reader = id_encoding.user_rows(database)
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            counts.append(batch.column("events").to_numpy(zero_copy_only=False))
    return np.concatenate(counts) if counts else np.zeros(0, np.int64)


def _write_events(database: Database, cut: Cut, folder: Path, fields: list[str]) -> dict[str, NDArray[Any]]:
    """Writes the events, a file a column, and maps the files. `fields` are the columns of `events` that are coded."""
    dtypes = {name: dtype for name, dtype in COLUMNS.items() if name not in CODED_FIELDS} | dict.fromkeys(fields, CODE)
    paths = {name: folder / f"{name}.bin" for name in dtypes}
    with contextlib.ExitStack() as stack:  # written, not mapped: mapping the pages of a new file takes longer
        files = {name: stack.enter_context(open(path, "wb")) for name, path in paths.items()}
        for batch in id_encoding.event_stream(database, cut):
            for name, file in files.items():
                values = batch.column(name)
                filled = values.fill_null(np.nan) if dtypes[name].kind == "f" else values
                filled.to_numpy(zero_copy_only=False).tofile(file)
    return {name: map_column(paths[name], dtype) for name, dtype in dtypes.items()}


def _encode_attributes(database: Database, users: int, vocabulary: Vocabulary | None) -> tuple[Vocabulary, Csr]:
    """The vocabulary, new or with new items added, and the profile codes of each user."""
    items = id_encoding.item_list(database)
    attributes, item_pairs = id_encoding.item_attribute_codes(database, MAX_ATTRIBUTES, vocabulary)
    profile, user_pairs = id_encoding.user_attribute_codes(database, MAX_PROFILE, vocabulary)
    item_attributes = _csr(item_pairs, len(items))
    if vocabulary:
        codes, item_attributes = vocabulary.codes, _extended(vocabulary.item_attributes, item_attributes)
    else:
        fields = id_encoding.encoded_fields(database)
        codes = {name: id_encoding.code_values(database, column) for name, column in fields.items()}
    return Vocabulary(items, codes, attributes, item_attributes, profile), _csr(user_pairs, users)


def _extended(trained: Csr, current: Csr) -> Csr:
    """Items keep the attributes they were trained with; the new items after them have their current ones."""
    trained_offsets, trained_codes = trained
    offsets, codes = current
    first_new = len(trained_offsets) - 1
    begin = offsets[first_new]
    new_offsets = offsets[first_new + 1 :] - begin + trained_offsets[-1]
    return np.concatenate([trained_offsets, new_offsets]), np.concatenate([trained_codes, codes[begin:]])


def _csr(pairs: pl.DataFrame, rows: int) -> Csr:
    """Pairs with columns `row` (ascending) and `code` as the codes of each of so many rows."""
    offsets = np.searchsorted(pairs["row"].to_numpy(), np.arange(rows + 1)).astype(np.int64)
    return offsets, pairs["code"].to_numpy().astype(np.int32)


def _seconds(moment: datetime) -> int:
    """Whole seconds since 1970, rounded up, so that no event before the moment is after it."""
    return math.ceil(moment.replace(tzinfo=UTC).timestamp())
