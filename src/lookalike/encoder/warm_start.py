"""Warm start: copies the weights of an earlier run, perhaps of another log, into a new model, matched by name."""

import numpy as np
import torch

from lookalike.data.arrays import Rows
from lookalike.data.sequences import COMMON_ITEMS, Vocabulary
from lookalike.encoder.model import EVENT_FEATURES, FIRST_ITEM, NO_ITEM, ModelSizes, TwoTower
from lookalike.encoder.results import VocabularyOverlap
from lookalike.encoder.runs import Run
from lookalike.errors import StateError

# Weights that do not depend on a vocabulary.
SHARED_PREFIXES = ("body.", "attend.", "head.", "pool.", "start", "log_scale")


@torch.no_grad()
def copy_weights(model: TwoTower, vocabulary: Vocabulary, run: Run) -> VocabularyOverlap:
    """Copies the run's weights into a new model; returns how much of the vocabulary they cover.

    What the run does not know keeps its initial weights. Raises StateError if the shapes differ.
    """
    sizes = ModelSizes(**run.config.sizes.model_dump())
    source, target = run.weights, model.state_dict()
    items = _matching_positions(run.vocabulary.items[:COMMON_ITEMS], vocabulary.items[:COMMON_ITEMS])
    attributes = _matching_positions(run.vocabulary.attributes, vocabulary.attributes)
    tables = {
        "item_id.weight": np.hstack([[[NO_ITEM], [NO_ITEM]], items + FIRST_ITEM]),
        "attribute.weight": attributes,
        "profile.weight": _matching_positions(run.vocabulary.profile, vocabulary.profile),
    }
    try:
        tables["context.weight"] = _context_rows(run, sizes, model.sizes, vocabulary)
        for name, value in source.items():
            if name.startswith(SHARED_PREFIXES):
                target[name].copy_(value)
        for name, rows in tables.items():
            _copy_rows(source[name], target[name], rows)
    except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise StateError(f"run {run.name} has weights of another shape", "lookalike train without --from") from error
    return VocabularyOverlap(
        known_items=items.shape[1],
        items=len(vocabulary.items),
        known_attributes=attributes.shape[1],
        attributes=len(vocabulary.attributes),
    )


def _matching_positions(source: list[str] | list[tuple[str, str]], target: list[str] | list[tuple[str, str]]) -> Rows:
    """The positions of the values that both lists hold, [2, n]: in the source, and in the target."""
    position = {value: i for i, value in enumerate(source)}
    pairs = [(position[value], i) for i, value in enumerate(target) if value in position]
    return np.array(pairs, np.int64).reshape(-1, 2).T


def _context_rows(run: Run, source: ModelSizes, target: ModelSizes, vocabulary: Vocabulary) -> Rows:
    """The rows of the context table with the same meaning in both models, [2, n]."""
    features = np.arange(sum(EVENT_FEATURES.values()))
    rows = [np.stack([features, features])]
    source_starts, target_starts = _field_starts(source), _field_starts(target)
    for field in source.fields.keys() & target.fields.keys():
        codes = _matching_positions(run.vocabulary.codes[field], vocabulary.codes[field]) + 1
        with_missing = np.hstack([np.zeros((2, 1), np.int64), codes])  # code 0 is a missing value in both
        rows.append(with_missing + np.array([[source_starts[field]], [target_starts[field]]]))
    return np.hstack(rows)


def _field_starts(sizes: ModelSizes) -> dict[str, int]:
    """The first row of each coded field in the context table."""
    starts = np.cumsum([sum(EVENT_FEATURES.values()), *(values + 1 for values in sizes.fields.values())])
    return {field: int(start) for field, start in zip(sizes.fields, starts, strict=False)}


def _copy_rows(source: torch.Tensor, target: torch.Tensor, rows: Rows) -> None:
    source_rows, target_rows = (torch.from_numpy(np.ascontiguousarray(side)) for side in rows)
    target[target_rows.to(target.device)] = source[source_rows].to(target.device)
