"""The whole path on a small log with a planted taste: what the list holds, and that the same gives the same."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from lookalike.cli.app import main
from small_log import DAYS, FANS, SETTINGS, TRAIN, USERS, Command, Inputs, events, id_file, user_ids

pytest_plugins = ("space_fixtures",)


def listed(space: Path, name: str = "fans") -> pl.DataFrame:
    return pl.read_csv(space / "audiences" / name / "prospects.csv", schema_overrides={"user_id": pl.String})


def content(space: Path, name: str = "fans") -> bytes:
    return (space / "audiences" / name / "prospects.csv").read_bytes()


def ids(path: Path) -> set[str]:
    return set(pl.read_csv(path, infer_schema=False)["user_id"])


# --- the list --------------------------------------------------------------------------------------------------------


def test_list_holds_those_who_share_the_taste(expanded_space: Path, inputs: Inputs) -> None:
    found = listed(expanded_space)["user_id"]
    could_be = set(user_ids()[:FANS]) - ids(inputs.seed) - ids(inputs.suppressed)
    assert len(could_be) == 40
    assert len(set(found) & could_be) > 0.7 * len(found)


def test_list_is_ranked_from_one_and_scores_fall(expanded_space: Path) -> None:
    frame = listed(expanded_space)
    assert frame.columns == ["rank", "user_id", "score", "tier"]
    assert frame["rank"].to_list() == list(range(1, len(frame) + 1))
    assert frame["score"].is_sorted(descending=True)
    assert frame["user_id"].is_unique().all()


def test_tiers_part_the_list(expanded_space: Path) -> None:
    frame = listed(expanded_space)
    evaluation = json.loads((expanded_space / "audiences" / "fans" / "evaluation.json").read_text())
    sizes = frame["tier"].value_counts().sort("tier")
    assert sizes["tier"].to_list() == [1, 2, 3, 4, 5]
    assert frame["tier"].is_sorted()
    assert sizes["count"].max() - sizes["count"].min() <= 1  # type: ignore[operator]
    assert [tier["users"] for tier in evaluation["tiers"]] == sizes["count"].to_list()
    assert [tier["to_rank"] for tier in evaluation["tiers"]] == np.cumsum(sizes["count"]).tolist()


def test_counts_add_up(done: Command, inputs: Inputs) -> None:
    found = json.loads((done.workspace / "audiences" / "fans" / "evaluation.json").read_text())
    left_out = len(ids(inputs.seed) | ids(inputs.suppressed))
    assert found["universe"] == USERS
    assert found["candidates"] == USERS - left_out
    assert found["prospects"] == found["size"] == round(0.1 * found["candidates"]) == len(listed(done.workspace))
    assert found["seed"] == {
        "given": 40,
        "distinct": 40,
        "duplicates": 0,
        "matched": 40,
        "unmatched": 0,
        "suppressed": len(ids(inputs.seed) & ids(inputs.suppressed)),
        "used": 40,
        "match_rate": 1.0,
        "spelled_otherwise": 0,
        "without_vector": 0,
        "valued": False,
        "effective": 40.0,
        "negative": 0,
        "as_they_were": False,
    }
    assert found["suppression"] == {"given": 20, "matched": 20}
    assert found["held_out"]["low"] > 1


def test_manifest_tells_the_truth(expanded_space: Path, inputs: Inputs) -> None:
    folder = expanded_space / "audiences" / "fans"
    manifest = json.loads((folder / "manifest.json").read_text())

    def digest(path: Path) -> str:
        return hashlib.sha256(path.read_bytes()).hexdigest()

    assert manifest["outputs"] == {name: digest(folder / name) for name in ("evaluation.json", "prospects.csv")}
    assert manifest["inputs"] == [
        {"name": path.name, "sha256": digest(path)} for path in (inputs.seed, inputs.suppressed)
    ]
    version = expanded_space / "embeddings" / manifest["representation"]["version"]
    assert manifest["representation"]["sha256"] == digest(version / "manifest.json")
    assert manifest["counts"]["prospects"] == len(listed(expanded_space))
    assert manifest["audience"]["size"] == "10%"
    assert {"lookalike", "python", "torch", "polars", "duckdb"} <= manifest["versions"].keys()
    assert str(expanded_space) not in json.dumps(manifest)
    for made in (version, expanded_space / "runs" / manifest["representation"]["run"]):
        held = json.loads((made / "manifest.json").read_text())["sha256"]
        files = {path.name for path in made.iterdir()} - {"manifest.json"}
        assert held == {name: digest(made / name) for name in files}


def test_nothing_is_left_lying_about(expanded_space: Path) -> None:
    names = [path.name for path in expanded_space.rglob("*")]
    assert [name for name in names if name.startswith((".tmp-", ".old-"))] == []
    assert not (expanded_space / "runs" / "unfinished").exists()


# --- the same gives the same -----------------------------------------------------------------------------------------


def test_expanding_twice_gives_the_same_bytes(done: Command, inputs: Inputs) -> None:
    before = content(done.workspace)
    assert done("expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed).code == 0
    assert content(done.workspace) == before


def test_definition_gives_the_list_of_the_flags(done: Command, inputs: Inputs) -> None:
    definition = inputs.folder / "from-file.toml"
    definition.write_text('seed = "fans.csv"\nsize = "10%"\nsuppress = ["suppressed.csv"]\n')
    assert done("expand", definition).code == 0
    assert content(done.workspace, "from-file") == content(done.workspace)


def test_flag_beats_the_definition(ready: Command, inputs: Inputs) -> None:
    definition = inputs.folder / "beaten.toml"
    definition.write_text('seed = "fans.csv"\nsize = "10%"\nscorer = "centroid"\n')
    made = ready("--json", "expand", definition, "--scorer", "logistic", "--size", "20", "--name", "other").json
    assert (made["name"], made["scorer"], made["size"]) == ("other", "logistic", 20)


def test_ingesting_the_same_file_again_changes_no_list(done: Command, inputs: Inputs) -> None:
    before = content(done.workspace)
    again = done("--json", "ingest", inputs.log, "--items", inputs.items).json
    assert [file["skipped"] for file in again["files"]] == [True, True]
    assert done(*TRAIN).code == 0
    assert done("expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed).code == 0
    assert content(done.workspace) == before


def test_order_of_rows_and_number_of_files_change_no_list(
    done: Command, fresh: Command, tmp_path: Path, inputs: Inputs
) -> None:
    expected = content(done.workspace)
    shutil.rmtree(done.workspace)
    shuffled = events().sample(fraction=1, shuffle=True, seed=3)
    (tmp_path / "parts").mkdir()
    for part in range(3):
        shuffled[part::3].write_csv(tmp_path / "parts" / f"{part}.csv")
    fresh.workspace.mkdir()
    (fresh.workspace / "lookalike.toml").write_text(SETTINGS)
    seed = id_file(tmp_path / "fans.csv", sorted(ids(inputs.seed), reverse=True))
    for words in (("ingest", tmp_path / "parts", "--items", inputs.items), TRAIN):
        assert fresh(*words).code == 0
    assert fresh("expand", "--seed", seed, "--size", "10%", "--suppress", inputs.suppressed).code == 0
    assert content(fresh.workspace) == expected


def test_number_of_threads_changes_no_list(done: Command, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(done.workspace)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    assert done("expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed).code == 0
    assert content(done.workspace) == before


def test_shorter_list_is_the_head_of_a_longer_one(ready: Command, inputs: Inputs) -> None:
    frames = []
    for size in (10, 30):
        words = ("expand", "--seed", inputs.seed, "--size", size, "--scorer", "logistic", "--force")
        assert ready(*words).code == 0
        frames.append(listed(ready.workspace)["user_id"].to_list())
    assert frames[0] == frames[1][:10]


# --- seeds and suppression -------------------------------------------------------------------------------------------


@effort(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_no_seed_and_no_suppressed_user_is_ever_listed(ready: Command, tmp_path: Path, data: st.DataObject) -> None:
    everybody = sorted(user_ids())
    seed = data.draw(st.lists(st.sampled_from(everybody), min_size=25, max_size=60, unique=True))
    blocked = data.draw(st.lists(st.sampled_from([*everybody, "nobody"]), min_size=1, max_size=120, unique=True))
    files = id_file(tmp_path / "s.csv", seed), id_file(tmp_path / "b.csv", blocked)
    size = data.draw(st.sampled_from(["1", "30", "100%"]))
    ran = ready(
        "--json", "expand", "--seed", files[0], "--size", size, "--suppress", files[1], "--force", "--name", "s"
    )
    assert ran.code == 0, ran.err
    found = listed(ready.workspace, "s")["user_id"].to_list()
    left = set(everybody) - set(seed) - set(blocked)
    assert set(found) <= left
    assert len(found) == len(set(found)) == (len(left) if size == "100%" else min(int(size), len(left)))


def test_several_suppressions_add_up(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    one, two = (id_file(tmp_path / f"{part}.csv", user_ids()[part::3]) for part in (0, 1))
    seed = id_file(tmp_path / "s.csv", user_ids()[2:90:3])
    flags = ("--suppress", one, "--suppress", two, "--force")
    assert ready("expand", "--seed", seed, "--size", "100%", *flags).code == 0
    assert set(listed(ready.workspace, "s")["user_id"]) == set(user_ids()[2::3]) - ids(seed)


def test_duplicates_in_a_seed_are_counted_and_change_nothing(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    seed = sorted(ids(inputs.seed))
    double = id_file(tmp_path / "double.csv", [*seed, *seed[:7], "nobody"])
    for file in (inputs.seed, double):
        assert ready("expand", "--seed", file, "--size", "20").code == 0
    found = json.loads((ready.workspace / "audiences" / "double" / "evaluation.json").read_text())
    figures = {key: found["seed"][key] for key in ("given", "distinct", "duplicates", "matched", "unmatched")}
    assert figures == {"given": 48, "distinct": 41, "duplicates": 7, "matched": 40, "unmatched": 1}
    assert content(ready.workspace, "double") == content(ready.workspace)


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "size"), [("20", 20), ("5%", 13), ("100%", 260), ("0.1%", 1), ("1_0", 10)])
def test_size_is_a_count_or_a_share(ready: Command, inputs: Inputs, asked: str, size: int) -> None:
    made = ready("--json", "expand", "--seed", inputs.seed, "--size", asked, "--force").json
    assert (made["size"], made["candidates"]) == (size, 260)
    assert len(listed(ready.workspace)) == size


def test_auto_size_takes_the_list_as_far_as_it_lifts(ready: Command, inputs: Inputs) -> None:
    made = ready("--json", "expand", "--seed", inputs.seed, "--size", "auto").json
    assert 13 <= made["size"] <= 130  # the other 50 fans, and not everybody
    assert made["lift_low"] > 1
    assert len(listed(ready.workspace)) == made["size"]


def test_list_may_be_parquet(ready: Command, inputs: Inputs) -> None:
    made = ready("--json", "expand", "--seed", inputs.seed, "--size", "10%", "--format", "parquet").json
    frame = pl.read_parquet(made["prospects"])
    assert frame.columns == ["rank", "user_id", "score", "tier"]
    assert len(frame) == made["size"]


# --- the verdict -----------------------------------------------------------------------------------------------------


def test_seed_of_anybody_gets_no_list_but_its_figures(ready: Command, inputs: Inputs) -> None:
    ran = ready("--json", "expand", "--seed", inputs.others, "--size", "10%")
    message, hint = ran.complaint
    assert (ran.code, ran.json["verdict"], ran.json["prospects"]) == (5, "do not expand", None)
    assert message.startswith("do not expand: held-out lift at ")
    assert "--force" in hint
    folder = ready.workspace / "audiences" / "others"
    assert {path.name for path in folder.iterdir()} == {"evaluation.json", "manifest.json"}
    found = json.loads((folder / "evaluation.json").read_text())
    assert found["verdict"]["decision"] == "do not expand"
    assert (found["prospects"], found["tiers"]) == (0, [])


def test_report_of_a_refused_seed_says_so(ready: Command, inputs: Inputs) -> None:
    ready("expand", "--seed", inputs.others, "--size", "10%")
    ran = ready("report", "others")
    assert ran.code == 0
    assert "do not expand" in ran.out
    assert "do not expand" in (ready.workspace / "audiences" / "others" / "report.html").read_text().lower()


def test_force_writes_the_list_and_records_that_it_was_forced(ready: Command, inputs: Inputs) -> None:
    made = ready("--json", "expand", "--seed", inputs.others, "--size", "10%", "--force").json
    assert made["verdict"] == "do not expand"
    assert len(listed(ready.workspace, "others")) == made["size"] == 26
    found = json.loads(Path(made["evaluation"]).read_text())
    assert found["verdict"]["forced"] is True


def test_force_is_not_recorded_where_it_was_not_needed(ready: Command, inputs: Inputs) -> None:
    made = ready("--json", "expand", "--seed", inputs.seed, "--size", "10%", "--force").json
    assert json.loads(Path(made["evaluation"]).read_text())["verdict"]["forced"] is False


# --- logs of other shapes --------------------------------------------------------------------------------------------


def small_shape(name: str) -> pl.DataFrame:
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
def test_odd_log_is_trained_and_expanded_or_refused_in_words(fresh: Command, tmp_path: Path, shape: str) -> None:
    small_shape(shape).write_csv(tmp_path / "log.csv")
    seed = id_file(tmp_path / "seed.csv", user_ids()[:26])
    assert fresh("ingest", tmp_path / "log.csv").code == 0
    ran = fresh(*TRAIN)
    assert ran.code == 0, ran.err
    ran = fresh("expand", "--seed", seed, "--size", "2", "--force", "--name", "s")
    assert ran.code == 0, ran.err
    assert len(listed(fresh.workspace, "s")) == 2
    assert fresh("report").code == 0


@pytest.mark.parametrize("users", [1, 2, 3])
def test_log_of_hardly_anybody_is_trained(fresh: Command, tmp_path: Path, users: int) -> None:
    events().filter(pl.col("user_id").is_in(user_ids()[:users])).write_csv(tmp_path / "log.csv")
    assert fresh("ingest", tmp_path / "log.csv").code == 0
    ran = fresh("--json", *TRAIN)
    assert ran.code == 0, ran.err
    assert ran.json["users"] == users


@pytest.mark.parametrize("encoder", ["transformer", "gru"])
def test_every_encoder_takes_the_whole_path(ready: Command, inputs: Inputs, encoder: str) -> None:
    ran = ready("--json", "train", "--encoder", encoder, "--dim", "16", "--epochs", "1")
    assert ran.code == 0, ran.err
    assert (ran.json["run"], ran.json["version"]) == ("r000002", "v000002")
    assert ready("expand", "--seed", inputs.seed, "--size", "10%").code == 0


def test_events_after_the_cut_are_not_seen(ready: Command, inputs: Inputs) -> None:
    half = f"2024-02-{1 + DAYS // 2 - 31:02d}"
    made = ready("--json", *TRAIN, "--as-of", half).json
    before = events().filter(pl.col("ts") < pl.lit(half).str.to_datetime())
    assert (made["events"], made["users"]) == (len(before), before["user_id"].n_unique())
    manifest = json.loads((ready.workspace / "embeddings" / made["version"] / "manifest.json").read_text())
    assert manifest["as_of"].startswith(half)


def test_only_two_versions_of_the_vectors_are_kept(ready: Command) -> None:
    for _ in range(3):
        assert main(["--workspace", str(ready.workspace), "--quiet", *TRAIN]) == 0
    versions = sorted(path.name for path in (ready.workspace / "embeddings").glob("v*"))
    assert versions == ["v000003", "v000004"]
    assert (ready.workspace / "embeddings" / "CURRENT").read_text() == "v000004\n"
