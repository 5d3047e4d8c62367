"""Text that becomes part of a statement: the only place where a value is made into SQL.

DuckDB takes no parameters for most options of its readers; everything that is put into a statement comes through here
or through `store.quoted`.
"""

from collections.abc import Iterable
from pathlib import Path


def literal(text: str) -> str:
    """A string as SQL takes it, whatever it contains. Standard strings know no escapes but the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    return ", ".join(literal(text) for text in texts)


def file(path: Path) -> str:
    """A path as DuckDB's readers take it: absolute, so that no scheme is seen in it, and never read as a pattern."""
    return literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path.resolve())))
