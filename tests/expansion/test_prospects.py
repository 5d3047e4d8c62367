"""The ranked list: made in one pass, described, explained and written."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expansion_context import THREE_FOLDS, measured, opened_context
from expansion_examples import selection_of
from lookalike.data import id_lists
from lookalike.data.id_lists import IdFrame
from lookalike.embeddings.linear import Linear
from lookalike.expansion import explanations, prospects, seed_profile
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.curves import marginal_band
from lookalike.expansion.explanations import SeedClusters
from lookalike.expansion.measurement import Measurement
from lookalike.expansion.prospects import ProspectList, describe, list_tiers, rank_prospects, write_list
from lookalike.expansion.ranking.scan import RankingRequest
from lookalike.expansion.result import ListDescription
from lookalike.expansion.seed import Seed
from lookalike.expansion.selection import tiers
from lookalike.workspace.settings import ExpandSettings
from small_log import FANS, events, items, user_ids

pytest_plugins = ("space_fixtures",)

NOBODY = np.zeros(0, np.int64)
TWO_TASTES = [*user_ids()[:60], *user_ids()[FANS : FANS + 60]]


@pytest.fixture
def context(trained_space: Path) -> Iterator[ExpansionContext]:
    with opened_context(trained_space) as context:
        yield context


def request_for(context: ExpansionContext, column: str, size: int, excluded: np.ndarray = NOBODY) -> RankingRequest:
    """The list of those with the most in one column."""
    weights = np.zeros(context.representation.layout.width)
    weights[context.representation.layout.column(column)] = 1
    return RankingRequest(Linear(weights), size, excluded)


def audience_of(ids: list[str], size: int = 40, **fields: object) -> Audience:
    seed = IdFrame(pl.DataFrame({"user_id": ids}), "the seed")
    return Audience("a", seed, Size(count=size), **{"scorer": "logistic", **fields})


def described(context: ExpansionContext, audience: Audience) -> tuple[Measurement, ProspectList, ListDescription]:
    measurement = measured(context, audience, force=True)
    assert measurement.request is not None
    (ranked,) = rank_prospects(context, [measurement.request])
    return measurement, *describe(context, measurement, ranked)


# --- ranking ---------------------------------------------------------------------------------------------------------


def test_a_list_has_ranks_ids_scores_and_tiers(context: ExpansionContext) -> None:
    excluded = np.arange(0, 300, 2)
    (ranked,) = rank_prospects(context, [request_for(context, "log_events", 30, excluded)])
    frame = ranked.frame
    assert frame.columns == ["rank", "user_id", "score", "tier"]
    assert frame["rank"].to_list() == list(range(1, 31))
    assert frame["score"].is_sorted(descending=True)
    assert frame["user_id"].to_list() == context.index.ids(ranked.rows).to_list()
    assert frame["tier"].to_list() == tiers(30, context.settings.tiers).tolist()
    assert not set(ranked.rows.tolist()) & set(excluded.tolist())
    column = context.representation.layout.column("log_events")
    stored = np.concatenate([context.representation.gather(np.array([row]))[:, column] for row in ranked.rows])
    assert np.array_equal(frame["score"].to_numpy(), stored.astype(np.float64))
    assert ranked.explanations is None


def test_several_lists_are_made_in_one_pass(context: ExpansionContext, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    rank = prospects.rank
    monkeypatch.setattr(
        prospects, "rank", lambda live, requests, *more: passes.append(len(requests)) or rank(live, requests, *more)
    )
    requests = [request_for(context, "log_events", 30), request_for(context, "log_days", 20)]
    together = rank_prospects(context, requests)
    assert passes == [2]
    for request, ranked in zip(requests, together, strict=True):
        (alone,) = rank_prospects(context, [request])
        assert np.array_equal(ranked.rows, alone.rows)
        assert ranked.frame.equals(alone.frame)


def test_without_a_request_no_user_is_read(context: ExpansionContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prospects, "rank", None)
    assert rank_prospects(context, []) == []


# --- tiers -----------------------------------------------------------------------------------------------------------


def test_every_tier_has_its_ranks_its_scores_and_the_lift_of_its_ranks_alone() -> None:
    frame = pl.DataFrame(
        {"rank": [1, 2, 3, 4, 5], "user_id": list("abcde"), "score": [5.0, 4, 3, 2, 1], "tier": tiers(5, 2)}
    )
    selection = selection_of(np.random.default_rng(0).random((2, 60)) ** 4, 0.05, candidates=100)
    first, second = list_tiers(frame, selection)
    assert [(tier.tier, tier.from_rank, tier.to_rank, tier.users) for tier in (first, second)] == [
        (1, 1, 3, 3),
        (2, 4, 5, 2),
    ]
    assert [(tier.highest_score, tier.lowest_score) for tier in (first, second)] == [(5, 3), (2, 1)]
    for tier, (begin, end) in ((first, (0, 0.03)), (second, (0.03, 0.05))):
        lift = marginal_band(selection.own_quantiles, begin, end, selection.bands)
        assert (tier.lift, tier.lift_low, tier.lift_high) == (lift.value, lift.low, lift.high)
    assert list_tiers(frame.clear(), selection) == ()


def test_tiers_of_a_list_behind_another_have_the_lift_of_later_ranks() -> None:
    frame = pl.DataFrame({"rank": [1, 2], "user_id": list("ab"), "score": [2.0, 1.0], "tier": [1, 1]})
    quantiles = np.random.default_rng(0).random((2, 60)) ** 4
    selection = selection_of(quantiles, 0.05, candidates=100, begin=0.1)
    (tier,) = list_tiers(frame, selection)
    assert tier.lift == pytest.approx(marginal_band(quantiles, 0.1, 0.12, selection.bands).value)


# --- the description -------------------------------------------------------------------------------------------------


def test_a_list_is_compared_with_all_eligible_users(trained_space: Path) -> None:
    suppressed = IdFrame(pl.DataFrame({"user_id": user_ids()[-20:]}), "the suppression list")
    audience = audience_of(user_ids()[:40], suppress=(suppressed,))
    with opened_context(trained_space, replace(THREE_FOLDS, min_cell=10)) as context:
        _, ranked, description = described(context, audience)
    comparison = description.over_index
    assert (comparison.audience_users, comparison.base_users, comparison.min_cell) == (40, 280, 10)
    more = [row for group in comparison.groups if group.title == "Items" for row in group.rows]
    assert len(more) > 5
    assert all("garden" in row.label for row in more[:5])
    listed = events().filter(pl.col("user_id").is_in(ranked.frame["user_id"].implode()))
    with_title = listed.join(items(), on="item_id").group_by("title").agg(pl.col("user_id").n_unique())
    counts = dict(with_title.iter_rows())
    assert all(row.audience_count == counts[row.label.partition(" (")[0]] for row in more)
    assert [tier.users for tier in description.tiers] == [8] * 5
    assert (description.clusters, ranked.explanations) == (None, None)
    assert description.shares == (), "the seed is one audience"


@pytest.mark.parametrize(("size", "compared"), [(100, True), (40, False)])
def test_the_first_tier_is_compared_with_the_last_if_both_are_large_enough(
    trained_space: Path, size: int, compared: bool
) -> None:
    with opened_context(trained_space, replace(THREE_FOLDS, tiers=2)) as context:
        _, _, description = described(context, audience_of(user_ids()[:40], size))
    comparison = description.between_tiers
    if not compared:
        assert comparison is None
        return
    assert comparison is not None
    assert (comparison.audience_users, comparison.base_users) == (50, 50)
    assert [row.label for group in comparison.groups for row in group.rows]


def test_a_list_with_one_tier_has_no_last_tier_to_compare_with(trained_space: Path) -> None:
    with opened_context(trained_space, replace(THREE_FOLDS, tiers=1)) as context:
        _, _, description = described(context, audience_of(user_ids()[:40], 100))
    assert description.between_tiers is None


def test_the_list_has_a_share_of_each_sub_audience_and_balance_keeps_those_of_the_seed(
    context: ExpansionContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_profile, "MIN_SEPARATION", 0.0)  # the two halves of so small a log hardly stand apart
    monkeypatch.setattr(seed_profile, "MIN_STABILITY", -1.0)
    monkeypatch.setattr(seed_profile, "MAX_SUB_AUDIENCES", 2)

    def largest_difference(description: ListDescription) -> float:
        return max(abs(share.list_share - share.seed_share) for share in description.shares)

    _, _, plain = described(context, audience_of(TWO_TASTES))
    measurement, _, balanced = described(context, audience_of(TWO_TASTES, balance=True))
    assert sum(share.list_share for share in plain.shares) == pytest.approx(1)
    assert [share.seed_share for share in balanced.shares] == [part.share for part in measurement.sub_audiences.parts]
    assert largest_difference(balanced) < 0.12
    assert largest_difference(balanced) < largest_difference(plain)


# --- explanations ----------------------------------------------------------------------------------------------------


def traits_by_user() -> dict[str, set[str]]:
    """The labels of the items, families and words that each user met."""
    met = events().join(items(), on="item_id").group_by("user_id").agg(pl.col("title", "family").unique())
    return {
        user: {
            *(f"item {title}" for title in titles),
            *(f"family {family}" for family in families),
            *(f"word {word}" for title in titles for word in title.split()),
        }
        for user, titles, families in met.iter_rows()
    }


def test_each_prospect_has_a_line_of_what_they_met(context: ExpansionContext) -> None:
    _, ranked, description = described(context, audience_of(user_ids()[:40], reasons=True))
    lines, met = ranked.explanations, traits_by_user()
    assert lines is not None
    assert lines.columns == ["rank", "user_id", "cluster", "shared"]
    assert lines.select("rank", "user_id").equals(ranked.frame.select("rank", "user_id"))
    assert description.clusters is not None
    assert set(lines["cluster"]) <= {cluster.cluster for cluster in description.clusters}
    assert lines["shared"].is_not_null().mean() > 0.9
    for user, text in lines.drop_nulls("shared").select("user_id", "shared").iter_rows():
        assert 1 <= len(text.split("; ")) <= explanations.TRAITS_SHOWN
        assert {*text.split("; ")} <= met[user]
    # the seed's taste is what most of them share
    assert lines["shared"].str.contains("garden").mean() > 0.8


def test_of_a_seed_with_a_moment_only_earlier_events_are_read(context: ExpansionContext) -> None:
    moment = datetime(2024, 2, 1, tzinfo=UTC)
    seed = Seed(np.array([3, 5, 8]), NOBODY, moment=np.array([int(moment.timestamp()), 2**40, 2**40]))
    clusters = SeedClusters(np.eye(3), np.array([0, 1]))
    frame = prospects._seed_clusters(context, seed, np.array([3, 8]), clusters)
    assert frame["user_id"].to_list() == context.index.ids(np.array([3, 8])).to_list()
    assert frame["cluster"].to_list() == [0, 1]
    assert frame["until"].to_list() == [datetime(2024, 2, 1), context.cut.as_of], "never later than the cut"
    undated = prospects._seed_clusters(context, replace(seed, moment=None), np.array([3, 8]), clusters)
    assert undated["until"].to_list() == [context.cut.as_of] * 2


# --- on disk ---------------------------------------------------------------------------------------------------------


def test_a_list_is_written_with_its_explanations(context: ExpansionContext, tmp_path: Path) -> None:
    _, ranked, _ = described(context, audience_of(user_ids()[:40], reasons=True))
    for form in ("csv", "parquet"):
        folder = tmp_path / form
        folder.mkdir()
        assert write_list(ranked, folder, form) == 0
        assert sorted(path.name for path in folder.iterdir()) == [f"prospects.{form}", f"reasons.{form}"]
        assert id_lists.read_list(folder / f"prospects.{form}")["user_id"].equals(ranked.frame["user_id"])
        assert ranked.explanations is not None
        assert id_lists.read_list(folder / f"reasons.{form}").equals(ranked.explanations)


def test_without_explanations_there_is_no_second_file(tmp_path: Path) -> None:
    frame = pl.DataFrame({"rank": [1], "user_id": ["u1"], "score": [0.5], "tier": [1]})
    write_list(ProspectList(np.array([1]), frame), tmp_path, "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["prospects.csv"]


def test_ids_and_texts_that_a_spreadsheet_would_run_are_escaped_and_the_ids_counted(tmp_path: Path) -> None:
    frame = pl.DataFrame({"rank": [1, 2], "user_id": ["=1+1", "u2"], "score": [0.5, 0.2], "tier": [1, 1]})
    lines = pl.DataFrame({"rank": [1, 2], "user_id": ["=1+1", "u2"], "cluster": [1, 1], "shared": ["=x", "-y"]})
    ranked = ProspectList(np.array([1, 2]), frame, lines)
    assert write_list(ranked, tmp_path, "csv") == 1
    assert (tmp_path / "prospects.csv").read_text().splitlines()[1].split(",")[1] == "'=1+1"
    shared = [line.split(",")[3] for line in (tmp_path / "reasons.csv").read_text().splitlines()[1:]]
    assert shared == ["'=x", "'-y"]
    assert write_list(ranked, tmp_path, "parquet") == 0
    assert pl.read_parquet(tmp_path / "prospects.parquet")["user_id"].to_list() == ["=1+1", "u2"]


def test_the_comparison_of_small_lists_hides_small_cells(trained_space: Path) -> None:
    settings = ExpandSettings(repeats=2, folds=3, min_cell=30)
    with opened_context(trained_space, settings) as context:
        _, _, description = described(context, audience_of(user_ids()[:40]))
    for group in description.over_index.groups:
        for row in (*group.rows, *group.less):
            assert min(row.audience_count, row.base_count) >= 30
    assert sum(group.hidden for group in description.over_index.groups) > 50
