"""The figures of one expansion, and its folder: written whole or not at all, and recognised by its hashes."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expansion_context import measured, memory_context, opened_context
from lookalike.data.id_lists import IdFrame
from lookalike.expansion import curves, evaluation
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.curves import RANDOM, marginal_band
from lookalike.expansion.evaluation import write_expansion
from lookalike.expansion.examples import build_examples, effective_sample_size
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.manifest import ExpansionManifest
from lookalike.expansion.messages import UnderrepresentedSubAudience
from lookalike.expansion.prospects import rank_prospects
from lookalike.expansion.result import Evaluation
from lookalike.expansion.seed import Part, Seed
from lookalike.expansion.selection import select
from lookalike.workspace.files import sha256
from lookalike.workspace.settings import ExpandSettings
from recording_progress import RecordingProgress
from small_log import user_ids

pytest_plugins = ("space_fixtures",)

NOBODY = np.zeros(0, np.int64)


@pytest.fixture
def space(trained_space: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained_space, tmp_path / "space")
    return tmp_path / "space"


@pytest.fixture
def context(space: Path) -> Iterator[ExpansionContext]:
    with opened_context(space, progress=RecordingProgress()) as context:
        yield context


def audience_of(ids: list[str], **fields: object) -> Audience:
    seed = IdFrame(pl.DataFrame({"user_id": ids}), "the seed")
    return Audience("a", seed, Size(count=30), **fields)


def expanded(context: ExpansionContext, audience: Audience) -> tuple[Evaluation, Path]:
    """Measured, ranked if the verdict is to expand, and written."""
    measurement = measured(context, audience)
    ranked = rank_prospects(context, [measurement.request]) if measurement.request else [None]
    written = write_expansion(context, measurement, ranked[0])
    return written.evaluation, written.folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- the folder ------------------------------------------------------------------------------------------------------


def test_an_expansion_is_a_list_an_evaluation_and_a_manifest(context: ExpansionContext) -> None:
    result, folder = expanded(context, audience_of(user_ids()[:40], reasons=True))
    assert folder == context.folder.audience("a")
    assert names(folder) == ["evaluation.json", "manifest.json", "prospects.csv", "reasons.csv"]
    assert Evaluation.read(folder / "evaluation.json") == result
    assert result.prospects == len(pl.read_csv(folder / "prospects.csv")) == 30
    assert result.prospect_list is not None
    assert result.prospect_list.clusters is not None


def test_the_manifest_has_the_hashes_of_what_was_read_and_written(context: ExpansionContext) -> None:
    result, folder = expanded(context, audience_of(user_ids()[:40], format="parquet"))
    manifest = ExpansionManifest.read(folder / "manifest.json")
    files = ("evaluation.json", "prospects.parquet")
    assert manifest.outputs == {name: sha256(folder / name) for name in files}
    assert manifest.representation.sha256 == sha256(context.representation.folder / "manifest.json")
    assert manifest.representation.version == context.representation.version == result.representation.version
    assert (manifest.created, manifest.settings, manifest.name) == (result.created, result.settings, "a")
    assert manifest.counts.prospects == 30
    assert (manifest.counts.seed, manifest.counts.suppression) == (result.seed, result.suppression)
    assert [file.name for file in manifest.inputs] == ["the seed"]
    assert (manifest.audience.seed, manifest.audience.format) == ("the seed", "parquet")
    assert {"lookalike", "python", "numpy"} <= set(manifest.versions)


def test_without_a_list_the_evaluation_says_why_and_nothing_else_is_written(context: ExpansionContext) -> None:
    result, folder = expanded(context, audience_of(user_ids()[::8]))
    assert names(folder) == ["evaluation.json", "manifest.json"]
    assert not result.verdict.expand
    assert (result.prospects, result.prospect_list) == (0, None)
    assert ExpansionManifest.read(folder / "manifest.json").outputs.keys() == {"evaluation.json"}


def test_a_new_expansion_replaces_the_whole_folder_and_keeps_the_old_one(context: ExpansionContext) -> None:
    _, folder = expanded(context, audience_of(user_ids()[:40], reasons=True))
    (folder / "report.html").write_text("a report of the list before")
    expanded(context, audience_of(user_ids()[:40], format="parquet"))
    assert names(folder) == ["earlier", "evaluation.json", "manifest.json", "prospects.parquet"]
    kept = ["evaluation.json", "manifest.json", "prospects.csv", "reasons.csv", "report.html"]
    assert names(folder / "earlier" / "v001") == kept


@pytest.mark.parametrize("step", ["write_list", "evaluate", "_manifest"])
def test_an_expansion_that_fails_on_the_way_leaves_the_folder_as_it_was(
    context: ExpansionContext, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("No space left on device")

    _, folder = expanded(context, audience_of(user_ids()[:40]))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(evaluation, step, fail)
    with pytest.raises(OSError, match="No space left"):
        expanded(context, audience_of(user_ids()[:40], reasons=True))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert names(context.folder.audiences) == ["a"], "no temporary folder is left"


def test_the_first_expansion_that_fails_leaves_no_folder(
    context: ExpansionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "evaluate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        expanded(context, audience_of(user_ids()[:40]))
    assert names(context.folder.audiences) == []


# --- the figures -----------------------------------------------------------------------------------------------------


def test_the_evaluation_has_the_figures_of_the_measurement(context: ExpansionContext) -> None:
    suppressed = IdFrame(pl.DataFrame({"user_id": [*user_ids()[-20:], "nobody"]}), "the suppression list")
    audience = audience_of(user_ids()[:40], suppress=(suppressed,))
    measurement = measured(context, audience)
    result = write_expansion(context, measurement, None).evaluation
    selection = measurement.selection
    assert (result.universe, result.candidates, result.size) == (300, 240, 30)
    assert (result.suppression.given, result.suppression.matched) == (21, 20)
    assert (result.scorer, result.requested_scorer, result.requested_size) == (selection.scorer, "auto", "30")
    assert (result.folds, result.repeats, result.confidence) == (3, 2, 0.95)
    assert result.as_of == context.representation.manifest.as_of
    assert result.settings["expand.repeats"] == 2
    assert result.verdict == measurement.verdict
    assert result.seed_profile == measurement.profile
    lift = marginal_band(selection.own_quantiles, 0, 30 / 240, selection.bands)
    assert result.held_out.lift_band == lift
    assert result.held_out.recall == pytest.approx(lift.value * 30 / 240)
    activity = marginal_band(selection.quantiles[ACTIVITY], 0, 30 / 240, selection.bands)
    assert (result.held_out.activity_lift, result.held_out.activity_high) == (activity.value, activity.high)
    assert result.held_out.largest == selection.largest_size
    assert result.held_out.precision_floor == pytest.approx(result.held_out.recall * 13 / 30)


def test_curves_are_of_the_scorers_of_activity_and_of_chance(context: ExpansionContext) -> None:
    measurement = measured(context, audience_of(user_ids()[:40]))
    result = write_expansion(context, measurement, None).evaluation
    selection = measurement.selection
    scorers = {figures.name for figures in result.scorers}
    assert set(result.curves) == scorers | {ACTIVITY, RANDOM}
    assert [figures.name for figures in result.scorers if figures.chosen] == [result.scorer]
    shares = curves.curve_shares(selection.candidates, selection.share)
    assert result.curves[RANDOM] == curves.random_curve(shares, selection.candidates)
    own = curves.lift_curve(selection.own_quantiles, shares, selection.candidates, selection.bands)
    assert result.curves[result.scorer] == own, "the chosen scorer's curve is the one the list is judged by"


def test_the_seed_is_summed_up_as_it_was_used(context: ExpansionContext) -> None:
    values = IdFrame(pl.DataFrame({"user_id": user_ids()[:40], "value": [1e6, *range(1, 40)]}, strict=False), "rich")
    negative = IdFrame(pl.DataFrame({"user_id": user_ids()[100:110]}), "the negative examples")
    audience = Audience("a", values, Size(count=30), scorer="logistic", negative=(negative,))
    measurement = measured(context, audience)
    result = write_expansion(context, measurement, None).evaluation
    assert (result.seed.used, result.seed.negatives) == (40, 10)
    assert (result.seed.valued, result.seed.point_in_time) == (True, False)
    assert result.seed.effective == effective_sample_size(measurement.examples.weight) < 40
    assert (result.seed.part, result.seed.parts) == (None, None)
    assert result.seed.matched == measurement.input.match.matched


def test_a_part_of_a_seed_is_numbered(context: ExpansionContext) -> None:
    measurement = measured(context, audience_of(user_ids()[:40]))
    part = replace(measurement, input=replace(measurement.input, part=Part(2, 3)))
    result = write_expansion(context, part, None).evaluation
    assert (result.seed.part, result.seed.parts) == (2, 3)


def test_warnings_about_the_list_are_reported_and_recorded(
    context: ExpansionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    warning = UnderrepresentedSubAudience(number=1, list_share=0.1, seed_share=0.5)
    monkeypatch.setattr(evaluation, "share_warnings", lambda shares: (warning,))
    monkeypatch.setattr(evaluation, "write_list", lambda *arguments: 4)
    result, _ = expanded(context, audience_of(user_ids()[:40]))
    assert [message.code for message in result.warnings] == ["underrepresented_sub_audience", "escaped_ids"]
    assert isinstance(context.progress, RecordingProgress)
    assert tuple(context.progress.messages) == result.warnings


def test_the_highest_possible_lift_is_one_that_can_be_reached() -> None:
    """A seed that is told apart by every block, and with more users than the list."""
    users, seed = 1_000, np.arange(300)
    vectors = np.random.default_rng(0).normal(0, 1, (users, 7)).astype(np.float32)
    is_seed = np.isin(np.arange(users), seed) * 8.0
    vectors[:, 0], vectors[:, 4] = is_seed, is_seed
    settings = ExpandSettings(repeats=2, background=1_000)
    context = memory_context(vectors, ("log_events", "c0", "c1", "c2"), 3, settings)
    examples = build_examples(context, Seed(seed, NOBODY))
    for size in (35, 70, 350):
        selection = select(examples, "logistic", size, settings, lambda folds: None)
        held_out = evaluation._held_out(examples, selection, settings)
        assert held_out.lift <= held_out.max_lift + 1e-9
        assert held_out.lift > 0.8 * held_out.max_lift


def test_candidates_on_other_lists_are_no_candidates_of_this_one(context: ExpansionContext) -> None:
    measurement = measured(context, audience_of(user_ids()[:40]))
    listed = replace(measurement, examples=replace(measurement.examples, listed_elsewhere=25))
    result = write_expansion(context, listed, None).evaluation
    assert result.candidates == 260 - 25
