"""Values as SQL text. DuckDB takes no parameters for most options of its readers.

Everything that is put into a statement goes through this module or `database.quoted`.
"""

from collections.abc import Iterable
from pathlib import Path


def literal(text: str) -> str:
    """The string as an SQL literal. Standard SQL strings know no escape but the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """The strings as SQL literals, separated by commas."""
    return ", ".join(literal(text) for text in texts)


def parquet(path: Path) -> str:
    """What stands after FROM to read a Parquet file that this program wrote."""
    return f"read_parquet({path_literal(path)}, hive_partitioning=false)"


def path_literal(path: Path) -> str:
    """The path as DuckDB's readers take it: absolute, so it cannot be taken for a URL, with glob characters escaped."""
    return literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path.resolve())))
