"""The sentences of what trainings and embeddings report."""

from collections.abc import Callable

from lookalike.encoder import results
from lookalike.reporting.formatting import clean
from lookalike.workspace.progress import Message

_MAX_PERSONAL_SHARE = 0.05  # of the events that are left without an item, above which that is a warning


def _warm_start(message: results.WarmStart) -> str:
    overlap = message.overlap
    return (
        f"continuing from {message.run}: {overlap.known_items:,} of {overlap.items:,} items and "
        f"{overlap.known_attributes:,} of {overlap.attributes:,} item attributes are known to it"
    )


def _training_resumed(message: results.TrainingResumed) -> str:
    return f"resuming after epoch {message.epoch}"


def _checkpoint_discarded(message: results.CheckpointDiscarded) -> str:
    return "discarding an unfinished training; --resume would have continued it"


def _personal_items(message: results.PersonalItems) -> str:
    left_out = f"{message.items:,} items whose ids are e-mail addresses, phone numbers or ids of users; their events"
    if message.share <= _MAX_PERSONAL_SHARE:
        return f"not learned: {left_out} count without an item"
    return (
        f"warning: not learned: {left_out}, {message.share:.0%} of all, count without an item; if they are products, give "
        "them ids that no user has, and ingest and train again"
    )


def _user_values_not_read(message: results.UserValuesNotRead) -> str:
    named = ", ".join(clean(attribute, 60) for attribute in message.attributes)
    more = " ..." if message.attributes_not_read > len(message.attributes) else ""
    columns = f", and none of {message.attributes_not_read:,} columns ({named}{more})" if message.attributes else ""
    return (
        f"warning: of the users table only the {message.read:,} most common values are read: {message.values:,} others are "
        f"not{columns}; leave out columns that say little about people, and ingest and train again"
    )


def _training_started(message: results.TrainingStarted) -> str:
    return f"{message.events:,} events of {message.users:,} users, at most {message.max_epochs} epochs"


def _epoch_finished(message: results.EpochFinished) -> str:
    epoch, held_out = message.epoch, ""
    if figures := epoch.figures:
        held_out = f"held-out recall@20 {figures['recall@20']:.4f}, NDCG@20 {figures['ndcg@20']:.4f}, "
    return (
        f"epoch {epoch.epoch}/{message.max_epochs}: loss {epoch.loss:.3f}, {held_out}"
        f"{epoch.events_per_second:,.0f} events/s"
    )


def _training_diverged(message: results.TrainingDiverged) -> str:
    return f"training diverged in epoch {message.epoch} (loss is NaN); the best epoch before it is kept"


def _finished_on_all_events(message: results.FinishedOnAllEvents) -> str:
    epochs = "one more epoch" if message.epochs == 1 else f"{message.epochs} more epochs"
    return f"trained {epochs} on all events; the figures are from before that"


def _figures_not_held_out(message: results.FiguresNotHeldOut) -> str:
    return (
        f"warning: {message.run} was trained on events up to {message.trained_until.isoformat()}, "
        "so the figures are not held-out figures"
    )


def _list_churn(message: results.ListChurn) -> str:
    return f"{message.share:.0%} of a list of 5 % would be other users than with the previous vectors"


def _run_adopted(message: results.RunAdopted) -> str:
    return f"{message.source} is called {message.run} in this workspace"


def _full_refresh_requested(message: results.FullRefreshRequested) -> str:
    return "embedding every user again, as requested"


def _run_changed(message: results.RunChanged) -> str:
    return f"the stored vectors are from {message.stored_run}: embedding every user again with {message.run}"


def _vectors_too_old(message: results.VectorsTooOld) -> str:
    return (
        f"some stored vectors are from {message.oldest:%Y-%m-%d}: "
        f"after {message.max_days} days every user is embedded again"
    )


def _cut_before_stored(message: results.CutBeforeStored) -> str:
    return f"{message.as_of} is before the stored vectors' {message.stored_as_of}: embedding every user again"


def _tables_changed(message: results.TablesChanged) -> str:
    return "the table of items or users has changed: embedding every user again"


def _files_removed(message: results.FilesRemoved) -> str:
    return "a file was removed or read again: embedding every user again"


def _new_items(message: results.NewItems) -> str:
    return f"{message.items:,} items are new to {message.run} and are represented by their attributes alone"


def _unknown_columns(message: results.UnknownColumns) -> str:
    return f"{', '.join(message.columns)}: unknown to {message.run}; lookalike train makes features of them"


def _nothing_to_refresh(message: results.NothingToRefresh) -> str:
    return "no user has new events"


def _vectors_kept(message: results.VectorsKept) -> str:
    return (
        f"{message.users:,} users without new events keep their vectors, with their recency as of then; "
        f"--full moves every user to {message.as_of}"
    )


SENTENCES: dict[type[Message], Callable[..., str]] = {
    results.WarmStart: _warm_start,
    results.TrainingResumed: _training_resumed,
    results.CheckpointDiscarded: _checkpoint_discarded,
    results.PersonalItems: _personal_items,
    results.UserValuesNotRead: _user_values_not_read,
    results.TrainingStarted: _training_started,
    results.EpochFinished: _epoch_finished,
    results.TrainingDiverged: _training_diverged,
    results.FinishedOnAllEvents: _finished_on_all_events,
    results.FiguresNotHeldOut: _figures_not_held_out,
    results.ListChurn: _list_churn,
    results.RunAdopted: _run_adopted,
    results.FullRefreshRequested: _full_refresh_requested,
    results.RunChanged: _run_changed,
    results.VectorsTooOld: _vectors_too_old,
    results.CutBeforeStored: _cut_before_stored,
    results.TablesChanged: _tables_changed,
    results.FilesRemoved: _files_removed,
    results.NewItems: _new_items,
    results.UnknownColumns: _unknown_columns,
    results.NothingToRefresh: _nothing_to_refresh,
    results.VectorsKept: _vectors_kept,
}
