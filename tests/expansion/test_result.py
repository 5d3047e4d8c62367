"""The records of an expansion: what is computed from their fields, and that files are read back unchanged."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from lookalike.errors import StateError
from lookalike.expansion.manifest import AudienceRecord, Counts, ExpansionManifest, ManifestSource
from lookalike.expansion.result import (
    DO_NOT_EXPAND,
    EXPAND,
    Band,
    Check,
    PermutationTest,
    SeedSummary,
    Suppression,
    Verdict,
)
from lookalike.workspace.files import write_json

TEST = PermutationTest(lift=2.0, random_lift=1.0, p_value=0.01, draws=400)


def verdict_of(*checks: Check, expand: bool = True) -> Verdict:
    return Verdict(decision=EXPAND if expand else DO_NOT_EXPAND, checks=checks, permutation_test=TEST, activity="lower")


def manifest() -> ExpansionManifest:
    seed = SeedSummary(
        given=4,
        distinct=4,
        duplicates=0,
        matched=3,
        unmatched=1,
        suppressed=0,
        match_rate=0.75,
        near_matches=0,
        without_vector=0,
        valued=False,
        negatives=0,
        point_in_time=False,
        used=3,
        effective=3.0,
    )
    return ExpansionManifest(
        name="a",
        created="2024-01-01T00:00:00Z",
        audience=AudienceRecord(
            name="a",
            seed="seed.csv",
            size="5%",
            scorer="auto",
            suppress=(),
            negative=(),
            before=None,
            drop_features=(),
            disjoint_from=(),
            balance=False,
            reasons=False,
            format="csv",
        ),
        settings={"expand.folds": 5},
        inputs=(),
        representation=ManifestSource(version="v1", run="r1", blocks={}, trained="", sha256="0"),
        counts=Counts(universe=10, candidates=7, prospects=2, seed=seed, suppression=Suppression(given=0, matched=0)),
        versions={},
        outputs={},
    )


def test_a_band_is_scaled_and_divided_with_its_ends() -> None:
    band = Band(0.2, 0.1, 0.4)
    assert band.scaled(10) == pytest.approx((2, 1, 4))
    assert band.divided(0.1) == pytest.approx((2, 1, 4))
    value, low, high = band
    assert low <= value <= high


def test_a_check_decides_against_the_list_only_if_it_is_required_and_failed() -> None:
    passed = Check(name="enough_seeds", passed=True, value=40, threshold=25)
    failed = Check(name="above_chance", passed=False, value=1.1, interval=(0.5, 2.0))
    not_required = Check(name="worth_taking", passed=False, required=False, value=None)
    assert verdict_of(passed, failed, not_required, expand=False).failed == (failed,)
    assert verdict_of(passed, not_required).failed == ()
    assert verdict_of(passed).expand
    assert not verdict_of(failed, expand=False).expand


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        verdict_of().forced = True


def test_a_file_is_read_back_unchanged(tmp_path: Path) -> None:
    record = manifest()
    record.write(tmp_path / "manifest.json")
    assert ExpansionManifest.read(tmp_path / "manifest.json") == record


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"name": 5}, {"unknown": 1}, {"counts": None}])
def test_a_damaged_file_or_one_of_another_version_is_a_state_error(tmp_path: Path, change: dict[str, object]) -> None:
    write_json(tmp_path / "manifest.json", manifest().as_json() | change)
    with pytest.raises(StateError):
        ExpansionManifest.read(tmp_path / "manifest.json")
