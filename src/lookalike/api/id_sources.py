"""Lists of ids as Python values: a path, a list of ids, or a column or data frame of Polars, pandas or anything with Arrow."""

import os
from collections.abc import Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl

from lookalike.data.id_lists import IdFrame, IdSource
from lookalike.errors import DataError


@runtime_checkable
class ArrowTable(Protocol):
    """A data frame or a column: Polars, pandas (2.2 or newer), PyArrow, DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


@runtime_checkable
class ArrowArray(Protocol):
    """A column in one piece: PyArrow."""

    def __arrow_c_array__(self, requested_schema: object = None) -> object: ...


FILES_LOOKED_FOR = 100  # a list of files is short
Ids = str | os.PathLike[str] | Iterable[str] | ArrowTable | ArrowArray


def id_source(ids: Ids, label: str) -> IdSource:
    """A path as it is; ids and frames as an `IdFrame` that errors call by `label`. Raises DataError for anything else."""
    if isinstance(ids, str | os.PathLike):
        return Path(ids)
    if isinstance(ids, ArrowTable | ArrowArray):
        return IdFrame(_frame(ids, label), label)
    if isinstance(ids, Iterable) and not isinstance(ids, bytes | Mapping):
        return IdFrame(_id_frame(list(ids), label), label)
    raise DataError(
        f"{label}: ids cannot be read from a value of type {type(ids).__name__}",
        "give a path, a list of ids, or a data frame",
    )


def _frame(table: ArrowTable | ArrowArray, label: str) -> pl.DataFrame:
    """A table as a frame; a single column, such as a pandas Series, as a list of ids."""
    try:
        if isinstance(table, ArrowTable) and not isinstance(table, pl.Series):
            return pl.DataFrame(table)
    except pl.exceptions.SchemaError:  # a column of another library: Polars makes frames of tables only
        pass
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{label}: the frame cannot be read ({error})", "give a frame with a column user_id") from error
    column: Any = table  # Polars has names of its own for these protocols
    return _id_frame(pl.Series(values=column).to_list(), label)


def id_sources(ids: Ids | Iterable[Ids], label: str) -> tuple[IdSource, ...]:
    """One list or several: paths and frames in a sequence are lists of their own, text in a sequence is one list of ids."""
    if isinstance(ids, str | os.PathLike | ArrowTable | ArrowArray):
        return (id_source(ids, label),)
    if not isinstance(ids, Iterable):
        return (id_source(ids, label),)
    values = list(ids)
    if any(isinstance(value, os.PathLike | ArrowTable | ArrowArray) for value in values):
        return tuple(id_source(value, label) for value in values)
    return (IdFrame(_id_frame(values, label), label),) if values else ()


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
    if any(os.path.isfile(value) for value in ids[:FILES_LOOKED_FOR]):
        raise DataError(f"{label}: the list of ids has the name of a file in it", "give files as pathlib.Path")
    return pl.DataFrame({"user_id": ids}, schema={"user_id": pl.String})
