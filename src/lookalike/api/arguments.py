"""Arguments of the handle's methods as the verbs take them. Raises SettingsError for values of another kind."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lookalike.errors import SettingsError

PathLike = str | os.PathLike[str]
Paths = PathLike | Iterable[PathLike]
Columns = Mapping[str, str] | Sequence[str] | str  # {"user_id": "CustomerID"}, or "user_id=CustomerID"


def several(argument: str, values: Paths | None) -> tuple[str, ...]:
    """The values, those of a set sorted; a lone text or path is one value, and None is none."""
    if values is None:
        return ()
    if isinstance(values, str | os.PathLike):
        return (os.fspath(values),)
    given = tuple(values) if isinstance(values, Iterable) else (values,)
    if not all(isinstance(value, str | os.PathLike) for value in given):
        raise SettingsError(f"{argument}: {str(values)[:40]!r} is not text or a list of texts", f'{argument}=["…"]')
    texts = [os.fspath(value) for value in given]
    return tuple(sorted(texts) if isinstance(values, set | frozenset) else texts)


def paths_of(argument: str, values: Paths | None) -> list[Path]:
    return [Path(value) for value in several(argument, values)]


def column_pairs(columns: Columns | None) -> tuple[str, ...]:
    """`FIELD=COLUMN` for each entry of `map`."""
    if isinstance(columns, Mapping):
        return tuple(f"{field}={column}" for field, column in columns.items())
    return several("map", columns)


def utc(moment: datetime | None) -> datetime | None:
    """The moment as UTC without a zone, as times are in the log."""
    if moment is not None and not isinstance(moment, datetime):
        raise SettingsError(f"as_of: {str(moment)[:40]!r} is not a datetime", "as_of=datetime(2026, 3, 1)")
    try:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment and moment.tzinfo else moment
    except OverflowError as error:
        raise SettingsError(f"as_of: {moment} is out of range in UTC", "as_of=datetime(2026, 3, 1)") from error
