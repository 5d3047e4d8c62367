"""Real public logs load without a single flag."""

import os
from pathlib import Path

import pytest

from lookalike.data.database import Database, open_file
from lookalike.data.ingest.ingest import ingest_files
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.ingest.results import IngestResult
from lookalike.workspace.progress import QuietProgress

TASKS = Path(__file__).parents[2] / "shared" / "bench" / "tasks"
pytestmark = [
    pytest.mark.real,  # where the logs must be, in CI, a missing one fails
    pytest.mark.skipif(not TASKS.exists() and not os.environ.get("CI"), reason="the real logs are not here"),
]


@pytest.fixture
def store(tmp_path):
    with open_file(tmp_path / "lookalike.duckdb") as one:
        yield one


def load(store: Database, name: str) -> IngestResult:
    tables = {kind: TASKS / name / f"{kind}.parquet" for kind in ("items", "users")}
    options = IngestOptions(**{kind: path for kind, path in tables.items() if path.exists()})
    return ingest_files(store, [TASKS / name / "events.parquet"], options, QuietProgress())


def attributes(store: Database, kind: str) -> dict[str, int]:
    return dict(store.rows(f"SELECT attribute, count(DISTINCT value) FROM {kind}_attributes GROUP BY 1"))


def test_online_retail_has_many_guests_and_words_for_items(store):
    report = load(store, "online_retail")
    assert report.files[0].rejected == {"empty user_id": 88_652}
    assert report.files[0].added + report.files[0].duplicates == 232_053
    assert report.totals.users == 3360
    assert {check.check: check.severity for check in report.checks}["null_users"] == "warning"
    found = attributes(store, "item")
    assert found["median_price"] == 10
    assert found["word"] > 1000


def test_complete_journey_has_households(store):
    report = load(store, "complete_journey")
    assert report.totals.users == 2269
    assert report.files[0].rejected == {}
    assert set(attributes(store, "user")) == {
        "age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count",
    }  # fmt: skip
    assert {"department", "category", "manufacturer_id"} <= attributes(store, "item").keys()


@pytest.mark.parametrize(("name", "events"), [("toys", 128_773), ("sports", 225_141)])
def test_toys_and_sports_have_lists(store, name, events):
    report = load(store, name)
    assert (report.totals.events, report.files[0].duplicates) == (events, 0)
    assert attributes(store, "item").keys() == {"attributes"}
