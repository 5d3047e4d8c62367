"""Training and embedding beside RecTools' SASRec and pytorch-lifestream's CoLES: speed and memory, in the same run.

    python bench/peers.py --rectools REC/bin/python --lifestream PTLS/bin/python --out peers.json

Prints a Markdown table. Each peer needs an environment of its own, because it holds NumPy or pyarrow back: `pip install
"rectools[torch]==0.19.0"` and `pip install pytorch-lifestream==0.7.0 "pyarrow<23"`. Everything runs in processes of its
own, on the same events, with the same width, length and number of threads; every second repeat goes the other way
round, and the table shows medians.

- Events/s of training: events of the log that an epoch passes over, by the seconds of its batches; without imports,
  reading and validation, and for peers without the first batch. A peer is credited with every event of its users, those
  that it cuts off and those that no slice of CoLES falls on included; ours with the events that it learns from.
- Users/s of embedding: the vectors of all users from arrays in memory, after a warm-up with a few. Making the batches
  counts. Ours is timed inside `lookalike train`, around `lookalike.training.user_vectors`, from the second call on.
- Peak memory: of the process that trains and embeds. Ours is the `train` command, which also reads the database,
  measures baselines and makes the content and aggregate vectors.

A batch is `--batch-events` places, because those are what a step computes: RecTools pads a user to the full length,
and CoLES takes five slices of one. In a trial, larger batches made both slower. `--negatives` are SASRec's per
position, 1 as in RecTools' README; ours are as in `docs/settings.md`, drawn once a batch. All else is each program's
default or, for CoLES's optimiser, as in its demos.
"""

# The peers are not in the environment that this file is checked in.
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

# Only the standard library is imported here: a child's peak memory starts from its parent's at the moment of the fork.
from steps import Step, run

HERE = Path(__file__).resolve().parent
TOYS = HERE.parent.parent / "shared" / "bench" / "tasks" / "toys" / "events.parquet"
OURS = "lookalike"
COLES = "CoLES"
SLICES = 5  # CoLES draws from each user in a batch
SHORTEST = 2  # events in a slice; many users of the default log have but three
WARM = 256  # users embedded before the clock starts
Figures = dict[str, Any]
Note = tuple[float, int]  # when a batch was done, and the users in it


# --- in the peers' environments --------------------------------------------------------------------------------------


def rectools(options: argparse.Namespace) -> Figures:
    """SASRec with sampled softmax."""
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
    done: list[Note] = []
    model = SASRecModel(
        n_factors=options.width,
        session_max_len=options.length,
        loss="sampled_softmax",
        n_negatives=options.negatives,
        batch_size=max(1, options.batch_events // options.length),
        get_trainer_func=lambda: trainer(options.epochs, done, lambda batch: len(batch["x"])),
    )
    model.fit(dataset)

    def prepare(users: Any) -> Callable[[], Any]:
        wanted = model.data_preparator.transform_dataset_u2i(dataset, users)
        loader = model.data_preparator.get_dataloader_recommend(wanted, model.recommend_batch_size)
        return partial(model.lightning_model._get_user_item_embeddings, loader, "cpu")  # as `recommend` does

    return {
        "events_per_second": speed(done, len(events), options.epochs),
        "users_per_second": embedding(prepare, events["user_id"].unique()),
        "versions": {name: version(name) for name in ("rectools", "torch")},
    }


def lifestream(options: argparse.Namespace) -> Figures:
    """CoLES with a GRU over embedded items."""
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
    slices = SampleSlices(split_count=SLICES, cnt_min=SHORTEST, cnt_max=options.length)
    size = max(2, options.batch_events // (SLICES * options.length))
    done: list[Note] = []
    fitting = trainer(options.epochs, done, lambda batch: int(batch[1].max()) + 1)
    fitting.fit(module, PtlsDataModule(train_data=ColesDataset(users, splitter=slices), train_batch_size=size))
    module.eval()

    def embed(loader: Any) -> Any:
        with torch.no_grad():
            return torch.vstack([module(batch) for batch in loader])

    return {
        "events_per_second": speed(done, len(log["item"]), options.epochs),
        "users_per_second": embedding(
            lambda some: partial(embed, inference_data_loader(some, max_seq_len=options.length)), users
        ),
        "versions": {name: version(name) for name in ("pytorch-lifestream", "torch")},
    }


def trainer(epochs: int, done: list[Note], users_in: Callable[[Any], int]) -> Any:
    """A Lightning trainer that does nothing but train, and notes in `done` each batch that it has done."""
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import LambdaCallback

    def note(trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        done.append((perf_counter(), users_in(batch)))

    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        callbacks=[LambdaCallback(on_train_batch_end=note)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def speed(done: list[Note], events: int, epochs: int) -> float:
    """Events of the log a second after the first batch. Raises SystemExit when there was but one."""
    if len(done) < 2:
        raise SystemExit("one batch an epoch: more --users, more --epochs or fewer --batch-events")
    users = [count for _, count in done]
    return events * epochs * sum(users[1:]) / sum(users) / (done[-1][0] - done[0][0])


# --- in every environment --------------------------------------------------------------------------------------------


def embedding(prepare: Callable[[Any], Callable[[], Any]], users: Any) -> float:
    """Users a second of the work that `prepare` gives for them."""
    prepare(users[:WARM])()
    work = prepare(users)
    start = perf_counter()
    work()
    return len(users) / (perf_counter() - start)


# --- in our environment ----------------------------------------------------------------------------------------------


def log_of(options: argparse.Namespace) -> Figures:
    """Writes the first users' events as Parquet for us, and as arrays of numbers for peers that cannot read that."""
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
    """Runs `lookalike train` in this process, with a clock around each call of what embeds users."""
    from lookalike.cli import app
    from lookalike.encoder import inference

    calls: list[Note] = []
    vectors_of = inference.user_vectors

    def timed(*given: Any, **named: Any) -> Any:
        start = perf_counter()
        vectors = vectors_of(*given, **named)
        calls.append((perf_counter() - start, len(vectors)))
        return vectors

    inference.user_vectors = timed
    workspace = Path(options.log, "workspace")
    settings = f"[train]\nlength = {options.length}\nbatch_events = {options.batch_events}\n"
    (workspace / "lookalike.toml").write_text(settings, encoding="utf-8")
    sizes = ["--encoder", "transformer", "--dim", str(options.width), "--epochs", str(options.epochs)]
    if status := app.main(["--workspace", str(workspace), "--quiet", "train", "--device", "cpu", *sizes]):
        raise SystemExit(f"lookalike train: exit {status}")
    history = json.loads((newest(workspace) / "metrics.json").read_text(encoding="utf-8"))["history"]
    figures: Figures = {
        "events_per_second": len(history) / sum(1 / epoch["events_per_second"] for epoch in history),
        "versions": {name: version(name) for name in (OURS, "torch")},
    }
    if warm := calls[1:]:
        figures["users_per_second"] = sum(users for _, users in warm) / sum(seconds for seconds, _ in warm)
    return figures


def newest(workspace: Path) -> Path:
    return max((workspace / "runs").glob("r*/metrics.json")).parent


# --- the run as a whole: one process at a time -----------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One program at one size."""

    name: str
    width: int
    length: int
    negatives: int = 0


def child(mode: str, python: str, case: Case | None, options: argparse.Namespace) -> tuple[Step, Figures]:
    """Runs this file as one of MODES in another process, and reads the JSON that it prints last."""
    given = vars(options) | (vars(case) if case else {})
    command = [python, str(HERE / "peers.py"), "--as", mode, "--given", json.dumps(given, default=str)]
    step = run(f"{mode} {label(case)}", command)
    figures: Figures = json.loads(step.output.splitlines()[-1])
    return step, figures


def label(case: Case | None) -> str:
    return f"{case.name} {case.width} × {case.length}" if case else ""


def measured(case: Case, options: argparse.Namespace) -> Figures:
    """The figures of one case; `error` in their place when it failed, so that the others are still shown."""
    ways = {OURS: ("ours", sys.executable), COLES: ("lifestream", options.lifestream)}
    try:
        step, figures = child(*ways.get(case.name, ("rectools", options.rectools)), case, options)
        return figures | {"peak_mib": step.peak_mib, "seconds": step.seconds}
    except SystemExit as error:
        return {"error": "; ".join(str(error).splitlines()[-3:])}


def cases(options: argparse.Namespace) -> list[Case]:
    """All programs at the first size, then at the next."""
    found = []
    for width, length in zip(options.width, options.length, strict=True):
        found.append(Case(OURS, width, length))
        for negatives in options.negatives if options.rectools else []:
            found.append(Case(f"SASRec, {negatives} negative{'s' * (negatives > 1)}", width, length, negatives))
        if options.lifestream:
            found.append(Case(COLES, width, length))
    return found


def summary(runs: list[tuple[Case, Figures]]) -> list[Figures]:
    """Medians of each case, and ours by theirs; None for what was not measured."""
    measures = ("events_per_second", "users_per_second", "peak_mib")
    rows: list[Figures] = []
    for case in sorted(dict.fromkeys(case for case, _ in runs), key=lambda case: (case.width, case.length)):
        mine = [figures for other, figures in runs if other == case]
        known = {key: [figures[key] for figures in mine if key in figures] for key in measures}
        medians = {key: median(values) if values else None for key, values in known.items()}
        rows.append({"name": case.name, "width": case.width, "length": case.length, **medians})
    base = {(row["width"], row["length"]): row for row in rows if row["name"] == OURS}
    for row in rows:
        us = base[row["width"], row["length"]]
        row["ratio"] = {key: us[key] / row[key] if us[key] and row[key] else None for key in measures}
    return rows


def markdown(facts: Figures) -> str:
    log, options = facts["log"], facts["options"]
    lines = [
        f"{log['events']:,} events, {log['users']:,} users, {log['items']:,} items; {facts['machine']}; "
        f"{options['threads']} threads, {options['epochs']} epochs, {options['repeats']} repeats.",
        "",
        "| Width | Length | Program | Events/s | ours / it | Users/s | ours / it | Peak MiB | ours / it |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in facts["summary"]:
        cells = [str(row["width"]), str(row["length"]), row["name"]]
        for key in ("events_per_second", "users_per_second", "peak_mib"):
            cells += [shown(row[key], ",.0f"), shown(row["ratio"][key], ".2f") if row["name"] != OURS else ""]
        lines.append(f"| {' | '.join(cells)} |")
    failed = {
        f"{one['name']} {one['width']} × {one['length']}: {one['error']}": None
        for one in facts["runs"]
        if "error" in one
    }
    return "\n".join([*lines, "", *[f"Not measured: {text}." for text in failed]]) + "\n"


def shown(figure: float | None, how: str) -> str:
    return "–" if figure is None else format(figure, how)


def compare(options: argparse.Namespace) -> Figures:
    """Runs every case `--repeats` times, there and back."""
    with TemporaryDirectory(dir=options.scratch) as folder:
        options.log = Path(folder)
        log = child("log", sys.executable, None, options)[1]
        into = ["--workspace", str(options.log / "workspace"), "--quiet"]
        run("ingest", [*shlex.split(options.cli), *into, "ingest", str(options.log / "events.parquet")])
        runs: list[tuple[Case, Figures]] = []
        for repeat in range(options.repeats):
            order = cases(options)[:: -1 if repeat % 2 else 1]
            runs += [(case, measured(case, options)) for case in order]
    wanted = ("events", "users", "width", "length", "negatives", "epochs", "repeats", "threads", "batch_events")
    return {
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}",
        "log": log,
        "options": {name: getattr(options, name) for name in wanted},
        "runs": [vars(case) | figures for case, figures in runs],
        "summary": summary(runs),
    }


MODES: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "log": log_of,
    "ours": ours,
    "rectools": rectools,
    "lifestream": lifestream,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rectools", metavar="PYTHON", help="of the environment with RecTools; left out without it")
    parser.add_argument("--lifestream", metavar="PYTHON", help="of the environment with pytorch-lifestream; likewise")
    parser.add_argument("--cli", default=str(Path(sys.executable).parent / "lookalike"))
    parser.add_argument("--events", default=str(TOYS), help="Parquet with user_id, item_id, event_type and ts")
    parser.add_argument("--users", type=int, default=0, help="only the first so many; 0 is all")
    parser.add_argument("--width", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--length", type=int, nargs="+", default=[50, 128], help="one for each width")
    parser.add_argument("--negatives", type=int, nargs="+", default=[1], help="of SASRec at each position")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-events", type=int, default=8192, help="places in one step")
    parser.add_argument("--scratch", type=Path, help="where the log and our workspace are put for the time being")
    parser.add_argument("--out", type=Path, help="JSON with every run")
    parser.add_argument("--as", dest="mode", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--given", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode:
        print(json.dumps(MODES[options.mode](argparse.Namespace(**json.loads(options.given)))))
        return
    if len(options.width) != len(options.length):
        parser.error("--width and --length: one length for each width")
    for python in filter(None, (options.rectools, options.lifestream)):
        if not shutil.which(python):
            parser.error(f"{python}: no such program")
    # inherited by every process; a thread that spins while it waits would take the other's core
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    facts = compare(options)
    if options.out:
        options.out.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(markdown(facts))


if __name__ == "__main__":
    main()
