"""Errors carry a message, a hint and an exit code, also from another process; what the system refused is translated."""

import errno
import pickle

import pytest

from lookalike import errors
from lookalike.errors import (
    DataError,
    ExpansionError,
    LookalikeError,
    SettingsError,
    StateError,
    system_errors,
    translated_error,
)


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    codes = {kind: kind.exit_code for kind in (LookalikeError, SettingsError, DataError, StateError, ExpansionError)}
    assert list(codes.values()) == [1, 2, 3, 4, 5]
    assert all(issubclass(kind, LookalikeError) for kind in codes)
    assert errors.INTERRUPTED == 130


@pytest.mark.parametrize("kind", [LookalikeError, SettingsError, DataError, StateError, ExpansionError])
def test_an_error_of_another_process_keeps_its_hint(kind: type[LookalikeError]) -> None:
    error = pickle.loads(pickle.dumps(kind("what is wrong", "what helps")))
    assert type(error) is kind
    assert (error.message, error.hint, str(error)) == ("what is wrong", "what helps", "what is wrong")


def test_a_message_is_bounded_whatever_it_quotes() -> None:
    error = DataError("x" * 100_000)
    assert error.message == str(error) == "x" * 2_000 + "…"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG], ids=errno.errorcode.get)
def test_a_full_disk_is_a_state_error(number: int) -> None:
    error = OSError(number, {errno.ENOSPC: "No space left on device"}.get(number, "Disk quota exceeded"))
    translated = translated_error(error)
    assert isinstance(translated, StateError)
    assert translated.message.startswith("the disk is full (")
    assert translated.__cause__ is error


def test_a_full_disk_is_recognised_in_the_text_of_another_library() -> None:
    assert isinstance(translated_error(RuntimeError("IO: File too large (os error 27)")), StateError)


def test_what_the_system_refused_is_a_state_error() -> None:
    translated = translated_error(PermissionError(errno.EACCES, "Permission denied", "space"))
    assert isinstance(translated, StateError)
    assert "Permission denied" in translated.message
    assert translated.hint == "check the disk, the folder and its permissions"


def test_what_the_system_refuses_in_a_function_is_translated_and_a_closed_pipe_is_not() -> None:
    @system_errors()
    def refused(error: BaseException) -> None:
        raise error

    wrapped = ValueError("space: cannot be written: Input/output error (os error 5)")
    for error in (PermissionError("space"), FileNotFoundError("space"), wrapped):
        with pytest.raises(StateError, match="space"):
            refused(error)
    for untouched in (BrokenPipeError(), DataError("a file (os error 2)"), ValueError(), KeyboardInterrupt()):
        with pytest.raises(type(untouched)):
            refused(untouched)


def test_anything_else_is_a_bug() -> None:
    translated = translated_error(ZeroDivisionError("division by zero"))
    assert type(translated) is LookalikeError
    assert translated.message == "a bug: ZeroDivisionError: division by zero"
    assert "--debug" in translated.hint
