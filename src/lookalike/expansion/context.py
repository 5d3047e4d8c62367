"""What every step of one `expand` command works with: opened once by the verb and handed down."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lookalike.data.arrays import Rows
from lookalike.data.database import Cut, Database
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.expansion.scorers.logistic import Prior
from lookalike.workspace.executor import Executor
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress
from lookalike.workspace.settings import ExpandSettings

if TYPE_CHECKING:
    from lookalike.encoder.runs import Run


@dataclass(frozen=True)
class ExpansionContext:
    """The workspace's open parts, the settings, and where to report progress."""

    folder: WorkspaceFolder
    database: Database
    representation: Representation
    prior: Prior | None  # learned from the log's own audiences at training
    settings: ExpandSettings
    progress: Progress
    scratch: Path  # for what is too large for memory
    executor: Executor | None = None  # ranks the shards; this process if None

    @cached_property
    def index(self) -> UserIndex:
        """Turns user ids into rows and back."""
        return UserIndex(self.representation)

    @cached_property
    def without_events(self) -> Rows:
        """The users without any event, ascending rows."""
        return (
            self.index.rows_without_events() if self.representation.manifest.without_events else np.zeros(0, np.int64)
        )

    @property
    def cut(self) -> Cut:
        """Which events the stored vectors were made from, of users with events: histories are read by it, and the others
        have none."""
        manifest = self.representation.manifest
        return Cut(manifest.as_of, max(1, manifest.min_events))

    @cached_property
    def run(self) -> "Run":
        """The run that made the stored vectors."""
        from lookalike.encoder import runs  # torch, which lists of today's vectors do not need

        return runs.load_run(self.folder, self.representation.manifest.run)
