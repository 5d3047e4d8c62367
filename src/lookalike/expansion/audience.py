"""An audience definition: who the seed is and what list is wanted. Flags and a TOML file make the same one."""

import hashlib
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, StrictInt, StrictStr
from pydantic.dataclasses import dataclass as validated_dataclass

from lookalike.data.id_lists import IdSource, source_name, source_sha256
from lookalike.errors import SettingsError
from lookalike.expansion.manifest import AudienceRecord
from lookalike.expansion.rule import Condition, Rule, parse_condition, parse_rule
from lookalike.workspace.paths import checked_name
from lookalike.workspace.settings import read_toml, validated

_SHARE = re.compile(r"(-?\d+(?:\.\d+)?)\s*%")
_COUNT = re.compile(r"-?\d+")
_MAX_DIGITS = 15
FORMATS = ("csv", "parquet")


@dataclass(frozen=True)
class Size:
    """How many prospects: a count, a share of the candidates, or `auto` (both None)."""

    count: int | None = None
    share: float | None = None

    @property
    def is_auto(self) -> bool:
        return self.count is None and self.share is None

    def among(self, candidates: int) -> int:
        """The number of prospects out of so many candidates, at least one. Not for `auto`."""
        if self.share is not None:
            return max(1, round(self.share * candidates))
        assert self.count is not None
        return self.count

    def part(self, share: float) -> "Size":
        """A share of the size; `auto` stays `auto`."""
        if self.share is not None:
            return Size(share=self.share * share)
        return self if self.count is None else Size(count=max(1, round(self.count * share)))

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.share * 100:g}%"
        return "auto" if self.count is None else str(self.count)


def parse_size(text: str | int) -> Size:
    """`500000`, `500_000`, `5%` or `auto`. Raises SettingsError on anything else."""
    if isinstance(text, int) and abs(text) >= 10**_MAX_DIGITS:  # Python writes no number of thousands of digits
        raise _size_error("", f"is out of range: a count has at most {_MAX_DIGITS} digits")
    words = str(text).strip().lower()
    if words == "auto":
        return Size()
    if share := _SHARE.fullmatch(words):
        if not 0 < float(share[1]) <= 100:
            raise _size_error(text, "is out of range: a share is above 0% and at most 100%")
        return Size(share=float(share[1]) / 100)
    if count := _COUNT.fullmatch(words.replace("_", "").replace(",", "")):
        if len(count[0]) > _MAX_DIGITS or int(count[0]) < 1:
            raise _size_error(text, f"is out of range: a count is at least 1 and has at most {_MAX_DIGITS} digits")
        return Size(count=int(count[0]))
    raise _size_error(text, "is not a count, a share such as 5%, or auto")


def parse_share(text: str | None) -> float | None:
    """`20%` as 0.2; None for None. Raises SettingsError for anything else."""
    if text is None:
        return None
    share = _SHARE.fullmatch(text.strip())
    if not share or not 0 <= float(share[1]) <= 100:
        raise SettingsError(f"{text[:40]!r} is not a share from 0% to 100%", "--allow-unmatched 20%")
    return float(share[1]) / 100


def _size_error(text: str | int, reason: str) -> SettingsError:
    return SettingsError(f"size {str(text)[:40]!r} {reason}", "--size 500000, or --size 5%")


def seed_name(seed: IdSource | Rule) -> str:
    """The name of the seed's file, without its folder, or of its frame; or its rule."""
    return str(seed) if isinstance(seed, Rule) else source_name(seed)


def seed_sha256(seed: IdSource | Rule) -> str:
    """A hash that is the same for the same list, or the same rule."""
    return hashlib.sha256(str(seed).encode()).hexdigest() if isinstance(seed, Rule) else source_sha256(seed)


@dataclass(frozen=True)
class Audience:
    """One definition. Paths are as given; those in a TOML file are relative to its folder."""

    name: str
    seed: IdSource | Rule  # a list, or everybody who fulfils a rule
    size: Size
    scorer: str = "auto"
    suppress: tuple[IdSource, ...] = ()
    allow_unmatched: float | None = None  # share of a list's ids to suppress that may be nobody's in the log
    negative: tuple[IdSource, ...] = ()
    before: str | None = None  # an event type: seeds are read up to their first event of it; or a rule
    as_of_now: bool = False  # read the seeds as they are, whatever they have in common
    include_doers: bool = False  # list people who fulfil the seed's rule already
    where: tuple[Condition, ...] = ()  # what the people must be that the list is for
    drop_features: tuple[str, ...] = ()  # columns that no scorer may read; the encoder's blocks go with them
    disjoint_from: tuple[str, ...] = ()  # audiences whose prospects are not listed again
    balance: bool = False  # keep the shares of the seed's sub-audiences
    reasons: bool = False  # write explanations beside the list
    format: Literal["csv", "parquet"] = "csv"
    named: bool = True  # the name was given; False for a name taken from the seed, or that stands in a file
    defined: bool = False  # by a file, which may be changed and run again

    def record(self) -> AudienceRecord:
        """The definition as a manifest keeps it: file names without folders, which would tell about the machine."""
        return AudienceRecord(
            name=self.name,
            seed=seed_name(self.seed),
            size=str(self.size),
            scorer=self.scorer,
            suppress=tuple(map(source_name, self.suppress)),
            negative=tuple(map(source_name, self.negative)),
            before=self.before,
            as_of_now=self.as_of_now,
            include_doers=self.include_doers,
            where=tuple(map(str, self.where)),
            drop_features=self.drop_features,
            disjoint_from=self.disjoint_from,
            balance=self.balance,
            reasons=self.reasons,
            format=self.format,
        )


@dataclass(frozen=True)
class AudienceFlags:
    """What was given besides, or instead of, definition files; None and empty mean not given."""

    seed: IdSource | Rule | None = None
    size: Size | None = None
    name: str | None = None
    scorer: str | None = None
    before: str | None = None
    as_of_now: bool | None = None
    include_doers: bool | None = None
    balance: bool | None = None
    reasons: bool | None = None
    format: str | None = None
    suppress: tuple[IdSource, ...] = ()
    allow_unmatched: float | None = None
    negative: tuple[IdSource, ...] = ()
    where: tuple[Condition, ...] = ()
    drop_features: tuple[str, ...] = ()
    disjoint_from: tuple[str, ...] = ()


def requested_audiences(definitions: list[Path], flags: AudienceFlags) -> list[Audience]:
    """The audiences of the definitions, or of the flags alone. A flag replaces the file's value; lists are added to it.

    Raises SettingsError when neither says who the seed is and what size is wanted.
    """
    for definition in definitions:
        if definition.suffix.lower() != ".toml":
            raise SettingsError(
                f"{definition}: a definition is a TOML file", f"lookalike expand --seed {definition} --size 5%"
            )
    single = [name for name in ("name", "seed") if getattr(flags, name) is not None]
    if len(definitions) > 1 and single:
        raise SettingsError(f"--{single[0]} is for one audience, not for {len(definitions)}", "leave it out")
    if definitions:
        return [_with_flags(load_definition(definition), flags) for definition in definitions]
    if flags.seed is None or flags.size is None:
        raise _missing(flags)
    return [_with_flags(Audience(_name_for(flags.seed), flags.seed, flags.size, named=False), flags)]


def _missing(flags: AudienceFlags) -> SettingsError:
    """The error for flags that lack the seed, the size, or both."""
    example = "lookalike expand --seed seed.csv --size 5%"
    if flags.size is not None:
        return SettingsError("--seed or --seed-rule is missing: who are the people to find more of?", example)
    if flags.seed is not None:
        return SettingsError(
            "--size is missing: how many are to be listed?", "--size 500000, --size 5%, or --size auto"
        )
    return SettingsError("neither a definition nor --seed and --size were given", example)


def _with_flags(audience: Audience, flags: AudienceFlags) -> Audience:
    if flags.format is not None and flags.format not in FORMATS:
        raise SettingsError(f"format {flags.format[:40]!r} is not csv or parquet", "--format csv|parquet")
    changes: dict[str, Any] = {}
    for flag in fields(flags):
        value = getattr(flags, flag.name)
        if isinstance(value, tuple):
            changes[flag.name] = (*getattr(audience, flag.name), *value)
        elif value is not None:
            changes[flag.name] = value
    if flags.name is not None:
        changes |= {"name": checked_name(flags.name), "named": True}
    return replace(audience, **changes)


def _name_for(seed: IdSource | Rule) -> str:
    """The seed's own name as far as that can be an audience's."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", seed_name(seed).split(".")[0]).strip("-._") or "audience"
    return name[:100]


# --- definition files ------------------------------------------------------------------------------------------------


@validated_dataclass(config=ConfigDict(extra="forbid", frozen=True))
class Definition:
    """The keys of a definition file."""

    size: StrictInt | StrictStr
    seed: str | None = None
    seed_rule: str | None = None
    name: str | None = None
    scorer: str = "auto"
    suppress: tuple[str, ...] | str = ()
    allow_unmatched: str | None = None
    negative: tuple[str, ...] | str = ()
    before: str | None = None
    as_of_now: bool = False
    include_doers: bool = False
    where: tuple[str, ...] | str = ()
    drop_features: tuple[str, ...] = ()
    disjoint_from: tuple[str, ...] = ()
    balance: bool = False
    reasons: bool = False
    format: Literal["csv", "parquet"] = "csv"


def load_definition(path: Path) -> Audience:
    """The audience a TOML file defines, named after the file unless it names itself. Raises SettingsError."""
    definition = validated(Definition, read_toml(path), str(path))
    folder = path.parent
    return Audience(
        name=checked_name(definition.name or path.stem),
        seed=_defined_seed(definition, path),
        size=parse_size(definition.size),
        scorer=definition.scorer,
        suppress=_beside(folder, definition.suppress),
        allow_unmatched=parse_share(definition.allow_unmatched),
        negative=_beside(folder, definition.negative),
        before=definition.before,
        as_of_now=definition.as_of_now,
        include_doers=definition.include_doers,
        where=tuple(map(parse_condition, _several(definition.where))),
        drop_features=definition.drop_features,
        disjoint_from=tuple(checked_name(name) for name in definition.disjoint_from),
        balance=definition.balance,
        reasons=definition.reasons,
        format=definition.format,
        named=False,
        defined=True,
    )


def _defined_seed(definition: Definition, path: Path) -> IdSource | Rule:
    """Raises SettingsError unless either a file or a rule is given."""
    if (definition.seed is None) == (definition.seed_rule is None):
        raise SettingsError(
            f"{path}: give either seed or seed_rule", 'seed = "seed.csv", or seed_rule = "category = DOG FOODS"'
        )
    return parse_rule(definition.seed_rule) if definition.seed_rule is not None else path.parent / str(definition.seed)


def _beside(folder: Path, files: tuple[str, ...] | str) -> tuple[Path, ...]:
    return tuple(folder / file for file in _several(files))


def _several(values: tuple[str, ...] | str) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else values
