"""Known truth through the whole program: a planted interest is found, and without one no list is promised."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import Tiny
from lookalike.api.expand import ExpandRequest, expand
from lookalike.data import database
from lookalike.data.arrays import Rows
from lookalike.embeddings.representation import live_version
from lookalike.expansion import metrics
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.examples import Examples, build_examples
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.ranking.scan import RankingRequest, rank
from lookalike.expansion.result import Evaluation
from lookalike.expansion.scorers.rank_ensemble import Score
from lookalike.expansion.seed import Seed
from lookalike.expansion.selection import fit_scorer, select
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from lookalike.workspace.settings import ExpandSettings
from planted_log import SMALL, Population, planted, trained

CHEAP = ExpandSettings(repeats=2, folds=4, background=600)
NOBODY = np.zeros(0, np.int64)


@contextlib.contextmanager
def opened(workspace: WorkspaceFolder, settings: ExpandSettings = CHEAP) -> Iterator[ExpansionContext]:
    """The context of a workspace, without a learned prior."""
    with database.open_in(workspace, read_only=True) as db, workspace.scratch() as scratch:
        yield ExpansionContext(
            folder=workspace,
            database=db,
            representation=live_version(workspace),
            prior=None,
            settings=settings,
            progress=QuietProgress(),
            scratch=scratch,
        )


@pytest.fixture
def context(tiny_run: Tiny) -> Iterator[ExpansionContext]:
    with opened(tiny_run.workspace) as context:
        yield context


def no_progress(done: int) -> None:
    return


def rows_of(context: ExpansionContext, users: list[str]) -> Rows:
    return context.index.match({"users": pl.DataFrame({"user_id": users})})["users"].rows


def examples_of(context: ExpansionContext, seed: list[str]) -> Examples:
    return build_examples(context, Seed(rows_of(context, seed), NOBODY))


def ranked(context: ExpansionContext, score: Score, size: int, excluded: Rows = NOBODY) -> Rows:
    """The user rows of the best so many."""
    request = RankingRequest(score, size, excluded)
    return rank(context.representation, [request], no_progress)[0].rows


def fans(log: Population, count: int, random_seed: int = 0) -> tuple[list[str], set[str]]:
    """Some of the users with interest 0, and the others with it."""
    everyone = log.with_interest(0)
    chosen = np.random.default_rng(random_seed).permutation(len(everyone))[:count]
    seed = [everyone[position] for position in chosen]
    return seed, set(everyone) - set(seed)


# --- a planted interest ----------------------------------------------------------------------------------------------


def test_a_planted_interest_is_expanded_with_the_lift_that_was_predicted(
    context: ExpansionContext, tiny_run: Tiny
) -> None:
    seed, others = fans(tiny_run.population, 50)
    examples = examples_of(context, seed)
    selection = select(examples, "auto", len(others), CHEAP, no_progress)
    assert selection.verdict.expand
    held_out_lift = metrics.lift(selection.quantiles[selection.scorer], selection.share)
    score = fit_scorer(examples, selection.scorer, CHEAP)
    listed = context.index.ids(ranked(context, score, len(others), rows_of(context, seed)))
    true_lift = len(others.intersection(listed)) / len(others) / selection.share
    assert true_lift > 3
    assert held_out_lift == pytest.approx(true_lift, rel=0.25)


def test_every_scorer_finds_the_planted_interest_and_activity_does_not(
    context: ExpansionContext, tiny_run: Tiny
) -> None:
    seed, _ = fans(tiny_run.population, 60)
    quantiles = select(examples_of(context, seed), "auto", 60, CHEAP, no_progress).quantiles
    assert {"centroid", "logistic", ACTIVITY} <= quantiles.keys()
    for name, values in quantiles.items():
        if name == ACTIVITY:
            assert metrics.auc(values) == pytest.approx(0.5, abs=0.12)
        else:
            assert metrics.auc(values) > 0.8, name


def test_seeds_and_suppressed_users_are_skipped_and_the_next_best_move_up(
    context: ExpansionContext, tiny_run: Tiny
) -> None:
    seed, others = fans(tiny_run.population, 50)
    suppressed = rows_of(context, sorted(others)[::2])
    score = fit_scorer(examples_of(context, seed), "logistic", CHEAP)
    everybody = ranked(context, score, context.representation.users).tolist()
    excluded = np.union1d(rows_of(context, seed), suppressed)
    listed = ranked(context, score, 60, excluded).tolist()
    assert listed == [row for row in everybody if row not in set(excluded.tolist())][:60]


# --- no interest in common -------------------------------------------------------------------------------------------

Draw = Callable[[Population, np.random.Generator], list[str]]


def random_users(log: Population, rng: np.random.Generator) -> list[str]:
    return [log.user_ids[position] for position in rng.permutation(len(log.user_ids))[:60]]


def active_users(log: Population, rng: np.random.Generator) -> list[str]:
    """As active as converters are, and alike in nothing else."""
    weights = log.activity / log.activity.sum()
    return [log.user_ids[position] for position in rng.choice(len(log.user_ids), 60, replace=False, p=weights)]


@pytest.mark.slow
@pytest.mark.parametrize("draw", [random_users, active_users])
def test_seeds_without_a_common_interest_are_refused(tiny_run: Tiny, draw: Draw) -> None:
    expanded = 0
    for run in range(40):
        seed = draw(tiny_run.population, np.random.default_rng([run, 5]))
        settings = ExpandSettings(repeats=1, folds=4, background=600, random_seed=run)
        size = None if run % 4 == 0 else 54
        with opened(tiny_run.workspace, settings) as context:
            selection = select(examples_of(context, seed), "auto", size, settings, no_progress)
        expanded += selection.verdict.expand
    assert expanded <= 3


# --- the verb --------------------------------------------------------------------------------------------------------


def audience(folder: Path, users: list[str], size: int, name: str = "fans") -> Audience:
    seed = folder / f"{name}.csv"
    pl.DataFrame({"user_id": users}).write_csv(seed)
    return Audience(name, seed, Size(count=size))


def test_a_refused_seed_has_figures_and_no_list(tiny_run: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny_run.workspace.root, tmp_path / "space")
    workspace = WorkspaceFolder(tmp_path / "space")
    seed = random_users(tiny_run.population, np.random.default_rng([1, 9]))
    request = ExpandRequest([audience(tmp_path, seed, 50, "anybody")])
    (result,) = expand(workspace, request, CHEAP, QuietProgress())
    assert (result.verdict.decision, result.prospects_file, result.prospects) == ("do not expand", None, None)
    folder = workspace.audience("anybody")
    assert not list(folder.glob("prospects.*"))
    evaluation = Evaluation.read(folder / "evaluation.json")
    assert evaluation == result.evaluation
    assert evaluation.held_out.low <= 1 or evaluation.held_out.activity_lift >= 1


@pytest.mark.slow
def test_the_order_of_the_log_and_of_the_seed_changes_no_byte_of_the_list(tmp_path: Path) -> None:
    log = planted(250, seed=6)
    seed, _ = fans(log, 25)
    lists = []
    for turn, events in enumerate((log.events, log.events.sample(fraction=1, shuffle=True, seed=3))):
        items = log.items.sample(fraction=1, shuffle=True, seed=turn)
        shuffled = Population(events, items, log.interest, log.user_ids, log.activity)
        workspace = trained(tmp_path / str(turn), shuffled, SMALL)
        request = ExpandRequest([audience(tmp_path, seed if turn == 0 else seed[::-1], 40)], force=True)
        expand(workspace, request, CHEAP, QuietProgress())
        lists.append((workspace.audience("fans") / "prospects.csv").read_bytes())
    assert lists[0] == lists[1]
