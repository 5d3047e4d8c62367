"""Random spellings of ids: how spreadsheets, exports and people write the id of one person."""

import random
import re
from collections.abc import Callable
from uuid import UUID

KINDS: dict[str, Callable[[random.Random], str]] = {
    "number": lambda rng: str(rng.randrange(1_000, 10 ** rng.randint(5, 12))),
    "round": lambda rng: str(rng.randrange(10, 10**6) * 1_000),
    "zeros": lambda rng: str(rng.randrange(1_000, 10**9)).zfill(12),
    "mail": lambda rng: f"ann.{rng.randrange(10**9)}@example.com",
    "uuid": lambda rng: str(UUID(int=rng.getrandbits(128))),
    "client": lambda rng: f"{rng.randrange(10**8, 10**9)}.{rng.randrange(1_500_000_000, 1_700_000_000)}",
    "name": lambda rng: f"Zoë-{rng.randrange(10**9)}-Straße",
    "formula": lambda rng: f"{rng.choice('=@+-')}x{rng.randrange(10**9)}",
    "inside": lambda rng: f"a;=b{rng.randrange(10**9)}|c",
}

_AROUND = (
    ("'", ""),
    ('"', '"'),
    ('="', '"'),
    (" ", "\u00a0"),
    ("{", "}"),
    ("\u201c", "\u201d"),
    ("", "\u200b"),
    ("'", "'"),
)


def spelled(user_id: str, rng: random.Random) -> str:
    """The id in another spelling, by one to three changes that leave the person the same."""
    text = user_id
    for change in rng.sample(_INSIDE, rng.randint(0, 2)):
        text = change(text, rng)
    for _ in range(rng.randint(0, 2)):
        before, after = rng.choice(_AROUND)
        text = before + text + after
    return text


def _case(text: str, rng: random.Random) -> str:
    # ß has no capital of one letter; upper() would make another word of it
    return "".join(c.upper() if rng.random() < 0.5 and len(c.upper()) == 1 else c for c in text)


def _decimal(text: str, rng: random.Random) -> str:
    return text + rng.choice((".0", ".00", ",0")) if re.fullmatch(r"\d+", text) else text


def _zeros(text: str, rng: random.Random) -> str:
    if not re.fullmatch(r"\d+", text):
        return text
    return text.lstrip("0") if text.startswith("0") else "0" * rng.randint(1, 4) + text


def _thousands(text: str, rng: random.Random) -> str:
    return f"{int(text):,}".replace(",", rng.choice(",.' ")) if re.fullmatch(r"[1-9]\d{3,}", text) else text


def _uuid(text: str, rng: random.Random) -> str:
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        return text
    return rng.choice((f"{{{text}}}", text.replace("-", ""), f"urn:uuid:{text}"))


def _client(text: str, rng: random.Random) -> str:
    return f"GA1.{rng.randint(1, 3)}.{text}" if re.fullmatch(r"\d{9}\.\d{10}", text) else text


_INSIDE: tuple[Callable[[str, random.Random], str], ...] = (_zeros, _decimal, _thousands, _uuid, _client, _case)
