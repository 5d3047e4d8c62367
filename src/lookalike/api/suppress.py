"""The verb `suppress`: who must not be listed in any expansion of this workspace."""

import contextlib
from dataclasses import dataclass
from datetime import date

from lookalike.data import database, id_lists, suppressions
from lookalike.data.id_lists import IdSource
from lookalike.data.standing_lists import SuppressAdded, SuppressLists, SuppressRemoved, checked_reason
from lookalike.data.suppressions import NewList
from lookalike.embeddings.representation import has_live_version, live_version
from lookalike.embeddings.user_index import UserIndex
from lookalike.errors import SettingsError, StateError
from lookalike.expansion import suppression
from lookalike.expansion.suppression import SuppressionLists
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress


@dataclass(frozen=True)
class SuppressRequest:
    """A list to be added."""

    source: IdSource
    reason: str = "optout"  # customer, or campaign:NAME
    until: date | None = None  # the last day on which it holds
    allow_unmatched: float | None = None  # share of the ids that may be nobody's in the log


def suppress_add(folder: WorkspaceFolder, request: SuppressRequest, progress: Progress) -> SuppressAdded:
    """Adds a list to the standing list. Raises DataError for a list of whose ids too many are nobody's in the log; where
    nothing is trained yet, the first expansion looks."""
    reason, name = checked_reason(request.reason), id_lists.source_name(request.source)
    if request.until is not None and request.until < suppressions.today():
        raise SettingsError(f"--until {request.until} is past: the list would hold for nobody", "give a day to come")
    with contextlib.ExitStack() as stack:
        stack.enter_context(folder.locked(create=True))
        ids = id_lists.read_all_ids(request.source).unique()  # locked: copies are made in the workspace
        db = stack.enter_context(database.open_in(folder))
        unmatched, ways = None, {}
        if has_live_version(folder):
            with progress.step("comparing with the log"):
                index = UserIndex(live_version(folder))
                alike = index.alike(db, {name: ids})[name]
                suppression.check_lists(index, db, SuppressionLists({name: ids}), alike, request.allow_unmatched)
            unmatched, ways = len(alike.unmatched), alike.ways
        new = NewList(
            name, id_lists.source_sha256(request.source), reason, request.until, ids, unmatched, request.allow_unmatched
        )
        added, was_there = suppressions.add_list(db, new)
    return SuppressAdded(added=added, was_there=was_there, ways=ways)


def suppress_list(folder: WorkspaceFolder) -> SuppressLists:
    """Every list of the standing list."""
    folder.require_database()
    with database.open_in(folder, read_only=True) as db:
        return SuppressLists(lists=suppressions.standing_lists(db), people=_people(db))


def suppress_remove(folder: WorkspaceFolder, what: int | IdSource) -> SuppressRemoved:
    """Removes a list by its number, or ids from all lists. Raises StateError when there is nothing like it."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(folder.locked())
        gone = None if isinstance(what, int) else id_lists.read_all_ids(what)  # as they were read when they were added
        db = stack.enter_context(database.open_in(folder))
        numbers = {each.number for each in suppressions.standing_lists(db)}
        if gone is not None:
            removed = suppressions.remove_ids(db, gone)
            if not removed:
                raise StateError("none of these ids is on the standing list", "they are compared as they are written")
        elif what in numbers:
            removed = suppressions.remove_list(db, what)
        else:
            raise StateError(f"no list has the number {what}", "lookalike suppress list shows them")
        kept = {each.number for each in suppressions.standing_lists(db)}
        return SuppressRemoved(lists=tuple(sorted(numbers - kept)), ids=removed, left=_people(db))


def _people(db: database.Database) -> int:
    return suppressions.count_suppressed(db, suppressions.today())
