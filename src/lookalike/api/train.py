"""The train command: read the log, fit an encoder and measure it, store the run and everybody's vectors."""

import contextlib
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from lookalike.data import database, sequence_builder
from lookalike.data.database import Cut
from lookalike.data.ingest import context_columns
from lookalike.data.schema import SourceFile
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings import interactions, representation, writer
from lookalike.embeddings.aggregates import fit_aggregates
from lookalike.embeddings.content import fit_content
from lookalike.embeddings.manifest import VersionFacts
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.writer import BlockWork
from lookalike.encoder import (
    checkpoints,
    distributed,
    embedder,
    evaluation,
    inference,
    objectives,
    runs,
    trainer,
    warm_start,
)
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.fusion import Centring, Fusion, FusionWeights
from lookalike.encoder.model import ENCODERS
from lookalike.encoder.runs import Run, RunResults
from lookalike.encoder.trainer import Fit, FitPlan, FitState
from lookalike.errors import SettingsError, StateError
from lookalike.expansion.scorers import learned_prior
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress, QuietProgress
from lookalike.workspace.provenance import library_versions, utc_now
from lookalike.workspace.settings import TrainSettings

Result = dict[str, Any]


DEFAULT = TrainSettings()


@dataclass(frozen=True)
class TrainRequest:
    settings: TrainSettings
    as_of: datetime | None = None
    resume: bool = False
    device: str = "auto"
    start_from: str | None = None  # a run, or the folder of one


def train(workspace: WorkspaceFolder, request: TrainRequest, progress: Progress) -> Result:
    """Fits an encoder, measures it on held-out days, and stores every user's vectors."""
    if not workspace.database.exists():
        raise StateError("nothing was ingested into this workspace", "lookalike ingest FILES")
    request = _settled(workspace, request)
    inference.device_for(request.device)  # a device that is not there is said before the work
    with distributed.process_group(), threadpool_limits(1, "blas"):
        _check_processes(request)
        if distributed.rank_and_world_size()[0]:
            return _help(workspace, request)
        with workspace.locked(), workspace.scratch() as scratch:
            log = _read(workspace, request, scratch, progress)
            distributed.barrier()
            return _train(workspace, request, log, progress)


def _settled(workspace: WorkspaceFolder, request: TrainRequest) -> TrainRequest:
    """The request with the settings that will be used. Raises before any work what cannot be asked for."""
    settings = request.settings
    if request.resume and request.start_from:
        raise SettingsError("--resume goes on as the training was begun", "leave --from out")
    if request.resume:
        settings = checkpoints.unfinished_settings(workspace)
        request = replace(request, start_from=checkpoints.unfinished_start(workspace))
    elif request.start_from:  # the shape of the weights is given
        shape = runs.load_run(workspace, request.start_from).config["sizes"]
        given = {name: shape[name] for name in ("encoder", "dim", "length")}
        other = [
            name for name, value in given.items() if getattr(settings, name) not in (value, getattr(DEFAULT, name))
        ]
        if other:
            raise SettingsError(
                f"--from {request.start_from} has another {' and '.join(other)} than was asked for",
                f"leave {' and '.join(other)} out, or train without --from",
            )
        settings = replace(settings, **given)
    objectives.parse_objective(settings.objective or "all_action")
    if settings.encoder not in ENCODERS:
        raise SettingsError(f"no encoder is called {settings.encoder!r}", f"--encoder {'|'.join(ENCODERS)}")
    return replace(request, settings=settings)


def _check_processes(request: TrainRequest) -> None:
    """Raises SettingsError for what several processes cannot do."""
    if distributed.rank_and_world_size()[1] < 2:
        return
    if request.resume:
        raise SettingsError("--resume works with one process", "lookalike train --resume, without torchrun")
    if inference.device_for(request.device).type != "cpu":
        raise SettingsError("several processes train on CPUs only", "--device cpu, or one process for the GPU")


def _help(workspace: WorkspaceFolder, request: TrainRequest) -> Result:
    """What the other processes of `torchrun` do: the same fit on their share of the batches, and nothing else."""
    distributed.barrier()  # the first process has the database until it has read it
    with workspace.scratch() as scratch:
        log = _read(workspace, request, scratch, QuietProgress(), read_only=True)
        plan = trainer.plan_fit(log.sequences, log.vocabulary, request.settings, log.known)
        fit = _fit_of(workspace, plan, log, request, QuietProgress())
        fit.run(lambda progress, fit: None, lambda done, note: None)
        fit.finish(log.sequences, lambda done, note: None)
    return {}


def _train(workspace: WorkspaceFolder, request: TrainRequest, log: "Log", progress: Progress) -> Result:
    with progress.step("fitting content"):
        plan = trainer.plan_fit(log.sequences, log.vocabulary, request.settings, log.known)
    with progress.step("measuring the baselines"):
        figures = evaluation.baseline_figures(plan, log.vocabulary)
    fit = _fit(workspace, plan, log, request, progress)
    with progress.step("weighing the parts on audiences drawn from the log"):
        weights, found = evaluation.evaluate_encoder(fit, log.sequences)
    finished = _finish(fit, log, progress)
    made = _embedder(fit, log, weights, progress)
    with progress.step("learning from audiences of the log"):
        prior = learned_prior.learn_prior(made, log.sequences, log.vocabulary, request.settings.random_seed)
    run = Run(
        name=(name := runs.next_run_name(workspace)),
        folder=workspace.runs / name,
        weights=fit.weights(),
        fitted=embedder.fitted_arrays(made) | learned_prior.prior_arrays(prior),
        vocabulary=log.vocabulary,
        config=_config(fit, made, request) | {"as_of": log.cut.as_of.isoformat()},
    )
    seen = _seen_before(workspace, request, plan)
    if seen:
        progress.note(
            f"warning: {request.start_from} was trained on events up to {seen}: the figures are no held-out ones"
        )
    results = _results(run.name, log, fit, made, figures | found | {"weights_had_seen": seen})
    results.manifest["epochs_over_all_events"] = finished
    runs.save_run(workspace, run, results)
    before = representation.live_version(workspace) if representation.has_live_version(workspace) else None
    version = _represent(workspace, made, log, run, results, progress)
    checkpoints.drop_checkpoint(workspace)
    churn = _churn(before, representation.live_version(workspace), request.settings.random_seed)
    if churn is not None:
        progress.note(
            f"a list of the first 5 % differs by {churn:.0%} from the one the vectors before would have given"
        )
    shown = results.metrics["figures"]
    return {"run": run.name, "version": version, **results.manifest["counts"], **shown, "churn@5%": churn}


def _churn(before: Representation | None, now: Representation, seed: int) -> float | None:
    """None where there was no version before, or it cannot be read any more."""
    with contextlib.suppress(StateError, OSError):
        return evaluation.churn(before, now, seed) if before else None
    return None


@dataclass(frozen=True)
class Log:
    """The events before the cut as arrays, what their numbers mean, and who the rows are."""

    cut: Cut
    sequences: Sequences
    vocabulary: Vocabulary
    users: Path
    known: Path  # a folder for a copy of the events that may be learnt from
    files: tuple[SourceFile, ...]
    last_file: int


def _read(
    workspace: WorkspaceFolder, request: TrainRequest, folder: Path, progress: Progress, read_only: bool = False
) -> Log:
    with database.open_in(workspace, read_only) as opened, progress.step("reading the log"):
        if not read_only:
            context_columns.decide_if_pending(opened)
        cut = Cut(database.resolve_cutoff(opened, request.as_of), request.settings.min_events)
        arrays, vocabulary = sequence_builder.build_sequences(opened, cut, folder)
        files, last = database.ingested_files(opened), database.last_file_id(opened)
    if arrays.users == 0:
        raise StateError("no user has enough events before the cut", "a later --as-of, or lookalike ingest")
    (known := folder / "known").mkdir()
    return Log(cut, arrays, vocabulary, folder / "users.parquet", known, files, last)


def _fit_of(workspace: WorkspaceFolder, plan: FitPlan, log: Log, request: TrainRequest, progress: Progress) -> Fit:
    fit = Fit(plan, log.vocabulary, inference.device_for(request.device))
    if request.start_from:
        known = warm_start.copy_weights(fit.model, log.vocabulary, runs.load_run(workspace, request.start_from))
        fit.forget_unseen()
        progress.note(f"going on from {request.start_from}: {known}")
    return fit


def _fit(workspace: WorkspaceFolder, plan: FitPlan, log: Log, request: TrainRequest, progress: Progress) -> Fit:
    """Trains to the end, keeping a checkpoint after every epoch."""
    fit = _fit_of(workspace, plan, log, request, progress)
    fingerprint = {"settings": asdict(request.settings), "as_of": plan.as_of, "events": plan.events}
    fingerprint |= {"files": [file.sha256 for file in log.files], "start_from": request.start_from}
    if request.resume:
        checkpoints.resume_fit(workspace, fit, fingerprint)
        progress.note(f"resuming after epoch {fit.progress.epoch}")
    elif checkpoints.has_checkpoint(workspace):
        progress.note("an unfinished training is discarded; --resume would have gone on with it")
        checkpoints.drop_checkpoint(workspace)

    def on_epoch(state: FitState, fit: Fit) -> None:
        last = state.history[-1]
        progress.note(
            f"epoch {last.epoch}/{plan.epochs}: loss {last.loss:.3f}, "
            f"held-out recall@20 {last.figures['recall@20']:.4f}, NDCG@20 {last.figures['ndcg@20']:.4f}, "
            f"{last.events_per_second:,.0f} events/s"
        )
        checkpoints.save_checkpoint(workspace, fit, fingerprint)

    progress.note(f"{len(plan.known['time']):,} events of {plan.known.users:,} users, at most {plan.epochs} epochs")
    read = min(len(plan.known["time"]), request.settings.epoch_events)
    with progress.step("training", total=plan.epochs * max(1, read)) as step:
        fit.run(on_epoch, step, progress.note)
    return fit


def _seen_before(workspace: WorkspaceFolder, request: TrainRequest, plan: FitPlan) -> str | None:
    """Up to when the weights that were started from had seen events, where that is past this fit's cut."""
    if not request.start_from:
        return None
    moment = str(runs.load_run(workspace, request.start_from).config.get("as_of", ""))
    cut = datetime.fromtimestamp(plan.known.as_of, UTC).replace(tzinfo=None)
    return moment if moment and datetime.fromisoformat(moment) > cut else None


def _finish(fit: Fit, log: Log, progress: Progress) -> int:
    epochs = fit.epochs_to_finish
    events = max(1, min(len(log.sequences["time"]), fit.plan.settings.epoch_events))
    begun = fit.plan.epochs * events
    with progress.step("training on, the last days too", total=epochs * events) as step:
        done = fit.finish(log.sequences, lambda read, note: step(read - begun, note))
    if done:
        more = "one more epoch" if done == 1 else f"{done} more epochs"
        progress.note(f"{more} over all events: the figures are of the weights before that")
    return done


def _embedder(fit: Fit, log: Log, weights: FusionWeights, progress: Progress) -> Embedder:
    """What turns users into vectors: columns, directions and means are fitted on all events, the held-out ones too."""
    settings, arrays = fit.plan.settings, log.sequences
    with progress.step("fitting content and aggregates"):
        sample = interactions.sample_users(arrays, settings.random_seed)
        content = fit_content(sample, log.vocabulary, settings.content_dim, settings.random_seed)
        aggregates = fit_aggregates(sample, log.vocabulary, settings.group_columns)
        reach = (fit.plan.window, settings.length)
        place = Centring.of(
            embedder.raw_parts(fit.model, (content, aggregates), arrays, evaluation.sample_rows(arrays), reach)
        )
    return Embedder(fit.model, content, aggregates, Fusion(place, weights), *reach)


def _config(fit: Fit, made: Embedder, request: TrainRequest) -> Result:
    return embedder.embedder_config(made) | {
        "settings": asdict(fit.plan.settings),
        "batch_events": fit.plan.batch_events,
        "start_from": request.start_from and Path(request.start_from).name,
        "threads": torch.get_num_threads(),  # sums, and so weights, differ in their last digits with it
        "processes": distributed.rank_and_world_size()[1],
        "versions": library_versions(),
    }


def _results(name: str, log: Log, fit: Fit, made: Embedder, figures: Result) -> RunResults:
    """All that is to be known of the finished fit."""
    plan, progress = fit.plan, fit.progress
    counts = {
        "users": log.sequences.users,
        "events": plan.events,
        "items": fit.model.sizes.items,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
    }
    manifest = {
        "run": name,
        "created": utc_now(),
        "as_of": log.cut.as_of.isoformat(),
        "figures_saw_events_before": datetime.fromtimestamp(plan.known.as_of, UTC).replace(tzinfo=None).isoformat(),
        "counts": counts,
        "files": [file.as_json() for file in log.files],
    }
    metrics = {"figures": figures, "history": [asdict(epoch) for epoch in progress.history]}
    return RunResults(embedder.item_parts(made, log.sequences).vectors(made.fusion), metrics, manifest)


def _represent(
    workspace: WorkspaceFolder, made: Embedder, log: Log, run: Run, results: RunResults, progress: Progress
) -> str:
    """Stores all blocks of all users; gives the version's name."""
    facts = VersionFacts(
        run=run.name,
        created=utc_now(),
        as_of=log.cut.as_of,
        min_events=log.cut.min_events,
        files=log.files,
        last_file=log.last_file,
        blocks=made.widths,
        columns={"aggregates": tuple(made.aggregates.names)},
        versions=library_versions(),
    )
    arrays = log.sequences
    with progress.step("embedding users", total=arrays.users) as step:
        work = BlockWork(lambda first, last: made.blocks(arrays.block(first, last)))
        return writer.write_version(workspace, log.users, work, facts, step)
