"""From a seed to a ranked list: draw a background, hold out, choose, fit on the whole seed, rank everybody once."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lookalike import evaluation, leakage, scan, verdicts
from lookalike.audience import Size
from lookalike.embeddings import Representation
from lookalike.errors import ExpansionError, SettingsError
from lookalike.evaluation import Examples, Floats, Quantiles
from lookalike.linear import Prior
from lookalike.orders import Score
from lookalike.ranking import Ranked
from lookalike.scan import Wanted, within
from lookalike.scoring import NAMES, SCORERS, Space, fit_all
from lookalike.settings import ExpandSettings
from lookalike.verdicts import Against, Asked, Verdict

Rows = NDArray[np.int64]
AUTO = "auto"
USUAL_SHARE = 0.05


@dataclass(frozen=True)
class Choice:
    """What was measured, and what follows from it."""

    scorer: str
    size: int
    asked: Asked
    quantiles: Quantiles
    against: Against
    verdict: Verdict
    candidates: int

    @property
    def share(self) -> float:
        return self.asked.share

    @property
    def largest(self) -> int | None:
        """The largest list worth taking; None where none is."""
        return None if self.asked.largest is None else max(1, round(self.asked.largest * self.candidates))

    @property
    def found(self) -> Floats:
        """The quantiles that the list is judged by: of what was chosen, by others than it was chosen on."""
        return self.quantiles[AUTO if AUTO in self.quantiles else self.scorer]


def scorers_for(asked: str, known: Examples) -> tuple[str, ...]:
    """The scorers to measure: for `auto` all that suit the seed; else the asked one beside the plain centroid.

    Raises SettingsError for what is no scorer, or cannot be used on this representation.
    """
    able = known.space.names
    if asked == AUTO:
        return tuple(name for name in able if name not in SCORERS or SCORERS[name].tried)
    if asked not in NAMES:
        raise SettingsError(f"no scorer is called {asked[:40]!r}", f"--scorer {'|'.join((AUTO, *NAMES))}")
    if asked not in able and not len(known.space.columns(SCORERS[asked].blocks if asked in SCORERS else ())):
        raise SettingsError(
            f"{asked} reads the user embedding, which --drop-features takes away", f"--scorer {'|'.join((AUTO, *able))}"
        )
    if asked not in able:
        raise SettingsError(
            f"{asked} needs what a training learns from the log's own audiences, and this run has none of it",
            f"--scorer {'|'.join((AUTO, *able))}; a log with more users and items, or lookalike train",
        )
    return tuple(name for name in able if name in ("centroid", asked))  # the centroid, where there is one


def size_among(size: Size, candidates: int) -> int | None:
    """The asked count of prospects; None for `auto`. Raises ExpansionError when there are fewer candidates."""
    if candidates < 1:
        raise ExpansionError("seed and suppression leave nobody to rank", "suppress fewer users")
    if size.is_auto:
        return None
    count = size.among(candidates)
    if count > candidates:
        raise ExpansionError(
            f"{count:,} prospects asked for, but only {candidates:,} candidates are left",
            f"--size {candidates} or less, or 5%",
        )
    return count


def draw_background(users: int, suppressed: Rows, most: int, seed: int) -> Rows:
    """A sample of the eligible users, ascending: everybody but the suppressed, the seed's users among them."""
    eligible = users - len(suppressed)
    rng = np.random.default_rng([seed, 4])
    if eligible <= 2 * most:  # few enough to write them all down
        everybody = np.setdiff1d(np.arange(users), suppressed, assume_unique=True)
        return np.sort(rng.permutation(everybody)[:most])
    drawn = np.zeros(0, np.int64)
    while len(drawn) < most:  # rejection: memory follows the sample, not the users
        more = rng.integers(0, users, most)
        drawn = np.concatenate([drawn, more[~within(more, suppressed)]])
        _, first = np.unique(drawn, return_index=True)
        drawn = drawn[np.sort(first)]
    return np.sort(drawn[:most])


def draw(rows: Rows, most: int, seed: int) -> Rows:
    """At most so many of the rows, ascending."""
    return np.sort(np.random.default_rng([seed, 6]).permutation(rows)[:most])


@dataclass(frozen=True)
class People:
    """Who teaches and who must not be listed, all as ascending rows."""

    seed: Rows
    suppressed: Rows
    value: Floats | None = None  # of each seed; None where all are worth the same
    against: Rows = field(default_factory=lambda: np.zeros(0, np.int64))  # of whom fewer are wanted
    dropped: tuple[str, ...] = ()  # columns of the aggregates that no scorer may read
    moment: Rows | None = None  # seconds since 1970, of each seed: only what they did before it is read
    before: str | None = None  # the event type that the moments are the first of, where they are
    taken: Rows = field(default_factory=lambda: np.zeros(0, np.int64))  # eligible, but not to be listed

    @property
    def left_out(self) -> Rows:
        return np.union1d(np.union1d(self.seed, self.suppressed), self.taken)


def examples(
    representation: Representation, people: People, settings: ExpandSettings, prior: Prior | None = None
) -> Examples:
    """The vectors of the seed, or of a sample of a large one, and of a background."""
    seed, suppressed = people.seed, people.suppressed
    background = draw_background(representation.users, suppressed, settings.background, settings.random_seed)
    taught = draw(seed, settings.background, settings.random_seed)
    # seeds that the sample passed over are no candidates either
    background = background[within(background, taught) | ~within(background, seed)]
    listed = np.union1d(seed, suppressed)
    value = people.value if people.value is not None else np.ones(len(seed))
    return Examples(
        seed=representation.gather(taught),
        weight=weights(value[np.searchsorted(seed, taught)]),
        against=representation.gather(draw(people.against, settings.background, settings.random_seed)),
        background=representation.gather(background),
        seed_of=np.where(within(background, taught), np.searchsorted(taught, background), -1),
        candidates=representation.users - len(listed),
        taken=len(np.setdiff1d(people.taken, listed)),
        space=_space(representation, people.dropped, prior),
        activity=representation.column("log_events"),
        rows=taught,
    )


def _space(representation: Representation, dropped: tuple[str, ...], prior: Prior | None) -> Space:
    whole = Space(lambda blocks: representation.columns(*blocks), prior)
    return leakage.without(whole, np.array([representation.column(name) for name in dropped])) if dropped else whole


def weights(value: Floats) -> Floats:
    """Values as weights of mean 1; the largest and smallest twentieth count as the one next to them (winsorised).

    One customer worth a hundred others would else be the audience.
    """
    low, high = np.quantile(value, [0.05, 0.95])
    if low == high:
        return np.ones(len(value))
    held = np.clip(value, low, high)
    kept: Floats = held / held.mean()
    return kept


def effective(weight: Floats) -> float:
    """How many seeds of equal weight tell as much (Kish 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def decide(
    known: Examples, scorer: str, asked: int | None, settings: ExpandSettings, on_fold: Callable[[int], None]
) -> Choice:
    """Measures the scorers, chooses one and the size, and says whether to expand."""
    names = scorers_for(scorer, known)
    quantiles = evaluation.hold_out(known, names, settings, on_fold)
    share = asked / known.candidates if asked else USUAL_SHARE
    chosen = scorer
    if scorer == AUTO:
        chosen = verdicts.choose(quantiles, names, share)
        quantiles[AUTO] = verdicts.of_choice(quantiles, names, share, settings.random_seed)
    ours, doubt = quantiles[scorer], known.doubt(settings.folds)
    largest = verdicts.largest_size(ours, known.candidates, settings.confidence, doubt, settings.min_lift)
    if asked is None:
        share = largest or share
    against = verdicts.against_random(known, share, settings)
    question = Asked(share, largest, asked is None, known.taken / known.candidates)
    verdict = verdicts.verdict(known, (ours, quantiles[evaluation.ACTIVITY]), against, question, settings)
    size = asked or max(1, round(share * known.candidates))
    return Choice(chosen, size, question, quantiles, against, verdict, known.candidates)


def fit(known: Examples, scorer: str, settings: ExpandSettings) -> Score:
    """The scorer fitted on the whole seed."""
    rng = np.random.default_rng([settings.random_seed, 5])
    return fit_all((scorer,), known.space, known.taught, rng)[scorer]


def rank(
    representation: Representation, score: Score, size: int, left_out: Rows, on_users: Callable[[int], None]
) -> Ranked:
    """The exact first `size` of all users but those left out (ascending rows)."""
    return scan.rank(representation, [Wanted(score, size, left_out)], on_users)[0]


def tiers(count: int, tiers: int) -> Rows:
    """The tier of each rank, 1 for the first; tiers are of equal size as far as that goes."""
    return np.arange(count) * min(tiers, max(1, count)) // max(1, count) + 1
