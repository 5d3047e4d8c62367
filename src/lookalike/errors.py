"""Every error a user can meet, with the exit code the program ends with.

    LookalikeError          1
    ├── SettingsError       2   a flag, a settings file or an audience definition is wrong (as Typer's usage errors)
    ├── DataError           3   a file that was given cannot be used
    ├── StateError          4   the workspace is not ready: nothing ingested, nothing trained, damaged, in use
    └── ExpansionError      5   the seed cannot, or by the verdict should not, be expanded

An interrupt ends with 130. Anything else is a bug and ends with 1.
"""


class LookalikeError(Exception):
    """Says what is wrong, where and how often; `hint` names the flag or the command that helps."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """From a worker of a cluster it comes back with its hint."""
        return type(self), (self.message, self.hint)


class SettingsError(LookalikeError):
    exit_code = 2


class DataError(LookalikeError):
    exit_code = 3


class StateError(LookalikeError):
    exit_code = 4


class ExpansionError(LookalikeError):
    exit_code = 5


INTERRUPTED = 130


_FULL = ("No space left on device", "Disk quota exceeded", "File too large")


def unforeseen(error: Exception) -> LookalikeError:
    """What the system refused (a full disk above all), whichever library met it; anything else is a bug."""
    if any(words in str(error) for words in _FULL):
        made: LookalikeError = StateError(
            f"the disk is full ({error})", "free disk space; what was there before still is"
        )
    elif isinstance(error, OSError):
        made = StateError(str(error), "check the folder and its permissions")
    else:
        made = LookalikeError(
            f"a bug: {type(error).__name__}: {error}", "run it again with --debug and report the traceback"
        )
    made.__cause__ = error
    return made
