"""Reading the events of anonymous sessions as if each session were a user."""

from dataclasses import replace
from pathlib import Path

from lookalike.data.ingest import column_mapping, readers
from lookalike.data.ingest.column_names import listed
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.session import private_session
from lookalike.data.ingest.sources import find_input_files
from lookalike.data.ingest.synonyms import column_names
from lookalike.errors import DataError


def sessions_as_users(paths: list[Path], options: IngestOptions, context: tuple[str, ...]) -> IngestOptions:
    """The options with the session's column mapped to the user, and those of the context columns that the file has.

    Raises DataError when the first file names no session.
    """
    source = find_input_files(paths, options)[0].source
    with private_session(options.timezone) as (connection, scratch):
        columns = readers.open_reader(connection, source, scratch).columns
    requested = {field: column for field, column in options.mapping.items() if field == "session_id"}
    names = {"session_id": column_names("events")["session_id"]}
    fields, _ = column_mapping.match_columns(columns, names, requested)
    if fields.get("session_id") not in columns:
        wanted = requested.get("session_id", "the session")
        raise DataError(
            f"{source.name}: no column could be {wanted}", f"--map session_id=COLUMN; columns: {listed(columns)}"
        )
    mapping = {field: column for field, column in options.mapping.items() if field != "session_id"}
    present = tuple(name for name in context if name in columns)
    return replace(options, mapping=mapping | {"user_id": fields["session_id"]}, context=present)
