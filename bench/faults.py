"""Runs of the program that are killed, interrupted, or refused a call by the system, in forks of one warm process.

A fork costs milliseconds where a new process imports for seconds. The process must be started anew with the library of
`failing_calls.c` loaded before all others: `restart_with_faults` does that. It may use no threads itself: what reads a
workspace runs in a fork too.
"""

import ctypes
import errno
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookalike.cli.app import main
from lookalike.cli.process import prepare

BENCH = Path(__file__).resolve().parent
TIMEOUT = 60.0  # seconds after which a command hangs
_DIE = -1
_NO_LIMIT = -1
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS"), "1"),
    "PYTHONDONTWRITEBYTECODE": "1",
}


Look = Callable[[Path], dict[str, str]]
_UNKNOWN: dict[str, Any] = {"seconds": 0.0, "calls": -1, "stray": "", "before": {}, "after": {}}


@dataclass(frozen=True)
class Fault:
    """What happens to a command. Without anything it runs undisturbed, and its calls are counted."""

    signal: int = 0  # sent after so many seconds
    after: float = 0.0
    call: int = 0  # the call that changes something in the workspace, 1 for the first, …
    error: int = 0  # … fails with this errno, or is the last of the process if there is none
    disk: int = _NO_LIMIT  # bytes after which the disk is full

    def __str__(self) -> str:
        if self.signal:
            return f"{signal.Signals(self.signal).name} after {self.after:.3f} s"
        if self.call:
            return f"{errno.errorcode[self.error] if self.error else 'SIGKILL'} at call {self.call}"
        return f"disk of {self.disk} bytes" if self.disk >= 0 else "nothing"


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int  # negative for a signal
    out: str
    err: str
    seconds: float
    calls: int  # that change something in the workspace; -1 if it was killed
    stray: str  # the first call that changes something elsewhere
    before: dict[str, str]  # what was looked at
    after: dict[str, str]


def restart_with_faults(folder: Path) -> None:
    """Starts this process anew with the library, which is compiled into the folder, unless it is loaded already."""
    if "LOOKALIKE_FAULTS" in os.environ:
        return
    library = folder / "failing_calls.so"
    source = BENCH / "failing_calls.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    marks = {"LOOKALIKE_FAULTS": str(folder), "LD_PRELOAD": str(library)}
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | _ENVIRONMENT | marks)


def library() -> ctypes.CDLL:
    faults = ctypes.CDLL(None)
    faults.faults_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_longlong]
    faults.faults_calls.restype = faults.faults_strays.restype = ctypes.c_long
    faults.faults_first_stray.restype = ctypes.c_char_p
    return faults


def in_fork(work: Callable[[], Any]) -> Any:
    """What a function gives in a process of its own, as JSON."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as pipe:
                json.dump(work(), pipe)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError("the fork failed, see above")
    return json.loads(text)


def look_at_nothing(_: Path) -> dict[str, str]:
    return {}


def warm(workspace: Path, commands: Sequence[Sequence[object]], look: Look = look_at_nothing) -> None:
    """Runs commands in a fork, and imports what they and looking at their workspace import, so that forks need not."""

    def modules() -> list[str]:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        for words in commands:
            main(["--workspace", str(workspace), "--quiet", "--json", *map(str, words)])
        look(workspace)
        return list(sys.modules)

    for name in in_fork(modules):
        try:
            importlib.import_module(name)
        except Exception:  # made while running, such as torch.ops
            continue
    gc.freeze()  # a fork copies what it touches


def run(workspace: Path, words: Sequence[object], fault: Fault = Fault(), look: Look = look_at_nothing) -> Ran:
    """Runs one command in a fork, which also looks at the workspace before and after it. Raises TimeoutError when it
    hangs."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            _child(_Call(workspace, words, fault, look), writing)
        os.close(writing)
        os.read(reading, 1)  # the command begins
        started = time.perf_counter()
        if fault.signal:
            time.sleep(fault.after)
            os.kill(child, fault.signal)
        status = _wait(child, started)
        with os.fdopen(reading) as pipe:
            figures = json.loads(pipe.read() or json.dumps(_UNKNOWN))
        out.seek(0)
        err.seek(0)
        texts = (out.read().decode(errors="replace"), err.read().decode(errors="replace"))
        return Ran(os.waitstatus_to_exitcode(status), *texts, **figures)


@dataclass(frozen=True)
class _Call:
    workspace: Path
    words: Sequence[object]
    fault: Fault
    look: Look


def _child(call: _Call, pipe: int) -> None:
    faults, figures, code, fault = library(), dict(_UNKNOWN), 99, call.fault
    try:
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        figures["before"] = call.look(call.workspace)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell makes what runs behind it ignore signals
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        prepare()
        os.write(pipe, b"\n")
        started = time.perf_counter()
        faults.faults_arm(os.fsencode(call.workspace), fault.call, fault.error or _DIE, fault.disk)
        code = main(["--workspace", str(call.workspace), "--json", *map(str, call.words)])
        faults.faults_disarm()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stray = faults.faults_first_stray().decode(errors="replace")
        figures |= {"seconds": time.perf_counter() - started, "calls": faults.faults_calls(), "stray": stray}
        figures["after"] = call.look(call.workspace)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(pipe, json.dumps(figures).encode())
        os._exit(code)


def _wait(child: int, started: float) -> int:
    while time.perf_counter() - started < TIMEOUT:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.002)
    os.kill(child, signal.SIGABRT)
    os.waitpid(child, 0)
    raise TimeoutError(f"it hangs after {TIMEOUT:.0f} s")
