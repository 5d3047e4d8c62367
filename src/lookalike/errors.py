"""Every error a user can meet, with the exit code the program ends with. May import: nothing of lookalike.

    LookalikeError          1
    ├── SettingsError       2   a flag, an argument, a settings file or an audience definition is wrong
    ├── DataError           3   a file or frame that was given cannot be used
    ├── StateError          4   the workspace is not ready: nothing ingested, nothing trained, damaged, in use
    └── ExpansionError      5   the seed cannot, or by the verdict should not, be expanded

An interrupt ends with 130. Anything else is a bug and ends with 1.
"""

import contextlib
import re

INTERRUPTED = 130
_LONGEST = 2_000  # characters of a message: what it quotes may be of any length


class LookalikeError(Exception):
    """The root of all errors: `message` says what is wrong and where, `hint` names what helps.

    >>> la.LookalikeError("seed.csv: no such file", "check the path").hint
    'check the path'
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"
        super().__init__(self.message)
        self.hint = hint

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Keeps the hint when the error comes back from another process."""
        return type(self), (self.message, self.hint)


class SettingsError(LookalikeError):
    """A flag, an argument, a settings file or an audience definition is wrong.

    >>> ws.expand(seed="fans.csv", size="a lot")
    Traceback (most recent call last):
    lookalike.errors.SettingsError: size 'a lot' is not a count, a share such as 5%, or auto
    """

    exit_code = 2


class DataError(LookalikeError):
    """A file or frame that was given cannot be used.

    >>> ws.ingest("nowhere.csv")
    Traceback (most recent call last):
    lookalike.errors.DataError: nowhere.csv: no such file or folder
    """

    exit_code = 3


class StateError(LookalikeError):
    """The workspace is not ready: nothing ingested, nothing trained, damaged, or in use.

    >>> la.open("empty/").report()
    Traceback (most recent call last):
    lookalike.errors.StateError: nothing was expanded in this workspace
    """

    exit_code = 4


class ExpansionError(LookalikeError):
    """The seed cannot be expanded: it matches too few users, or nobody is left to rank.

    >>> ws.expand(seed=["nobody", "knows", "them"], size=10)
    Traceback (most recent call last):
    lookalike.errors.ExpansionError: the seed: 0 of 3 ids match a known user (0.00%)
    """

    exit_code = 5


_NO_MEMORY = ("can't allocate memory", "out of memory")
_DISK_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_BY_THE_SYSTEM = re.compile(r"\(os error \d+\)")  # what libraries write into an error of their own


def without_quotes(text: str) -> str:
    """The first line of a library's error without what it quotes, which may be a cell of somebody's."""
    line = text.splitlines()[0] if text else text
    if (first := re.search(r"[\"'`]", line)) is None:
        return line[:200]
    mark, last = first[0], max(line.rfind(each) for each in "\"'`")
    after = line[last + 1 :] if line.count(mark) % 2 == 0 else ""  # an open quote goes on to the next line
    return f"{line[: first.start()]}{mark}…{mark}{after}"[:200]


def translated_error(error: Exception) -> LookalikeError:
    """The error as one of ours: StateError for what the system refused or lacks (disk space above all), else a bug."""
    if any(words in str(error) for words in _DISK_FULL):
        translated: LookalikeError = StateError(
            f"the disk is full ({error})", "free disk space; what was stored before is unchanged"
        )
    elif isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY):
        translated = StateError("there is not enough memory", "end other programs, or use smaller settings")
    elif _is_the_systems(error):
        translated = StateError(str(error), "check the disk, the folder and its permissions")
    else:
        translated = LookalikeError(
            f"a bug: {type(error).__name__}: {without_quotes(str(error))}",
            "run it again with --debug and report the traceback",
        )
    translated.__cause__ = error
    return translated


def _is_the_systems(error: Exception) -> bool:
    return isinstance(error, OSError) or _BY_THE_SYSTEM.search(str(error)) is not None


class system_errors(contextlib.ContextDecorator):
    """Raises what the system refused inside as one of our errors, whichever library says so. Also a decorator."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        # a broken pipe is that of what a progress function writes: nobody reads it any more
        if not isinstance(error, Exception) or isinstance(error, LookalikeError | BrokenPipeError):
            return
        if _is_the_systems(error):
            raise translated_error(error) from error
