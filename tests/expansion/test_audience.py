"""Audience definitions: sizes, names, and that flags and a definition file mean the same."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import SettingsError
from lookalike.expansion.audience import (
    Audience,
    AudienceFlags,
    Size,
    load_definition,
    parse_size,
    requested_audiences,
)
from lookalike.workspace.paths import checked_name


def from_flags(seed: Path, size: Size, **flags: object) -> Audience:
    """The audience of flags alone."""
    (audience,) = requested_audiences([], AudienceFlags(seed=seed, size=size, **flags))
    return audience


def definition(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# --- sizes -----------------------------------------------------------------------------------------------------------


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
def test_a_size_is_a_count_a_share_or_auto(text: str | int, size: Size) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["0", "-1", 0, -5, "0%", "100.1%", "-5%", "", "%", "5%%", "five", "1.5", "1e6", "inf", "½"]
)
def test_an_invalid_size_is_a_settings_error(text: str | int) -> None:
    with pytest.raises(SettingsError, match="size "):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("0%", "a share is above 0% and at most 100%"),
        ("150 %", "a share is above 0% and at most 100%"),
        ("-5%", "a share is above 0% and at most 100%"),
        ("0", "a count is at least 1"),
        (-5, "a count is at least 1"),
    ],
)
def test_a_size_out_of_range_names_the_limits(text: str | int, limits: str) -> None:
    with pytest.raises(SettingsError, match=f"size '{text}' is out of range: {limits}"):
        parse_size(text)


@given(st.one_of(st.integers(1, 10**9).map(str), st.integers(1, 100).map(lambda share: f"{share}%"), st.just("auto")))
def test_a_size_as_text_is_what_was_parsed(text: str) -> None:
    assert str(parse_size(text)) == text


@given(st.text(max_size=20))
def test_any_text_is_a_size_or_a_settings_error(text: str) -> None:
    try:
        size = parse_size(text)
    except SettingsError:
        return
    assert size.is_auto or size.among(1000) >= 1


@given(st.integers(1, 100), st.integers(1, 10**8))
def test_a_share_of_the_candidates_is_at_least_one_and_at_most_all(share: int, candidates: int) -> None:
    assert 1 <= Size(share=share / 100).among(candidates) <= candidates


def test_a_part_of_a_size_is_of_the_same_kind() -> None:
    assert Size(share=0.1).part(0.25) == Size(share=0.025)
    assert Size(count=10).part(0.25) == Size(count=2)
    assert Size(count=10).part(0.001) == Size(count=1)
    assert Size().part(0.25).is_auto


# --- names -----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=30))
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    try:
        checked_name(name)
    except SettingsError:
        return
    assert (Path("/audiences") / name).resolve().parent == Path("/audiences")
    assert Path(name).name == name
    assert not name.startswith(".")


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
    ids=["plain", "spaces and brackets", "umlaut", "dots", "no Latin letter", "too long", "hidden"],
)
def test_an_audience_is_named_after_its_seed_in_valid_characters(file: str, name: str) -> None:
    audience = from_flags(Path("x") / file, Size())
    assert checked_name(audience.name) == name
    assert not audience.named


def test_a_name_that_is_given_is_kept_and_checked() -> None:
    audience = from_flags(Path("seed.csv"), Size(), name="spring")
    assert (audience.name, audience.named) == ("spring", True)
    with pytest.raises(SettingsError, match="cannot be the name"):
        from_flags(Path("seed.csv"), Size(), name="../spring")


# --- definition files and flags --------------------------------------------------------------------------------------


def test_a_definition_takes_its_name_and_relative_paths_from_its_file(tmp_path: Path) -> None:
    text = 'seed = "seed.csv"\nsize = 500_000\nsuppress = ["a.csv", "sub/b.csv"]\n'
    path = definition(tmp_path / "spring-buyers.toml", text)
    assert load_definition(path) == Audience(
        name="spring-buyers",
        seed=tmp_path / "seed.csv",
        size=Size(count=500_000),
        suppress=(tmp_path / "a.csv", tmp_path / "sub" / "b.csv"),
        named=False,
        defined=True,
    )


def test_absolute_paths_of_a_definition_are_kept(tmp_path: Path) -> None:
    text = 'seed = "/data/seed.csv"\nsize = "auto"\nname = "x"\nscorer = "centroid"\nformat = "parquet"\n'
    audience = load_definition(definition(tmp_path / "d.toml", text))
    assert (audience.seed, audience.size.is_auto, audience.name) == (Path("/data/seed.csv"), True, "x")
    assert (audience.scorer, audience.format) == ("centroid", "parquet")


def test_flags_and_a_file_define_the_same_audience(tmp_path: Path) -> None:
    path = definition(tmp_path / "seed.toml", 'seed = "seed.csv"\nsize = "5%"\nscorer = "logistic"\n')
    flags = from_flags(tmp_path / "seed.csv", parse_size("5%"), scorer="logistic")
    assert replace(load_definition(path), defined=False) == flags
    assert not flags.named


def test_a_flag_replaces_a_value_of_the_file_and_lists_are_added(tmp_path: Path) -> None:
    text = 'seed = "seed.csv"\nsize = 10\nscorer = "logistic"\nsuppress = "a.csv"\ndrop_features = ["log_days"]\n'
    path = definition(tmp_path / "d.toml", text)
    flags = AudienceFlags(size=Size(count=20), suppress=(Path("b.csv"),), drop_features=("log_events",))
    (audience,) = requested_audiences([path], flags)
    assert (audience.size, audience.scorer, audience.name) == (Size(count=20), "logistic", "d")
    assert audience.suppress == (tmp_path / "a.csv", Path("b.csv"))
    assert audience.drop_features == ("log_days", "log_events")


def test_an_invalid_flag_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="format 'xlsx' is not csv or parquet"):
        from_flags(tmp_path / "seed.csv", Size(), format="xlsx")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('size = "5%"', "seed"),
        ('seed = "s.csv"\nsize = "much"', "size 'much'"),
        ('seed = "s.csv"\nsize = 5\nscorers = "logistic"', "did you mean 'scorer'"),
        ('seed = "s.csv"\nsize = 5\nformat = "xlsx"', "format"),
        ('seed = "s.csv"\nsize = 5\nname = "a/b"', "cannot be the name"),
        ('seed = "s.csv"\nsize = 5\ndisjoint_from = [".."]', "cannot be the name"),
    ],
    ids=["no seed", "size", "unknown key", "format", "name", "name of another audience"],
)
def test_a_fault_of_a_definition_is_a_settings_error(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_definition(definition(tmp_path / "d.toml", text))
    assert fault in refused.value.message


def test_seed_and_size_are_needed_and_a_definition_is_a_toml_file(tmp_path: Path) -> None:
    for flags, message in (
        (AudienceFlags(), "neither a definition nor --seed and --size were given"),
        (AudienceFlags(seed=Path("s.csv")), "--size is missing"),
        (AudienceFlags(size=Size(count=5)), "--seed or --seed-rule is missing"),
    ):
        with pytest.raises(SettingsError, match=message):
            requested_audiences([], flags)
    with pytest.raises(SettingsError, match="a definition is a TOML file") as refused:
        requested_audiences([tmp_path / "seed.csv"], AudienceFlags())
    assert "--seed" in refused.value.hint


def test_name_and_seed_are_for_one_audience(tmp_path: Path) -> None:
    paths = [definition(tmp_path / f"{name}.toml", 'seed = "s.csv"\nsize = 5\n') for name in "ab"]
    assert [audience.name for audience in requested_audiences(paths, AudienceFlags(scorer="centroid"))] == ["a", "b"]
    for flags in (AudienceFlags(name="x"), AudienceFlags(seed=Path("x.csv"))):
        with pytest.raises(SettingsError, match="is for one audience, not for 2"):
            requested_audiences(paths, flags)


def test_the_record_has_no_folder_of_the_machine(tmp_path: Path) -> None:
    audience = Audience("n", tmp_path / "s.csv", Size(share=0.05), suppress=(tmp_path / "b.csv",))
    record = audience.record()
    assert str(tmp_path) not in str(record)
    assert record.size == "5%"
    assert (record.seed, record.suppress) == ("s.csv", ("b.csv",))
