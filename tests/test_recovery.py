"""Known truth through the whole path: what was planted is found, and where nothing is, nothing is promised."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from conftest import Tiny
from lookalike.api import expand
from lookalike.api.expand import How
from lookalike.embeddings import representation
from lookalike.embeddings.representation import Representation
from lookalike.embeddings.user_index import UserIndex
from lookalike.expansion import examples, metrics, selection
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.holdout import ACTIVITY
from lookalike.expansion.seed import SeedPeople
from lookalike.workspace.files import read_json
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from lookalike.workspace.settings import ExpandSettings
from planted_log import SMALL, Population, planted, trained

CHEAP = ExpandSettings(repeats=2, folds=4, background=600)
NOBODY = np.zeros(0, np.int64)


def rows_of(live: Representation, users: list[str]) -> np.ndarray:
    return UserIndex(live).match({"users": pl.DataFrame({"user_id": users})})["users"].rows


def fans(log: Population, count: int, seed: int = 0) -> tuple[list[str], set[str]]:
    """Some of the people with interest 0, and the rest of them."""
    everyone = log.with_interest(0)
    chosen = np.random.default_rng(seed).permutation(len(everyone))[:count]
    given = [everyone[at] for at in chosen]
    return given, set(everyone) - set(given)


def test_a_planted_interest_is_found_and_expanded(tiny_run: Tiny) -> None:
    live = representation.live_version(tiny_run.workspace)
    given, others = fans(tiny_run.population, 50)
    known = examples.build_examples(live, SeedPeople(rows_of(live, given), NOBODY), CHEAP)
    choice = selection.select_scorer_and_size(known, "auto", len(others), CHEAP, lambda done: None)
    assert choice.verdict.expand
    held_out = metrics.lift(choice.quantiles[choice.scorer], choice.share)
    listed = selection.rank(
        live, selection.fit_scorer(known, choice.scorer, CHEAP), len(others), rows_of(live, given), _quiet
    )
    found = len(others & set(UserIndex(live).ids(listed.rows).to_list())) / len(others)
    true_lift = found / choice.share
    assert true_lift > 3
    assert held_out == pytest.approx(true_lift, rel=0.25), "held-out lift foretells the true one"


def _quiet(done: int) -> None:
    return


def test_every_scorer_lifts_the_planted_interest_and_activity_does_not(tiny_run: Tiny) -> None:
    live = representation.live_version(tiny_run.workspace)
    given, _ = fans(tiny_run.population, 60)
    known = examples.build_examples(live, SeedPeople(rows_of(live, given), NOBODY), CHEAP)
    quantiles = selection.select_scorer_and_size(known, "auto", 60, CHEAP, lambda done: None).quantiles
    for name, values in quantiles.items():
        if name == ACTIVITY:
            assert metrics.auc(values) == pytest.approx(0.5, abs=0.12)
        else:
            assert metrics.auc(values) > 0.8, name


Draw = Callable[[Population, np.random.Generator], list[str]]


def anybody(log: Population, rng: np.random.Generator) -> list[str]:
    return [log.user_ids[at] for at in rng.permutation(len(log.user_ids))[:60]]


def the_active(log: Population, rng: np.random.Generator) -> list[str]:
    """As active as converters are, and alike in nothing else."""
    chance = log.activity / log.activity.sum()
    return [log.user_ids[at] for at in rng.choice(len(log.user_ids), 60, replace=False, p=chance)]


@pytest.mark.slow
@pytest.mark.parametrize("draw", [anybody, the_active])
def test_seeds_that_share_no_interest_are_not_expanded(tiny_run: Tiny, draw: Draw) -> None:
    live = representation.live_version(tiny_run.workspace)
    expanded = 0
    for run in range(40):
        given = draw(tiny_run.population, np.random.default_rng([run, 5]))
        settings = ExpandSettings(repeats=1, folds=4, background=600, random_seed=run)
        known = examples.build_examples(live, SeedPeople(rows_of(live, given), NOBODY), settings)
        asked = None if run % 4 == 0 else 54
        expanded += selection.select_scorer_and_size(known, "auto", asked, settings, lambda done: None).verdict.expand
    assert expanded <= 3


def audience(folder: Path, users: list[str], size: int, name: str = "fans") -> Audience:
    seed = folder / f"{name}.csv"
    pl.DataFrame({"user_id": users}).write_csv(seed)
    return Audience(name, seed, Size(count=size))


@pytest.mark.slow
def test_the_order_of_the_rows_of_the_log_changes_no_byte_of_the_list(tmp_path: Path) -> None:
    log = planted(250, seed=6)
    given, _ = fans(log, 25)
    lists = []
    for turn, events in enumerate((log.events, log.events.sample(fraction=1, shuffle=True, seed=3))):
        shuffled = Population(events, log.items.sample(fraction=1, shuffle=True, seed=turn), *_rest(log))
        workspace = trained(tmp_path / str(turn), shuffled, SMALL)
        users = given if turn == 0 else given[::-1]
        expand.expand(workspace, [audience(tmp_path, users, 40)], CHEAP, How(force=True), QuietProgress())
        lists.append((workspace.audience("fans") / "prospects.csv").read_bytes())
    assert lists[0] == lists[1]


def _rest(log: Population) -> tuple[np.ndarray, list[str], np.ndarray]:
    return log.interest, log.user_ids, log.activity


def test_a_refused_seed_has_its_figures_and_no_list(tiny_run: Tiny, tmp_path: Path) -> None:
    workspace = _copied(tiny_run, tmp_path)
    given = anybody(tiny_run.population, np.random.default_rng([1, 9]))
    (told,) = expand.expand(workspace, [audience(tmp_path, given, 50, "anybody")], CHEAP, How(), QuietProgress())
    assert (told["verdict"], told["prospects"]) == ("do not expand", None)
    folder = workspace.audience("anybody")
    assert not list(folder.glob("prospects.*"))
    found = read_json(folder / "evaluation.json")
    assert found["verdict"]["decision"] == "do not expand"
    assert found["held_out"]["low"] <= 1 or found["held_out"]["activity_lift"] >= 1


def test_nobody_suppressed_and_no_seed_is_listed_and_the_next_best_take_their_places(tiny_run: Tiny) -> None:
    live = representation.live_version(tiny_run.workspace)
    given, others = fans(tiny_run.population, 50)
    seed, suppressed = rows_of(live, given), rows_of(live, sorted(others)[::2])
    known = examples.build_examples(live, SeedPeople(seed, NOBODY), CHEAP)
    score = selection.fit_scorer(known, "logistic", CHEAP)
    everybody = selection.rank(live, score, live.users, NOBODY, _quiet).rows
    left_out = np.union1d(seed, suppressed)
    found = selection.rank(live, score, 60, left_out, _quiet).rows
    assert found.tolist() == [row for row in everybody.tolist() if row not in set(left_out.tolist())][:60]


def _copied(tiny: Tiny, folder: Path) -> WorkspaceFolder:
    """The same vectors in a workspace that may be written to."""
    shutil.copytree(tiny.workspace.root, folder / "space")
    return WorkspaceFolder(folder / "space")
