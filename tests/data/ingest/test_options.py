"""The options of an ingest, and how they are written on the command line."""

import pytest

from lookalike.data.ingest.options import IngestOptions, parse_context, parse_mapping
from lookalike.errors import SettingsError


def test_an_unknown_zone_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="unknown time zone") as raised:
        IngestOptions(timezone="Europe/Berlim")
    assert "Europe/Berlin" in raised.value.hint


@pytest.mark.parametrize(
    ("pair", "message"),
    [("user_id", "is not FIELD=COLUMN"), ("=x", "is not FIELD=COLUMN"), ("user_di=x", "unknown field 'user_di'")],
)
def test_a_wrong_pair_is_refused(pair: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        parse_mapping([pair])
    assert "user_id" in raised.value.hint


def test_pairs_become_a_mapping() -> None:
    assert parse_mapping(["user_id=Customer ID", "ts = a=b"]) == {"user_id": "Customer ID", "ts": "a=b"}
    with pytest.raises(SettingsError, match="twice"):
        parse_mapping(["ts=a", "ts=b"])


@pytest.mark.parametrize("name", ["", "  ", "device", "value", "ts", "item", "time"])
def test_an_empty_name_and_the_name_of_a_field_are_no_context_columns(name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_context([name])
    assert raised.value.hint


def test_a_context_column_given_twice_is_one() -> None:
    assert parse_context(["a", " a ", "b"]) == ("a", "b")
