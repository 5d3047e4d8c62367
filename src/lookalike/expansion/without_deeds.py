"""People read as if they had not done what the seed's people have in common.

Buyers are told apart from everybody else by having bought; nobody who is still to buy looks like that. So the deeds are
taken out of their histories, and they show what buyers are like apart from having bought. The log names more of them than
a client's list, and all of them teach; if the list is a picked part of them, the others count little.
"""

from dataclasses import dataclass, replace

import numpy as np

from lookalike.data import deeds
from lookalike.data.arrays import Flags, Rows, Seconds, union
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.errors import ExpansionError
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.doers import NEVER, Doers
from lookalike.expansion.examples import Examples, seed_weights
from lookalike.expansion.histories import Histories
from lookalike.expansion.picked_part import OTHERS_WEIGHT, is_picked
from lookalike.expansion.rule import Rule
from lookalike.expansion.sampling import draw_background, draw_sample
from lookalike.expansion.scorers import SEQUENCE_AND_AGGREGATES
from lookalike.expansion.seed import Seed
from lookalike.expansion.seed_checks import MIN_MEASURABLE_SEEDS
from lookalike.workspace.random_streams import Stream, generator

MAX_TEACHERS = 4_000  # doers besides the seeds whose histories are read
MAX_OTHERS = 5_000  # users who have not done it, to look for later doers among


@dataclass(frozen=True)
class DeedFilter:
    """Tells deeds from other events of sequences."""

    items: Flags  # [V]: whether events about the item are deeds
    codes: dict[str, Flags]  # coded field -> whether events with the code are

    @classmethod
    def of(cls, context: ExpansionContext, rule: Rule, vocabulary: Vocabulary) -> "DeedFilter":
        named = set(deeds.deed_items(context.database, rule.terms))
        return cls(
            items=np.array([item in named for item in vocabulary.items], bool),
            codes={
                name: np.array([False, *((name, value) in rule.terms for value in values)])
                for name, values in vocabulary.codes.items()
            },
        )

    def __call__(self, sequences: Sequences) -> Flags:
        """Which events are deeds, [E]."""
        item = np.asarray(sequences["item"])
        found: Flags = np.append(self.items, False)[item]  # item -1 is none
        for name, is_deed in self.codes.items():
            found = found | is_deed[np.asarray(sequences[name])]
        return found


@dataclass(frozen=True)
class DoerHistories:
    """The histories of doers and of other users."""

    histories: Histories
    doers: Doers
    is_deed: DeedFilter
    seed: Rows  # the seeds' user rows
    uncoded: Rows  # keys of deeds that the encoder has no code for, see `_keys`

    @property
    def moment(self) -> Seconds:
        """When each user of the histories fulfilled the rule, or NEVER, [n]."""
        return self.doers.moments_of(self.histories.rows)

    def without_deeds(self, sequences: Sequences, places: Rows) -> Flags:
        """Which events stay when the deeds from a person's moment on are taken out, [E]."""
        since = self.moment[places][sequences.owner]
        time = np.asarray(sequences["time"]).astype(np.int64)
        is_deed = self.is_deed(sequences) | np.isin(_keys(places[sequences.owner], time), self.uncoded)
        return ~(is_deed & (time >= since))


def _keys(place: Rows, time: Seconds) -> Rows:
    """One number for each user of the histories and second."""
    return place * (1 << 40) + time


def _uncoded_deeds(context: ExpansionContext, doers: Doers, histories: Histories) -> Rows:
    """Deeds with a value that was new after the training: these have no code, and are known by person and second."""
    codes, columns = histories.vocabulary.codes, deeds.deed_fields(context.database).columns
    terms = tuple(term for term in doers.rule.terms if term[0] in columns and term[1] not in codes.get(term[0], ()))
    if not terms:
        return np.zeros(0, np.int64)
    ids = context.index.ids(histories.rows).to_frame("user_id").with_row_index("place")
    times = deeds.deed_times(context.database, terms, ids, context.cut).join(ids, on="user_id")
    return _keys(times["place"].to_numpy().astype(np.int64), times["time"].to_numpy())


def read_histories(context: ExpansionContext, seed: Seed, doers: Doers, sampled: Rows) -> DoerHistories:
    """The histories of the sampled seeds, of a sample of the other doers, and of a sample of everybody else."""
    settings = context.settings
    more = draw_sample(np.setdiff1d(doers.rows, seed.rows), MAX_TEACHERS, settings.random_seed)
    not_others = union(seed.rows, seed.suppressed, doers.rows)
    others = draw_background(context.representation.users, not_others, MAX_OTHERS, settings.random_seed)
    histories = Histories.read(context, union(sampled, more, others))
    return DoerHistories(
        histories=histories,
        doers=doers,
        is_deed=DeedFilter.of(context, doers.rule, histories.vocabulary),
        seed=seed.rows,
        uncoded=_uncoded_deeds(context, doers, histories),
    )


def examples_without_deeds(
    context: ExpansionContext, read: DoerHistories, seed: Seed, examples: Examples
) -> tuple[Examples, int]:
    """The examples with the seeds as if they had not done it, and the other doers as teachers; and how many seeds have
    done nothing else.

    Raises ExpansionError when hardly any seed has.
    """
    histories = read.histories
    places = histories.places(examples.rows)
    vectors, had_events = histories.vectors(places, keep=read.without_deeds)
    if had_events.sum() < MIN_MEASURABLE_SEEDS:
        raise ExpansionError(
            f"the seeds have done nothing but {str(read.doers.rule)[:100]}: nothing else is known of them",
            "--as-of-now reads them as they are; or ingest more of what they do",
        )
    kept = histories.rows[places[had_events]]
    more = histories.places(np.setdiff1d(read.doers.rows, seed.rows))
    teachers, taught = histories.vectors(more, keep=read.without_deeds)
    columns = examples.space.columns(SEQUENCE_AND_AGGREGATES)
    rng = generator(context.settings.random_seed, Stream.PICKED_PART)
    is_doer = read.doers.moments_of(kept) < NEVER
    picked = is_picked(vectors[had_events][is_doer][:, columns], teachers[taught][:, columns], rng)
    is_other, rows = examples.seed_index < 0, examples.background_rows
    without = replace(
        examples,
        seed=vectors[had_events],
        weight=seed_weights(seed, kept),
        rows=kept,
        background=examples.background[is_other],
        background_rows=None if rows is None else rows[is_other],
        seed_index=np.full(int(is_other.sum()), -1),
        teachers=teachers[taught],
        teacher_weight=OTHERS_WEIGHT if picked else 1.0,
        as_now=context.representation.gather(kept),
    )
    return without, int((~had_events).sum())
