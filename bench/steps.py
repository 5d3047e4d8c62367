"""Time and peak memory of every command on a synthetic log, beside references measured in the same run.

    python bench/steps.py --events 10000000 --train "--epochs 1"

Writes `steps-EVENTS.json` and `.md` into the folder given with `--out`. Seconds depend on the machine and its load:
compare the ratios, and run it when nothing else is running.
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

# Imports the standard library only: a child process's peak memory starts at its parent's memory when it is forked.
HERE = Path(__file__).resolve().parent
AUDIENCE = "bench"
REFERENCES = ("ingest", "sequences", "scoring", "faiss", "lift")  # of references.py


@dataclass(frozen=True)
class Step:
    """One finished process. `output` is what it printed on stdout."""

    name: str
    seconds: float
    peak_mib: float
    output: str = field(repr=False)


def run(name: str, command: list[str]) -> Step:
    """Runs a command and waits for it. Raises SystemExit with the end of its stderr when it fails."""
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


def synthetic_log(options: argparse.Namespace) -> Path:
    """The folder of the log, which is generated unless a complete one is there."""
    size = {name: getattr(options, name) for name in ("events", "users", "items") if getattr(options, name)}
    folder: Path = options.out / "-".join(["log", *(f"{value}-{name}" for name, value in size.items())])
    if not ((folder / "facts.json").exists() and (folder / "day.parquet").exists()):
        shutil.rmtree(folder, ignore_errors=True)
        flags = [word for name, value in size.items() for word in (f"--{name}", str(value))]
        run("generate", [sys.executable, str(HERE / "synthetic.py"), *flags, "--out", str(folder)])
    return folder


def run_commands(options: argparse.Namespace, log: Path, workspace: Path) -> list[Step]:
    """The commands as a user types them, the bare start of the program, and the commands of the next day."""
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


def run_reference(name: str, log: Path, workspace: Path) -> dict[str, Any]:
    """The figures of one reference; `error` in place of them when it fails, so that the others are still written."""
    paths = ["--log", str(log), "--workspace", str(workspace), "--audience", AUDIENCE]
    try:
        step = run(f"reference {name}", [sys.executable, str(HERE / "references.py"), name, *paths])
    except SystemExit as error:
        return {"error": str(error).splitlines()[-1]}
    figures: dict[str, Any] = json.loads(step.output)
    return figures | {"peak_mib": step.peak_mib}


def ratios(steps: dict[str, Step], references: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Our seconds / the reference's, with the budget. A row without both figures is left out."""
    rows = []
    comparisons = {
        "ingest": ("DuckDB CREATE TABLE AS SELECT", steps["ingest"].seconds, "≤ 3"),
        "sequences": ("DuckDB ORDER BY of three stored columns to Arrow", references["sequences"].get("ours"), "≤ 1.5"),
        "scoring": (
            "NumPy float32 X @ w, 1 M × 128; ours makes a list of 500,000",
            references["scoring"].get("ours"),
            "≤ 1.5",
        ),
        "faiss": ("IndexFlatIP, 1 M × 128, k = 100,000", references["faiss"].get("ours"), "≤ 0.25"),
    }
    for name, (reference, ours, budget) in comparisons.items():
        theirs = references[name].get("seconds")
        if theirs and ours is not None:
            row = {
                "step": name,
                "reference": reference,
                "ours": ours,
                "theirs": theirs,
                "ratio": ours / theirs,
                "budget": budget,
            }
            rows.append(row)
    return rows


def markdown(facts: dict[str, Any]) -> str:
    """Two tables: the commands, and the ratios."""
    lines = [
        f"{facts['log']['events']:,} events, {facts['log']['users_with_events']:,} users, {facts['log']['items']:,} items; "
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
    failures = [f"{name}: {figures['error']}" for name, figures in facts["references"].items() if "error" in figures]
    lines += ["", *[f"Not measured: {failure}." for failure in failures]]
    check = facts["references"]["lift"]
    if "lift" in check:
        lines.append(
            f"The list of {check['prospects']:,} contains {check['hits']:,} planted users: lift {check['lift']:.2f}."
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, help="users of the log; a twentieth of the events if not given")
    parser.add_argument("--items", type=int, help="items of the catalogue; one for 250 events, at most 100,000")
    parser.add_argument("--out", type=Path, default=HERE.parent / ".bench")
    parser.add_argument("--cli", default=str(Path(sys.executable).parent / "lookalike"), help="how to call the program")
    parser.add_argument("--size", default="5%", help="size of the list")
    parser.add_argument("--train", default="", help="more flags for train, in one string")
    parser.add_argument("--expand", default="", help="more flags for expand, in one string")
    options = parser.parse_args()

    log = synthetic_log(options)
    workspace = options.out / log.name.replace("log", "workspace")
    shutil.rmtree(workspace, ignore_errors=True)
    steps = run_commands(options, log, workspace)
    references = {name: run_reference(name, log, workspace) for name in REFERENCES}
    facts = {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        "log": json.loads((log / "facts.json").read_text()),
        "flags": {"size": options.size, "train": options.train, "expand": options.expand},
        "steps": [{key: value for key, value in asdict(step).items() if key != "output"} for step in steps],
        "references": references,
        "ratios": ratios({step.name: step for step in steps}, references),
    }
    path = options.out / log.name.replace("log", "steps")
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(facts), encoding="utf-8")
    print(markdown(facts))


if __name__ == "__main__":
    main()
