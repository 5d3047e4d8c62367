"""Lists of ids as Python values: what is read as which ids, and what is refused."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from lookalike.api.id_sources import id_source, id_sources
from lookalike.data.id_lists import IdFrame
from lookalike.errors import DataError
from small_log import Command, user_ids

pytest_plugins = ("space_fixtures",)

IDS = ["u1", "u2"]


def generated() -> Iterator[str]:
    yield from IDS


def ids_of(source: object) -> list[Any]:
    assert isinstance(source, IdFrame)
    assert source.name == "the seed"
    assert source.frame.columns == ["user_id"]
    return source.frame["user_id"].to_list()


@pytest.mark.parametrize("path", ["seed.csv", Path("seed.csv")], ids=["text", "path"])
def test_text_and_paths_are_files(path: str | Path) -> None:
    assert id_source(path, "the seed") == Path("seed.csv")


@pytest.mark.parametrize(
    "ids",
    [
        IDS,
        tuple(IDS),
        dict.fromkeys(IDS).keys(),
        generated(),
        np.array(IDS),
        np.array(IDS, dtype=object),
        pl.Series(IDS),
        pl.Series("customer", IDS),
        pl.DataFrame({"user_id": IDS}),
        pl.LazyFrame({"user_id": IDS}),
        pa.table({"user_id": IDS}),
        pa.record_batch({"user_id": IDS}),
        pa.array(IDS),
        pa.chunked_array([IDS[:1], IDS[1:]]),
    ],
    ids=lambda ids: f"{type(ids).__module__}.{type(ids).__name__}",
)
def test_ids_in_any_usual_container(ids: Any) -> None:
    assert ids_of(id_source(ids, "the seed")) == IDS


@pytest.mark.parametrize("column", [False, True], ids=["frame", "column"])
def test_ids_in_pandas(column: bool) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user_id": IDS})
    assert ids_of(id_source(frame["user_id"] if column else frame, "the seed")) == IDS
    assert ids_of(id_source(pandas.Series([1, 2]), "the seed")) == ["1", "2"]


def test_ids_in_the_index_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user_id": IDS, "value": [1.0, 2.0], "ts": ["2026-03-01", "2026-03-02"]})
    indexed = frame.set_index("user_id")
    for table, columns in (
        (indexed, ["user_id", "value", "ts"]),
        (indexed["value"], ["user_id", "value"]),
        (frame.set_index("user_id", drop=False), ["user_id", "value", "ts"]),
    ):
        source = id_source(table, "the seed")
        assert isinstance(source, IdFrame)
        assert source.frame.columns == columns
        assert source.frame["user_id"].to_list() == IDS


@pytest.mark.parametrize("column", ["value", "ts"])
def test_values_without_ids_are_not_taken_for_ids(column: str) -> None:
    assert id_source(pl.DataFrame({"customer": [1, 2]}), "the seed")
    with pytest.raises(DataError, match=f"the seed: no column user_id, only {column}"):
        id_source(pl.DataFrame({column: [1, 2]}), "the seed")


@pytest.mark.parametrize("kind", [set, frozenset])
def test_a_set_is_sorted_because_its_order_differs_between_processes(kind: type) -> None:
    ids = [f"u{number}" for number in range(100)]
    assert ids_of(id_source(kind(ids), "the seed")) == sorted(ids)
    assert [ids_of(source) for source in id_sources(kind(ids), "the seed")] == [sorted(ids)]


@pytest.mark.parametrize("numbers", [[7, 8], np.array([7, 8]), pl.Series([7, 8])], ids=["list", "numpy", "polars"])
def test_whole_numbers_become_text(numbers: Any) -> None:
    assert ids_of(id_source(numbers, "the seed")) == ["7", "8"]


def test_a_frame_keeps_its_other_columns() -> None:
    frame = pl.DataFrame({"user_id": IDS, "value": [1.0, 2.0]})
    source = id_source(frame, "the seed")
    assert isinstance(source, IdFrame)
    assert source.frame.equals(frame)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["u1", 1.5, None], "2 of 3 ids are neither text nor whole numbers"),
        ([True, "u1"], "1 of 2 ids are neither text nor whole numbers"),
        (pl.Series([1.0, 2.0]), "2 of 2 ids are neither text nor whole numbers"),
        ([Path("seed.csv")], "1 of 1 ids are neither text nor whole numbers"),
        (5, "ids cannot be read from a value of type int"),
        (b"u1", "ids cannot be read from a value of type bytes"),
        ({"user_id": IDS}, "ids cannot be read from a value of type dict"),
    ],
    ids=["numbers and nothing", "bool", "a float column", "a list of paths", "int", "bytes", "dict"],
)
def test_anything_else_is_a_data_error(ids: Any, message: str) -> None:
    with pytest.raises(DataError) as raised:
        id_source(ids, "the seed")
    assert raised.value.message == f"the seed: {message}"
    assert raised.value.hint


def test_a_file_name_in_a_list_of_ids_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "seed").touch()
    with pytest.raises(DataError) as raised:
        id_source([str(tmp_path / "seed")], "the seed")
    assert raised.value.hint.startswith("give files as pathlib.Path")


@pytest.mark.parametrize("name", ["supress.csv", "a/b.TSV", "ids.txt.gz", "ids.parquet", "ids.jsonl"])
def test_a_file_name_is_pointed_out_even_if_there_is_no_such_file(name: str) -> None:
    for call in (id_source, id_sources):
        with pytest.raises(DataError, match="is the name of a file"):
            call([*map(str, range(200)), name], "the seed")
    frame = pl.DataFrame({"user_id": [name]})
    assert ids_of(id_source(frame, "the seed")) == [name], "a frame holds ids, whatever they look like"


def test_a_frame_that_polars_cannot_read_is_a_data_error() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="the frame cannot be read"):
        id_source(pandas.DataFrame([[1, 2]], columns=["user_id", "user_id"]), "the seed")
    with pytest.raises(DataError, match="the frame cannot be read"):
        id_source(pl.scan_csv("nowhere.csv"), "the seed")


# --- several lists ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nothing",
    [None, (), [], iter(()), [[], ()], pl.DataFrame(), pl.DataFrame({"user_id": []}), pl.Series([], dtype=pl.String)],
    ids=["none", "tuple", "list", "iterator", "lists", "frame", "column of a frame", "column"],
)
def test_nothing_and_what_is_empty_is_no_list(nothing: Any) -> None:
    assert id_sources(nothing, "the seed") == ()


def test_one_list_may_stand_alone() -> None:
    assert id_sources("seed.csv", "the seed") == (Path("seed.csv"),)
    assert [ids_of(source) for source in id_sources(IDS, "the seed")] == [IDS]
    assert [ids_of(source) for source in id_sources(pl.DataFrame({"user_id": IDS}), "the seed")] == [IDS]
    assert [ids_of(source) for source in id_sources(pl.Series(IDS), "the seed")] == [IDS]


def test_paths_and_frames_in_a_sequence_are_lists_of_their_own() -> None:
    path, frame = id_sources([Path("a.csv"), pl.DataFrame({"user_id": IDS})], "the seed")
    assert path == Path("a.csv")
    assert ids_of(frame) == IDS


def test_lists_in_a_list_are_lists_of_their_own() -> None:
    sources = id_sources([IDS, [], ("u3",), {"u5", "u4"}, "a.csv"], "the seed")
    assert [ids_of(source) for source in sources[:-1]] == [IDS, ["u3"], ["u4", "u5"]]
    assert sources[-1] == Path("a.csv")


def test_anything_else_in_place_of_lists_is_a_data_error() -> None:
    with pytest.raises(DataError, match="of type int"):
        id_sources(5, "the seed")  # type: ignore[arg-type]


_KILLED_WHILE_READING = """
import os, signal, sys
import lookalike as la
from lookalike.data.ingest import id_file

id_file._find_columns = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
verb, workspace, *ids = sys.argv[1:]
ws = la.open(workspace)
ws.expand(seed=ids, size=5) if verb == "expand" else ws.suppress_add(ids)
"""


@pytest.mark.parametrize("verb", ["expand", "suppress_add"])
def test_a_kill_leaves_no_copy_of_a_list_outside_the_workspace(ready: Command, tmp_path: Path, verb: str) -> None:
    (elsewhere := tmp_path / "tmp").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", _KILLED_WHILE_READING, verb, str(ready.workspace), *user_ids()[:40]],
        env=os.environ | {"TMPDIR": str(elsewhere)}, capture_output=True, check=False,
    )  # fmt: skip
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert list(elsewhere.iterdir()) == []
    left = [path for path in ready.workspace.rglob("ids.parquet")]
    assert len(left) == 1
    assert ready("status").code == 0
    assert not left[0].exists()
