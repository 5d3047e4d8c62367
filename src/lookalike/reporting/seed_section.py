"""What the diagnosis says of the seed, one sentence a fact."""

from typing import Any

from lookalike.reporting.content import Evaluation, part
from lookalike.reporting.formatting import clean, count, number, percent, plural, score, times


def facts(evaluation: Evaluation) -> list[str]:
    """The facts there are, the most telling first; none for an evaluation without a diagnosis."""
    found, seed = part(evaluation, "diagnosis"), part(evaluation, "seed")
    if not found:
        return []
    said = [*_likeness(found), *_activity(found), *_groups(found), *_shares(evaluation), *_leaks(found)]
    if number(found.get("unlike")):
        said.append(
            f"{plural(found['unlike'], 'seed is', 'seeds are')} ranked behind 95 % of the candidates when hidden: "
            f"by chance it would be {count(round(0.05 * (number(seed.get('used')) or 0)))}."
        )
    if number(seed.get("unmatched")):
        said.append(_unmatched(seed))
    gain = number(found.get("gain_of_doubling"))
    said.append(
        "Whether more seeds would help cannot be told from this one: with half of them lift is not surely lower."
        if gain is None
        else f"From half of the seed to all of it lift grew by {percent(gain)}: more seeds are worth having."
    )
    if seed.get("valued"):
        lift = times(part(evaluation, "held_out").get("value_lift"))
        said.append(
            f"Seeds count by their value, extremes held back: they tell as much as {count(seed.get('effective'))} equal "
            f"ones. By value the lift is {lift}."
        )
    if number(seed.get("negative")):
        said.append(f"{plural(seed['negative'], 'person is a negative example', 'people are negative examples')}.")
    if number(found.get("often")):
        said.append(f"{plural(found['often'], 'seed does', 'seeds do')} more a day than 99.9 % of everybody.")
    return said


def _likeness(found: dict[str, Any]) -> list[str]:
    alike, usual = number(found.get("alike")), number(found.get("usual_alike"))
    if alike is None or usual is None:
        return []
    return [
        f"Two seed people are alike by {score(alike)} (mean cosine of their vectors); two of everybody by {score(usual)}."
    ]


def _activity(found: dict[str, Any]) -> list[str]:
    pairs = [("median_events", "usual_events"), ("median_days_since", "usual_days_since")]
    (events, usual), (days, usual_days) = [[number(found.get(name)) for name in pair] for pair in pairs]
    if events is None or usual is None or days is None or usual_days is None:
        return []
    return [
        f"The median seed has {count(round(events))} events, the last {count(round(days))} days ago; "
        f"the median of everybody {count(round(usual))}, {count(round(usual_days))} days ago."
    ]


def _groups(found: dict[str, Any]) -> list[str]:
    given = found.get("groups") or []
    if not given:
        return ["Cut in two or more, the seed does not come apart in the same way twice: it is taken as one audience."]
    parts = []
    for one in given:
        named = ", ".join(clean(name, 60) for name in one.get("more_of") or [])
        parts.append(f"{percent(one.get('share'))} with more {named or 'of nothing that has a name'}")
    said = f"The seed has {len(given)} parts: {'; '.join(parts)}."
    gain = number(found.get("gain_of_splitting"))
    if gain is None:
        return [said]
    more = f"{percent(abs(gain))} {'more' if gain > 0 else 'fewer'} of the hidden seed people than one list of the same size"
    advice = "make one of each with --split" if found.get("splitting_is_sure") else "which may be chance: one list does"
    return [f"{said} Lists of their own find {more}; {advice}."]


def _shares(evaluation: Evaluation) -> list[str]:
    given = evaluation.get("shares") or []
    if not given:
        return []
    parts = [
        f"{percent(one.get('list'))} like part {at} ({percent(one.get('seed'))} of the seed)"
        for at, one in enumerate(given, 1)
    ]
    kept = "" if evaluation.get("balanced") else " --balance keeps the seed's shares."
    return [f"Of the list {', '.join(parts)}.{kept}"]


def _unmatched(seed: dict[str, Any]) -> str:
    said = f"{plural(seed['unmatched'], 'id of the seed matches', 'ids of the seed match')} nobody"
    why = [
        f"{count(seed[name])} {words}"
        for name, words in (
            ("spelled_otherwise", "would but for capitals, blanks or zeros in front"),
            ("without_vector", "are in the log, but came after the cut or with too few events"),
        )
        if number(seed.get(name))
    ]
    return f"{said}: {'; '.join(why)}." if why else f"{said}: they are not in the log."


def _leaks(found: dict[str, Any]) -> list[str]:
    given = found.get("leaks") or []
    if not given:
        return ["No single feature nearly defines the seed."]
    named = [
        f"{clean(one.get('column'), 60)} ({percent(one.get('seed'))} of the seed, {percent(one.get('others'))} of others)"
        for one in given[:5]
    ]
    return [
        f"{plural(len(given), 'feature nearly defines', 'features nearly define')} the seed: {'; '.join(named)}. "
        f"Without them and without the user embedding the lift is {times(found.get('lift_without'))}."
    ]


def clusters(evaluation: Evaluation) -> list[list[str]]:
    """Rows of cluster, its share of the seed and of the list, and what it has more of; none without reasons."""
    return [
        [
            clean(one.get("cluster"), 20),
            percent(one.get("seed")),
            percent(one.get("list")),
            ", ".join(clean(name, 60) for name in one.get("more_of") or []) or "nothing that has a name",
        ]
        for one in evaluation.get("reasons") or []
    ]
