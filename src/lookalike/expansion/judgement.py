"""The verdict on an audience, and on what it may be advised to be instead: without some columns, or in parts."""

from dataclasses import dataclass, replace

from lookalike.errors import ExpansionError
from lookalike.expansion.audience import Audience
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.examples import Examples
from lookalike.expansion.reading import Reading, read_examples
from lookalike.expansion.result import Backtest, Band, Verdict, promised
from lookalike.expansion.scorer_selection import AUTO
from lookalike.expansion.seed import SeedInput
from lookalike.expansion.selection import Selection, resolve_size, select
from lookalike.expansion.verdict import after_backtest


@dataclass(frozen=True)
class Judgement:
    """What was measured on a seed, and the verdict."""

    audience: Audience
    selection: Selection
    backtest: Backtest | None
    verdict: Verdict

    @property
    def promise(self) -> Band:
        """The lift to expect."""
        return promised(self.selection.lift_band, self.backtest, self.selection.scorer)


def judge(
    context: ExpansionContext, audience: Audience, seed_input: SeedInput, reading: Reading, insist: bool = False
) -> Judgement:
    """Measures the scorers, chooses one, and gives the verdict, by the backtest too if there is one; `insist` raises if
    none can be made."""
    settings, forecast = context.settings, reading.forecast
    size = resolve_size(audience.size, context.representation.users - len(seed_input.seed.excluded))
    name = "measuring on those who did it later" if forecast else "measuring on held-out seeds"
    with context.progress.step(name, None if forecast else settings.repeats * settings.folds) as advance:
        kinds = seed_input.seed.kinds
        selection = select(reading.examples, audience.scorer, size, settings, advance, forecast, kinds)
    backtest = _backtest(context, seed_input, reading.examples, selection, insist=insist)
    later = backtest.lifts[selection.scorer] if backtest else None
    return Judgement(audience, selection, backtest, after_backtest(selection.verdict, selection.lift_band, later))


def judge_without(
    context: ExpansionContext, audience: Audience, seed_input: SeedInput, columns: tuple[str, ...]
) -> Judgement:
    """The judgement if these columns are dropped too, as `--drop-features` does, with a scorer that can be fitted then."""
    dropped = tuple(dict.fromkeys((*seed_input.seed.dropped_columns, *columns)))
    blind = replace(seed_input, seed=replace(seed_input.seed, dropped_columns=dropped))
    reading = read_examples(context, blind)
    scorer = audience.scorer if audience.scorer in reading.examples.space.names else AUTO
    return judge(context, replace(audience, drop_features=dropped, scorer=scorer, balance=False), blind, reading)


def _backtest(
    context: ExpansionContext, seed_input: SeedInput, examples: Examples, selection: Selection, *, insist: bool
) -> Backtest | None:
    """How the list of an earlier day would have done; None if the seed has no moments, or too few."""
    if seed_input.seed.moment is None:
        return None
    from lookalike.expansion.backtest import run_backtest
    from lookalike.expansion.point_in_time import PointInTime

    try:
        with context.progress.step("backtesting on the latest seeds"):
            return run_backtest(PointInTime.of(context), seed_input.seed, examples, selection)
    except ExpansionError:
        if insist:
            raise
        return None
