"""Whoever could be the same person is left out, and nobody else."""

import polars as pl
import pytest

from lookalike.data.id_spellings import plain_form

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
    ],
)
def test_spellings_of_one_id_are_alike(spellings: tuple[str, ...]) -> None:
    assert len(set(plain(*spellings))) == 1


def test_other_ids_are_not() -> None:
    ids = ("1", "10", "1.05", "1,05", "1-1", "11", "ann", "anna", "u1", "1.0.1", "-1")
    assert len(set(plain(*ids))) == len(ids)
