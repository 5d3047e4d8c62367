"""What a verb reports while it works: steps with their progress, and messages as data.

A message is a typed record; its sentence is made in `reporting.messages`.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from lookalike.workspace.records import Record


class Message(Record):
    """Something worth telling, as data. Each kind is a subclass with a `code` of its own."""

    about_safety: ClassVar[bool] = False  # about people who must not be listed: told even with --quiet

    code: str


class Advance(Protocol):
    """Reports how far a step has come."""

    def __call__(self, done: float, detail: str = "", /) -> None: ...


@runtime_checkable
class Progress(Protocol):
    """Takes what a verb reports."""

    def say(self, message: Message) -> None: ...

    def step(self, name: str, total: float | None = None) -> contextlib.AbstractContextManager[Advance]: ...


class QuietProgress:
    """Reports nothing."""

    def say(self, message: Message) -> None:
        return

    @contextlib.contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Advance]:
        yield lambda done, detail="", /: None


@dataclass(frozen=True)
class ProgressEvent:
    """One report: either a step that has come so far, or a message."""

    step: str = ""
    done: float = 0
    total: float | None = None
    detail: str = ""
    message: Message | None = None


@dataclass(frozen=True)
class CallbackProgress:
    """Hands every report to a function."""

    callback: Callable[[ProgressEvent], None]

    def say(self, message: Message) -> None:
        self.callback(ProgressEvent(message=message))

    @contextlib.contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Advance]:
        def advance(done: float, detail: str = "", /) -> None:
            self.callback(ProgressEvent(name, done, total, detail))

        advance(0)
        yield advance
