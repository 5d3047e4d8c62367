"""Whether bands and verdicts tell the truth: planted populations, where the whole audience is known.

    python bench/planted.py [bands] [verdicts] [--runs 300] [--seeds 25 100 500 2000] [--out FILE]

A population has vectors, an activity that is heavy-tailed, and an audience that some direction and activity make likely.
A seed is drawn from the audience at random; the rest hides among the candidates.

bands: at each size, how often the 95 % band of lift, measured on the seed alone, holds the lift that the list made of
the whole seed truly has on the hidden rest. verdicts: how often a seed of a planted audience is expanded, by true lift,
and how often plainly random seeds and random seeds as active as a planted one are.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lookalike.expansion import curves, holdout, selection
from lookalike.expansion.examples import Examples
from lookalike.expansion.scorers import FeatureSpace
from lookalike.workspace import parallel
from lookalike.workspace.settings import ExpandSettings

USERS, WIDTH, BACKGROUND = 30_000, 24, 8_000
SIZES = (0.01, 0.02, 0.05, 0.1, 0.2)
SCORER = "logistic"
SETTINGS = ExpandSettings(repeats=2, background=BACKGROUND)


@dataclass(frozen=True)
class Population:
    columns: NDArray[np.float32]  # [USERS, WIDTH]; the first is the log count of events
    audience: NDArray[np.int64]
    seed: NDArray[np.int64]


def population(run: int, seeds: int, strength: float, kind: str) -> Population:
    """A new population; `kind` says who the seed is: of the audience, anybody, or anybody as active as the audience."""
    rng = np.random.default_rng([run, seeds, int(100 * strength)])
    columns = rng.normal(0, 1, (USERS, WIDTH))
    columns[:, 0] = np.log1p(rng.geometric(0.1, USERS))
    direction = rng.normal(0, 1, WIDTH - 1)
    taste = columns[:, 1:] @ (direction / np.linalg.norm(direction))
    odds = strength * taste + 0.7 * (columns[:, 0] - columns[:, 0].mean()) + rng.gumbel(0, 1, USERS)
    audience = np.sort(np.argsort(-odds)[: max(3 * seeds, 1_500)])
    seed = rng.permutation(audience)[:seeds]
    if kind == "random":
        seed = rng.permutation(USERS)[:seeds]
    if kind == "matched":
        order = np.argsort(columns[:, 0] + 1e-6 * rng.normal(size=USERS))
        place = np.empty(USERS, np.int64)
        place[order] = np.arange(USERS)
        moved = np.unique(np.clip(place[seed] + rng.integers(-300, 301, seeds), 0, USERS - 1))
        seed = order[moved]
    return Population(columns.astype(np.float32), audience, np.sort(seed))


def examples(people: Population) -> Examples:
    rng = np.random.default_rng(len(people.seed))
    background = np.sort(rng.permutation(USERS)[:BACKGROUND])
    at = np.searchsorted(people.seed, background) % len(people.seed)
    return Examples(
        seed=people.columns[people.seed],
        weight=np.ones(len(people.seed)),
        against=people.columns[:0],
        background=people.columns[background],
        seed_of=np.where(people.seed[at] == background, at, -1),
        candidates=USERS - len(people.seed),
        space=FeatureSpace(lambda blocks: np.arange(1, WIDTH) if blocks == ("sequence",) else np.arange(WIDTH)),
        activity=0,
    )


def true_lifts(people: Population, known: Examples, sizes: tuple[float, ...]) -> list[float]:
    """Lift of the list made of the whole seed on the rest of the audience, at each share of the candidates."""
    candidates = np.setdiff1d(np.arange(USERS), people.seed)
    scores = selection.fit_scorer(known, SCORER, SETTINGS)(people.columns[candidates])
    hidden = np.isin(candidates[np.argsort(-scores, kind="stable")], people.audience)
    found = np.cumsum(hidden) / max(1, hidden.sum())
    return [float(found[round(share * len(candidates)) - 1] / share) for share in sizes]


def covered(run: int, seeds: int, strength: float) -> list[tuple[bool, float]]:
    """At each size: whether the band holds the truth, and the measured lift over the true one."""
    people = population(run, seeds, strength, "audience")
    known = examples(people)
    quantiles = holdout.hold_out(known, (SCORER,), SETTINGS, lambda done: None)[SCORER]
    result = []
    for share, truth in zip(SIZES, true_lifts(people, known, SIZES), strict=True):
        band = curves.lift_band(quantiles, share, SETTINGS.confidence, known.doubt(SETTINGS.folds))
        result.append((band.low <= truth <= band.high, band.value / max(truth, 1e-9)))
    return result


def decided(run: int, seeds: int, strength: float, kind: str) -> tuple[bool, float]:
    """Whether the seed is expanded, and the true lift at 5 % where there is an audience."""
    people = population(run, seeds, strength, kind)
    known = examples(people)
    asked = round(0.05 * known.candidates)
    choice = selection.select_scorer_and_size(known, SCORER, asked, SETTINGS, lambda done: None)
    return choice.verdict.expand, true_lifts(people, known, (0.05,))[0] if kind == "audience" else 1.0


def bands(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for seeds in options.seeds:
        found = np.array(list(_each(covered, options, seeds, 1.2)))  # [runs, sizes, 2]
        yield {
            "seeds": seeds,
            "runs": len(found),
            "covered": dict(zip(map(str, SIZES), found[:, :, 0].mean(0).round(3).tolist(), strict=True)),
            "measured over true": dict(zip(map(str, SIZES), found[:, :, 1].mean(0).round(3).tolist(), strict=True)),
        }


def verdicts(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for seeds in options.seeds:
        for kind, strength in (("random", 1.2), ("matched", 1.2), ("audience", 0.7), ("audience", 1.2)):
            found = np.array(list(_each(decided, options, seeds, strength, kind)))
            yield {
                "seeds": seeds,
                "kind": kind,
                "runs": len(found),
                "expanded": round(float(found[:, 0].mean()), 3),
                "true lift": round(float(found[:, 1].mean()), 2),
            }


def _each(measure: Any, options: argparse.Namespace, *of: Any) -> Iterator[Any]:
    with ProcessPoolExecutor(options.processes, initializer=_one_thread) as pool:
        for future in [pool.submit(measure, run, *of) for run in range(options.runs)]:
            yield future.result()


def _one_thread() -> None:
    parallel.MAX_THREADS = 1
    threadpool_limits(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["bands", "verdicts"], choices=["bands", "verdicts"])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[25, 100, 500, 2_000])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON lines of the figures")
    options = parser.parse_args()
    for what in options.what:
        for row in {"bands": bands, "verdicts": verdicts}[what](options):
            line = json.dumps({"what": what, **row})
            print(line)
            if options.out:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            print(f"{what} {row['seeds']} done", file=sys.stderr)


if __name__ == "__main__":
    main()
