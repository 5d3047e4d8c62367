"""Items start from the content block, and ids that no event trains are cleared."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lookalike.encoder import fit_plan, initial_weights
from lookalike.encoder.inference import item_vectors
from lookalike.encoder.model import FIRST_ITEM
from planted_log import SMALL
from small_fits import ITEMS, Log, planted_arrays


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return planted_arrays(tmp_path_factory.mktemp("log"))


def test_items_start_along_the_content_directions_with_an_rms_length_of_1(log: Log) -> None:
    plan = fit_plan.plan_fit(*log, SMALL)
    torch.manual_seed(0)
    model = initial_weights.initial_model(plan, log[1])
    width = plan.content.width
    vectors = item_vectors(model)
    assert np.sqrt((vectors[:, :width] ** 2).sum(1).mean()) == pytest.approx(1, abs=1e-3)
    assert np.abs(vectors[:, width:]).mean() < 0.1
    direction = plan.content.components[3] * np.sqrt(plan.content.idf[3])
    own = model.item_id.weight[3 + FIRST_ITEM, :width].detach().numpy()
    assert np.corrcoef(direction, own)[0, 1] == pytest.approx(1, abs=1e-5)


def test_an_encoder_without_content_start_begins_at_random(log: Log) -> None:
    plan = fit_plan.plan_fit(*log, replace(SMALL, encoder="skipgram"))
    torch.manual_seed(0)
    model = initial_weights.initial_model(plan, log[1])
    assert model.item_id.weight[FIRST_ITEM:].std().item() == pytest.approx(SMALL.dim**-0.5, rel=0.1)


def test_only_ids_of_items_without_an_event_are_cleared(log: Log) -> None:
    plan = fit_plan.plan_fit(*log, SMALL)
    model = initial_weights.initial_model(plan, log[1])
    before = model.item_id.weight.detach().clone()
    counts = np.ones(ITEMS, np.int64)
    counts[[4, 9]] = 0
    initial_weights.clear_untrained_ids(model, counts)
    cleared = np.flatnonzero((model.item_id.weight == 0).all(1).numpy())
    assert cleared.tolist() == [0, 4 + FIRST_ITEM, 9 + FIRST_ITEM]  # row 0 is padding
    kept = np.setdiff1d(np.arange(len(before)), cleared)
    assert torch.equal(model.item_id.weight[kept], before[kept])


def test_nothing_is_cleared_if_no_item_has_an_event(log: Log) -> None:
    model = initial_weights.initial_model(fit_plan.plan_fit(*log, SMALL), log[1])
    before = model.item_id.weight.detach().clone()
    initial_weights.clear_untrained_ids(model, np.zeros(ITEMS, np.int64))
    assert torch.equal(model.item_id.weight, before)
