"""Kills, interrupts and starves every command of a small campaign, and checks that the same command then ends as if nothing
had happened.

    python bench/crashes.py --points 500

A point is one fault in one command: `kill -9`, SIGINT, SIGTERM or SIGHUP at a random moment; a call that changes a file
(write, fsync, rename, truncate, allocate, create, delete) failing with ENOSPC or EIO, or being the last of the process,
half done; or a disk that is full after so many bytes. Of --points N, N are killed at moments, N / 5 get a signal, and N / 12
a full disk; of the calls every one is taken if --calls is `all`, else so many at random for each command.

After each, every part of the workspace (tables, vectors, run, lists) is as before the command or as after it; and the
repeated command succeeds and gives tables, vectors, weights, lists and figures that are byte for byte those of a run that
nothing disturbed. Ends with 1 if that is not so. Needs gcc and Linux; disks are really full where it may mount them (root).
"""

import argparse
import ctypes
import errno
import functools
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import faults
from faults import Fault, Ran

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

_TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?|\d+ \w+ 2\d{3}|\b[rv]0{3,}\d+\b|[0-9a-f]{64}")
_REPLACED = re.compile(r"^\.lookalike-(old|same|kept)-")
_NEW = {"manifest.json", "metrics.json"}  # they say when and by which run
BETWEEN_FILES = {"table files", "table meta"}  # an ingest of several files stores them one by one
_LARGE, _MS_REMOUNT, _MNT_DETACH = "1g", 32, 2
Outcome = dict[str, str]  # the digest of each part


@dataclass(frozen=True)
class Step:
    """One command of the campaign, and what the workspace holds before and after."""

    name: str
    words: tuple[object, ...]
    before: Path  # a copy
    old: Outcome
    new: Outcome
    seconds: float
    calls: int


@dataclass(frozen=True)
class Place:
    """Where points run. Nothing but the workspace may change."""

    folder: Path

    @property
    def workspace(self) -> Path:
        return self.folder / "space"

    def others(self) -> Outcome:
        """The digest of every file beside the workspace that no command may touch."""
        return {str(path): digest(path.read_bytes()) for path in sorted((self.folder / "inputs").iterdir())} | {
            str(path): "" for path in (self.folder / "temporary").iterdir()
        }


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


# --- the campaign ----------------------------------------------------------------------------------------------------


def write_inputs(folder: Path) -> None:
    import small_log

    inputs = small_log.write(folder / "inputs")
    log = small_log.events().sort("ts")
    log[:-400].write_parquet(inputs.log)
    log[-400:].write_parquet(folder / "inputs" / "more.parquet")


def campaign(folder: Path) -> dict[str, tuple[object, ...]]:
    inputs = folder / "inputs"
    expanding = ("expand", "--seed", inputs / "fans.csv", "--size", "10%", "--name", "fans", "--replace")
    return {
        "ingest": ("ingest", inputs / "events.parquet", "--items", inputs / "items.csv"),
        "train": ("train", "--encoder", "mean", "--dim", "16", "--epochs", "1"),
        "expand": expanding,
        "suppress": ("suppress", "add", inputs / "suppressed.csv"),
        "ingest more": ("ingest", inputs / "more.parquet"),
        "embed": ("embed",),
        "expand again": expanding,
        "report": ("report",),
    }


def outcome(workspace: Path) -> Outcome:
    """What a workspace holds, without times and the numbers of runs and versions. Runs in a fork, as all that reads one."""
    found = dict(_tables(workspace / "lookalike.duckdb"))
    if (workspace / "embeddings" / "CURRENT").exists():
        version = workspace / "embeddings" / (workspace / "embeddings" / "CURRENT").read_text().strip()
        run = workspace / "runs" / json.loads((version / "manifest.json").read_text())["run"]
        for part, folder in (("vectors", version), ("run", run)):
            files = sorted(path for path in folder.iterdir() if path.name not in _NEW)
            found[part] = digest(b"".join(path.name.encode() + path.read_bytes() for path in files))
    for folder in _audiences(workspace):
        texts = [
            f"{file.name}\n{_TIMES.sub('', file.read_text())}"
            for file in sorted(folder.iterdir())
            if file.is_file() and file.name[0] != "." and file.name != "report.html"
        ]
        name = _REPLACED.sub("", folder.name)
        found[f"audience {name}"] = digest("".join(texts).encode())
        if (folder / "report.html").exists():
            found[f"report {name}"] = digest(_TIMES.sub("", (folder / "report.html").read_text()).encode())
    return found


def _audiences(workspace: Path) -> list[Path]:
    """The folders of audiences. One that was being replaced counts if its successor is not there: it will be put back."""
    found = sorted((workspace / "audiences").glob("*"))
    complete = {path.name for path in found if path.name[0] != "."}
    replaced = [path for path in found if _REPLACED.match(path.name) and _REPLACED.sub("", path.name) not in complete]
    return [path for path in found if path.name in complete] + replaced


def _tables(path: Path) -> Iterator[tuple[str, str]]:
    import duckdb

    if not path.exists():
        return
    with duckdb.connect(str(path), read_only=True) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
        for name in names:
            columns = f"SELECT COLUMNS(lambda c: c NOT IN ('ingested_at', 'added')) FROM {name}"
            rows = connection.execute(f"SELECT * FROM ({columns}) ORDER BY ALL").fetchall()
            if rows:
                yield f"table {name}", digest(repr(rows).encode())


def left_overs(workspace: Path) -> list[str]:
    """Files and folders that a command leaves only when it is killed."""
    return [path.name for path in workspace.rglob(".*") if path.name != ".lock"] + [
        name for name in ("unfinished",) if (workspace / "runs" / name).exists()
    ]


def undisturbed(place: Place) -> list[Step]:
    """Runs the campaign once, keeping the workspace before each command."""
    import small_log

    place.workspace.mkdir()
    (place.workspace / "lookalike.toml").write_text(small_log.SETTINGS)
    steps: list[Step] = []
    for number, (name, words) in enumerate(campaign(place.folder).items()):
        before = place.folder / "before" / str(number)
        shutil.copytree(place.workspace, before)
        ran = faults.run(place.workspace, words, look=outcome)
        if ran.code:
            raise RuntimeError(f"{name}: {ran}")
        steps.append(Step(name, words, before, ran.before, ran.after, ran.seconds, ran.calls))
    return steps


# --- one point -------------------------------------------------------------------------------------------------------


def complaints_about(ran: Ran, fault: Fault) -> Iterator[str]:
    """What is wrong with how a disturbed command ended."""
    promised = {0, -signal.SIGKILL if fault.signal == signal.SIGKILL or (fault.call and not fault.error) else 130}
    if fault.error or fault.disk >= 0:
        promised = {0, 4}
    if ran.code not in promised:
        yield f"exit code {ran.code}: {ran.err[-600:]}"
    if "Traceback" in ran.err:
        yield f"a traceback: {ran.err[-1500:]}"
    ends = {4: ["error", "hint"], 130: ["interrupted"]}.get(ran.code, [])
    lines = [line.split(":")[0] for line in ran.err.splitlines()]
    if ends and lines[-len(ends) :] != ends and lines[-2:] != ["interrupted", "hint"]:
        yield f"exit code {ran.code}, but it says: {ran.err[-600:]}"
    if ran.code == 4 and ran.out:
        yield f"exit code 4, but on stdout: {ran.out[:200]}"
    if ran.stray:
        yield f"changed outside the workspace: {ran.stray}"


def check_point(place: Place, step: Step, fault: Fault, look_first: bool) -> tuple[Ran, list[str]]:
    """Runs one point; gives how the command ended and all that is wrong, then or after the repeated command."""
    disk = own_disk(place.workspace) if fault.disk >= 0 and may_mount() else plain_folder(place.workspace)
    with disk as limit:
        shutil.copytree(step.before, place.workspace, dirs_exist_ok=True)
        before = place.others()
        limited = limit(fault.disk)
        ran = faults.run(place.workspace, step.words, Fault() if limited else fault)
        limit(-1)
        wrong = list(complaints_about(ran, fault))
        if look_first:
            looked = faults.run(place.workspace, ("status",))
            if looked.code and "nothing was ingested" not in looked.err:
                wrong.append(f"status exits with {looked.code}: {looked.err[-600:]}")
        again = faults.run(place.workspace, step.words, look=outcome)
        if again.code:
            wrong.append(f"repeated, it exits with {again.code}: {again.err[-600:]}")
        wrong += [
            f"{part} is neither the old nor the new one"
            for part in sorted(again.before.keys() | step.old.keys() | step.new.keys())
            if part not in BETWEEN_FILES and again.before.get(part) not in (step.old.get(part), step.new.get(part))
        ]
        wrong += [
            f"after the repeated command, {part} is not what it should be"
            for part in sorted(again.after.keys() | step.new.keys())
            if again.after.get(part) != step.new.get(part)
        ]
        wrong += [f"left behind: {name}" for name in left_overs(place.workspace)]
        wrong += ["a file beside the workspace changed"] if place.others() != before else []
        return ran, wrong


# --- disks -----------------------------------------------------------------------------------------------------------


def _mount(folder: Path, size: str, flags: int = 0) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return not libc.mount(b"tmpfs", bytes(folder), b"tmpfs", flags, f"size={size}".encode())


@functools.cache
def may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        mounted = _mount(Path(folder), "1m")
        if mounted:
            ctypes.CDLL(None).umount2(folder.encode(), _MNT_DETACH)
        return mounted


@contextmanager
def plain_folder(workspace: Path) -> Iterator:
    """A folder whose disk is not limited by us."""
    workspace.mkdir()
    try:
        yield lambda _: False
    finally:
        shutil.rmtree(workspace)


@contextmanager
def own_disk(workspace: Path) -> Iterator:
    """A disk mounted at the folder; gives a function that leaves so many bytes of it free, or all for a negative number."""
    workspace.mkdir()
    if not _mount(workspace, _LARGE):
        raise OSError("no disk can be mounted")

    def limit(free: int) -> bool:
        status = os.statvfs(workspace)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        if not _mount(workspace, str(max(used + free, 4096)) if free >= 0 else _LARGE, _MS_REMOUNT):
            raise OSError("the disk cannot be given another size")
        return True

    try:
        yield limit
    finally:
        ctypes.CDLL(None).umount2(bytes(workspace), _MNT_DETACH)
        workspace.rmdir()


# --- all points ------------------------------------------------------------------------------------------------------


def moments(steps: list[Step], points: int, rng: random.Random) -> Iterator[tuple[Step, Fault]]:
    """Slow commands are taken less often, so that more points fit into the time."""
    weights = [1 / (0.5 + step.seconds) for step in steps]
    for step in rng.choices(steps, weights, k=points):
        yield step, Fault(signal=signal.SIGKILL, after=rng.uniform(0, step.seconds))
    for number, step in enumerate(rng.choices(steps, weights, k=points // 5)):
        sent = (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)[number % 4]
        yield step, Fault(signal=sent, after=rng.uniform(0, step.seconds))


def calls(steps: list[Step], wanted: str, rng: random.Random) -> Iterator[tuple[Step, Fault]]:
    """Of `all`, every call has met every kind of failure after three rounds."""
    kinds = (0, errno.ENOSPC, errno.EIO)
    for turn in range(3 if wanted == "all" else 1):
        for step in steps:
            numbers = range(1, step.calls + 1)
            chosen = numbers if wanted == "all" else sorted(rng.sample(numbers, min(int(wanted), len(numbers))))
            for number in chosen:
                yield step, Fault(call=number, error=kinds[(number + turn) % 3])


def disks(steps: list[Step], points: int, rng: random.Random) -> Iterator[tuple[Step, Fault]]:
    """Sizes from nothing to more than any command needs, as many small ones as large ones."""
    for number in range(points // 12):
        yield steps[number % len(steps)], Fault(disk=int(2 ** rng.uniform(0, 23)) // 4096 * 4096)


# --- all of them -----------------------------------------------------------------------------------------------------


def check_all(place: Place, arguments: argparse.Namespace) -> int:
    """Runs all points; gives how many went wrong."""
    steps = undisturbed(place)
    shutil.rmtree(place.workspace)
    for step in steps:
        print(f"{step.name:14} {step.seconds:6.2f} s, {step.calls} calls that change a file", flush=True)
    rng = random.Random(arguments.seed)
    points = [
        *moments(steps, arguments.points, rng),
        *disks(steps, arguments.points, rng),
        *calls(steps, arguments.calls, rng),
    ]
    points = [point for point in points if arguments.only in ("", point[0].name)]
    rng.shuffle(points)  # so that a run that is stopped has a part of each kind
    failed, ended, started = 0, Counter[str](), time.perf_counter()
    for number, (step, fault) in enumerate(points):
        if time.perf_counter() - started > arguments.seconds:
            print(f"stopped after {number} of {len(points)} points")
            break
        try:
            ran, wrong = check_point(place, step, fault, look_first=number % 2 == 0)
        except (TimeoutError, RuntimeError) as error:
            wrong = [str(error)]
        else:
            kind = re.sub(r" (after|at call|of) .*", "", str(fault))
            ended[f"{kind}: exit {ran.code}"] += 1
        if wrong:
            failed += 1
            print(f"WRONG {step.name}, {fault}:\n  " + "\n  ".join(wrong), flush=True)
    print(f"{sum(ended.values())} points, {failed} wrong, {time.perf_counter() - started:.0f} s")
    for kind, count in sorted(ended.items()):
        print(f"  {kind:24} {count}")
    return failed


def arguments_of(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=500, help="kills at random moments; a fifth as many signals")
    parser.add_argument("--calls", default="all", help="all, or how many for each command")
    parser.add_argument("--only", default="", help="only this command")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=None, help="where to work; a temporary folder if not given")
    return parser.parse_args(words)


def run_all(arguments: argparse.Namespace, folder: Path) -> int:
    """Runs everything in the folder; gives the exit code."""
    (folder / "temporary").mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "temporary")
    faults.in_fork(lambda: write_inputs(folder))
    with tempfile.TemporaryDirectory(dir=folder) as space:
        faults.warm(Path(space), list(campaign(folder).values()), outcome)
    return 1 if check_all(Place(folder), arguments) else 0


if __name__ == "__main__":
    chosen = arguments_of(sys.argv[1:])
    held = os.environ.get("LOOKALIKE_FAULTS") or tempfile.mkdtemp(dir=chosen.folder, prefix="crashes-")
    faults.restart_with_faults(Path(held))
    try:
        code = run_all(chosen, Path(held))
    finally:
        shutil.rmtree(held, ignore_errors=True)
    sys.stdout.flush()
    os._exit(code)  # what DuckDB has to say about imports in a strange order is of no interest
