"""Shows how files would be read, without writing anything."""

from pathlib import Path

import duckdb

from lookalike.data.database import quoted
from lookalike.data.ingest import readers
from lookalike.data.ingest.event_plan import EventPlan
from lookalike.data.ingest.jobs import plan_file
from lookalike.data.ingest.load_tables import TablePlan
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.readers import Reader
from lookalike.data.ingest.results import FilePreview, IngestPreview, MissingColumn
from lookalike.data.ingest.session import private_session
from lookalike.data.ingest.sources import InputFile, find_input_files

_ROWS = 5


def preview_files(paths: list[Path], options: IngestOptions) -> IngestPreview:
    """How each file would be read, with its first rows. Raises the errors of an ingest that concern single files."""
    with private_session(options.timezone) as (connection, scratch):
        files = find_input_files(paths, options)
        return IngestPreview(files=tuple(_preview_file(connection, file, options, scratch) for file in files))


def _preview_file(
    connection: duckdb.DuckDBPyConnection, file: InputFile, options: IngestOptions, scratch: Path
) -> FilePreview:
    plan = plan_file(connection, file, options, scratch)
    with readers.reading_errors(file.source):
        rows = _first_rows(connection, plan.reader)
        stored = _first_stored_rows(connection, plan) if isinstance(plan, EventPlan) else ()
    if isinstance(plan, TablePlan):
        return FilePreview(
            name=file.source.name,
            kind=file.kind,
            format=file.source.format,
            encoding=plan.reader.encoding,
            mapping=plan.mapping,
            notes=plan.notes,
            columns=tuple(plan.reader.columns),
            rows=rows,
        )
    missing = (MissingColumn(column=name) for name in plan.mapping.missing)
    return FilePreview(
        name=file.source.name,
        kind=file.kind,
        format=file.source.format,
        encoding=plan.reader.encoding,
        mapping=plan.mapping.sources(),
        time=plan.time.label,
        unused=plan.mapping.unused,
        notes=(*plan.mapping.notes, *missing),
        columns=tuple(plan.reader.columns),
        rows=rows,
        stored=stored,
    )


def _first_rows(connection: duckdb.DuckDBPyConnection, reader: Reader) -> tuple[tuple[str | None, ...], ...]:
    columns = ", ".join(f"{quoted(name)}::VARCHAR" for name in reader.columns)
    return tuple(connection.execute(f"SELECT {columns} FROM {reader.scan} LIMIT {_ROWS}").fetchall())


def _first_stored_rows(connection: duckdb.DuckDBPyConnection, plan: EventPlan) -> tuple[dict[str, str | None], ...]:
    """The first rows as they would be stored: field -> text."""
    fields = ", ".join(f"{name}::VARCHAR" for name in plan.fields)
    query = f"SELECT {fields} FROM ({plan.canonical(plan.reader.scan)}) LIMIT {_ROWS}"
    return tuple(dict(zip(plan.fields, row, strict=True)) for row in connection.execute(query).fetchall())
