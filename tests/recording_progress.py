"""Keeps the messages that a verb reports."""

from dataclasses import dataclass, field

from lookalike.workspace.progress import Message, QuietProgress


@dataclass
class RecordingProgress(QuietProgress):
    """Reports nothing, and keeps every message."""

    messages: list[Message] = field(default_factory=list)

    def say(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def codes(self) -> list[str]:
        return [message.code for message in self.messages]
