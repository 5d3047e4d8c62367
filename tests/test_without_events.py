"""People whom only the users table knows: they have vectors and can be listed, and change no figure of anybody else."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import lookalike as la
from lookalike.cli.app import main
from lookalike.embeddings.layout import BLOCKS
from lookalike.embeddings.manifest import VersionManifest
from lookalike.embeddings.representation import live_version
from lookalike.embeddings.user_index import UserIndex
from lookalike.errors import ExpansionError, StateError
from lookalike.workspace.paths import WorkspaceFolder
from small_log import SETTINGS, TRAIN, USERS, Command, Inputs, events, id_file, user_ids

pytest_plugins = ("space_fixtures",)

NEW = [f"n{number:03d}" for number in range(200)]
CLUB = NEW[::2]  # what is known of people without events is the plan, and for these the club


def users_table(path: Path, clubs: bool = True) -> Path:
    """Everybody of the log and 200 others. The plan says nothing; nobody of the log is in a club."""
    ids = [*sorted(user_ids()), *NEW]
    frame = pl.DataFrame({"user_id": ids, "plan": [f"p{number % 3}" for number in range(len(ids))]})
    if clubs:
        frame = frame.with_columns(club=pl.when(pl.col("user_id").is_in(CLUB)).then(pl.lit("yes")))
    frame.write_csv(path)
    return path


def run(workspace: Path, *words: object) -> int:
    return main(["--workspace", str(workspace), "--quiet", "--json", *map(str, words)])


def trained_with(workspace: Path, inputs: Inputs, users: Path, settings: str = SETTINGS) -> Path:
    workspace.mkdir()
    (workspace / "lookalike.toml").write_text(settings)
    assert run(workspace, "ingest", inputs.log, "--items", inputs.items, "--users", users) == 0
    assert run(workspace, *TRAIN) == 0
    return workspace


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, inputs: Inputs) -> Path:
    """Trained on the log and the users table; only to be read."""
    folder = tmp_path_factory.mktemp("table")
    return trained_with(folder / "space", inputs, users_table(folder / "users.csv"))


@pytest.fixture
def ws(space: Path, tmp_path: Path) -> la.Workspace:
    shutil.copytree(space, tmp_path / "space")
    return la.open(tmp_path / "space")


def known_ids(workspace: Path) -> list[str]:
    index = UserIndex(live_version(WorkspaceFolder(workspace)))
    return index.ids(np.arange(index.representation.users)).to_list()


def warning(result: la.ExpandResult, code: str) -> dict[str, Any] | None:
    found = [warning.model_dump() for warning in result.warnings if warning.code == code]
    return found[0] if found else None


def listed(result: la.ExpandResult) -> list[str]:
    assert result.prospects is not None
    ids: list[str] = result.prospects["user_id"].to_list()
    return ids


# --- who has a vector ------------------------------------------------------------------------------------------------


def test_everybody_of_the_table_has_a_vector_of_their_attributes(space: Path) -> None:
    live = live_version(WorkspaceFolder(space))
    assert (live.manifest.users, live.manifest.without_events) == (USERS + len(NEW), len(NEW))
    ids = known_ids(space)
    assert sorted(ids) == sorted([*user_ids(), *NEW])
    rows = np.flatnonzero(np.isin(ids, NEW))
    assert np.array_equal(UserIndex(live).rows_without_events(), rows)
    blocks = live.raw(rows, BLOCKS)
    vectors = blocks["sequence"].astype(np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-2)
    assert not blocks["content"].any()
    column = live.layout.aggregates.index("club=yes")
    assert np.array_equal(blocks["aggregates"][:, column] == 1, np.isin(np.array(ids)[rows], CLUB))
    # the plan and the club are all that tells them apart: six kinds of people, six vectors
    assert len(np.unique(np.hstack([vectors, blocks["aggregates"]]), axis=0)) == 6


def test_status_and_training_say_how_many_have_no_events(
    space: Path, ready: Command, inputs: Inputs, tmp_path: Path
) -> None:
    result = la.open(space).status()
    assert result.log is not None
    assert result.vectors is not None
    assert (result.log.users, result.log.without_events) == (USERS, len(NEW))
    assert (result.vectors.users, result.vectors.without_events) == (USERS + len(NEW), len(NEW))
    assert ready("ingest", inputs.log, "--users", users_table(tmp_path / "users.csv")).code == 0
    said = ready(*TRAIN)
    assert "500 users (200 of them without events) embedded as v000002" in said.out.replace("\n", " ")
    shown = ready("status").out
    assert "500 users (200 of them without events)" in shown
    assert "people without events" in shown


def test_events_can_be_required(tmp_path: Path, inputs: Inputs) -> None:
    settings = SETTINGS.replace("[train]", "[train]\nmin_events = 1")
    space = trained_with(tmp_path / "space", inputs, users_table(tmp_path / "users.csv"), settings)
    assert sorted(known_ids(space)) == sorted(user_ids())
    assert VersionManifest.read(space / "embeddings" / "v000001" / "manifest.json").without_events == 0
    with pytest.raises(ExpansionError, match="0 of 60 ids") as caught:
        la.open(space).expand(seed=NEW[:60], size=20)
    assert "60 ids are known but have no vector" in caught.value.hint


def test_people_with_their_first_event_after_the_cut_are_not_in_the_universe(tmp_path: Path, inputs: Inputs) -> None:
    cut = datetime(2024, 1, 8)
    before = set(events().filter(pl.col("ts") < cut)["user_id"])
    assert len(before) < 0.9 * USERS
    space = tmp_path / "space"
    space.mkdir()
    (space / "lookalike.toml").write_text(SETTINGS)
    assert (
        run(space, "ingest", inputs.log, "--items", inputs.items, "--users", users_table(tmp_path / "users.csv")) == 0
    )
    assert run(space, *TRAIN, "--as-of", "2024-01-08") == 0
    assert set(known_ids(space)) == before | set(NEW)
    assert run(space, "embed") == 0
    assert set(known_ids(space)) == {*user_ids(), *NEW}


def test_a_table_that_comes_later_gives_its_people_vectors_and_they_stay(
    ready: Command, inputs: Inputs, tmp_path: Path
) -> None:
    users = users_table(tmp_path / "users.csv")
    assert ready("ingest", inputs.log, "--users", users).code == 0
    embedded = ready("embed", "--json").json
    assert (embedded["users"], embedded["without_events"], embedded["refreshed"]) == (500, 200, 500)
    assert ready("embed", "--json").json["refreshed"] == 0
    more = pl.DataFrame(
        {"user_id": ["n000", "u000"], "ts": ["2024-04-20 10:00:00"] * 2, "event_type": "view", "item_id": "i03"}
    )
    more.write_csv(tmp_path / "more.csv")
    assert ready("ingest", tmp_path / "more.csv").code == 0
    embedded = ready("embed", "--json").json
    assert (embedded["users"], embedded["without_events"], embedded["refreshed"]) == (500, 199, 2)


def test_a_workspace_whose_run_requires_an_event_keeps_its_universe(tmp_path: Path, inputs: Inputs) -> None:
    settings = SETTINGS.replace("[train]", "[train]\nmin_events = 1")
    space = trained_with(tmp_path / "space", inputs, users_table(tmp_path / "users.csv"), settings)
    (space / "lookalike.toml").write_text(SETTINGS)  # the settings of today
    assert len(listed(la.open(space).expand(seed=inputs.seed, size=20))) == 20
    assert la.open(space).status().vectors.without_events == 0  # type: ignore[union-attr]
    assert run(space, "embed", "--full") == 0
    assert sorted(known_ids(space)) == sorted(user_ids())


# --- nothing else changes --------------------------------------------------------------------------------------------


def test_figures_and_lists_of_people_with_events_stay(tmp_path: Path, inputs: Inputs) -> None:
    users = users_table(tmp_path / "users.csv", clubs=False)
    results = []
    for name, settings in (("all", SETTINGS), ("log", SETTINGS.replace("[train]", "[train]\nmin_events = 1"))):
        space = trained_with(tmp_path / name, inputs, users, settings)
        metrics = json.loads((space / "runs" / "r000001" / "metrics.json").read_text())["figures"]
        fitted = (space / "runs" / "r000001" / "fitted.safetensors").read_bytes()
        expansion = la.open(space).expand(seed=inputs.seed, size="10%")
        results.append((metrics, fitted, expansion))
    (metrics, fitted, everybody), (log_metrics, log_fitted, log) = results
    assert metrics == log_metrics
    assert fitted == log_fitted
    assert everybody.evaluation.candidates == log.evaluation.candidates == USERS - 40
    assert everybody.evaluation.universe == USERS
    assert tuple(everybody.lift) == pytest.approx(tuple(log.lift), rel=0.05)
    assert len(set(listed(everybody)) & set(listed(log))) >= 0.95 * len(listed(log))
    assert warning(everybody, "without_events_left_out") == {
        "code": "without_events_left_out",
        "users": len(NEW),
        "seeds": 0,
    }
    assert warning(log, "without_events_left_out") is None


# --- lists -----------------------------------------------------------------------------------------------------------


def test_a_seed_of_people_without_events_finds_those_like_them(ws: la.Workspace, tmp_path: Path) -> None:
    suppressed = CLUB[40:45]
    result = ws.expand(seed=CLUB[:40], size=50, suppress=id_file(tmp_path / "no.csv", suppressed), reasons=True)
    assert result.evaluation.seed.matched == 40
    assert result.evaluation.candidates == USERS + len(NEW) - 45
    assert len(set(listed(result)) & set(CLUB)) >= 48
    assert not set(listed(result)) & {*suppressed, *CLUB[:40]}
    told = warning(result, "without_events_listed")
    assert told is not None
    assert (told["users"], told["candidates"], told["more_than_everybody"]) == (155, 455, True)
    assert told["random_lift"] == pytest.approx(455 / 155)
    assert result.reasons is not None
    assert result.reasons.filter(pl.col("user_id").is_in(CLUB))["shared"].str.contains("club yes").all()
    assert (result.evaluation.seed_profile.median_events, result.evaluation.seed_profile.median_days_since) == (0, None)


def test_a_few_seeds_without_events_are_left_out(ws: la.Workspace, inputs: Inputs) -> None:
    seed = pl.read_csv(inputs.seed)["user_id"].to_list()
    result = ws.expand(seed=[*seed, *NEW[:3]], size=20)
    assert warning(result, "without_events_left_out") == {"code": "without_events_left_out", "users": 200, "seeds": 3}
    assert (result.evaluation.seed.matched, result.evaluation.seed.used) == (43, 40)
    assert not set(listed(result)) & set(NEW)
    mixed = ws.expand(seed=[*seed, *NEW[:10]], size=20, name="mixed")
    assert warning(mixed, "without_events_left_out") is None
    assert warning(mixed, "without_events_listed") is not None
    assert mixed.evaluation.seed.used == 50


def test_no_size_makes_people_without_events_candidates(ws: la.Workspace, inputs: Inputs) -> None:
    """Beside them any list of active people looks good: one more name must not turn a refusal into a promise."""
    with pytest.raises(ExpansionError, match="300 prospects were requested, but only 260 candidates are left"):
        ws.expand(seed=inputs.seed, size=300, force=True)


def test_a_list_that_tells_only_who_has_events_is_refused(ws: la.Workspace) -> None:
    """Half of the seeds have no events, and nothing else is common to them."""
    rng = np.random.default_rng(3)
    seed = [*rng.choice(user_ids(), 60, replace=False), *rng.choice(NEW, 60, replace=False)]
    result = ws.expand(seed=seed, size=40)
    check = next(each for each in result.verdict.checks if each.name == "above_chance")
    assert result.verdict.decision == "do not expand"
    assert check.threshold > 1
    assert not check.passed


def test_nobody_without_events_is_read_as_of_a_moment(ws: la.Workspace, inputs: Inputs) -> None:
    seed = pl.DataFrame({"user_id": CLUB[:40], "ts": [datetime(2024, 3, 1)] * 40})
    with pytest.raises(ExpansionError, match="only 0 of 40 seeds have events") as caught:
        ws.expand(seed=seed, size=20)
    assert "--before" in caught.value.hint
    active = pl.DataFrame({"user_id": [*user_ids()[:40], *CLUB[:20]], "ts": [datetime(2024, 3, 20)] * 60})
    result = ws.expand(seed=active, size=20, negative=NEW[100:140], force=True)
    assert result.evaluation.candidates == USERS - 40
    assert not set(listed(result)) & set(NEW)


def test_a_condition_may_name_attributes_of_people_without_events(ws: la.Workspace) -> None:
    result = ws.expand(seed=CLUB[:40], size=20, where=["plan = p1 or plan = p2"], force=True)
    assert result.evaluation.where is not None
    plans = {user: number % 3 for number, user in enumerate([*sorted(user_ids()), *NEW])}
    assert {plans[user] for user in listed(result)} <= {1, 2}


# --- what cannot be done ---------------------------------------------------------------------------------------------


def test_a_users_table_without_a_log_is_refused(fresh: Command, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,ts,item_id\n")
    ran = fresh("ingest", tmp_path / "log.csv", "--users", users_table(tmp_path / "users.csv"))
    assert (ran.code, ran.complaint[0]) == (3, f"{tmp_path / 'log.csv'}: the file has no rows")
    assert fresh.refused(4, "train")[0] == "nothing was ingested into this workspace"


def test_a_tiny_log_and_a_wide_table_are_no_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    users = pl.DataFrame({"user_id": NEW} | {f"c{n:03d}": rng.integers(0, 4, 200).astype(str) for n in range(500)})
    users.write_csv(tmp_path / "users.csv")
    pl.DataFrame({"user_id": ["a"], "ts": ["2024-01-01"], "item_id": ["i"]}).write_csv(tmp_path / "log.csv")
    ws = la.open(tmp_path / "space")
    ws.ingest([tmp_path / "log.csv"], users=tmp_path / "users.csv")
    result = ws.train(epochs=1)
    assert (result.users, result.without_events) == (201, 200)
    with pytest.raises(StateError, match="no user has enough events before the cut"):
        ws.train(epochs=1, as_of=datetime(2023, 1, 1))
