"""Records are immutable, strict, and read back from JSON as they were written."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import ValidationError

from lookalike.errors import StateError
from lookalike.workspace.records import FileRecord, Record


class Part(Record):
    names: tuple[str, ...]
    share: float | None


class Example(FileRecord):
    schema_version: Literal[1] = 1
    name: str
    parts: tuple[Part, ...]


EXAMPLE = Example(name="שלום", parts=(Part(names=("a", "b"), share=1 / 3), Part(names=(), share=None)))


def test_a_record_is_read_back_unchanged(tmp_path: Path) -> None:
    EXAMPLE.write(tmp_path / "example.json")
    assert Example.read(tmp_path / "example.json") == EXAMPLE


def test_a_record_is_immutable_and_strict() -> None:
    with pytest.raises(ValidationError):
        EXAMPLE.name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Part(names=(), share=1, size=2)  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        Part(names=())  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": None}, "name"),
        ({"parts": [{"names": ["a"]}]}, "parts.0.share"),
        ({"extra": 1}, "extra"),
        ({"parts": {}}, "parts"),
    ],
    ids=["wrong type", "missing field", "unknown field", "wrong container"],
)
def test_a_file_of_another_shape_is_a_state_error_with_the_place(
    tmp_path: Path, changes: dict[str, Any], place: str
) -> None:
    path = tmp_path / "example.json"
    path.write_text(json.dumps(EXAMPLE.as_json() | changes))
    with pytest.raises(StateError) as raised:
        Example.read(path, "lookalike expand")
    assert f"{path}: is not a valid file of its kind ({place}: " in raised.value.message
    assert raised.value.hint == "lookalike expand"


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_schema_version_is_a_state_error_with_both_versions(tmp_path: Path, version: int) -> None:
    path = tmp_path / "example.json"
    path.write_text(json.dumps(EXAMPLE.as_json() | {"schema_version": version}))
    with pytest.raises(StateError, match=f"has schema version {version}, this program reads version 1"):
        Example.read(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"a": 1}'], ids=range(6))
def test_a_damaged_file_is_a_state_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "example.json"
    path.write_bytes(content)
    with pytest.raises(StateError) as raised:
        Example.read(path, "lookalike expand")
    assert raised.value.message.startswith(f"{path}: ")
    assert raised.value.hint == "lookalike expand"
