"""What the seed's profile says, one sentence a fact."""

from lookalike.expansion.result import Evaluation, SeedProfile, SeedSummary
from lookalike.expansion.seed_summary import RuleSummary
from lookalike.expansion.suppression_figures import differences
from lookalike.reporting.formatting import clean, count, percent, plural, score, times
from lookalike.reporting.rule_section import rule_sentence, where_sentence
from lookalike.reporting.verdict_text import leak_text

MAX_LEAKS_SHOWN = 5
OUTLIERS_BY_CHANCE = 0.05
_VERDICTS = {True: ", and the verdict is to expand", False: ", and the verdict is not to expand", None: ""}


def seed_facts(evaluation: Evaluation) -> list[str]:
    """The facts there are, the most telling first."""
    profile, seed = evaluation.seed_profile, evaluation.seed
    facts = whom_and_what(evaluation)
    facts += [_similarity(profile), _activity(profile), _sub_audiences(profile), *_shares(evaluation), _leaks(profile)]
    if profile.outliers and evaluation.forecast is None:
        expected = count(OUTLIERS_BY_CHANCE * seed.used)
        facts.append(
            f"{plural(profile.outliers, 'seed ranks', 'seeds rank')} behind 95% of the candidates when hidden; by chance it "
            f"would be {expected}."
        )
    if seed.unmatched:
        facts.append(_unmatched(seed))
    facts.append(_gain_of_doubling(profile))
    if seed.valued:
        facts.append(
            f"Seeds are weighted by value, extremes capped: they carry as much information as {count(seed.effective)} equal "
            f"ones. By value the lift is {times(evaluation.held_out.value_lift)}."
        )
    if seed.negatives:
        facts.append(f"{plural(seed.negatives, 'person is a negative example', 'people are negative examples')}.")
    if profile.busy:
        facts.append(f"{plural(profile.busy, 'seed has', 'seeds have')} more events a day than 99.9% of all users.")
    return facts


def whom_and_what(evaluation: Evaluation) -> list[str]:
    """Whom the list is for, if not for everybody, and what the seeds have done, if that is known."""
    where = [f"The list is for {where_sentence(evaluation.where)}."] if evaluation.where else []
    return [*where, *([f"{_rule(evaluation.rule)}."] if evaluation.rule else [])]


def _rule(rule: RuleSummary) -> str:
    text = rule_sentence(rule)
    return text[0].upper() + text[1:]


def _similarity(profile: SeedProfile) -> str:
    return (
        f"Two seeds have a mean cosine similarity of {score(profile.mean_cosine)}; two other users of "
        f"{score(profile.others_mean_cosine)}."
    )


def _activity(profile: SeedProfile) -> str:
    return (
        f"The median seed has {_events(profile.median_events, profile.median_days_since, 'the last ')}; "
        f"the median of the others {_events(profile.others_median_events, profile.others_median_days_since)}."
    )


def _events(events: float, days_since: float | None, which: str = "") -> str:
    if round(events) == 0 or days_since is None:  # whoever has no event has not been seen any days ago
        return "no events"
    return (
        f"{count(events)} events, {which}{count(days_since)} days ago"
        if which
        else f"{count(events)}, {count(days_since)} days ago"
    )


def _sub_audiences(profile: SeedProfile) -> str:
    if not profile.sub_audiences:
        return "The seed is one audience: no stable sub-audiences were found."
    parts = [f"{percent(part.share)} with more {_features(part.more_of)}" for part in profile.sub_audiences]
    text = f"The seed has {len(parts)} sub-audiences: {'; '.join(parts)}."
    if profile.gain_of_splitting is None:
        return text
    direction = "more" if profile.gain_of_splitting > 0 else "fewer"
    unsure = "not reliably, or not each of them worth making: one list will do"
    advice = "make them with --split" if profile.splitting_reliable else unsure
    return (
        f"{text} Separate lists find {percent(abs(profile.gain_of_splitting))} {direction} of the hidden seeds than one list "
        f"of the same size; {advice}."
    )


def _features(names: tuple[str, ...]) -> str:
    return ", ".join(clean(name, 60) for name in names) or "of no single feature"


def _shares(evaluation: Evaluation) -> list[str]:
    shares = evaluation.prospect_list.shares if evaluation.prospect_list else ()
    if not shares:
        return []
    parts = [
        f"{percent(share.list_share)} like part {number} ({percent(share.seed_share)} of the seed)"
        for number, share in enumerate(shares, 1)
    ]
    advice = "" if evaluation.balanced else " --balance keeps the seed's shares."
    return [f"Of the list, {', '.join(parts)}.{advice}"]


def _leaks(profile: SeedProfile) -> str:
    if not profile.leaks:
        return "No single feature nearly defines the seed."
    named = "; ".join(map(leak_text, profile.leaks[:MAX_LEAKS_SHOWN]))
    return (
        f"{plural(len(profile.leaks), 'feature nearly defines', 'features nearly define')} the seed: {named}. Without them "
        f"and without the user embedding the lift is {times(profile.lift_without_leaks)}"
        f"{_VERDICTS[profile.expand_without_leaks]}."
    )


def _unmatched(seed: SeedSummary) -> str:
    text = plural(seed.unmatched, "seed id matches no user", "seed ids match no user")
    reasons = []
    if seed.near_matches:
        reasons.append(
            f"{count(seed.near_matches)} differ from the log's only by the way they are written "
            f"({differences(seed.differences)})"
        )
    if seed.without_vector:
        reasons.append(f"{count(seed.without_vector)} are known, but came after the cut or have too few events")
    return f"{text}: {'; '.join(reasons) or 'not in the log'}."


def _gain_of_doubling(profile: SeedProfile) -> str:
    if profile.gain_of_doubling is None:
        return "More seeds may not help: with half of them, lift is not reliably lower."
    return (
        f"From half of the seed to all of it, lift grew by {percent(profile.gain_of_doubling)}: more seeds would help."
    )


def cluster_rows(evaluation: Evaluation) -> list[list[str]]:
    """Rows of cluster, its share of the seed and of the list, and what it has more of; none without explanations."""
    clusters = (evaluation.prospect_list.clusters if evaluation.prospect_list else None) or ()
    return [
        [
            str(cluster.cluster),
            percent(cluster.seed_share),
            percent(cluster.list_share),
            _features(cluster.more_of),
        ]
        for cluster in clusters
    ]
