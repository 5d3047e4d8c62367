"""Recognising personal data: by the name of a column, and by what a text looks like."""

import itertools
from typing import Final

from lookalike.data.ingest.synonyms import normalised, word_list

EMAIL_ADDRESS: Final = "^[^@\\s]+@[^@\\s]+\\.[A-Za-z]{2,}$"
PHONE_NUMBER: Final = "^(\\+|00)[1-9][0-9 ()./-]{7,18}$"


def is_personal_name(column: str) -> bool:
    """Whether the name of a column says that its content is personal."""
    personal = {normalised(word) for word in word_list("personal_names")}
    parts = [normalised(part) for part in column.replace("-", "_").replace(" ", "_").split("_")]
    pairs = {a + b for a, b in itertools.pairwise(parts)}
    return normalised(column) in personal or bool(personal & (set(parts) | pairs))


def looks_personal(text: str) -> str:
    """An SQL condition: the text expression looks like an e-mail address or a phone number."""
    return f"regexp_matches({text}, '{EMAIL_ADDRESS}') OR regexp_matches({text}, '{PHONE_NUMBER}')"
