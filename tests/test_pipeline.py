"""Every command on a small log with a planted taste: what the list contains, and that the same input gives the same list."""

import json
import os
import shutil
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from lookalike.cli.app import main
from lookalike.embeddings.manifest import VersionManifest
from lookalike.expansion import slices
from lookalike.expansion.manifest import ExpansionManifest, ListFile
from lookalike.expansion.people_cuts import Floor
from lookalike.expansion.result import Evaluation, SeedSummary
from lookalike.expansion.suppression_figures import Suppression
from lookalike.workspace.files import sha256
from lookalike.workspace.parallel import thread_count
from small_log import DAYS, FANS, SETTINGS, TRAIN, USERS, Command, Inputs, events, id_file, user_ids

pytest_plugins = ("space_fixtures",)


def prospects(workspace: Path, name: str = "fans") -> pl.DataFrame:
    return pl.read_csv(workspace / "audiences" / name / "prospects.csv", schema_overrides={"user_id": pl.String})


def prospect_ids(workspace: Path, name: str = "fans") -> list[str]:
    ids: list[str] = prospects(workspace, name)["user_id"].to_list()
    return ids


def list_bytes(workspace: Path, name: str = "fans") -> bytes:
    return (workspace / "audiences" / name / "prospects.csv").read_bytes()


def evaluation_of(workspace: Path, name: str = "fans") -> Evaluation:
    return Evaluation.read(workspace / "audiences" / name / "evaluation.json")


def ids_in(path: Path) -> set[str]:
    return set(pl.read_csv(path, infer_schema=False)["user_id"])


# --- among whom ------------------------------------------------------------------------------------------------------


def live_in(workspace: Path, countries: list[str]) -> None:
    """Gives the events of each user, in the order of `user_ids`, a country."""
    people = pl.DataFrame({"user_id": user_ids(), "country": countries})
    with duckdb.connect(str(workspace / "lookalike.duckdb")) as connection:
        connection.register("people", people.to_arrow())
        connection.execute("UPDATE events e SET country = p.country FROM people p WHERE e.user_id = p.user_id")


def test_the_list_is_told_by_slices_of_known_values_and_the_report_escapes_them(
    ready: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who share the taste are the seed; of these first ten and then thirty are from another country."""
    # the log is too small for slices that are measured well
    monkeypatch.setattr(slices, "Floor", lambda people: Floor(people, drawn=people, per_seed=0))
    fans = id_file(ready.workspace.parent / "fans.csv", user_ids()[:FANS])
    cut = []
    for nth in (9, 3):
        live_in(ready.workspace, ["<b>" if number % nth else "XX" for number in range(USERS)])
        assert ready("expand", "--seed", fans, "--size", "10%", "--name", "fans").code == 0
        told = evaluation_of(ready.workspace).slices
        assert told is not None
        cut.append([each for group in told.groups if group.by == "country" for each in group.slices])
    assert cut[0] == [], "ten seeds are too few, and the others would tell how many they are"
    assert [(each.label, each.candidates, each.seeds) for each in cut[1]] == [("<b>", 140, 60), ("XX", 70, 30)]
    printed = ready("report", "fans", "--all").out
    assert "country <b>" in printed
    assert "Does the encoder pay?" in printed
    html = (ready.workspace / "audiences" / "fans" / "report.html").read_text()
    assert "country &lt;b&gt;" in html
    assert "country <b>" not in html


# --- the list --------------------------------------------------------------------------------------------------------


def test_most_prospects_share_the_taste(expanded_space: Path, inputs: Inputs) -> None:
    listed = prospect_ids(expanded_space)
    possible = set(user_ids()[:FANS]) - ids_in(inputs.seed) - ids_in(inputs.suppressed)
    assert len(possible) == 40
    assert len(possible.intersection(listed)) > 0.7 * len(listed)


def test_ranks_count_from_one_and_scores_fall(expanded_space: Path) -> None:
    frame = prospects(expanded_space)
    assert frame.columns == ["rank", "user_id", "score", "tier"]
    assert frame["rank"].to_list() == list(range(1, len(frame) + 1))
    assert frame["score"].is_sorted(descending=True)
    assert frame["user_id"].is_unique().all()


def test_tiers_divide_the_list_evenly(expanded_space: Path) -> None:
    frame = prospects(expanded_space)
    sizes = frame["tier"].value_counts().sort("tier")
    assert sizes["tier"].to_list() == [1, 2, 3, 4, 5]
    assert frame["tier"].is_sorted()
    assert sizes["count"].max() - sizes["count"].min() <= 1  # type: ignore[operator]
    described = evaluation_of(expanded_space).prospect_list
    assert described is not None
    assert [tier.users for tier in described.tiers] == sizes["count"].to_list()
    assert [tier.to_rank for tier in described.tiers] == np.cumsum(sizes["count"]).tolist()


def test_counts_add_up(expanded: Command, inputs: Inputs) -> None:
    evaluation = evaluation_of(expanded.workspace)
    left_out = len(ids_in(inputs.seed) | ids_in(inputs.suppressed))
    assert evaluation.universe == USERS
    assert evaluation.candidates == USERS - left_out
    size = round(0.1 * evaluation.candidates)
    assert evaluation.prospects == evaluation.size == size == len(prospects(expanded.workspace))
    assert evaluation.seed == SeedSummary(
        given=40,
        distinct=40,
        duplicates=0,
        matched=40,
        unmatched=0,
        suppressed=len(ids_in(inputs.seed) & ids_in(inputs.suppressed)),
        used=40,
        match_rate=1.0,
        near_matches=0,
        without_vector=0,
        valued=False,
        effective=40.0,
        negatives=0,
        point_in_time=False,
    )
    assert evaluation.suppression == Suppression(given=20, matched=20, ways={"as written": 20})
    assert evaluation.held_out.low > 1


def test_the_manifest_records_inputs_outputs_and_versions(expanded_space: Path, inputs: Inputs) -> None:
    folder = expanded_space / "audiences" / "fans"
    manifest = ExpansionManifest.read(folder / "manifest.json")
    assert manifest.outputs == {name: sha256(folder / name) for name in ("evaluation.json", "prospects.csv")}
    assert manifest.inputs == tuple(
        ListFile(name=path.name, sha256=sha256(path)) for path in (inputs.seed, inputs.suppressed)
    )
    version = expanded_space / "embeddings" / manifest.representation.version
    assert manifest.representation.sha256 == sha256(version / "manifest.json")
    assert manifest.counts.prospects == len(prospects(expanded_space))
    assert manifest.audience.size == "10%"
    assert {"lookalike", "python", "torch", "polars", "duckdb"} <= manifest.versions.keys()
    assert str(expanded_space) not in (folder / "manifest.json").read_text()
    for written in (version, expanded_space / "runs" / manifest.representation.run):
        stored = json.loads((written / "manifest.json").read_text())["sha256"]
        files = {path.name for path in written.iterdir()} - {"manifest.json"}
        assert stored == {name: sha256(written / name) for name in files}


def test_no_temporary_files_are_left(expanded_space: Path) -> None:
    names = [path.name for path in expanded_space.rglob("*")]
    assert [name for name in names if name.startswith((".lookalike-tmp-", ".lookalike-old-"))] == []
    assert not (expanded_space / "runs" / "unfinished").exists()


# --- the same input gives the same list ------------------------------------------------------------------------------


def test_expanding_twice_gives_the_same_bytes(expanded: Command, inputs: Inputs) -> None:
    before = list_bytes(expanded.workspace)
    assert expanded("expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed).code == 0
    assert list_bytes(expanded.workspace) == before


def test_a_definition_makes_the_same_list_as_its_flags(expanded: Command, inputs: Inputs) -> None:
    definition = inputs.folder / "from-file.toml"
    definition.write_text('seed = "fans.csv"\nsize = "10%"\nsuppress = ["suppressed.csv"]\n')
    assert expanded("expand", definition).code == 0
    assert list_bytes(expanded.workspace, "from-file") == list_bytes(expanded.workspace)


def test_a_flag_beats_the_definition(ready: Command, inputs: Inputs) -> None:
    definition = inputs.folder / "beaten.toml"
    definition.write_text('seed = "fans.csv"\nsize = "10%"\nscorer = "centroid"\n')
    result = ready("--json", "expand", definition, "--scorer", "logistic", "--size", "20", "--name", "other").json
    assert (result["name"], result["scorer"], result["size"]) == ("other", "logistic", 20)


def test_ingesting_the_same_file_again_changes_nothing(expanded: Command, inputs: Inputs) -> None:
    before = list_bytes(expanded.workspace)
    again = expanded("--json", "ingest", inputs.log, "--items", inputs.items).json
    assert [file["skipped"] for file in again["files"]] == [True, True]
    assert expanded(*TRAIN).code == 0
    assert expanded("expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed).code == 0
    assert list_bytes(expanded.workspace) == before


def test_order_of_rows_and_number_of_files_change_no_list(
    expanded: Command, fresh: Command, tmp_path: Path, inputs: Inputs
) -> None:
    expected = list_bytes(expanded.workspace)
    shutil.rmtree(expanded.workspace)
    shuffled = events().sample(fraction=1, shuffle=True, seed=3)
    (tmp_path / "parts").mkdir()
    for part in range(3):
        shuffled[part::3].write_csv(tmp_path / "parts" / f"{part}.csv")
    fresh.workspace.mkdir()
    (fresh.workspace / "lookalike.toml").write_text(SETTINGS)
    seed = id_file(tmp_path / "fans.csv", sorted(ids_in(inputs.seed), reverse=True))
    for words in (("ingest", tmp_path / "parts", "--items", inputs.items), TRAIN):
        assert fresh(*words).code == 0
    assert fresh("expand", "--seed", seed, "--size", "10%", "--suppress", inputs.suppressed).code == 0
    assert list_bytes(fresh.workspace) == expected


def test_the_number_of_threads_changes_no_list(
    expanded: Command, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = list_bytes(expanded.workspace)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(7)), raising=False)
    assert thread_count() == 4
    assert expanded("expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed).code == 0
    assert list_bytes(expanded.workspace) == before


def test_a_shorter_list_is_the_head_of_a_longer_one(ready: Command, inputs: Inputs) -> None:
    lists = []
    for size in (10, 30):
        words = ("expand", "--seed", inputs.seed, "--size", size, "--scorer", "logistic", "--force")
        assert ready(*words).code == 0
        lists.append(prospect_ids(ready.workspace))
    assert lists[0] == lists[1][:10]


# --- seeds and suppression -------------------------------------------------------------------------------------------


@effort(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_no_seed_and_no_suppressed_user_is_ever_listed(ready: Command, tmp_path: Path, data: st.DataObject) -> None:
    everybody = sorted(user_ids())
    seed = data.draw(st.lists(st.sampled_from(everybody), min_size=25, max_size=60, unique=True))
    suppressed = data.draw(st.lists(st.sampled_from([*everybody, "nobody"]), min_size=1, max_size=120, unique=True))
    files = id_file(tmp_path / "s.csv", seed), id_file(tmp_path / "b.csv", suppressed)
    size = data.draw(st.sampled_from(["1", "30", "100%"]))
    flags = ("--size", size, "--suppress", files[1], "--force", "--name", "s", "--replace")
    ran = ready("--json", "expand", "--seed", files[0], *flags)
    assert ran.code == 0, ran.err
    listed = prospect_ids(ready.workspace, "s")
    candidates = set(everybody) - set(seed) - set(suppressed)
    assert set(listed) <= candidates
    assert len(listed) == len(set(listed)) == (len(candidates) if size == "100%" else min(int(size), len(candidates)))


def test_several_suppressions_add_up(ready: Command, tmp_path: Path) -> None:
    first, second = (id_file(tmp_path / f"{part}.csv", user_ids()[part::3]) for part in (0, 1))
    seed = id_file(tmp_path / "s.csv", user_ids()[2:90:3])
    flags = ("--suppress", first, "--suppress", second, "--force")
    assert ready("expand", "--seed", seed, "--size", "100%", *flags).code == 0
    assert set(prospect_ids(ready.workspace, "s")) == set(user_ids()[2::3]) - ids_in(seed)


def test_duplicates_in_a_seed_are_counted_and_change_nothing(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    seed = sorted(ids_in(inputs.seed))
    double = id_file(tmp_path / "double.csv", [*seed, *seed[:7], "nobody"])
    for file in (inputs.seed, double):
        assert ready("expand", "--seed", file, "--size", "20").code == 0
    match = evaluation_of(ready.workspace, "double").seed
    assert (match.given, match.distinct, match.duplicates, match.matched, match.unmatched) == (48, 41, 7, 40, 1)
    assert list_bytes(ready.workspace, "double") == list_bytes(ready.workspace)


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("requested", "size"), [("20", 20), ("5%", 13), ("100%", 260), ("0.1%", 1), ("1_0", 10)])
def test_a_size_is_a_count_or_a_share(ready: Command, inputs: Inputs, requested: str, size: int) -> None:
    result = ready("--json", "expand", "--seed", inputs.seed, "--size", requested, "--force").json
    assert (result["size"], result["candidates"]) == (size, 260)
    assert len(prospects(ready.workspace)) == size


def test_an_auto_size_ends_where_the_list_no_longer_lifts(ready: Command, inputs: Inputs) -> None:
    result = ready("--json", "expand", "--seed", inputs.seed, "--size", "auto").json
    assert 13 <= result["size"] <= 130  # the other 50 fans, and not everybody
    assert result["lift_low"] > 1
    assert len(prospects(ready.workspace)) == result["size"]


def test_a_list_may_be_parquet(ready: Command, inputs: Inputs) -> None:
    result = ready("--json", "expand", "--seed", inputs.seed, "--size", "10%", "--format", "parquet").json
    frame = pl.read_parquet(result["prospects"])
    assert frame.columns == ["rank", "user_id", "score", "tier"]
    assert len(frame) == result["size"]


# --- the verdict -----------------------------------------------------------------------------------------------------


def test_a_random_seed_gets_figures_but_no_list(ready: Command, inputs: Inputs) -> None:
    ran = ready("--json", "expand", "--seed", inputs.others, "--size", "10%")
    message, hint = ran.complaint
    assert (ran.code, ran.json["verdict"], ran.json["prospects"]) == (5, "do not expand", None)
    assert message.startswith("do not expand: not reliably better than chance: ")
    assert "--force" in hint
    folder = ready.workspace / "audiences" / "others"
    assert {path.name for path in folder.iterdir()} == {"evaluation.json", "manifest.json"}
    evaluation = evaluation_of(ready.workspace, "others")
    assert not evaluation.verdict.expand
    assert "above_chance" in {check.name for check in evaluation.verdict.failed}
    assert (evaluation.prospects, evaluation.prospect_list) == (0, None)


def test_the_report_of_a_refused_seed_says_so(ready: Command, inputs: Inputs) -> None:
    ready("expand", "--seed", inputs.others, "--size", "10%")
    ran = ready("report", "others")
    assert ran.code == 0
    assert "do not expand" in ran.out
    assert "do not expand" in (ready.workspace / "audiences" / "others" / "report.html").read_text().lower()


def test_force_writes_the_list_and_is_recorded(ready: Command, inputs: Inputs) -> None:
    result = ready("--json", "expand", "--seed", inputs.others, "--size", "10%", "--force").json
    assert result["verdict"] == "do not expand"
    assert len(prospects(ready.workspace, "others")) == result["size"] == 26
    assert evaluation_of(ready.workspace, "others").verdict.forced


def test_force_is_not_recorded_where_it_was_not_needed(ready: Command, inputs: Inputs) -> None:
    assert ready("expand", "--seed", inputs.seed, "--size", "10%", "--force").code == 0
    assert not evaluation_of(ready.workspace).verdict.forced


# --- logs of other shapes --------------------------------------------------------------------------------------------


def log_of_shape(name: str) -> pl.DataFrame:
    frame = events()
    return {
        "no items": frame.select("user_id", "ts", "event_type"),
        "only user and time": frame.select("user_id", "ts"),
        "one item": frame.with_columns(item_id=pl.lit("only")),
        "one event a user": frame.unique("user_id", keep="first", maintain_order=True),
        "one moment": frame.with_columns(ts=pl.lit("2024-01-01 00:00:00").str.to_datetime()),
        "forty users": frame.filter(pl.col("user_id").is_in(user_ids()[:40])),
    }[name]


@pytest.mark.parametrize(
    "shape", ["no items", "only user and time", "one item", "one event a user", "one moment", "forty users"]
)
def test_an_unusual_log_is_trained_and_expanded(fresh: Command, tmp_path: Path, shape: str) -> None:
    log_of_shape(shape).write_csv(tmp_path / "log.csv")
    seed = id_file(tmp_path / "seed.csv", user_ids()[:26])
    assert fresh("ingest", tmp_path / "log.csv").code == 0
    ran = fresh(*TRAIN)
    assert ran.code == 0, ran.err
    ran = fresh("expand", "--seed", seed, "--size", "2", "--force", "--name", "s")
    assert ran.code == 0, ran.err
    assert len(prospects(fresh.workspace, "s")) == 2
    assert fresh("report").code == 0


@pytest.mark.parametrize("users", [1, 2, 3])
def test_a_log_of_very_few_users_is_trained(fresh: Command, tmp_path: Path, users: int) -> None:
    events().filter(pl.col("user_id").is_in(user_ids()[:users])).write_csv(tmp_path / "log.csv")
    assert fresh("ingest", tmp_path / "log.csv").code == 0
    ran = fresh("--json", *TRAIN)
    assert ran.code == 0, ran.err
    assert ran.json["users"] == users


@pytest.mark.parametrize("encoder", ["transformer", "gru"])
def test_every_encoder_can_be_trained_and_expanded(ready: Command, inputs: Inputs, encoder: str) -> None:
    ran = ready("--json", "train", "--encoder", encoder, "--dim", "16", "--epochs", "1")
    assert ran.code == 0, ran.err
    assert (ran.json["run"], ran.json["version"]) == ("r000002", "v000002")
    assert ready("expand", "--seed", inputs.seed, "--size", "10%").code == 0


def test_events_after_the_cut_are_not_read(ready: Command) -> None:
    cut = f"2024-02-{1 + DAYS // 2 - 31:02d}"
    result = ready("--json", *TRAIN, "--as-of", cut).json
    before = events().filter(pl.col("ts") < pl.lit(cut).str.to_datetime())
    assert (result["events"], result["users"]) == (len(before), before["user_id"].n_unique())
    manifest = VersionManifest.read(ready.workspace / "embeddings" / result["version"] / "manifest.json")
    assert manifest.as_of == datetime.fromisoformat(cut)


def test_only_two_versions_of_the_vectors_are_kept(ready: Command) -> None:
    for _ in range(3):
        assert main(["--workspace", str(ready.workspace), "--quiet", *TRAIN]) == 0
    versions = sorted(path.name for path in (ready.workspace / "embeddings").glob("v*"))
    assert versions == ["v000003", "v000004"]
    assert (ready.workspace / "embeddings" / "CURRENT").read_text() == "v000004\n"


# --- files that are removed ------------------------------------------------------------------------------------------


def test_vectors_are_told_of_a_removed_file_and_made_anew(ready: Command, tmp_path: Path) -> None:
    more = events().head(200).with_columns(pl.col("ts") - pl.duration(hours=1))
    more.write_parquet(tmp_path / "more.parquet")
    assert ready("ingest", tmp_path / "more.parquet").code == 0
    assert ready("embed").code == 0
    shown = ready("--json", "remove-file", "more.parquet", "--dry-run").json
    assert (shown["dry_run"], shown["removed"][0]["added"]) == (True, 200)
    removed = ready("remove-file", "more.parquet")
    assert removed.code == 0
    assert "Removed" in removed.out
    assert ready("--json", "status").json["next_step"] == "embed"
    embedded = ready("embed")
    assert "a file was removed or read again: embedding every user again" in embedded.err
    assert "300 of 300 users embedded again" in embedded.out
    assert ready("--json", "status").json["next_step"] == "expand"
    assert ready("remove-file", "more.parquet").code == 4
