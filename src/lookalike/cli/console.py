"""All that is printed. stdout carries data: a table for people, or one JSON object; stderr carries talk and progress."""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from lookalike.errors import LookalikeError
from lookalike.reporting.formatting import printable
from lookalike.reporting.train_messages import SENTENCES
from lookalike.workspace.progress import Advance, Message


class Console:
    """Talks on stderr unless quiet; puts a result on stdout as a table or, asked for JSON, as one object."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._err = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        self._out = RichConsole(highlight=False, soft_wrap=not sys.stdout.isatty())

    def say(self, message: Message) -> None:
        self.note(SENTENCES[type(message)](message))

    def note(self, text: str) -> None:
        if not self.quiet:
            self._err.print(escape(printable(text)))

    @contextlib.contextmanager
    def step(self, what: str, total: float | None = None) -> Iterator[Advance]:
        """Gives `step(done, note)`: `done` of `total` so far. Time left is shown; nothing is, when stderr is no terminal."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=self._err, transient=True, disable=self.quiet or not self._err.is_terminal)
        with bar:
            task = bar.add_task(what, total=total, note="")
            yield lambda done, note="", /: bar.update(task, completed=done, note=note)

    def result(self, value: dict[str, Any], *tables: Table | str) -> None:
        """The one thing a command gives back."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False, default=str) + "\n")
            return
        for table in tables:
            self._out.print(table)

    def text(self, text: str) -> None:
        """Plain data on stdout, exactly as given."""
        sys.stdout.write(text)

    def error(self, error: LookalikeError) -> None:
        """Two lines on stderr: what is wrong, and what helps."""
        sys.stderr.write(f"error: {printable(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"hint: {printable(error.hint)}\n")
