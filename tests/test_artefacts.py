"""No stored file is trusted: whatever byte of it changes, whatever type a value of it has, a command says so with exit 4."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lookalike.api.embed import EmbedRequest, embed
from lookalike.api.report import report
from lookalike.api.status import expansions, run_summaries, status
from lookalike.embeddings.representation import live_version
from lookalike.embeddings.user_index import UserIndex
from lookalike.encoder import runs
from lookalike.encoder.run_files import RUN_FILES, RunManifest
from lookalike.errors import LookalikeError, StateError
from lookalike.workspace.files import sha256
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from small_log import Command, Inputs

pytest_plugins = ("space_fixtures",)

VERSION, RUN, AUDIENCE = "embeddings/v000001", "runs/r000001", "audiences/fans"
SHARDS = [f"{VERSION}/{name}-00000.npy" for name in ("sequence", "content", "aggregates", "tie")]
ARTEFACTS = [
    *SHARDS,
    f"{VERSION}/users.parquet",
    f"{VERSION}/manifest.json",
    "embeddings/CURRENT",
    *(f"{RUN}/{name}" for name in RUN_FILES),
    f"{AUDIENCE}/evaluation.json",
]
REGIONS = 40


@pytest.fixture
def workspace(expanded_space: Path, tmp_path: Path) -> WorkspaceFolder:
    """A copy of the workspace with the expansion `fans`."""
    shutil.copytree(expanded_space, tmp_path / "space")
    return WorkspaceFolder(tmp_path / "space")


def read_everything(workspace: WorkspaceFolder) -> None:
    """Opens what the commands open."""
    live = live_version(workspace)
    rows = np.arange(live.users)
    live.gather(rows)
    live.ties(rows)
    UserIndex(live).ids(rows)
    runs.load_run(workspace, live.manifest.run)
    report(workspace, "fans")


@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_a_changed_byte_anywhere_is_noticed(workspace: WorkspaceFolder, artefact: str) -> None:
    read_everything(workspace)
    file = workspace.root / artefact
    content = file.read_bytes()
    for place in np.unique(np.linspace(0, len(content) - 1, REGIONS).astype(int)):
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(changed)
        if artefact.endswith(".json") and is_same_json(bytes(changed), content):
            continue  # whitespace
        with pytest.raises(StateError):
            read_everything(workspace)
    file.write_bytes(content)
    read_everything(workspace)


def is_same_json(changed: bytes, content: bytes) -> bool:
    try:
        return bool(json.loads(changed) == json.loads(content))
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("artefact", "words"),
    [
        (SHARDS[2], ("expand", "--size", "5%", "--name", "new")),
        (f"{VERSION}/users.parquet", ("expand", "--size", "5%", "--name", "new")),
        (f"{RUN}/items.npy", ("embed", "--full")),
        (f"{RUN}/fitted.safetensors", ("expand", "--size", "5%", "--name", "new")),
        (f"{AUDIENCE}/evaluation.json", ("report", "fans")),
    ],
)
def test_commands_exit_with_4(expanded: Command, inputs: Inputs, artefact: str, words: tuple[str, ...]) -> None:
    file = expanded.workspace / artefact
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3] = bytes(byte ^ 1 for byte in content[middle : middle + 3])
    file.write_bytes(content)
    seed = ("--seed", inputs.seed) if words[0] == "expand" else ()
    ran = expanded("--json", *words, *seed)
    assert (ran.code, ran.out) == (4, "")
    assert Path(artefact).name in ran.complaint[0]


# --- values of another type, in files whose hashes fit -----------------------------------------------------------------

WRONG: tuple[Any, ...] = (None, [], {}, "x", -1, 2**70, 1e300, True, [[]], {"a": []})


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values of a JSON document, of a list or a long table only the first two."""
    yield path
    if isinstance(value, dict):
        for key in list(value)[:40]:
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list):
        for number in range(min(2, len(value))):
            yield from leaves(value[number], (*path, number))


def replaced(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    if not path:
        return wrong
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], wrong)
    return copy


def wrong_documents(file: Path) -> Iterator[Any]:
    document = json.loads(file.read_text())
    for number, path in enumerate(leaves(document)):
        yield replaced(document, path, WRONG[number % len(WRONG)])


@pytest.mark.parametrize(
    ("artefact", "read"),
    [
        (f"{VERSION}/manifest.json", live_version),
        (f"{RUN}/manifest.json", run_summaries),
        (f"{AUDIENCE}/manifest.json", expansions),
        ("embeddings/CURRENT", live_version),
        ("embeddings/CURRENT", status),
    ],
)
def test_a_wrong_type_in_a_manifest_is_a_state_error(
    workspace: WorkspaceFolder, artefact: str, read: Callable[[WorkspaceFolder], object]
) -> None:
    file = workspace.root / artefact
    texts = ["\xff\x00", "", "[" * 100_000, "9" * 5_000, '"x"', "v²", ".."]
    if artefact.endswith(".json"):
        texts += [json.dumps(document) for document in wrong_documents(file)]
    refused = 0
    for text in texts:
        file.write_text(text, encoding="latin-1")
        try:
            read(workspace)
        except StateError:
            refused += 1
    assert refused > 0.6 * len(texts) or read is status  # which only needs to answer


def sealed(folder: Path) -> None:
    """Makes the hashes of a run those of its files, as a stranger would."""
    manifest = RunManifest.read(folder / "manifest.json")
    hashes = {name: sha256(folder / name) for name in RUN_FILES}
    manifest.model_copy(update={"sha256": hashes}).write(folder / "manifest.json")


def strangers_folder(workspace: WorkspaceFolder, tmp_path: Path) -> Path:
    shutil.copytree(workspace.runs / "r000001", folder := tmp_path / "stranger" / "r000001")
    return folder


def adopted(workspace: WorkspaceFolder, folder: Path) -> bool:
    """Whether the run was taken; it is an error of ours if not, and then leaves no trace."""
    before = (runs.run_names(workspace), live_version(workspace).version)
    try:
        embed(workspace, EmbedRequest(str(folder)), QuietProgress())
    except LookalikeError as error:
        failure = error
    else:
        return True
    assert failure.exit_code in (2, 4)
    assert (runs.run_names(workspace), live_version(workspace).version) == before
    return False


@pytest.mark.parametrize("artefact", ["config.json", "vocabulary.json"])
def test_a_run_with_wrong_types_and_fitting_hashes_is_refused_before_it_is_copied(
    workspace: WorkspaceFolder, tmp_path: Path, artefact: str
) -> None:
    folder = strangers_folder(workspace, tmp_path)
    file = folder / artefact
    original = file.read_text()
    documents = list(wrong_documents(file))
    refused = 0
    for document in documents:
        file.write_text(json.dumps(document))
        sealed(folder)
        refused += not adopted(workspace, folder)
    file.write_text(original)
    sealed(folder)
    assert adopted(workspace, folder)
    assert refused > 0.6 * len(documents)


@pytest.mark.parametrize(
    "items",
    [
        pl.DataFrame({"row": [0], "item_id": ["a"]}),
        pl.DataFrame({"row": ["0"], "item_id": ["a"], "attributes": [[0]]}),
        pl.DataFrame({"row": [1, 0], "item_id": ["a", "b"], "attributes": [[0], [0]]}),
        pl.DataFrame({"row": [0, 1], "item_id": ["a", "a"], "attributes": [[0], [0]]}),
        pl.DataFrame({"row": [0], "item_id": [None], "attributes": [[0]]}),
        pl.DataFrame({"row": [0], "item_id": ["a"], "attributes": [[10**6]]}),
        pl.DataFrame({"row": [0], "item_id": ["a"], "attributes": [[-1]]}),
        pl.DataFrame({"row": [0], "item_id": ["a"], "attributes": [[0]]}),
    ],
)
def test_a_run_with_another_list_of_items_is_refused(
    workspace: WorkspaceFolder, tmp_path: Path, items: pl.DataFrame
) -> None:
    folder = strangers_folder(workspace, tmp_path)
    columns = {"row": pl.Int64, "item_id": pl.String, "attributes": pl.List(pl.Int32)}
    fitting = items.cast({name: columns[name] for name in items.columns}) if items["row"].dtype == pl.Int64 else items
    fitting.write_parquet(folder / "items.parquet")
    sealed(folder)
    assert not adopted(workspace, folder)
