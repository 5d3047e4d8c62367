"""What a training checks before it begins and stores at its end, around the optimiser loop in `trainer`."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import torch

from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import distributed, objectives
from lookalike.encoder.checkpoints import FitFingerprint
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.fit_plan import FitPlan
from lookalike.encoder.model import ENCODERS
from lookalike.encoder.results import TrainFigures
from lookalike.encoder.run_files import (
    AggregateColumns,
    ModelShape,
    RunConfig,
    RunCounts,
    RunManifest,
    RunMetrics,
)
from lookalike.encoder.trainer import Fit
from lookalike.encoder.versions import LogSnapshot
from lookalike.errors import SettingsError
from lookalike.workspace.provenance import library_versions, utc_now
from lookalike.workspace.settings import TrainSettings

DEFAULTS = TrainSettings()


@dataclass(frozen=True)
class TrainingLog:
    """The events before the cut as arrays, what their codes mean, and who the rows are."""

    snapshot: LogSnapshot
    everybody: Sequences
    vocabulary: Vocabulary
    users: Path  # Parquet that says which user a row of `everybody` is
    known: Path  # folder for a copy of the events that are not held out

    @cached_property
    def sequences(self) -> Sequences:
        """Those of the users with events: all that is fitted or measured, so that nothing depends on how many other
        people the users table has."""
        return self.everybody.with_events()


def check_settings(settings: TrainSettings) -> None:
    """Raises SettingsError for an encoder or an objective that does not exist."""
    objectives.parse_objective(settings.objective or "all_action")
    if settings.encoder not in ENCODERS:
        raise SettingsError(f"no encoder is called {settings.encoder!r}", f"--encoder {'|'.join(ENCODERS)}")


def with_shape_of(start: RunConfig, settings: TrainSettings) -> TrainSettings:
    """The settings with the encoder, width and length of the run to start from.

    Raises SettingsError when others were asked for.
    """
    sizes = start.sizes
    shape = {"encoder": sizes.encoder, "dim": sizes.dim, "length": sizes.length}
    conflicts = [
        name for name, value in shape.items() if getattr(settings, name) not in (value, getattr(DEFAULTS, name))
    ]
    if conflicts:
        names = " and ".join(conflicts)
        raise SettingsError(
            f"the run of --from has another {names} than was asked for", f"leave {names} out, or train without --from"
        )
    return replace(settings, encoder=sizes.encoder, dim=sizes.dim, length=sizes.length)


def fit_fingerprint(
    plan: FitPlan, settings: TrainSettings, snapshot: LogSnapshot, start_from: str | None
) -> FitFingerprint:
    return FitFingerprint(
        settings=settings,
        as_of=plan.as_of,
        events=plan.events,
        files=tuple(file.sha256 for file in snapshot.files),
        start_from=start_from,
    )


def holdout_begin(plan: FitPlan) -> datetime:
    """The moment from which on events are held out."""
    return datetime.fromtimestamp(plan.known.as_of, UTC).replace(tzinfo=None)


def leaked_until(plan: FitPlan, start: RunConfig | None) -> datetime | None:
    """The end of what the run to start from was trained on, if it had seen held-out events."""
    return start.as_of if start and start.as_of > holdout_begin(plan) else None


def events_per_epoch(plan: FitPlan, sequences: Sequences) -> int:
    """The events that one epoch over `sequences` reads, at least 1."""
    return max(1, min(len(sequences["time"]), plan.settings.epoch_events))


def run_config(fit: Fit, embedder: Embedder, as_of: datetime, start_from: str | None) -> RunConfig:
    extractor = embedder.extractor
    aggregates = extractor.aggregates
    return RunConfig(
        sizes=ModelShape(**asdict(extractor.model.sizes)),
        window_days=extractor.window,
        length=extractor.length,
        fusion=embedder.fusion.weights,
        aggregates=AggregateColumns(names=tuple(aggregates.names), codes=aggregates.codes, profile=aggregates.profile),
        settings=fit.plan.settings,
        batch_events=fit.plan.batch_events,
        start_from=Path(start_from).name if start_from else None,
        as_of=as_of,
        threads=torch.get_num_threads(),
        processes=distributed.rank_and_world_size()[1],
        versions=library_versions(),
    )


def run_metrics(fit: Fit, figures: TrainFigures) -> RunMetrics:
    return RunMetrics(figures=figures, history=tuple(fit.progress.history))


def run_manifest(run: str, fit: Fit, log: TrainingLog, epochs_over_all_events: int) -> RunManifest:
    """The manifest without the hashes of the files."""
    counts = RunCounts(
        users=log.everybody.users,
        without_events=log.everybody.users - log.sequences.users,
        events=fit.plan.events,
        items=fit.model.sizes.items,
        epochs=fit.progress.epoch,
        best_epoch=fit.progress.best_epoch,
    )
    return RunManifest(
        run=run,
        created=utc_now(),
        as_of=log.snapshot.cut.as_of,
        figures_saw_events_before=holdout_begin(fit.plan),
        counts=counts,
        files=log.snapshot.files,
        epochs_over_all_events=epochs_over_all_events,
    )
