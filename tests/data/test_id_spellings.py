"""Whoever could be the same person is left out, and nobody else."""

import polars as pl
import pytest

from lookalike.data.id_spellings import count_ways, kind_of, plain_form

UUID = "3F2504E0-4F89-11D3-9A0C-0305E82C3301"


def plain(*ids: str) -> list[str]:
    return pl.DataFrame({"user_id": list(ids)}).select(plain_form())["user_id"].to_list()


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "12345",
            "12345.0",
            "12345.00",
            "012345",
            " 12345\u00a0",
            '="12345"',
            "'12345",
            '"12345"',
            "12345,0",
            "\u201c12345\u201d",
            "\u200b12345",
            "'=12345",
        ),
        ("ann@example.com", "Ann@Example.com", "\tANN@EXAMPLE.COM "),
        (UUID, UUID.lower(), f"{{{UUID}}}", UUID.replace("-", ""), f"urn:uuid:{UUID}"),
        ("=1", "'=1", "1"),
        ("1234567", "1,234,567", "1.234.567", "1'234'567", "1\u202f234\u202f567", "1,234,567.0"),
        ("123456.1600000000", "GA1.2.123456.1600000000", "ga1.3.123456.1600000000"),
        ("caf\u00e9", "cafe\u0301", "CAFÉ"),
        ("14911", "+14911", "#14911", "14911;"),
        ("ann", "\u202fann\u2009", "\u00adann", "urn:uuid:{ann}"),
        ("a;=x|+y", "a;'=x|'+y", "'a;'=x|'+y"),
        ("ann@example.com", "<ann@example.com>", "mailto:ann@example.com"),
    ],
)
def test_spellings_of_one_id_are_alike(spellings: tuple[str, ...]) -> None:
    assert len(set(plain(*spellings))) == 1


def test_other_ids_are_not() -> None:
    ids = (
        "1",
        "10",
        "1.05",
        "1,05",
        "1-1",
        "11",
        "ann",
        "anna",
        "u1",
        "1.0.1",
        "-1",
        "12,34",
        "1,2345",
        "cafe",
        "café",
    )
    assert len(set(plain(*ids))) == len(ids)


def test_ids_are_counted_by_the_closest_they_match() -> None:
    pairs = [("Ann", "ann"), ("Ann", "Ann"), (" bob", "bob"), ("007", "7"), ("1,234", "01234"), ("x", "x")]
    frame = pl.DataFrame(pairs, {"user_id": pl.String, "known": pl.String}, orient="row")
    assert count_ways(frame) == {"as written": 2, "spaces": 1, "leading zeros": 2}


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (["a@b.de", "c@d.com", "x"], "e-mail addresses"),
        (["0" * 63 + "a", "F" * 64], "SHA-256 hashes"),
        ([UUID, f"{{{UUID}}}"], "UUIDs"),
        (["123", "-4"], "whole numbers"),
        (["GA1.2.1234567.1600000000"], "Google Analytics client ids"),
        (["a1", "b2", "7"], "text"),
        ([], "text"),
    ],
)
def test_what_ids_are(ids: list[str], kind: str) -> None:
    assert kind_of(pl.DataFrame({"user_id": ids}, {"user_id": pl.String})) == kind
