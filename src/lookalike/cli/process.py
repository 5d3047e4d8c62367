"""What the system gives the process: its standard streams, whatever they are, and the signals that end it."""

import codecs
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_ASCII = {
    "×": "x",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "·": "-",
    "≤": "<=",
    "≥": ">=",
}
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


def prepare() -> None:
    """Makes every standard stream writable with any text, and every signal that ends the program an interrupt."""
    for number, mode in enumerate("rww"):
        _open_if_closed(number, mode)
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")
    for number in _ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):  # nohup ignores SIGHUP
            signal.signal(number, _interrupt)


def was_interrupted() -> bool:
    """Whether a signal came: a library may have turned the interrupt into an error of its own."""
    return bool(_received)


def end(code: int) -> NoReturn:
    """Ends the process. What cannot be written any more, as when its reader has gone, is let go: Python would complain."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    if was_interrupted():
        os._exit(code)  # Python may end itself by the same signal again instead
    sys.exit(code)


def _open_if_closed(number: int, mode: str) -> None:
    """A stream that was closed (`>&-`) leads nowhere: else the next file to be opened would be written to by mistake."""
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDWR)  # has the lowest free number, which is this one
        name = ("stdin", "stdout", "stderr")[number]
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What a terminal without a character shows instead: ASCII that looks like it, or its number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_ASCII.get(each) or each.encode("ascii", "backslashreplace").decode() for each in text), error.end


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt
