"""The examples in the docstrings of every exported name run as they are written."""

import doctest
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lookalike as la
from small_log import Inputs, id_file, user_ids

pytest_plugins = ("space_fixtures",)


def examples() -> Iterator[doctest.DocTest]:
    """The examples of the package and of each exported name, those of methods included."""
    finder = doctest.DocTestFinder(exclude_empty=True, recurse=True)
    yield from doctest.DocTestFinder(recurse=False).find(la, "lookalike", module=False)
    for name in la.__all__:
        yield from finder.find(getattr(la, name), name, module=False)


EXAMPLES = {example.name: example for example in examples() if example.examples}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, trained_space: Path, inputs: Inputs) -> Path:
    """A folder with the trained workspace `client/`, which has two lists, and with the files that examples read."""
    folder = tmp_path_factory.mktemp("doctests")
    shutil.copytree(trained_space, folder / "client")
    for file in (inputs.log, inputs.seed):
        shutil.copy(file, folder)
    id_file(folder / "customers.csv", user_ids()[200:210])
    ws = la.open(folder / "client")
    for seed in (inputs.seed, inputs.others):
        ws.expand(seed=seed, size=20, force=True)
    return folder


@pytest.fixture
def names(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What examples may use without saying where it is from: the package, a workspace, an expansion."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    ws = la.open("client/")
    return {"la": la, "ws": ws, "result": ws.expand(seed="fans.csv", size=20)}


def test_every_exported_name_has_an_example() -> None:
    assert {name.split(".")[0] for name in EXAMPLES} == {"lookalike", *la.__all__}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run_as_written(name: str, names: dict[str, Any]) -> None:
    output: list[str] = []
    example = EXAMPLES[name]
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    example.globs = names
    outcome = runner.run(example, out=output.append)
    assert outcome.attempted > 0
    assert outcome.failed == 0, "".join(output)
