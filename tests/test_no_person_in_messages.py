"""No cell of a file is printed when a command fails, wherever in a file a person is."""

import itertools
import json
from pathlib import Path

import polars as pl
import pytest

import lookalike as la
from lookalike.errors import LookalikeError, without_quotes
from small_log import Command, Inputs, user_ids

pytest_plugins = ("space_fixtures",)

PERSON = "jane.roe@example.org"
WHO = ("jane.roe", "roe@example")
SEED = [["user_id", "value", "ts"], *([user, "1", "2024-02-01"] for user in user_ids()[:30])]
LOG = [
    ["user_id", "ts", "event_type", "item_id", "value"],
    *(["u1", f"2024-02-{day:02d}", "view", "i1", "2"] for day in range(1, 9)),
]


def tables(rows: list[list[str]]) -> list[list[list[str]]]:
    """The table with the person in each position of its first three rows; without its first row; and with ragged rows."""
    found = []
    for row, column in itertools.product(range(3), range(len(rows[0]))):
        changed = [list(cells) for cells in rows]
        changed[row][column] = PERSON
        found += [changed, changed[1:] if row else [changed[0]] * 3]
        found += [[*changed, [PERSON] * 9], [[cells[column]] for cells in changed], [[PERSON], *changed]]
    return [*found, [[PERSON]] * 3, [[PERSON, PERSON + "x"]] * 2]


def files(folder: Path, rows: list[list[str]]) -> list[Path]:
    """The tables, each as a CSV, one with a quote that is never closed, or JSON lines."""
    folder.mkdir()
    made = []
    for number, table in enumerate(tables(rows)):
        lines = [",".join(cells) for cells in table]
        suffix, lines = (
            ("csv", lines),
            ("open.csv", [*lines, f'"{PERSON},1', "2,3"]),
            ("jsonl", [json.dumps(dict(zip(table[0], cells, strict=False))) for cells in table[1:] or table]),
        )[number % 3]
        made.append(folder / f"{number}.{suffix}")
        made[-1].write_text("\n".join(lines) + "\n")
    return made


def assert_nobody_is_named(text: str) -> None:
    assert not any(part in text for part in WHO), text


def test_no_command_that_fails_names_a_person(ready: Command, tmp_path: Path) -> None:
    failed = 0
    for number, file in enumerate(files(tmp_path / "logs", LOG)):
        words = ((), ("--map", "user_id=customer"), ("--items", file), ("--context", "camp"))[number % 4]
        ran = ready("ingest", "--dry-run", file, *words)
        if ran.code:
            failed += 1
            assert ran.code in (2, 3, 4), ran
            assert_nobody_is_named(ran.out + ran.err)
    assert failed > 40


def test_no_list_that_is_refused_names_a_person(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    failed = 0
    for number, file in enumerate(files(tmp_path / "lists", SEED)):
        # the scorer is refused last, so that no list is made
        seed = ("--seed", file) if number % 2 else ("--seed", inputs.seed, "--suppress", file)
        ran = ready("expand", *seed, "--size", "5", "--scorer", "no such")
        assert ran.code in (2, 3, 4, 5), ran
        failed += "no scorer" not in ran.err
        assert_nobody_is_named(ran.out + ran.err)
    assert failed > 10


@pytest.mark.parametrize(
    "seed",
    [
        [PERSON, "b.csv"],
        [f"{PERSON}.csv"],
        [PERSON, 1.5],
        pl.DataFrame({PERSON: [1], "b": [2]}),
        pl.DataFrame({"user_id": ["a"], "value": [PERSON]}),
        pl.DataFrame({"user_id": ["a"], "ts": [PERSON]}),
        pl.DataFrame({"user_id": [[PERSON]]}),
    ],
    ids=range(7),
)
def test_no_error_of_a_value_from_python_names_a_person(ready: Command, seed: object) -> None:
    with pytest.raises(LookalikeError) as raised:
        la.open(ready.workspace).expand(seed, 5)  # type: ignore[arg-type]
    assert_nobody_is_named(raised.value.message + raised.value.hint)


def test_a_damaged_list_names_nobody(expanded: Command) -> None:
    for text in (
        f"rank,user_id,score,tier\n{PERSON},1,2,3\n",
        f"{PERSON},2\n1,2\n",
        f'rank,user_id\n"{PERSON}\n1,2,3\n',
    ):
        (expanded.workspace / "audiences" / "fans" / "prospects.csv").write_text(text)
        ran = expanded("overlap", "fans", "fans2")
        assert ran.code == 4
        assert_nobody_is_named(ran.err)


def test_what_a_library_quotes_is_left_out() -> None:
    assert (
        without_quotes(f'Could not convert string "{PERSON}" to INT\nLine: {PERSON}')
        == 'Could not convert string "…" to INT'
    )
    assert without_quotes(f"could not parse `{PERSON}` as `i64`") == "could not parse `…`"
    assert without_quotes(f'could not parse `"{PERSON}\nx`') == "could not parse `…`"
    assert without_quotes("division by zero") == "division by zero"
    assert without_quotes("") == ""


def test_short_ids_in_the_place_of_headings_are_not_named(fresh: Command, tmp_path: Path) -> None:
    for number, first in enumerate((["jane7"], ["jane7", "i1"], ["jane-7 ", "2"], ["jane 3-01 1::00", "view"])):
        (file := tmp_path / f"{number}.csv").write_text("\n".join([",".join(first)] * 3))
        ran = fresh("ingest", file)
        assert ran.code == 3
        assert "jane" not in ran.out + ran.err
        assert "header line" in ran.complaint[1]
