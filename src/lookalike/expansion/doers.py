"""Everybody who has done what the seed's people have in common."""

from dataclasses import dataclass, replace

import numpy as np

from lookalike.data import deeds
from lookalike.data.arrays import Rows, Seconds
from lookalike.errors import SettingsError
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.rule import Rule

NEVER = np.iinfo(np.int64).max  # the moment of those who do not fulfil the rule


@dataclass(frozen=True)
class Doers:
    """Everybody who fulfils a rule before the cut, as ascending user rows, and since when."""

    rule: Rule
    rows: Rows  # [D]
    moment: Seconds  # [D]: when each fulfilled it

    def only(self, rows: Rows) -> "Doers":
        """Those among some users."""
        kept = np.isin(self.rows, rows)
        return replace(self, rows=self.rows[kept], moment=self.moment[kept])

    def without(self, rows: Rows) -> "Doers":
        """Those who are not among some users."""
        kept = ~np.isin(self.rows, rows)
        return replace(self, rows=self.rows[kept], moment=self.moment[kept])

    def moments_of(self, rows: Rows) -> Seconds:
        """The moments of some users, or NEVER, [n]."""
        place = np.searchsorted(self.rows, rows)
        found = np.append(self.rows, -1)[place] == rows
        return np.where(found, np.append(self.moment, 0)[place], NEVER)


def find_doers(context: ExpansionContext, rule: Rule) -> Doers:
    """Everybody with a vector who fulfils the rule."""
    first = deeds.first_deeds(context.database, rule.terms, context.cut, rule.start, rule.times)
    match = context.index.match({"doers": first})["doers"].matched
    return Doers(rule, match["row"].to_numpy(), match["moment"].to_numpy())


def check_rule(context: ExpansionContext, rule: Rule) -> None:
    """Raises SettingsError when the rule names a field that the log does not have."""
    names = deeds.deed_fields(context.database).names
    for field, _ in rule.terms:
        if field not in names:
            shown = ", ".join(names[:12])
            raise SettingsError(f"rule: no field is called {field[:60]!r}", f"fields of this log: {shown}")
