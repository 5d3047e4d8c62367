"""A process that is killed anywhere in train or expand leaves the old state, and the same command then finishes."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lookalike.cli.app import main
from lookalike.encoder.checkpoints import CheckpointState
from small_log import Command, Inputs, snapshot

pytest_plugins = ("space_fixtures",)

# Runs a command of the program, and kills it by kill -9 at the n-th call of a function.
_KILLED = """
import importlib, os, signal, sys
from lookalike.cli.app import main

module, name = sys.argv[1].rsplit(".", 1)
calls = int(sys.argv[2])
owner = importlib.import_module(module)
function = getattr(owner, name)

def die_at_last_call(*arguments, **keywords):
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*arguments, **keywords)

setattr(owner, name, die_at_last_call)
sys.exit(main(sys.argv[3:]))
"""
THREE_EPOCHS = ("train", "--encoder", "mean", "--dim", "16", "--epochs", "3")


def run_killed(workspace: Path, function: str, call: int, *words: object) -> None:
    command = [sys.executable, "-c", _KILLED, function, str(call), "--workspace", str(workspace), *map(str, words)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert process.returncode == -signal.SIGKILL, f"{function} was not called {call} times: {process}"


def expanding(inputs: Inputs, size: int = 20) -> tuple[object, ...]:
    return ("expand", "--seed", inputs.seed, "--size", size, "--name", "fans", "--replace")


def without_times(folder: Path) -> dict[str, str]:
    """The files of a run or a version without those that say when and by which run it was made."""
    return {name: digest for name, digest in snapshot(folder).items() if name not in ("manifest.json", "metrics.json")}


def left_overs(workspace: Path) -> list[str]:
    """Temporary and replaced files and folders."""
    names = [path.relative_to(workspace).as_posix() for path in workspace.rglob("*")]
    return [name for name in names if "/." in f"/{name}" and name != ".lock"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, trained_space: Path, inputs: Inputs) -> Path:
    """The workspace after a training and an expansion that were not killed."""
    workspace = tmp_path_factory.mktemp("undisturbed") / "space"
    shutil.copytree(trained_space, workspace)
    for words in (THREE_EPOCHS, expanding(inputs)):
        assert main(["--workspace", str(workspace), "--quiet", *map(str, words)]) == 0
    return workspace


def short_name(value: object) -> str:
    return str(value).removeprefix("lookalike.")


# --- train -----------------------------------------------------------------------------------------------------------

IN_TRAIN = [
    ("lookalike.data.sequence_builder.build_sequences", 1),
    ("lookalike.encoder.checkpoints.save_file", 2),
    ("lookalike.workspace.files._swap", 2),  # the second checkpoint replaces the first
    ("lookalike.encoder.runs.save_file", 1),
    ("lookalike.embeddings.writer.checksum", 2),
    ("lookalike.embeddings.writer.write_text", 1),  # the version is complete, the pointer is the old one
    ("lookalike.encoder.checkpoints.drop_checkpoint", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "call"), IN_TRAIN, ids=short_name)
def test_a_killed_training_leaves_the_old_vectors_and_then_finishes(
    expanded: Command, inputs: Inputs, undisturbed: Path, function: str, call: int
) -> None:
    workspace = expanded.workspace
    before = snapshot(workspace)
    run_killed(workspace, function, call, *THREE_EPOCHS)
    after = snapshot(workspace)
    version_is_live = function == "lookalike.encoder.checkpoints.drop_checkpoint"
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed <= ({"embeddings/CURRENT"} if version_is_live else set())
    # the next command works with what is there, and cleans up
    assert expanded("--json", *expanding(inputs)).code == 0
    assert left_overs(workspace) == []
    ran = expanded("--json", *THREE_EPOCHS)
    assert ran.code == 0, ran.err
    assert not (workspace / "runs" / "unfinished").exists()
    version, run = ran.json["version"], ran.json["run"]
    assert without_times(workspace / "embeddings" / version) == without_times(undisturbed / "embeddings" / "v000002")
    weights, expected = (
        snapshot(folder)["model.safetensors"] for folder in (workspace / "runs" / run, undisturbed / "runs" / "r000002")
    )
    assert weights == expected
    assert expanded(*expanding(inputs)).code == 0
    prospects = "audiences/fans/prospects.csv"
    assert (workspace / prospects).read_bytes() == (undisturbed / prospects).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_killed_training_resumes_after_the_last_epoch(ready: Command, undisturbed: Path, epoch: int) -> None:
    workspace = ready.workspace
    run_killed(workspace, "lookalike.encoder.checkpoints.new_folder", epoch + 1, *THREE_EPOCHS)
    state = json.loads((workspace / "runs" / "unfinished" / "state.json").read_text())
    assert state["epoch"] == epoch
    ran = ready("--json", *THREE_EPOCHS, "--resume")
    assert ran.code == 0, ran.err
    assert f"resuming after epoch {epoch}" in ran.err
    resumed, expected = snapshot(workspace / "runs" / ran.json["run"]), snapshot(undisturbed / "runs" / "r000002")
    for name in ("model.safetensors", "items.npy"):
        assert resumed[name] == expected[name]


def clean_up(command: Command) -> None:
    """Runs a command that takes the lock, and so removes left-overs, but changes nothing else."""
    assert command("expand", "--seed", "no-such-file.csv", "--size", "5").code == 3


def test_resume_needs_no_flags_of_the_training(ready: Command) -> None:
    run_killed(ready.workspace, "lookalike.encoder.checkpoints.save_checkpoint", 2, *THREE_EPOCHS)
    ran = ready("--json", "train", "--resume")
    assert ran.code == 0, ran.err
    assert ran.json["epochs"] == 3


def test_resume_refuses_a_damaged_checkpoint(ready: Command) -> None:
    run_killed(ready.workspace, "lookalike.encoder.checkpoints.save_checkpoint", 2, *THREE_EPOCHS)
    clean_up(ready)
    path = ready.workspace / "runs" / "unfinished" / "checkpoint.safetensors"
    content = path.read_bytes()
    other = (ready.workspace / "runs" / "r000001" / "model.safetensors").read_bytes()
    for damaged in (content[:1000], content[:-100], b"\xff" * 5000, b"", other):
        path.write_bytes(damaged)
        message, hint = ready.refused(4, *THREE_EPOCHS, "--resume")
        assert "unfinished" in message
        assert "without --resume" in hint
    path.unlink()
    ready.refused(4, *THREE_EPOCHS, "--resume")
    assert ready(*THREE_EPOCHS).code == 0


# --- expand ----------------------------------------------------------------------------------------------------------

IN_EXPAND = [
    pytest.param("lookalike.data.id_lists.write_text", 1, marks=pytest.mark.slow),  # the list
    pytest.param("lookalike.workspace.records.write_json", 2, marks=pytest.mark.slow),  # the manifest
    pytest.param("lookalike.workspace.files._flush", 1, marks=pytest.mark.slow),
    pytest.param("os.rename", 1, marks=pytest.mark.slow),  # the old list is renamed
    pytest.param("os.rename", 2),  # and the new one has not arrived
    pytest.param("os.rename", 3),  # it has, and the old one is not among the earlier ones yet
    pytest.param("lookalike.workspace.files.settle", 1, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(
    "function", [*(name for name, _ in IN_TRAIN), *(parameters.values[0] for parameters in IN_EXPAND)]
)
def test_the_functions_to_kill_exist(function: str) -> None:
    """A quick test, so that nobody moves one of them without noticing."""
    module, _, name = function.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize(("function", "call"), IN_EXPAND, ids=short_name)
def test_a_killed_expansion_leaves_the_old_list_and_then_finishes(
    expanded: Command, inputs: Inputs, function: str, call: int
) -> None:
    workspace = expanded.workspace
    folder = workspace / "audiences" / "fans"
    before = snapshot(folder)
    arrived = (function, call) in (("os.rename", 3), ("lookalike.workspace.files.settle", 1))
    run_killed(workspace, function, call, *expanding(inputs))
    clean_up(expanded)
    assert snapshot(folder / "earlier" / "v001" if arrived else folder) == before
    assert (folder / "earlier").exists() == arrived
    assert left_overs(workspace) == []
    assert expanded("report", "fans").code == 0
    assert expanded(*expanding(inputs)).code == 0
    assert len((folder / "prospects.csv").read_text().splitlines()) == 21
    kept = folder / "earlier" / "v001"
    assert {name: digest for name, digest in snapshot(kept).items() if name != "report.html"} == before
    assert left_overs(workspace) == []


def test_a_killed_first_expansion_leaves_none(ready: Command, inputs: Inputs) -> None:
    run_killed(ready.workspace, "lookalike.workspace.files._swap", 1, *expanding(inputs))
    assert ready("--json", "status").json["expansions"] == []
    assert not (ready.workspace / "audiences" / "fans").exists()
    assert ready(*expanding(inputs)).code == 0


# --- an interrupt ----------------------------------------------------------------------------------------------------


def test_an_interrupted_training_ends_with_130_and_can_be_resumed(ready: Command) -> None:
    train = ("train", "--encoder", "mean", "--dim", "16", "--epochs", "5000", "--random-seed", "3")
    (ready.workspace / "lookalike.toml").write_text(
        "[train]\npatience = 100000\nfinish = false\ncontent_dim = 8\ngroup_columns = 16\n"
    )
    before = snapshot(ready.workspace)
    command = [sys.executable, "-m", "lookalike", "--workspace", str(ready.workspace), *train]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        state = ready.workspace / "runs" / "unfinished" / "state.json"
        deadline = time.monotonic() + 60
        while not state.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-2:] == [
        "interrupted: nothing is half-written",
        f"hint: lookalike --workspace {ready.workspace} train --resume continues after the last whole epoch",
    ]
    assert "Traceback" not in err
    after = snapshot(ready.workspace)
    assert {name: after.get(name) for name in before} == before
    assert {name.split("/")[1] for name in after.keys() - before.keys()} == {"unfinished"}
    stored = CheckpointState.read(state)
    assert stored.epoch >= 1
    # the training is long: it ends soon only because the state is changed to its last epoch but one
    stored.model_copy(update={"epoch": 4999}).write(state)
    ran = ready("--json", *train, "--resume")
    assert ran.code == 0, ran.err
    assert ran.json["epochs"] == 5000
