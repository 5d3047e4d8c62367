"""What an encoder is judged by: nothing that chooses is reported, the parts add up, and versions are compared by person."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from conftest import Tiny
from lookalike.data.database import open_file
from lookalike.data.sequences import Sequences
from lookalike.embeddings import representation, writer
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.manifest import VersionFacts
from lookalike.embeddings.representation import Representation
from lookalike.encoder import evaluation, pseudo_audiences, trainer
from lookalike.encoder.next_item_metrics import HeldOutUsers
from lookalike.encoder.pseudo_audiences import PseudoAudience
from lookalike.workspace.paths import WorkspaceFolder
from planted_log import SMALL, built, insert_events, planted

Judged = tuple[trainer.Fit, Sequences]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A fit on so few items that many audiences can be drawn."""
    folder = tmp_path_factory.mktemp("judged")
    with open_file(folder / "lookalike.duckdb") as store:
        insert_events(store, planted(1_500, seed=6, items=30).events)
        everything, vocabulary = built(store, folder)
    settings = replace(SMALL, epochs=1, holdout_share=0.2)
    fit = trainer.Fit(trainer.plan_fit(everything, vocabulary, settings), vocabulary, torch.device("cpu"))
    fit.run(lambda progress, fit: None, lambda done, note: None)
    return fit, everything


def halves_of(judged: Judged) -> tuple[list[PseudoAudience], list[PseudoAudience]]:
    return evaluation._judges(*judged).audiences


def test_what_chooses_and_what_is_reported_have_nobody_and_no_audience_in_common(judged: Judged) -> None:
    plan = judged[0].plan
    assert len(plan.watched.users) > 50
    assert not np.intersect1d(plan.watched.users, plan.held.users).size
    choosing, reported = ([(one.members.tobytes(), one.met.tobytes()) for one in half] for half in halves_of(judged))
    assert len(choosing) > 5
    assert len(reported) > 5
    assert not set(choosing) & set(reported)


def other_reported_half(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> Judged:
    """The same fit, but the reported users meet other items and the reported audiences have other members."""
    fit, everything = judged
    held, rng = fit.plan.held, np.random.default_rng(0)
    coming = held.coming[rng.permutation(len(held.users))]
    draw = pseudo_audiences.draw_audiences

    def drawn(*words: Any) -> list[PseudoAudience]:
        found = draw(*words)
        for number in range(1, len(found), 2):
            members = np.sort(rng.choice(words[3], len(found[number].members), replace=False))
            found[number] = PseudoAudience(members, np.zeros(0, np.int64))
        return found

    monkeypatch.setattr(pseudo_audiences, "draw_audiences", drawn)
    changed = trainer.Fit.__new__(trainer.Fit)
    changed.__dict__ |= fit.__dict__ | {"plan": replace(fit.plan, held=HeldOutUsers(held.users, held.past, coming))}
    return changed, everything


def test_the_reported_half_changes_the_figures_and_no_weight(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, figures = evaluation.evaluate_encoder(*judged)
    other_weights, other_figures = evaluation.evaluate_encoder(*other_reported_half(judged, monkeypatch))
    assert other_weights == weights
    assert figures["encoder"]["recall@20"] != other_figures["encoder"]["recall@20"]
    lifts = [found["audiences"]["lift@5%"]["sequence"] for found in (figures, other_figures)]
    assert lifts[0] > 1.2
    assert lifts[1] == pytest.approx(1, abs=0.2)  # members were drawn by lot


def test_the_choosing_half_does_move_the_weights(judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, _ = evaluation.evaluate_encoder(*judged)
    monkeypatch.setattr(pseudo_audiences, "draw_audiences", lambda *words: [])
    other, figures = evaluation.evaluate_encoder(*judged)
    assert other != weights
    assert figures["audiences"]["lift@5%"]["sequence"] is None


def test_recall_by_number_of_events_adds_up_to_the_whole(judged: Judged) -> None:
    fit, everything = judged
    _, figures = evaluation.evaluate_encoder(fit, everything)
    by_events = figures["recall_by_events"]
    assert list(by_events) == ["0", "1", "2-4", "5-19", "20+"]
    unknown = by_events.pop("0")
    assert sum(part["users"] for part in by_events.values()) == len(fit.plan.held.users)
    weighted = sum(part["users"] * part["recall@20"] for part in by_events.values() if part["users"])
    assert weighted / len(fit.plan.held.users) == pytest.approx(figures["encoder"]["recall@20"])
    known, later = np.diff(fit.plan.known.offsets), np.diff(everything.offsets)
    assert unknown["users"] == int(((known == 0) & (later > 0)).sum()) > 0
    for name, least, most in (("1", 1, 1), ("2-4", 2, 4), ("5-19", 5, 19), ("20+", 20, 10**9)):
        counts = known[fit.plan.held.users]
        assert by_events[name]["users"] == int(((counts >= least) & (counts <= most)).sum())


def test_coverage_is_the_share_with_events_and_with_enough_of_them(judged: Judged) -> None:
    fit, everything = judged
    before = np.diff(fit.plan.known.offsets)
    events = before[np.diff(everything.offsets) > before]
    _, figures = evaluation.evaluate_encoder(*judged)
    shares = {"encoder": float(np.mean(events > 0)), "with_5_events": float(np.mean(events >= 5))}
    assert figures["coverage"] == {"users": len(events)} | shares
    assert 0.3 < figures["coverage"]["with_5_events"] < figures["coverage"]["encoder"]


def test_events_after_the_cut_change_figures_and_no_vector_that_is_judged(judged: Judged) -> None:
    fit, everything = judged
    late = np.asarray(everything["time"]) >= fit.plan.known.as_of
    columns = dict(everything.columns)
    items = np.random.default_rng(1).integers(0, 30, len(late))
    columns["item"] = np.where(late, items, everything["item"]).astype(np.int32)
    first, second = (evaluation._judges(fit, arrays) for arrays in (everything, replace(everything, columns=columns)))
    assert np.array_equal(first.candidates, second.candidates)
    for name in ("taste", "content", "activity"):
        assert np.array_equal(getattr(first.of(first.candidates), name), getattr(second.of(second.candidates), name))
    assert [one.members.tolist() for one in first.audiences[1]] != [one.members.tolist() for one in second.audiences[1]]


def test_the_run_writes_the_figures_down_as_plain_json(tiny_run: Tiny) -> None:
    metrics = json.loads((tiny_run.workspace.runs / "r000001" / "metrics.json").read_text())
    figures = metrics["figures"]
    assert {"encoder", "taste_alone", "popularity", "popularity_of_late", "item_neighbours"} <= figures.keys()
    assert {"recall_by_events", "new_items", "coverage", "audiences"} <= figures.keys()
    assert figures["popularity_of_late"]["days"] in evaluation.RECENT_DAYS


# --- churn -----------------------------------------------------------------------------------------------------------


def version(folder: Path, of: Representation, order: np.ndarray, change: float = 0.0) -> Representation:
    """A copy of a version with its users in another order, and their vectors moved by so much noise."""
    folder.mkdir()
    people = pl.read_parquet(of.folder / "users.parquet")[order.tolist()]
    people = people.with_columns(row=np.arange(len(order)), tie=np.arange(len(order)))
    people.write_parquet(folder / "people.parquet")
    blocks = {block: values[order] for block, values in of.raw(np.arange(of.users)).items()}
    noise = np.random.default_rng(0).normal(size=blocks["sequence"].shape) * change
    blocks["sequence"] = blocks["sequence"] + noise.astype(np.float16)
    facts = VersionFacts(**{name: getattr(of.manifest, name) for name in VersionFacts.model_fields})
    workspace = WorkspaceFolder(folder / "space")
    writer.write_version(
        workspace,
        folder / "people.parquet",
        writer.BlockWork(lambda first, last: {block: blocks[block][first:last] for block in BLOCKS}),
        facts,
        lambda done: None,
    )
    return representation.live_version(workspace)


def test_churn_of_a_version_against_itself_is_none_in_any_order_of_users(tiny_run: Tiny, tmp_path: Path) -> None:
    live = representation.live_version(tiny_run.workspace)
    assert evaluation.churn(live, live, 0) == 0
    shuffled = version(tmp_path / "shuffled", live, np.random.default_rng(0).permutation(live.users))
    assert evaluation.churn(live, shuffled, 0) == 0
    assert evaluation.churn(shuffled, live, 0) == 0


def test_churn_grows_with_how_far_vectors_move(tiny_run: Tiny, tmp_path: Path) -> None:
    live = representation.live_version(tiny_run.workspace)
    order = np.arange(live.users)
    little, much = (
        evaluation.churn(live, version(tmp_path / str(by), live, order, by), 0) or 0.0 for by in (0.005, 10.0)
    )
    assert 0 < little < 0.3
    assert 0.85 < much < 1  # of noise: 5 % of the users stand in both lists by chance


def test_churn_needs_enough_users_in_both(tiny_run: Tiny, tmp_path: Path) -> None:
    live = representation.live_version(tiny_run.workspace)
    assert evaluation.churn(live, version(tmp_path / "few", live, np.arange(399)), 0) is None
    some = evaluation.churn(live, version(tmp_path / "some", live, np.arange(100, 600)), 0)
    assert some == 0, "who is in one version only is not counted"
