"""Numbers, times, definitions and settings beyond all measure: an error of two lines and its exit code, never a bug."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import lookalike as la
from lookalike.errors import SettingsError
from small_log import SETTINGS, Command, Inputs

pytest_plugins = ("space_fixtures",)

HUGE = "9" * 5_000
NUMBERS = (
    HUGE,
    f"-{HUGE}",
    str(2**31),
    str(2**63),
    str(2**64),
    "-1",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "",
    " ",
    "0x10",
    "\u0665",
)
TIMES = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0000-01-01", "2024-13-01", HUGE, "", "now")
FLAGS = ("--random-seed", "--dim", "--epochs", "--window")
DEEP = "[" * 20_000 + "]" * 20_000
DEFINITIONS: dict[str, bytes] = {
    "deep": f"seed = {DEEP}".encode(),
    "many dots": b"a." * 30_000 + b"b = 1",
    "large": b"# " + b"x" * 100_000,
    "digits": f'seed = "s.csv"\nsize = {HUGE}'.encode(),
    "types": b'seed = 5\nsize = [1]\nbalance = "x"\nsuppress = 3',
    "true": b'seed = "s.csv"\nsize = true',
    "date": b'seed = "s.csv"\nsize = 2024-01-01',
    "infinite": b'seed = "s.csv"\nsize = inf',
    "NUL": b'seed = "a\x00b"\nsize = 5',
    "Latin-1": 'seed = "m\u00fcller.csv"\nsize = 5'.encode("latin-1"),
    "UTF-16": 'seed = "s.csv"\nsize = 5'.encode("utf-16"),
    "empty": b"",
    "empty rule": b'seed_rule = ""\nsize = 5',
    "JSON": b'{"seed": "s.csv"}',
    "many keys": "\n".join(f"key{number} = 1" for number in range(2_000)).encode(),
}
TOO_LARGE = {"expand": ("random_seed", "background", "min_cell", "tiers", "folds"), "train": (
    "random_seed", "window_days", "min_events", "epochs", "epoch_events", "patience", "batch_events", "negatives",
    "learning_rate", "mask_hours", "horizon", "dim", "length",
)}  # fmt: skip


def refused(command: Command, *words: object, code: int = 2) -> str:
    """The message of a command that must fail so, with two short lines."""
    ran = command(*words)
    assert (ran.code, ran.out) == (code, ""), (words, ran)
    assert len(ran.err) < 2_000
    return ran.complaint[0]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:8])
def test_no_flag_takes_a_number_that_is_none_or_too_large(ready: Command, inputs: Inputs, number: str) -> None:
    for flag in FLAGS:
        if flag == "--epochs" or number not in ("\u0665", str(2**31)):
            refused(ready, "train", f"{flag}={number}")
    expand = ("expand", "--seed", inputs.seed, "--scorer", "no such")
    refused(ready, *expand, "--size=20", f"--min-lift={number}") if number != "\u0665" else None
    if number in (str(2**31),):
        refused(ready, *expand[:3], f"--size={number}", code=5)
    else:
        refused(ready, *expand, f"--size={number}")
        refused(ready, *expand, f"--size={number}%") if number != "\u0665" else None


@pytest.mark.parametrize("time", TIMES, ids=lambda time: time[:12])
def test_no_time_is_taken_that_is_none_in_utc(ready: Command, time: str) -> None:
    for command in ("train", "embed"):
        assert "--as-of" in refused(ready, command, f"--as-of={time}")


def test_python_is_told_so_too(ready: Command, inputs: Inputs) -> None:
    workspace = la.open(ready.workspace)
    for moment in (
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    ):
        with pytest.raises(SettingsError, match="out of range"):
            workspace.embed(as_of=moment)
    with pytest.raises(SettingsError, match="out of range"):
        workspace.expand(inputs.seed, 10**5_000)
    assert workspace.embed(as_of=datetime.max.replace(tzinfo=UTC)).users == 300


@pytest.mark.parametrize("name", DEFINITIONS)
def test_no_definition_and_no_settings_file_is_a_bug(ready: Command, inputs: Inputs, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.toml").write_bytes(DEFINITIONS[name])
    refused(ready, "expand", tmp_path / "a.toml")
    if name not in ("empty", "empty rule"):
        (ready.workspace / "lookalike.toml").write_bytes(DEFINITIONS[name])
        refused(ready, "expand", "--seed", inputs.seed, "--size", "20")


def test_a_byte_order_mark_is_no_fault(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f'\ufeffseed = "{inputs.seed}"\nsize = 5\nscorer = "no such"', encoding="utf-8")
    assert "no scorer is called" in refused(ready, "expand", tmp_path / "a.toml")


def test_every_number_of_the_settings_has_an_end(ready: Command) -> None:
    for section, keys in TOO_LARGE.items():
        for key in keys:
            (ready.workspace / "lookalike.toml").write_text(f"[{section}]\n{key} = {2**63}\n")
            assert f"{section}.{key}: must be at most" in refused(ready, "train").replace("a multiple of 8", "at most")


def test_the_largest_random_seed_works(ready: Command, inputs: Inputs) -> None:
    (ready.workspace / "lookalike.toml").write_text(SETTINGS + f"random_seed = {2**32 - 1}\n")
    assert ready("train", "--encoder", "mean", "--dim", "16", "--epochs", "1", "--random-seed", 2**32 - 1).code == 0
    assert ready("expand", "--seed", inputs.seed, "--size", "20").code in (0, 5)


@pytest.mark.parametrize("content", [DEEP, f'{{"name": {HUGE}}}', "{" * 10, "[]", "nul"], ids=lambda text: text[:9])
def test_a_wild_artefact_is_damaged(expanded: Command, content: str) -> None:
    folder = expanded.workspace / "audiences" / "fans"
    (folder / "evaluation.json").write_text(content)
    refused(expanded, "report", "fans", code=4)
    (folder / "manifest.json").write_text(content)
    refused(expanded, "status", code=4)
