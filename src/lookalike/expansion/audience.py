"""An audience definition: who the seed is and what list is wanted. The flags of `expand` and a TOML file make the same one."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from lookalike.errors import SettingsError
from lookalike.workspace.paths import checked_name
from lookalike.workspace.settings import read_toml, validated

_STRICT = ConfigDict(extra="forbid", frozen=True)


_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


@dataclass(config=_STRICT)
class Size:
    """How many prospects: a count, a share of the candidates, or `auto` (both None)."""

    count: int | None = None
    share: float | None = None

    @property
    def is_auto(self) -> bool:
        return self.count is None and self.share is None

    def among(self, candidates: int) -> int:
        """Prospects out of so many candidates; at least one. Not for `auto`."""
        if self.share is not None:
            return max(1, round(self.share * candidates))
        assert self.count is not None
        return self.count

    def part(self, share: float) -> "Size":
        """So much of it; `auto` stays what it is."""
        if self.share is not None:
            return Size(share=self.share * share)
        return self if self.count is None else Size(count=max(1, round(self.count * share)))

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.share * 100:g}%"
        return "auto" if self.count is None else str(self.count)


def parse_size(text: str | int) -> Size:
    """`500000`, `500_000`, `5%` or `auto`. Raises SettingsError on anything else."""
    words = str(text).strip().lower()
    if words == "auto":
        return Size()
    share = _SHARE.fullmatch(words)
    if share and 0 < float(share[1]) <= 100:
        return Size(share=float(share[1]) / 100)
    digits = words.replace("_", "").replace(",", "")
    if digits.isdecimal() and int(digits) > 0:
        return Size(count=int(digits))
    raise SettingsError(
        f"size {str(text)[:40]!r} is neither a count above 0, a share such as 5%, nor auto",
        "--size 500000, or --size 5%",
    )


@dataclass(config=_STRICT)
class Audience:
    """One definition. Paths are as given; those of a file are taken from the file's folder."""

    name: str
    seed: Path
    size: Size
    scorer: str = "auto"
    suppress: tuple[Path, ...] = ()
    negative: tuple[Path, ...] = ()  # people of whom fewer are wanted: churned, returned, fraud
    before: str | None = None  # an event type: seeds are read up to their first event of it
    drop_features: tuple[str, ...] = ()  # columns that no scorer may read; the encoder's block goes with them
    disjoint_from: tuple[str, ...] = ()  # audiences whose people are not to be listed again
    balance: bool = False  # keep the shares that the seed's sub-audiences have
    reasons: bool = False  # write why each is on the list
    format: Literal["csv", "parquet"] = "csv"
    named: bool = True  # by a flag or in the code; False when the name is only the seed file's, or stands in a file
    defined: bool = False  # in a file, which may be changed and run again


@dataclass(config=_STRICT)
class _Definition:
    seed: str
    size: int | str
    name: str | None = None
    scorer: str = "auto"
    suppress: tuple[str, ...] | str = ()
    negative: tuple[str, ...] | str = ()
    before: str | None = None
    drop_features: tuple[str, ...] = ()
    disjoint_from: tuple[str, ...] = ()
    balance: bool = False
    reasons: bool = False
    format: Literal["csv", "parquet"] = "csv"


def load_definition(path: Path) -> Audience:
    """The audience that a TOML file defines; its name is the file's unless given. Raises SettingsError."""
    values: dict[str, Any] = read_toml(path)
    definition = validated(_Definition, values, str(path))
    folder = path.parent
    return Audience(
        name=checked_name(definition.name or path.stem),
        seed=folder / definition.seed,
        size=parse_size(definition.size),
        scorer=definition.scorer,
        suppress=_beside(folder, definition.suppress),
        negative=_beside(folder, definition.negative),
        before=definition.before,
        drop_features=definition.drop_features,
        disjoint_from=tuple(checked_name(name) for name in definition.disjoint_from),
        balance=definition.balance,
        reasons=definition.reasons,
        format=definition.format,
        named=False,
        defined=True,
    )


def _beside(folder: Path, files: tuple[str, ...] | str) -> tuple[Path, ...]:
    return tuple(folder / file for file in ((files,) if isinstance(files, str) else files))


def with_flags(audience: Audience, **flags: Any) -> Audience:
    """The audience with each flag that was typed (is not None) in place of the file's value."""
    typed = {name: value for name, value in flags.items() if value is not None}
    if "name" in typed:
        typed |= {"name": checked_name(typed["name"]), "named": True}
    return validated(Audience, asdict(audience) | typed, "the flags")


def requested_audiences(
    definitions: list[Path], flags: dict[str, Any], lists: dict[str, list[Any] | None]
) -> list[Audience]:
    """The audiences of definitions, or of the flags alone; flags that were typed win, and lists are added to the file's.

    Raises SettingsError when neither says who the seed is and what size is wanted.
    """
    for definition in definitions:
        if definition.suffix.lower() != ".toml":
            raise SettingsError(
                f"{definition}: a definition is a TOML file", f"lookalike expand --seed {definition} --size 5%"
            )
    one_alone = [name for name in ("name", "seed") if flags[name] is not None]
    if len(definitions) > 1 and one_alone:
        raise SettingsError(f"--{one_alone[0]} is for one audience, not for {len(definitions)}", "leave it out")
    begun = [load_definition(definition) for definition in definitions]
    if not begun and (flags["seed"] is None or flags["size"] is None):
        raise SettingsError(
            "neither a definition nor both --seed and --size were given", "lookalike expand --seed seed.csv --size 5%"
        )
    return [_typed(one, flags, lists) for one in begun or [audience_for_seed(flags["seed"], flags["size"])]]


def _typed(audience: Audience, flags: dict[str, Any], lists: dict[str, list[Any] | None]) -> Audience:
    more = {name: (*getattr(audience, name), *values) for name, values in lists.items() if values}
    return with_flags(audience, **flags, **more)


def described(audience: Audience) -> dict[str, Any]:
    """The definition as plain values for a manifest; file names without folders, which would tell of the machine."""
    values = asdict(audience) | {"seed": audience.seed.name, "size": str(audience.size)}
    return values | {name: [file.name for file in values[name]] for name in ("suppress", "negative")}


def audience_for_seed(seed: Path, size: Size) -> Audience:
    """An audience with the seed file's name, as far as that can be one."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", seed.name.split(".")[0]).strip("-._") or "audience"
    return Audience(name=name[:100], seed=seed, size=size, named=False)
