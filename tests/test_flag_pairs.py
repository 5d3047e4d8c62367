"""Every two flags of `expand` go together, or are refused with a reason: never a bug."""

import itertools
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.main import get_command

from lookalike.cli.app import app, main
from small_log import TRAIN, Command, Inputs, fans_with_moments, id_file, user_ids

pytest_plugins = ("space_fixtures",)

SETTINGS = "[train]\ncontent_dim = 8\ngroup_columns = 16\n[expand]\nrepeats = 1\nfolds = 2\nbackground = 200\n"
# Each flag with a value or two; those with a file are completed below.
FLAGS: dict[str, tuple[str, ...]] = {
    "a count": ("--size", "20"),
    "auto": ("--size", "auto"),
    "everybody": ("--size", "100%"),
    "name": ("--name", "other"),
    "logistic": ("--scorer", "logistic"),
    "boosted": ("--scorer", "boosted"),
    "suppress": ("--suppress", "suppressed.csv"),
    "unmatched": ("--allow-unmatched", "10%"),
    "negative": ("--negative", "negative.csv"),
    "before an event": ("--before", "purchase"),
    "before a rule": ("--before", "family = garden"),
    "as of now": ("--as-of-now",),
    "doers": ("--include-doers",),
    "where": ("--where", "country = FR"),
    "dropped": ("--drop-features", "log_events"),
    "disjoint": ("--disjoint-from", "first"),
    "split": ("--split",),
    "balance": ("--balance",),
    "reasons": ("--reasons",),
    "backtest": ("--backtest",),
    "parquet": ("--format", "parquet"),
    "least lift": ("--min-lift", "1.1"),
    "force": ("--force",),
}
SEEDS: dict[str, tuple[str, ...]] = {
    "dated": ("--seed", "dated.csv"),
    "plain": ("--seed", "fans.csv"),
    "valued": ("--seed", "valued.csv"),
    "rule": ("--seed-rule", "family = garden and event_type = purchase"),
}
ALWAYS = {"--size", "--name", "--replace"}  # given in every call


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Path:
    """A trained workspace whose people have a country, with a list `first`; the files of the flags beside it."""
    folder = tmp_path_factory.mktemp("pairs")
    ids = user_ids()
    pl.DataFrame({"user_id": ids, "country": ["FR", "FR", "DE"] * 100}).write_csv(folder / "users.csv")
    fans_with_moments().head(50).write_csv(folder / "dated.csv")
    pl.DataFrame({"user_id": ids[:50], "value": range(1, 51)}).write_csv(folder / "valued.csv")
    id_file(folder / "negative.csv", ids[200:240])
    for file in (inputs.seed, inputs.suppressed):
        shutil.copy(file, folder)
    (folder / "space").mkdir()
    (folder / "space" / "lookalike.toml").write_text(SETTINGS)
    for words in (
        ("ingest", inputs.log, "--items", inputs.items, "--users", folder / "users.csv"),
        TRAIN,
        ("expand", "--seed", inputs.others, "--size", "15", "--name", "first", "--force"),
    ):
        assert main(["--workspace", str(folder / "space"), "--quiet", "--json", *map(str, words)]) == 0
    return folder


def test_every_flag_is_tried() -> None:
    command = get_command(app).commands["expand"]  # type: ignore[attr-defined]
    known = {flag for each in command.params if each.param_type_name == "option" for flag in each.opts}
    tried = {words[0] for words in (*FLAGS.values(), *SEEDS.values())}
    assert known - tried - ALWAYS - {"--help"} == set()


def fails(space: Path, capsys: pytest.CaptureFixture[str], seed: str, flags: tuple[str, ...]) -> str:
    """What a call says if it ends with another code than 0, 2 or 5, or with 2 or 5 but not two lines; else nothing."""
    words = [*SEEDS[seed], *(word for flag in flags for word in FLAGS[flag])]
    words = [str(space / word) if word.endswith(".csv") else word for word in words]
    words += ["--size", "5%"] if "--size" not in words else []
    words += ["--name", "pair"] if "--name" not in words else []
    command = Command(capsys, space / "space")
    ran = command("--quiet", "--json", "expand", *words, "--replace")
    if ran.code == 0:
        return ""
    lines = [line.split(":")[0] for line in ran.err.splitlines()[-2:]]
    return "" if ran.code in (2, 5) and lines == ["error", "hint"] else f"{seed} {flags}: {ran.code} {ran.err[-300:]}"


@pytest.mark.parametrize("seed", SEEDS)
def test_each_flag_alone(space: Path, capsys: pytest.CaptureFixture[str], seed: str) -> None:
    quick = list(FLAGS)[list(SEEDS).index(seed) :: len(SEEDS)]  # each flag once
    assert [failed for flag in quick if (failed := fails(space, capsys, seed, (flag,)))] == []


@pytest.mark.slow
@pytest.mark.parametrize("first", FLAGS)
def test_every_pair_of_flags(space: Path, capsys: pytest.CaptureFixture[str], first: str) -> None:
    """The kinds of seeds take turns, dated ones every second time: they ask the most."""
    kinds = itertools.cycle(("dated", "plain", "dated", "valued", "dated", "rule"))
    later = list(FLAGS)[list(FLAGS).index(first) + 1 :]
    failed = [fails(space, capsys, next(kinds), (first, second)) for second in later]
    assert [each for each in failed if each] == []
