"""Why each prospect is listed: clusters of the seed, and the traits that a prospect shares with one."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expansion_context import memory_context, opened_context
from expansion_examples import examples_of
from lookalike.embeddings.layout import BlockLayout
from lookalike.expansion import explanations
from lookalike.expansion.explanations import (
    SeedClusters,
    TraitGroups,
    cluster_seed,
    cluster_traits,
    describe_clusters,
    nearest_cluster,
    shared_traits,
)
from lookalike.workspace.settings import ExpandSettings
from small_log import FANS, events, items, user_ids

pytest_plugins = ("space_fixtures",)

# --- clusters --------------------------------------------------------------------------------------------------------


def test_every_seed_has_a_cluster_and_the_largest_is_the_first() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(3)
    kind = np.repeat([0, 1, 2], [200, 100, 60])
    vectors = centres[kind] + rng.normal(0, 0.05, (360, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    clusters = cluster_seed(vectors.astype(np.float32))
    sizes = np.bincount(clusters.of)
    assert len(clusters.of) == 360
    assert (np.diff(sizes) <= 0).all()
    assert len(clusters) == len(clusters.centres) == len(sizes)
    assert cluster_seed(vectors[:30].astype(np.float32)).of.tolist() == [0] * 30


def test_users_are_in_the_nearest_cluster_whatever_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanations, "USERS_PER_STEP", 7)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 4)).astype(np.float32)
    representation = memory_context(vectors, ("log_events",), 3, ExpandSettings()).representation
    centres, rows = rng.normal(size=(4, 3)), rng.permutation(50)
    expected = np.argmax(vectors[rows, :3] @ centres.T, axis=1)
    assert np.array_equal(nearest_cluster(representation, rows, centres), expected)
    assert len(nearest_cluster(representation, rows[:0], centres)) == 0


def test_a_cluster_is_described_by_its_shares_and_its_features() -> None:
    names = ("category=a", "category=b")
    values = np.zeros((20, 3))
    values[:6, 1], values[6:10, 2] = 1, 1
    examples = examples_of(values, np.arange(10))
    clusters = SeedClusters(centres=np.eye(2), of=np.repeat([0, 1], [6, 4]))
    layout = BlockLayout({"sequence": 1, "content": 0, "aggregates": 2}, names)
    first, second = describe_clusters(clusters, examples, layout, np.array([0, 0, 0, 1]))
    assert (first.cluster, first.seed_share, first.list_share) == (1, 0.6, 0.75)
    assert (second.cluster, second.seed_share, second.list_share) == (2, 0.4, 0.25)
    assert (first.more_of, second.more_of) == (("category=a",), ("category=b",))


# --- traits ----------------------------------------------------------------------------------------------------------


def traits_of(inside: list[int], everybody: list[int], size: int, base: int, min_users: int = 25) -> pl.DataFrame:
    """The traits of one cluster of so many seeds, from counts of users who have met each item."""
    count = len(inside)
    counts = pl.DataFrame(
        {
            "cluster": [0] * count,
            "attribute": [""] * count,
            "value": [f"v{n}" for n in range(count)],
            "inside": inside,
            "everybody": everybody,
            "label": [f"item {n}" for n in range(count)],
        }
    )
    seed = pl.DataFrame({"user_id": [f"u{n}" for n in range(size)], "cluster": [0] * size})
    return cluster_traits(counts, seed, base, min_users)


def test_a_trait_is_what_the_cluster_has_more_often_and_the_heaviest_comes_first() -> None:
    traits = traits_of([20, 40, 5], [300, 100, 100], size=50, base=1_000)
    assert traits["label"].to_list() == ["item 1", "item 0"]  # a tenth of both have met the third
    assert traits["weight"].is_sorted(descending=True)
    assert traits.columns == ["cluster", "attribute", "value", "label", "weight"]


def test_what_few_users_have_met_is_no_trait() -> None:
    assert traits_of([20], [24], size=50, base=5_000).is_empty()
    assert traits_of([20], [25], size=50, base=5_000).height == 1
    assert traits_of([25], [3], size=50, base=5_000).height == 1
    assert traits_of([4], [90], size=5, base=10_000).is_empty()


def test_a_cluster_has_at_most_so_many_traits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanations, "MAX_TRAITS", 2)
    traits = traits_of([20, 40, 30], [100, 100, 100], size=50, base=1_000)
    assert traits["label"].to_list() == ["item 1", "item 2"]


def shared(space: Path, hidden: tuple[str, ...] = (), min_users: int = 1) -> pl.DataFrame:
    """What the fans who are no seeds share with the seed, in one cluster."""
    fans = user_ids()[:FANS]
    with opened_context(space) as context:
        until = pl.lit(context.cut.as_of, pl.Datetime("us"))
        groups = TraitGroups(
            seed=pl.DataFrame({"user_id": fans[:40], "cluster": [0] * 40}).with_columns(until=until),
            prospects=pl.DataFrame({"user_id": fans[40:], "cluster": [0] * (FANS - 40)}),
            base=pl.DataFrame({"user_id": user_ids()}),
        )
        return shared_traits(context.database, groups, context.cut, min_users, hidden)


def met_items() -> dict[str, set[str]]:
    titles = items().select("item_id", label="item " + pl.col("title"))
    return {
        user: set(labels)
        for user, labels in events().join(titles, on="item_id").group_by("user_id").agg("label").iter_rows()
    }


def test_a_prospect_shares_only_items_that_they_met(trained_space: Path) -> None:
    result, met = shared(trained_space), met_items()
    assert len(result) > 40
    for user, text in result.iter_rows():
        assert 1 <= len(text.split("; ")) <= explanations.TRAITS_SHOWN
        assert set(text.split("; ")) <= met[user]


def test_traits_of_too_few_users_and_hidden_columns_are_not_named(trained_space: Path) -> None:
    attributes = shared(trained_space, min_users=100)  # no item was met by as many
    texts = attributes["shared"].to_list()
    assert any("family garden" in text for text in texts)
    assert not any("item" in text for text in texts)
    without = shared(trained_space, ("family=garden",), min_users=100)["shared"].to_list()
    assert without
    assert not any("family garden" in text for text in without)
