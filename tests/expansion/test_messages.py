"""Warnings are data: each kind has its own code and is read back from JSON unchanged."""

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter

from lookalike.expansion import messages
from lookalike.expansion.messages import ExpansionWarning
from lookalike.workspace.progress import Message

KINDS = [kind for kind in Message.__subclasses__() if kind.__module__ == messages.__name__]
FIGURES: dict[str, Any] = {
    "rule": "item = 1",
    "list_share": 0.1,
    "seed_share": 0.5,
    "shares": (0.7, 0.3),
    "more_than_everybody": True,
    "nothing_else": True,
    "column": "email",
    "empty": ("uid",),
    "ways": {"as written": 2, "capitals": 3},
}


def example_of(kind: type[Message]) -> Message:
    """A message with a figure for each of its fields."""
    fields = [name for name in kind.model_fields if name != "code"]
    return kind(**{name: FIGURES.get(name, number) for number, name in enumerate(fields, 1)})


def test_every_kind_of_the_module_is_an_expansion_warning() -> None:
    union, _ = get_args(ExpansionWarning)
    assert set(get_args(union)) == set(KINDS)
    assert len(KINDS) == 21


def test_codes_are_distinct() -> None:
    assert len({kind.model_fields["code"].default for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_warning_is_read_back_from_json_as_its_kind(kind: type[Message]) -> None:
    message = example_of(kind)
    assert TypeAdapter(ExpansionWarning).validate_python(message.as_json()) == message
    with pytest.raises(ValueError, match="Extra inputs"):
        TypeAdapter(ExpansionWarning).validate_python(message.as_json() | {"sentence": "..."})
