"""What is shown of the standing list."""

from lookalike.cli.tables import Shown, table
from lookalike.data.standing_lists import StandingList, SuppressAdded, SuppressLists, SuppressRemoved
from lookalike.expansion.suppression_figures import differences
from lookalike.reporting.formatting import count, day, plural

_COLUMNS = ("No.", "File", "Reason", "Until", "Added", "Ids", "Nobody's in the log")


def added_tables(result: SuppressAdded) -> list[Shown]:
    """The list that was added, and how its ids match the log's."""
    shown: list[Shown] = [_table((result.added,))]
    if result.was_there:
        shown.append("This list stood there already, for the same reason and as long.")
    if others := differences(result.ways):
        shown.append(f"Ids that differ from the log's only by the way they are written count too: {others}.")
    if result.added.unmatched is None:
        shown.append("Nothing is trained yet: whether the ids are of this log is looked at by the first expansion.")
    if result.added.unmatched:
        shown.append(
            f"{plural(result.added.unmatched, 'id is', 'ids are')} nobody's in the log. If these are people of the log in a form "
            "that is not known here, they may be listed."
        )
    until = f", up to and with {result.added.until} (UTC)" if result.added.until else ""
    return [*shown, f"Later expansions list nobody on it{until}."]


def list_tables(result: SuppressLists) -> list[Shown]:
    """All lists, and how many people they suppress."""
    if not result.lists:
        return ["Nobody is on the standing list. lookalike suppress add FILE"]
    return [_table(result.lists), "", f"Suppressed today: {plural(result.people, 'id', 'ids')}"]


def removed_tables(result: SuppressRemoved) -> list[Shown]:
    """What is gone, and how many people are still suppressed."""
    return [f"Removed: {plural(result.ids, 'id', 'ids')}. Still suppressed today: {plural(result.left, 'id', 'ids')}."]


def _table(lists: tuple[StandingList, ...]) -> Shown:
    rows = [
        [
            each.number,
            each.name,
            each.reason,
            each.until.isoformat() if each.until else "for ever",
            day(each.added),
            count(each.ids),
            "not known yet" if each.unmatched is None else count(each.unmatched),
        ]
        for each in lists
    ]
    return table("Standing list", _COLUMNS, rows, (0, 5, 6))
