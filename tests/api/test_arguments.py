"""Arguments of the handle: what is one value, several or none, and what is of the wrong kind."""

from pathlib import Path
from typing import Any

import pytest

from lookalike.api.arguments import column_pairs, paths_of, several
from lookalike.errors import SettingsError


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (None, ()),
        ((), ()),
        ("campaign", ("campaign",)),
        (Path("a/b.toml"), ("a/b.toml",)),
        (["b", "a"], ("b", "a")),
        ({"c", "b", "a"}, ("a", "b", "c")),
        ((name for name in "ab"), ("a", "b")),
    ],
    ids=["none", "empty", "text", "path", "list", "set", "iterator"],
)
def test_one_several_or_none(values: Any, expected: tuple[str, ...]) -> None:
    assert several("context", values) == expected
    assert paths_of("paths", expected) == [Path(value) for value in expected]


@pytest.mark.parametrize("values", [5, [5], [None], b"text", True, [["a"]]])
def test_anything_else_is_a_settings_error_with_the_name_of_the_argument(values: Any) -> None:
    with pytest.raises(SettingsError, match=r"^context: .* is not text or a list of texts") as raised:
        several("context", values)
    assert raised.value.hint == 'context=["…"]'


@pytest.mark.parametrize("columns", [{"user_id": "who"}, ["user_id=who"], "user_id=who"])
def test_columns_are_pairs_or_a_dict(columns: Any) -> None:
    assert column_pairs(columns) == ("user_id=who",)
