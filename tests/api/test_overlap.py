"""The overlap verb: reads the lists of audiences, and needs two of them."""

from pathlib import Path

import polars as pl
import pytest

from lookalike.api.overlap import overlap
from lookalike.campaigns.overlap import ListCount, PairOverlap
from lookalike.errors import SettingsError, StateError
from lookalike.workspace.paths import WorkspaceFolder


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspaceFolder:
    """Two lists of three and two users, one of them Parquet, and a refused seed."""
    workspace = WorkspaceFolder(tmp_path)
    for name in ("spring", "summer", "refused"):
        workspace.audience(name).mkdir(parents=True)
    pl.DataFrame({"user_id": ["a", "b", "c"]}).write_csv(workspace.audience("spring") / "prospects.csv")
    pl.DataFrame({"user_id": ["c", "d"]}).write_parquet(workspace.audience("summer") / "prospects.parquet")
    return workspace


def test_the_lists_are_read_and_compared(workspace: WorkspaceFolder) -> None:
    result = overlap(workspace, ["spring", "summer"])
    assert result.sizes == {"spring": 3, "summer": 2}
    assert result.pairs == (PairOverlap(first="spring", second="summer", both=1),)
    assert result.by_lists == (ListCount(lists=1, people=3), ListCount(lists=2, people=1))


def test_ids_of_a_csv_are_compared_without_their_escapes(workspace: WorkspaceFolder) -> None:
    (workspace.audience("spring") / "prospects.csv").write_text("user_id\n'=1+1\nb\n")
    pl.DataFrame({"user_id": ["=1+1"]}).write_parquet(workspace.audience("summer") / "prospects.parquet")
    assert overlap(workspace, ["spring", "summer"]).pairs[0].both == 1


@pytest.mark.parametrize("names", [[], ["spring"], ["spring", "spring"]], ids=["none", "one", "the same twice"])
def test_two_different_audiences_are_needed(workspace: WorkspaceFolder, names: list[str]) -> None:
    with pytest.raises(SettingsError, match="two different audiences are needed") as raised:
        overlap(workspace, names)
    assert raised.value.hint.startswith("with a list: spring, summer;")


@pytest.mark.parametrize("name", ["refused", "nowhere"])
def test_an_audience_without_a_list_is_a_state_error(workspace: WorkspaceFolder, name: str) -> None:
    with pytest.raises(StateError, match=f"{name}: there is no list") as raised:
        overlap(workspace, ["spring", name])
    assert raised.value.hint.startswith("with a list: spring, summer;")


def test_a_name_cannot_lead_out_of_the_workspace(workspace: WorkspaceFolder) -> None:
    with pytest.raises(SettingsError):
        overlap(workspace, ["spring", "../spring"])
