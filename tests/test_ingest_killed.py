"""A process that is killed while it ingests leaves the store as it was, and the same command then finishes."""

import os
import signal
import subprocess
import sys

import duckdb
import pytest

from lookalike.data.database import open_file
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.workspace.progress import QuietProgress

_KILLED = """
import os, signal, sys
from pathlib import Path
from lookalike.ingest import IngestOptions, ingest, loading, run
from lookalike.store import opened
from lookalike.talk import Silent

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

setattr({"loading": loading, "run": run}[sys.argv[3]], sys.argv[4], die)
with opened(Path(sys.argv[1])) as store:
    ingest(store, [Path(sys.argv[2])], IngestOptions(), Silent())
"""


@pytest.mark.parametrize("place", ["loading.enter", "loading._drop_duplicates", "loading._write_rejects", "run._say"])
def test_kill_9_leaves_whole_files_or_none(tmp_path, place):
    (tmp_path / "in").mkdir()
    for name, start in (("a", 0), ("b", 300_000)):
        user = "CASE WHEN i % 7 > 0 THEN 'u' || i END AS user_id"
        query = (
            f"SELECT {user}, TIMESTAMP '2024-01-01' + to_seconds(i) AS ts FROM range({start}, {start + 300_000}) t(i)"
        )
        duckdb.connect().execute(f"COPY ({query}) TO '{tmp_path}/in/{name}.parquet' (FORMAT parquet)")
    database = tmp_path / "space" / "lookalike.duckdb"
    command = [sys.executable, "-c", _KILLED, str(database), str(tmp_path / "in"), *place.split(".")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    with open_file(database) as store:
        files = 1 if place == "run._say" else 0  # there the first file is committed
        assert store.rows("SELECT count(*) FROM files") == [(files,)]
        assert store.rows("SELECT count(*) > 0 FROM events") == [(bool(files),)]
        assert store.rows("SELECT count(*) > 0 FROM rejects") == [(bool(files),)]
        report = ingest_files(store, [tmp_path / "in"], IngestOptions(), QuietProgress())
        assert report.totals.events == store.rows("SELECT 600000 - ceil(600000 / 7)::BIGINT")[0][0]
        assert store.rows("SELECT count(DISTINCT user_id) FROM events") == [(report.totals.events,)]
