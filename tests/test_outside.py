"""Nothing outside the workspace is written, renamed or deleted, whatever links, names, headers and definitions say."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from small_log import Command, Inputs, id_file, user_ids

pytest_plugins = ("space_fixtures",)

TRAIN = ("train", "--encoder", "mean", "--dim", "16", "--epochs", "2")
TEMPORARY, OLD, KEPT, SAME = (f".lookalike-{word}-" for word in ("tmp", "old", "kept", "same"))


@pytest.fixture
def outside(tmp_path: Path, expanded_space: Path) -> Path:
    """A neighbour's folder with a workspace of their own, and whatever a link could lead to."""
    folder = tmp_path / "outside"
    shutil.copytree(expanded_space, folder)
    for name in (f"{TEMPORARY}x", f"{OLD}y", "unfinished"):
        (folder / name).mkdir()
        (folder / name / "state.json").write_text("{}")
    (folder / "letter.txt").write_text("dear client")
    return folder


def state(folder: Path) -> dict[str, tuple[object, ...]]:
    """Every file and folder with its content, mode and time of change."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (content, status.st_mode, status.st_mtime_ns, status.st_ino)
    return found


def link(path: Path, target: Path) -> None:
    """Puts a link in the place of whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def commands(inputs: Inputs, tmp_path: Path) -> Iterator[tuple[object, ...]]:
    """Every command that writes or reads, so that each runs at least once."""
    (log := tmp_path / "more.csv").write_text("user_id,ts,item_id,event_type\nu001,2024-03-01,i01,view\n")
    (sessions := tmp_path / "sessions.csv").write_text("session_id,ts,item_id,event_type\ns1,2024-03-01,i01,view\n")
    few = id_file(tmp_path / "few.csv", user_ids()[-3:])
    yield ("status",)
    yield "verify", "fans"
    yield "report", "fans"
    yield "ingest", log
    yield "suppress", "add", few
    yield TRAIN
    yield "embed", "--full"
    yield "embed", "--sessions", sessions
    yield "expand", "--seed", inputs.seed, "--size", 20, "--name", "fans", "--replace"
    yield "expand", "--seed", inputs.seed, "--size", 10, "--name", "second", "--disjoint-from", "fans"
    yield "overlap", "fans", "second"
    yield "report", "fans"
    yield ("verify",)
    yield ("status",)


@pytest.mark.parametrize(
    "name", ["runs", "embeddings", "audiences", "lookalike.duckdb", "lookalike.duckdb.wal", ".lock", "lookalike.toml"]
)
def test_what_is_written_to_may_not_lead_outside(
    expanded: Command, inputs: Inputs, tmp_path: Path, outside: Path, name: str
) -> None:
    target = outside / name if (outside / name).exists() else outside / "letter.txt"
    link(expanded.workspace / name, target)
    before = state(outside)
    codes = [expanded(*words).code for words in commands(inputs, tmp_path)]
    assert state(outside) == before
    assert set(codes) <= {0, 4}
    if name != "lookalike.toml":
        assert 4 in codes


def test_links_inside_are_replaced_and_their_targets_stay(
    expanded: Command, inputs: Inputs, tmp_path: Path, outside: Path
) -> None:
    space = expanded.workspace
    links = {
        "audiences/fans": "audiences/fans",
        "audiences/dangling": "nowhere",
        f"audiences/{OLD}fans": "audiences/fans",
        f"audiences/{KEPT}fans": "audiences/fans",
        f"audiences/{SAME}fans": "audiences/fans",
        "embeddings/v000000": "embeddings/v000001",
        "embeddings/v000001": "embeddings/v000001",
        "embeddings/CURRENT": "embeddings/CURRENT",
        f"embeddings/{TEMPORARY}x": f"{TEMPORARY}x",
        "runs/r000002": "runs/r000001",
        "runs/unfinished": "unfinished",
        f"{TEMPORARY}duckdb": f"{TEMPORARY}x",
        f"{OLD}y": f"{OLD}y",
    }
    for name, target in links.items():
        link(space / name, outside / target)
    before = state(outside)
    for words in commands(inputs, tmp_path):
        ran = expanded(*words)
        assert ran.code == 0, (words, ran.err)
    assert state(outside) == before
    assert not (space / "audiences" / "fans").is_symlink()
    assert not any(
        (space / name).is_symlink() for name in ("embeddings/CURRENT", "runs/unfinished", f"{TEMPORARY}duckdb")
    )


def test_links_in_the_folder_of_an_expansion_are_not_followed(
    expanded: Command, inputs: Inputs, tmp_path: Path, outside: Path
) -> None:
    fans = expanded.workspace / "audiences" / "fans"
    for name in ("prospects.csv", "report.html", "evaluation.json", "manifest.json"):
        link(fans / name, outside / "letter.txt" if name == "report.html" else outside / "audiences" / "fans" / name)
    link(fans / "earlier", outside / "audiences")
    before = state(outside)
    for words in commands(inputs, tmp_path):
        ran = expanded(*words)
        assert ran.code == 0, (words, ran.err)
    assert state(outside) == before
    assert not any(path.is_symlink() for path in fans.iterdir())


@pytest.mark.parametrize("name", ["../../outside/x", "/tmp/x", "..", "earlier/../../x", "a/b", ".lookalike-tmp-x"])
def test_no_name_leads_outside(expanded: Command, inputs: Inputs, tmp_path: Path, outside: Path, name: str) -> None:
    (definition := tmp_path / "d.toml").write_text(f'seed = "{inputs.seed}"\nsize = 10\nname = "{name}"\n')
    (other := tmp_path / "e.toml").write_text(f'seed = "{inputs.seed}"\nsize = 10\ndisjoint_from = ["{name}"]\n')
    before, own = state(outside), {path.name for path in tmp_path.iterdir()}
    for words in (
        ("expand", "--seed", inputs.seed, "--size", 10, "--name", name),
        ("expand", "--seed", inputs.seed, "--size", 10, "--disjoint-from", name),
        ("expand", definition),
        ("expand", other),
        ("report", name),
        ("verify", name),
        ("overlap", "fans", name),
    ):
        assert expanded(*words).code in (2, 4), words
    assert state(outside) == before
    assert {path.name for path in tmp_path.iterdir()} == own


def test_headers_ids_and_names_of_files_are_no_paths(
    fresh: Command, inputs: Inputs, tmp_path: Path, outside: Path
) -> None:
    evil = str(outside / "letter")
    lines = [f'u{n % 60},2024-01-{n % 28 + 1:02d},"../../outside/{n % 9}",{n % 3}' for n in range(600)]
    (log := tmp_path / "..[x]*?.csv").write_text("\n".join([f'user_id,ts,item_id,"{evil}"', *lines]))
    before, own = state(outside), {path.name for path in tmp_path.iterdir()}
    assert fresh("ingest", tmp_path / "nothing" / ".." / log.name, "--context", evil).code in (0, 3)
    ran = fresh("ingest", log, "--context", evil)
    assert ran.code == 0, ran.err
    ran = fresh(*TRAIN)
    assert ran.code == 0, ran.err
    assert fresh("embed", "--sessions", log, "--map", "session_id=user_id").code == 0
    assert state(outside) == before
    assert {path.name for path in tmp_path.iterdir()} == own
