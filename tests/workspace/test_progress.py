"""Progress as a caller's function gets it: every step from zero, and every message."""

from typing import Literal

from lookalike.workspace.progress import CallbackProgress, Message, ProgressEvent, QuietProgress


class Greeting(Message):
    code: Literal["greeting"] = "greeting"
    name: str


def test_a_callback_gets_every_step_and_message() -> None:
    events: list[ProgressEvent] = []
    progress = CallbackProgress(events.append)
    with progress.step("counting", total=3) as advance:
        advance(1)
        advance(3, "nearly there")
    progress.say(Greeting(name="ann"))
    assert events == [
        ProgressEvent("counting", 0, 3),
        ProgressEvent("counting", 1, 3),
        ProgressEvent("counting", 3, 3, "nearly there"),
        ProgressEvent(message=Greeting(name="ann")),
    ]


def test_quiet_progress_accepts_everything() -> None:
    progress = QuietProgress()
    progress.say(Greeting(name="ann"))
    with progress.step("counting") as advance:
        assert advance(1, "detail") is None
