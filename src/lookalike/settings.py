"""Every setting with its default, and `lookalike.toml`, which may change them. A flag beats the file beats the default."""

import difflib
import tomllib
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lookalike.errors import SettingsError

T = TypeVar("T")
_STRICT = ConfigDict(extra="forbid", frozen=True)


@dataclass(config=_STRICT)
class TrainSettings:
    encoder: str = Field(default="transformer", description="transformer, gru, mean or skipgram")
    objective: str | None = Field(
        default=None, description="all_action, or another or a sum; the encoder's own when not given"
    )
    dim: int = Field(default=128, ge=8, le=1024, multiple_of=8, description="width of the user embedding")
    window_days: int | None = Field(
        default=None, ge=1, description="days of a sequence; 90, or more where many would be left out"
    )
    length: int = Field(default=128, ge=4, le=2048, description="most recent events kept in one sequence")
    min_events: int = Field(default=1, ge=1, description="users with fewer events before the cut are not eligible")
    epochs: int | None = Field(default=None, ge=1, description="passes over the log; from its size when not given")
    epoch_events: int = Field(
        default=6_000_000, ge=1_000, description="most events of one epoch; of a larger log every epoch reads others"
    )
    finish: bool = Field(
        default=True,
        description="after the figures are taken, train on over the held-out days too; not after a single epoch",
    )
    patience: int = Field(default=3, ge=1, description="epochs without a better held-out figure before stopping")
    batch_events: int | None = Field(
        default=None, ge=64, description="events in one step; from the log's size when not given"
    )
    negatives: int = Field(default=1024, ge=100, description="sampled items each target is told apart from")
    learning_rate: float = Field(default=1e-3, gt=0, description="largest step of the optimiser")
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="share of the item vectors' figures left out in training"
    )
    mask_hours: int = Field(default=24, ge=0, description="most recent hours hidden from half of the users in training")
    horizon: int = Field(default=32, ge=1, description="later events a position learns to foresee")
    holdout_share: float = Field(default=0.1, gt=0, lt=0.5, description="share of the last events held out")
    content_dim: int = Field(default=128, ge=8, le=512, description="width of the content block")
    group_columns: int = Field(default=256, ge=8, le=2048, description="most common attribute values counted per user")
    random_seed: int = Field(default=0, ge=0, description="number that fixes all chance")


@dataclass(config=_STRICT)
class ExpandSettings:
    folds: int = Field(default=5, ge=2, le=20, description="parts of the seed; each is held out in turn")
    repeats: int = Field(default=4, ge=1, le=50, description="how often the folds are drawn anew")
    background: int = Field(default=20_000, ge=100, description="eligible users the seed is told apart from, at most")
    tiers: int = Field(default=5, ge=1, le=100, description="parts of equal size the list is cut into")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="of every band and of the verdict")
    min_lift: float = Field(
        default=1.0, ge=1, le=100, description="lift that the last half of the largest list must surely have"
    )
    min_cell: int = Field(default=25, ge=1, description="fewest users a figure of the report may rest on")
    random_seed: int = Field(default=0, ge=0, description="number that fixes all chance")


@dataclass(config=_STRICT)
class IngestSettings:
    timezone: str = Field(default="UTC", description="zone of times that name none")
    max_rejected_share: float = Field(default=0.5, ge=0, le=1, description="a file with more unusable rows is refused")


@dataclass(config=_STRICT)
class Settings:
    ingest: IngestSettings = field(default_factory=IngestSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    expand: ExpandSettings = field(default_factory=ExpandSettings)


def load(path: Path) -> Settings:
    """The settings of a workspace; the defaults where it has no file. Raises SettingsError with all faults at once."""
    if not path.exists():
        return Settings()
    return checked(Settings, read_toml(path), str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises SettingsError when it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file", "give the path of a TOML file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}", "see docs/data-formats.md for an example") from error


def checked(kind: type[T], values: dict[str, Any], where: str) -> T:
    """`values` as the dataclass `kind`. Raises SettingsError that lists every fault and the nearest known name."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        faults = [_fault(kind, fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]
        raise SettingsError(f"{where}: {'; '.join(faults)}", "see docs/settings.md for every key") from error


def changed(section: T, **flags: Any) -> T:
    """The section with each flag that was typed (is not None) in place of its setting."""
    typed = {name: value for name, value in flags.items() if value is not None}
    return checked(type(section), asdict(section) | typed, "the flags")  # type: ignore[call-overload]


def _fault(kind: Any, place: tuple[int | str, ...], code: str, text: str) -> str:
    key = ".".join(map(str, place))
    if code not in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{key}: {text}"
    for part in place[:-1]:
        kind = next(f.type for f in fields(kind) if f.name == part)
    near = difflib.get_close_matches(str(place[-1]), [f.name for f in fields(kind)], n=1)
    return f"unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else "")
