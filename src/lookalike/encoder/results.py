"""What trainings and embeddings return and report, and the figures they store.

Imports no torch, so that any layer can read it. The JSON files of a run are in `run_files`.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal

from lookalike.workspace.progress import Message
from lookalike.workspace.records import Record

Metrics = dict[str, float]  # by the names of `next_item_metrics.ITEM_METRICS`, such as "recall@20"


class RecentPopularity(Record):
    """Figures of the items that were most popular in the last `days` before the cut."""

    days: int
    metrics: Metrics


class UserGroupFigures(Record):
    """Figures of the held-out users with a certain number of events before the cut."""

    users: int
    metrics: Metrics


class NewItemFigures(Record):
    """Figures among the items that nobody had met before the cut."""

    items: int
    users: int
    metrics: Metrics | None  # None without such users
    random_recall: float | None  # recall@20 of a random order


class Coverage(Record):
    """Of the users with events after the cut: the share that had enough events before it. None without such users."""

    users: int
    encoder: float | None  # at least one event, which is enough for a vector of their own
    with_5_events: float | None  # enough for many other methods


class AudienceFigures(Record):
    """Mean lift@5 % on held-out audiences drawn from the log. None where no audience could be evaluated."""

    audiences: int
    users: int
    lift: dict[str, float | None]  # by space: sequence, taste, content, activity
    sequence_by_events: dict[str, float | None]  # by number of events before the cut: "1", "2-4", "5-19", "20+"


class BaselineFigures(Record):
    """Held-out figures of methods without an encoder."""

    held_out_users: int
    items_judged: int  # all items, or the most common 524,288
    popularity: Metrics
    popularity_of_late: RecentPopularity
    item_neighbours: Metrics


class EncoderFigures(Record):
    """Held-out figures of the encoder."""

    encoder: Metrics
    taste_alone: Metrics  # of the two towers, without the other parts of the vector
    recall_by_events: dict[str, UserGroupFigures]  # by number of events before the cut: "0", "1", "2-4", "5-19", "20+"
    new_items: NewItemFigures
    coverage: Coverage
    audiences: AudienceFigures


class TrainFigures(EncoderFigures, BaselineFigures):
    """Held-out figures of a training."""

    weights_had_seen: datetime | None  # end of the log of a warm start's run, if that is after this training's cut


class EpochFigures(Record):
    """One epoch: mean training loss, figures of the held-out users that choose the best epoch, and speed."""

    epoch: int  # from 1
    loss: float
    figures: Metrics
    events_per_second: float


class VocabularyOverlap(Record):
    """How many items and item attributes of a log the weights of an earlier run were trained on."""

    known_items: int
    items: int
    known_attributes: int
    attributes: int


class TrainResult(Record):
    """What `train` returns."""

    run: str
    version: str
    users: int
    events: int
    items: int
    epochs: int
    best_epoch: int
    figures: TrainFigures
    churn: float | None  # share of a list of 5 % that differs from the version before; None without one to compare


class EmbedResult(Record):
    """What `embed` returns."""

    run: str
    version: str
    users: int
    refreshed: int  # users embedded again


class SessionsResult(Record):
    """What `embed_sessions` returns."""

    run: str
    sessions: int
    path: Path  # Parquet: session_id, events, sequence


class WarmStart(Message):
    """Training starts from the weights of another run."""

    code: Literal["warm_start"] = "warm_start"
    run: str
    overlap: VocabularyOverlap


class TrainingResumed(Message):
    """An interrupted training goes on."""

    code: Literal["training_resumed"] = "training_resumed"
    epoch: int


class CheckpointDiscarded(Message):
    """An interrupted training is given up, because --resume was not asked for."""

    code: Literal["checkpoint_discarded"] = "checkpoint_discarded"


class TrainingStarted(Message):
    """What the optimiser loop reads: the events before the cut."""

    code: Literal["training_started"] = "training_started"
    events: int
    users: int
    max_epochs: int


class EpochFinished(Message):
    """One epoch and its figures."""

    code: Literal["epoch_finished"] = "epoch_finished"
    epoch: EpochFigures
    max_epochs: int


class TrainingDiverged(Message):
    """The loss became NaN in an epoch; the weights of the best epoch before it are kept."""

    code: Literal["training_diverged"] = "training_diverged"
    epoch: int


class FinishedOnAllEvents(Message):
    """After the evaluation, training went on with the held-out days included."""

    code: Literal["finished_on_all_events"] = "finished_on_all_events"
    epochs: int


class FiguresNotHeldOut(Message):
    """The run of a warm start was trained on days that are held out now."""

    code: Literal["figures_not_held_out"] = "figures_not_held_out"
    run: str
    trained_until: datetime


class ListChurn(Message):
    """The share of a list of 5 % that the new vectors change."""

    code: Literal["list_churn"] = "list_churn"
    share: float


class RunAdopted(Message):
    """A run from elsewhere has another name in this workspace."""

    code: Literal["run_adopted"] = "run_adopted"
    source: str  # as it was named in the request
    run: str


class FullRefreshRequested(Message):
    """Every user is embedded again, as asked."""

    code: Literal["full_refresh_requested"] = "full_refresh_requested"


class RunChanged(Message):
    """Every user is embedded again, because the stored vectors are from another run."""

    code: Literal["run_changed"] = "run_changed"
    stored_run: str
    run: str


class VectorsTooOld(Message):
    """Every user is embedded again, because some vectors are too old."""

    code: Literal["vectors_too_old"] = "vectors_too_old"
    oldest: datetime
    max_days: int


class CutBeforeStored(Message):
    """Every user is embedded again, because the stored vectors know events after the cut."""

    code: Literal["cut_before_stored"] = "cut_before_stored"
    as_of: datetime
    stored_as_of: datetime


class TablesChanged(Message):
    """Every user is embedded again, because a table of items or users was ingested."""

    code: Literal["tables_changed"] = "tables_changed"


class NewItems(Message):
    """The log has items that the run was not trained on."""

    code: Literal["new_items"] = "new_items"
    run: str
    items: int


class UnknownColumns(Message):
    """The log has columns that the run was not trained on."""

    code: Literal["unknown_columns"] = "unknown_columns"
    run: str
    columns: tuple[str, ...]


class NothingToRefresh(Message):
    """No user has new events, so nothing is written."""

    code: Literal["nothing_to_refresh"] = "nothing_to_refresh"


class VectorsKept(Message):
    """Users without new events keep their vectors."""

    code: Literal["vectors_kept"] = "vectors_kept"
    users: int
    as_of: datetime  # of the new vectors
