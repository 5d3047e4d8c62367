"""What `synonyms.toml` knows: names of columns, and values that mean nothing."""

import functools
import tomllib
from importlib import resources
from typing import Any


@functools.cache
def _file() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("synonyms.toml").read_text(encoding="utf-8"))


def column_names(section: str) -> dict[str, list[str]]:
    """Per field the names its column may have, best first, as they stand in the file."""
    found: dict[str, list[str]] = _file()[section]
    return found


def word_list(name: str) -> list[str]:
    """One list of `[values]`."""
    found: list[str] = _file()["values"][name]
    return found


def normalised(name: str) -> str:
    """A column name as it is compared: lower case, letters and digits only."""
    return "".join(c for c in name.casefold() if c.isalnum())
