"""What many tests share: an empty store, and a small trained workspace."""

import os

# Before torch is loaded: tests run side by side, and threads that wait for a busy core take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lookalike.data import private_values
from lookalike.data.database import Database, open_file
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.settings import TrainSettings
from planted_log import SMALL, Population, planted, trained


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    with open_file(tmp_path / "space" / "lookalike.duckdb") as database:
        yield database


@pytest.fixture
def rare_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a value that one person has get a code: for logs of a few people."""
    monkeypatch.setattr(private_values, "MIN_USERS_PER_VALUE", 1)


@pytest.fixture
def store(database: Database) -> Database:
    return database


@pytest.fixture(scope="session")
def population() -> Callable[..., Population]:
    return planted


@dataclass(frozen=True)
class Tiny:
    """A trained workspace, only to be read: copy it before breaking it."""

    workspace: WorkspaceFolder
    population: Population
    settings: TrainSettings


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    log = planted(600, seed=1)
    return Tiny(trained(tmp_path_factory.mktemp("tiny"), log), log, SMALL)
