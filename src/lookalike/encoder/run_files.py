"""The JSON files of a run. Imports no torch, so that a command that only looks at runs starts fast."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from lookalike.data.schema import SourceFile
from lookalike.encoder.results import EpochFigures, TrainFigures
from lookalike.workspace.records import FileRecord, Record
from lookalike.workspace.settings import TrainSettings


class ModelShape(Record):
    """What `model.ModelSizes` needs to build the model again."""

    encoder: str
    dim: int
    length: int
    items: int
    attributes: int
    fields: dict[str, int]
    profile: int


class FusionWeights(Record):
    """How much each part of the vector counts: among users, and between users and items."""

    taste: float
    bag: float
    activity: tuple[float, ...]  # of each activity column
    taste_mean: float  # share of the mean taste that is left in
    bag_mean: float
    offset: tuple[float, ...]  # of each activity column, in standard deviations
    item_bag: float = 0.0  # taste counts 1; both are in units of the standard deviation of their scores
    item_popularity: float = 0.0
    popularity_days: float | None = None  # days before the cut in which popularity is counted; all if None


class AggregateColumns(Record):
    """The columns of the aggregates block."""

    names: tuple[str, ...]
    codes: dict[str, int]  # columns of each coded field
    profile: int  # columns of user attributes


class RunConfig(FileRecord):
    """`config.json` of a run: what it takes to build its embedder again, and how it was trained."""

    schema_version: Literal[1] = 1
    sizes: ModelShape
    window_days: int | None
    length: int
    fusion: FusionWeights
    aggregates: AggregateColumns
    settings: TrainSettings
    batch_events: int
    start_from: str | None
    as_of: datetime
    threads: int  # sums, and so weights, differ in their last digits with it
    processes: int
    versions: dict[str, str]


class RunMetrics(FileRecord):
    """`metrics.json` of a run."""

    schema_version: Literal[1] = 1
    figures: TrainFigures
    history: tuple[EpochFigures, ...]


class RunCounts(Record):
    """The size of a training."""

    users: int
    without_events: int = 0  # of them
    events: int
    items: int
    epochs: int
    best_epoch: int


class RunManifest(FileRecord):
    """`manifest.json` of a run: where it comes from, and the hash of each of its files."""

    schema_version: Literal[1] = 1
    run: str
    created: str
    as_of: datetime
    figures_saw_events_before: datetime  # later events were held out
    counts: RunCounts
    files: tuple[SourceFile, ...]
    epochs_over_all_events: int  # after the evaluation
    sha256: dict[str, str] = Field(default_factory=dict)  # filled in when the run is saved


class RunVocabulary(FileRecord):
    """`vocabulary.json` of a run: what the codes mean. The items are in a file of their own."""

    schema_version: Literal[1] = 1
    codes: dict[str, tuple[str, ...]]
    attributes: tuple[tuple[str, str], ...]
    profile: tuple[tuple[str, str], ...]
