"""Whether people without events are candidates beside a seed, and what is said of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import Tiny
from expansion_context import opened_context
from lookalike.api import embed, ingest
from lookalike.data.arrays import Rows
from lookalike.data.id_lists import IdFrame
from lookalike.data.ingest.options import IngestOptions
from lookalike.errors import ExpansionError
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.messages import WithoutEventsLeftOut, WithoutEventsListed
from lookalike.expansion.rule_finder import find_rule
from lookalike.expansion.seed import Seed, TwoKinds, no_rows
from lookalike.expansion.without_events import Eligibility, with_eligible
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress

USERS, NEW = 600, 400


@pytest.fixture(scope="module")
def space(tiny_run: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 users with events, and 400 whom only the users table knows."""
    root = tmp_path_factory.mktemp("eligible") / "space"
    shutil.copytree(tiny_run.workspace.root, root)
    folder, table = WorkspaceFolder(root), root.parent / "users.csv"
    pl.DataFrame({"user_id": [f"n{number:03d}" for number in range(NEW)], "plan": "free"}).write_csv(table)
    log = tiny_run.workspace.root.parent / "files" / "events.csv"
    ingest.ingest(folder, [log], IngestOptions(users=table), QuietProgress())
    embed.embed(folder, embed.EmbedRequest(), QuietProgress())
    return root


def eligible(context: ExpansionContext, active: int, lacking: int, size: Size, **changes: object) -> Eligibility:
    """Of a seed with so many people with events, and so many without."""
    with_events = np.setdiff1d(np.arange(USERS + NEW), context.without_events)
    rows = np.sort(np.concatenate([with_events[:active], context.without_events[:lacking]]))
    seed = replace(Seed(rows=rows, suppressed=no_rows()), **changes)  # type: ignore[arg-type]
    return with_eligible(context, Audience("a", IdFrame(pl.DataFrame({"user_id": ["u"]}), "seed"), size), seed)


FEW, SHARE = Size(count=50), Size(share=0.05)


def test_people_without_events_are_known(space: Path) -> None:
    with opened_context(space) as context:
        ids = context.index.ids(context.without_events)
        assert sorted(ids) == [f"n{number:03d}" for number in range(NEW)]


@pytest.mark.parametrize(
    ("active", "lacking", "size", "listed"),
    [
        (100, 0, FEW, False),
        (100, 0, SHARE, False),
        (91, 9, FEW, False),
        (90, 10, FEW, True),
        (0, 100, FEW, True),
        (100, 0, Size(count=500), False),
        (100, 0, Size(count=501), False),  # 500 others have events
        (100, 0, Size(), False),
        (600, 0, SHARE, False),
    ],
)
def test_they_are_candidates_where_seeds_have_none_whatever_size_is_asked_for(
    space: Path, active: int, lacking: int, size: Size, listed: bool
) -> None:
    with opened_context(space) as context:
        found = eligible(context, active, lacking, size)
        (warning,) = found.warnings
        nobody = context.without_events
        if listed:
            assert isinstance(warning, WithoutEventsListed)
            assert warning.users == NEW - lacking
            assert warning.candidates == USERS + NEW - active - lacking
            assert len(found.seed.rows) == active + lacking
            assert not np.isin(nobody, found.seed.suppressed).any()
        else:
            assert warning == WithoutEventsLeftOut(users=NEW, seeds=lacking)
            assert len(found.seed.rows) == active
            assert np.isin(nobody, found.seed.suppressed).all()
            assert np.isin(nobody, found.seed.outside).all()


@pytest.mark.parametrize(
    ("active", "lacking", "lift"), [(0, 100, 1 / (3 / 9)), (90, 10, 0.9 / (51 / 90)), (50, 50, 0.5 / (35 / 90))]
)
def test_the_lift_of_a_random_list_of_one_kind_is_told(space: Path, active: int, lacking: int, lift: float) -> None:
    with opened_context(space) as context:
        (warning,) = eligible(context, active, lacking, FEW).warnings
        assert isinstance(warning, WithoutEventsListed)
        assert warning.random_lift == pytest.approx(lift)
        assert warning.more_than_everybody == (lacking > 40)


@pytest.mark.parametrize("seed_share", [0.9, 0.3])
def test_the_lift_told_is_that_of_a_random_list(seed_share: float) -> None:
    """Of people of the kind that the seeds are more often, and of the others when those are all listed."""
    kinds, rng = TwoKinds(seed_share, 600, 1_000), np.random.default_rng(0)
    lacks_events = np.arange(1_000) < 600
    for size in (10, 500, 800, 1_000):
        hits = []
        for _ in range(3_000):
            hidden = np.where(rng.random(50) < seed_share, rng.integers(0, 600, 50), rng.integers(600, 1_000, 50))
            order = rng.permutation(1_000)
            listed = order[np.argsort(lacks_events[order] != kinds.more_without, kind="stable")][:size]
            hits.append(np.isin(hidden, listed).mean())
        assert np.mean(hits) * 1_000 / size == pytest.approx(kinds.random_lift(size), rel=0.12)


def test_people_kept_out_by_a_condition_are_not_counted_again(space: Path) -> None:
    with opened_context(space) as context:
        outside = context.without_events[:350]
        found = eligible(context, 100, 0, FEW, outside=outside, suppressed=outside)
        assert found.warnings == (WithoutEventsLeftOut(users=50, seeds=0),)
        everybody = context.without_events
        assert eligible(context, 100, 0, FEW, outside=everybody, suppressed=everybody).warnings == ()


def test_seeds_with_moments_are_people_with_events(space: Path) -> None:
    def moments(seeds: int) -> Rows:
        return np.full(seeds, 1_710_000_000)

    with opened_context(space) as context:
        found = eligible(context, 60, 40, FEW, moment=moments(100))
        assert found.warnings == (WithoutEventsLeftOut(users=NEW, seeds=40),)
        assert found.seed.moment is not None
        assert len(found.seed.moment) == len(found.seed.rows) == 60
        with pytest.raises(ExpansionError, match="only 4 of 104 seeds have events"):
            eligible(context, 4, 100, FEW, moment=moments(104))


def test_what_everybody_with_events_does_is_not_what_seeds_have_in_common(space: Path) -> None:
    with opened_context(space) as context:
        with_events = np.setdiff1d(np.arange(USERS + NEW), context.without_events)
        found = find_rule(context, Seed(rows=with_events[::6], suppressed=no_rows()))
        assert found is None
        assert find_rule(context, Seed(rows=context.without_events[:50], suppressed=no_rows())) is None
