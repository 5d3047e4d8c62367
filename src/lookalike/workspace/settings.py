"""Every setting with its default, and `lookalike.toml`, which may change them.

A flag overrides the file, and the file overrides the default.
"""

import difflib
import re
import tomllib
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from lookalike.errors import SettingsError

T = TypeVar("T")
_STRICT = ConfigDict(extra="forbid", frozen=True)
_MAX_SEED = (1 << 32) - 1  # that every library takes
_MAX_TOML_BYTES = 1 << 16
_DEEP_KEY = re.compile(rb"(?:[\w\"'-]+[ \t]*\.[ \t]*){50}")
_MAX_FAULTS = 20


@dataclass(config=_STRICT)
class TrainSettings:
    """The `[train]` table."""

    encoder: str = Field(default="transformer", description="transformer, gru, mean or skipgram")
    objective: str | None = Field(
        default=None, description="all_action, another objective, or a sum; the encoder's own if not given"
    )
    dim: int = Field(default=128, ge=8, le=1024, multiple_of=8, description="width of the towers")
    window_days: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="days a sequence reaches back; 90, or more if that leaves many users without events",
    )
    length: int = Field(default=128, ge=4, le=2048, description="most recent events kept in a sequence")
    min_events: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="people with fewer events before the cut have no vector; 0 lets in those whom only the users table knows",
    )
    epochs: int | None = Field(
        default=None, ge=1, le=1_000_000, description="passes over the log; chosen by its size if not given"
    )
    epoch_events: int = Field(
        default=6_000_000,
        ge=1_000,
        le=1_000_000_000,
        description="most events read in one epoch; of a larger log each epoch reads other ones",
    )
    finish: bool = Field(
        default=True,
        description="after the evaluation, train on with the held-out days included (not after a single epoch)",
    )
    patience: int = Field(default=3, ge=1, le=1_000_000, description="epochs without improvement before training stops")
    batch_events: int | None = Field(
        default=None, ge=64, le=1_000_000, description="events in one step; chosen by the log's size if not given"
    )
    negatives: int = Field(default=1024, ge=100, le=100_000, description="sampled negatives for each part of a step")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="peak learning rate")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout on item vectors")
    mask_hours: int = Field(
        default=24,
        ge=0,
        le=1_000_000,
        description="hide up to so many of the latest hours from half of the users; of news fewer, as its items live",
    )
    horizon: int = Field(default=32, ge=1, le=2_048, description="how many later events a position learns to predict")
    holdout_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="share of the events, the latest, that are held out"
    )
    content_dim: int = Field(default=128, ge=8, le=512, description="width of the content block")
    group_columns: int = Field(default=256, ge=8, le=2048, description="most common attribute values counted per user")
    random_seed: int = Field(default=0, ge=0, le=_MAX_SEED, description="random seed")


@dataclass(config=_STRICT)
class ExpandSettings:
    """The `[expand]` table."""

    folds: int = Field(default=5, ge=2, le=20, description="folds of the hold-out")
    repeats: int = Field(default=4, ge=1, le=50, description="how often the folds are drawn")
    background: int = Field(
        default=20_000, ge=100, le=10_000_000, description="eligible users sampled as background, at most"
    )
    tiers: int = Field(default=5, ge=1, le=100, description="tiers of equal size in the list")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="confidence level of bands and verdict")
    min_lift: float = Field(
        default=1.0, ge=1, le=100, description="lift that the last half of the largest list must reliably exceed"
    )
    min_cell: int = Field(
        default=25, ge=1, le=1_000_000, description="figures of the report that rest on fewer users are hidden"
    )
    random_seed: int = Field(default=0, ge=0, le=_MAX_SEED, description="random seed")


@dataclass(config=_STRICT)
class IngestSettings:
    """The `[ingest]` table."""

    timezone: str = Field(default="UTC", description="time zone of times that have none")
    max_rejected_share: float = Field(
        default=0.5, ge=0, le=1, description="a file with a larger share of unusable rows is refused"
    )


@dataclass(config=_STRICT)
class Settings:
    """All tables of `lookalike.toml`."""

    ingest: IngestSettings = field(default_factory=IngestSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    expand: ExpandSettings = field(default_factory=ExpandSettings)


def load_settings(path: Path) -> Settings:
    """The settings in a file, or the defaults if there is none. Raises SettingsError with all faults at once."""
    if not path.exists():
        return Settings()
    return validated(Settings, read_toml(path), str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises SettingsError when it is missing, too large, or not TOML."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_TOML_BYTES + 1)
        if len(content) > _MAX_TOML_BYTES:
            raise SettingsError(
                f"{path}: is larger than {_MAX_TOML_BYTES:,} bytes", "lists of ids go into files of their own"
            )
        if _DEEP_KEY.search(content):  # takes the reader minutes
            raise SettingsError(f"{path}: is nested too deeply", "see docs/settings.md for an example")
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file", "give the path of a TOML file") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: is nested too deeply", "see docs/settings.md for an example") from error
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}", "give the path of a TOML file") from error
    except ValueError as error:  # not UTF-8, not TOML, or a number of thousands of digits
        raise SettingsError(f"{path}: {error}", "see docs/settings.md for an example") from error


def validated(kind: type[T], values: dict[str, Any], where: str) -> T:
    """`values` as the dataclass `kind`. Raises SettingsError that lists every fault, with the nearest known name."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        faults = [_fault(kind, fault) for fault in error.errors()]
        more = [f"and {len(faults) - _MAX_FAULTS:,} more"] if len(faults) > _MAX_FAULTS else []
        raise SettingsError(
            f"{where}: {'; '.join(faults[:_MAX_FAULTS] + more)}", "see docs/settings.md for every key"
        ) from error


def with_flags(section: T, **flags: Any) -> T:
    """The section with each flag that was given (is not None) in place of its setting."""
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return TypeAdapter(type(section)).validate_python(asdict(section) | given)  # type: ignore[call-overload]
    except ValidationError as error:
        faults = [_flag_fault(fault) for fault in error.errors()]
        raise SettingsError("; ".join(faults), "see docs/settings.md for what each may be") from error


def _flag_fault(fault: ErrorDetails) -> str:
    """`epochs 0: must be at least 1`, for a flag or an argument from Python."""
    flag = str(fault["loc"][0]).removesuffix("_days")
    return f"{flag} {str(fault['input'])[:40]}: {_requirement(fault)}"


_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


def _requirement(fault: ErrorDetails) -> str:
    """What a value must be, in our words where pydantic's are long."""
    if fault["type"] not in _LIMITS:
        return fault["msg"].replace("Input should be", "must be")
    limit, words = _LIMITS[fault["type"]]
    return f"must be {words} {fault['ctx'][limit]:g}"


def _fault(kind: Any, fault: ErrorDetails) -> str:
    location = fault["loc"]
    key = ".".join(map(str, location))
    if fault["type"] not in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{key}: {_requirement(fault)}"
    for part in location[:-1]:
        kind = next(f.type for f in fields(kind) if f.name == part)
    near = difflib.get_close_matches(str(location[-1]), [f.name for f in fields(kind)], n=1)
    return f"unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else "")
