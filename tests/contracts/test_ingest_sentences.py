"""Every kind of check, of mapping note and of message of an ingest has a sentence."""

from datetime import date
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from lookalike.data.ingest import results
from lookalike.data.ingest.results import MappingNote, QualityCheck
from lookalike.reporting.ingest_messages import SENTENCES, check_sentence, note_sentence
from lookalike.workspace.progress import Message

NOTES: tuple[type[BaseModel], ...] = get_args(get_args(MappingNote)[0])
MESSAGES = [kind for kind in Message.__subclasses__() if kind.__module__ == results.__name__]
CHECKS = [
    (kind, name) for kind in QualityCheck.__subclasses__() for name in get_args(kind.model_fields["check"].annotation)
]


def example_of(kind: type[BaseModel], **fields: Any) -> Any:
    """A record with some value in every field that has no default."""
    examples: dict[Any, Any] = {
        int: 3,
        float: 0.25,
        str: "some_name",
        date: date(2024, 3, 1),
        tuple[str, ...]: ("first_name", "second_name"),
        tuple[date, ...]: (date(2024, 3, 1),),
        MappingNote: results.MissingColumn(column="some_name"),
        get_args(MappingNote)[0]: results.MissingColumn(column="some_name"),
    }
    for name, field in kind.model_fields.items():
        if name not in fields and field.is_required():
            choices = (
                get_args(field.annotation) if isinstance(next(iter(get_args(field.annotation)), None), str) else ()
            )
            fields[name] = choices[0] if choices else examples[field.annotation]
    return kind(**fields)


@pytest.mark.parametrize(("kind", "name"), CHECKS, ids=[name for _, name in CHECKS])
def test_every_check_has_a_sentence(kind: type[QualityCheck], name: str) -> None:
    sentence = check_sentence(example_of(kind, check=name))
    assert sentence
    assert "\n" not in sentence
    assert name not in sentence.split()


@pytest.mark.parametrize("kind", NOTES, ids=lambda kind: kind.__name__)
def test_every_mapping_note_has_a_sentence(kind: type[BaseModel]) -> None:
    assert "some_name" in note_sentence(example_of(kind))


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_has_a_sentence(kind: type[Message]) -> None:
    assert "some_name" in SENTENCES[kind](example_of(kind))


def test_there_is_no_sentence_for_anything_else() -> None:
    assert set(SENTENCES) == set(MESSAGES)
    assert {kind.__name__ for kind in NOTES} == {"AmbiguousField", "KeptAsContext", "MissingColumn"}
    assert len({name for _, name in CHECKS}) == len(CHECKS) > 20
