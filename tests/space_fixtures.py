"""Fixtures on the small log. A test module asks for them with `pytest_plugins = ("space_fixtures",)`.

They are in a module of their own because pytest cannot rewrite the asserts of a plugin that was imported before.
"""

import shutil
from pathlib import Path

import pytest

from lookalike.cli.app import main
from small_log import Command, Inputs, trained, write


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return write(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def trained_space(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Path:
    """Trained once; tests only read it, or copy it."""
    return trained(tmp_path_factory.mktemp("trained"), inputs)


@pytest.fixture(scope="session")
def expanded_space(tmp_path_factory: pytest.TempPathFactory, trained_space: Path, inputs: Inputs) -> Path:
    """The same with the expansion `fans`: 10 % of the candidates, some users suppressed."""
    folder = tmp_path_factory.mktemp("expanded") / "space"
    shutil.copytree(trained_space, folder)
    words = ("expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed)
    assert main(["--workspace", str(folder), "--quiet", "--json", *map(str, words)]) == 0
    return folder


@pytest.fixture
def fresh(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Commands in an empty workspace."""
    (tmp_path / "space").mkdir(exist_ok=True)
    return Command(capsys, tmp_path / "space")


@pytest.fixture
def ready(capsys: pytest.CaptureFixture[str], tmp_path: Path, trained_space: Path) -> Command:
    """Commands in a copy of the trained workspace."""
    shutil.copytree(trained_space, tmp_path / "space", dirs_exist_ok=True)
    return Command(capsys, tmp_path / "space")


@pytest.fixture
def expanded(capsys: pytest.CaptureFixture[str], tmp_path: Path, expanded_space: Path) -> Command:
    """Commands in a copy of the workspace that has the expansion `fans`."""
    shutil.copytree(expanded_space, tmp_path / "space", dirs_exist_ok=True)
    return Command(capsys, tmp_path / "space")
