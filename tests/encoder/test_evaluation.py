"""What an encoder is judged by: nothing that chooses is reported, and the parts of a figure add up to the whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import Tiny
from lookalike.data.database import open_file
from lookalike.data.sequences import Sequences
from lookalike.encoder import evaluation, fit_plan, next_item_metrics, pseudo_audiences, trainer
from lookalike.encoder.next_item_metrics import HeldOutUsers
from lookalike.encoder.pseudo_audiences import PseudoAudience
from lookalike.encoder.run_files import RunMetrics
from planted_log import SMALL, built, insert_events, planted

FitAndLog = tuple[trainer.Fit, Sequences]


@pytest.fixture(scope="module")
def fit_and_log(tmp_path_factory: pytest.TempPathFactory) -> FitAndLog:
    """A fit on so few items that many audiences can be drawn."""
    folder = tmp_path_factory.mktemp("evaluation")
    with open_file(folder / "lookalike.duckdb") as store:
        insert_events(store, planted(1_500, seed=6, items=30).events)
        everything, vocabulary = built(store, folder)
    settings = replace(SMALL, epochs=1, holdout_share=0.2)
    fit = trainer.Fit(fit_plan.plan_fit(everything, vocabulary, settings), vocabulary, torch.device("cpu"))
    fit.run(lambda state, fit: None, lambda done, detail: None)
    return fit, everything


def test_the_choosing_and_the_reported_half_share_no_user_and_no_audience(fit_and_log: FitAndLog) -> None:
    plan = fit_and_log[0].plan
    assert len(plan.watched.users) > 50
    assert not np.intersect1d(plan.watched.users, plan.held.users).size
    choosing, reported = (
        [(audience.members.tobytes(), audience.met.tobytes()) for audience in half]
        for half in evaluation.evaluation_data(*fit_and_log).audiences
    )
    assert len(choosing) > 5
    assert len(reported) > 5
    assert not set(choosing) & set(reported)


def with_another_reported_half(fit_and_log: FitAndLog, monkeypatch: pytest.MonkeyPatch) -> FitAndLog:
    """The same fit, but the reported users meet other items and the reported audiences have other members."""
    fit, everything = fit_and_log
    held, rng = fit.plan.held, np.random.default_rng(0)
    future = held.future[rng.permutation(len(held.users))]
    draw = pseudo_audiences.draw_audiences

    def drawn(*arguments: object) -> list[PseudoAudience]:
        audiences, users = draw(*arguments), arguments[3]
        for number in range(1, len(audiences), 2):
            members = np.sort(rng.choice(users, len(audiences[number].members), replace=False))
            audiences[number] = PseudoAudience(members, np.zeros(0, np.int64))
        return audiences

    monkeypatch.setattr(pseudo_audiences, "draw_audiences", drawn)
    changed = trainer.Fit.__new__(trainer.Fit)
    changed.__dict__ |= fit.__dict__ | {"plan": replace(fit.plan, held=HeldOutUsers(held.users, held.past, future))}
    return changed, everything


def test_the_reported_half_changes_the_figures_and_no_weight(
    fit_and_log: FitAndLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, figures = evaluation.evaluate_encoder(*fit_and_log)
    changed_weights, changed_figures = evaluation.evaluate_encoder(
        *with_another_reported_half(fit_and_log, monkeypatch)
    )
    assert changed_weights == weights
    assert figures.encoder["recall@20"] != changed_figures.encoder["recall@20"]
    lift, random_lift = figures.audiences.lift["sequence"], changed_figures.audiences.lift["sequence"]
    assert lift is not None
    assert lift > 1.2
    assert random_lift == pytest.approx(1, abs=0.2)  # its members were drawn at random


def test_the_choosing_half_changes_the_weights(fit_and_log: FitAndLog, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, _ = evaluation.evaluate_encoder(*fit_and_log)
    monkeypatch.setattr(pseudo_audiences, "draw_audiences", lambda *arguments: [])
    weights_without_audiences, figures = evaluation.evaluate_encoder(*fit_and_log)
    assert weights_without_audiences != weights
    assert figures.audiences.lift["sequence"] is None


def test_recall_by_number_of_events_adds_up_to_the_whole(fit_and_log: FitAndLog) -> None:
    fit, everything = fit_and_log
    _, figures = evaluation.evaluate_encoder(fit, everything)
    groups = dict(figures.recall_by_events)
    assert list(groups) == ["0", "1", "2-4", "5-19", "20+"]
    newcomers = groups.pop("0")
    assert sum(group.users for group in groups.values()) == len(fit.plan.held.users)
    weighted = sum(group.users * group.metrics["recall@20"] for group in groups.values())
    assert weighted / len(fit.plan.held.users) == pytest.approx(figures.encoder["recall@20"])
    before, total = np.diff(fit.plan.known.offsets), np.diff(everything.offsets)
    assert newcomers.users == int(((before == 0) & (total > 0)).sum()) > 0
    for name, low, high in (("1", 1, 1), ("2-4", 2, 4), ("5-19", 5, 19), ("20+", 20, 10**9)):
        counts = before[fit.plan.held.users]
        assert groups[name].users == int(((counts >= low) & (counts <= high)).sum())


def test_coverage_is_the_share_with_events_and_with_enough_of_them(fit_and_log: FitAndLog) -> None:
    fit, everything = fit_and_log
    before = np.diff(fit.plan.known.offsets)
    events = before[np.diff(everything.offsets) > before]
    _, figures = evaluation.evaluate_encoder(*fit_and_log)
    coverage = figures.coverage
    assert coverage.users == len(events)
    assert (coverage.encoder, coverage.with_5_events) == (float(np.mean(events > 0)), float(np.mean(events >= 5)))
    assert 0.3 < coverage.with_5_events < coverage.encoder


def test_events_after_the_cut_change_figures_but_no_vector_that_is_evaluated(fit_and_log: FitAndLog) -> None:
    fit, everything = fit_and_log
    late = np.asarray(everything["time"]) >= fit.plan.known.as_of
    columns = dict(everything.columns)
    items = np.random.default_rng(1).integers(0, 30, len(late))
    columns["item"] = np.where(late, items, everything["item"]).astype(np.int32)
    first, second = (
        evaluation.evaluation_data(fit, sequences) for sequences in (everything, replace(everything, columns=columns))
    )
    assert np.array_equal(first.candidates, second.candidates)
    for name in ("taste", "content", "activity"):
        first_part, second_part = (getattr(data.parts_of(data.candidates), name) for data in (first, second))
        assert np.array_equal(first_part, second_part)
    first_members, second_members = (
        [audience.members.tolist() for audience in data.audiences[1]] for data in (first, second)
    )
    assert first_members != second_members


def test_what_the_embedding_adds_is_asked_of_the_reported_audiences(fit_and_log: FitAndLog) -> None:
    """The plain counts are those of the users as they were at the cut."""
    _, figures = evaluation.evaluate_encoder(*fit_and_log)
    blocks, data = figures.audiences.blocks, evaluation.evaluation_data(*fit_and_log)
    assert blocks is not None
    assert 5 < blocks.measured <= figures.audiences.audiences
    assert blocks.both.lift.low > 1
    aggregates = evaluation._aggregates(data)
    known, log_events = fit_and_log[0].plan.known, aggregates[:, 0]
    assert np.allclose(np.expm1(log_events), np.diff(known.offsets)[data.candidates], rtol=1e-4)


def test_a_run_stores_the_figures(tiny_run: Tiny) -> None:
    metrics = RunMetrics.read(tiny_run.workspace.runs / "r000001" / "metrics.json")
    figures = metrics.figures
    assert figures.popularity_of_late.days in next_item_metrics.RECENT_DAYS
    assert figures.held_out_users == sum(
        group.users for events, group in figures.recall_by_events.items() if events != "0"
    )
    assert figures.items_judged == 100
    assert figures.weights_had_seen is None
    for values in (figures.encoder, figures.taste_alone, figures.popularity, figures.item_neighbours):
        assert values.keys() == {"recall@20", "ndcg@20"}
    assert [epoch.epoch for epoch in metrics.history] == [1, 2]
