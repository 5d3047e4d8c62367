"""The terminal: data on stdout, messages and progress on stderr."""

import json
from types import SimpleNamespace

import pytest

from lookalike.cli import console
from lookalike.cli.console import Console, duration
from lookalike.data.ingest.results import FileSkipped
from lookalike.errors import DataError
from lookalike.expansion.messages import NothingToBalance, UnmatchedSuppression


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3_599.6, "1 h 0 min"),
        (3_780, "1 h 3 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_durations_are_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("elapsed", "remaining", "words"),
    [
        (30, 59, "30 s so far, about 59 s left"),
        (130, 3_780, "2 min 10 s so far, about 1 h 3 min left"),
        (30, None, "30 s so far"),
        (None, None, "0 s so far"),
    ],
)
def test_progress_says_how_long_it_took_and_will_take(
    elapsed: float | None, remaining: float | None, words: str
) -> None:
    task = SimpleNamespace(elapsed=elapsed, time_remaining=remaining)
    assert console._Times().render(task).plain == words  # type: ignore[arg-type]


def test_messages_go_to_stderr_as_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Console()
    shown.say(FileSkipped(file="[red]log[/red].csv"))
    shown.say(NothingToBalance())
    shown.note("two\nlines\x1b[31m")
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "[red]log[/red].csv: ingested before, skipped",
        "warning: the seed is one audience: there is nothing to balance",
        "two lines [31m",
    ]


def test_what_concerns_people_who_must_not_be_listed_is_said_even_when_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console(quiet=True).say(UnmatchedSuppression(ids=1, given=3))
    assert capsys.readouterr().err == "warning: 1 of 3 ids to suppress are nobody's in the log, in any spelling\n"


def test_quiet_shows_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = Console(quiet=True)
    quiet.say(NothingToBalance())
    quiet.note("next: lookalike train")
    with quiet.step("counting", total=2) as advance:
        advance(1)
    quiet.error(DataError("no such file", "check the path"))
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "error: no such file\nhint: check the path\n")


def test_a_step_is_not_shown_where_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Console().step("counting", total=2) as advance:
        advance(1, "detail")
    assert capsys.readouterr().err.strip() == ""


def test_a_step_is_shown_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Console().step("counting", total=2) as advance:
        advance(1, "detail")
    output = capsys.readouterr()
    assert output.out == ""
    assert "counting" in output.err
    assert "0 s so far" in output.err


def test_an_error_has_one_line_for_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    Console().error(DataError("two\nlines", ""))
    assert capsys.readouterr().err == "error: two lines\n"


def test_a_result_is_tables_or_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "שלום", "lift": None}
    Console(as_json=True).result(value, "a table")
    assert capsys.readouterr().out == json.dumps(value, ensure_ascii=False) + "\n"
    Console().result(value, "first", "second")
    assert capsys.readouterr().out == "first\nsecond\n"


def test_nan_is_never_printed_as_json() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        Console(as_json=True).result({"lift": float("nan")})
