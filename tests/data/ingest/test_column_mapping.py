"""Which column is taken for which field."""

from datetime import datetime
from pathlib import Path

import pytest

from log_files import ingest, refused, stored_events, write
from lookalike.data.database import Database
from lookalike.data.ingest.column_mapping import map_event_columns
from lookalike.data.ingest.results import AmbiguousField, KeptAsContext
from lookalike.errors import DataError


def test_columns_are_found_by_the_names_of_common_exports(database: Database, tmp_path: Path) -> None:
    text = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,HEART,6,12/1/2010 8:26,2.55,17850,United Kingdom\n"
        "C536379,D,Discount,-1,12/13/2010 9:41,27.5,14527,France\n"
    )
    result = ingest(database, write(tmp_path / "retail.csv", text))
    first = ("14527", datetime(2010, 12, 13, 9, 41), "event", "D", -27.5, -1.0, "C536379", "France")
    value = pytest.approx(15.3)
    second = ("17850", datetime(2010, 12, 1, 8, 26), "event", "85123A", value, 6.0, "536365", "United Kingdom")
    fields = "user_id, ts, event_type, item_id, value, quantity, session_id, country"
    assert stored_events(database, fields) == [first, second]
    assert result.files[0].mapping["value"] == "Quantity * UnitPrice"
    assert result.files[0].unused == ("Description",)


def test_a_requested_column_wins_over_a_known_name(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "user_id,shopper,ts\nx,ann,2024-01-01\n")
    ingest(database, path, mapping={"user_id": "shopper"})
    assert stored_events(database, "user_id") == [("ann",)]


def test_a_requested_column_that_is_missing_is_refused_with_the_nearest(database: Database, tmp_path: Path) -> None:
    log = write(tmp_path / "a.csv", "customer,when\n1,2024-01-01\n")
    error = refused(database, log, mapping={"user_id": "custmer"})
    assert "no column 'custmer'" in error.message
    assert "did you mean customer?" in error.hint


def test_choices_are_noted() -> None:
    columns = dict.fromkeys(("user_id", "client_id", "ts", "campaign_id", "sku"), "VARCHAR")
    mapping = map_event_columns(columns, {}, ("campaign_id", "shop"), "log.csv")
    assert mapping.columns == {"user_id": "user_id", "ts": "ts", "item_id": "sku", "context_1": "campaign_id"}
    assert mapping.notes == (
        AmbiguousField(field="user_id", column="user_id", alternatives=("client_id",)),
        KeptAsContext(column="campaign_id", field="item_id"),
    )
    assert mapping.unused == ("client_id",)
    assert mapping.missing == ("shop",)


def test_a_nested_column_is_never_a_field() -> None:
    with pytest.raises(DataError, match=r"log\.csv: no column could be the user"):
        map_event_columns({"user_id": "VARCHAR[]", "ts": "VARCHAR"}, {}, (), "log.csv")
