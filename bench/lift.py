"""Lift on the benchmark's task sets for several scorers, beside the recorded peers: `python bench/lift.py`.

Drives `../shared/bench/run.py` once a scorer, which calls the installed program as a user would. Writes `lift.json` and
`lift.md` into the folder given with `--out`; both are written again after each scorer, so that an interrupted run keeps
what it has.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCORERS = ("auto", "centroid", "logistic", "ensemble")
KINDS = ("new", "any")
MEASURE = "lift@5%"


def measured(scorer: str, options: argparse.Namespace) -> dict[str, Any]:
    """What run.py found for one scorer, by data set. Raises CalledProcessError when it fails."""
    out = options.out / f"lift-{scorer}.json"
    command = [
        sys.executable,
        str(options.bench / "run.py"),
        *options.datasets,
        "--cli",
        options.cli,
        "--out",
        str(out),
    ]
    command += ["--expand", f"--scorer {scorer}"]
    command += ["--limit", str(options.limit)] if options.limit else []
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def table(kind: str, found: dict[str, dict[str, Any]], peers: dict[str, Any]) -> list[str]:
    """Markdown rows of one kind of task: our scorers, then every recorded peer that has a figure, best first."""
    sets = sorted({dataset for figures in found.values() for dataset in figures})
    ours = {
        f"**lookalike {scorer}**": [figures.get(one, {}).get("summary", {}).get(kind, {}).get(MEASURE) for one in sets]
        for scorer, figures in found.items()
    }
    recorded = {
        name: [peers.get(one, {}).get(kind, {}).get(name) for one in sets] for name in _names(kind, sets, peers)
    }
    lines = [f"Geometric-mean {MEASURE} on `{kind}` tasks", "", f"| Method | {' | '.join(sets)} |"]
    lines.append(f"| --- |{' ---: |' * len(sets)}")
    for name, values in (ours | recorded).items():
        lines.append(f"| {name} | {' | '.join('–' if value is None else f'{value:.2f}' for value in values)} |")
    return [*lines, ""]


def _names(kind: str, sets: list[str], peers: dict[str, Any]) -> list[str]:
    """The peers' names, the best on average first."""
    by_name: dict[str, list[float]] = {}
    for one in sets:
        for name, value in peers.get(one, {}).get(kind, {}).items():
            by_name.setdefault(name, []).append(value)
    return sorted(by_name, key=lambda name: -sum(by_name[name]) / len(by_name[name]))


def seconds(found: dict[str, dict[str, Any]]) -> list[str]:
    """Markdown rows of how long the commands took."""
    lines = ["| Scorer | Data set | ingest, s | train, s | expand, s (mean) |", "| --- | --- | ---: | ---: | ---: |"]
    for scorer, figures in found.items():
        for dataset, one in sorted(figures.items()):
            each = [task["seconds"] for task in one["tasks"]]
            mean = sum(each) / max(1, len(each))
            took = one["seconds"]
            lines.append(f"| {scorer} | {dataset} | {took['ingest']:.1f} | {took['train']:.1f} | {mean:.1f} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*")
    parser.add_argument("--scorers", nargs="+", default=list(SCORERS))
    parser.add_argument("--bench", type=Path, default=ROOT.parent / "shared" / "bench")
    parser.add_argument("--cli", default=str(Path(sys.executable).parent / "lookalike"))
    parser.add_argument("--limit", type=int, help="tasks of each set, to try it out")
    parser.add_argument("--out", type=Path, default=ROOT / ".bench")
    options = parser.parse_args()

    if not (options.bench / "run.py").exists():
        raise SystemExit(f"error: {options.bench}: no benchmark here\nhint: --bench FOLDER")
    options.out.mkdir(parents=True, exist_ok=True)
    peers = json.loads((options.bench / "peers.json").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = {}
    for scorer in options.scorers:
        found[scorer] = measured(scorer, options)
        lines = [line for kind in KINDS for line in table(kind, found, peers)] + seconds(found)
        (options.out / "lift.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (options.out / "lift.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
