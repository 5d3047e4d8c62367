"""The ranked list: made in one pass over all users, described, explained, and written."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from lookalike.data import behaviour, id_lists
from lookalike.data.arrays import Rows, is_member
from lookalike.data.id_spellings import ALIKE, plain_form, with_plain_form
from lookalike.errors import ExpansionError
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.curves import marginal_band
from lookalike.expansion.explanations import (
    SeedClusters,
    TraitGroups,
    cluster_seed,
    describe_clusters,
    nearest_cluster,
    shared_traits,
)
from lookalike.expansion.measurement import Measurement
from lookalike.expansion.over_index import GroupSizes, over_index
from lookalike.expansion.ranking.scan import RankingRequest, rank
from lookalike.expansion.result import Cluster, ListDescription, OverIndex, SubAudienceShare, Tier
from lookalike.expansion.sampling import draw_background, draw_sample
from lookalike.expansion.seed import Seed
from lookalike.expansion.selection import Selection, tiers


@dataclass(frozen=True)
class ProspectList:
    """A ranked list, with explanations if they were asked for."""

    rows: Rows  # by rank
    frame: pl.DataFrame  # rank, user_id, score, tier
    explanations: pl.DataFrame | None = None  # rank, user_id, cluster, shared


def rank_prospects(context: ExpansionContext, requests: list[RankingRequest]) -> list[ProspectList]:
    """The list of each request, made in one pass over all users."""
    if not requests:
        return []
    with context.progress.step("ranking all users", total=context.representation.users) as advance:
        rankings = rank(context.representation, requests, advance, context.executor)
    return [
        ProspectList(
            ranking.rows,
            pl.DataFrame(
                {
                    "rank": np.arange(1, len(ranking.rows) + 1),
                    "user_id": context.index.ids(ranking.rows),
                    "score": ranking.scores,
                    "tier": tiers(len(ranking.rows), context.settings.tiers),
                }
            ),
        )
        for ranking in rankings
    ]


def describe(
    context: ExpansionContext, measurement: Measurement, prospects: ProspectList
) -> tuple[ProspectList, ListDescription]:
    """The list, with explanations if they were asked for, and what is known of it."""
    settings = context.settings
    base = draw_background(
        context.representation.users, measurement.input.seed.suppressed, settings.background, settings.random_seed
    )
    sample = draw_sample(prospects.rows, settings.background, settings.random_seed)
    clusters = None
    if measurement.audience.reasons:
        prospects, clusters = _explained(context, measurement, prospects, base)
    description = ListDescription(
        tiers=list_tiers(prospects.frame, measurement.selection),
        over_index=_compare(context, sample, base),
        between_tiers=_compare_tiers(context, prospects),
        shares=_sub_audience_shares(context, measurement, sample),
        clusters=clusters,
    )
    return prospects, description


def list_tiers(frame: pl.DataFrame, selection: Selection) -> tuple[Tier, ...]:
    """The tiers of a list (`rank`, `score`, `tier`), each with the held-out lift of its ranks alone."""
    by_tier = frame.group_by("tier", maintain_order=True).agg(
        from_rank=pl.col("rank").min(),
        to_rank=pl.col("rank").max(),
        users=pl.len(),
        highest_score=pl.col("score").max(),
        lowest_score=pl.col("score").min(),
    )
    return tuple(_with_lift(row, selection) for row in by_tier.to_dicts())


def _with_lift(tier: dict[str, int | float], selection: Selection) -> Tier:
    first, last = (
        min(selection.requested.begin + rank / selection.candidates, 1.0)
        for rank in (tier["from_rank"] - 1, tier["to_rank"])
    )
    lift = marginal_band(selection.own_quantiles, first, last, selection.bands)
    return Tier.model_validate(tier | {"lift": lift.value, "lift_low": lift.low, "lift_high": lift.high})


# --- what its people do ----------------------------------------------------------------------------------------------


def _compare_tiers(context: ExpansionContext, prospects: ProspectList) -> OverIndex | None:
    """The first tier beside the last, if both are large enough."""
    settings, tier = context.settings, prospects.frame["tier"].to_numpy()
    first, last = (
        draw_sample(prospects.rows[tier == end], settings.background, settings.random_seed) for end in (1, tier[-1])
    )
    if tier[-1] == 1 or min(len(first), len(last)) < settings.min_cell:
        return None
    return _compare(context, first, last)


def _compare(context: ExpansionContext, audience: Rows, base: Rows) -> OverIndex:
    rows = np.union1d(audience, base)
    users = pl.DataFrame(
        {
            "user_id": context.index.ids(rows),
            "audience": np.isin(rows, audience).astype(np.int8),
            "base": np.isin(rows, base).astype(np.int8),
        }
    )
    counts = behaviour.behaviour_counts(context.database, users, context.cut)
    return over_index(counts, GroupSizes(len(audience), len(base)), context.settings.min_cell)


def _sub_audience_shares(
    context: ExpansionContext, measurement: Measurement, sample: Rows
) -> tuple[SubAudienceShare, ...]:
    """Each sub-audience's share of the seed and of a sample of the list; none if the seed is one audience."""
    parts = measurement.sub_audiences
    if not parts.parts:
        return ()
    vectors = measurement.examples.seed[:, context.representation.layout.columns("sequence")]
    nearest = nearest_cluster(context.representation, sample, parts.centres(vectors))
    list_shares = np.bincount(nearest, minlength=len(parts.parts)) / len(sample)
    return tuple(
        SubAudienceShare(seed_share=part.share, list_share=float(share), more_of=part.more_of)
        for part, share in zip(parts.parts, list_shares, strict=True)
    )


# --- why each of them is on it ---------------------------------------------------------------------------------------


def _explained(
    context: ExpansionContext, measurement: Measurement, prospects: ProspectList, base: Rows
) -> tuple[ProspectList, tuple[Cluster, ...]]:
    """The list with a line of explanation for each prospect, and the clusters of the seed that the lines refer to."""
    examples, layout, seed = measurement.examples, context.representation.layout, measurement.input.seed
    clusters = cluster_seed(examples.seed[:, layout.columns("sequence")])
    nearest = nearest_cluster(context.representation, prospects.rows, clusters.centres)
    groups = TraitGroups(
        seed=_seed_clusters(context, seed, examples.rows, clusters),
        prospects=prospects.frame.select("user_id", cluster=pl.Series(nearest)),
        base=context.index.ids(base).to_frame("user_id"),
        features=layout.aggregates,
    )
    with context.progress.step("explaining the list"):
        shared = shared_traits(context.database, groups, context.cut, context.settings.min_cell, seed.dropped_columns)
    lines = prospects.frame.select("rank", "user_id", cluster=pl.Series(nearest + 1)).join(
        shared, on="user_id", how="left", maintain_order="left"
    )
    return replace(prospects, explanations=lines), describe_clusters(clusters, examples, layout, nearest)


def _seed_clusters(context: ExpansionContext, seed: Seed, rows: Rows, clusters: SeedClusters) -> pl.DataFrame:
    """`user_id`, `cluster` and `until` of each seed: of a seed with moments only what was before them counts."""
    until = np.full(len(rows), np.datetime64(context.cut.as_of, "us"))
    if seed.moment is not None:
        moment = seed.moment[np.searchsorted(seed.rows, rows)]
        until = np.minimum(until, moment.astype("datetime64[s]").astype("datetime64[us]"))
    return pl.DataFrame({"user_id": context.index.ids(rows), "cluster": clusters.of, "until": until})


# --- on disk ---------------------------------------------------------------------------------------------------------


def check_nobody_barred(prospects: ProspectList, excluded: Rows, barred: pl.DataFrame) -> None:
    """Raises ExpansionError if anybody who must not be listed (by row, or by `user_id` in any spelling) is on the list.

    They were left out before the ranking; this looks at the people who are about to be written, whatever led to them.
    """
    forbidden = with_plain_form(barred).select(ALIKE)
    listed = prospects.frame.lazy().select(plain_form().alias(ALIKE)).join(forbidden.lazy(), on=ALIKE, how="semi")
    by_row = int(is_member(prospects.rows, excluded).sum())
    if count := max(by_row, int(listed.select(pl.len()).collect().item())):
        raise ExpansionError(
            f"{count:,} people who must not be listed came into the list: nothing was written",
            "this is a fault of the program; please report it",
        )


def write_list(prospects: ProspectList, folder: Path, form: str) -> int:
    """Writes the list and its explanations into a folder; gives how many ids were escaped for spreadsheets."""
    escaped = id_lists.write_prospects(prospects.frame, folder / f"prospects.{form}")
    if prospects.explanations is not None:
        id_lists.write_prospects(prospects.explanations, folder / f"reasons.{form}")
    return escaped
