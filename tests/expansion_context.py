"""What an expansion works with, opened on a trained workspace or made from arrays in memory."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lookalike.data import database
from lookalike.data.arrays import Rows
from lookalike.embeddings.layout import BlockLayout
from lookalike.embeddings.representation import live_version
from lookalike.encoder.run_arrays import load_run_arrays
from lookalike.expansion.audience import Audience
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.measurement import Measurement, measure
from lookalike.expansion.scorers.logistic import PRIOR_PREFIX, Prior
from lookalike.expansion.seed_reader import read_seed
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress, QuietProgress
from lookalike.workspace.settings import ExpandSettings

THREE_FOLDS = ExpandSettings(repeats=2, folds=3)


@contextlib.contextmanager
def opened_context(
    root: Path, settings: ExpandSettings = THREE_FOLDS, progress: Progress | None = None
) -> Iterator[ExpansionContext]:
    """The context of a trained workspace."""
    folder = WorkspaceFolder(root)
    representation = live_version(folder)
    prior = load_run_arrays(folder, representation.manifest.run, PRIOR_PREFIX)
    with database.open_in(folder, read_only=True) as opened, folder.scratch() as scratch:
        yield ExpansionContext(
            folder=folder,
            database=opened,
            representation=representation,
            prior=Prior.of(prior),
            settings=settings,
            progress=progress or QuietProgress(),
            scratch=scratch,
        )


@dataclass(frozen=True)
class MemoryRepresentation:
    """Vectors [n, W] that are in memory, with the part of a representation's interface that examples need."""

    vectors: NDArray[np.float32]
    layout: BlockLayout

    @property
    def users(self) -> int:
        return len(self.vectors)

    def gather(self, rows: Rows) -> NDArray[np.float32]:
        return self.vectors[rows]


def memory_context(
    vectors: NDArray[np.float32], aggregates: tuple[str, ...], sequence: int, settings: ExpandSettings
) -> ExpansionContext:
    """A context of vectors [n, W]: `sequence` columns of the user embedding, then the aggregates; no content."""
    layout = BlockLayout({"sequence": sequence, "content": 0, "aggregates": len(aggregates)}, aggregates)
    unused = cast(Any, None)
    return ExpansionContext(
        folder=unused,
        database=unused,
        representation=cast(Any, MemoryRepresentation(vectors, layout)),
        prior=None,
        settings=settings,
        progress=QuietProgress(),
        scratch=unused,
    )


def measured(context: ExpansionContext, audience: Audience, force: bool = False) -> Measurement:
    """The audience, measured."""
    return measure(context, audience, read_seed(context, audience, force), force=force, insist_on_backtest=False)
