"""Ways to cut people into slices: by number of events, by tenure, by what is known of them.

A slice of fewer people, or of fewer seeds, than a floor is joined with a neighbour or with the other values, so that no
figure is about a few, and none can be had by subtraction.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from lookalike.data import user_values
from lookalike.data.arrays import Floats, Matrix, Rows
from lookalike.embeddings.layout import BlockLayout
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.examples import Examples
from lookalike.expansion.slice_figures import MIN_OTHERS, SliceBy

EVENT_BOUNDS = (1, 2, 5, 20)  # first numbers of events of a slice
TENURES = (
    (1, "a day"), (7, "a week"), (30, "a month"), (91, "3 months"), (182, "6 months"), (365, "a year"),
    (730, "2 years"), (1_826, "5 years"),
)  # fmt: skip
MAX_TENURES = 4
LAST_TENURE = 0.95  # of the log's span: the longest tenure that begins a slice
KNOWN: tuple[Literal["device", "country"], ...] = ("device", "country")
MAX_VALUES = 6
OTHERS_PER_SEED = 5
OTHERS = None  # the label of all other values together


@dataclass(frozen=True)
class Cut:
    """People in slices."""

    by: SliceBy
    labels: tuple[str | None, ...]
    of_seed: Rows  # [M]: the slice of each seed, -1 for none
    of_background: Rows  # [P]


@dataclass(frozen=True)
class Floor:
    """The fewest seeds and others of a slice."""

    people: int
    drawn: int = MIN_OTHERS  # others
    per_seed: int = OTHERS_PER_SEED  # others for each seed

    def holds(self, seeds: int, others: int) -> bool:
        """Whether so many seeds and so many drawn others are enough: for privacy, and for 5 % of a fold to be some people."""
        return seeds >= self.people and others >= max(self.people, self.drawn, self.per_seed * seeds)


def cuts(context: ExpansionContext, examples: Examples, floor: Floor) -> list[Cut]:
    """The cuts that leave at least two slices, or somebody outside of one."""
    layout = context.representation.layout
    made = [by_events(examples, layout, floor), by_tenure(examples, layout, floor)]
    if examples.background_rows is not None:
        made += [by_value(known, examples.seed_index, floor) for known in known_values(context, examples)]
    return [cut for cut in made if (np.concatenate([cut.of_seed, cut.of_background]) != 0).any()]


def by_events(examples: Examples, layout: BlockLayout, floor: Floor) -> Cut:
    """Slices by the number of events that people are read with."""
    seed, background = (_plain(rows, layout, "log_events").round() for rows in (examples.seed, examples.background))
    start = int(min(seed.min(initial=1), background.min(initial=1), 1))

    def label(low: float, high: float) -> str:
        first = max(start, int(low))
        if np.isinf(high):
            return f"{first}+"
        return str(first) if high == first + 1 else f"{first}-{int(high) - 1}"

    return _in_bands("events", seed, background, EVENT_BOUNDS, label, examples.seed_index, floor)


def by_tenure(examples: Examples, layout: BlockLayout, floor: Floor) -> Cut:
    """Slices by the days since the first event, with bounds that suit the log's span."""
    is_active = [rows[:, layout.column("log_events")] > 0 for rows in (examples.seed, examples.background)]
    is_other = examples.seed_index < 0
    without = int((~is_active[0]).sum()), int((~is_active[1] & is_other).sum())
    if is_active[0].sum() >= floor.people and floor.holds(
        *without
    ):  # people without events have no tenure, and are a slice by events
        own = [np.flatnonzero(active) for active in is_active]
        cut = _tenure_bands(examples, layout, floor, *own)
        placed = [np.full(len(active), -1) for active in is_active]
        for places, rows, slices in zip(placed, own, (cut.of_seed, cut.of_background), strict=True):
            places[rows] = slices
        return Cut(cut.by, cut.labels, *placed)
    return _tenure_bands(examples, layout, floor, *(np.arange(len(active)) for active in is_active))


def _tenure_bands(examples: Examples, layout: BlockLayout, floor: Floor, seeds: Rows, background_rows: Rows) -> Cut:
    """Of some seeds and some of the background."""
    seed = _plain(examples.seed[seeds], layout, "log_tenure_days")
    background = _plain(examples.background[background_rows], layout, "log_tenure_days")
    span = max(seed.max(initial=0), background.max(initial=0))
    names = dict(TENURES)
    bounds = [days for days in names if days <= LAST_TENURE * span][1 - MAX_TENURES :]

    def label(low: float, high: float) -> str:
        if low <= 0:
            return "any" if np.isinf(high) else f"less than {names[int(high)]}"
        return f"{names[int(low)]} or more" if np.isinf(high) else f"{names[int(low)]} to {names[int(high)]}"

    return _in_bands("tenure", seed, background, tuple(bounds), label, examples.seed_index[background_rows], floor)


@dataclass(frozen=True)
class KnownValues:
    """What is known of people: codes of values, -1 where it is unknown."""

    by: SliceBy
    names: list[str]  # of the codes
    seed: Rows  # [M]
    background: Rows  # [P]


def by_value(known: KnownValues, seed_index: Rows, floor: Floor) -> Cut:
    """Slices by a value.

    The most common values of the seeds are slices of their own, the others one together. If these are seeds, but too few,
    the smallest slice goes to them; if nobody of them is a seed, they are none.
    """
    names, seed, background = known.names, known.seed, known.background
    seeds = np.bincount(seed[seed >= 0], minlength=len(names))
    others = np.bincount(background[(seed_index < 0) & (background >= 0)], minlength=len(names))
    order = sorted(range(len(names)), key=lambda code: (-int(seeds[code]), names[code]))
    own = [code for code in order if floor.holds(int(seeds[code]), int(others[code]))][:MAX_VALUES]
    strangers = int((seed_index < 0).sum())
    while own:
        left = len(seed) - int(seeds[own].sum()), strangers - int(others[own].sum())
        if floor.holds(*left) or (left[0] == 0 and (left[1] == 0 or floor.holds(floor.people, left[1]))):
            break
        own.pop()
    slice_of = np.full(len(names) + 1, len(own))
    slice_of[own] = np.arange(len(own))
    of_seed, of_background = slice_of[seed], slice_of[background]
    labels = [names[code] for code in own]
    if len(own) and not (of_seed == len(own)).any():
        return Cut(known.by, tuple(labels), of_seed, np.where(of_background == len(own), -1, of_background))
    return Cut(known.by, (*labels, OTHERS), of_seed, of_background)


def _in_bands(
    by: SliceBy,
    seed: Floats,
    background: Floats,
    bounds: tuple[int, ...],
    label: Callable[[float, float], str],
    seed_index: Rows,
    floor: Floor,
) -> Cut:
    """Slices of numbers between bounds. The smallest slice below the floor is joined with its smaller neighbour, until all
    are large enough."""
    kept, others = list(bounds), background[seed_index < 0]
    while kept:
        seeds, strangers = (
            np.bincount(np.searchsorted(kept, values, "right"), minlength=len(kept) + 1) for values in (seed, others)
        )
        small = [place for place in range(len(seeds)) if not floor.holds(int(seeds[place]), int(strangers[place]))]
        if not small:
            break
        place = min(small, key=lambda each: (seeds[each], strangers[each]))
        neighbours = [each for each in (place - 1, place + 1) if 0 <= each < len(seeds)]
        kept.pop(min(place, min(neighbours, key=lambda each: (seeds[each], strangers[each]))))
    ends = [0, *kept, np.inf]
    labels = tuple(label(low, high) for low, high in itertools.pairwise(ends))
    return Cut(by, labels, np.searchsorted(kept, seed, "right"), np.searchsorted(kept, background, "right"))


def _plain(rows: Matrix, layout: BlockLayout, column: str) -> Floats:
    """A logarithmic column as plain figures."""
    return np.expm1(rows[:, layout.column(column)].astype(np.float64))


def known_values(context: ExpansionContext, examples: Examples) -> list[KnownValues]:
    """Device and country of the seeds and of the background, where the log has them: the last known before the cut."""
    assert examples.background_rows is not None
    fields = [name for name in KNOWN if name in user_values.user_fields(context.database)]
    if not fields:
        return []
    rows = np.concatenate([examples.rows, examples.background_rows])
    distinct, place = np.unique(rows, return_inverse=True)
    ids = pl.DataFrame({"user_id": context.index.ids(distinct), "place": np.arange(len(distinct))})
    known = []
    for field in fields:
        found = user_values.values_of_users(context.database, field, ids, context.cut).sort("place")
        names = found["value"].unique().sort().to_list()
        codes = np.full(len(distinct), -1)
        codes[found["place"].to_numpy()] = np.searchsorted(np.array(names, object), found["value"].to_numpy())
        of_seed, of_background = np.split(codes[place], [len(examples.rows)])
        known.append(KnownValues(field, names, of_seed, of_background))
    return known
