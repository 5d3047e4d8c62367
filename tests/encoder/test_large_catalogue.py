"""Catalogues too large for an embedding of each item: rare items share id embeddings and are told by their attributes."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lookalike.data import database, sequence_builder, sequences
from lookalike.embeddings import representation
from lookalike.encoder import embedder, inference, model, runs, warm_start
from lookalike.encoder.model import FIRST_ITEM
from lookalike.encoder.negatives import NegativeSampling
from lookalike.workspace.paths import WorkspaceFolder
from small_log import ITEMS, Command, trained, write

COMMON, SHARED = 20, 8
MODULES: tuple[ModuleType, ...] = (sequences, model, warm_start, inference)  # that have COMMON_ITEMS


@pytest.fixture
def few_common_items(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        monkeypatch.setattr(module, "COMMON_ITEMS", COMMON)
    monkeypatch.setattr(model, "SHARED_ID_ROWS", SHARED)


@pytest.mark.usefixtures("few_common_items")
def test_what_a_run_stores_of_a_catalogue_is_bounded_and_all_commands_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = write(tmp_path)
    workspace = WorkspaceFolder(trained(tmp_path / "space", inputs))
    run = runs.load_run(workspace, "r000001")
    assert len(run.vocabulary.items) == ITEMS
    assert len(run.weights["item_id.weight"]) == COMMON + SHARED + FIRST_ITEM
    terms = COMMON + len(run.vocabulary.attributes)
    assert run.fitted["content.idf"].shape == (terms,)
    assert len(run.fitted["content.components"]) == terms
    assert len(np.load(run.folder / "items.npy")) == COMMON

    loaded = embedder.load_embedder(run, run.vocabulary, torch.device("cpu"))
    with database.open_file(workspace.database, read_only=True) as opened:
        cut = database.Cut(database.end_of_log(opened))
        arrays, _ = sequence_builder.build_sequences(opened, cut, tmp_path, run.vocabulary)
    live = representation.live_version(workspace)
    stored = live.raw(np.arange(live.users))
    for block, values in loaded.blocks(arrays).items():
        assert np.array_equal(values.astype(np.float16), stored[block]), block
    assert np.abs(stored["content"]).sum(1).min() > 0  # users of rare items have the content of the attributes

    ran = Command(capsys, workspace.root)("expand", "--seed", inputs.seed, "--size", 50, "--name", "fans")
    assert ran.code == 0, ran.err


@pytest.mark.usefixtures("few_common_items")
def test_rare_items_share_id_rows_and_common_ones_do_not() -> None:
    rows = model.id_table_index(ITEMS, ITEMS).numpy()
    assert rows[:COMMON].tolist() == list(range(FIRST_ITEM, COMMON + FIRST_ITEM))
    shared = rows[COMMON:]
    assert shared.min() >= COMMON + FIRST_ITEM
    assert shared.max() < COMMON + FIRST_ITEM + SHARED
    assert len(set(shared.tolist())) == SHARED


def test_negatives_are_drawn_by_their_probability() -> None:
    probability = np.array([0, 0.5, 0, 0.3, 0.2, 0])
    sampling = NegativeSampling(torch.from_numpy(probability).float(), 100_000)
    share = np.bincount(sampling.draw(np.random.default_rng(0)).numpy(), minlength=6) / 100_000
    assert share[probability == 0].sum() == 0
    assert np.abs(share - probability).max() < 0.01
