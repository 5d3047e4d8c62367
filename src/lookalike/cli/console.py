"""The only module that prints. stdout carries data: a table, or one JSON object; stderr carries messages and progress."""

import contextlib
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from lookalike.errors import LookalikeError
from lookalike.reporting.formatting import printable

if TYPE_CHECKING:
    from lookalike.workspace.progress import Advance, Message


class Console:
    """Reports on stderr unless quiet; puts a result on stdout as tables or as JSON."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._err = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        self._out = RichConsole(highlight=False, soft_wrap=not sys.stdout.isatty())

    def note(self, text: str, *, always: bool = False) -> None:
        """One line on stderr, unless quiet; `always` says it even then."""
        if always or not self.quiet:
            self._err.print(escape(printable(text)))

    def say(self, message: "Message") -> None:
        """A message of a verb, in words."""
        from lookalike.reporting.messages import is_warning, sentence

        text = f"warning: {sentence(message)}" if is_warning(message) else sentence(message)
        self.note(text, always=message.about_safety)

    @contextlib.contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator["Advance"]:
        """A progress bar with the time left; nothing when stderr is not a terminal."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            _Times(),
        )
        bar = Progress(*columns, console=self._err, transient=True, disable=self.quiet or not self._err.is_terminal)
        with bar:
            task = bar.add_task(name, total=total, detail="")
            yield lambda done, detail="", /: bar.update(task, completed=done, detail=detail)

    def result(self, value: dict[str, Any], *tables: Table | str) -> None:
        """The one thing a command gives back."""
        if self.as_json:
            is_unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
            sys.stdout.write(json.dumps(value, ensure_ascii=not is_unicode, allow_nan=False) + "\n")
        for table in () if self.as_json else tables:
            self._out.print(table)
        sys.stdout.flush()

    def error(self, error: LookalikeError) -> None:
        """Two lines on stderr: what is wrong, and what helps."""
        sys.stderr.write(f"error: {printable(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"hint: {printable(error.hint)}\n")


class _Times(ProgressColumn):
    """`30 s so far, about 59 s left`."""

    def render(self, task: Task) -> Text:
        so_far = f"{duration(task.elapsed or 0)} so far"
        left = task.time_remaining
        return Text(so_far if left is None else f"{so_far}, about {duration(left)} left")


def duration(seconds: float) -> str:
    """`59 s`, `2 min 5 s`, `1 h 3 min`."""
    whole = timedelta(seconds=round(seconds))
    minutes, rest = divmod(int(whole.total_seconds()), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
