"""Catalogues too large for every item to have a place of its own: rare items share id embeddings and are their attributes."""

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
HAVE: tuple[ModuleType, ...] = (sequences, model, warm_start, inference)


@pytest.fixture
def few_common(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in HAVE:
        monkeypatch.setattr(module, "COMMON_ITEMS", COMMON)
    monkeypatch.setattr(model, "SHARED_ID_ROWS", SHARED)


@pytest.mark.usefixtures("few_common")
def test_what_is_kept_of_a_catalogue_is_bounded_and_the_commands_work_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = write(tmp_path)
    space = WorkspaceFolder(trained(tmp_path / "ws", inputs))
    run = runs.load_run(space, "r000001")
    assert len(run.vocabulary.items) == ITEMS
    assert len(run.weights["item_id.weight"]) == COMMON + SHARED + FIRST_ITEM
    terms = COMMON + len(run.vocabulary.attributes)
    assert run.fitted["content.idf"].shape == (terms,)
    assert len(run.fitted["content.components"]) == terms
    assert len(np.load(run.folder / "items.npy")) == COMMON

    made = embedder.load_embedder(run, run.vocabulary, torch.device("cpu"))
    with database.open_file(space.database, read_only=True) as opened:
        arrays, _ = sequence_builder.build_sequences(
            opened, database.Cut(database.end_of_log(opened)), tmp_path, run.vocabulary
        )
    live = representation.live_version(space)
    for block, values in made.blocks(arrays).items():
        assert np.array_equal(values.astype(np.float16), live.raw(np.arange(live.users))[block]), block
    assert np.abs(live.raw(np.arange(live.users))["content"]).sum(1).min() > 0  # the rare too are their attributes

    ran = Command(capsys, space.root)("expand", "--seed", inputs.seed, "--size", 50, "--name", "fans")
    assert ran.code == 0, ran.err


@pytest.mark.usefixtures("few_common")
def test_a_rare_item_shares_its_id_and_the_common_ones_do_not() -> None:
    rows = model.id_table_index(ITEMS, ITEMS).numpy()
    assert rows[:COMMON].tolist() == list(range(FIRST_ITEM, COMMON + FIRST_ITEM))
    shared = rows[COMMON:]
    assert shared.min() >= COMMON + FIRST_ITEM
    assert shared.max() < COMMON + FIRST_ITEM + SHARED
    assert len(set(shared.tolist())) == SHARED


def test_negatives_are_drawn_as_often_as_they_should_be_and_what_has_no_chance_never() -> None:
    chance = np.array([0, 0.5, 0, 0.3, 0.2, 0])
    torch.manual_seed(0)
    drawn = (
        np.bincount(NegativeSampling(torch.from_numpy(chance).float(), 100_000).draw().numpy(), minlength=6) / 100_000
    )
    assert drawn[chance == 0].sum() == 0
    assert np.abs(drawn - chance).max() < 0.01
