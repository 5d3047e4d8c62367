"""The verdict in words: a headline, one sentence with the key number, and a line for each check."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lookalike.expansion.messages import NothingToBalance
from lookalike.expansion.result import Check, Evaluation, Leak
from lookalike.reporting.formatting import clean, count, day, likely, people, percent, times

MAX_LEAKS_NAMED = 3
MAX_FLAG_LENGTH = 200  # of a name that is to be typed: few are longer
Mark = Literal["for", "against", "note"]


@dataclass(frozen=True)
class Line:
    """One reason for the verdict, and whether it speaks for the list, against it, or is only worth knowing."""

    text: str
    mark: Mark


@dataclass(frozen=True)
class VerdictText:
    """The verdict as people read it."""

    expand: bool
    headline: str
    sentence: str
    lines: tuple[Line, ...]
    caution: str  # what may make the figures promise too much; empty if nothing
    note: str


def verdict_text(evaluation: Evaluation) -> VerdictText:
    """The verdict of an expansion in words."""
    verdict = evaluation.verdict
    note = ""
    if not verdict.expand:
        note = "The list was written anyway, because it was forced." if verdict.forced else "No list was written."
    return VerdictText(
        expand=verdict.expand,
        headline=headline(evaluation),
        sentence=key_sentence(evaluation),
        lines=lines(evaluation),
        caution=leak_caution(evaluation),
        note=note,
    )


def headline(evaluation: Evaluation) -> str:
    """What to do, in a few words."""
    verdict = evaluation.verdict
    if not verdict.expand:
        return "Do not expand this seed"
    if verdict.parts:
        return f"Split this seed into {count(verdict.parts)} lists"
    return "Expand this seed" if verdict.up_to is None else f"Expand this seed, up to {people(verdict.up_to)}"


def key_sentence(evaluation: Evaluation) -> str:
    """The key number in one plain sentence."""
    held = evaluation.held_out
    who = "first person" if held.size == 1 else f"first {people(held.size)}"
    promise = evaluation.promise
    if evaluation.backtest and promise != held.lift_band:
        return (
            f"A list made on {day(evaluation.backtest.cut)} held {times(promise.value)} as many of those who became seeds later "
            f"as a random pick ({likely(promise.low, promise.high)}). Hidden seed people promise {times(held.lift)}, which did "
            "not come."
        )
    if evaluation.forecast:
        return (
            f"On a list made as of {day(evaluation.forecast.cut)}, the {who} held {times(held.lift)} as many of those who did "
            f"it later as a random pick ({likely(held.low, held.high)}). Ranking by activity alone: {times(held.activity_lift)}."
        )
    return (
        f"In a test with hidden seed people, the {who} on the list held {times(held.lift)} as many of them as a random "
        f"pick ({likely(held.low, held.high)}). Ranking by activity alone: {times(held.activity_lift)}."
    )


def lines(evaluation: Evaluation) -> tuple[Line, ...]:
    """A line for each check that has something to say, and one for the limit of the size."""
    texts = [(check, _CHECK_TEXTS[check.name](evaluation, check)) for check in evaluation.verdict.checks]
    spoken = [Line(text, _mark(evaluation, check)) for check, text in texts if text]
    if evaluation.verdict.up_to is not None:
        limit = f"Beyond {people(evaluation.verdict.up_to)} the last half of the list is no longer reliably {_better(evaluation)}"
        spoken.append(Line(limit, "note"))
    return tuple(spoken)


def failed_checks(evaluation: Evaluation) -> list[str]:
    """What speaks against the list, each as a clause of an error message."""
    texts = [_CHECK_TEXTS[check.name](evaluation, check) for check in evaluation.verdict.failed]
    return [text[0].lower() + text[1:] for text in texts]


def _mark(evaluation: Evaluation, check: Check) -> Mark:
    """Activity that finds as much as the list does not speak against it, but not for it either."""
    if check.name == "not_beaten_by_activity" and evaluation.verdict.activity == "not_lower":
        return "note"
    if check.passed:
        return "for"
    return "against" if check.required else "note"


def _enough_seeds(evaluation: Evaluation, check: Check) -> str:
    if check.passed:
        return ""
    return f"Only {count(check.value)} seeds: a list needs at least {count(check.threshold)}"


def _above_chance(evaluation: Evaluation, check: Check) -> str:
    low, high = check.interval or (None, None)
    share = percent(evaluation.held_out.share)
    figures = f"{times(check.value)} a random pick at {share} of the candidates ({likely(low, high)})"
    if check.threshold is not None and check.threshold > 1:  # people without events are candidates
        figures += f"; knowing only who has events gives {times(check.threshold)}"
    return f"{'Better than chance' if check.passed else 'Not reliably better than chance'}: {figures}"


def _beyond_activity(evaluation: Evaluation, check: Check) -> str:
    test = evaluation.verdict.permutation_test
    if test.p_value is None:
        return "Not tested against random people who are as active: that takes two people outside the seed for each one in it"
    beaten = round((1 - test.p_value) * (test.draws + 1))
    among = f"all {test.draws:,}" if beaten >= test.draws else f"{beaten:,} of {test.draws:,}"
    result = f"a linear probe ranks held-out members above {among} activity-matched random seeds"
    if check.passed:
        return f"Its members share more than high activity: {result}"
    return f"No reliable sign that its members share more than their activity: {result}"


_ACTIVITY = {
    "reliably_lower": "reliably less than the list",
    "lower": "about the same as the list",
    "not_lower": "not reliably more than the list",
    "reliably_higher": "reliably more than the list",
}


def _not_beaten_by_activity(evaluation: Evaluation, check: Check) -> str:
    return f"Ranking by activity alone: {times(check.value)}, {_ACTIVITY[evaluation.verdict.activity]}"


def _worth_taking(evaluation: Evaluation, check: Check) -> str:
    if not check.passed and check.required:
        return (
            "No size passes the test for auto: all are tested together, and the last half of none is reliably "
            f"{_better(evaluation)}; a size of your own, such as --size 5%, is judged by itself"
        )
    if not check.passed and not evaluation.verdict.expand:
        return f"No size passes: of none is the last half of the list reliably {_better(evaluation)}"
    if not check.passed:
        return f"Too few people to tell up to what size the last half of the list is reliably {_better(evaluation)}"
    if check.required:
        return f"The largest list whose last half is reliably {_better(evaluation)}"
    return ""


def _better(evaluation: Evaluation) -> str:
    floor = float(evaluation.settings["expand.min_lift"])
    return "better than chance" if floor <= 1 else f"above {times(floor)}"


_CHECK_TEXTS: dict[str, Callable[[Evaluation, Check], str]] = {
    "enough_seeds": _enough_seeds,
    "above_chance": _above_chance,
    "beyond_activity": _beyond_activity,
    "not_beaten_by_activity": _not_beaten_by_activity,
    "worth_taking": _worth_taking,
}


def leak_caution(evaluation: Evaluation) -> str:
    """What to expect of the lift if the features that nearly define the seed are how people became seeds."""
    profile = evaluation.seed_profile
    if not profile.leaks:
        return ""
    leaks = list({leak.column: leak for leak in profile.leaks}.values())  # fields of events and users may share a name
    shown, single = leaks[:MAX_LEAKS_NAMED], len(leaks) == 1
    which = "One feature nearly defines" if single else f"{len(leaks):,} features nearly define"
    text = f"{which} the seed: {', '.join(map(leak_text, shown))}. If that is how these people became seeds"
    lift = f"a lift of {times(profile.lift_without_leaks)} without {'it' if single else 'them'} and the user embedding"
    if profile.expand_without_leaks is False:
        return f"{text}, do not expand: {lift} does not pass the checks ({_drop_flags(evaluation)})"
    return f"{text}, expect {lift}, and expand with {_drop_flags(evaluation)}"


def _drop_flags(evaluation: Evaluation) -> str:
    """The flags that leave out all features that give the seed away, and what does not go with them."""
    profile = evaluation.seed_profile
    columns = dict.fromkeys(leak.column for leak in profile.leaks)
    names = (shlex.quote(clean(column, MAX_FLAG_LENGTH)) for column in columns)
    flags = " ".join(f"--drop-features {name}" for name in names)
    if profile.scorer_without_leaks not in (None, evaluation.requested_scorer):
        flags += f" --scorer {profile.scorer_without_leaks}"
    asked_to_balance = evaluation.balanced or any(isinstance(each, NothingToBalance) for each in evaluation.warnings)
    return f"{flags}, without --balance" if asked_to_balance else flags


def leak_text(leak: Leak) -> str:
    """`much word=jumbo (100% of the seed, 19% of others)`: shares on one side of a threshold."""
    amount = "little or no" if leak.less else "much"
    return f"{amount} {clean(leak.column, 60)} ({percent(leak.seed)} of the seed, {percent(leak.others)} of others)"
