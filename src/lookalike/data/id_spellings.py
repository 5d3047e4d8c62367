"""Which ids could be the same person, written differently: by a spreadsheet, by another system, by hand.

For whoever must not be listed: rather one person too many is left out than one too few. Ids that are to be found, such as
seeds, are compared exactly, and what is found here tells why they do not match.
"""

from collections.abc import Callable
from typing import Final

import polars as pl

from lookalike.data.ingest.cells import WHITESPACE

AS_WRITTEN: Final = "as written"
ALIKE: Final = "alike"  # column of `with_plain_form`

# Spaces of every width, and characters that are not seen: soft hyphens, marks of direction, joiners.
_UNSEEN: Final = "".join(
    map(chr, (0, 0x85, 0xAD, 0x1680, 0x180E, *range(0x2000, 0x2010), *range(0x2028, 0x2030), 0x205F))
)
_SPACES: Final = WHITESPACE + _UNSEEN + "".join(map(chr, range(0x2060, 0x2070)))
_AROUND: Final = _SPACES + "'\"`={}()[]<>#+;,|*\u2018\u2019\u201c\u201d\u00ab\u00bb"
_PREFIX: Final = r"^(urn:uuid:|ga1\.[0-9]+\.|amp-|mailto:)"
_UUID_LENGTH: Final = 36  # with its dashes
_THOUSANDS: Final = r"^[1-9][0-9]{0,2}([,.'\u2019 \u00a0\u202f][0-9]{3})+([.,]0+)?$"
_THOUSANDS_OR_DECIMAL: Final = r"^[1-9][0-9]{0,2}\.000$"
_THOUSANDS_MARKS: Final = r"[,.'\u2019 \u00a0\u202f]([0-9]{3})"


def _letter_forms(ids: pl.Series) -> pl.Series:
    """One form for letters that can be written in several, such as é; most ids have none."""
    return ids if ids.str.len_bytes().sum() == ids.str.len_chars().sum() else ids.str.normalize("NFKC")


def _without_dashes(text: pl.Expr) -> pl.Expr:
    return (
        pl.when(text.str.len_bytes() == _UUID_LENGTH).then(text.str.replace_all("-", "", literal=True)).otherwise(text)
    )


def _without_thousands_marks(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(_THOUSANDS)).then(text.str.replace_all(_THOUSANDS_MARKS, "$1")).otherwise(text)


# How two spellings of one id may differ, in the order in which the differences are removed.
_WAYS: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "letter forms": lambda text: text.map_batches(_letter_forms, pl.String, is_elementwise=True),
    "spaces": lambda text: text.str.strip_chars(_SPACES),
    # a ' inside may be one that a written list has before what a spreadsheet would run
    "quotes or brackets": lambda text: text.str.replace_all("'", "", literal=True).str.strip_chars(_AROUND),
    "capitals": lambda text: text.str.to_lowercase(),
    "a prefix such as GA1.2.": lambda text: text.str.replace(_PREFIX, "").str.strip_chars(_AROUND),
    "the dashes of a UUID": _without_dashes,
    "thousands marks": _without_thousands_marks,
    "a final .0": lambda text: text.str.replace(r"[.,]0+$", ""),
    "leading zeros": lambda text: text.str.strip_chars_start("0"),
}
WAYS: Final = (AS_WRITTEN, *_WAYS)


def plain_form(name: str = "user_id") -> pl.Expr:
    """The column of ids without anything that may differ between spellings of one id."""
    return _forms(name)[-1]


def with_plain_form(ids: pl.DataFrame) -> pl.DataFrame:
    """The distinct ids (`user_id`) with their plain form (`alike`); 12.000 twice, since it may be 12,000 or 12."""
    distinct = ids.select("user_id").unique(maintain_order=True)
    decimals = distinct.filter(pl.col("user_id").str.contains(_THOUSANDS_OR_DECIMAL))
    return pl.concat(
        [
            distinct.with_columns(plain_form().alias(ALIKE)),
            decimals.with_columns(pl.col("user_id").str.strip_suffix(".000").alias(ALIKE)),
        ]
    )


def count_ways(pairs: pl.DataFrame) -> dict[str, int]:
    """How ids (`user_id`) match others of the same plain form (`known`): as written, or the last difference that had to be
    removed. An id with several matches counts by the closest; in the order of `WAYS`, without those that nobody matches in."""
    equal = [left == right for left, right in zip(_forms("user_id"), _forms("known"), strict=True)]
    decimal = pl.lit(WAYS.index("a final .0"))  # 12.000 and 12: see `with_plain_form`
    first = pl.coalesce(*(pl.when(same).then(pl.lit(place)) for place, same in enumerate(equal)), decimal)
    closest = pairs.group_by("user_id").agg(way=first.min())["way"]
    counts = dict(closest.value_counts().iter_rows())
    return {name: counts[place] for place, name in enumerate(WAYS) if place in counts}


def _forms(name: str) -> list[pl.Expr]:
    """The ids as they are written, and with one difference after the other removed."""
    forms = [pl.col(name)]
    for remove in _WAYS.values():
        forms.append(remove(forms[-1]))
    return forms


# --- ids that have nothing in common ------------------------------------------------------------------------------------

HASH_PATTERNS: Final = {  # function -> what it makes; an MD5 hash looks like a UUID without dashes
    "sha256": r"^[0-9a-fA-F]{64}$",
    "sha1": r"^[0-9a-fA-F]{40}$",
    "md5": r"^[0-9a-fA-F]{32}$",
}
_KINDS: Final = {  # the first that fits most of the ids
    "e-mail addresses": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "SHA-256 hashes": HASH_PATTERNS["sha256"],
    "SHA-1 hashes": HASH_PATTERNS["sha1"],
    "UUIDs": r"^\{?[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?$",
    "MD5 hashes or UUIDs without dashes": HASH_PATTERNS["md5"],
    "Google Analytics client ids": r"^(GA1\.[0-9]\.)?[0-9]{6,10}\.[0-9]{10}$",
    "phone numbers": r"^\+[0-9 ()-]{7,}$",
    "whole numbers": r"^-?[0-9]+$",
}
_MOST: Final = 0.5


def kind_of(ids: pl.DataFrame) -> str:
    """What most of the ids (`user_id`) are, such as `e-mail addresses`; `text` if nothing special."""
    shares = ids.select(
        pl.col("user_id").str.contains(pattern).mean().alias(kind) for kind, pattern in _KINDS.items()
    ).row(0)
    return next((kind for kind, share in zip(_KINDS, shares, strict=True) if (share or 0) > _MOST), "text")
