"""What the encoder's block adds to `logistic`: the scorer with and without it on the benchmark's `new` tasks, paired.

    python bench/blocks.py SET=WORKSPACE …      (workspaces into which the sets were ingested and trained)

The scorer, the background and the ranking are the program's own; only the columns differ. Lift@5 % with half a hit added
to both sides; the ratio's 95 % interval is over tasks, of one set and of all of them.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lookalike.data import id_lists
from lookalike.embeddings.representation import Representation, live_version
from lookalike.embeddings.user_index import UserIndex
from lookalike.expansion import examples
from lookalike.expansion.scorers import classifiers, training_sample
from lookalike.workspace.paths import WorkspaceFolder

ROOT = Path(__file__).resolve().parent.parent
WITHOUT = ("content", "aggregates")
WITH = ("sequence", "aggregates")
SHARE = 0.05


def rows_of(representation: Representation, file: Path) -> NDArray[np.int64]:
    """The user rows of a list of ids; none where the file is not there."""
    if not file.exists():
        return np.zeros(0, np.int64)
    return UserIndex(representation).match({"ids": id_lists.read_ids(file).ids})["ids"].rows


def log_lift(vectors: NDArray[np.float32], task: dict[str, NDArray[np.int64]]) -> float:
    """The log of lift@5 % of `logistic` on these columns."""
    background = examples.draw_background(len(vectors), task["exclude"], 20_000, 0)
    seed = vectors[task["seed"]]
    taught = training_sample.TrainingSample(seed, vectors[background], np.ones(len(seed)), seed[:0])
    score = classifiers.logistic(taught, np.random.default_rng(0))
    candidates = np.setdiff1d(np.arange(len(vectors)), np.union1d(task["seed"], task["exclude"]))
    first = max(1, round(SHARE * len(candidates)))
    top = candidates[np.argsort(-score(vectors[candidates]), kind="stable")[:first]]
    hits, expected = np.isin(top, task["truth"]).sum(), first * len(task["truth"]) / len(candidates)
    return math.log((hits + 0.5) / (expected + 0.5))


def differences(folder: Path, workspace: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log lifts of every `new` task, with and without the encoder's block."""
    representation = live_version(WorkspaceFolder(workspace))
    everything = representation.gather(np.arange(representation.users))
    columns = [everything[:, representation.layout.columns(*blocks)] for blocks in (WITH, WITHOUT)]
    found = []
    for task in json.loads((folder / "tasks.json").read_text()):
        if task["kind"] != "new":
            continue
        name = task["task"]
        truth = pl.read_parquet(folder / "truth" / f"{name}.parquet").select(pl.col("user_id").cast(pl.String))
        people = {side: rows_of(representation, folder / f"{side}s" / f"{name}.csv") for side in ("seed",)}
        people["exclude"] = rows_of(representation, folder / "exclude" / f"{name}.csv")
        people["truth"] = UserIndex(representation).match({"truth": truth})["truth"].rows
        found.append([log_lift(one, people) for one in columns])
    pairs = np.array(found)
    return pairs[:, 0], pairs[:, 1]


def line(name: str, ours: NDArray[np.float64], without: NDArray[np.float64]) -> str:
    """A row of the table."""
    difference = ours - without
    half = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    low, middle, high = (math.exp(difference.mean() + by * half) for by in (-1, 0, 1))
    means = (math.exp(of.mean()) for of in (without, ours))
    return f"| {name} ({len(ours)}) | {next(means):.2f} | {next(means):.2f} | {middle:.3f} ({low:.3f}–{high:.3f}) |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET=WORKSPACE")
    parser.add_argument("--tasks", type=Path, default=ROOT.parent / "shared" / "bench" / "tasks")
    options = parser.parse_args()
    print("| Set (tasks) | without the encoder | with it | ratio (95 %) |\n| --- | ---: | ---: | ---: |")
    every = []
    for given in options.sets:
        name, workspace = given.split("=", 1)
        every.append(differences(options.tasks / name, Path(workspace)))
        print(line(name, *every[-1]), flush=True)
    print(line("all", *(np.concatenate(side) for side in zip(*every, strict=True))))


if __name__ == "__main__":
    main()
