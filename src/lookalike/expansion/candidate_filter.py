"""The people a list is for, stated as `country = FR`: nobody else is listed, compared with, or learnt from."""

from dataclasses import replace

import numpy as np

from lookalike.data import user_values
from lookalike.data.arrays import Rows
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.rule import Condition
from lookalike.expansion.seed import Seed
from lookalike.expansion.seed_checks import MIN_MEASURABLE_SEEDS, MIN_SEEDS
from lookalike.expansion.seed_summary import WhereSummary, WhereUsed


def only_inside(
    context: ExpansionContext, conditions: tuple[Condition, ...], seed: Seed, force: bool
) -> tuple[Seed, WhereSummary | None]:
    """The seed of those people alone for whom all conditions are true.

    A list for one country is a list of that country's people, and so is what it learns from and is measured on: seeds
    from elsewhere would be told apart by where they live. Raises ExpansionError when too few seeds are left.
    """
    if not conditions:
        return seed, None
    inside = users_inside(context, conditions)
    is_inside = np.isin(seed.rows, inside)
    summary = WhereSummary(
        conditions=tuple(map(str, conditions)), users=len(inside), seeds=int(is_inside.sum()), of_seeds=len(seed.rows)
    )
    _check_counts(summary, force)
    outside = np.setdiff1d(np.arange(context.representation.users), inside, assume_unique=True)
    context.progress.say(WhereUsed(where=summary))
    seed = seed.subset(is_inside)
    return (
        replace(
            seed,
            suppressed=np.union1d(seed.suppressed, outside),
            negatives=np.intersect1d(seed.negatives, inside),
            listed_elsewhere=np.intersect1d(seed.listed_elsewhere, inside),
            outside=outside,
        ),
        summary,
    )


def users_inside(context: ExpansionContext, conditions: tuple[Condition, ...]) -> Rows:
    """The users with a vector for whom all conditions are true, ascending."""
    fields = user_values.user_fields(context.database)
    inside: Rows | None = None
    for condition in conditions:
        for field, _ in condition.terms:
            if field not in fields:
                shown = ", ".join(fields[:12])
                raise SettingsError(f"--where: no field of people is called {field[:60]!r}", f"fields: {shown}")
        found = user_values.users_with_values(context.database, condition.terms, context.cut)
        rows = context.index.match({"inside": found})["inside"].rows
        if not len(rows):
            raise ExpansionError(f"--where: of nobody {str(condition)[:100]}", "check the value")
        inside = rows if inside is None else np.intersect1d(inside, rows)
    assert inside is not None
    return inside


def _check_counts(where: WhereSummary, force: bool) -> None:
    if where.seeds >= MIN_SEEDS or (force and where.seeds >= MIN_MEASURABLE_SEEDS):
        return
    raise ExpansionError(
        f"--where: {where.seeds:,} of {where.of_seeds:,} seeds are people that the list is for; fewer than {MIN_SEEDS} are "
        "too few",
        "leave --where out and take those people from a longer list; its lift is then of all people",
    )
