"""The people a list is for, stated as `country = FR`: no scorer lists, compares with, or learns from anybody else."""

from dataclasses import replace

import numpy as np

from lookalike.data import user_values
from lookalike.data.arrays import Rows, union
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
            suppressed=union(seed.suppressed, outside),
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
                raise SettingsError(
                    f"--where: no field of people is called {field[:60]!r}", _fields_hint(field, fields)
                )
        found = user_values.users_with_values(context.database, condition.terms, context.cut)
        rows = context.index.match({"inside": found})["inside"].rows
        if not len(rows):
            raise ExpansionError(f"--where: nobody is {str(condition)[:100]}", _values_hint(context, condition))
        inside = rows if inside is None else np.intersect1d(inside, rows)
    assert inside is not None
    return inside


def _fields_hint(field: str, fields: tuple[str, ...]) -> str:
    if field == "event_type":
        return "for people who have done something, --seed-rule or --before"
    return f"fields: {', '.join(fields[:12])}" if fields else "the log has no users table and no context columns"


def _values_hint(context: ExpansionContext, condition: Condition) -> str:
    """The common values of the condition's first field."""
    field, _ = condition.terms[0]
    values = user_values.common_values(context.database, field, context.cut, context.settings.min_cell)
    return f"values of {field[:60]}: {', '.join(value[:40] for value in values)}" if values else "check the value"


def _check_counts(where: WhereSummary, force: bool) -> None:
    if where.seeds >= MIN_SEEDS or (force and where.seeds >= MIN_MEASURABLE_SEEDS):
        return
    raise ExpansionError(
        f"--where: fewer than {MIN_SEEDS} of {where.of_seeds:,} seeds are people that the list is for",
        "leave --where out and take those people from a longer list; its lift is then of all people",
    )
