"""Whether the lists of an audience can be used, and what is warned of."""

from typing import Any

import pytest

from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion.messages import (
    BusySeeds,
    FewNegatives,
    LowMatchRate,
    NearMatches,
    SeveralAudiences,
    SuppressedAlike,
    UnderrepresentedSubAudience,
    UnmatchedSuppression,
    WithoutVectors,
)
from lookalike.expansion.result import SeedMatch, SeedProfile, SubAudience, SubAudienceShare
from lookalike.expansion.seed_checks import (
    check_droppable,
    check_seed,
    list_warnings,
    profile_warnings,
    share_warnings,
)
from lookalike.expansion.suppression_figures import Suppression

NO_SUPPRESSION = Suppression(given=0, matched=0)


def match_of(matched: int, distinct: int = 100, near: dict[str, int] | None = None, **figures: int) -> SeedMatch:
    return SeedMatch(
        given=distinct,
        distinct=distinct,
        duplicates=0,
        matched=matched,
        unmatched=distinct - matched,
        suppressed=0,
        match_rate=matched / distinct,
        near_matches=sum((near or {}).values()),
        differences=near or {},
        without_vector=figures.get("without_vector", 0),
    )


def refusal_of(match: SeedMatch, users: int = 1_000, force: bool = False) -> ExpansionError:
    with pytest.raises(ExpansionError) as refused:
        check_seed(match, users, "seed.csv", force)
    return refused.value


# --- lists that cannot be used ---------------------------------------------------------------------------------------


def test_a_seed_that_matches_nobody_is_refused_with_the_likely_reasons() -> None:
    error = refusal_of(match_of(0))
    assert error.message == "seed.csv: 0 of 100 ids match a known user (0.00%)"
    assert "ids are compared exactly" in error.hint
    hint = refusal_of(match_of(0, near={"capitals": 28, "leading zeros": 2}, without_vector=5)).hint
    assert "30 ids differ from the log's only by the way they are written (28 in capitals, 2 in leading zeros)" in hint
    assert "5 ids are known but have no vector" in hint


@pytest.mark.parametrize("force", [False, True])
def test_fewer_than_five_seeds_cannot_be_measured(force: bool) -> None:
    assert "fewer than 5 cannot be measured" in refusal_of(match_of(4), force=force).message


def test_fewer_than_25_seeds_are_measured_only_with_force() -> None:
    error = refusal_of(match_of(24))
    assert "24 of 100 ids match a known user (24.00%); fewer than 25 are too few" in error.message
    assert "--force" in error.hint
    check_seed(match_of(24), 1_000, "seed.csv", force=True)
    check_seed(match_of(25), 1_000, "seed.csv", force=False)


def test_a_seed_of_everybody_leaves_nobody_to_rank() -> None:
    assert "every user is a seed" in refusal_of(match_of(100), users=100, force=True).message


def test_only_columns_of_the_aggregates_can_be_dropped() -> None:
    aggregates = ("log_events", "log_days", "category=toys")
    assert check_droppable(aggregates, ("category=toys", "log_events")) == ("category=toys", "log_events")
    with pytest.raises(SettingsError, match="no feature is called 'log_event'") as refused:
        check_droppable(aggregates, ("log_event",))
    assert "similar: log_events" in refused.value.hint
    with pytest.raises(SettingsError) as refused:
        check_droppable(aggregates, ("xyz",))
    assert "log_events, log_days, category=toys" in refused.value.hint


# --- warnings --------------------------------------------------------------------------------------------------------


def test_lists_that_match_well_have_no_warning() -> None:
    assert list_warnings(match_of(100), NO_SUPPRESSION, None) == ()
    assert list_warnings(match_of(80), Suppression(given=3, matched=3), 5) == ()


@pytest.mark.parametrize(
    ("match", "suppression", "negatives", "warning"),
    [
        (match_of(100), Suppression(given=3, matched=1, unmatched=2), None, UnmatchedSuppression(ids=2, given=3)),
        (
            match_of(100),
            Suppression(given=3, matched=1, alike=2, ways={"as written": 1, "capitals": 2}),
            None,
            SuppressedAlike(users=2, ways={"as written": 1, "capitals": 2}),
        ),
        (match_of(79), NO_SUPPRESSION, None, LowMatchRate(unmatched=21, distinct=100, matched=79)),
        (match_of(90, near={"spaces": 4}), NO_SUPPRESSION, None, NearMatches(ids=4, ways={"spaces": 4})),
        (match_of(90, without_vector=6), NO_SUPPRESSION, None, WithoutVectors(ids=6)),
        (match_of(100), NO_SUPPRESSION, 4, FewNegatives(matched=4)),
    ],
    ids=lambda value: value.code if hasattr(value, "code") else "",
)
def test_a_list_that_matches_badly_has_a_warning(
    match: SeedMatch, suppression: Suppression, negatives: int | None, warning: object
) -> None:
    assert list_warnings(match, suppression, negatives) == (warning,)


def profile_of(**figures: Any) -> SeedProfile:
    plain = {
        "median_events": 5,
        "others_median_events": 5,
        "median_days_since": 5,
        "others_median_days_since": 5,
        "mean_cosine": 0.5,
        "others_mean_cosine": 0,
        "sub_audiences": (),
        "busy": 0,
        "outliers": 0,
        "leaks": (),
        "lift_without_leaks": None,
        "gain_of_doubling": None,
        "gain_of_splitting": None,
        "splitting_reliable": False,
    }
    return SeedProfile(**(plain | figures))


def test_several_audiences_are_warned_of_only_if_splitting_reliably_finds_more() -> None:
    parts = (SubAudience(share=0.7, more_of=()), SubAudience(share=0.3, more_of=()))
    reliable = profile_of(sub_audiences=parts, splitting_reliable=True)
    assert profile_warnings(reliable, 100) == (SeveralAudiences(shares=(0.7, 0.3)),)
    assert profile_warnings(profile_of(sub_audiences=parts), 100) == ()


@pytest.mark.parametrize(
    ("busy", "seeds", "warned"), [(2, 40, False), (3, 40, True), (20, 1_000, False), (21, 1_000, True)]
)
def test_busy_seeds_are_warned_of_if_there_are_many(busy: int, seeds: int, warned: bool) -> None:
    expected = (BusySeeds(busy=busy, seeds=seeds),) if warned else ()
    assert profile_warnings(profile_of(busy=busy), seeds) == expected


def test_a_sub_audience_with_less_than_half_of_its_share_is_warned_of() -> None:
    shares = tuple(
        SubAudienceShare(seed_share=seed, list_share=listed, more_of=())
        for seed, listed in ((0.5, 0.76), (0.3, 0.15), (0.2, 0.09))
    )
    assert share_warnings(shares) == (UnderrepresentedSubAudience(number=3, list_share=0.09, seed_share=0.2),)
    assert share_warnings(()) == ()
