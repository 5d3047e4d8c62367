"""Inputs for bench/fuzz.py: valid files and texts, and what may happen to them.

Every person in an input has PERSON in the id, so that a message that shows one can be recognised.
"""

import io
import json
import random
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

PERSON = "zq7"
_CELLS = (
    "", " ", "\t", "NULL", "nan", "inf", "-inf", "0", "-0", "-1", "1e400", "9" * 400, "9223372036854775808", "0x1F", "1,5",
    "1.234,56", "٣", "true", "'", '"', '""', "=1+1", "'=1", '="0012"', "#REF!", "(other)", "\x00", "\ufeff", "\u202e", "é",
    "e\u0301", "\U0001f468\u200d\U0001f469", "\udc80", "a\nb", "a\rb", "a,b", "a;b", "\\", "\\N", "../../etc/passwd", "{}", "[]",
    "x" * 5_000, "2024-02-30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59", "1709287200", "1709287200000", "17092872e2",
    "2024-03-01T10:00:00.123456789Z", "01/02/2024 10:00", "12:00", "infinity", "epoch", "1.23457E+15", "12345.0", "00123",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, -(2**70), 10**400, 0.5, 1e300, float("nan"), float("inf"), "", "x", "\x00", [], {}, [[]],
    {"a": []}, [None], "9" * 5_000, {"user_id": "x"}, 1.5, "\ud800", [1] * 50,
)  # fmt: skip
_BYTES = (
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80", b"\r", b"\n", b"\r\n", b"\n\n", b'"', b"'", b",",
    b";", b"\t", b"|", b"{", b"}", b"[", b"]", b"\\", b"\\u0000", b"#", b"=", b"-", b"9" * 30, b"1e999", b"null", b"\x1a",
    b"\x1f\x8b\x08\x00", b"PK\x03\x04", b"PAR1", b"\x28\xb5\x2f\xfd", b"[" * 3_000, b'{"a":' * 300, b"x" * 70_000,
)  # fmt: skip
_COLUMNS = ("user_id", "ts", "event_type", "item_id", "value", "quantity", "campaign")

DEFINITION = """name = "fans"
seed = "fans.csv"
size = "10%"
scorer = "auto"
suppress = ["a.csv", "b.csv"]
negative = ["c.csv"]
before = "category = DOG FOODS"
where = ["country = FR"]
drop_features = ["x"]
disjoint_from = ["other"]
balance = true
reasons = false
format = "csv"
"""
SETTINGS = """[ingest]
timezone = "Europe/Berlin"
max_rejected_share = 0.5
[train]
encoder = "mean"
objective = "all_action+0.5*episodes"
dim = 16
window_days = 90
epochs = 3
finish = true
learning_rate = 0.001
random_seed = 7
[expand]
folds = 5
confidence = 0.95
min_lift = 1.0
"""
_RULES = (
    "purchase", "category = DOG FOODS", 'item_id in ("a", "b")', "event_type = purchase and category = x",
    "item = a or item = b", "price >= 10", 'title contains "dog \\" food"', "country != FR", "brand = x, y, z",
)  # fmt: skip
_FLAGS = {
    "expand": ("--size", "--name", "--scorer", "--before", "--where", "--min-lift", "--format", "--allow-unmatched"),
    "train": ("--encoder", "--objective", "--dim", "--window", "--epochs", "--as-of", "--from", "--device", "--random-seed"),
    "embed": ("--run", "--as-of", "--sessions", "--map"),
    "ingest": ("--map", "--context", "--timezone", "--items", "--users"),
    "report": (),
    "overlap": (),
    "suppress": ("--reason", "--until", "--allow-unmatched"),
    "status": (),
}  # fmt: skip


# --- bytes and texts ---------------------------------------------------------------------------------------------------


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """The content with one to eight changes of its bytes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 8, 64, 1_000)))
        rng.choice(_CHANGES)(data, at, end, rng)
    return bytes(data)


def _flip(data: bytearray, at: int, _: int, rng: random.Random) -> None:
    if at < len(data):
        data[at] ^= 1 << rng.randrange(8)


def _insert(data: bytearray, at: int, _: int, rng: random.Random) -> None:
    data[at:at] = rng.choice(_BYTES)


def _replace(data: bytearray, at: int, end: int, rng: random.Random) -> None:
    data[at:end] = rng.choice(_BYTES)


def _delete(data: bytearray, at: int, end: int, _: random.Random) -> None:
    del data[at:end]


def _repeat(data: bytearray, at: int, end: int, rng: random.Random) -> None:
    data[at:at] = data[at:end] * rng.choice((1, 2, 50))


def _cut(data: bytearray, at: int, _: int, rng: random.Random) -> None:
    del data[at:]


def _swap_lines(data: bytearray, _: int, __: int, rng: random.Random) -> None:
    lines = data.split(b"\n")
    rng.shuffle(lines)
    data[:] = b"\n".join(lines)


_CHANGES: tuple[Callable[[bytearray, int, int, random.Random], None], ...] = (
    _flip, _flip, _insert, _insert, _replace, _delete, _repeat, _cut, _swap_lines,
)  # fmt: skip


def encoded(text: str, rng: random.Random) -> bytes:
    """The text in an encoding that an export may have; what it lacks is replaced."""
    name = rng.choice(("utf-8",) * 8 + ("utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252", "utf-32", "cp1251"))
    return text.encode(name, errors="surrogatepass" if name == "utf-8" else "replace")


def _maybe(content: bytes, rng: random.Random, share: float = 0.6) -> bytes:
    return changed_bytes(content, rng) if rng.random() < share else content


# --- tables ------------------------------------------------------------------------------------------------------------


def _rows(rng: random.Random) -> list[list[str]]:
    """A table of events with its header; some cells are strange."""
    columns = list(_COLUMNS[: rng.choice((3, 4, 4, 7))])
    rows = [columns]
    for _ in range(rng.choice((0, 1, 5, 30, 30))):
        kind = rng.choice(("view", "purchase"))
        moment = f"2024-03-{rng.randrange(1, 29):02d} 1{rng.randrange(10)}:00:00"
        row = [f"{PERSON}-user-{rng.randrange(9)}", moment, kind, f"item{rng.randrange(5)}", "9.99", "2", "spring"]
        rows.append(row[: len(columns)])
    share = rng.choice((0, 0, 0.02, 0.2))
    for row in rows[rng.random() < 0.9 :]:
        for place in range(len(row)):
            if rng.random() < share:
                row[place] = rng.choice(_CELLS)
    if rng.random() < 0.1:
        rng.shuffle(columns)
    if rng.random() < 0.1:
        del rows[0]
    return rows


def _csv(rows: list[list[str]], rng: random.Random) -> str:
    separator, quote = rng.choice(",,,;\t|"), rng.choice(('"', '"', '"', ""))
    always, end = rng.random() < 0.2, rng.choice(("\n", "\n", "\r\n", "\r"))

    def cell(text: str) -> str:
        if quote and (always or any(each in text for each in (separator, quote, "\n", "\r"))):
            return quote + text.replace(quote, quote * 2) + quote
        return text

    return end.join(separator.join(map(cell, row)) for row in rows) + end * rng.randrange(2)


def _objects(rows: list[list[str]], rng: random.Random) -> list[Any]:
    found: list[Any] = [dict(zip(_COLUMNS, row, strict=False)) for row in rows[1:]]
    for entry in found:
        for key in list(entry):
            if rng.random() < 0.03:
                entry[key] = rng.choice(_VALUES)
            if rng.random() < 0.02:
                del entry[key]
    if rng.random() < 0.1:
        found.insert(rng.randrange(len(found) + 1), rng.choice(_VALUES))
    return found


def _parquet(rng: random.Random) -> bytes:
    """A table whose columns have the types that Parquet knows."""
    import polars as pl

    number = rng.choice((0, 1, 20))
    users: tuple[Any, ...] = (
        pl.Series([f"{PERSON}-user-{rng.randrange(9)}" for _ in range(number)]),
        pl.Series([rng.choice((float("nan"), 1.0, 12345.0, None, 1e17)) for _ in range(number)], dtype=pl.Float64),
        pl.Series([rng.randrange(10**9) for _ in range(number)], dtype=pl.Int64),
        pl.Series([rng.randrange(10**9) for _ in range(number)], dtype=pl.Int64).cast(pl.Decimal(18, 9)),
        pl.Series([b"\xff\x00"] * number, dtype=pl.Binary),
        pl.Series([["a"]] * number, dtype=pl.List(pl.String)),
        pl.Series([{"id": "a"}] * number, dtype=pl.Struct({"id": pl.String})),
        pl.Series([None] * number, dtype=pl.Null),
        pl.Series(["a"] * number, dtype=pl.Categorical),
        pl.Series([True] * number, dtype=pl.Boolean),
    )
    seconds = [rng.choice((1_709_287_200, 0, -(10**10), 2**40, None)) for _ in range(number)]
    times = pl.Series(seconds, dtype=pl.Int64)
    moments: tuple[Any, ...] = (
        (times.fill_null(0) % 2**33 * 10**6).cast(pl.Datetime("us")),
        (times.fill_null(0) % 2**33 * 10**9).cast(pl.Datetime("ns")),
        (times * 1_000).cast(pl.Datetime("ms", "UTC")),
        times,
        times.cast(pl.Float64),
        times.cast(pl.String),
        pl.Series([None] * number, dtype=pl.Date),
        pl.Series([None] * number, dtype=pl.Time),
    )
    value = pl.Series([rng.choice((1.5, float("nan"), float("inf"), None)) for _ in range(number)], dtype=pl.Float64)
    first, second = (0, 0) if rng.random() < 0.4 else (rng.randrange(len(users)), rng.randrange(len(moments)))
    frame = pl.DataFrame({
        "user_id": users[first],
        "ts": moments[second],
        "event_type": pl.Series(["view"] * number, dtype=pl.String),
        "item_id": users[rng.randrange(len(users)) if rng.random() < 0.2 else 2],
        "value": value,
    })  # fmt: skip
    buffer = io.BytesIO()
    frame.select(rng.sample(frame.columns, rng.choice((5, 5, 3)))).write_parquet(
        buffer, row_group_size=rng.choice((None, 3))
    )
    return buffer.getvalue()


def _csv_file(rng: random.Random) -> tuple[str, bytes]:
    return rng.choice((".csv", ".tsv", ".txt", ".CSV", "")), _maybe(encoded(_csv(_rows(rng), rng), rng), rng)


def _json_lines_file(rng: random.Random) -> tuple[str, bytes]:
    lines = (json.dumps(entry, ensure_ascii=rng.random() < 0.5) for entry in _objects(_rows(rng), rng))
    text = rng.choice(("\n", "\n", "\r\n", "\n\n")).join(lines)
    return rng.choice((".jsonl", ".ndjson", ".txt")), _maybe(encoded(text, rng), rng)


def _json_file(rng: random.Random) -> tuple[str, bytes]:
    text = json.dumps(_objects(_rows(rng), rng), indent=rng.choice((None, 1)))
    return ".json", _maybe(encoded(text, rng), rng)


def _parquet_file(rng: random.Random) -> tuple[str, bytes]:
    return rng.choice((".parquet", ".parquet", ".csv")), _maybe(_parquet(rng), rng, 0.4)


LOGS: dict[str, Callable[[random.Random], tuple[str, bytes]]] = {
    "csv": _csv_file,
    "jsonl": _json_lines_file,
    "json": _json_file,
    "parquet": _parquet_file,
}


def log(kind: str, rng: random.Random) -> tuple[str, bytes]:
    """Suffix and content of a log of a kind, sometimes packed."""
    import gzip

    suffix, content = LOGS[kind](rng)
    if kind != "parquet" and rng.random() < 0.05:
        return f"{suffix}.gz", _maybe(gzip.compress(content), rng, 0.3)
    return suffix, content


def ids(rng: random.Random) -> tuple[str, bytes]:
    """Suffix and content of a list of ids."""
    if rng.random() < 0.3:
        kind = rng.choice(("jsonl", "json", "parquet"))
        return log(kind, rng)
    rows = [["user_id", "value", "ts"]]
    for _ in range(rng.choice((0, 1, 10, 40))):
        rows.append([f"{PERSON}-user-{rng.randrange(99)}", rng.choice(("1", "2.5")), "2024-03-01"])
    share = rng.choice((0, 0.02, 0.3))
    rows = [[rng.choice(_CELLS) if rng.random() < share else cell for cell in row] for row in rows]
    width = rng.choice((1, 1, 2, 3))
    rows = [row[:width] for row in rows[rng.random() < 0.1 :]]
    return rng.choice((".csv", ".csv", ".txt", ".tsv")), _maybe(encoded(_csv(rows, rng), rng), rng, 0.4)


# --- texts of the analyst ----------------------------------------------------------------------------------------------


def toml(text: str, rng: random.Random) -> bytes:
    """A settings file or definition of which keys, values or bytes are others."""
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(lines))
        key, _, _value = lines[at].partition(" = ")
        lines[at] = rng.choice((
            f"{key} = {rng.choice(_TOML_VALUES)}",
            f"{rng.choice(_TOML_KEYS)} = {_value or 1}",
            lines[at] + "\n" + lines[at],
            rng.choice(lines),
            f"[{key}]",
            f"[[{key}]]",
        ))  # fmt: skip
    return _maybe("\n".join(lines).encode(errors="surrogatepass"), rng, 0.4)


_TOML_VALUES = (
    "1", "-1", "0", "1.5", "nan", "inf", "-inf", "9" * 30, "9" * 5_000, "true", '""', '"\\u0000"', '"x"', "[]", "[1]", '["a", 1]',
    "{}", "{a = 1}", "2024-01-01", "2024-01-01T00:00:00Z", "07:30:00", '"' + "x" * 3_000 + '"', "[[]]", "0x1F", "1e400",
    "'''a\nb'''", '"../../up"', '"/etc/passwd"', '"auto"', '"5%"', '"٣%"', "[" * 500 + "]" * 500,
)  # fmt: skip
_TOML_KEYS = (
    "seed",
    "seeds",
    "size",
    "name",
    '""',
    '"a.b"',
    "a.b.c",
    "seed.x",
    "train",
    "exec",
    '"\\u0000"',
    "__class__",
    "expand",
)


def rule(rng: random.Random) -> str:
    """A rule or condition of which tokens, characters or nesting are others."""
    text = rng.choice(_RULES)
    for _ in range(rng.choice((0, 1, 2, 4))):
        at = rng.randrange(len(text) + 1)
        token = rng.choice((
            "(", ")", '"', "'", "=", "!=", ">=", "<", ",", " and ", " or ", " not ", " in ", "\\", "\x00", "\n", "é", "%",
            rng.choice(string.printable), rng.choice(_CELLS), "(" * 300, "a = b or " * 200, '"' * 7, "\u202e", "1e400", "٣",
        ))  # fmt: skip
        text = text[:at] + token + text[at + rng.choice((0, 0, 1, 5)) :]
    return text


def flags(rng: random.Random, folder: Path) -> list[str]:
    """A command line with one to three flags of strange values."""
    command = rng.choice(tuple(_FLAGS))
    words = [command, *(["add"] if command == "suppress" else [])]
    if command in ("ingest", "suppress", "overlap"):
        words.append(rng.choice((str(folder / "none.csv"), "*", "[", "/dev/null", "x" * 300, "\udc80.csv", "")))
    for _ in range(rng.randrange(4)):
        if _FLAGS[command]:
            cells = [cell for cell in _CELLS if "\x00" not in cell]  # no process is given one
            words += [
                rng.choice(_FLAGS[command]),
                rng.choice((*cells, "5%", "auto", "2024-01-01", "90d", "user_id=a", rule(rng))),
            ]
    return words


# --- stored files --------------------------------------------------------------------------------------------------------


def artefact(name: str, content: bytes, rng: random.Random) -> bytes:
    """A stored file with other values of JSON, or other bytes."""
    if not name.endswith(".json") or rng.random() < 0.3:
        return changed_bytes(content, rng)
    document = json.loads(content)
    for _ in range(rng.choice((1, 1, 3))):
        document = _other_value(document, rng)
    return json.dumps(document).encode()


def _other_value(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        others = {name: each for name, each in value.items() if name != key}
        what = rng.random()
        if what < 0.1:
            return others
        return others | {rng.choice(("x", "", "name")) if what < 0.15 else key: _other_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        return [*value[:place], _other_value(value[place], rng), *value[place + 1 :]]
    return rng.choice(_VALUES)
