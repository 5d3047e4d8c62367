"""Weights of an earlier run are copied by name, counted, and refused if their shapes differ."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from lookalike.data.sequences import Vocabulary
from lookalike.encoder import inference, warm_start
from lookalike.encoder.model import ENCODERS, EVENT_FEATURES, FIRST_ITEM, NO_ITEM, ModelSizes, TwoTower, build_model
from lookalike.encoder.results import VocabularyOverlap
from lookalike.encoder.run_files import ModelShape
from lookalike.encoder.runs import Run
from lookalike.errors import StateError
from run_configs import run_config

DIM, LENGTH = 16, 12


def vocabulary_of(items: list[str], attributes: list[str], plans: list[str], codes: dict[str, list[str]]) -> Vocabulary:
    """Each item has the attributes that its number and the next one lead to by name, at whatever code they have."""
    item_codes = []
    for item in items:
        names = {f"c{(int(item[-2:]) + step) % 6}" for step in (0, 1)}
        item_codes.append(sorted(code for code, name in enumerate(attributes) if name in names))
    offsets = np.concatenate([[0], np.cumsum([len(codes_of) for codes_of in item_codes])]).astype(np.int64)
    flat = np.array([code for codes_of in item_codes for code in codes_of], np.int32)
    item_attributes, profile = [("category", name) for name in attributes], [("plan", name) for name in plans]
    return Vocabulary(items, codes, item_attributes, (offsets, flat), profile)


NAMES = (
    [f"i{n:02d}" for n in range(20)],
    [f"c{n}" for n in range(6)],
    ["free", "pro", "team"],
    {"event_type": ["view", "buy", "cart"], "my column": ["x", "y"]},
)
VOCABULARY = vocabulary_of(*NAMES)


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
    return Run("r000001", Path("r000001"), weights, {}, vocabulary, run_config(sizes=ModelShape(**asdict(model.sizes))))


def shuffled_vocabulary(seed: int = 3) -> Vocabulary:
    """The same names with other numbers, and the fields in another order."""
    rng = np.random.default_rng(seed)
    items, attributes, plans = ([str(name) for name in rng.permutation(names)] for names in NAMES[:3])
    codes = {name: list(rng.permutation(values)) for name, values in reversed(NAMES[3].items())}
    return vocabulary_of(items, attributes, plans, codes)


def context_row(model: TwoTower, vocabulary: Vocabulary, field: str, code: int) -> torch.Tensor:
    column = len(EVENT_FEATURES) + list(vocabulary.codes).index(field)
    return model.context.weight[int(model.context_starts[column]) + code]


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_with_the_same_vocabulary_all_weights_are_copied(encoder: str) -> None:
    source, target = model_of(VOCABULARY, encoder), model_of(VOCABULARY, encoder, seed=1)
    overlap = warm_start.copy_weights(target, VOCABULARY, run_of(source, VOCABULARY))
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name
    assert overlap == VocabularyOverlap(known_items=20, items=20, known_attributes=6, attributes=6)


def test_weights_are_matched_by_name_if_the_numbers_differ() -> None:
    shuffled = shuffled_vocabulary()
    assert shuffled.items != VOCABULARY.items
    source, target = model_of(VOCABULARY), model_of(shuffled, seed=1)
    warm_start.copy_weights(target, shuffled, run_of(source, VOCABULARY))
    vectors, source_vectors = inference.item_vectors(target), inference.item_vectors(source)
    for row, item in enumerate(shuffled.items):
        assert np.allclose(vectors[row], source_vectors[VOCABULARY.items.index(item)], atol=1e-6), item
    for code, pair in enumerate(shuffled.profile):
        assert torch.equal(target.profile.weight[code], source.profile.weight[VOCABULARY.profile.index(pair)])
    for field, values in shuffled.codes.items():
        for code, value in enumerate(["", *values]):
            source_code = ["", *VOCABULARY.codes[field]].index(value)
            expected = context_row(source, VOCABULARY, field, source_code)
            assert torch.equal(context_row(target, shuffled, field, code), expected), value
    features = sum(EVENT_FEATURES.values())
    assert torch.equal(target.context.weight[:features], source.context.weight[:features])


def test_new_names_keep_their_initial_weights_and_known_ones_are_copied() -> None:
    vocabulary = vocabulary_of(
        ["i50", "i03", "i51"], ["c9", "c3"], ["pro", "gold"], {"event_type": ["tap", "view"], "other": ["x"]}
    )
    source, target, initial = model_of(VOCABULARY), model_of(vocabulary, seed=1), model_of(vocabulary, seed=1)
    overlap = warm_start.copy_weights(target, vocabulary, run_of(source, VOCABULARY))
    assert overlap == VocabularyOverlap(known_items=1, items=3, known_attributes=1, attributes=2)
    expected = initial.item_id.weight.detach().clone()
    expected[NO_ITEM] = source.item_id.weight[NO_ITEM]  # an event without an item is the same in any log
    expected[1 + FIRST_ITEM] = source.item_id.weight[3 + FIRST_ITEM]
    assert torch.equal(target.item_id.weight, expected)
    assert torch.equal(target.attribute.weight, torch.stack([initial.attribute.weight[0], source.attribute.weight[3]]))
    assert torch.equal(target.profile.weight, torch.stack([source.profile.weight[1], initial.profile.weight[1]]))
    expected_view = context_row(source, VOCABULARY, "event_type", 1)
    assert torch.equal(context_row(target, vocabulary, "event_type", 2), expected_view)
    for field, code in (("event_type", 1), ("other", 0), ("other", 1)):
        assert torch.equal(context_row(target, vocabulary, field, code), context_row(initial, vocabulary, field, code))


def test_without_a_common_name_only_the_shared_weights_are_copied() -> None:
    vocabulary = vocabulary_of(["x90", "x91"], ["z1"], [], {"kind": ["a"]})
    source, target, initial = model_of(VOCABULARY), model_of(vocabulary, seed=1), model_of(vocabulary, seed=1)
    overlap = warm_start.copy_weights(target, vocabulary, run_of(source, VOCABULARY))
    assert overlap == VocabularyOverlap(known_items=0, items=2, known_attributes=0, attributes=1)
    assert torch.equal(target.item_id.weight[FIRST_ITEM:], initial.item_id.weight[FIRST_ITEM:])
    assert torch.equal(target.attribute.weight, initial.attribute.weight)
    for name, value in target.state_dict().items():
        if name.startswith(warm_start.SHARED_PREFIXES):
            assert torch.equal(value, source.state_dict()[name]), name


def test_a_log_without_items_can_start_from_a_run_too() -> None:
    vocabulary = vocabulary_of([], [], [], {"event_type": ["view"]})
    overlap = warm_start.copy_weights(model_of(vocabulary), vocabulary, run_of(model_of(VOCABULARY), VOCABULARY))
    assert overlap == VocabularyOverlap(known_items=0, items=0, known_attributes=0, attributes=0)


@pytest.mark.parametrize(("encoder", "dim"), [("transformer", 24), ("mean", 24), ("gru", DIM)])
def test_weights_of_another_shape_are_refused(encoder: str, dim: int) -> None:
    run = run_of(model_of(VOCABULARY, encoder, dim), VOCABULARY)
    with pytest.raises(StateError, match="r000001 has weights of another shape"):
        warm_start.copy_weights(model_of(VOCABULARY), VOCABULARY, run)
