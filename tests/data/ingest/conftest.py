"""An empty database for each test of ingest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lookalike.data.database import Database, open_file


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_file(tmp_path / "space" / "lookalike.duckdb") as opened:
        yield opened
