"""People of the users table without any event: whether they are candidates.

Nearly all that is known of them is that they have done nothing. Beside a seed of people who have done something they would
only make the list look better: any list of active people holds more such seeds than a random one does. So they are
candidates where the seeds say so, and the list has then to be better than one of random people of the better kind.
"""

from dataclasses import dataclass, replace

import numpy as np

from lookalike.data.arrays import Flags, is_member, union
from lookalike.errors import ExpansionError
from lookalike.expansion.audience import Audience
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.messages import ExpansionWarning, WithoutEventsLeftOut, WithoutEventsListed
from lookalike.expansion.seed import Seed, TwoKinds
from lookalike.expansion.seed_checks import MIN_MEASURABLE_SEEDS
from lookalike.expansion.seed_rule import stated_rule

MIN_SEED_SHARE = 0.1  # of the seeds without events, from which on the list is for such people too


@dataclass(frozen=True)
class Eligibility:
    """A seed with those who are not candidates beside it, and what is to be said of it."""

    seed: Seed
    warnings: tuple[ExpansionWarning, ...] = ()


def with_eligible(context: ExpansionContext, audience: Audience, seed: Seed) -> Eligibility:
    """The seed; people without events are left out of it, and of everything else, unless they are candidates.

    Raises ExpansionError when hardly any seed is left.
    """
    nobody = np.setdiff1d(context.without_events, seed.outside, assume_unique=True)
    if not len(nobody):
        return Eligibility(seed)
    lacks_events = is_member(seed.rows, nobody)
    only_active = replace(
        seed.subset(~lacks_events),
        suppressed=union(seed.suppressed, nobody),
        negatives=np.setdiff1d(seed.negatives, nobody),
        listed_elsewhere=np.setdiff1d(seed.listed_elsewhere, nobody),
        outside=union(seed.outside, nobody),
    )
    if _are_candidates(audience, seed, lacks_events):
        kinds = _two_kinds(context, seed, lacks_events)
        return Eligibility(replace(seed, kinds=kinds), _listed_warning(kinds))
    if len(only_active.rows) < MIN_MEASURABLE_SEEDS:
        raise ExpansionError(
            f"only {len(only_active.rows)} of {len(seed.rows):,} seeds have events to read as of an earlier moment",
            "leave --before and the column ts out: seeds without events are read as they are",
        )
    return Eligibility(only_active, (WithoutEventsLeftOut(users=len(nobody), seeds=int(lacks_events.sum())),))


def _are_candidates(audience: Audience, seed: Seed, lacks_events: Flags) -> bool:
    """Whether people without events may be listed: not where people are read as they were, which these never were."""
    if seed.moment is not None or stated_rule(audience) is not None:
        return False
    return bool(lacks_events.mean() >= MIN_SEED_SHARE)


def _two_kinds(context: ExpansionContext, seed: Seed, lacks_events: Flags) -> TwoKinds:
    without = len(np.setdiff1d(context.without_events, seed.excluded))
    candidates = context.representation.users - len(seed.excluded)
    return TwoKinds(float(lacks_events.mean()), without, candidates)


def _listed_warning(kinds: TwoKinds) -> tuple[ExpansionWarning, ...]:
    """What a list gains by nothing but the share of people without events on it."""
    if kinds.without in (0, kinds.candidates):  # all are alike in this
        return ()
    warning = WithoutEventsListed(
        users=kinds.without,
        candidates=kinds.candidates,
        seed_share=kinds.seed_share,
        more_than_everybody=kinds.more_without,
        random_lift=kinds.random_lift(1),
    )
    return (warning,)
