"""Lists of ids as Python values: a path, a list of ids, or a column or data frame of Polars, pandas or anything with Arrow."""

import os
from collections.abc import Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl

from lookalike.data.id_lists import IdFrame, IdSource
from lookalike.errors import DataError, without_quotes


@runtime_checkable
class ArrowTable(Protocol):
    """A data frame or a column: Polars, pandas (2.2 or newer), PyArrow, DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


@runtime_checkable
class ArrowArray(Protocol):
    """A column in one piece: PyArrow."""

    def __arrow_c_array__(self, requested_schema: object = None) -> object: ...


FILES_LOOKED_FOR = 100  # a list of files is short
FILE_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".jsonl", ".json", ".gz")
NEVER_IDS = ("value", "ts")  # columns that stand beside the ids
Table = ArrowTable | ArrowArray | pl.LazyFrame
Ids = str | os.PathLike[str] | Iterable[str] | Table


def id_source(ids: Ids, label: str) -> IdSource:
    """A path as it is; ids and frames as an `IdFrame` that errors call by `label`. Raises DataError for anything else."""
    if isinstance(ids, str | os.PathLike):
        return Path(ids)
    if isinstance(ids, Table):
        return IdFrame(_frame(ids, label), label)
    if _is_list(ids):
        return IdFrame(_id_frame(_ordered(ids), label), label)
    raise DataError(
        f"{label}: ids cannot be read from a value of type {type(ids).__name__}",
        "give a path, a list of ids, or a data frame",
    )


def id_sources(ids: "Ids | Iterable[Ids] | None", label: str) -> tuple[IdSource, ...]:
    """One list or several; none for None, and no empty ones.

    Paths, frames and lists in a sequence are lists of their own, text in a sequence is one list of ids.
    """
    lists: list[Any] = [] if ids is None else [ids]
    if not isinstance(ids, Table) and _is_list(ids):
        values = _ordered(ids)
        several = any(isinstance(value, os.PathLike | Table) or _is_list(value) for value in values)
        lists = values if several else [values]
    sources = (id_source(each, label) for each in lists)
    return tuple(source for source in sources if isinstance(source, Path) or len(source.frame))


def _is_list(ids: object) -> bool:
    return isinstance(ids, Iterable) and not isinstance(ids, str | bytes | Mapping)


def _ordered(ids: Any) -> list[Any]:
    """The values; those of a set sorted, because its own order is another in every process."""
    return sorted(ids, key=str) if isinstance(ids, set | frozenset) else list(ids)


def _frame(table: Table, label: str) -> pl.DataFrame:
    """A table as a frame; a single column, such as a pandas Series, as a list of ids.

    Raises DataError for a frame of nothing but values or moments.
    """
    table = _with_index(table)
    try:
        if isinstance(table, pl.LazyFrame):
            table = table.collect()
        if isinstance(table, ArrowTable) and not isinstance(table, pl.Series):
            return _checked(pl.DataFrame(table), label)
    except pl.exceptions.SchemaError:  # a column of another library: Polars makes frames of tables only
        pass
    except (TypeError, ValueError, OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{label}: the frame cannot be read ({without_quotes(str(error))})", "give a frame with a column user_id"
        ) from error
    column: Any = table  # Polars has names of its own for these protocols
    return _id_frame(pl.Series(values=column).to_list(), label)


def _with_index(table: Any) -> Any:
    """A table of pandas that has the ids in its index with them as a column; any other as it is."""
    if type(table).__module__.split(".")[0] != "pandas":
        return table
    columns = table.columns if hasattr(table, "columns") else [table.name]
    return table.reset_index("user_id") if "user_id" in table.index.names and "user_id" not in columns else table


def _checked(frame: pl.DataFrame, label: str) -> pl.DataFrame:
    if frame.width == 1 and frame.columns[0] in NEVER_IDS:
        raise DataError(f"{label}: no column user_id, only {frame.columns[0]}", "name the column of ids user_id")
    return frame


def _id_frame(values: list[Any], label: str) -> pl.DataFrame:
    """The ids as text, in a column `user_id`.

    Raises DataError for values that cannot be ids, and for names of files, which are easily given by mistake.
    """
    strangers = sum(isinstance(value, bool) or not isinstance(value, str | Integral) for value in values)
    if strangers:
        raise DataError(
            f"{label}: {strangers:,} of {len(values):,} ids are neither text nor whole numbers",
            "give a list of user ids",
        )
    ids = [str(value) for value in values]
    files = [place for place, value in enumerate(ids, 1) if value.lower().endswith(FILE_SUFFIXES)]
    files += [place for place, value in enumerate(ids[:FILES_LOOKED_FOR], 1) if os.path.isfile(value)]
    if files:
        raise DataError(
            f"{label}: id {files[0]:,} of the list is the name of a file",
            "give files as pathlib.Path; or, if it is an id, a frame with a column user_id",
        )
    return pl.DataFrame({"user_id": ids}, schema={"user_id": pl.String})
