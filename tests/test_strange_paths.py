"""The commands in folders and on files whose names look like patterns, and where no database can be."""

import os
import re
import shutil
from pathlib import Path

import pytest

from lookalike.cli.app import main
from small_log import SETTINGS, TRAIN, Command, Inputs, id_file

pytest_plugins = ("space_fixtures",)

SOURCE = Path(__file__).parents[1] / "src"
STRANGE = "Client [EU] * row=5 %s 'q' ü"


def test_every_command_works_below_a_folder_that_looks_like_a_pattern(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, inputs: Inputs
) -> None:
    folder = tmp_path / STRANGE
    logs, space = folder / "in [?]", folder / "space [1]*"
    logs.mkdir(parents=True)
    space.mkdir()
    (space / "lookalike.toml").write_text(SETTINGS)
    shutil.copy(inputs.log, logs / "log [1]?.parquet")
    seed, suppressed = (
        shutil.copy(file, folder / f"{file.stem} [a-z]*?.csv") for file in (inputs.seed, inputs.suppressed)
    )
    run = Command(capsys, space)
    for words in (
        ("ingest", logs, "--items", inputs.items),
        TRAIN,
        ("expand", "--seed", seed, "--size", "10%", "--name", "fans", "--suppress", suppressed, "--reasons"),
        (
            "expand",
            "--seed",
            seed,
            "--size",
            "10%",
            "--force",
            "--name",
            "more",
            "--disjoint-from",
            "fans",
            "--format",
            "parquet",
        ),
        ("report", "fans"),
        ("embed",),
        ("status",),
        ("overlap", "fans", "more"),
    ):
        ran = run(*words)
        assert ran.code == 0, (words, ran.err)


@pytest.mark.parametrize("name", [b"what?", b"back\\slash", b"\xff"])
def test_a_workspace_that_no_database_can_be_in_is_refused_before_it_is_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, inputs: Inputs, name: bytes
) -> None:
    folder = tmp_path / os.fsdecode(name)
    assert main(["--workspace", str(folder), "ingest", str(inputs.log)]) == 2
    assert "a workspace cannot be in a folder whose name has" in capsys.readouterr().err
    assert not folder.exists()


def test_files_with_names_that_cannot_be_read_are_refused_in_one_line(fresh: Command, inputs: Inputs) -> None:
    path = fresh.workspace / os.fsdecode(b"\xff.csv")
    for words in (("ingest", path), ("ingest", fresh.workspace)):
        id_file(inputs.folder / "made.csv", ["ann"])
        shutil.copy(inputs.folder / "made.csv", path)
        ran = fresh(*words)
        assert (ran.code, len(ran.err.splitlines())) == (3, 2), ran.err


def test_no_path_is_read_as_a_pattern() -> None:
    """Polars and DuckDB take `[`, `*` and `?` in a path for a pattern unless they are told otherwise."""
    for file in SOURCE.rglob("*.py"):
        for call in re.findall(r"pl\.(?:read|scan)_\w+\(.*", file.read_text(encoding="utf-8")):
            assert "glob=False" in call, (file, call)
        assert not re.search(r"read_(?:parquet|csv|json_objects)\(\?", file.read_text(encoding="utf-8")), file
