"""Lift on the benchmark's task sets for several scorers, beside the recorded peers: `python bench/lift.py`.

Runs `../shared/bench/run.py` once for each scorer; that script calls the installed program as a user would. Writes
`lift.json` and `lift.md` into the folder given with `--out`, again after each scorer, so that an interrupted run keeps
its results.
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
Figures = dict[str, Any]  # of one scorer, by data set: `summary`, `seconds` and `tasks`, as run.py writes them


def measure(scorer: str, options: argparse.Namespace) -> Figures:
    """The figures of one scorer. Raises CalledProcessError when run.py fails."""
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
    figures: Figures = json.loads(out.read_text(encoding="utf-8"))
    return figures


def lift_table(kind: str, by_scorer: dict[str, Figures], peers: dict[str, Any]) -> list[str]:
    """Markdown rows of one kind of task: our scorers, then every recorded peer that has a figure, best first."""
    datasets = sorted({dataset for figures in by_scorer.values() for dataset in figures})
    ours = {
        f"**lookalike {scorer}**": [_summary(figures, dataset, kind) for dataset in datasets]
        for scorer, figures in by_scorer.items()
    }
    recorded = {
        name: [peers.get(dataset, {}).get(kind, {}).get(name) for dataset in datasets]
        for name in _peer_names(kind, datasets, peers)
    }
    lines = [f"Geometric-mean {MEASURE} on `{kind}` tasks", "", f"| Method | {' | '.join(datasets)} |"]
    lines.append(f"| --- |{' ---: |' * len(datasets)}")
    for name, values in (ours | recorded).items():
        lines.append(f"| {name} | {' | '.join('–' if value is None else f'{value:.2f}' for value in values)} |")
    return [*lines, ""]


def _summary(figures: Figures, dataset: str, kind: str) -> float | None:
    value: float | None = figures.get(dataset, {}).get("summary", {}).get(kind, {}).get(MEASURE)
    return value


def _peer_names(kind: str, datasets: list[str], peers: dict[str, Any]) -> list[str]:
    """The names of the peers, the best on average first."""
    by_name: dict[str, list[float]] = {}
    for dataset in datasets:
        for name, value in peers.get(dataset, {}).get(kind, {}).items():
            by_name.setdefault(name, []).append(value)
    return sorted(by_name, key=lambda name: -sum(by_name[name]) / len(by_name[name]))


def seconds_table(by_scorer: dict[str, Figures]) -> list[str]:
    """Markdown rows of how long the commands took."""
    lines = ["| Scorer | Data set | ingest, s | train, s | expand, s (mean) |", "| --- | --- | ---: | ---: | ---: |"]
    for scorer, figures in by_scorer.items():
        for dataset, values in sorted(figures.items()):
            expand = [task["seconds"] for task in values["tasks"]]
            mean = sum(expand) / max(1, len(expand))
            seconds = values["seconds"]
            lines.append(f"| {scorer} | {dataset} | {seconds['ingest']:.1f} | {seconds['train']:.1f} | {mean:.1f} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", help="all task sets if not given")
    parser.add_argument("--scorers", nargs="+", default=list(SCORERS))
    parser.add_argument("--bench", type=Path, default=ROOT.parent / "shared" / "bench", help="folder of run.py")
    parser.add_argument("--cli", default=str(Path(sys.executable).parent / "lookalike"), help="how to call the program")
    parser.add_argument("--limit", type=int, help="only the first tasks of each set, to try the script")
    parser.add_argument("--out", type=Path, default=ROOT / ".bench")
    options = parser.parse_args()

    if not (options.bench / "run.py").exists():
        raise SystemExit(f"error: {options.bench}: the benchmark is not there\nhint: --bench FOLDER")
    options.out.mkdir(parents=True, exist_ok=True)
    peers = json.loads((options.bench / "peers.json").read_text(encoding="utf-8"))
    by_scorer: dict[str, Figures] = {}
    for scorer in options.scorers:
        by_scorer[scorer] = measure(scorer, options)
        lines = [line for kind in KINDS for line in lift_table(kind, by_scorer, peers)] + seconds_table(by_scorer)
        (options.out / "lift.json").write_text(json.dumps(by_scorer, indent=1) + "\n", encoding="utf-8")
        (options.out / "lift.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
