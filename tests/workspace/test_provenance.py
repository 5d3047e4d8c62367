"""Versions and times as manifests store them."""

from datetime import UTC, datetime, timedelta

import lookalike
from lookalike.workspace.provenance import library_versions, utc_now


def test_versions_name_the_program_python_and_the_libraries_whose_arithmetic_shows() -> None:
    versions = library_versions()
    assert versions["lookalike"] == lookalike.__version__
    libraries = {"duckdb", "faiss-cpu", "numpy", "polars", "pyarrow", "scikit-learn", "scipy", "torch"}
    assert versions.keys() == {"lookalike", "python"} | libraries
    assert all(versions.values())


def test_now_is_utc_to_the_second() -> None:
    text = utc_now()
    assert text.endswith("Z")
    assert len(text) == len("2026-03-01T12:00:00Z")
    assert abs(datetime.fromisoformat(text) - datetime.now(UTC)) < timedelta(minutes=1)
