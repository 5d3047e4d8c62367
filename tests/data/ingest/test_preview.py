"""The preview of files, which writes nothing."""

import json
from pathlib import Path

from log_files import write
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.preview import preview_files
from lookalike.data.ingest.results import AmbiguousField, IngestPreview


def test_the_preview_shows_mapping_time_and_first_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "visitorid,client_id,timestamp,event,colour\n1,9,1433221332117,view,red\n")
    preview = preview_files([path], IngestOptions())
    (file,) = preview.files
    assert file.mapping == {"user_id": "client_id", "ts": "timestamp", "event_type": "event"}
    assert file.time == "epoch in ms"
    assert file.unused == ("visitorid", "colour")
    assert file.notes == (AmbiguousField(field="user_id", column="client_id", alternatives=("visitorid",)),)
    assert file.rows == (("1", "9", "1433221332117", "view", "red"),)
    assert file.stored[0]["ts"] == "2015-06-02 05:02:12.117"
    assert IngestPreview.model_validate_json(json.dumps(preview.as_json())) == preview


def test_the_preview_of_a_table_shows_its_rows_as_they_are(tmp_path: Path) -> None:
    log = write(tmp_path / "log.csv", "user_id,ts\nann,2024-01-01\n")
    items = write(tmp_path / "items.csv", "sku,title,price\na,Red hat,5\n")
    file = preview_files([log], IngestOptions(items=items)).files[1]
    assert (file.kind, file.time, file.stored) == ("items", "", ())
    assert file.mapping == {"item_id": "sku", "title": "title", "price": "price"}
    assert file.rows == (("a", "Red hat", "5"),)
