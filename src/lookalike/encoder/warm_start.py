"""Weights that were trained on another log, or on less of this one: what both know is put in place, by name."""

import numpy as np
import torch

from lookalike.data.sequences import COMMON_ITEMS, Vocabulary
from lookalike.encoder.model import EVENT_FEATURES, FIRST_ITEM, NO_ITEM, ModelSizes, TwoTower
from lookalike.encoder.runs import Run
from lookalike.errors import StateError

SHARED_PREFIXES = ("body.", "attend.", "head.", "pool.", "start", "log_scale")


@torch.no_grad()
def copy_weights(model: TwoTower, vocabulary: Vocabulary, run: Run) -> str:
    """Copies the run's weights into a fresh model, item by item and value by value; says how many were known.

    Raises StateError when the shapes differ.
    """
    sizes = ModelSizes(**run.config.sizes.model_dump())
    own = model.state_dict()
    try:
        for name, value in run.weights.items():
            if name.startswith(SHARED_PREFIXES):
                own[name].copy_(value)
        items = _same(run.vocabulary.items[:COMMON_ITEMS], vocabulary.items[:COMMON_ITEMS])
        own["item_id.weight"][NO_ITEM].copy_(run.weights["item_id.weight"][NO_ITEM])  # it has no name, and is the same
        _copy(own["item_id.weight"], run.weights["item_id.weight"], items + FIRST_ITEM)
        attributes = _same(run.vocabulary.attributes, vocabulary.attributes)
        _copy(own["attribute.weight"], run.weights["attribute.weight"], attributes)
        _copy(own["profile.weight"], run.weights["profile.weight"], _same(run.vocabulary.profile, vocabulary.profile))
        _copy(own["context.weight"], run.weights["context.weight"], _contexts(run, sizes, model.sizes, vocabulary))
    except (KeyError, RuntimeError) as error:
        raise StateError(f"run {run.name} has weights of another shape", "lookalike train without --from") from error
    return (
        f"{items.shape[1]:,} of {len(vocabulary.items):,} items and {attributes.shape[1]:,} of "
        f"{len(vocabulary.attributes):,} item attributes are known to it"
    )


def _same(theirs: list[str] | list[tuple[str, str]], ours: list[str] | list[tuple[str, str]]) -> np.ndarray:
    """The places of what both lists hold, [2, n]: in theirs and in ours."""
    place = {value: number for number, value in enumerate(theirs)}
    pairs = [(place[value], number) for number, value in enumerate(ours) if value in place]
    return np.array(pairs, np.int64).reshape(-1, 2).T


def _contexts(run: Run, theirs: ModelSizes, ours: ModelSizes, vocabulary: Vocabulary) -> np.ndarray:
    """The rows of the context table that mean the same in both, [2, n]."""
    moments = np.arange(sum(EVENT_FEATURES.values()))
    found = [np.stack([moments, moments])]
    starts = [_starts(sizes) for sizes in (theirs, ours)]
    for field in theirs.fields.keys() & ours.fields.keys():
        same = _same(run.vocabulary.codes[field], vocabulary.codes[field]) + 1  # code 0 is missing
        both = np.hstack([np.zeros((2, 1), np.int64), same])
        found.append(both + np.array([[starts[0][field]], [starts[1][field]]]))
    return np.hstack(found)


def _starts(sizes: ModelSizes) -> dict[str, int]:
    ends = np.cumsum([sum(EVENT_FEATURES.values()), *(values + 1 for values in sizes.fields.values())])
    return {field: int(end) for field, end in zip(sizes.fields, ends, strict=False)}


def _copy(target: torch.Tensor, source: torch.Tensor, rows: np.ndarray) -> None:
    theirs, ours = (torch.from_numpy(np.ascontiguousarray(side)) for side in rows)
    target[ours.to(target.device)] = source[theirs].to(target.device)
