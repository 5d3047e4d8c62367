"""Weights from elsewhere: put in place by name, said how many, refused where they cannot fit."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from lookalike.api import train
from lookalike.data.sequences import Vocabulary
from lookalike.embeddings import representation
from lookalike.encoder import inference, warm_start
from lookalike.encoder.model import ENCODERS, EVENT_FEATURES, FIRST_ITEM, NO_ITEM, ModelSizes, TwoTower, build_model
from lookalike.encoder.runs import Run
from lookalike.errors import SettingsError, StateError
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from lookalike.workspace.settings import TrainSettings
from small_log import SETTINGS, Command, events, items

pytest_plugins = ("space_fixtures",)

DIM, LENGTH = 16, 12


def vocabulary_of(items: list[str], attributes: list[str], plans: list[str], codes: dict[str, list[str]]) -> Vocabulary:
    """Each item has the attributes that its number and the next one lead to by name, wherever they stand."""
    pairs = []
    for item in items:
        named = {f"c{(int(item[-2:]) + step) % 6}" for step in (0, 1)}
        pairs.append(sorted(place for place, name in enumerate(attributes) if name in named))
    offsets = np.concatenate([[0], np.cumsum([len(of) for of in pairs])]).astype(np.int64)
    flat = np.array([code for of in pairs for code in of], np.int32)
    pick = [("category", name) for name in attributes], [("plan", name) for name in plans]
    return Vocabulary(items, codes, pick[0], (offsets, flat), pick[1])


NAMED = (
    [f"i{n:02d}" for n in range(20)],
    [f"c{n}" for n in range(6)],
    ["free", "pro", "team"],
    {"event_type": ["view", "buy", "cart"], "my column": ["x", "y"]},
)
HERE = vocabulary_of(*NAMED)


def model_of(vocabulary: Vocabulary, encoder: str = "transformer", dim: int = DIM, seed: int = 0) -> TwoTower:
    torch.manual_seed(seed)
    fields = {name: len(values) for name, values in vocabulary.codes.items()}
    counts = (len(vocabulary.items), len(vocabulary.attributes), fields, len(vocabulary.profile))
    model = build_model(ModelSizes(encoder, dim, LENGTH, *counts), vocabulary)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
        model.item_id.weight[0] = 0
    return model.eval()


def run_of(model: TwoTower, vocabulary: Vocabulary) -> Run:
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    return Run("r000001", Path("r000001"), weights, {}, vocabulary, {"sizes": asdict(model.sizes)})


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_into_the_same_vocabulary_all_weights_come(encoder: str) -> None:
    theirs, ours = model_of(HERE, encoder), model_of(HERE, encoder, seed=1)
    said = warm_start.copy_weights(ours, HERE, run_of(theirs, HERE))
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    assert said == "20 of 20 items and 6 of 6 item attributes are known to it"


def shuffled(seed: int = 3) -> Vocabulary:
    """The same names under other numbers, with the fields in another order too."""
    rng = np.random.default_rng(seed)
    items, attributes, plans = (list(rng.permutation(names)) for names in NAMED[:3])
    codes = {name: list(rng.permutation(values)) for name, values in reversed(NAMED[3].items())}
    return vocabulary_of([str(i) for i in items], [str(a) for a in attributes], [str(p) for p in plans], codes)


def test_numbers_that_moved_are_matched_by_name() -> None:
    there = shuffled()
    assert there.items != HERE.items
    theirs, ours = model_of(HERE), model_of(there, seed=1)
    warm_start.copy_weights(ours, there, run_of(theirs, HERE))
    vectors, before = inference.item_vectors(ours), inference.item_vectors(theirs)
    for row, item in enumerate(there.items):
        assert np.allclose(vectors[row], before[HERE.items.index(item)], atol=1e-6), item
    for code, pair in enumerate(there.profile):
        assert torch.equal(ours.profile.weight[code], theirs.profile.weight[HERE.profile.index(pair)])
    for field, values in there.codes.items():
        for code, value in enumerate(["", *values]):
            old = ["", *HERE.codes[field]].index(value)
            assert torch.equal(context_row(ours, there, field, code), context_row(theirs, HERE, field, old)), value
    moments = sum(EVENT_FEATURES.values())
    assert torch.equal(ours.context.weight[:moments], theirs.context.weight[:moments])


def context_row(model: TwoTower, vocabulary: Vocabulary, field: str, code: int) -> torch.Tensor:
    at = len(EVENT_FEATURES) + list(vocabulary.codes).index(field)
    return model.context.weight[int(model.context_starts[at]) + code]


def test_new_names_keep_their_own_start_and_the_known_ones_come() -> None:
    there = vocabulary_of(
        ["i50", "i03", "i51"], ["c9", "c3"], ["pro", "gold"], {"event_type": ["tap", "view"], "other": ["x"]}
    )
    theirs, ours, untouched = model_of(HERE), model_of(there, seed=1), model_of(there, seed=1)
    said = warm_start.copy_weights(ours, there, run_of(theirs, HERE))
    assert said == "1 of 3 items and 1 of 2 item attributes are known to it"
    expected = untouched.item_id.weight.detach().clone()
    expected[NO_ITEM] = theirs.item_id.weight[NO_ITEM]  # an event about no item is one in any log
    expected[1 + FIRST_ITEM] = theirs.item_id.weight[3 + FIRST_ITEM]
    assert torch.equal(ours.item_id.weight, expected)
    assert torch.equal(ours.attribute.weight[0], untouched.attribute.weight[0])
    assert torch.equal(ours.attribute.weight[1], theirs.attribute.weight[3])
    assert torch.equal(ours.profile.weight, torch.stack([theirs.profile.weight[1], untouched.profile.weight[1]]))
    assert torch.equal(context_row(ours, there, "event_type", 2), context_row(theirs, HERE, "event_type", 1))
    for field, code in (("event_type", 1), ("other", 0), ("other", 1)):
        assert torch.equal(context_row(ours, there, field, code), context_row(untouched, there, field, code))


def test_of_another_world_nothing_is_known_and_it_says_so() -> None:
    there = vocabulary_of(["x90", "x91"], ["z1"], [], {"kind": ["a"]})
    theirs, ours, untouched = model_of(HERE), model_of(there, seed=1), model_of(there, seed=1)
    said = warm_start.copy_weights(ours, there, run_of(theirs, HERE))
    assert said == "0 of 2 items and 0 of 1 item attributes are known to it"
    assert torch.equal(ours.item_id.weight[FIRST_ITEM:], untouched.item_id.weight[FIRST_ITEM:])
    assert torch.equal(ours.attribute.weight, untouched.attribute.weight)
    for name, value in ours.state_dict().items():
        if name.startswith(warm_start.SHARED_PREFIXES):  # how to read a sequence is no matter of names
            assert torch.equal(value, theirs.state_dict()[name]), name


def test_a_log_without_items_can_take_weights_too() -> None:
    there = vocabulary_of([], [], [], {"event_type": ["view"]})
    said = warm_start.copy_weights(model_of(there), there, run_of(model_of(HERE), HERE))
    assert said == "0 of 0 items and 0 of 0 item attributes are known to it"


@pytest.mark.parametrize(("encoder", "dim"), [("transformer", 24), ("mean", 24), ("gru", DIM)])
def test_weights_of_another_shape_are_refused(encoder: str, dim: int) -> None:
    theirs = run_of(model_of(HERE, encoder, dim), HERE)
    with pytest.raises(StateError, match="r000001 has weights of another shape"):
        warm_start.copy_weights(model_of(HERE), HERE, theirs)


# --- the commands ----------------------------------------------------------------------------------------------------


def config(workspace: Path, run: str) -> dict[str, object]:
    found = json.loads((workspace / "runs" / run / "config.json").read_text())
    assert isinstance(found, dict)
    return found


def losses(workspace: Path, run: str) -> list[float]:
    return [epoch["loss"] for epoch in json.loads((workspace / "runs" / run / "metrics.json").read_text())["history"]]


def test_train_goes_on_from_a_run_in_its_shape(ready: Command) -> None:
    ran = ready("train", "--from", "r000001", "--epochs", "1", "--seed", "4")
    assert ran.code == 0, ran.err
    known = len(events()["item_id"].unique())
    assert f"going on from r000001: {known} of {known} items" in " ".join(ran.err.split())
    first, second = (config(ready.workspace, run) for run in ("r000001", "r000002"))
    assert second["sizes"] == first["sizes"]  # of 16 columns, where the default is 128
    assert (first["start_from"], second["start_from"]) == (None, "r000001")
    fresh = ready("train", "--encoder", "mean", "--dim", "16", "--epochs", "1", "--seed", "4")
    assert fresh.code == 0
    assert losses(ready.workspace, "r000002")[0] < losses(ready.workspace, "r000003")[0]


def test_train_from_what_is_no_run_is_refused_before_any_work(ready: Command) -> None:
    message, hint = ready.refused(4, "train", "--from", "r000009")
    assert "no run is here" in message
    assert "r000001" in hint


def another_log(folder: Path) -> Path:
    """Another client's people, who know half of the first one's items and some of their own."""
    folder.mkdir()
    frame = events().with_columns(
        ("x" + pl.col("user_id")).alias("user_id"),
        pl.when(pl.col("item_id") >= "i30").then("new" + pl.col("item_id")).otherwise("item_id").alias("item_id"),
    )
    frame.write_parquet(folder / "other.parquet")
    items().write_csv(folder / "items.csv")
    return folder / "other.parquet"


@pytest.fixture
def elsewhere(fresh: Command, tmp_path: Path) -> Command:
    """Another workspace, with a log and no encoder."""
    fresh.workspace.mkdir()
    (fresh.workspace / "lookalike.toml").write_text(SETTINGS)
    assert fresh("ingest", another_log(tmp_path / "files")).code == 0
    return fresh


def test_a_run_folder_from_another_workspace_embeds_and_says_how_much_it_knows(
    elsewhere: Command, trained_space: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "given" / "their run"
    shutil.copytree(trained_space / "runs" / "r000001", folder)
    ran = elsewhere("embed", "--run", folder)
    assert ran.code == 0, ran.err
    assert "30 items are new to r000001: they are their attributes alone" in " ".join(ran.err.split())
    live = representation.live_version(WorkspaceFolder(elsewhere.workspace))
    assert live.manifest.run == "r000001"
    assert set(pl.read_parquet(live.folder / "users.parquet")["user_id"]) == {
        "x" + user for user in events()["user_id"].unique()
    }
    stored = live.gather(np.arange(live.users))[:, live.layout.columns("sequence")]
    assert np.linalg.norm(stored, axis=1) == pytest.approx(1, abs=2e-3)
    shutil.rmtree(folder)  # what lists will be made with is the workspace's own
    again = elsewhere("embed")
    assert again.code == 0, again.err
    assert "no user has events that were not seen" in " ".join(again.err.split())


def test_a_copied_run_is_known_by_its_name_here(elsewhere: Command, trained_space: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_space / "runs" / "r000001", tmp_path / "r000007")
    for _ in range(2):  # the second time it is here already
        assert elsewhere("--json", "embed", "--run", tmp_path / "r000007").json["run"] == "r000001"
    named = [run["run"] for run in elsewhere("--json", "status").json["runs"]]
    assert named == ["r000001"]


def test_their_run_gives_a_list_here(elsewhere: Command, trained_space: Path, tmp_path: Path) -> None:
    assert elsewhere("embed", "--run", trained_space / "runs" / "r000001").code == 0
    ids = pl.DataFrame({"user_id": sorted({"x" + user for user in events()["user_id"].unique()})[:40]})
    ids.write_csv(tmp_path / "seed.csv")
    ran = elsewhere("expand", "--seed", tmp_path / "seed.csv", "--size", "10%", "--force")
    assert ran.code == 0, ran.err


def test_embed_without_any_encoder_says_what_to_do(elsewhere: Command) -> None:
    message, hint = elsewhere.refused(4, "embed")
    assert "no encoder was trained" in message
    assert "train" in hint


def test_train_from_another_clients_folder_says_how_much_is_known(elsewhere: Command, trained_space: Path) -> None:
    folder = trained_space / "runs" / "r000001"
    ran = elsewhere("train", "--from", folder, "--epochs", "1")
    assert ran.code == 0, ran.err
    assert "30 of 60 items" in " ".join(ran.err.split())
    assert config(elsewhere.workspace, "r000001")["start_from"] == "r000001"


def test_a_damaged_folder_is_refused(elsewhere: Command, trained_space: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_space / "runs" / "r000001", tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    message, _ = elsewhere.refused(4, "embed", "--run", tmp_path / "broken")
    assert "damaged or missing" in message


def test_a_resumed_training_goes_on_as_it_was_begun(trained_space: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_space, tmp_path / "space")
    workspace = WorkspaceFolder(tmp_path / "space")
    request = train.TrainRequest(TrainSettings(), device="cpu", resume=True, start_from="r000001")
    with pytest.raises(SettingsError, match="begun"):
        train.train(workspace, request, QuietProgress())
