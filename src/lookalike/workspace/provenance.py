"""What a result was made with, and when."""

import importlib.metadata
import platform
from datetime import UTC, datetime

from lookalike import __version__

_LIBRARIES = ("duckdb", "faiss-cpu", "numpy", "polars", "pyarrow", "scikit-learn", "scipy", "torch")


def library_versions() -> dict[str, str]:
    """The versions of this program, of Python, and of the libraries whose arithmetic shows in results."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"lookalike": __version__, "python": platform.python_version(), **libraries}


def utc_now() -> str:
    """The current time as manifests store it: `2026-03-01T12:00:00Z`."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"
