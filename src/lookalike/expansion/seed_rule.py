"""The rule of a seed, stated or found, and everybody who fulfils it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from lookalike.data.arrays import Rows, union
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion.audience import Audience
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.doers import NEVER, Doers, check_rule, find_doers
from lookalike.expansion.messages import ExpansionWarning, InCommon
from lookalike.expansion.rule import Rule, parse_rule
from lookalike.expansion.rule_finder import find_rule
from lookalike.expansion.seed import Seed
from lookalike.expansion.seed_summary import RuleSummary


def stated_rule(audience: Audience) -> Rule | None:
    """The rule that the seed is made by, or that of `--before`, if that is one and not an event type."""
    if isinstance(audience.seed, Rule):
        if audience.before is not None:
            raise SettingsError(
                "--seed-rule says already what made people seeds, and --before too", "leave --before out"
            )
        return audience.seed
    return parse_rule(audience.before) if audience.before and "=" in audience.before else None


@dataclass(frozen=True)
class RuledSeed:
    """A seed, with everybody who has done what its people have in common if it has a rule."""

    seed: Seed
    rule: RuleSummary | None = None
    warnings: tuple[ExpansionWarning, ...] = ()


def with_rule(context: ExpansionContext, audience: Audience, seed: Seed) -> RuledSeed:
    """The seed with its rule, stated or found. Other doers are suppressed, unless they are to be listed."""
    stated = stated_rule(audience)
    if stated is None:
        rule, warnings = _found_rule(context, audience, seed)
        if rule is None:
            return RuledSeed(seed, warnings=warnings)
    elif audience.as_of_now:
        raise SettingsError("--as-of-now reads no rule, and one was stated", "leave one of them out")
    else:
        rule = stated
    check_rule(context, rule)
    doers = find_doers(context, rule).without(seed.outside)
    others = np.setdiff1d(doers.rows, seed.rows)
    left_out = others[:0] if audience.include_doers else others
    summary = _summary(context, audience, seed, doers, left_out)
    return RuledSeed(replace(seed, suppressed=union(seed.suppressed, left_out), doers=doers), summary)


def _found_rule(
    context: ExpansionContext, audience: Audience, seed: Seed
) -> tuple[Rule | None, tuple[ExpansionWarning, ...]]:
    """The rule that is found and used; or a warning of what the seeds have in common and is not used."""
    if seed.moment is not None:
        return None, ()
    with context.progress.step(f"looking for what the {len(seed.rows):,} seeds have in common"):
        found = find_rule(context, seed)
    if found is None:
        return None, ()
    if audience.as_of_now or not found.is_used:
        warning = InCommon(rule=str(found.rule), seed_share=found.seed_share, nothing_else=not found.is_readable)
        return None, (warning,)
    return found.rule, ()


def _summary(context: ExpansionContext, audience: Audience, seed: Seed, doers: Doers, left_out: Rows) -> RuleSummary:
    """What is told of the rule. Raises ExpansionError when no seed fulfils it."""
    moments = doers.moments_of(seed.rows)
    fulfilling = moments < NEVER
    if not fulfilling.any():
        raise ExpansionError(
            f"no seed fulfils the rule {str(doers.rule)[:100]}", "check field and value, or leave --before out"
        )
    return RuleSummary(
        rule=str(doers.rule),
        stated=stated_rule(audience) is not None,
        seeds=int(fulfilling.sum()),
        of_seeds=len(seed.rows),
        seed_share=float(fulfilling.mean()),
        doers=len(doers.rows),
        everybody_share=len(doers.rows) / (context.representation.users - len(seed.outside)),
        left_out=len(np.setdiff1d(left_out, seed.suppressed)),
        doers_listed=audience.include_doers,
        first=datetime.fromtimestamp(int(moments.min()), UTC).replace(tzinfo=None),
    )
