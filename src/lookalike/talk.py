"""What the verbs may say while they work, and how a stranger's text is made fit to be shown."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

Step = Callable[..., None]


class Talk(Protocol):
    """What the verbs may say while they work. `console.Console` talks to a terminal, `Silent` to nobody."""

    def note(self, text: str) -> None: ...

    def progress(self, what: str, total: float | None = None) -> contextlib.AbstractContextManager[Step]: ...


class Silent:
    def note(self, text: str) -> None:
        return

    @contextlib.contextmanager
    def progress(self, what: str, total: float | None = None) -> Iterator[Step]:
        yield lambda done=0, note="": None


def printable(text: str) -> str:
    """The text on one line without control characters, which a file's content could use to drive a terminal."""
    return "".join(c if c.isprintable() else " " for c in text.replace("\n", " "))
