"""What the list of an earlier day would have found, beside what the hold-out promises."""

from lookalike.expansion.result import Evaluation
from lookalike.reporting.formatting import band, clean, likely, moment, people, percent, plural, times

METHOD_NAMES = {"plain": "aggregates alone (leakage-free)", "activity": "activity alone"}


def backtest_sentence(evaluation: Evaluation) -> str:
    """The backtest in words; empty if there is none."""
    backtest = evaluation.backtest
    if backtest is None:
        return ""
    ours = backtest.lifts[evaluation.scorer]
    sentences = [
        f"A list of {percent(backtest.share)} made on {moment(backtest.cut)}, from the {people(backtest.seeds)} who were "
        f"seeds by then, holds {times(ours.lift)} as many of the {people(backtest.later)} who became seeds later as a random "
        f"pick ({likely(ours.low, ours.high)}).",
        f"Today's hold-out says {times(evaluation.held_out.lift)}.",
    ]
    if backtest.newcomers:
        sentences.insert(
            1,
            f"{plural(backtest.newcomers, 'more person', 'more people')} had no event by then: no list could have held them.",
        )
    return " ".join(sentences)


def backtest_rows(evaluation: Evaluation) -> list[list[str]]:
    """Rows of method, lift and band; the chosen scorer first."""
    if evaluation.backtest is None:
        return []
    lifts, chosen = evaluation.backtest.lifts, evaluation.scorer
    ordered = sorted(lifts, key=lambda name: (name != chosen, -lifts[name].lift))
    return [
        [clean(METHOD_NAMES.get(name, name), 40), times(lifts[name].lift), band(lifts[name].low, lifts[name].high)]
        for name in ordered
    ]
