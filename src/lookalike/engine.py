"""What does work on shards somewhere else than here: the one thing that the verbs know of a cluster."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]  # of equal length; what a piece of work gives back
Task = Callable[[int], Columns]


class Engine(Protocol):
    """Does the same task for each number, in any order, as often as it takes until each was done."""

    def each(self, task: Task, numbers: Sequence[int]) -> Iterator[Columns]: ...
