"""The train command: read the log, fit an encoder and measure it, store the run and everybody's vectors."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lookalike import batches, checkpoints, embeddings, features, next_items, runs, sequences, store, training
from lookalike.encoders import ENCODERS
from lookalike.errors import SettingsError, StateError
from lookalike.features import Matrix
from lookalike.provenance import now, versions
from lookalike.runs import Trained
from lookalike.sequences import Sequences, Vocabulary
from lookalike.settings import TrainSettings
from lookalike.store import Cut
from lookalike.talk import Talk
from lookalike.training import Fit, Plan, Progress
from lookalike.workspace import Workspace

Result = dict[str, Any]


@dataclass(frozen=True)
class TrainRequest:
    settings: TrainSettings
    as_of: datetime | None = None
    resume: bool = False
    device: str = "auto"


def train(workspace: Workspace, request: TrainRequest, talk: Talk) -> Result:
    """Fits an encoder, measures it on held-out days, and stores every user's vectors."""
    if request.settings.encoder not in ENCODERS:
        raise SettingsError(f"no encoder is called {request.settings.encoder!r}", f"--encoder {'|'.join(ENCODERS)}")
    if not workspace.database.exists():
        raise StateError("nothing was ingested into this workspace", "lookalike ingest FILES")
    if request.resume:
        request = replace(request, settings=checkpoints.settings_of(workspace))
    training.device_for(request.device)  # a device that is not there is said before the work
    with workspace.locked(), threadpool_limits(1, "blas"), workspace.scratch() as scratch:
        log = _read(workspace, request, scratch, talk)
        plan = training.plan(log.sequences, log.vocabulary, request.settings)
        figures = _baselines(plan, log.vocabulary, talk)
        fit = _fit(workspace, plan, log, request, talk)
        run = _trained(runs.next_name(workspace), log, fit, figures)
        runs.save(workspace, run)
        version = _represent(workspace, fit, log, run, talk)
        checkpoints.drop(workspace)
    return {"run": run.name, "version": version, **run.manifest["counts"], **run.metrics["figures"]}


@dataclass(frozen=True)
class Log:
    """The events before the cut as arrays, what their numbers mean, and who the rows are."""

    cut: Cut
    sequences: Sequences
    vocabulary: Vocabulary
    users: Path
    files: list[dict[str, str]]  # name and sha256 of what was ingested


def _read(workspace: Workspace, request: TrainRequest, folder: Path, talk: Talk) -> Log:
    with store.opened_in(workspace) as opened, talk.progress("reading the log"):
        cut = Cut(request.as_of or store.last_moment(opened), request.settings.min_events)
        arrays, vocabulary = sequences.build(opened, cut, folder)
        files = store.ingested(opened)
    if arrays.users == 0:
        raise StateError("no user has enough events before the cut", "a later --as-of, or lookalike ingest")
    return Log(cut, arrays, vocabulary, folder / "users.parquet", files)


def _baselines(plan: Plan, vocabulary: Vocabulary, talk: Talk) -> Result:
    """Held-out figures of what needs no encoder."""
    held, items = plan.held, len(vocabulary.items)
    with talk.progress("measuring the baselines"):
        return {
            "held_out_users": len(held.users),
            "popularity": next_items.measure(held, next_items.popularity(plan.known, items)),
            "popularity_of_late": next_items.measure(held, next_items.popularity(plan.known, items, days=30)),
            "item_neighbours": next_items.measure(held, next_items.neighbours(plan.known, held, items)),
        }


def _fit(workspace: Workspace, plan: Plan, log: Log, request: TrainRequest, talk: Talk) -> Fit:
    """Trains to the end, keeping a checkpoint after every epoch."""
    fit = Fit(plan, log.vocabulary, training.device_for(request.device))
    fingerprint = {"settings": asdict(request.settings), "as_of": plan.as_of, "events": plan.events}
    if request.resume:
        checkpoints.resume(workspace, fit, fingerprint)
        talk.note(f"resuming after epoch {fit.progress.epoch}")
    elif checkpoints.exists(workspace):
        talk.note("an unfinished training is discarded; --resume would have gone on with it")
        checkpoints.drop(workspace)

    def on_epoch(progress: Progress, fit: Fit) -> None:
        last = progress.history[-1]
        talk.note(
            f"epoch {last.epoch}/{plan.epochs}: loss {last.loss:.3f}, "
            f"held-out recall@20 {last.figures['recall@20']:.4f}, NDCG@20 {last.figures['ndcg@20']:.4f}, "
            f"{last.events_per_second:,.0f} events/s"
        )
        checkpoints.save(workspace, fit, fingerprint)

    talk.note(f"{len(plan.known['time']):,} events of {plan.known.users:,} users, at most {plan.epochs} epochs")
    with talk.progress("training", total=plan.epochs * max(1, len(plan.known["time"]))) as step:
        fit.run(on_epoch, step)
    return fit


def _trained(name: str, log: Log, fit: Fit, figures: Result) -> Trained:
    """The finished fit with all that is to be known of it."""
    plan, progress = fit.plan, fit.progress
    config = {
        "name": name,
        "sizes": asdict(fit.model.sizes),
        "settings": asdict(plan.settings),
        "window_days": plan.window,
        "threads": torch.get_num_threads(),  # sums, and so weights, differ in their last digits with it
        "versions": versions(),
    }
    counts = {
        "users": log.sequences.users,
        "events": plan.events,
        "items": fit.model.sizes.items,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
    }
    manifest = {
        "run": name,
        "created": now(),
        "as_of": log.cut.as_of.isoformat(),
        "weights_saw_events_before": datetime.fromtimestamp(plan.known.as_of, UTC).replace(tzinfo=None).isoformat(),
        "counts": counts,
        "files": log.files,
    }
    encoder = next_items.measure(plan.held, fit.item_scores())
    metrics = {"figures": figures | {"encoder": encoder}, "history": [asdict(epoch) for epoch in progress.history]}
    items = training.item_vectors(fit.model)
    return Trained(name, fit.weights(), items, log.vocabulary, config, metrics, manifest)


def _represent(workspace: Workspace, fit: Fit, log: Log, run: Trained, talk: Talk) -> str:
    """Stores all blocks of all users; gives the version's name."""
    settings, arrays = fit.plan.settings, log.sequences
    with talk.progress("fitting content and aggregates"):
        sample = features.sample(arrays, settings.random_seed)
        content = features.fit_content(sample, log.vocabulary, settings.content_dim, settings.random_seed)
        aggregates = features.fit_aggregates(sample, log.vocabulary, settings.group_columns)
    latest = batches.latest(arrays, batches.window_starts(arrays, fit.plan.window), settings.length)

    def compute(first: int, last: int) -> dict[str, Matrix]:
        block = arrays.block(first, last)
        return {
            "sequence": training.user_vectors(fit.model, arrays, latest[np.arange(first, last)]),
            "content": content.transform(block),
            "aggregates": aggregates.transform(block),
        }

    facts = {
        "run": run.name,
        "created": now(),
        "as_of": run.manifest["as_of"],
        "min_events": settings.min_events,
        "files": log.files,
        "blocks": {"sequence": settings.dim, "content": content.width, "aggregates": len(aggregates.names)},
        "columns": {"aggregates": aggregates.names},
        "versions": versions(),
    }
    with talk.progress("embedding users", total=arrays.users) as step:
        return embeddings.write(workspace, log.users, compute, facts, step)
