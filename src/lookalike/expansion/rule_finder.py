"""Finds what a seed's people have done that made them a seed: the rule that nearly all of them fulfil and few others do.

A union of terms is grown greedily. Its worth is the log likelihood ratio of the seed's share that fulfils it against
everybody's, M · KL(seed's share, everybody's share), less the logarithm of the number of terms there were to choose from,
for each term: a description that long has to be paid for by what it explains (minimum description length, Rissanen 1978).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.data import deeds
from lookalike.data.arrays import Flags, Floats, Rows, Seconds, union
from lookalike.data.deeds import Terms
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.rule import MAX_TERMS, Rule
from lookalike.expansion.sampling import draw_background, draw_sample
from lookalike.expansion.seed import Seed

MAX_SEEDS, MAX_OTHERS = 2_000, 5_000
MIN_OTHERS = 25  # who must be there to be compared with: what two others have not done is no rule
MAX_CANDIDATES = 400  # terms that are combined, those that alone are worth most
MIN_SEED_SHARE = 0.95  # people who will do a thing have done it before up to nine times in ten
MAX_OTHERS_SHARE = 0.7
MIN_SHARED, MAX_OTHERS_SHARING = 0.7, 0.3  # from which on what is in common is worth a warning at least
MIN_WORTH = 0.3  # nats a seed user, and ...
MIN_TOTAL_WORTH = 15.0  # ... in all: 25 people have a few items in common by chance
MIN_WITH_HISTORY = 0.5  # of the seed, who must have done something else to be read without the deed
MAX_TIMES = 10
SEVERAL_ITEMS, MIN_CHANGING = 3, 0.05  # of those who have met so many items, who have several values of a column


@dataclass(frozen=True)
class _Incidence:
    """Who has done what: terms by users."""

    terms: Terms  # T
    seed: Flags  # [T, M]
    others: Flags  # [T, P]
    searched: int  # terms that were compared

    def worth(self, seed: Flags, others: Flags, terms: int) -> Floats:
        """Of unions of so many terms, given who fulfils each, [n, M] and [n, P]."""
        gain = likelihood_gain(seed.shape[1], seed.mean(axis=1), _smoothed(others))
        return gain - terms * math.log(max(2, self.searched))


@dataclass(frozen=True)
class FoundRule:
    """What much of a seed has done and few others have."""

    rule: Rule
    seed_share: float
    with_history: float  # the share of the seed that has done something else

    @property
    def is_used(self) -> bool:
        """Whether so many have that it must be what made them seeds, and something else is known of them."""
        return self.seed_share >= MIN_SEED_SHARE and self.is_readable

    @property
    def is_readable(self) -> bool:
        """Whether enough of the seed has done something else, by which it can be read without this."""
        return self.with_history >= MIN_WITH_HISTORY


def find_rule(context: ExpansionContext, seed: Seed) -> FoundRule | None:
    """The rule of a seed, or None when it has none that is worth its length.

    The suppressed are mostly the other customers, so whether they fulfil it is left open first: that tells buyers of
    jumbo bags from buyers of anything jumbo. If no rule is certain that way, the seed is compared with everybody.
    """
    settings = context.settings
    sampled = draw_sample(seed.rows, MAX_SEEDS, settings.random_seed)
    # people without events have done nothing: beside them whatever anybody does would be what the seeds have in common
    not_compared = union(seed.rows, seed.outside, context.without_events)
    everybody = draw_background(context.representation.users, not_compared, MAX_OTHERS, settings.random_seed)
    if len(everybody) < MIN_OTHERS:
        return None
    rows = np.concatenate([sampled, everybody])
    is_seed = np.arange(len(rows)) < len(sampled)
    users = pl.DataFrame(
        {
            "user_id": context.index.ids(rows),
            "place": np.where(is_seed, np.arange(len(rows)), np.arange(len(rows)) - len(sampled)),
            "is_seed": is_seed,
        }
    )
    done = deeds.deeds_of_users(context.database, users, context.cut).join(users, on="user_id")
    done = done.filter(~pl.col("field").is_in(_traits(done, deeds.deed_fields(context.database).columns)))
    is_candidate = ~np.isin(everybody, seed.suppressed)
    found = _rule_against(context, done, users, is_candidate) if is_candidate.sum() >= MIN_OTHERS else None
    if is_candidate.all() or (found and found.is_used):
        return found
    return _rule_against(context, done, users, np.ones(len(everybody), bool)) or found


def _traits(done: pl.DataFrame, columns: Iterable[str]) -> list[str]:
    """Context columns that hardly change from event to event, such as the country: what people are, not what they do.

    Told by those who have met several items, and so had several events.
    """
    several = (
        done.filter(pl.col("field") == deeds.ITEM).group_by("user_id").len().filter(pl.col("len") >= SEVERAL_ITEMS)
    )
    values = done.join(several.select("user_id"), on="user_id", how="semi").group_by("field", "user_id").len()
    changing = values.group_by("field").agg(share=(pl.col("len") > 1).mean())
    context_columns = [name for name in columns if name != "event_type"]
    return changing.filter(pl.col("field").is_in(context_columns), pl.col("share") < MIN_CHANGING)["field"].to_list()


def _rule_against(
    context: ExpansionContext, done: pl.DataFrame, users: pl.DataFrame, compared: Flags
) -> FoundRule | None:
    """The rule that tells the seed from those of the others [P] that it is compared with."""
    seeds = users.filter("is_seed")
    incidence = _incidence(done, len(seeds), compared)
    terms, seed_share = _best_union(incidence)
    if not terms:
        return None
    rule = Rule(tuple(incidence.terms[term] for term in terms))
    if seed_share >= MIN_SEED_SHARE:
        rule, seed_share = _narrowed(context, rule, users)
    with_history = deeds.count_with_other_events(context.database, rule.terms, seeds, context.cut)
    return FoundRule(rule, seed_share, with_history / len(seeds))


def likelihood_gain(seeds: int, seed_share: Floats, others_share: Floats) -> Floats:
    """M · KL(seed's share, others' share) where the seed's is larger, else 0."""
    p, q = (np.clip(share, 1e-9, 1 - 1e-9) for share in (seed_share, others_share))
    gain = seeds * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    return np.where(p > q, gain, 0.0)


def _smoothed(others: Flags) -> Floats:
    """The shares of the others [n, P], never 0: a sample without any does not prove that there are none."""
    shares: Floats = (others.sum(axis=1) + 1) / (others.shape[1] + 2)
    return shares


def _incidence(done: pl.DataFrame, seeds: int, compared: Flags) -> _Incidence:
    """The terms that alone are worth most, and who has done them. `compared` [P]: which of the others count."""
    others = int(compared.sum())
    counted = done.filter(pl.col("is_seed") | pl.Series(compared)[done["place"] % len(compared)])
    counts = counted.group_by("field", "value").agg(seeds=pl.col("is_seed").sum(), users=pl.len())
    seed_share = counts["seeds"].to_numpy() / seeds
    others_share = (counts["users"].to_numpy() - counts["seeds"].to_numpy() + 1) / (others + 2)
    worth = pl.Series("worth", likelihood_gain(seeds, seed_share, others_share))
    best = (
        counts.with_columns(worth)
        .filter(pl.col("worth") > 0)
        .sort("worth", "field", "value", descending=[True, False, False])
        .head(MAX_CANDIDATES)
        .with_row_index("term")
    )
    cells = counted.join(best.select("field", "value", "term"), on=["field", "value"])
    return _Incidence(
        terms=tuple(zip(best["field"].to_list(), best["value"].to_list(), strict=True)),
        seed=_flags(cells.filter("is_seed"), (len(best), seeds)),
        others=_flags(cells.filter(~pl.col("is_seed")), (len(best), len(compared)))[:, compared],
        searched=len(counts),
    )


def _flags(cells: pl.DataFrame, shape: tuple[int, int]) -> NDArray[np.bool_]:
    flags = np.zeros(shape, bool)
    flags[cells["term"].to_numpy(), cells["place"].to_numpy()] = True
    return flags


def _best_union(incidence: _Incidence) -> tuple[list[int], float]:
    """The terms of the rule, none when no union is worth enough, and the share of the seed that fulfils it."""
    chosen: list[int] = []
    best = 0.0
    seed, others = (np.zeros(flags.shape[1], bool) for flags in (incidence.seed, incidence.others))
    while len(chosen) < min(MAX_TERMS, len(incidence.terms)):
        worth = incidence.worth(incidence.seed | seed, incidence.others | others, len(chosen) + 1)
        term = int(np.argmax(worth))
        if worth[term] <= best:
            break
        best = float(worth[term])
        chosen.append(term)
        seed |= incidence.seed[term]
        others |= incidence.others[term]
    is_worth_it = best >= max(MIN_TOTAL_WORTH, MIN_WORTH * len(seed))
    is_rule = seed.mean() >= MIN_SEED_SHARE and others.mean() <= MAX_OTHERS_SHARE
    is_rule |= seed.mean() >= MIN_SHARED and others.mean() <= MAX_OTHERS_SHARING
    return (chosen if is_rule and is_worth_it else []), float(seed.mean())


# --- how often, and since when -------------------------------------------------------------------------------------------


def _narrowed(context: ExpansionContext, rule: Rule, users: pl.DataFrame) -> tuple[Rule, float]:
    """The rule with a number of times or a first day, where either tells the seed much better from the others, and the
    share of the seed that fulfils it."""
    times = deeds.deed_times(context.database, rule.terms, users, context.cut).join(users, on="user_id")
    seed, others = (_DeedTimes.of(times, users, is_seed) for is_seed in (True, False))
    numbers = [replace(rule, times=number) for number in range(2, MAX_TIMES + 1)]
    days = [replace(rule, since=day) for day in _first_days(seed)]
    rules = [rule, *numbers, *days]
    worth = [_worth(candidate, seed, others) for candidate in rules]
    best = int(np.argmax(worth))
    # the choice among them costs its length too, and a restriction should tell much, not a little
    chosen = rules[best] if worth[best] > worth[0] + math.log(len(rules)) + MIN_WORTH * seed.users else rule
    return chosen, float(seed.fulfil(chosen).mean())


@dataclass(frozen=True)
class _DeedTimes:
    """The deeds of some users: times [E] and whose they are [E], in order of time."""

    time: Seconds
    user: Rows
    users: int

    @classmethod
    def of(cls, times: pl.DataFrame, users: pl.DataFrame, is_seed: bool) -> "_DeedTimes":
        own = times.filter(pl.col("is_seed") == is_seed).sort("time", "place")
        return cls(own["time"].to_numpy(), own["place"].to_numpy(), int((users["is_seed"] == is_seed).sum()))

    def fulfil(self, rule: Rule) -> Flags:
        counted = (
            self.user if rule.start is None else self.user[self.time >= rule.start.replace(tzinfo=UTC).timestamp()]
        )
        return np.bincount(counted, minlength=self.users) >= rule.times


def _first_days(seed: _DeedTimes) -> list[date]:
    """The day from which on every seed has a deed, and the one from which on nearly every seed has."""
    last = np.zeros(seed.users, np.int64)
    last[seed.user] = seed.time  # in order of time: the last one stays
    if not last.any():
        return []
    moments = np.quantile(last[last > 0], [0, 1 - MIN_SEED_SHARE], method="lower")
    return [datetime.fromtimestamp(int(moment), UTC).date() for moment in moments]


def _worth(rule: Rule, seed: _DeedTimes, others: _DeedTimes) -> float:
    fulfilled = seed.fulfil(rule)
    if fulfilled.mean() < MIN_SEED_SHARE:
        return 0.0
    return float(likelihood_gain(seed.users, fulfilled.mean(keepdims=True), _smoothed(others.fulfil(rule)[None]))[0])
