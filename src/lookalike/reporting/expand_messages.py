"""What an expansion warns of and tells, in words."""

from collections.abc import Callable
from typing import Any

from lookalike.expansion import messages
from lookalike.expansion.list_change import ListChange
from lookalike.expansion.seed_summary import RuleUsed, WhereUsed
from lookalike.expansion.suppression_figures import differences
from lookalike.reporting.formatting import clean, percent, times
from lookalike.reporting.rule_section import rule_hint, rule_sentence, where_sentence
from lookalike.workspace.progress import Message


def _without_events_left_out(message: messages.WithoutEventsLeftOut) -> str:
    text = f"{message.users:,} people without events are not candidates, because the list is for people who have some"
    return text + (f"; {message.seeds:,} seeds without events are not used" if message.seeds else "")


def _in_common(message: messages.InCommon) -> str:
    done = f"{percent(message.seed_share)} of the seeds have done {clean(message.rule, 200)}"
    if message.nothing_else:
        return (
            f"{done}, most of them nothing else, and are recognised by it: the list is mostly of others who have done it, and "
            "the lift says nothing about people who have not done it yet"
        )
    return (
        f"{done}, and are recognised by it: if that is what made them seeds, expect much less from people who have not done it "
        "yet; --before with this rule measures that"
    )


def _list_change(message: ListChange) -> str:
    before = f"a list of {message.prospects_before:,}" if message.prospects_before else "an expansion without a list"
    parts = [f"{message.prospects:,} people now"]
    if message.new is None:
        parts.append("who of them is new is not known, because the earlier list cannot be read")
    elif message.prospects and message.prospects_before:
        parts.append(f"{message.new:,} of them new and {message.gone:,} gone")
    if not message.same_seed:
        parts.append("from another seed")
    if message.suppressed != message.suppressed_before:
        parts.append(f"{message.suppressed:,} people suppressed instead of {message.suppressed_before:,}")
    if message.scorer != message.scorer_before:
        parts.append(f"scorer {message.scorer} instead of {message.scorer_before}")
    return f"takes the place of {before}, which is kept in {message.kept}: {', '.join(parts)}"


SENTENCES: dict[type[Message], Callable[[Any], str]] = {
    messages.UnmatchedSuppression: lambda m: (
        f"{m.ids:,} of {m.given:,} ids to suppress are nobody's in the log, in any spelling"
    ),
    messages.SuppressedAlike: lambda m: (
        f"{m.users:,} {'user is' if m.users == 1 else 'users are'} suppressed whose ids differ from those given only by "
        f"the way they are written ({differences(m.ways)}): they may be the same people"
    ),
    messages.OtherColumnRead: lambda m: (
        f"the seed's ids are read from the column {m.column}: {', '.join(m.empty)} "
        f"{'is' if len(m.empty) == 1 else 'are'} empty"
    ),
    messages.LowMatchRate: lambda m: (
        f"{m.unmatched:,} of {m.distinct:,} seed ids are not known users: the list is made from the other {m.matched:,}"
    ),
    messages.NearMatches: lambda m: (
        f"{m.ids:,} unmatched seed ids differ from the log's only by the way they are written ({differences(m.ways)}): write "
        "them as the log does; until then these people are neither seeds nor listed"
    ),
    messages.WithoutVectors: lambda m: (
        f"{m.ids:,} unmatched seed ids are known but have no vector: they came later, or have too few events or none; "
        "lookalike embed adds newcomers"
    ),
    messages.WithoutEventsLeftOut: _without_events_left_out,
    messages.WithoutEventsListed: lambda m: (
        f"{m.users:,} of {m.candidates:,} candidates have no events, and {percent(m.seed_share)} of the seeds: a random list of "
        f"people {'without' if m.more_than_everybody else 'with'} events has a lift of {times(m.random_lift)} already"
    ),
    messages.FewNegatives: lambda m: (
        f"only {m.matched:,} of the negative examples are known users who are not seeds: too few to learn much from"
    ),
    messages.NewerFiles: lambda m: (
        f"the log has changed since the vectors were made ({m.files:,} files ingested or removed): lookalike embed takes it in"
    ),
    messages.SeedsWithoutHistory: lambda m: (
        f"{m.seeds:,} seeds had no event before their moment: they are excluded from the model, and are not listed"
    ),
    messages.SeedsWithNothingElse: lambda m: (
        f"{m.seeds:,} seeds have done nothing else: they are excluded from the model, and are not listed"
    ),
    messages.BusySeeds: lambda m: (
        f"{m.busy:,} of {m.seeds:,} seeds have more events a day than 99.9% of all users: most likely bots or staff"
    ),
    messages.SeveralAudiences: lambda m: (
        f"the seed is {len(m.shares)} audiences ({', '.join(percent(share) for share in m.shares)}), and a list for each "
        "finds more people: --split makes them"
    ),
    messages.NothingToBalance: lambda m: "the seed is one audience: there is nothing to balance",
    messages.UnderrepresentedSubAudience: lambda m: (
        f"sub-audience {m.number} is {percent(m.list_share)} of the list but {percent(m.seed_share)} of the seed: "
        "--balance keeps the shares"
    ),
    messages.ListedElsewhere: lambda m: (
        f"{m.users:,} people on other lists are left out: figures assume that they ranked first; curves are of the whole "
        "ranking"
    ),
    messages.InCommon: _in_common,
    messages.PickedPart: lambda m: (
        f"the seeds are a picked part of those who have done it: the {m.others:,} others count a tenth of a seed"
    ),
    messages.NoForecast: lambda m: (
        "too few people fulfilled the rule lately for a forecast: the figures are of hidden seeds, and may promise too much"
    ),
    messages.EscapedIds: lambda m: (
        f"a spreadsheet would run {m.ids:,} ids, or a part of them, as a formula: a ' in front of it in the CSV prevents that; "
        "--format parquet keeps every id unchanged"
    ),
}

NEWS: dict[type[Message], Callable[[Any], str]] = {
    WhereUsed: lambda m: f"the list is for {where_sentence(m.where)}",
    ListChange: _list_change,
    RuleUsed: lambda m: f"{rule_sentence(m.rule)}; {rule_hint(m.rule)}",
}
