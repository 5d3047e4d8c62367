"""Check confidence bands and verdicts on planted populations, where the whole audience is known.

    python bench/planted.py [bands] [verdicts] [--runs 300] [--seeds 25 100 500 2000] [--out FILE]

Each population has user vectors, a heavy-tailed activity, and an audience that a hidden direction and activity make
likely. The seed is a random sample of the audience; the rest of the audience hides among the candidates.

bands: how often, at each size, the 95 % band of lift measured on the seed contains the true lift. The true lift is that
of the list made from the whole seed, on the hidden rest of the audience.

verdicts: how often the verdict is to expand a seed of a planted audience (with its true lift), a random seed, and a
random seed matched in activity to a planted one.
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
from lookalike.expansion.curves import BandSettings
from lookalike.expansion.examples import Examples
from lookalike.expansion.scorers import FeatureSpace
from lookalike.workspace import parallel
from lookalike.workspace.settings import ExpandSettings

USERS, WIDTH, BACKGROUND = 30_000, 24, 8_000
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
VERDICT_SHARE = 0.05
SCORER = "logistic"
SETTINGS = ExpandSettings(repeats=2, background=BACKGROUND)


@dataclass(frozen=True)
class Population:
    columns: NDArray[np.float32]  # [USERS, WIDTH]; the first is the log count of events
    audience: NDArray[np.int64]
    seed: NDArray[np.int64]


def draw_population(run: int, seeds: int, strength: float, kind: str) -> Population:
    """A population with a seed of one kind: `audience`, `random`, or `matched` (random, but as active as the audience)."""
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
        neighbours = np.unique(np.clip(place[seed] + rng.integers(-300, 301, seeds), 0, USERS - 1))
        seed = order[neighbours]
    return Population(columns.astype(np.float32), audience, np.sort(seed))


def build_examples(population: Population) -> Examples:
    seed, columns = population.seed, population.columns
    rng = np.random.default_rng(len(seed))
    background = np.sort(rng.permutation(USERS)[:BACKGROUND])
    place = np.searchsorted(seed, background) % len(seed)
    return Examples(
        seed=columns[seed],
        weight=np.ones(len(seed)),
        negatives=columns[:0],
        background=columns[background],
        seed_index=np.where(seed[place] == background, place, -1),
        candidates=USERS - len(seed),
        space=FeatureSpace(lambda blocks: np.arange(1, WIDTH) if blocks == ("sequence",) else np.arange(WIDTH)),
        activity_column=0,
        rows=seed,
    )


def true_lifts(population: Population, examples: Examples, shares: tuple[float, ...]) -> list[float]:
    """Lift on the hidden rest of the audience, of the list made from the whole seed, at each share of the candidates."""
    candidates = np.setdiff1d(np.arange(USERS), population.seed)
    scores = selection.fit_scorer(examples, SCORER, SETTINGS)(population.columns[candidates])
    is_hidden = np.isin(candidates[np.argsort(-scores, kind="stable")], population.audience)
    recall = np.cumsum(is_hidden) / max(1, is_hidden.sum())
    return [float(recall[round(share * len(candidates)) - 1] / share) for share in shares]


def check_bands(run: int, seeds: int, strength: float) -> list[tuple[bool, float]]:
    """At each size: whether the band contains the true lift, and measured lift / true lift."""
    population = draw_population(run, seeds, strength, "audience")
    examples = build_examples(population)
    quantiles = holdout.hold_out(examples, (SCORER,), SETTINGS)[SCORER]
    settings = BandSettings(SETTINGS.confidence, examples.effective_sample(SETTINGS.folds))
    checks = []
    for share, true_lift in zip(SHARES, true_lifts(population, examples, SHARES), strict=True):
        band = curves.lift_band(quantiles, share, settings)
        checks.append((band.low <= true_lift <= band.high, band.value / max(true_lift, 1e-9)))
    return checks


def check_verdict(run: int, seeds: int, strength: float, kind: str) -> tuple[bool, float]:
    """Whether the verdict is to expand, and the true lift at 5 % (1 where the seed is not of an audience)."""
    population = draw_population(run, seeds, strength, kind)
    examples = build_examples(population)
    size = round(VERDICT_SHARE * examples.candidates)
    verdict = selection.select(examples, SCORER, size, SETTINGS, lambda folds: None).verdict
    return verdict.expand, true_lifts(population, examples, (VERDICT_SHARE,))[0] if kind == "audience" else 1.0


def bands(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for seeds in options.seeds:
        checks = np.array(list(_run_all(check_bands, options, seeds, 1.2)))  # [runs, sizes, 2]
        yield {
            "seeds": seeds,
            "runs": len(checks),
            "covered": dict(zip(map(str, SHARES), checks[:, :, 0].mean(0).round(3).tolist(), strict=True)),
            "measured / true": dict(zip(map(str, SHARES), checks[:, :, 1].mean(0).round(3).tolist(), strict=True)),
        }


def verdicts(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    for seeds in options.seeds:
        for kind, strength in (("random", 1.2), ("matched", 1.2), ("audience", 0.7), ("audience", 1.2)):
            checks = np.array(list(_run_all(check_verdict, options, seeds, strength, kind)))
            yield {
                "seeds": seeds,
                "kind": kind,
                "strength": strength,
                "runs": len(checks),
                "expanded": round(float(checks[:, 0].mean()), 3),
                "true lift": round(float(checks[:, 1].mean()), 2),
            }


def _run_all(check: Any, options: argparse.Namespace, *arguments: Any) -> Iterator[Any]:
    """The result of `check` for each run, in order; runs are spread over processes."""
    with ProcessPoolExecutor(options.processes, initializer=_use_one_thread) as pool:
        for future in [pool.submit(check, run, *arguments) for run in range(options.runs)]:
            yield future.result()


def _use_one_thread() -> None:
    parallel.MAX_THREADS = 1
    threadpool_limits(1)


PARTS = {"bands": bands, "verdicts": verdicts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="bands or verdicts; both if not given")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[25, 100, 500, 2_000])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="append the figures to this file, as JSON lines")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"no part is called {unknown[0]}: bands or verdicts")
    for part in options.parts or PARTS:
        for row in PARTS[part](options):
            line = json.dumps({"part": part, **row})
            print(line)
            if options.out:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            print(f"{part}: {row['seeds']} seeds done", file=sys.stderr)


if __name__ == "__main__":
    main()
