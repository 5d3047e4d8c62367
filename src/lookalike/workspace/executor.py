"""Where work on shards is done: in this process, or by whatever implements `Executor`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]  # a table: columns of equal length
Task = Callable[[int], Columns]


class Executor(Protocol):
    """Runs one task for many shard numbers."""

    def each(self, task: Task, numbers: Sequence[int]) -> Iterator[Columns]:
        """The result of the task for each number, in any order. A task that a lost worker had begun is run again."""
        ...

    def run_together(self, function: Callable[[], str | None], folder: str) -> str:
        """Runs `function` in one process for each CPU, joined in a process group; gives the text that one of them
        returned. `folder` is one that every process can see."""
        ...
