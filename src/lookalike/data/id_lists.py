"""Lists of user ids: seeds and suppressions are read, prospects and reasons are written and read back.

Seeds and other lists come as files or as frames from Python; both are read by the same code.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from lookalike.data.ingest import id_file
from lookalike.data.ingest.cells import WHITESPACE
from lookalike.data.ingest.id_file import IdList
from lookalike.data.spreadsheet_cells import escaped, is_formula, unescaped
from lookalike.errors import DataError, StateError, without_quotes
from lookalike.workspace.files import sha256, write_text
from lookalike.workspace.paths import temporary_folder

# Types of the columns of written lists and reasons.
LIST_COLUMNS: dict[str, pl.DataType] = {
    "rank": pl.Int64(),
    "user_id": pl.String(),
    "score": pl.Float64(),
    "tier": pl.Int64(),
    "cluster": pl.Int64(),
    "shared": pl.String(),
}

_WRITTEN = (
    {"rank", "user_id", "score", "tier"},
    {"rank", "user_id", "cluster", "shared"},
)  # columns of a list, of reasons


@dataclass(frozen=True, eq=False)
class IdFrame:
    """A list of ids that was given as a frame; `name` stands for it in messages and records."""

    frame: pl.DataFrame
    name: str


IdSource = Path | IdFrame


def source_name(source: IdSource) -> str:
    """The name of the file, without its folder, or of the frame."""
    return source.name


def source_sha256(source: IdSource) -> str:
    """The hash of a file's bytes, or of a frame's CSV text. Raises DataError for a frame that CSV cannot hold."""
    if isinstance(source, Path):
        return sha256(source)
    try:
        return hashlib.sha256(source.frame.write_csv().encode()).hexdigest()
    except pl.exceptions.PolarsError as error:
        raise _unusable_frame_error(source, _first_line(error)) from error


def read_ids(source: IdSource, with_values: bool = False, timezones: tuple[str, ...] = ("UTC",)) -> IdList:
    """The ids of a seed or another list; `with_values` also reads the columns `value` and `ts`, the latter in the zone of
    the log where a time names none. Of a list that this program wrote the ids are those that were written.

    Raises DataError if the list cannot be read completely, or if a value is not a valid weight.
    """
    if isinstance(source, Path):
        return _as_written(source, id_file.read_id_file(source, with_values, timezones))
    return _read_frame(source, with_values, timezones)


def read_all_ids(source: IdSource) -> pl.DataFrame:
    """The ids (`user_id`) of people who must not be listed: of every column that may hold ids, where the best has none.

    Raises DataError if the list cannot be read completely, or if a line that is not empty has no id: somebody would be missed.
    """
    if isinstance(source, Path):
        ids = _as_written(source, id_file.read_id_file(source, every_column=True))
    else:
        ids = _read_frame(source, every_column=True)
    if ids.lost:
        raise DataError(
            f"{source_name(source)}: {ids.lost:,} of {ids.lost + len(ids.ids):,} lines have no id",
            "give each line its id, or remove the line: nobody must be missed",
        )
    return ids.ids.select("user_id")


def _as_written(file: Path, ids: IdList) -> IdList:
    """The ids of a list of ours without our escaping, which is inside of an id, too; any other list as it was read."""
    if file.suffix != ".csv" or {ids.column, *ids.unused} not in _WRITTEN:
        return ids
    try:
        written = read_list(file)["user_id"]
    except StateError:  # another program has written it again, with other separators
        return ids
    text = written.str.strip_chars(WHITESPACE + "\x00")
    return replace(ids, ids=ids.ids.with_columns(user_id=text)) if len(text) == len(ids.ids) else ids


def _read_frame(
    source: IdFrame, with_values: bool = False, timezones: tuple[str, ...] = ("UTC",), every_column: bool = False
) -> IdList:
    """Reads the frame from a temporary Parquet file, so that ids and values are cleaned as those of a file are."""
    if not source.frame.width:
        raise _unusable_frame_error(source, "it has no columns")
    with temporary_folder() as folder:
        file = folder / "ids.parquet"
        try:
            source.frame.write_parquet(file)
        except pl.exceptions.PolarsError as error:
            raise _unusable_frame_error(source, _first_line(error)) from error
        try:
            return id_file.read_id_file(file, with_values, timezones, every_column)
        except DataError as error:
            raise DataError(error.message.replace(str(file), source.name), error.hint) from error


def _unusable_frame_error(source: IdFrame, reason: str) -> DataError:
    return DataError(
        f"{source.name}: cannot be read ({reason})", "give a frame with a column user_id of text or numbers"
    )


def _first_line(error: Exception) -> str:
    return without_quotes(str(error) or type(error).__name__)


# --- lists that this program writes --------------------------------------------------------------------------------------


def write_prospects(frame: pl.DataFrame, path: Path) -> int:
    """Writes a list as CSV or Parquet, by the suffix; gives how many ids were escaped for spreadsheets.

    In a CSV, text in other columns is escaped too, but not counted.
    """
    if path.suffix == ".parquet":
        frame.write_parquet(path)
        return 0
    texts = [column for column in frame if column.dtype == pl.String]
    write_text(path, frame.with_columns(map(escaped, texts)).write_csv(float_precision=6))
    return int(is_formula(frame["user_id"]).sum())


def read_list(file: Path) -> pl.DataFrame:
    """A written list or reasons file with its columns and types, ids and texts without our escaping.

    Raises StateError when the file is missing or damaged.
    """
    try:
        if file.suffix == ".parquet":
            frame = pl.read_parquet(file, glob=False)
        else:
            written = pl.read_csv(file, infer_schema=False, glob=False)
            frame = written.with_columns(map(unescaped, written))
        # casting user_id, which every list has, fails where it is missing
        return frame.cast({name: dtype for name, dtype in LIST_COLUMNS.items() if name in (*frame.columns, "user_id")})
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StateError(
            f"{file}: damaged or missing ({_first_line(error)})", "lookalike expand writes the list again"
        ) from error


def read_prospects(folder: Path) -> pl.DataFrame:
    """The ids (column `user_id`) on the list of an expansion. Raises StateError if there is no list."""
    for file in (folder / "prospects.parquet", folder / "prospects.csv"):
        if file.exists():
            return read_list(file).select("user_id")
    raise StateError(f"{folder}: there is no list", lists_hint(folder.parent))


def lists_hint(audiences: Path) -> str:
    """Names the audiences of a workspace that have a list."""
    names = sorted({file.parent.name for file in audiences.glob("[!.]*/prospects.*")})
    return f"with a list: {', '.join(names) or 'none'}; a refused seed has one only with --force"
