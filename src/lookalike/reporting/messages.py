"""Every message a verb may send, in words."""

from collections.abc import Callable
from typing import Any

from lookalike.reporting import expand_messages, ingest_messages, train_messages
from lookalike.workspace.progress import Message

SENTENCES: dict[type[Message], Callable[[Any], str]] = {
    **ingest_messages.SENTENCES,
    **train_messages.SENTENCES,
    **expand_messages.SENTENCES,
    **expand_messages.NEWS,
}


def sentence(message: Message) -> str:
    """The message as one sentence, without a full stop."""
    return SENTENCES[type(message)](message)


def is_warning(message: Message) -> bool:
    """Whether the message is a warning about a result, not only news of what is being done."""
    return type(message) in expand_messages.SENTENCES
