"""The shipped sample data: as its README describes, built from its source, and with a script that evaluates a list."""

import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from lookalike.expansion import audience

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample_data"
SOURCE = ROOT.parent / "shared" / "bench" / "tasks" / "online_retail"


def script(name: str) -> ModuleType:
    """A script of the sample data, imported."""
    spec = importlib.util.spec_from_file_location(f"sample_{name}", SAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def ids(name: str, folder: Path = SAMPLE) -> set[str]:
    return set(pl.read_csv(folder / f"{name}.csv", schema_overrides={"user_id": pl.String})["user_id"])


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return pl.read_parquet(SAMPLE / "events.parquet")


LISTS = [SAMPLE, SAMPLE / "newcomers"]


@pytest.mark.parametrize("folder", LISTS, ids=lambda folder: folder.name)
def test_seed_suppression_and_truth_are_disjoint_known_customers(folder: Path) -> None:
    users = set(pl.read_parquet(SAMPLE / "users.parquet")["user_id"])
    seed, suppressed, truth = (ids(name, folder) for name in ("seed", "suppress", "truth"))
    assert len(seed | suppressed | truth) == len(seed) + len(suppressed) + len(truth)
    assert seed | suppressed | truth <= users


@pytest.mark.parametrize("folder", LISTS, ids=lambda folder: folder.name)
def test_the_log_ends_before_the_first_seed_became_one(events: pl.DataFrame, folder: Path) -> None:
    seed = pl.read_csv(folder / "seed.csv", try_parse_dates=True)
    assert events["ts"].max() < seed["ts"].dt.replace_time_zone("UTC").min()  # type: ignore[operator]


def test_previous_buyers_of_the_range_are_suppressed_for_newcomers(events: pl.DataFrame) -> None:
    items = pl.read_parquet(SAMPLE / "items.parquet").filter(pl.col("description").str.contains("DOILY"))
    bought = events.join(items, on="item_id", how="semi").filter(pl.col("event_type") == "purchase")
    assert set(bought["user_id"].drop_nulls()) == ids("suppress", SAMPLE / "newcomers")


def test_guests_are_in_the_log_and_the_users_table_has_all_customers(events: pl.DataFrame) -> None:
    assert events["user_id"].null_count() > 50_000
    customers = events["user_id"].drop_nulls().unique().sort().to_list()
    assert pl.read_parquet(SAMPLE / "users.parquet")["user_id"].sort().to_list() == customers


def test_the_readme_has_the_row_counts() -> None:
    text = (SAMPLE / "README.md").read_text(encoding="utf-8")
    files = [file.relative_to(SAMPLE).as_posix() for file in SAMPLE.rglob("*") if file.suffix in (".parquet", ".csv")]
    assert len(files) == 9
    for file in files:
        read = pl.read_parquet if file.endswith("parquet") else pl.read_csv
        assert f"| `{file}` | {read(SAMPLE / file).height:,} |" in text


def test_the_sample_is_smaller_than_three_megabytes() -> None:
    assert sum(file.stat().st_size for file in SAMPLE.rglob("*") if file.is_file()) < 3_000_000


def test_the_source_is_attributed() -> None:
    text = (SAMPLE / "README.md").read_text(encoding="utf-8")
    assert all(words in text for words in ("Chen, D. (2015)", "10.24432/C5BW33", "CC BY 4.0", "Changes made"))


@pytest.mark.parametrize("definition", sorted((ROOT / "audiences").glob("*.toml")), ids=lambda path: path.stem)
def test_a_shipped_definition_is_valid_and_its_files_exist(definition: Path) -> None:
    loaded = audience.load_definition(definition)
    assert loaded.name == definition.stem
    files = (loaded.seed, *loaded.suppress)
    assert all(isinstance(file, Path) and file.is_file() for file in files)


@pytest.mark.real
def test_the_script_builds_the_sample_from_its_source(tmp_path: Path) -> None:
    if not SOURCE.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{SOURCE}: the real logs must be there in CI")
        pytest.skip("the benchmark's logs are not here")
    script("build").build(SOURCE, tmp_path)
    built = [file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file()]
    assert len(built) == 9
    for file in built:
        read = pl.read_parquet if file.suffix == ".parquet" else pl.read_csv
        assert read(tmp_path / file).equals(read(SAMPLE / file)), file


def test_the_script_gives_a_perfect_list_the_highest_lift_and_a_random_list_none(tmp_path: Path) -> None:
    judge = script("judge").judge
    users = set(pl.read_parquet(SAMPLE / "users.parquet")["user_id"]) - ids("seed") - ids("suppress")
    best, random = tmp_path / "best.csv", tmp_path / "random.csv"
    pl.DataFrame({"user_id": sorted(ids("truth"))}).write_csv(best)
    by_hash = sorted(users, key=lambda user: hashlib.md5(user.encode()).digest())
    pl.DataFrame({"user_id": by_hash[:500]}).write_csv(random)
    figures = judge(best)
    assert figures.hits == figures.buyers == 84
    assert figures.lift == pytest.approx(len(users) / 84)
    low, high = judge(random).band
    assert low < 1 < high


def test_the_script_refuses_a_list_with_a_suppressed_customer(tmp_path: Path) -> None:
    listed = tmp_path / "listed.csv"
    pl.DataFrame({"user_id": sorted(ids("suppress"))[:1]}).write_csv(listed)
    with pytest.raises(SystemExit, match="of 1 listed, 1 are seed, suppressed or unknown"):
        script("judge").judge(listed)


def test_wilson_interval_matches_a_published_value() -> None:
    # Newcombe (1998), table I: 81 of 263, score method without continuity correction.
    low, high = script("judge").wilson(81, 263, 1.959964)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
