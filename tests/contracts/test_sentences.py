"""Every message of the whole package and every check of the verdict has a sentence: one line, under a code of its own."""

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest

import lookalike
from example_evaluation import example_evaluation, refused_evaluation, replaced
from lookalike.api.expand import ExpandResult
from lookalike.cli.console import Console
from lookalike.expansion import messages
from lookalike.expansion.messages import ExpansionWarning
from lookalike.expansion.result import Check, CheckName, Evaluation
from lookalike.reporting.messages import SENTENCES, is_warning, sentence
from lookalike.reporting.verdict_text import failed_checks, verdict_text
from lookalike.workspace.progress import Message
from lookalike.workspace.records import Record

CHECK_NAMES: tuple[CheckName, ...] = get_args(CheckName)


def import_all_modules() -> None:
    for module in pkgutil.walk_packages(lookalike.__path__, "lookalike."):
        if module.name not in ("lookalike.__main__", "lookalike.workspace.ray_executor"):  # Ray is an extra
            importlib.import_module(module.name)


def subclasses(kind: type[Message]) -> Iterator[type[Message]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


import_all_modules()
MESSAGES = sorted(
    {kind for kind in subclasses(Message) if kind.__module__.startswith("lookalike.")}, key=lambda kind: kind.__name__
)


def example_of(annotation: Any) -> Any:
    """Some valid value of a type."""
    simple = {int: 3, float: 0.25, str: "some_name", bool: True, datetime: datetime(2024, 1, 2)}
    if annotation in simple:
        return simple[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Record):
        fields = {
            name: example_of(field.annotation) for name, field in annotation.model_fields.items() if field.is_required()
        }
        return annotation(**fields)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return (example_of(arguments[0]),) * 2
    if origin is dict and arguments[1] is int:
        return {"as written": 2, "capitals": 3}
    if origin is dict:
        return {"recall@20": 0.1, "ndcg@20": 0.2}
    if origin in (Union, UnionType):
        return example_of(arguments[0])
    raise TypeError(f"no example of {annotation}")


def assert_is_a_sentence(text: str) -> None:
    assert text
    assert text == text.strip()
    assert "\n" not in text
    assert not text.endswith((".", ","))
    assert "None" not in text
    assert "{" not in text


def test_there_are_messages_of_all_verbs() -> None:
    packages = {kind.__module__.split(".")[1] for kind in MESSAGES}
    assert packages == {"data", "encoder", "expansion"}
    assert len(MESSAGES) > 30


def test_exactly_these_messages_have_a_sentence() -> None:
    assert SENTENCES.keys() == set(MESSAGES)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_has_a_sentence_of_one_line(kind: type[Message]) -> None:
    assert_is_a_sentence(sentence(example_of(kind)))


def test_codes_are_unique_and_fixed() -> None:
    codes = [kind.model_fields["code"].default for kind in MESSAGES]
    assert len(set(codes)) == len(codes)
    for kind, code in zip(MESSAGES, codes, strict=True):
        assert get_args(kind.model_fields["code"].annotation) == (code,)
        assert code.isidentifier()
        assert code.islower()


def test_every_message_of_an_expansion_is_a_stored_warning() -> None:
    stored = set(get_args(get_args(ExpansionWarning)[0]))
    assert stored == {kind for kind in MESSAGES if kind.__module__ == messages.__name__}
    assert {kind for kind in MESSAGES if is_warning(example_of(kind))} == stored


def test_every_warning_is_printed_with_json() -> None:
    warnings = tuple(example_of(kind) for kind in get_args(get_args(ExpansionWarning)[0]))
    evaluation = replaced(example_evaluation(), "warnings", warnings)
    result = ExpandResult(folder=Path("fans"), evaluation=evaluation, prospects_file=None, reasons_file=None, hashes={})
    printed = result.summary().as_json()["warnings"]
    assert printed == [warning.as_json() for warning in warnings]
    assert len({warning["code"] for warning in printed}) == len(warnings)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_a_message_about_suppression_is_said_even_when_quiet(
    kind: type[Message], capsys: pytest.CaptureFixture[str]
) -> None:
    message = example_of(kind)
    Console(quiet=True).say(message)
    said = capsys.readouterr().err
    assert (said != "") == message.about_safety
    assert message.about_safety == ("suppress" in message.code)


# --- the verdict -----------------------------------------------------------------------------------------------------


def with_check(evaluation: Evaluation, check: Check) -> Evaluation:
    """The evaluation whose verdict has this check alone."""
    return replaced(evaluation, "verdict.checks", (check,))


def check_of(name: CheckName, passed: bool) -> Check:
    return Check(name=name, passed=passed, value=24, interval=(0.5, 2.0), threshold=25)


def test_every_verdict_has_every_check_once() -> None:
    assert [check.name for check in example_evaluation().verdict.checks] == list(CHECK_NAMES)


@pytest.mark.parametrize("name", CHECK_NAMES)
def test_a_failed_check_has_a_line_and_a_clause_of_the_error(name: CheckName) -> None:
    evaluation = with_check(refused_evaluation(), check_of(name, passed=False))
    (line,) = verdict_text(evaluation).lines
    assert_is_a_sentence(line.text)
    assert line.mark == "against"
    (clause,) = failed_checks(evaluation)
    assert_is_a_sentence(clause)
    assert clause[0].islower()


@pytest.mark.parametrize("name", CHECK_NAMES)
def test_a_passed_check_speaks_for_the_list_or_says_nothing(name: CheckName) -> None:
    evaluation = with_check(example_evaluation(), check_of(name, passed=True))
    lines = verdict_text(evaluation).lines
    assert len(lines) == (0 if name == "enough_seeds" else 1)
    for line in lines:
        assert_is_a_sentence(line.text)
        assert line.mark == "for"
    assert failed_checks(evaluation) == []
