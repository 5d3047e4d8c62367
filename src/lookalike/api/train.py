"""The train verb: reads the log, fits and evaluates an encoder, stores the run and every user's vectors."""

import contextlib
import functools
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from threadpoolctl import threadpool_limits

from lookalike.api.locking import locked
from lookalike.data import database, private_values, sequence_builder
from lookalike.data.ingest import context_columns
from lookalike.embeddings import representation, writer
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.writer import BlockWork
from lookalike.encoder import (
    checkpoints,
    churn,
    distributed,
    evaluation,
    fit_plan,
    inference,
    runs,
    training_run,
    versions,
    warm_start,
)
from lookalike.encoder.embedder import Embedder, fit_embedder
from lookalike.encoder.fit_plan import FitPlan
from lookalike.encoder.results import (
    CheckpointDiscarded,
    EpochFinished,
    FiguresNotHeldOut,
    FinishedOnAllEvents,
    ListChurn,
    PersonalItems,
    TrainFigures,
    TrainingDiverged,
    TrainingResumed,
    TrainingStarted,
    TrainResult,
    WarmStart,
)
from lookalike.encoder.run_arrays import Arrays
from lookalike.encoder.run_files import FusionWeights, RunConfig
from lookalike.encoder.runs import Run, RunOutputs
from lookalike.encoder.trainer import Fit, FitState
from lookalike.encoder.training_run import TrainingLog
from lookalike.errors import SettingsError, StateError
from lookalike.expansion.scorers import learned_prior
from lookalike.workspace.executor import Executor
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress, QuietProgress
from lookalike.workspace.settings import TrainSettings


@dataclass(frozen=True)
class TrainRequest:
    """What to train, and on which part of the log."""

    settings: TrainSettings
    as_of: datetime | None = None  # only events before it are read
    resume: bool = False
    device: str = "auto"
    start_from: str | None = None  # name or folder of a run whose weights to start from
    executor: Executor | None = None  # trains in several processes; this process alone if not given


@dataclass(frozen=True)
class _Job:
    """One training: the request with the settings that will be used, and the config of the run to start from."""

    folder: WorkspaceFolder
    request: TrainRequest
    start: RunConfig | None
    progress: Progress


def train(folder: WorkspaceFolder, request: TrainRequest, progress: Progress) -> TrainResult | None:
    """Fits an encoder, evaluates it on held-out days, and stores every user's vectors.

    None in the helper processes of torchrun. Raises SettingsError for settings that cannot be used, StateError when
    there is nothing to train on.
    """
    folder.require_database()
    if request.executor:
        return _train_on(request.executor, folder, request)
    job = _checked_job(folder, request, progress)
    with distributed.process_group(), threadpool_limits(1, "blas"):
        _check_processes(job.request)
        if distributed.rank_and_world_size()[0]:
            _help_training(replace(job, progress=QuietProgress()))
            return None
        with locked(folder, progress), folder.scratch() as scratch:
            log = _read_log(job, scratch)
            distributed.barrier()
            return _train(job, log)


def _train_on(executor: Executor, folder: WorkspaceFolder, request: TrainRequest) -> TrainResult:
    """Trains in the executor's processes."""
    if request.resume:
        raise SettingsError("--resume works with one process", "lookalike train --resume, without --engine")
    folder = WorkspaceFolder(folder.root.resolve())  # the same path for every process, whatever its working folder
    function = functools.partial(_train_quietly, folder, replace(request, executor=None))
    return TrainResult.model_validate_json(executor.run_together(function, str(folder.root)))


def _train_quietly(folder: WorkspaceFolder, request: TrainRequest) -> str | None:
    """The result as JSON; None in a helper process."""
    result = train(folder, request, QuietProgress())
    return result.model_dump_json() if result else None


def _checked_job(folder: WorkspaceFolder, request: TrainRequest, progress: Progress) -> _Job:
    """Raises SettingsError or StateError, before any work, for what cannot be trained."""
    if request.resume:
        if request.start_from:
            raise SettingsError("--resume continues a training as it was started", "leave --from out")
        unfinished = checkpoints.unfinished_fingerprint(folder)
        request = replace(request, settings=unfinished.settings, start_from=unfinished.start_from)
    start = runs.load_run(folder, request.start_from).config if request.start_from else None
    if start and not request.resume:
        request = replace(request, settings=training_run.with_shape_of(start, request.settings))
    training_run.check_settings(request.settings)
    inference.device_for(request.device)
    return _Job(folder, request, start, progress)


def _check_processes(request: TrainRequest) -> None:
    """Raises SettingsError for what several processes cannot do."""
    if distributed.rank_and_world_size()[1] < 2:
        return
    if request.resume:
        raise SettingsError("--resume works with one process", "lookalike train --resume, without torchrun")
    if inference.device_for(request.device).type != "cpu":
        raise SettingsError("several processes train on CPUs only", "--device cpu, or one process for the GPU")


def _help_training(job: _Job) -> None:
    """What a helper process does: the same fit on its share of the batches, and nothing else."""
    distributed.barrier()  # the first process holds the database until it has read it
    with job.folder.scratch() as scratch:
        log = _read_log(job, scratch)
        plan = fit_plan.plan_fit(log.sequences, log.vocabulary, job.request.settings, log.known)
        fit = _new_fit(job, plan, log)
        fit.run()
        fit.finish(log.sequences)


def _read_log(job: _Job, scratch: Path) -> TrainingLog:
    with database.open_in(job.folder, read_only=True) as opened, job.progress.step("reading the log"):
        context_columns.require_finished_ingest(opened)
        snapshot = versions.LogSnapshot.read(opened, job.request.as_of, job.request.settings.min_events)
        sequences, vocabulary = sequence_builder.build_sequences(opened, snapshot.cut, scratch)
        unread = versions.user_values_not_read(opened, vocabulary)
        personal, share = private_values.count_personal_items(opened, snapshot.cut)
    if sequences.offsets[-1] == 0:
        raise StateError("no user has enough events before the cut", "a later --as-of, or lookalike ingest")
    if personal:
        job.progress.say(PersonalItems(items=personal, share=share))
    if unread is not None:
        job.progress.say(unread)
    (known := scratch / "known").mkdir()
    return TrainingLog(snapshot, sequences, vocabulary, scratch / "users.parquet", known)


def _train(job: _Job, log: TrainingLog) -> TrainResult:
    fit, weights, figures = _fit_and_evaluate(job, log)
    epochs_over_all_events = _finish(job, fit, log)
    embedder, arrays = _fit_embedder(job, fit, log, weights)
    name = runs.next_run_name(job.folder)
    config = training_run.run_config(fit, embedder, log.snapshot.cut.as_of, job.request.start_from)
    manifest = training_run.run_manifest(name, fit, log, epochs_over_all_events)
    outputs = RunOutputs(embedder.item_vectors(log.sequences), training_run.run_metrics(fit, figures), manifest)
    run = Run(name, job.folder.runs / name, fit.weights(), arrays, log.vocabulary, config)
    runs.save_run(job.folder, run, outputs)
    previous = representation.live_version(job.folder) if representation.has_live_version(job.folder) else None
    version = _write_version(job, log, embedder, name)
    checkpoints.drop_checkpoint(job.folder)
    share = _list_churn(job, previous)
    return TrainResult(run=name, version=version, **dict(manifest.counts), figures=figures, churn=share)


def _fit_and_evaluate(job: _Job, log: TrainingLog) -> tuple[Fit, FusionWeights, TrainFigures]:
    """The best epoch's fit, how much each part of the vector counts, and the held-out figures."""
    with job.progress.step("fitting content"):
        plan = fit_plan.plan_fit(log.sequences, log.vocabulary, job.request.settings, log.known)
    with job.progress.step("evaluating the baselines"):
        baselines = evaluation.baseline_figures(plan, log.vocabulary)
    fit = _fit(job, plan, log)
    with job.progress.step("tuning the vectors on audiences of the log"):
        weights, figures = evaluation.evaluate_encoder(fit, log.sequences)
    leaked_until = training_run.leaked_until(plan, job.start)
    if leaked_until:
        job.progress.say(FiguresNotHeldOut(run=str(job.request.start_from), trained_until=leaked_until))
    return fit, weights, TrainFigures(**dict(baselines), **dict(figures), weights_had_seen=leaked_until)


def _new_fit(job: _Job, plan: FitPlan, log: TrainingLog) -> Fit:
    fit = Fit(plan, log.vocabulary, inference.device_for(job.request.device))
    if start_from := job.request.start_from:
        overlap = warm_start.copy_weights(fit.model, log.vocabulary, runs.load_run(job.folder, start_from))
        fit.forget_unseen()
        job.progress.say(WarmStart(run=start_from, overlap=overlap))
    return fit


def _fit(job: _Job, plan: FitPlan, log: TrainingLog) -> Fit:
    """Trains to the end, with a checkpoint after every epoch."""
    request, progress = job.request, job.progress
    fit = _new_fit(job, plan, log)
    fingerprint = training_run.fit_fingerprint(plan, request.settings, log.snapshot, request.start_from)
    if request.resume:
        checkpoints.resume_fit(job.folder, fit, fingerprint)
        progress.say(TrainingResumed(epoch=fit.progress.epoch))
    elif checkpoints.has_checkpoint(job.folder):
        progress.say(CheckpointDiscarded())
        checkpoints.drop_checkpoint(job.folder)

    def on_epoch(state: FitState, fit: Fit) -> None:
        progress.say(EpochFinished(epoch=state.history[-1], max_epochs=plan.epochs))
        checkpoints.save_checkpoint(job.folder, fit, fingerprint)

    progress.say(TrainingStarted(events=len(plan.known["time"]), users=plan.known.users, max_epochs=plan.epochs))
    total = plan.epochs * training_run.events_per_epoch(plan, plan.known)
    with progress.step("training", total=total) as advance:
        outcome = fit.run(on_epoch, advance)
    if outcome.diverged_epoch:
        progress.say(TrainingDiverged(epoch=outcome.diverged_epoch))
    return fit


def _finish(job: _Job, fit: Fit, log: TrainingLog) -> int:
    """Trains on with the held-out days included. Returns the number of epochs."""
    events = training_run.events_per_epoch(fit.plan, log.sequences)
    before = fit.plan.epochs * events
    with job.progress.step("training on the held-out days too", total=fit.epochs_to_finish * events) as advance:
        epochs = fit.finish(log.sequences, lambda done, detail: advance(done - before, detail))
    if epochs:
        job.progress.say(FinishedOnAllEvents(epochs=epochs))
    return epochs


def _fit_embedder(job: _Job, fit: Fit, log: TrainingLog, weights: FusionWeights) -> tuple[Embedder, Arrays]:
    """The embedder, and all arrays that the run stores besides the weights of the model."""
    with job.progress.step("fitting content and aggregates"):
        embedder = fit_embedder(fit, log.sequences, weights)
    with job.progress.step("learning from audiences of the log"):
        random_seed = job.request.settings.random_seed
        prior = learned_prior.learn_prior(embedder, log.sequences, log.vocabulary, random_seed)
    return embedder, embedder.arrays() | learned_prior.prior_arrays(prior)


def _write_version(job: _Job, log: TrainingLog, embedder: Embedder, run: str) -> str:
    """Stores all blocks of all users. Returns the name of the version."""
    everybody, snapshot = log.everybody, log.snapshot
    facts = versions.manifest_facts(run, embedder, snapshot, everybody.users, snapshot.cut.as_of)
    work = BlockWork(lambda first, last: embedder.blocks(everybody.block(first, last)))
    with job.progress.step("embedding users", total=everybody.users) as advance:
        return writer.write_version(job.folder, log.users, work, facts, advance)


def _list_churn(job: _Job, previous: Representation | None) -> float | None:
    """None where there was no version before, or where it cannot be read any more."""
    if previous is None:
        return None
    with contextlib.suppress(StateError, OSError):
        live = representation.live_version(job.folder)
        share = churn.list_churn(previous, live, job.request.settings.random_seed)
        if share is not None:
            job.progress.say(ListChurn(share=share))
        return share
    return None
