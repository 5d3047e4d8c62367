"""Single features that nearly define the seed: what made people seeds must not be what the list is made by.

A seed of buyers is told from everybody else by having bought. A list ranked by that finds who has bought already, and
its held-out lift is a promise about the past. Such columns are found one by one, named, and the lift is measured again
without them and without the encoder's block, which has read the same events.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lookalike.expansion import holdout, metrics
from lookalike.expansion.examples import Examples
from lookalike.workspace.settings import ExpandSettings

MIN_SEED_SHARE = 0.8  # have it ...


MAX_OTHERS_SHARE = 0.2  # ... and at most so many of the others


MIN_RATIO = 8.0


CHECK_SCORER = "logistic"


@dataclass(frozen=True)
class Leak:
    """A column, and how many of the seed and of the others are on its side of a border."""

    column: str
    seed: float
    others: float


def find_leaks(
    examples: Examples, names: list[str], first: int, readable: NDArray[np.int64] | None = None
) -> list[Leak]:
    """The columns of the aggregates that nearly define the seed, the clearest first.

    `names` are those columns, `first` is where they begin; only the `readable` ones are looked at, by default all. For
    each the border is sought that tells the two best apart.
    """
    seed = examples.seed[:, first : first + len(names)]
    others = examples.background[examples.seed_of < 0, first : first + len(names)]
    found = []
    for at in range(len(names)) if readable is None else readable:
        name = names[at]
        inside, outside = _best_border(seed[:, at], others[:, at])
        if inside >= MIN_SEED_SHARE and outside <= MAX_OTHERS_SHARE and inside >= MIN_RATIO * outside:
            found.append(Leak(name, inside, outside))
    return sorted(found, key=lambda leak: leak.others - leak.seed)


def _best_border(seed: NDArray[np.floating], others: NDArray[np.floating]) -> tuple[float, float]:
    """Shares of both that lie beyond the border, on the side, where they differ most (Youden's J)."""
    values = np.unique(np.quantile(seed, np.linspace(0, 1, 21)))
    ordered = [np.sort(one) for one in (seed, others)]
    above, below = (np.stack([_beyond(one, values, side) for one in ordered]) for side in ("above", "below"))
    shares = np.hstack([above, below])
    best = int(np.argmax(shares[0] - shares[1]))
    return float(shares[0, best]), float(shares[1, best])


def _beyond(ordered: NDArray[np.floating], values: NDArray[np.floating], side: str) -> NDArray[np.float64]:
    if side == "above":
        return 1 - np.searchsorted(ordered, values, "left") / max(1, len(ordered))
    return np.searchsorted(ordered, values, "right") / max(1, len(ordered))


def lift_without(examples: Examples, dropped: NDArray[np.int64], share: float, settings: ExpandSettings) -> float:
    """Held-out lift of a logistic scorer that cannot read these columns, nor the encoder's block."""
    blind = replace(examples, space=examples.space.without(dropped))
    found = holdout.hold_out(blind, (CHECK_SCORER,), replace(settings, repeats=1), lambda done: None)
    return metrics.lift(found[CHECK_SCORER], share)
