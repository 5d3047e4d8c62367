"""What a seed's people have in common, and what the list was therefore measured on."""

from lookalike.expansion.result import Evaluation
from lookalike.expansion.seed_summary import ForecastSummary, RuleSummary, WhereSummary
from lookalike.reporting.formatting import clean, count, day, percent, plural


def rule_sentence(rule: RuleSummary) -> str:
    """What the seeds have done, how rare that is, how they are read, and who is left out; no full stop."""
    since = f", the first seed on {day(rule.first)}" if rule.first else ""
    who = f"{count(rule.seeds)} of {count(rule.of_seeds)} seeds have done {clean(rule.rule, 200)}"
    text = f"{who} ({percent(rule.everybody_share)} of everybody has{since}): they are read as if they had not"
    if rule.left_out:
        others = plural(rule.left_out, "other person who has is", "other people who have are")
        text += f", and {others} left out"
    elif rule.doers_listed:
        text += "; others who have may be listed, and the lift is of people who have not"
    return text


def where_sentence(where: WhereSummary) -> str:
    """Whom the list is for, how many they are, and how many of the seeds; no full stop."""
    conditions = ", and ".join(clean(condition, 200) for condition in where.conditions)
    return (
        f"only people of whom {conditions}: {plural(where.users, 'user', 'users')}, and {count(where.seeds)} of "
        f"{count(where.of_seeds)} seeds, the only ones it learns from"
    )


def rule_hint(rule: RuleSummary) -> str:
    """Which flags change what was done; no full stop."""
    flags = ["--include-doers lists the others"] if rule.left_out else []
    return "; ".join([*flags, "--as-of-now reads the seeds as they are"])


def looked_for(evaluation: Evaluation) -> str:
    """Whom the list had to find, in the plural."""
    if evaluation.forecast is None:
        return "hidden seed people"
    return "seeds who did it later" if evaluation.forecast.seeds_only else "people who did it later"


def measured_by(evaluation: Evaluation) -> str:
    """How the figures were measured, in a few words."""
    if evaluation.forecast is None:
        return f"{count(evaluation.folds)}-fold hold-out, {count(evaluation.repeats)} times"
    return f"a list made as of {day(evaluation.forecast.cut)}, and {_later(evaluation.forecast)} who did it later"


def _later(forecast: ForecastSummary) -> str:
    return (
        plural(forecast.later, "seed", "seeds") if forecast.seeds_only else plural(forecast.later, "person", "people")
    )


def measurement_explained(evaluation: Evaluation) -> tuple[str, str]:
    """A heading and a paragraph on how to read the figures."""
    if evaluation.forecast is None:
        return "Held out", (
            f"The seed was split into {count(evaluation.folds)} parts, {count(evaluation.repeats)} times. Each part in turn "
            "was hidden among the candidates, the scorer was fitted on the others, and the ranking had to find the hidden "
            "people. No lift on this page was measured on people the scorer was fitted on."
        )
    return "Forecast", (
        f"The list was made once more as of {day(evaluation.forecast.cut)}, from the people who had done it by then, and "
        f"had to find the {_later(evaluation.forecast)} who did it first after that day. The band leaves room for "
        "the chance in what will come as well. The encoder was trained on the whole log."
    )
