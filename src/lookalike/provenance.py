"""What an output was made with, and when."""

import importlib.metadata
import platform
from datetime import UTC, datetime

from lookalike import __version__


def versions() -> dict[str, str]:
    """The versions of this program, of Python, and of the libraries whose arithmetic shows in results."""
    named = ("duckdb", "faiss-cpu", "numpy", "polars", "pyarrow", "scikit-learn", "scipy", "torch")
    libraries = {name: importlib.metadata.version(name) for name in named}
    return {"lookalike": __version__, "python": platform.python_version(), **libraries}


def now() -> str:
    """This moment in UTC, as manifests have it."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"
