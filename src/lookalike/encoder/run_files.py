"""The files of a run, and what its JSON files hold. Imports no torch, so that a command that only looks at runs starts fast."""

import stat
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from lookalike.data.schema import SourceFile
from lookalike.encoder.results import EpochFigures, TrainFigures
from lookalike.errors import StateError
from lookalike.workspace.files import sha256
from lookalike.workspace.records import FileRecord, Record
from lookalike.workspace.settings import TrainSettings

MANIFEST = "manifest.json"
CONFIG_FILE, METRICS_FILE, VOCABULARY_FILE = "config.json", "metrics.json", "vocabulary.json"
ITEMS_FILE, ITEM_VECTORS_FILE = "items.parquet", "items.npy"
WEIGHTS_FILE, FITTED_FILE = "model.safetensors", "fitted.safetensors"
RUN_FILES = (
    CONFIG_FILE,
    FITTED_FILE,
    ITEM_VECTORS_FILE,
    ITEMS_FILE,
    METRICS_FILE,
    WEIGHTS_FILE,
    VOCABULARY_FILE,
)
HINT = "lookalike train makes a new run"
_MAX_BYTES = 16 * 2**30  # of one file: eight times the largest that a training makes


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


def check_files(folder: Path, names: tuple[str, ...] = RUN_FILES) -> RunManifest:
    """The manifest of a run, whose files are plain files of this folder and have the hashes that it says.

    A run may come from a stranger. Raises StateError for any other file than a run has, a link, a device, a file that is
    larger than any run's, and one that was changed; with `names` only those are hashed.
    """
    manifest = RunManifest.read(_plain_file(folder / MANIFEST), HINT)
    if strangers := sorted({*manifest.sha256} ^ {*RUN_FILES}):
        raise StateError(f"{folder / MANIFEST}: the files are not those of a run ({strangers[0][:60]!r})", HINT)
    for name in names:
        if sha256(_plain_file(folder / name)) != manifest.sha256[name]:
            raise StateError(f"{folder / name}: was changed after it was written", HINT)
    return manifest


def _plain_file(path: Path) -> Path:
    try:
        state = path.lstat()
    except OSError as error:
        raise StateError(f"{path}: damaged or missing ({error})", HINT) from error
    if not stat.S_ISREG(state.st_mode):
        raise StateError(f"{path}: is a link, a folder or a device, not a file of a run", HINT)
    if state.st_size > _MAX_BYTES:
        raise StateError(f"{path}: is too large for a file of a run", HINT)
    return path
