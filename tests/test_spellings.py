"""However the log spells people who are not to be listed, and however a list does: they are not listed."""

from pathlib import Path
from uuid import UUID

import polars as pl
import pytest

import lookalike as la
from small_log import SETTINGS, events, user_ids

USERS = user_ids()
IN_LOG = ("{}.0", "'={}", "Ann{}", "00{}", "@{}", "plain{}")
IN_LIST = ("{}", "={}", "ANN{}", "{}", "'@{}", '="plain{}"')


def spelled(number: int, how: tuple[str, ...]) -> str:
    """The id of a user in one of six spellings, or a UUID."""
    kind = number % 7
    if kind < 6:
        return how[kind].format(1_000 + number)
    return f"{{{UUID(int=number + 2**64)}}}" if how is IN_LOG else UUID(int=number + 2**64).hex.upper()


LOGGED, LISTED = ([spelled(number, how) for number in range(len(USERS))] for how in (IN_LOG, IN_LIST))


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> la.Workspace:
    root = tmp_path_factory.mktemp("spellings")
    root.joinpath("lookalike.toml").write_text(SETTINGS)
    log = events().with_columns(user_id=pl.col("user_id").replace_strict(dict(zip(USERS, LOGGED, strict=True))))
    log.write_parquet(root / "log.parquet")
    workspace = la.open(root)
    workspace.ingest(root / "log.parquet")
    workspace.train(encoder="mean", dim=16, epochs=1)
    return workspace


def csv(path: Path, ids: list[str]) -> Path:
    pl.DataFrame({"user_id": ids}).write_csv(path)
    return path


def listed(result: la.ExpandResult) -> set[str]:
    assert result.prospects_file is not None
    return set(pl.read_parquet(result.prospects_file)["user_id"])


def test_nobody_on_a_suppression_list_is_listed_in_any_spelling(ws: la.Workspace, tmp_path: Path) -> None:
    seed, suppressed = csv(tmp_path / "seed.csv", LOGGED[:60]), csv(tmp_path / "out.csv", LISTED[100:200])
    result = ws.expand(seed=seed, suppress=suppressed, size=100, force=True, format="parquet")
    assert not listed(result) & set(LOGGED[100:200])
    assert not listed(result) & set(LOGGED[:60])
    suppression = result.evaluation.suppression
    assert suppression.matched + suppression.alike == 100
    assert suppression.alike > 40


def test_no_seed_is_listed_in_any_spelling(ws: la.Workspace, tmp_path: Path) -> None:
    seed = csv(tmp_path / "respelled.csv", LISTED[:210])
    result = ws.expand(seed=seed, size=80, force=True, format="parquet")
    assert not listed(result) & set(LOGGED[:210])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_nobody_of_another_list_is_listed_again(ws: la.Workspace, tmp_path: Path, suffix: str) -> None:
    seed = csv(tmp_path / "seed.csv", LOGGED[:60])
    first = ws.expand(seed=seed, size=100, force=True, name=f"first-{suffix}", format=suffix)
    assert first.prospects_file is not None
    second = ws.expand(
        seed=seed, size=100, force=True, name=f"second-{suffix}", disjoint_from=[f"first-{suffix}"], format="parquet"
    )
    again = ws.expand(seed=seed, size=100, force=True, name=f"third-{suffix}", format="parquet")
    assert len(listed(again)) == 100
    assert not listed(second) & listed(again)
