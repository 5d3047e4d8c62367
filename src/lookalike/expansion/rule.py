"""Rules: what people have done, written as `category = DOG FOODS or item = 4711 at least 2 times since 2026-05-01`.

    rule   = term { "or" term } [ "at least" NUMBER "times" ] [ "since" DATE ]
    term   = FIELD "=" VALUE

A field is `item`, `event_type`, a context column, or an attribute of items. A field or value with a keyword, a quote or an
equals sign inside is written in double quotes, and a quote inside those twice. A rule is fulfilled by the deed that makes
it so many times; the time of that deed is a person's moment.

Conditions on people, as `country = FR or country = BE`, are terms alone.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import NoReturn

from lookalike.data.deeds import Terms
from lookalike.errors import SettingsError

MAX_TERMS = 50
MAX_LENGTH = 4_000
_EXAMPLES = {
    "rule": "for example: category = DOG FOODS or item = 4711 at least 2 times since 2026-05-01",
    "condition": "for example: country = FR or country = BE; --where once more for what must be true too",
}

_TOKEN = re.compile(r'\s*(?:"((?:[^"]|"")*)"|(=)|([^\s="]+))')
_PLAIN = re.compile(r'[^\s"=]+(?: [^\s"=]+)*')


@dataclass(frozen=True)
class Rule:
    """Any of the terms, so many times, from a day on."""

    terms: Terms
    times: int = 1
    since: date | None = None

    @property
    def start(self) -> datetime | None:
        """The first moment that counts, UTC."""
        return None if self.since is None else datetime(self.since.year, self.since.month, self.since.day)

    def __str__(self) -> str:
        text = _written_terms(self.terms)
        if self.times > 1:
            text += f" at least {self.times} times"
        return text if self.since is None else f"{text} since {self.since}"


def parse_rule(text: str) -> Rule:
    """The rule that a text states. Raises SettingsError with the place of what is wrong."""
    return _parser(text).rule()


@dataclass(frozen=True)
class Condition:
    """What people must be: any of the terms."""

    terms: Terms

    def __str__(self) -> str:
        return _written_terms(self.terms)


def parse_condition(text: str) -> Condition:
    """The condition that a text states. Raises SettingsError with the place of what is wrong."""
    return Condition(_parser(text, "condition").condition())


@dataclass(frozen=True)
class _Token:
    text: str
    column: int  # from 1
    is_quoted: bool = False

    def is_word(self, word: str) -> bool:
        return not self.is_quoted and self.text.lower() == word


def _parser(text: str, kind: str = "rule") -> "_Parser":
    if len(text) > MAX_LENGTH:
        raise SettingsError(f"a {kind} of {len(text):,} characters is too long", f"at most {MAX_LENGTH:,} are read")
    return _Parser(text, kind)


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, text: str, kind: str) -> None:
        self._text, self._kind, self._place = text, kind, 0
        self._tokens = self._split()

    def _split(self) -> list[_Token]:
        tokens, end = [], 0
        while self._text[end:].strip():
            match = _TOKEN.match(self._text, end)
            if match is None:
                column = end + len(self._text[end:]) - len(self._text[end:].lstrip()) + 1
                raise self._error(column, "a quote is opened and never closed")
            quoted, _, _ = match.groups()
            word = quoted.replace('""', '"') if quoted is not None else match.group().strip()
            tokens.append(_Token(word, match.end() - len(match.group().lstrip()) + 1, quoted is not None))
            end = match.end()
        return tokens

    def rule(self) -> Rule:
        terms = self._terms()
        times, since = 1, None
        if self._takes("at"):
            times = self._times()
        if self._takes("since"):
            since = self._date()
        self._end()
        return Rule(terms, times, since)

    def condition(self) -> Terms:
        terms = self._terms()
        self._end()
        return terms

    def _terms(self) -> Terms:
        terms = [self._term()]
        while self._takes("or"):
            terms.append(self._term())
        if len(terms) > MAX_TERMS:
            raise SettingsError(f"a {self._kind} of {len(terms)} terms is too long", f"at most {MAX_TERMS}")
        return tuple(dict.fromkeys(terms))

    def _end(self) -> None:
        if self._next is not None:
            self._fail(f"unexpected {self._next.text[:40]!r}")

    def _term(self) -> tuple[str, str]:
        field = self._words("a field", until=("=",))
        if not self._takes("="):
            self._fail("expected = after the field")
        return field, self._words("a value", until=("or", "since", "at"))

    def _words(self, what: str, until: tuple[str, ...]) -> str:
        """One quoted text, or the plain words before the next keyword as they are written."""
        token = self._next
        if token is None or token.is_word("=") or (not token.is_quoted and token.text.lower() in until):
            self._fail(f"expected {what}")
        self._place += 1
        if token.is_quoted:
            return token.text
        words = [token.text]
        while (token := self._next) and not token.is_quoted and not self._ends(token, until):
            words.append(token.text)
            self._place += 1
        return " ".join(words)

    def _ends(self, token: _Token, until: tuple[str, ...]) -> bool:
        if token.is_word("="):
            return True
        if token.is_word("at"):  # "at" alone is a common word in names
            return (
                "at" in until and self._place + 1 < len(self._tokens) and self._tokens[self._place + 1].is_word("least")
            )
        return token.text.lower() in until

    def _times(self) -> int:
        if not self._takes("least"):
            self._fail("expected: at least NUMBER times")
        token = self._next
        if token is None or not re.fullmatch(r"[1-9]\d{0,5}", token.text):
            self._fail("expected a number from 1 on")
        self._place += 1
        if not (self._takes("times") or self._takes("time")):
            self._fail("expected: times")
        return int(token.text)

    def _date(self) -> date:
        token = self._next
        try:
            day = date.fromisoformat(token.text if token else "")
        except ValueError:
            self._fail("expected a date such as 2026-05-01")
        self._place += 1
        return day

    @property
    def _next(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _takes(self, word: str) -> bool:
        token = self._next
        found = token is not None and token.is_word(word)
        self._place += found
        return found

    def _fail(self, problem: str) -> NoReturn:
        raise self._error(self._next.column if self._next else len(self._text) + 1, problem)

    def _error(self, column: int, problem: str) -> SettingsError:
        return SettingsError(f"{self._kind} {self._text[:60]!r}, column {column}: {problem}", _EXAMPLES[self._kind])


def _written_terms(terms: Terms) -> str:
    return " or ".join(f"{_written(field)} = {_written(value)}" for field, value in terms)


def _written(text: str) -> str:
    """The text, in quotes where it would not be read back as it is."""
    words = text.split(" ")
    is_plain = bool(_PLAIN.fullmatch(text)) and not any(word.lower() in ("or", "since", "at") for word in words)
    return text if is_plain else '"' + text.replace('"', '""') + '"'
