"""The manifest is read back as it was written."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lookalike.data.schema import SourceFile
from lookalike.embeddings.manifest import VersionManifest
from lookalike.errors import StateError
from lookalike.workspace.files import read_json, write_json
from stored_vectors import WIDTHS, facts_of


def manifest_of(**changes: Any) -> VersionManifest:
    return VersionManifest(
        **dict(facts_of(WIDTHS, **changes)),
        users=3,
        shards=(2, 1),
        sha256={"users.parquet": "abc"},
        checksums={"users.parquet": "def"},
        largest={block: (1.5, 0.25) for block in WIDTHS},
    )


def test_a_written_manifest_is_read_back(tmp_path: Path) -> None:
    files = (SourceFile(name="a.csv", sha256="abc", kind="events"),)
    moment = datetime(2024, 3, 1, 0, 0, 0, 1)
    manifest = manifest_of(files=files, as_of=moment, everybody_as_of=datetime(2024, 2, 1), refreshed=7)
    manifest.write(tmp_path / "manifest.json")
    assert VersionManifest.read(tmp_path / "manifest.json") == manifest
    stored = read_json(tmp_path / "manifest.json")
    assert (stored["schema_version"], stored["as_of"]) == (2, "2024-03-01T00:00:00.000001")
    assert stored["files"] == [{"name": "a.csv", "sha256": "abc", "kind": "events"}]


@pytest.mark.parametrize("key", ["checksums", "largest", "min_events", "last_file"])
def test_a_manifest_that_lacks_a_key_is_a_state_error(tmp_path: Path, key: str) -> None:
    values = manifest_of().as_json()
    del values[key]
    write_json(tmp_path / "manifest.json", values)
    with pytest.raises(StateError, match=key):
        VersionManifest.read(tmp_path / "manifest.json")
