"""What trainings and embeddings return and report, and the figures they store.

Imports no torch, so that any layer can read it. The JSON files of a run are in `run_files`.
"""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from lookalike.encoder.block_figures import BlockComparison
from lookalike.workspace.progress import Message
from lookalike.workspace.records import Record

Metrics = dict[str, float]  # by the names of `next_item_metrics.ITEM_METRICS`, such as "recall@20"


class RecentPopularity(Record):
    """Figures of the items that were most popular in the last `days` before the cut."""

    days: float = Field(description="from an hour (1/24) to 30, whichever is best")
    metrics: Metrics = Field(description="recall@20 and ndcg@20")


class UserGroupFigures(Record):
    """Figures of the held-out users with a certain number of events before the cut."""

    users: int = Field(description="held-out users of the group")
    metrics: Metrics = Field(description="recall@20 and ndcg@20")


class NewItemFigures(Record):
    """Figures among the items that nobody had met before the cut."""

    items: int = Field(description="that no user had met before the cut")
    users: int = Field(description="held-out users who met one of them")
    metrics: Metrics | None = Field(description="null without such users")
    random_recall: float | None = Field(description="recall@20 of a random order")


class Coverage(Record):
    """Of the users with events after the cut: the share that had enough events before it. None without such users."""

    users: int = Field(description="with events after the cut")
    encoder: float | None = Field(description="at least one event, which is enough for a vector of their own")
    with_5_events: float | None = Field(description="enough for many other methods")


class AudienceFigures(Record):
    """Mean lift@5 % on held-out audiences drawn from the log. None where no audience could be evaluated."""

    audiences: int = Field(description="held-out audiences")
    users: int = Field(description="among whom they were looked for")
    lift: dict[str, float | None] = Field(description="by space: sequence, taste, content, activity")
    sequence_by_events: dict[str, float | None] = Field(
        description="by number of events before the cut: '1', '2-4', '5-19', '20+'"
    )
    blocks: BlockComparison | None = Field(
        default=None,
        description="what the user embedding adds to plain counts; null if too few audiences can be evaluated",
    )


class BaselineFigures(Record):
    """Held-out figures of methods without an encoder."""

    held_out_users: int = Field(description="users with new items in the held-out days")
    items_judged: int = Field(description="all items, or the most common 524,288")
    popularity: Metrics = Field(description="the most common items")
    popularity_of_late: RecentPopularity = Field(description="the most common items of the last days")
    item_neighbours: Metrics = Field(description="item-to-item collaborative filtering")


class EncoderFigures(Record):
    """Held-out figures of the encoder."""

    encoder: Metrics = Field(description="recall@20 and ndcg@20 over the full catalogue")
    taste_alone: Metrics = Field(description="of the two towers, without the other parts of the vector")
    recall_by_events: dict[str, UserGroupFigures] = Field(
        description="by number of events before the cut: '0', '1', '2-4', '5-19', '20+'"
    )
    new_items: NewItemFigures = Field(description="among items that nobody had met")
    coverage: Coverage = Field(description="users with a vector of their own")
    audiences: AudienceFigures = Field(description="lift on audiences drawn from the log")


class TrainFigures(EncoderFigures, BaselineFigures):
    """Held-out figures of a training."""

    weights_had_seen: datetime | None = Field(
        description="end of the log of a warm start's run, if that is after this training's cut"
    )


class EpochFigures(Record):
    """One epoch: mean training loss, figures of the held-out users that choose the best epoch, and speed."""

    epoch: int = Field(description="from 1")
    loss: float = Field(description="mean of the training")
    figures: Metrics = Field(description="held-out; empty without held-out users")
    events_per_second: float = Field(description="of all processes")


class VocabularyOverlap(Record):
    """How many items and item attributes of a log the weights of an earlier run were trained on."""

    known_items: int
    items: int
    known_attributes: int
    attributes: int


class TrainResult(Record):
    """What `train` returns."""

    run: str = Field(description="name of the trained run")
    version: str = Field(description="name of the stored vectors")
    users: int = Field(description="with vectors")
    without_events: int = Field(description="of them, people whom only the users table knows")
    events: int = Field(description="before the cut")
    items: int = Field(description="in the vocabulary")
    epochs: int = Field(description="trained")
    best_epoch: int = Field(description="whose weights were kept")
    figures: TrainFigures = Field(description="on held-out days")
    churn: float | None = Field(
        description="share of a list of 5 % that differs from the version before; null without one to compare"
    )


class EmbedResult(Record):
    """What `embed` returns."""

    run: str = Field(description="whose encoder was used")
    version: str = Field(description="name of the stored vectors")
    users: int = Field(description="with vectors")
    without_events: int = Field(description="of them, people whom only the users table knows")
    refreshed: int = Field(description="users embedded again")


class SessionsResult(Record):
    """What `embed_sessions` returns."""

    run: str = Field(description="whose encoder was used")
    sessions: int = Field(description="with a vector")
    path: Path = Field(description="Parquet: session_id, events, sequence")


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


class PersonalItems(Message):
    """Items whose ids name people are not learned."""

    code: Literal["personal_items"] = "personal_items"
    items: int
    share: float  # of all events that name them


class UserValuesNotRead(Message):
    """Values of user attributes that enough people have, and that are not read because more common ones are."""

    code: Literal["user_values_not_read"] = "user_values_not_read"
    values: int
    read: int  # how many values of all attributes are read
    attributes: tuple[str, ...]  # of which no value is read, the first ones by name
    attributes_not_read: int


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


class FilesRemoved(Message):
    """Every user is embedded again, because a file was removed from the log or read again."""

    code: Literal["files_removed"] = "files_removed"


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
