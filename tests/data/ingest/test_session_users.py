"""Sessions that are read as if they were users."""

from pathlib import Path

import pytest

from log_files import write
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.session_users import sessions_as_users
from lookalike.errors import DataError


def test_the_column_of_sessions_becomes_that_of_users(tmp_path: Path) -> None:
    log = write(tmp_path / "a.csv", "order_id,ts,shop\n1,2024-01-01,s\n")
    options = sessions_as_users([log], IngestOptions(mapping={"ts": "ts"}), ("shop", "page"))
    assert options.mapping == {"ts": "ts", "user_id": "order_id"}
    assert options.context == ("shop",)


@pytest.mark.parametrize(("mapping", "wanted"), [({}, "the session"), ({"session_id": "visit"}, "visit")])
def test_a_file_without_sessions_is_refused(tmp_path: Path, mapping: dict[str, str], wanted: str) -> None:
    log = write(tmp_path / "a.csv", "who,ts\n1,2024-01-01\n")
    with pytest.raises(DataError, match=f"no column could be {wanted}") as raised:
        sessions_as_users([log], IngestOptions(mapping=mapping), ())
    assert "--map session_id=COLUMN" in raised.value.hint
