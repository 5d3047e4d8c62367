"""Feeds damaged and hostile inputs to everything that reads one, and checks how each is taken.

    python bench/fuzz.py --seconds 600
    python bench/fuzz.py --only jsonl:4711

An input is made from a seed and a number, so that each can be made again alone: valid logs, lists, tables, definitions,
settings, rules, flags and stored files, whose bytes, cells, keys and values are then changed. Allowed are a success, whose
counts add up, and an error of ours (exit 2 to 5) in one line. Forbidden are any other exception, the death of the process,
more than ten seconds, and an error or a report that shows a person: everybody in the inputs has a name by which they can be
found in a text. Ends with 1 if a forbidden thing was seen; what was found is printed with the input's number.
"""

import argparse
import contextlib
import faulthandler
import io
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import faults
import mutations

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[name] = "1"

from lookalike.errors import LookalikeError, StateError  # noqa: E402  # after the threads are limited

PATIENCE = 10.0  # seconds of the processor that one input may take
_BATCH = 3_000  # inputs of one process
_PERSON = re.compile(mutations.PERSON, re.IGNORECASE)
Reader = Callable[
    [random.Random, Path], str
]  # makes an input in the folder and reads it; gives what is shown to people


class CountsDiffer(Exception):
    """Rows are not added + duplicates + rejected."""


@dataclass(frozen=True)
class Found:
    """What is wrong with one input."""

    target: str
    number: int
    what: str


# --- readers ---------------------------------------------------------------------------------------------------------


class Logs:
    """Ingests logs of one kind, each beside those before it; after some, or an accident, into a new database."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.inputs = kind, 0
        self.file = folder / f"{kind}-{os.getpid()}.duckdb"  # a process that ends leaves its log of changes
        self.opened = contextlib.ExitStack()

    def __call__(self, rng: random.Random, folder: Path) -> str:
        from lookalike.data.ingest.ingest import ingest_files
        from lookalike.data.ingest.options import IngestOptions
        from lookalike.workspace.progress import QuietProgress

        suffix, content = mutations.log(self.kind, rng)
        file = folder / f"log{suffix}"
        file.write_bytes(content)
        place = rng.choice(("events", "events", "events", "items", "users"))
        table = {} if place == "events" else {place: file}
        options = IngestOptions(**table, max_rejected_share=rng.choice((0.5, 1.0)))
        database = self._database()
        try:
            result = ingest_files(database, [] if table else [file], options, QuietProgress())
            check_counts(database, result.files)
        except StateError as error:
            raise AssertionError("a file is taken for the state of the workspace") from error
        except LookalikeError:
            check_counts(database, ())
            raise
        except Exception:
            self.inputs = 0
            raise
        return result.model_dump_json(exclude={"files": {"__all__": {"mapping", "unused"}}})

    def _database(self):
        from lookalike.data.database import open_file

        if self.inputs % 100 == 0:
            self.opened.close()
            self.file.unlink(missing_ok=True)
            self.database = self.opened.enter_context(open_file(self.file))
        self.inputs += 1
        return self.database


def check_counts(database, files) -> None:
    """Of every file, and of what is stored: nothing vanishes, nothing appears."""
    for file in files:
        if not file.skipped and file.rows != file.added + file.duplicates + sum(file.rejected.values()):
            raise CountsDiffer(file.model_dump_json(include={"rows", "added", "duplicates", "rejected"}))
    ((added, rejected),) = database.rows(
        "SELECT coalesce(sum(added) FILTER (kind = 'events'), 0), coalesce(sum(rejected), 0) FROM files"
    )
    ((stored, kept),) = database.rows("SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM rejects)")
    if (stored, kept) != (added, rejected):
        raise CountsDiffer(f"{stored} events stored and {added} reported, {kept} rejects and {rejected}")


def read_ids(rng: random.Random, folder: Path) -> str:
    from lookalike.data import id_lists

    suffix, content = mutations.ids(rng)
    (file := folder / f"ids{suffix}").write_bytes(content)
    ids = id_lists.read_ids(file, with_values=rng.random() < 0.5)
    return f"{len(ids.ids)} ids"


def read_definition(rng: random.Random, folder: Path) -> str:
    from lookalike.api.expand_options import audience_flags
    from lookalike.expansion.audience import requested_audiences
    from lookalike.expansion.seed_rule import stated_rule

    (file := folder / "audience.toml").write_bytes(mutations.toml(mutations.DEFINITION, rng))
    for audience in requested_audiences([file], audience_flags(None, None, {})):
        stated_rule(audience)
    return ""


def read_settings(rng: random.Random, folder: Path) -> str:
    from lookalike.workspace.settings import load_settings

    (file := folder / "lookalike.toml").write_bytes(mutations.toml(mutations.SETTINGS, rng))
    load_settings(file)
    return ""


def read_rule(rng: random.Random, _: Path) -> str:
    from lookalike.expansion.rule import parse_condition, parse_rule

    text = mutations.rule(rng)
    rule = rng.choice((parse_rule, parse_condition))(text)
    if str(rng.choice((parse_rule,))(str(parse_rule(text)))) != str(parse_rule(text)):
        raise AssertionError(f"the rule as it is written is another one: {rule}")
    return ""


def read_flags(rng: random.Random, folder: Path) -> str:
    """A command line on a workspace without a log: flags are read before it is missed."""
    return _run(["--workspace", str(folder / "space"), *mutations.flags(rng, folder)])


def _run(words: list[str]) -> str:
    """Runs the program; gives what it shows. Raises an error of ours for the exit codes 2 to 5."""
    from lookalike.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    shown = err.getvalue()
    if code not in (0, 2, 3, 4, 5):
        raise AssertionError(f"exit code {code}: {shown[-500:]}")
    if code:
        message, _, hint = shown.strip().rpartition("\n")
        raise LookalikeError(message.rpartition("error: ")[2], hint.removeprefix("hint: "))
    return ""


class Artefacts:
    """Reads a workspace of which one stored file was changed. The hash in its manifest is made to fit in half of the cases,
    as a stranger would, so that what is read behind it is reached too."""

    def __init__(self, workspace: Path, folder: Path) -> None:
        self.space = folder / "space"
        shutil.rmtree(self.space, ignore_errors=True)
        shutil.copytree(workspace, self.space)
        self.files = [
            path
            for path in sorted(self.space.rglob("*"))
            if path.is_file() and path.name not in (".lock", "lookalike.duckdb", "report.html", "lookalike.toml")
        ]
        self._read()  # the first page takes seconds

    def __call__(self, rng: random.Random, _: Path) -> str:
        file = rng.choice(self.files)
        held = {path: path.read_bytes() for path in (file, file.parent / "manifest.json") if path.exists()}
        try:
            file.write_bytes(changed := mutations.artefact(file.name, held[file], rng))
            if changed == held[file]:
                return ""
            if file.name not in ("manifest.json", "CURRENT") and rng.random() < 0.5:
                self._seal(file)
            self._read()
        finally:
            for path, content in held.items():
                path.write_bytes(content)
        return ""

    def _seal(self, file: Path) -> None:
        from lookalike.workspace.files import sha256

        manifest = file.parent / "manifest.json"
        document = json.loads(manifest.read_text())
        for value in document.values():
            if isinstance(value, dict) and file.name in value:
                value[file.name] = sha256(file)
        manifest.write_text(json.dumps(document))

    def _read(self) -> None:
        """What commands read. An error of one does not keep the others from it."""
        import numpy as np

        from lookalike.api.report import report
        from lookalike.api.status import status
        from lookalike.api.verify import verify
        from lookalike.embeddings.representation import live_version
        from lookalike.embeddings.user_index import UserIndex
        from lookalike.encoder import runs
        from lookalike.workspace.paths import WorkspaceFolder

        folder, errors = WorkspaceFolder(self.space), []

        def vectors() -> None:
            live = live_version(folder)
            rows = np.arange(live.users)
            live.gather(rows), live.ties(rows), UserIndex(live).ids(rows)

        def run() -> None:
            runs.load_run(folder, live_version(folder).manifest.run)

        for read in (
            vectors,
            run,
            lambda: report(folder, "fans"),
            lambda: verify(folder, "fans"),
            lambda: status(folder),
        ):
            try:
                read()
            except LookalikeError as error:
                errors.append(error)
        if errors:
            raise errors[0]


def write_workspace(folder: Path) -> Path:
    """A workspace with a log, a run, vectors and a list, made in a process of its own; and what it has imported, here."""
    import small_log

    faults.in_fork(lambda: str(small_log.write(folder / "inputs")))
    inputs, space = small_log.Inputs(folder / "inputs"), folder / "workspace"
    space.mkdir()
    (space / "lookalike.toml").write_text(small_log.SETTINGS)
    commands = (
        ("ingest", inputs.log, "--items", inputs.items),
        small_log.TRAIN,
        ("expand", "--seed", inputs.seed, "--size", "10%"),
        ("report",),
    )
    faults.warm(space, commands)
    return space


def targets(folder: Path) -> dict[str, tuple[int, Callable[[], Reader]]]:
    """Name -> how many inputs of a hundred, and what makes its reader."""
    logs = {kind: (8, lambda kind=kind: Logs(kind, folder)) for kind in mutations.LOGS}
    return {
        **logs,
        "ids": (14, lambda: read_ids),
        "definition": (8, lambda: read_definition),
        "settings": (8, lambda: read_settings),
        "rule": (20, lambda: read_rule),
        "flags": (6, lambda: read_flags),
        "artefact": (8, lambda: Artefacts(folder / "workspace", folder)),
    }


# --- the run ---------------------------------------------------------------------------------------------------------


def take(target: str, reader: Reader, seed: int, number: int, folder: Path) -> tuple[str, str]:
    """Reads one input; gives how it was taken, and what is wrong with that."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    faulthandler.dump_traceback_later(6 * PATIENCE, exit=True)
    started = time.process_time()
    shown, ended, wrong = "", "success", ""
    try:
        shown = reader(random.Random(f"{seed}:{target}:{number}"), folder)
    except LookalikeError as error:
        shown, ended = f"{error.message} {error.hint}", type(error).__name__
        if type(error) is LookalikeError and target != "flags":
            wrong = f"an error without a kind: {error.message[:300]}"
        elif "\n" in error.message or len(error.message) > 2_001:
            wrong = f"a message of {len(error.message)} characters or several lines: {error.message[:300]!r}"
    except Exception:
        ended, wrong = "exception", traceback.format_exc(limit=-6)
    faulthandler.cancel_dump_traceback_later()
    if (seconds := time.process_time() - started) > PATIENCE:
        wrong = wrong or f"it took {seconds:.0f} s"
    if seen := _PERSON.search(shown):
        wrong = wrong or f"shows a person: {shown[max(0, seen.start() - 200) : seen.end() + 60]!r}"
    return ended, wrong


def batch(arguments: argparse.Namespace, folder: Path, first: int) -> tuple[Counter, list[Found], bool]:
    """Reads the next inputs in a process of its own; gives what became of them, what was found, and whether it lived."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w", buffering=1) as pipe:
            _work(arguments, folder, first, pipe)
        os._exit(0)
    os.close(writing)
    ended, found, current = Counter(), [], ("", first)
    with os.fdopen(reading) as pipe:
        for line in pipe:
            state, target, number, text = json.loads(line)
            current = (target, number)
            if state == "ended":
                ended[f"{target} {text}"] += 1
            elif state == "found":
                found.append(Found(target, number, text))
    _, status = os.waitpid(child, 0)
    if status:
        found.append(Found(*current, f"the process died: {os.waitstatus_to_exitcode(status)}"))
    return ended, found, status == 0


def _work(arguments: argparse.Namespace, folder: Path, first: int, pipe) -> None:
    known = targets(folder)
    readers: dict[str, Reader] = {}
    for number in range(first, first + _BATCH):
        if time.time() > arguments.until or number >= arguments.inputs:
            return
        names = [name for name in known if arguments.target in ("", name)]
        picked = random.Random(f"{arguments.seed}:{number}").choices(names, [known[name][0] for name in names])[0]
        pipe.write(json.dumps(["begins", picked, number, ""]) + "\n")
        if picked not in readers:
            readers[picked] = known[picked][1]()
        ended, wrong = take(picked, readers[picked], arguments.seed, number, folder / "input")
        pipe.write(json.dumps(["ended", picked, number, ended]) + "\n")
        if wrong:
            pipe.write(json.dumps(["found", picked, number, wrong]) + "\n")


def all_batches(arguments: argparse.Namespace, folder: Path) -> tuple[Counter, list[Found]]:
    ended, found, first = Counter(), [], arguments.first
    while time.time() < arguments.until and first < arguments.inputs:
        counts, more, _ = batch(arguments, folder, first)
        ended += counts
        for each in more:
            print(f"FOUND {each.target}:{each.number}\n{each.what}\n", flush=True)
        found += more
        first += _BATCH
    return ended, found


def report(ended: Counter, found: list[Found]) -> Iterator[str]:
    for target in sorted({name.split()[0] for name in ended}):
        kinds = {name.split()[1]: count for name, count in sorted(ended.items()) if name.split()[0] == target}
        yield f"{target:12} {sum(kinds.values()):8,}  " + ", ".join(
            f"{kind} {count:,}" for kind, count in kinds.items()
        )
    yield f"{sum(ended.values()):,} inputs, {len(found)} found"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--inputs", type=int, default=10**9)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", default="", help="only this one")
    parser.add_argument("--only", default="", metavar="TARGET:NUMBER", help="only this input, which is kept")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        write_workspace(Path(folder))
        if arguments.only:
            target, number = arguments.only.split(":")
            reader = targets(Path(folder))[target][1]()
            print(*take(target, reader, arguments.seed, int(number), Path(tempfile.gettempdir()) / "fuzz-input"))
            return 0
        arguments.until = time.time() + arguments.seconds
        ended, found = all_batches(arguments, Path(folder))
    print("\n".join(report(ended, found)), flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # what DuckDB has to say about imports in a strange order is of no interest
