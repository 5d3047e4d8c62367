"""A valid config of a run, for tests that need some run."""

from datetime import datetime

from lookalike.encoder.fusion_tuning import prior_weights
from lookalike.encoder.run_files import AggregateColumns, ModelShape, RunConfig
from lookalike.workspace.settings import TrainSettings


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
