"""Speed and memory of training and embedding, beside RecTools' SASRec and pytorch-lifestream's CoLES in the same run.

    python bench/peers.py --rectools REC/bin/python --lifestream PTLS/bin/python --out peers.json

Prints a Markdown table. Each peer needs an environment of its own, because it requires an older NumPy or pyarrow: `pip
install "rectools[torch]==0.19.0"` and `pip install pytorch-lifestream==0.7.0 "pyarrow<23"`. Each measurement runs in a
process of its own, on the same events, with the same width, length and number of threads. Every second repeat runs in
reverse order, and the table shows medians.

- Training, events/s: events of the log in an epoch / seconds of its batches; without imports, reading and validation,
  and for the peers without the first batch. A peer is credited with all events of its users, including those that it
  cuts off and those in no slice of CoLES; ours with the events that it trains on.
- Embedding, users/s: the vectors of all users from arrays in memory, after a warm-up with a few users. The time
  includes building the batches. Ours is timed around `lookalike.encoder.inference.user_vectors`, with the run that
  `lookalike train` has just stored.
- Peak memory: of the process that trains and embeds. Ours is the `train` command, which also reads the database,
  measures baselines and computes the content and aggregate vectors.

A batch is `--batch-events` positions, because a step computes those: RecTools pads each user to the full length, and
CoLES takes five slices of each. In a trial, larger batches made both slower. `--negatives` are SASRec's per position, 1
as in RecTools' README; ours are those of `docs/settings.md`, drawn once for each batch. Everything else is each
program's default, or, for the optimiser of CoLES, as in its demos.
"""

# The peers are not installed where this file is type-checked.
# mypy: disable-error-code="import-not-found, import-untyped"

import argparse
import json
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

# Imports the standard library only: a child process's peak memory starts at its parent's memory when it is forked.
from steps import Step, run

HERE = Path(__file__).resolve().parent
TOYS = HERE.parent.parent / "shared" / "bench" / "tasks" / "toys" / "events.parquet"
OURS = "lookalike"
COLES = "CoLES"
SLICES = 5  # CoLES draws from each user in a batch
MIN_SLICE = 2  # events; many users of the default log have only three
WARM_UP_USERS = 256  # embedded before the clock starts
MEASURES = ("events_per_second", "users_per_second", "peak_mib")
Figures = dict[str, Any]
BatchTime = tuple[float, int]  # when a batch ended, and the number of its users


# --- in the peers' environments --------------------------------------------------------------------------------------


def rectools(options: argparse.Namespace) -> Figures:
    """Figures of SASRec with sampled softmax."""
    import numpy as np
    import pandas as pd
    import torch
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    torch.set_num_threads(options.threads)
    log = np.load(Path(options.log, "events.npz"))
    moments = pd.to_datetime(log["seconds"], unit="s")
    events = pd.DataFrame({"user_id": log["user"], "item_id": log["item"], "weight": 1.0, "datetime": moments})
    dataset = Dataset.construct(events)
    batches: list[BatchTime] = []
    model = SASRecModel(
        n_factors=options.width,
        session_max_len=options.length,
        loss="sampled_softmax",
        n_negatives=options.negatives,
        batch_size=max(1, options.batch_events // options.length),
        get_trainer_func=lambda: trainer(options.epochs, batches, lambda batch: len(batch["x"])),
    )
    model.fit(dataset)

    def prepare(users: Any) -> Callable[[], Any]:
        chosen = model.data_preparator.transform_dataset_u2i(dataset, users)
        loader = model.data_preparator.get_dataloader_recommend(chosen, model.recommend_batch_size)
        return partial(model.lightning_model._get_user_item_embeddings, loader, "cpu")  # as `recommend` does

    return {
        "events_per_second": training_speed(batches, len(events), options.epochs),
        "users_per_second": embedding_speed(prepare, events["user_id"].unique()),
        "versions": {name: version(name) for name in ("rectools", "torch")},
    }


def lifestream(options: argparse.Namespace) -> Figures:
    """Figures of CoLES with a GRU over embedded items."""
    import numpy as np
    import torch
    from ptls.data_load.datasets import inference_data_loader
    from ptls.frames import PtlsDataModule
    from ptls.frames.coles import ColesDataset, CoLESModule
    from ptls.frames.coles.split_strategy import SampleSlices
    from ptls.nn import RnnSeqEncoder, TrxEncoder

    torch.set_num_threads(options.threads)
    log = np.load(Path(options.log, "events.npz"))
    cuts = np.flatnonzero(np.diff(log["user"])) + 1
    item, seconds = (np.split(log[column], cuts) for column in ("item", "seconds"))
    users = [
        {"item": torch.from_numpy(i), "event_time": torch.from_numpy(s)} for i, s in zip(item, seconds, strict=True)
    ]
    items = TrxEncoder(embeddings={"item": {"in": int(log["item"].max()) + 1, "out": options.width}})
    module = CoLESModule(
        RnnSeqEncoder(trx_encoder=items, hidden_size=options.width, type="gru"),
        optimizer_partial=partial(torch.optim.Adam, lr=0.001),
        lr_scheduler_partial=partial(torch.optim.lr_scheduler.StepLR, step_size=30, gamma=0.9),
    )
    slices = SampleSlices(split_count=SLICES, cnt_min=MIN_SLICE, cnt_max=options.length)
    batch_users = max(2, options.batch_events // (SLICES * options.length))
    data = PtlsDataModule(train_data=ColesDataset(users, splitter=slices), train_batch_size=batch_users)
    batches: list[BatchTime] = []
    trainer(options.epochs, batches, lambda batch: int(batch[1].max()) + 1).fit(module, data)
    module.eval()

    def embed(loader: Any) -> Any:
        with torch.no_grad():
            return torch.vstack([module(batch) for batch in loader])

    return {
        "events_per_second": training_speed(batches, len(log["item"]), options.epochs),
        "users_per_second": embedding_speed(
            lambda chosen: partial(embed, inference_data_loader(chosen, max_seq_len=options.length)), users
        ),
        "versions": {name: version(name) for name in ("pytorch-lifestream", "torch")},
    }


def trainer(epochs: int, batches: list[BatchTime], users_in: Callable[[Any], int]) -> Any:
    """A Lightning trainer that only trains, and adds each batch to `batches` when it ends."""
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import LambdaCallback

    def record(trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        batches.append((perf_counter(), users_in(batch)))

    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        callbacks=[LambdaCallback(on_train_batch_end=record)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def training_speed(batches: list[BatchTime], events: int, epochs: int) -> float:
    """Events of the log per second, from the end of the first batch on. Raises SystemExit if there was only one."""
    if len(batches) < 2:
        raise SystemExit("there was only one batch: more --users, more --epochs or fewer --batch-events")
    users = [count for _, count in batches]
    return events * epochs * sum(users[1:]) / sum(users) / (batches[-1][0] - batches[0][0])


# --- in every environment --------------------------------------------------------------------------------------------


def embedding_speed(prepare: Callable[[Any], Callable[[], Any]], users: Any) -> float:
    """Users per second of the work that `prepare` returns for them."""
    prepare(users[:WARM_UP_USERS])()
    work = prepare(users)
    start = perf_counter()
    work()
    return len(users) / (perf_counter() - start)


# --- in our environment ----------------------------------------------------------------------------------------------


def write_log(options: argparse.Namespace) -> Figures:
    """Writes the first users' events as Parquet for us, and as arrays of numbers for the peers. Returns their counts."""
    import numpy as np
    import polars as pl

    events = pl.read_parquet(options.events)
    if options.users:
        events = events.filter(pl.col("user_id").is_in(events["user_id"].unique().sort()[: options.users].implode()))
    events = events.sort("user_id", "ts", maintain_order=True)
    events.write_parquet(Path(options.log, "events.parquet"))
    item = events["item_id"].rank("dense").cast(pl.Int64).to_numpy()  # from 1: 0 is the peers' padding
    user = events["user_id"].rank("dense").cast(pl.Int64).to_numpy()
    np.savez(Path(options.log, "events.npz"), user=user, item=item, seconds=events["ts"].dt.epoch("s").to_numpy())
    return {"events": len(item), "users": int(user.max()), "items": int(item.max())}


def ours(options: argparse.Namespace) -> Figures:
    """Runs `lookalike train` in this process, and then embeds the log's users with the stored run."""
    from lookalike.cli import app

    workspace = Path(options.log, "workspace")
    settings = f"[train]\nlength = {options.length}\nbatch_events = {options.batch_events}\n"
    (workspace / "lookalike.toml").write_text(settings, encoding="utf-8")
    flags = ["--encoder", "transformer", "--dim", str(options.width), "--epochs", str(options.epochs)]
    if code := app.main(["--workspace", str(workspace), "--quiet", "train", "--device", "cpu", *flags]):
        raise SystemExit(f"lookalike train: exit {code}")
    history = json.loads((newest_run(workspace) / "metrics.json").read_text(encoding="utf-8"))["history"]
    return {
        "events_per_second": len(history) / sum(1 / epoch["events_per_second"] for epoch in history),
        "users_per_second": our_embedding_speed(workspace),
        "versions": {name: version(name) for name in (OURS, "torch")},
    }


def our_embedding_speed(workspace: Path) -> float:
    """Users per second of the newest run in the workspace."""
    import numpy as np

    from lookalike.data import database, sequence_builder
    from lookalike.encoder import batches, inference, runs
    from lookalike.encoder.embedder import load_embedder
    from lookalike.encoder.versions import LogSnapshot
    from lookalike.workspace.paths import WorkspaceFolder

    folder = WorkspaceFolder(workspace)
    run_of = runs.load_run(folder, newest_run(workspace).name)
    with TemporaryDirectory(dir=workspace) as scratch, database.open_in(folder, True) as opened:
        cut = LogSnapshot.read(opened, None, 1).cut
        sequences, vocabulary = sequence_builder.build_sequences(opened, cut, Path(scratch), run_of.vocabulary)
    model = load_embedder(run_of, vocabulary).extractor.model
    latest = batches.latest_segments(sequences, sequences.offsets[:-1], run_of.config.length)

    def prepare(users: Any) -> Callable[[], Any]:
        return partial(inference.user_vectors, model, sequences, latest[users])

    return embedding_speed(prepare, np.arange(sequences.users))


def newest_run(workspace: Path) -> Path:
    return max((workspace / "runs").glob("r*/metrics.json")).parent


# --- all measurements, one process at a time -------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One program at one size."""

    name: str
    width: int
    length: int
    negatives: int = 0


def run_mode(mode: str, python: str, case: Case | None, options: argparse.Namespace) -> tuple[Step, Figures]:
    """Runs this file as one of MODES in another process, and reads the JSON that it prints last."""
    values = vars(options) | (vars(case) if case else {})
    command = [python, str(HERE / "peers.py"), "--mode", mode, "--options", json.dumps(values, default=str)]
    step = run(f"{mode} {label(case)}", command)
    figures: Figures = json.loads(step.output.splitlines()[-1])
    return step, figures


def label(case: Case | None) -> str:
    return f"{case.name} {case.width} × {case.length}" if case else ""


def measure(case: Case, options: argparse.Namespace) -> Figures:
    """The figures of one case; `error` in their place when it fails, so that the others are still shown."""
    modes = {OURS: ("ours", sys.executable), COLES: ("lifestream", options.lifestream)}
    mode, python = modes.get(case.name, ("rectools", options.rectools))
    try:
        step, figures = run_mode(mode, python, case, options)
        return figures | {"peak_mib": step.peak_mib, "seconds": step.seconds}
    except SystemExit as error:
        return {"error": "; ".join(str(error).splitlines()[-3:])}


def all_cases(options: argparse.Namespace) -> list[Case]:
    """All programs at the first size, then at the next."""
    cases = []
    for width, length in zip(options.width, options.length, strict=True):
        cases.append(Case(OURS, width, length))
        for negatives in options.negatives if options.rectools else []:
            cases.append(Case(f"SASRec, {negatives} negative{'s' * (negatives > 1)}", width, length, negatives))
        if options.lifestream:
            cases.append(Case(COLES, width, length))
    return cases


def summary(runs: list[tuple[Case, Figures]]) -> list[Figures]:
    """Medians of each case, and the ratios ours / theirs; None for what was not measured."""
    rows: list[Figures] = []
    for case in sorted(dict.fromkeys(case for case, _ in runs), key=lambda case: (case.width, case.length)):
        repeats = [figures for case_of_run, figures in runs if case_of_run == case]
        values = {key: [figures[key] for figures in repeats if key in figures] for key in MEASURES}
        medians = {key: median(numbers) if numbers else None for key, numbers in values.items()}
        rows.append({"name": case.name, "width": case.width, "length": case.length, **medians})
    ours_by_size = {(row["width"], row["length"]): row for row in rows if row["name"] == OURS}
    for row in rows:
        ours = ours_by_size[row["width"], row["length"]]
        row["ratio"] = {key: ours[key] / row[key] if ours[key] and row[key] else None for key in MEASURES}
    return rows


def markdown(facts: Figures) -> str:
    log, options = facts["log"], facts["options"]
    lines = [
        f"{log['events']:,} events, {log['users']:,} users, {log['items']:,} items; {facts['machine']}; "
        f"{options['threads']} threads, {options['epochs']} epochs, {options['repeats']} repeats.",
        "",
        "| Width | Length | Program | Events/s | ours / theirs | Users/s | ours / theirs | Peak MiB | ours / theirs |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in facts["summary"]:
        cells = [str(row["width"]), str(row["length"]), row["name"]]
        for key in MEASURES:
            cells += [formatted(row[key], ",.0f"), formatted(row["ratio"][key], ".2f") if row["name"] != OURS else ""]
        lines.append(f"| {' | '.join(cells)} |")
    failures = {
        f"{figures['name']} {figures['width']} × {figures['length']}: {figures['error']}": None
        for figures in facts["runs"]
        if "error" in figures
    }
    return "\n".join([*lines, "", *[f"Not measured: {failure}." for failure in failures]]) + "\n"


def formatted(figure: float | None, spec: str) -> str:
    return "–" if figure is None else format(figure, spec)


def compare(options: argparse.Namespace) -> Figures:
    """Measures every case `--repeats` times, every second time in reverse order."""
    with TemporaryDirectory(dir=options.scratch) as folder:
        options.log = Path(folder)
        log = run_mode("log", sys.executable, None, options)[1]
        flags = ["--workspace", str(options.log / "workspace"), "--quiet"]
        run("ingest", [*shlex.split(options.cli), *flags, "ingest", str(options.log / "events.parquet")])
        runs: list[tuple[Case, Figures]] = []
        for repeat in range(options.repeats):
            order = all_cases(options)[:: -1 if repeat % 2 else 1]
            runs += [(case, measure(case, options)) for case in order]
    reported = ("events", "users", "width", "length", "negatives", "epochs", "repeats", "threads", "batch_events")
    return {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        "log": log,
        "options": {name: getattr(options, name) for name in reported},
        "runs": [vars(case) | figures for case, figures in runs],
        "summary": summary(runs),
    }


MODES: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "log": write_log,
    "ours": ours,
    "rectools": rectools,
    "lifestream": lifestream,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rectools", metavar="PYTHON", help="of the environment with RecTools; skipped if not given")
    parser.add_argument("--lifestream", metavar="PYTHON", help="of that with pytorch-lifestream; skipped if not given")
    parser.add_argument("--cli", default=str(Path(sys.executable).parent / "lookalike"), help="how to call the program")
    parser.add_argument("--events", default=str(TOYS), help="Parquet with user_id, item_id, event_type and ts")
    parser.add_argument("--users", type=int, default=0, help="only the first so many users; 0 for all")
    parser.add_argument("--width", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--length", type=int, nargs="+", default=[50, 128], help="one for each width")
    parser.add_argument("--negatives", type=int, nargs="+", default=[1], help="of SASRec at each position")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-events", type=int, default=8192, help="positions in one step")
    parser.add_argument("--scratch", type=Path, help="folder for the log and our workspace while it runs")
    parser.add_argument("--out", type=Path, help="write every run to this file, as JSON")
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--options", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode:
        print(json.dumps(MODES[options.mode](argparse.Namespace(**json.loads(options.options)))))
        return
    if len(options.width) != len(options.length):
        parser.error("--width and --length must have as many values as each other")
    for python in filter(None, (options.rectools, options.lifestream)):
        if not shutil.which(python):
            parser.error(f"{python}: no such program")
    # inherited by every process; a thread that spins while it waits would take the other one's core
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    facts = compare(options)
    if options.out:
        options.out.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(markdown(facts))


if __name__ == "__main__":
    main()
