"""What the encoder's block adds to the `logistic` scorer: with and without it on the benchmark's `new` tasks, paired.

    python bench/blocks.py SET=WORKSPACE …      (workspaces into which the sets were ingested, and trained)

The scorer, the background and the ranking are the program's own; only the columns differ. Figures are lift@5 % with half a
hit added to both sides. The 95 % interval of the ratio is over tasks: of each set, and of all sets together.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.data import id_lists
from lookalike.embeddings.representation import live_version
from lookalike.embeddings.user_index import UserIndex
from lookalike.expansion.sampling import draw_background
from lookalike.expansion.scorers import SEQUENCE_AND_AGGREGATES, classifiers
from lookalike.expansion.scorers.training_sample import TrainingSample
from lookalike.workspace.paths import WorkspaceFolder

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_ENCODER = ("content", "aggregates")
WITH_ENCODER = SEQUENCE_AND_AGGREGATES
SHARE = 0.05
BACKGROUND = 20_000


@dataclass(frozen=True)
class Task:
    """User rows, ascending."""

    seed: NDArray[np.int64]
    excluded: NDArray[np.int64]  # belonged to the audience before the cut
    truth: NDArray[np.int64]


def read_task(folder: Path, name: str, index: UserIndex) -> Task:
    truth = pl.read_parquet(folder / "truth" / f"{name}.parquet").select(pl.col("user_id").cast(pl.String))
    return Task(
        seed=_rows_in_file(index, folder / "seeds" / f"{name}.csv"),
        excluded=_rows_in_file(index, folder / "exclude" / f"{name}.csv"),
        truth=index.match({"truth": truth})["truth"].rows,
    )


def _rows_in_file(index: UserIndex, file: Path) -> NDArray[np.int64]:
    """The user rows of a list of ids; none if there is no such file."""
    if not file.exists():
        return np.zeros(0, np.int64)
    return index.match({"ids": id_lists.read_ids(file).ids})["ids"].rows


def log_lift(vectors: NDArray[np.float32], task: Task) -> float:
    """The log of lift@5 % of `logistic` on these columns of all users."""
    background = draw_background(len(vectors), task.excluded, BACKGROUND, 0)
    seed = vectors[task.seed]
    sample = TrainingSample(seed, vectors[background], np.ones(len(seed)), seed[:0])
    score = classifiers.logistic(sample, np.random.default_rng(0))
    candidates = np.setdiff1d(np.arange(len(vectors)), np.union1d(task.seed, task.excluded))
    size = max(1, round(SHARE * len(candidates)))
    prospects = candidates[np.argsort(-score(vectors[candidates]), kind="stable")[:size]]
    hits, expected = np.isin(prospects, task.truth).sum(), size * len(task.truth) / len(candidates)
    return math.log((hits + 0.5) / (expected + 0.5))


def log_lifts(folder: Path, workspace: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log lifts of every `new` task, with and without the encoder's block."""
    representation = live_version(WorkspaceFolder(workspace))
    index, vectors = UserIndex(representation), representation.gather(np.arange(representation.users))
    columns = [vectors[:, representation.layout.columns(*blocks)] for blocks in (WITH_ENCODER, WITHOUT_ENCODER)]
    pairs = []
    for description in json.loads((folder / "tasks.json").read_text()):
        if description["kind"] == "new":
            task = read_task(folder, description["task"], index)
            pairs.append([log_lift(block_vectors, task) for block_vectors in columns])
    lifts = np.array(pairs)
    return lifts[:, 0], lifts[:, 1]


def table_row(name: str, with_encoder: NDArray[np.float64], without: NDArray[np.float64]) -> str:
    difference = with_encoder - without
    half_width = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    low, ratio, high = (math.exp(difference.mean() + sign * half_width) for sign in (-1, 0, 1))
    means = [f"{math.exp(lifts.mean()):.2f}" for lifts in (without, with_encoder)]
    return f"| {name} ({len(difference)}) | {means[0]} | {means[1]} | {ratio:.3f} ({low:.3f}–{high:.3f}) |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET=WORKSPACE")
    parser.add_argument("--tasks", type=Path, default=ROOT.parent / "shared" / "bench" / "tasks")
    options = parser.parse_args()
    print("| Set (tasks) | without the encoder | with it | ratio (95 %) |\n| --- | ---: | ---: | ---: |")
    lifts = []
    for pair in options.sets:
        name, workspace = pair.split("=", 1)
        lifts.append(log_lifts(options.tasks / name, Path(workspace)))
        print(table_row(name, *lifts[-1]), flush=True)
    print(table_row("all", *(np.concatenate(side) for side in zip(*lifts, strict=True))))


if __name__ == "__main__":
    main()
