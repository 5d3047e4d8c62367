"""A process that dies at any point of train or expand leaves the old state; the same command then finishes the same."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lookalike.cli.app import main
from small_log import Command, Inputs, snapshot

pytest_plugins = ("space_fixtures",)

# Runs a command of the program and kills it by kill -9 when the named function is called for the n-th time.
_KILLED = """
import importlib, os, signal, sys
from lookalike.cli.app import main

module, name = sys.argv[1].rsplit(".", 1)
calls = int(sys.argv[2])
owner = importlib.import_module(module)
real = getattr(owner, name)

def dying(*given, **named):
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **named)

setattr(owner, name, dying)
sys.exit(main(sys.argv[3:]))
"""
THREE = ("train", "--encoder", "mean", "--dim", "16", "--epochs", "3")


def killed(space: Path, where: str, call: int, *words: object) -> None:
    command = [sys.executable, "-c", _KILLED, where, str(call), "--workspace", str(space), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, f"{where} was not called {call} times: {done}"


def expanding(inputs: Inputs, size: int = 20) -> tuple[object, ...]:
    return ("expand", "--seed", inputs.seed, "--size", size, "--name", "fans")


def without_moments(folder: Path) -> dict[str, str]:
    """What a run or a version holds, but for the manifest, which says when it was made and by which run."""
    return {name: value for name, value in snapshot(folder).items() if name not in ("manifest.json", "metrics.json")}


def rubbish(space: Path) -> list[str]:
    names = [path.relative_to(space).as_posix() for path in space.rglob("*")]
    return [name for name in names if "/." in f"/{name}" and name != ".lock"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, trained_space: Path, inputs: Inputs) -> Path:
    """The workspace after a training and an expansion that nobody killed."""
    import shutil

    space = tmp_path_factory.mktemp("unbroken") / "space"
    shutil.copytree(trained_space, space)
    for words in (THREE, expanding(inputs)):
        assert main(["--workspace", str(space), "--quiet", *map(str, words)]) == 0
    return space


IN_TRAIN = [
    ("lookalike.data.sequence_builder.build_sequences", 1),
    ("lookalike.encoder.checkpoints.save_file", 2),
    ("lookalike.workspace.files._swap", 2),  # the second checkpoint takes the first one's place
    ("lookalike.encoder.runs.save_file", 1),
    ("lookalike.embeddings.writer.fingerprint", 2),
    ("lookalike.embeddings.writer.write_text", 1),  # the version is whole, the pointer is the old one
    ("lookalike.encoder.checkpoints.drop_checkpoint", 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("where", "call"), IN_TRAIN, ids=lambda value: str(value).removeprefix("lookalike."))
def test_training_that_was_killed_leaves_the_old_vectors_and_then_finishes(
    done: Command, inputs: Inputs, unbroken: Path, where: str, call: int
) -> None:
    space = done.workspace
    before = snapshot(space)
    killed(space, where, call, *THREE)
    after = snapshot(space)
    finished = where == "lookalike.encoder.checkpoints.drop_checkpoint"
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed <= ({"embeddings/CURRENT"} if finished else set())
    # whoever comes next can work with what is there, and sweeps
    assert done("--json", *expanding(inputs)).code == 0
    assert rubbish(space) == []
    ran = done("--json", *THREE)
    assert ran.code == 0, ran.err
    assert not (space / "runs" / "unfinished").exists()
    version, run = ran.json["version"], ran.json["run"]
    assert without_moments(space / "embeddings" / version) == without_moments(unbroken / "embeddings" / "v000002")
    assert (
        snapshot(space / "runs" / run)["model.safetensors"] == snapshot(unbroken / "runs/r000002")["model.safetensors"]
    )
    assert done(*expanding(inputs)).code == 0
    listed = "audiences/fans/prospects.csv"
    assert (space / listed).read_bytes() == (unbroken / listed).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2])
def test_training_that_was_killed_goes_on_from_the_last_epoch(ready: Command, unbroken: Path, epoch: int) -> None:
    space = ready.workspace
    killed(space, "lookalike.encoder.checkpoints.new_folder", epoch + 1, *THREE)
    state = json.loads((space / "runs" / "unfinished" / "state.json").read_text())
    assert state["epoch"] == epoch
    ran = ready("--json", *THREE, "--resume")
    assert ran.code == 0, ran.err
    assert f"resuming after epoch {epoch}" in ran.err
    made, expected = space / "runs" / ran.json["run"], unbroken / "runs" / "r000002"
    assert snapshot(made)["model.safetensors"] == snapshot(expected)["model.safetensors"]
    assert snapshot(made)["items.npy"] == snapshot(expected)["items.npy"]


def sweep(command: Command) -> None:
    """Any command that takes the lock removes what a killed one left; this one changes nothing else."""
    assert command("expand", "--seed", "no-such-file.csv", "--size", "5").code == 3


def test_resume_goes_on_as_the_training_was_begun(ready: Command) -> None:
    killed(ready.workspace, "lookalike.encoder.checkpoints.save_checkpoint", 2, *THREE)
    ran = ready("--json", "train", "--resume")  # no flag has to be said again
    assert ran.code == 0, ran.err
    assert ran.json["epochs"] == 3


def test_resume_refuses_damage(ready: Command) -> None:
    killed(ready.workspace, "lookalike.encoder.checkpoints.save_checkpoint", 2, *THREE)
    sweep(ready)
    path = ready.workspace / "runs" / "unfinished" / "checkpoint.safetensors"
    whole = path.read_bytes()
    other = (ready.workspace / "runs" / "r000001" / "model.safetensors").read_bytes()
    for damaged in (whole[:1000], whole[:-100], b"\xff" * 5000, b"", other):
        path.write_bytes(damaged)
        message, hint = ready.refused(4, *THREE, "--resume")
        assert "unfinished" in message
        assert "without --resume" in hint
    path.unlink()
    ready.refused(4, *THREE, "--resume")
    assert ready(*THREE).code == 0


IN_EXPAND = [
    pytest.param("lookalike.lists.write_text", 1, marks=pytest.mark.slow),
    pytest.param("lookalike.listing.write_json", 2, marks=pytest.mark.slow),
    pytest.param("lookalike.workspace._flush", 1, marks=pytest.mark.slow),
    pytest.param("os.rename", 1, marks=pytest.mark.slow),  # the old list steps aside
    pytest.param("os.rename", 2),  # and the new one has not come yet
    pytest.param("shutil.rmtree", 1, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("where", [*(where for where, _ in IN_TRAIN), *(one.values[0] for one in IN_EXPAND)])
def test_what_is_killed_is_there(where: str) -> None:
    """Quick, so that who moves a function learns of it at once."""
    module, _, name = where.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize(("where", "call"), IN_EXPAND, ids=lambda value: str(value).removeprefix("lookalike."))
def test_expansion_that_was_killed_leaves_the_old_list_and_then_finishes(
    done: Command, inputs: Inputs, where: str, call: int
) -> None:
    space = done.workspace
    folder = space / "audiences" / "fans"
    old = snapshot(folder)
    killed(space, where, call, *expanding(inputs))
    sweep(done)
    kept = snapshot(folder)
    assert kept == old or (where == "shutil.rmtree" and kept["prospects.csv"] != old["prospects.csv"])
    assert rubbish(space) == []
    assert done("report", "fans").code == 0
    assert done(*expanding(inputs)).code == 0
    assert len((folder / "prospects.csv").read_text().splitlines()) == 21
    assert rubbish(space) == []


def test_first_expansion_that_was_killed_leaves_none(ready: Command, inputs: Inputs) -> None:
    killed(ready.workspace, "lookalike.workspace._swap", 1, *expanding(inputs))
    assert ready("--json", "status").json["expansions"] == []
    assert not (ready.workspace / "audiences" / "fans").exists()
    assert ready(*expanding(inputs)).code == 0


def test_interrupted_training_ends_with_130_and_can_be_resumed(ready: Command, unbroken: Path) -> None:
    code = "import sys\nfrom lookalike.cli.app import main\nsys.exit(main(sys.argv[1:]))"
    long = ("train", "--encoder", "mean", "--dim", "16", "--epochs", "5000", "--random-seed", "3")
    (ready.workspace / "lookalike.toml").write_text(
        "[train]\npatience = 100000\nfinish = false\ncontent_dim = 8\ngroup_columns = 16\n"
    )
    before = snapshot(ready.workspace)
    command = [sys.executable, "-c", code, "--workspace", str(ready.workspace), *long]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        state = ready.workspace / "runs" / "unfinished" / "state.json"
        waited = time.monotonic() + 60
        while not state.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < waited
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert any(line.startswith("interrupted: ") for line in err.splitlines()[-2:])
    assert "Traceback" not in err
    after = snapshot(ready.workspace)
    assert {name: after.get(name) for name in before} == before
    assert {name.split("/")[1] for name in after.keys() - before.keys()} == {"unfinished"}
    reached = json.loads(state.read_text())
    assert reached["epoch"] >= 1
    # no flag makes it stop here; a state that says so does
    state.write_text(json.dumps(reached | {"epoch": 4999}))
    ran = ready("--json", *long, "--resume")
    assert ran.code == 0, ran.err
    assert ran.json["epochs"] == 5000
