"""The fitted arrays of a run, read without its weights."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lookalike.encoder.run_arrays import load_run_arrays
from lookalike.encoder.run_files import FITTED_FILE, RUN_FILES
from lookalike.errors import StateError
from lookalike.workspace.files import sha256
from lookalike.workspace.paths import WorkspaceFolder
from run_configs import MANIFEST


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspaceFolder:
    """With one run of two arrays."""
    workspace = WorkspaceFolder(tmp_path)
    (folder := workspace.runs / "r000001").mkdir(parents=True)
    save_file({"prior.mean": np.arange(3.0), "content.idf": np.ones(2)}, folder / FITTED_FILE)
    hashes = dict.fromkeys(RUN_FILES, "") | {FITTED_FILE: sha256(folder / FITTED_FILE)}
    MANIFEST.model_copy(update={"sha256": hashes}).write(folder / "manifest.json")
    return workspace


def test_arrays_are_chosen_by_their_prefix(workspace: WorkspaceFolder) -> None:
    arrays = load_run_arrays(workspace, "r000001", "prior.")
    assert {name: array.tolist() for name, array in arrays.items()} == {"mean": [0, 1, 2]}


def test_a_run_that_is_gone_has_no_arrays(workspace: WorkspaceFolder) -> None:
    assert load_run_arrays(workspace, "r000002", "prior.") == {}


def test_a_damaged_file_is_an_error(workspace: WorkspaceFolder) -> None:
    (workspace.runs / "r000001" / FITTED_FILE).write_bytes(b"x" * 100)
    with pytest.raises(StateError, match="was changed"):
        load_run_arrays(workspace, "r000001", "prior.")
