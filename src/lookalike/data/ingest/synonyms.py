"""The contents of `synonyms.toml`: names that columns have in common exports, and values with a special meaning."""

import functools
import tomllib
from importlib import resources
from typing import Any


@functools.cache
def _file() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("synonyms.toml").read_text(encoding="utf-8"))


def column_names(section: str) -> dict[str, list[str]]:
    """field -> the names its column may have, best first."""
    names: dict[str, list[str]] = _file()[section]
    return names


def word_list(name: str) -> list[str]:
    """One list of the section `values`."""
    words: list[str] = _file()["values"][name]
    return words


def normalised(name: str) -> str:
    """A column name as names are compared: lower case, letters and digits only."""
    return "".join(c for c in name.casefold() if c.isalnum())
