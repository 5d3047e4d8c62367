"""Whether the lists of an audience can be used, and what to warn of."""

import difflib

from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion.messages import (
    BusySeeds,
    ExpansionWarning,
    FewNegatives,
    LowMatchRate,
    NearMatches,
    SeveralAudiences,
    SuppressedAlike,
    UnderrepresentedSubAudience,
    UnmatchedSuppression,
    WithoutVectors,
)
from lookalike.expansion.result import SeedMatch, SeedProfile, SubAudienceShare
from lookalike.expansion.suppression_figures import Suppression, differences

MIN_MEASURABLE_SEEDS = 5  # fewer cannot be held out
MIN_SEEDS = 25  # a list made from fewer would follow their chance traits
GOOD_MATCH_RATE = 0.8
MAX_BUSY_SHARE = 0.02
MIN_KEPT_SHARE = 0.5  # of a sub-audience's share in the seed, below which the list neglects it


def check_seed(match: SeedMatch, users: int, name: str, force: bool) -> None:
    """Raises ExpansionError when the seed is too small, or everybody. `force` lets through what can be measured."""
    summary = f"{name}: {match.matched:,} of {match.distinct:,} ids match a known user ({match.match_rate:.2%})"
    reasons = "; ".join(_mismatch_reasons(match))
    if not match.matched:
        hint = reasons or "ids are compared exactly; check that the seed uses the log's user ids"
        raise ExpansionError(summary, hint)
    if match.matched < MIN_MEASURABLE_SEEDS:
        raise ExpansionError(
            f"{summary}; fewer than {MIN_SEEDS} are too few for a list, and fewer than {MIN_MEASURABLE_SEEDS} cannot be measured",
            reasons or "give a larger seed; figures are informative from about 100 users on",
        )
    if match.matched < MIN_SEEDS and not force:
        raise ExpansionError(
            f"{summary}; fewer than {MIN_SEEDS} are too few for a list",
            reasons or "--force measures them without making a list; figures are informative from about 100 users on",
        )
    if match.matched == users:
        raise ExpansionError(
            f"{summary}: every user is a seed, nobody is left to rank", "give the users you want more of"
        )


def check_others(others: int) -> None:
    """Raises ExpansionError when hardly anybody of the background is no seed, so that nobody can be ranked among them."""
    if others < MIN_MEASURABLE_SEEDS:
        raise ExpansionError(
            f"too few people are left to compare the seeds with: {others}, and at least {MIN_MEASURABLE_SEEDS} are needed",
            "give a smaller seed, or suppress fewer users",
        )


def _mismatch_reasons(match: SeedMatch) -> list[str]:
    """Why ids match nobody, as hints."""
    reasons = []
    if match.near_matches:
        reasons.append(
            f"{match.near_matches:,} ids differ from the log's only by the way they are written "
            f"({differences(match.differences)}): write them as the log does"
        )
    if match.without_vector:
        reasons.append(f"{match.without_vector:,} ids are known but have no vector: lookalike embed adds newcomers")
    return reasons


def list_warnings(match: SeedMatch, suppression: Suppression, negatives: int | None) -> tuple[ExpansionWarning, ...]:
    """What an analyst should know of the lists before trusting the result. `negatives`: known users among the negative
    examples, None if none were given."""
    warnings: list[ExpansionWarning] = []
    if suppression.unmatched:
        warnings.append(UnmatchedSuppression(ids=suppression.unmatched, given=suppression.given))
    if suppression.alike:
        warnings.append(SuppressedAlike(users=suppression.alike, ways=suppression.ways))
    if match.match_rate < GOOD_MATCH_RATE:
        warnings.append(LowMatchRate(unmatched=match.unmatched, distinct=match.distinct, matched=match.matched))
    if match.near_matches:
        warnings.append(NearMatches(ids=match.near_matches, ways=match.differences))
    if match.without_vector:
        warnings.append(WithoutVectors(ids=match.without_vector))
    if negatives is not None and negatives < MIN_MEASURABLE_SEEDS:
        warnings.append(FewNegatives(matched=negatives))
    return tuple(warnings)


def check_droppable(aggregates: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, all of them aggregate columns. Raises SettingsError for any other."""
    for name in names:
        if name not in aggregates:
            near = difflib.get_close_matches(name, aggregates, 3, 0.5)
            raise SettingsError(
                f"no feature is called {name[:60]!r}",
                f"similar: {', '.join(near) or ', '.join(aggregates[:5])}; the report names those that stand out",
            )
    return names


def profile_warnings(profile: SeedProfile, seeds: int) -> tuple[ExpansionWarning, ...]:
    """What of a seed's profile must not be missed."""
    warnings: list[ExpansionWarning] = []
    if profile.sub_audiences and profile.splitting_reliable:
        warnings.append(SeveralAudiences(shares=tuple(part.share for part in profile.sub_audiences)))
    if profile.busy > max(2, MAX_BUSY_SHARE * seeds):
        warnings.append(BusySeeds(busy=profile.busy, seeds=seeds))
    return tuple(warnings)


def share_warnings(shares: tuple[SubAudienceShare, ...]) -> tuple[ExpansionWarning, ...]:
    """Which sub-audiences of the seed the list neglects."""
    return tuple(
        UnderrepresentedSubAudience(number=number, list_share=share.list_share, seed_share=share.seed_share)
        for number, share in enumerate(shares, 1)
        if share.list_share < MIN_KEPT_SHARE * share.seed_share
    )
