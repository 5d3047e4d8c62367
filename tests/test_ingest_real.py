"""Real public logs are ingested without a single flag."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from log_files import find_check, ingest
from lookalike.data.database import Database, open_file
from lookalike.data.ingest.results import IngestResult

TASKS = Path(__file__).parents[2] / "shared" / "bench" / "tasks"
pytestmark = [
    pytest.mark.real,  # in CI a missing log is a failure
    pytest.mark.skipif(not TASKS.exists() and not os.environ.get("CI"), reason="the real logs are missing"),
]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_file(tmp_path / "lookalike.duckdb") as opened:
        yield opened


def ingest_task(database: Database, name: str) -> IngestResult:
    tables = {kind: TASKS / name / f"{kind}.parquet" for kind in ("items", "users")}
    given = {kind: path for kind, path in tables.items() if path.exists()}
    return ingest(database, TASKS / name / "events.parquet", **given)


def attribute_values(database: Database, kind: str) -> dict[str, int]:
    """attribute -> its number of distinct values."""
    return dict(database.rows(f"SELECT attribute, count(DISTINCT value) FROM {kind}_attributes GROUP BY 1"))


def test_online_retail_has_many_guests_and_words_for_items(database: Database) -> None:
    result = ingest_task(database, "online_retail")
    assert result.files[0].rejected == {"empty user_id": 88_652}
    assert result.files[0].added + result.files[0].duplicates == 232_053
    assert result.totals.users == 3360
    assert find_check(result, "null_users").severity == "warning"
    values = attribute_values(database, "item")
    assert values["median_price"] == 10
    assert values["word"] > 1000


def test_complete_journey_has_households(database: Database) -> None:
    result = ingest_task(database, "complete_journey")
    assert result.totals.users == 2269
    assert result.files[0].rejected == {}
    assert set(attribute_values(database, "user")) == {
        "age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count",
    }  # fmt: skip
    assert {"department", "category", "manufacturer_id"} <= attribute_values(database, "item").keys()


@pytest.mark.parametrize(("name", "events"), [("toys", 128_773), ("sports", 225_141)])
def test_toys_and_sports_have_lists(database: Database, name: str, events: int) -> None:
    result = ingest_task(database, name)
    assert (result.totals.events, result.files[0].duplicates) == (events, 0)
    assert attribute_values(database, "item").keys() == {"attributes"}
