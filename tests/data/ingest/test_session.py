"""The state of a connection while files are read."""

from pathlib import Path

import pytest

from lookalike.data.ingest.session import private_session
from lookalike.workspace.paths import WorkspaceFolder


def test_a_database_in_memory_spills_into_the_workspace_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here := tmp_path / "it's here").mkdir()
    monkeypatch.chdir(here)
    workspace = WorkspaceFolder(tmp_path / "client's")
    with workspace.locked(create=True):
        with private_session("UTC") as (connection, scratch):
            connection.execute("SET memory_limit = '16MB'")
            connection.execute("SET threads = 1")
            result = connection.execute("SELECT range FROM range(2_000_000) ORDER BY hash(range)")
            result.fetchmany(10)
            assert scratch.parent == workspace.root
            assert list((scratch / "spill").iterdir())
            assert not list(here.iterdir())
        assert [path.name for path in workspace.root.iterdir()] == [".lock"]
