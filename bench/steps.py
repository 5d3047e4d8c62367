"""Time and peak memory of every command on a made log, beside references measured in the same run.

    python bench/steps.py --events 10000000 --train "--epochs 1"

Writes `steps-EVENTS.json` and `.md` into the folder given with `--out`. The figures hold for the machine and the
moment: read the ratios, and run it when nothing else is running.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Only the standard library is imported here: a child's peak memory starts from its parent's at the moment of the fork.
HERE = Path(__file__).resolve().parent
AUDIENCE = "bench"


@dataclass(frozen=True)
class Step:
    """One finished process. `output` is what it printed on stdout."""

    name: str
    seconds: float
    peak_mib: float
    output: str = field(repr=False)


def run(name: str, command: list[str]) -> Step:
    """Runs a command to its end. Raises SystemExit with the end of its stderr when it fails."""
    print(f"{name} …", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{shlex.join(command)}: exit {process.returncode}\n{err.read()[-3000:]}")
        unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
        return Step(name, seconds, usage.ru_maxrss / unit, out.read())


def log_of(options: argparse.Namespace) -> Path:
    """The folder of the log, made if it is not there whole."""
    size = {name: getattr(options, name) for name in ("events", "users", "items") if getattr(options, name)}
    folder: Path = options.out / "-".join(["log", *(f"{value}-{name}" for name, value in size.items())])
    if not ((folder / "facts.json").exists() and (folder / "day.parquet").exists()):
        shutil.rmtree(folder, ignore_errors=True)
        flags = [word for name, value in size.items() for word in (f"--{name}", str(value))]
        run("generate", [sys.executable, str(HERE / "synthetic.py"), *flags, "--out", str(folder)])
    return folder


def commands(options: argparse.Namespace, log: Path, workspace: Path) -> list[Step]:
    """The commands as a user types them, the bare start of the program, and what the next day costs."""
    cli = [*shlex.split(options.cli), "--workspace", str(workspace), "--quiet"]
    tables = ["--items", str(log / "items.parquet"), "--users", str(log / "users.parquet")]
    expand = ["expand", "--seed", str(log / "seed.csv"), "--size", options.size, "--name", AUDIENCE]
    return [
        run("start (--version)", [*shlex.split(options.cli), "--version"]),
        run("ingest", [*cli, "ingest", str(log / "events"), *tables]),
        run("train", [*cli, "train", *shlex.split(options.train)]),
        run("expand", [*cli, *expand, *shlex.split(options.expand)]),
        run("report", [*cli, "report", AUDIENCE]),
        run("a day later: ingest", [*cli, "ingest", str(log / "day.parquet")]),
        run("a day later: embed", [*cli, "embed"]),
        run("embed --full", [*cli, "embed", "--full"]),
    ]


def reference(name: str, log: Path, workspace: Path) -> dict[str, Any]:
    """The figures of one reference; `error` in place of them when it failed, so that the others are still written."""
    places = ["--log", str(log), "--workspace", str(workspace), "--audience", AUDIENCE]
    try:
        step = run(f"reference {name}", [sys.executable, str(HERE / "references.py"), name, *places])
    except SystemExit as error:
        return {"error": str(error).splitlines()[-1]}
    figures: dict[str, Any] = json.loads(step.output)
    return figures | {"peak_mib": step.peak_mib}


def ratios(steps: dict[str, Step], references: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Ours over the reference, with the budget. A missing figure leaves its row out."""
    rows = []
    named = {
        "ingest": ("DuckDB CREATE TABLE AS SELECT", steps["ingest"].seconds, "≤ 3"),
        "sequences": ("DuckDB ORDER BY of three stored columns to Arrow", references["sequences"].get("ours"), "≤ 1.5"),
        "scoring": ("NumPy float32 X @ w, 1 M × 128; ours ranks 500,000", references["scoring"].get("ours"), "≤ 1.5"),
        "faiss": ("IndexFlatIP, 1 M × 128, k = 100,000", references["faiss"].get("ours"), "≤ 0.25"),
    }
    for name, (what, ours, budget) in named.items():
        base = references[name].get("seconds")
        if base and ours is not None:
            row = {
                "step": name,
                "reference": what,
                "ours": ours,
                "theirs": base,
                "ratio": ours / base,
                "budget": budget,
            }
            rows.append(row)
    return rows


def markdown(facts: dict[str, Any]) -> str:
    """Two tables: the commands, and the ratios."""
    lines = [
        f"{facts['log']['events']:,} events, {facts['log']['users_seen']:,} users, {facts['log']['items']:,} items; "
        f"{facts['machine']}.",
        "",
        "| Command | Seconds | Events/s | Peak MiB |",
        "| --- | ---: | ---: | ---: |",
    ]
    for step in facts["steps"]:
        lines.append(
            f"| {step['name']} | {step['seconds']:.1f} | {facts['log']['events'] / step['seconds']:,.0f} | "
            f"{step['peak_mib']:,.0f} |"
        )
    lines += [
        "",
        "| Step | Reference | Ours, s | Reference, s | Ratio | Budget |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    for row in facts["ratios"]:
        lines.append(
            f"| {row['step']} | {row['reference']} | {row['ours']:.3f} | {row['theirs']:.3f} | {row['ratio']:.2f} | "
            f"{row['budget']} |"
        )
    failed = [f"{name}: {found['error']}" for name, found in facts["references"].items() if "error" in found]
    lines += ["", *[f"Not measured: {text}." for text in failed]]
    if "lift" in facts["references"]["lift"]:
        found = facts["references"]["lift"]
        lines.append(
            f"The list of {found['listed']:,} holds {found['hits']:,} planted users: lift {found['lift']:.2f}."
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, help="of the made log; a twentieth of the events")
    parser.add_argument("--items", type=int, help="of its catalogue; one for 250 events, up to 100,000")
    parser.add_argument("--out", type=Path, default=HERE.parent / ".bench")
    parser.add_argument("--cli", default=str(Path(sys.executable).parent / "lookalike"))
    parser.add_argument("--size", default="5%", help="of the list")
    parser.add_argument("--train", default="", help="more flags for train, in one string")
    parser.add_argument("--expand", default="", help="more flags for expand, in one string")
    options = parser.parse_args()

    log = log_of(options)
    workspace = options.out / log.name.replace("log", "workspace")
    shutil.rmtree(workspace, ignore_errors=True)
    steps = commands(options, log, workspace)
    names = ("ingest", "sequences", "scoring", "faiss", "lift")
    references = {name: reference(name, log, workspace) for name in names}
    facts = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        "log": json.loads((log / "facts.json").read_text()),
        "flags": {"size": options.size, "train": options.train, "expand": options.expand},
        "steps": [{key: value for key, value in asdict(step).items() if key != "output"} for step in steps],
        "references": references,
        "ratios": ratios({step.name: step for step in steps}, references),
    }
    written = options.out / log.name.replace("log", "steps")
    written.with_suffix(".json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    written.with_suffix(".md").write_text(markdown(facts), encoding="utf-8")
    print(markdown(facts))


if __name__ == "__main__":
    main()
