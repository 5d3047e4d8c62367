"""Whether an encoder earns its place: held-out recommendation and held-out audiences, beside what needs no encoder.

Held-out users are in two halves, and so are the audiences drawn from the log. By the one half the epoch, the weights of
the parts and the item side are chosen; the figures are the other's.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.data.arrays import Rows
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings import content, interactions
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS, Aggregates, fit_aggregates
from lookalike.embeddings.manifest import USERS_FILE
from lookalike.embeddings.representation import Representation
from lookalike.encoder import embedder, fusion, inference, next_item_metrics, pseudo_audiences
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.fusion import Centring, Fusion, FusionWeights, RawParts
from lookalike.encoder.next_item_metrics import HeldOutUsers
from lookalike.encoder.pseudo_audiences import PseudoAudience
from lookalike.encoder.trainer import Fit, FitPlan

Result = dict[str, Any]


MAX_USERS = 40_000


RECENT_DAYS = (1, 7, 30)


EVENT_RANGES = ((1, 1), (2, 4), (5, 19), (20, None))


COLD_START_EVENTS = 5  # events that many a method needs before it knows somebody


CHURN_SEEDS, CHURN_MEMBERS, CHURN_AT = 50, 100, 0.05


def baseline_figures(plan: FitPlan, vocabulary: Vocabulary) -> Result:
    """Held-out figures of what needs no encoder."""
    held, watched, items = plan.held, plan.watched, vocabulary.common

    def late(days: int) -> next_item_metrics.Scores:
        return next_item_metrics.popularity(plan.known, items, days)

    days = max(RECENT_DAYS, key=lambda one: next_item_metrics.measure(watched, late(one))["ndcg@20"])
    return {
        "held_out_users": len(held.users),
        "items_judged": items,
        "popularity": next_item_metrics.measure(held, next_item_metrics.popularity(plan.known, items)),
        "popularity_of_late": {"days": days} | next_item_metrics.measure(held, late(days)),
        "item_neighbours": next_item_metrics.measure(held, next_item_metrics.item_neighbours(plan.known, held, items)),
    }


def sample_rows(sequences: Sequences) -> Rows:
    """At most 40,000 users, ascending: enough for a mean."""
    return np.unique(np.linspace(0, sequences.users - 1, min(sequences.users, MAX_USERS)).astype(np.int64))


@dataclass(frozen=True)
class EvaluationUsers:
    """Users with their raw parts as they were at the cut: `candidates` (ascending rows) and all held-out ones."""

    fit: Fit
    everything: Sequences
    candidates: Rows
    strangers: HeldOutUsers
    fitted: tuple[content.Content, Aggregates]

    @cached_property
    def rows(self) -> Rows:
        plan = self.fit.plan
        groups = (self.candidates, plan.watched.users, plan.held.users, self.strangers.users)
        return np.unique(np.concatenate(groups))

    @cached_property
    def parts(self) -> RawParts:
        plan = self.fit.plan
        reach = (plan.window, plan.settings.length)
        return embedder.raw_parts(self.fit.model, self.fitted, plan.known, self.rows, reach)

    def of(self, rows: Rows) -> RawParts:
        return self.parts[np.searchsorted(self.rows, rows)]

    @cached_property
    def audiences(self) -> tuple[list[PseudoAudience], list[PseudoAudience]]:
        """One half of them to choose by, one to report."""
        plan = self.fit.plan
        rng = np.random.default_rng([plan.settings.random_seed, 14])
        drawn = pseudo_audiences.draw_audiences(plan.known, self.everything, self.fit.vocabulary, self.candidates, rng)
        return pseudo_audiences.halves(drawn)


def evaluate_encoder(fit: Fit, everything: Sequences) -> tuple[FusionWeights, Result]:
    """How much each part is to count, and the finished encoder's held-out figures."""
    judges = _judges(fit, everything)
    parts = judges.of(judges.candidates)
    place = Centring.of(parts)
    weights = fusion.tune_weights(parts, place, judges.audiences[0], judges.candidates, fit.plan.settings.random_seed)
    plan = fit.plan
    made = Embedder(fit.model, *judges.fitted, Fusion(place, weights), plan.window, plan.settings.length)
    most = int(np.clip(next_item_metrics.MAX_SCORES // 5 // max(1, fit.vocabulary.common), 20, fusion.MAX_JUDGES))
    watched = next_item_metrics.subset(plan.watched, np.arange(len(plan.watched.users)) < most)
    found = embedder.item_parts(made, plan.known)
    weights = fusion.tune_item_weights(made.fusion, found, judges.of(watched.users), watched)
    made = replace(made, fusion=Fusion(place, weights))
    items = found.vectors(made.fusion)

    def scores(users: Rows) -> NDArray[np.float32]:
        return made.fusion.users(judges.of(users)) @ items.T

    taste = inference.item_vectors(fit.model)
    figures = {
        "encoder": next_item_metrics.measure(plan.held, scores),
        "taste_alone": next_item_metrics.measure(plan.held, lambda users: judges.of(users).taste @ taste.T),
        "recall_by_events": _by_events(plan, judges.strangers, scores),
        "new_items": _new_items(plan, lambda users, rows: made.fusion.users(judges.of(users)) @ items[rows].T),
        "coverage": _coverage(plan.known, everything),
        "audiences": _audiences(judges, made),
    }
    return weights, figures


def _judges(fit: Fit, everything: Sequences) -> EvaluationUsers:
    plan, seed = fit.plan, fit.plan.settings.random_seed
    able = np.flatnonzero(np.diff(plan.known.offsets) > 0)
    rng = np.random.default_rng([seed, 16])
    candidates = np.sort(rng.permutation(able)[:MAX_USERS])
    strangers = next_item_metrics.hold_out_newcomers(plan.known, everything, fit.vocabulary.common, rng)
    sample = interactions.sample_users(plan.known, seed)
    aggregates = fit_aggregates(sample, fit.vocabulary, plan.settings.group_columns)
    return EvaluationUsers(fit, everything, candidates, strangers, (plan.content, aggregates))


def _by_events(plan: FitPlan, strangers: HeldOutUsers, scores: next_item_metrics.Scores) -> Result:
    """Recall@20 by how many events were known of a user."""
    known = np.diff(plan.known.offsets)[plan.held.users]
    found = {
        "0": {"users": len(strangers.users), "recall@20": next_item_metrics.measure(strangers, scores)["recall@20"]}
    }
    for least, most in EVENT_RANGES:
        which = (known >= least) & (known <= (most or np.inf))
        part = next_item_metrics.subset(plan.held, which)
        found[_named(least, most)] = {
            "users": int(which.sum()),
            "recall@20": next_item_metrics.measure(part, scores)["recall@20"],
        }
    return found


def _named(least: int, most: int | None) -> str:
    return f"{least}+" if most is None else str(least) if least == most else f"{least}-{most}"


def _new_items(plan: FitPlan, scores: Callable[[Rows, Rows], NDArray[np.float32]]) -> Result:
    """Recall@20 among the items nobody had met before the cut, beside that of chance."""
    part, new = next_item_metrics.only_new_items(plan.held, plan.known)
    if not len(part.users):
        return {"items": len(new), "users": 0, "recall@20": None, "random": None}
    found = next_item_metrics.measure(part, lambda users: scores(users, new))
    chance = min(1.0, next_item_metrics.TOP_K / len(new))
    return {"items": len(new), "users": len(part.users), "recall@20": found["recall@20"], "random": chance}


def _coverage(known: Sequences, everything: Sequences) -> Result:
    """Of those who came after the cut: the share with a vector of their own, and what a method that needs five events has."""
    events = np.diff(known.offsets)[np.diff(everything.offsets) > np.diff(known.offsets)]
    if not len(events):
        return {"users": 0, "encoder": None, f"with_{COLD_START_EVENTS}_events": None}
    shares = {
        "encoder": float(np.mean(events > 0)),
        f"with_{COLD_START_EVENTS}_events": float(np.mean(events >= COLD_START_EVENTS)),
    }
    return {"users": len(events)} | shares


def _audiences(judges: EvaluationUsers, made: Embedder) -> Result:
    """Lift@5 % of the centroid of each block on held-out audiences drawn from the log, and by number of events."""
    users, parts = judges.candidates, judges.of(judges.candidates)
    drawn, seed = judges.audiences[1], judges.fit.plan.settings.random_seed
    vectors = made.fusion.users(parts)
    activity = parts.activity[:, [ACTIVITY_COLUMNS.index("log_events")]]
    spaces = {
        "sequence": vectors,
        "taste": parts.taste,
        "content": parts.content,
    }

    found: Result = {name: _lift(drawn, users, by_centroid_of(space, users), seed) for name, space in spaces.items()}
    found["activity"] = _lift(drawn, users, lambda taught, rest: activity[np.searchsorted(users, rest), 0], seed)
    events = np.diff(judges.fit.plan.known.offsets)[users]
    by_events = {
        _named(least, most): _lift(
            drawn, users[(events >= least) & (events <= (most or np.inf))], by_centroid_of(vectors, users), seed
        )
        for least, most in EVENT_RANGES
    }
    return {"audiences": len(drawn), "users": len(users), "lift@5%": found, "sequence_by_events": by_events}


def by_centroid_of(space: NDArray[Any], users: Rows) -> Callable[[Rows, Rows], NDArray[Any]]:
    """The centroid's score by user rows, where `space` holds the vectors of `users` (ascending) only."""
    score = pseudo_audiences.by_centroid(space)
    return lambda taught, rest: score(_places(users, taught), _places(users, rest))


def _places(rows: Rows, some: Rows) -> Rows:
    """Where some rows stand among ascending ones."""
    return np.searchsorted(rows, some).astype(np.int64)


def _lift(drawn: list[PseudoAudience], users: Rows, score: Any, seed: int) -> float | None:
    found = pseudo_audiences.mean_lift(drawn, users, score, seed)
    return None if np.isnan(found) else found


def churn(old: Representation, new: Representation, seed: int) -> float | None:
    """The share of the first 5 % by the centroid that is not the same in two versions; None with too few in both.

    Seeds are groups of neighbours in the old space.
    """
    ids = pl.read_parquet(old.folder / USERS_FILE, columns=["row", "user_id"])
    both = ids.join(
        pl.read_parquet(new.folder / USERS_FILE, columns=["row", "user_id"]), on="user_id", suffix="_new"
    ).sort("row")
    if len(both) < 4 * CHURN_MEMBERS:
        return None
    rng = np.random.default_rng([seed, 18])
    both = both[np.sort(rng.permutation(len(both))[:MAX_USERS]).tolist()]
    first = old.gather(both["row"].to_numpy().astype(np.int64))[:, old.layout.columns("sequence")]
    places = both["row_new"].to_numpy().astype(np.int64)
    order = np.argsort(places)
    second = np.empty((len(both), len(new.layout.columns("sequence"))), np.float32)
    second[order] = new.gather(places[order])[:, new.layout.columns("sequence")]
    count = max(1, round(CHURN_AT * len(both)))
    kept = []
    for middle in rng.integers(0, len(both), CHURN_SEEDS):
        group = np.argsort(-(first @ first[middle]), kind="stable")[:CHURN_MEMBERS]
        lists = [np.argsort(-(space @ space[group].mean(0)), kind="stable")[:count] for space in (first, second)]
        kept.append(len(np.intersect1d(lists[0], lists[1])) / count)
    return 1 - float(np.mean(kept))
