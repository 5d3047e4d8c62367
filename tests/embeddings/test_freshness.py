"""Files that were ingested after a version was made."""

from pathlib import Path

import pytest

from lookalike.data.database import Database, ingested_files
from lookalike.embeddings import freshness, representation, writer
from lookalike.workspace.paths import WorkspaceFolder
from stored_vectors import WIDTHS, facts_of, slices_of, users_file, values_of


@pytest.mark.parametrize(("later", "newer"), [(0, 0), (1, 1), (3, 3)])
def test_newer_files_are_counted(database: Database, tmp_path: Path, later: int, newer: int) -> None:
    def ingest(number: int) -> None:
        database.rows(
            "INSERT INTO files VALUES (?, 'a.csv', 'abc', 'events', 1, 1, 0, 0, NULL, NULL, '{}', now()::TIMESTAMP)",
            number,
        )

    ingest(1)
    workspace = WorkspaceFolder(tmp_path / "vectors")
    workspace.root.mkdir()
    facts, users = facts_of(WIDTHS, files=ingested_files(database), last_file=1), users_file(tmp_path / "in.parquet", 5)
    work = writer.BlockWork(slices_of(values_of(users=5)))
    writer.write_version(workspace, users, work, facts, lambda done: None)
    for number in range(later):
        ingest(2 + number)
    assert freshness.newer_files(database, representation.live_version(workspace)) == newer
