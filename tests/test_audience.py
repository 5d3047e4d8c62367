"""Audience definitions: sizes, names, and a file and flags that mean the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import SettingsError
from lookalike.expansion import audience
from lookalike.expansion.audience import Audience, Size, parse_size
from lookalike.workspace.paths import checked_name


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500000", Size(count=500_000)),
        ("500_000", Size(count=500_000)),
        ("500,000", Size(count=500_000)),
        (" 7 ", Size(count=7)),
        (7, Size(count=7)),
        ("5%", Size(share=0.05)),
        ("0.5 %", Size(share=0.005)),
        ("100%", Size(share=1.0)),
        ("auto", Size()),
        ("AUTO", Size()),
    ],
)
def test_size_is_read(text: str | int, size: Size) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["0", "-1", 0, -5, "0%", "100.1%", "-5%", "", "%", "5%%", "five", "1.5", "1e6", "inf", "½"]
)
def test_size_that_means_nothing_is_refused(text: str | int) -> None:
    with pytest.raises(SettingsError, match="size "):
        parse_size(text)


@given(st.one_of(st.integers(1, 10**9).map(str), st.integers(1, 100).map(lambda share: f"{share}%"), st.just("auto")))
def test_size_says_itself_again(text: str) -> None:
    assert str(parse_size(text)) == text


@given(st.text(max_size=20))
def test_any_text_is_a_size_or_refused_in_words(text: str) -> None:
    try:
        size = parse_size(text)
    except SettingsError:
        return
    assert size.is_auto or size.among(1000) >= 1


@given(st.integers(1, 100), st.integers(1, 10**8))
def test_share_of_candidates_is_at_least_one_and_at_most_all(share: int, candidates: int) -> None:
    assert 1 <= Size(share=share / 100).among(candidates) <= candidates


@given(st.text(max_size=30))
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    try:
        checked_name(name)
    except SettingsError:
        return
    assert (Path("/audiences") / name).resolve().parent == Path("/audiences")
    assert Path(name).name == name
    assert not name.startswith(".")


def test_definition_takes_its_name_and_its_paths_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "spring-buyers.toml"
    path.write_text('seed = "seed.csv"\nsize = 500_000\nsuppress = ["a.csv", "sub/b.csv"]\n')
    assert audience.load_definition(path) == Audience(
        name="spring-buyers",
        seed=tmp_path / "seed.csv",
        size=Size(count=500_000),
        suppress=(tmp_path / "a.csv", tmp_path / "sub" / "b.csv"),
        named=False,
        defined=True,
    )


def test_absolute_paths_of_a_definition_stay(tmp_path: Path) -> None:
    path = tmp_path / "d.toml"
    path.write_text('seed = "/data/seed.csv"\nsize = "auto"\nname = "x"\nscorer = "centroid"\nformat = "parquet"\n')
    found = audience.load_definition(path)
    assert (found.seed, found.size.is_auto, found.name) == (Path("/data/seed.csv"), True, "x")
    assert (found.scorer, found.format) == ("centroid", "parquet")


def test_flags_and_file_make_the_same_audience(tmp_path: Path) -> None:
    path = tmp_path / "seed.toml"
    path.write_text('seed = "seed.csv"\nsize = "5%"\nscorer = "logistic"\n')
    flags = audience.with_flags(
        audience.audience_for_seed(tmp_path / "seed.csv", parse_size("5%")), scorer="logistic", name=None
    )
    assert replace(audience.load_definition(path), defined=False) == flags
    assert not flags.named


def test_flag_that_is_wrong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the flags: format: "):
        audience.with_flags(audience.audience_for_seed(tmp_path / "seed.csv", Size()), format="xlsx")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("seed.csv", "seed"),
        ("spring buyers (final).csv", "spring-buyers-final"),
        ("Käufer.csv", "K-ufer"),
        ("...", "audience"),
        ("名.csv", "audience"),
        ("a" * 200 + ".csv", "a" * 100),
        (".hidden.csv", "audience"),
    ],
)
def test_audience_is_named_after_its_seed_as_far_as_that_goes(file: str, name: str) -> None:
    assert checked_name(audience.audience_for_seed(Path("x") / file, Size()).name) == name


def test_description_tells_nothing_of_the_machine(tmp_path: Path) -> None:
    made = Audience("n", tmp_path / "s.csv", Size(share=0.05), suppress=(tmp_path / "b.csv",))
    described = audience.described(made)
    assert str(tmp_path) not in str(described)
    assert described["size"] == "5%"
    assert (described["seed"], described["suppress"]) == ("s.csv", ["b.csv"])
