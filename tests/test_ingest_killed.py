"""A process that is killed while it ingests leaves whole files or none, and the same command then finishes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from log_files import ingest, write_parquet
from lookalike.data.database import open_file
from lookalike.data.ingest.context_columns import require_finished_ingest
from lookalike.errors import StateError

# Ingests a folder and dies by kill -9 when the named function is called.
_KILLED = """
import importlib, os, signal, sys
from pathlib import Path
from lookalike.data.database import open_file
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.workspace.progress import QuietProgress

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

module, name = sys.argv[3].rsplit(".", 1)
owner = importlib.import_module("lookalike.data.ingest." + module)
getattr(owner, name)
setattr(owner, name, die)
with open_file(Path(sys.argv[1])) as database:
    ingest_files(database, [Path(sys.argv[2])], IngestOptions(), QuietProgress())
"""

# Where the process dies, and how many of the two files are committed then.
PLACES = {
    "load_events.record_file": 0,
    "load_events.drop_duplicates": 0,
    "load_events._store_rejects": 0,
    "ingest._report_file": 1,
    "ingest.review_columns": 2,
}


@pytest.mark.parametrize("place", PLACES)
def test_kill_9_leaves_whole_files_or_none(tmp_path: Path, place: str) -> None:
    (tmp_path / "in").mkdir()
    user = "CASE WHEN i % 7 > 0 THEN 'u' || i END AS user_id"
    for name, start in (("a", 0), ("b", 300_000)):
        times = "TIMESTAMP '2024-01-01' + to_seconds(i) AS ts"
        query = f"SELECT {user}, {times} FROM range({start}, {start + 300_000}) t(i)"
        write_parquet(tmp_path / "in" / f"{name}.parquet", query)
    path = tmp_path / "space" / "lookalike.duckdb"
    command = [sys.executable, "-c", _KILLED, str(path), str(tmp_path / "in"), place]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    committed = PLACES[place]
    with open_file(path) as database:
        assert database.rows("SELECT count(*) FROM files") == [(committed,)]
        assert database.rows("SELECT count(*) > 0 FROM events") == [(bool(committed),)]
        assert database.rows("SELECT count(*) > 0 FROM rejects") == [(bool(committed),)]
        with pytest.raises(StateError, match="the last ingest was interrupted"):
            require_finished_ingest(database)
        result = ingest(database, tmp_path / "in")
        assert [file.skipped for file in result.files] == [number < committed for number in range(2)]
        require_finished_ingest(database)
        ((events,),) = database.rows("SELECT 600000 - ceil(600000 / 7)::BIGINT")
        assert result.totals.events == events
        assert database.rows("SELECT count(DISTINCT user_id) FROM events") == [(events,)]
