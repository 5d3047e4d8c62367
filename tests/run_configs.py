"""A valid config and manifest of a run, for tests that need some run."""

from datetime import datetime

from lookalike.data.schema import SourceFile
from lookalike.encoder.fusion_tuning import prior_weights
from lookalike.encoder.run_files import AggregateColumns, ModelShape, RunConfig, RunCounts, RunManifest
from lookalike.workspace.settings import TrainSettings

MANIFEST = RunManifest(
    run="r000001",
    created="2024-01-02T00:00:00Z",
    as_of=datetime(2024, 1, 1, 0, 0, 0, 1),
    figures_saw_events_before=datetime(2023, 12, 1),
    counts=RunCounts(users=1, events=2, items=2, epochs=1, best_epoch=1),
    files=(SourceFile(name="events.csv", sha256="0" * 64, kind="events"),),
    epochs_over_all_events=0,
)


def run_config(**changes: object) -> RunConfig:
    """The config of an empty run, with some changes."""
    config = RunConfig(
        sizes=ModelShape(encoder="mean", dim=16, length=16, items=0, attributes=0, fields={}, profile=0),
        window_days=90,
        length=16,
        fusion=prior_weights(),
        aggregates=AggregateColumns(names=(), codes={}, profile=0),
        settings=TrainSettings(),
        batch_events=512,
        start_from=None,
        as_of=datetime(2024, 1, 1),
        threads=1,
        processes=1,
        versions={},
    )
    return config.model_copy(update=changes)
