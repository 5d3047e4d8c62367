"""Whether an encoder earns its place: held-out recommendation and audiences, compared with methods without an encoder.

Held-out users are in two halves, and so are the audiences drawn from the log. One half chooses the epoch, the weights
of the parts and the item side; the figures are the other half's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lookalike.data.arrays import Matrix, Rows
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS, fit_aggregates
from lookalike.embeddings.interactions import sample_users
from lookalike.encoder import audience_probe, fusion_tuning, inference, next_item_metrics, pseudo_audiences
from lookalike.encoder.embedder import USERS_PER_STEP, Embedder, PartExtractor
from lookalike.encoder.fit_plan import FitPlan
from lookalike.encoder.fusion import Centring, Fusion, RawParts
from lookalike.encoder.next_item_metrics import HeldOutUsers, ItemScorer
from lookalike.encoder.pseudo_audiences import PseudoAudience, UserScorer, centroid_scorer
from lookalike.encoder.results import (
    AudienceFigures,
    BaselineFigures,
    Coverage,
    EncoderFigures,
    NewItemFigures,
    RecentPopularity,
    UserGroupFigures,
)
from lookalike.encoder.run_files import FusionWeights
from lookalike.encoder.trainer import Fit
from lookalike.workspace.random_streams import Stream, generator

MAX_CANDIDATES = 40_000  # users among whom audiences are drawn and found
EVENT_RANGES = ((1, 1), (2, 4), (5, 19), (20, None))  # first and last number of events of a group of users
COLD_START_EVENTS = 5  # what many methods need before they know a user
MIN_ITEM_SIDE_USERS = 20


def baseline_figures(plan: FitPlan, vocabulary: Vocabulary) -> BaselineFigures:
    """Held-out figures of methods without an encoder."""
    held, items = plan.held, vocabulary.common

    def recent(days: float) -> ItemScorer:
        return next_item_metrics.popularity(plan.known, items, days)

    def figure(days: float) -> float:
        return next_item_metrics.measure(plan.watched, recent(days))["ndcg@20"]

    days = max(next_item_metrics.RECENT_DAYS[::-1], key=figure)  # of equally good ones the longest
    neighbours = next_item_metrics.item_neighbours(plan.known, held, items)
    return BaselineFigures(
        held_out_users=len(held.users),
        items_judged=items,
        popularity=next_item_metrics.measure(held, next_item_metrics.popularity(plan.known, items)),
        popularity_of_late=RecentPopularity(days=days, metrics=next_item_metrics.measure(held, recent(days))),
        item_neighbours=next_item_metrics.measure(held, neighbours),
    )


@dataclass(frozen=True)
class EvaluationData:
    """The users of an evaluation, with their raw parts and audiences as they were at the cut."""

    fit: Fit
    everything: Sequences
    candidates: Rows  # users with events before the cut, ascending
    newcomers: HeldOutUsers
    extractor: PartExtractor

    @cached_property
    def _rows(self) -> Rows:
        plan = self.fit.plan
        return np.unique(np.concatenate([self.candidates, plan.watched.users, plan.held.users, self.newcomers.users]))

    @cached_property
    def _parts(self) -> RawParts:
        return self.extractor.parts(self.fit.plan.known, self._rows)

    def parts_of(self, rows: Rows) -> RawParts:
        return self._parts[np.searchsorted(self._rows, rows)]

    @cached_property
    def audiences(self) -> tuple[list[PseudoAudience], list[PseudoAudience]]:
        """Two halves: one to choose by, one to report."""
        plan = self.fit.plan
        rng = generator(plan.settings.random_seed, Stream.PSEUDO_AUDIENCES)
        audiences = pseudo_audiences.draw_audiences(
            plan.known, self.everything, self.fit.vocabulary, self.candidates, rng
        )
        return pseudo_audiences.halves(audiences)


def evaluation_data(fit: Fit, everything: Sequences) -> EvaluationData:
    """Draws the users of an evaluation. Nothing in their raw parts is from after the cut."""
    plan, vocabulary = fit.plan, fit.vocabulary
    eligible = np.flatnonzero(np.diff(plan.known.offsets) > 0)
    rng = generator(plan.settings.random_seed, Stream.EVALUATION_USERS)
    candidates = np.sort(rng.permutation(eligible)[:MAX_CANDIDATES])
    newcomers = next_item_metrics.hold_out_newcomers(plan.known, everything, vocabulary.common, rng)
    sample = sample_users(plan.known, plan.settings.random_seed)
    aggregates = fit_aggregates(sample, vocabulary, plan.settings.group_columns)
    extractor = PartExtractor(fit.model, plan.content, aggregates, plan.window, plan.settings.length)
    return EvaluationData(fit, everything, candidates, newcomers, extractor)


def evaluate_encoder(fit: Fit, everything: Sequences) -> tuple[FusionWeights, EncoderFigures]:
    """How much each part is to count, chosen by one half, and the figures of the other half."""
    data = evaluation_data(fit, everything)
    embedder = tuned_embedder(data)
    return embedder.fusion.weights, _encoder_figures(data, embedder)


def tuned_embedder(data: EvaluationData) -> Embedder:
    """The embedder as of the cut, with the weights that the choosing half gives."""
    plan = data.fit.plan
    parts = data.parts_of(data.candidates)
    centring = Centring.of(parts)
    weights = fusion_tuning.tune_user_weights(
        parts, centring, data.audiences[0], data.candidates, plan.settings.random_seed
    )
    embedder = Embedder(data.extractor, Fusion(centring, weights))
    affordable = next_item_metrics.MAX_SCORES // 5 // max(1, data.fit.vocabulary.common)
    count = int(np.clip(affordable, MIN_ITEM_SIDE_USERS, fusion_tuning.MAX_ITEM_SIDE_USERS))
    watched = next_item_metrics.subset(plan.watched, np.arange(len(plan.watched.users)) < count)
    weights = fusion_tuning.tune_item_weights(
        embedder.fusion, embedder.item_parts(plan.known), data.parts_of(watched.users), watched
    )
    return replace(embedder, fusion=Fusion(centring, weights))


def _encoder_figures(data: EvaluationData, embedder: Embedder) -> EncoderFigures:
    plan = data.fit.plan
    items, taste = embedder.item_vectors(plan.known), inference.item_vectors(data.fit.model)

    def vectors(users: Rows) -> NDArray[np.float32]:
        return embedder.fusion.users(data.parts_of(users))

    def scorer(users: Rows) -> NDArray[np.float32]:
        return vectors(users) @ items.T

    return EncoderFigures(
        encoder=next_item_metrics.measure(plan.held, scorer),
        taste_alone=next_item_metrics.measure(plan.held, lambda users: data.parts_of(users).taste @ taste.T),
        recall_by_events=_figures_by_events(plan, data.newcomers, scorer),
        new_items=_new_item_figures(plan, lambda users, rows: vectors(users) @ items[rows].T),
        coverage=_coverage(plan.known, data.everything),
        audiences=_audience_figures(data, embedder),
    )


def _figures_by_events(plan: FitPlan, newcomers: HeldOutUsers, scorer: ItemScorer) -> dict[str, UserGroupFigures]:
    """Figures by the number of a user's events before the cut."""
    events = np.diff(plan.known.offsets)[plan.held.users]
    groups = {"0": newcomers} | {
        _range_name(low, high): next_item_metrics.subset(plan.held, _in_range(events, low, high))
        for low, high in EVENT_RANGES
    }
    return {
        name: UserGroupFigures(users=len(group.users), metrics=next_item_metrics.measure(group, scorer))
        for name, group in groups.items()
    }


def _range_name(low: int, high: int | None) -> str:
    if high is None:
        return f"{low}+"
    return str(low) if low == high else f"{low}-{high}"


def _in_range(events: Rows, low: int, high: int | None) -> NDArray[np.bool_]:
    return (events >= low) & (events <= (high or np.inf))


def _new_item_figures(plan: FitPlan, score: Callable[[Rows, Rows], NDArray[np.float32]]) -> NewItemFigures:
    """Figures among the items that nobody had met before the cut. `score` takes user rows and item rows."""
    held, new = next_item_metrics.only_new_items(plan.held, plan.known)
    if not len(held.users):
        return NewItemFigures(items=len(new), users=0, metrics=None, random_recall=None)
    return NewItemFigures(
        items=len(new),
        users=len(held.users),
        metrics=next_item_metrics.measure(held, lambda users: score(users, new)),
        random_recall=min(1.0, next_item_metrics.TOP_K / len(new)),
    )


def _coverage(known: Sequences, everything: Sequences) -> Coverage:
    """Of the users with events after the cut, the share with enough events before it."""
    events = np.diff(known.offsets)[np.diff(everything.offsets) > np.diff(known.offsets)]
    if not len(events):
        return Coverage(users=0, encoder=None, with_5_events=None)
    return Coverage(
        users=len(events),
        encoder=float(np.mean(events > 0)),
        with_5_events=float(np.mean(events >= COLD_START_EVENTS)),
    )


def _audience_figures(data: EvaluationData, embedder: Embedder) -> AudienceFigures:
    """Lift of the centroid of each space on the reported audiences, and of the embedding by number of events."""
    users, parts = data.candidates, data.parts_of(data.candidates)
    audiences, random_seed = data.audiences[1], data.fit.plan.settings.random_seed
    vectors = embedder.fusion.users(parts)
    log_events = parts.activity[:, ACTIVITY_COLUMNS.index("log_events")]
    scorers: dict[str, UserScorer] = {
        "sequence": centroid_scorer(vectors, users),
        "taste": centroid_scorer(embedder.fusion.centred_taste(parts), users),
        "content": centroid_scorer(parts.content, users),
        "activity": lambda seed, candidates: log_events[np.searchsorted(users, candidates)],
    }

    def lift(name: str, among: Rows) -> float | None:
        return pseudo_audiences.mean_lift(audiences, among, scorers[name], random_seed)

    events = np.diff(data.fit.plan.known.offsets)[users]
    return AudienceFigures(
        audiences=len(audiences),
        users=len(users),
        lift={name: lift(name, users) for name in scorers},
        sequence_by_events={
            _range_name(low, high): lift("sequence", users[_in_range(events, low, high)]) for low, high in EVENT_RANGES
        },
        blocks=audience_probe.compare_blocks(_aggregates(data), vectors, users, audiences, random_seed),
    )


def _aggregates(data: EvaluationData) -> Matrix:
    """The aggregates of the candidates, computed a few thousand users at a time."""
    known, users = data.fit.plan.known, data.candidates
    steps = np.array_split(users, max(1, -(-len(users) // USERS_PER_STEP)))
    return np.vstack([data.extractor.aggregates.transform(known.take(step)) for step in steps])
