"""The weights of a model before its first step.

Item vectors start from the directions of the content block, so that the pool of a user's items is meaningful at once.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.data.arrays import Rows
from lookalike.data.sequences import Vocabulary
from lookalike.embeddings.content import Content
from lookalike.embeddings.interactions import NEGLIGIBLE
from lookalike.encoder.fit_plan import FitPlan
from lookalike.encoder.model import ENCODERS, ModelSizes, TwoTower, build_model, is_unshared

REMAINING_NOISE = 0.1  # factor on the random columns that content has no direction for


def initial_model(plan: FitPlan, vocabulary: Vocabulary) -> TwoTower:
    """The model that a fit starts with, drawn from torch's global random state."""
    settings, sequences = plan.settings, plan.known
    sizes = ModelSizes(
        encoder=settings.encoder,
        dim=settings.dim,
        length=settings.length,
        items=len(vocabulary.items),
        attributes=len(vocabulary.attributes),
        fields={name: len(vocabulary.codes[name]) for name in sequences.fields},
        profile=len(vocabulary.profile),
    )
    model = build_model(sizes, vocabulary, settings.dropout)
    if ENCODERS[settings.encoder].starts_from_content:
        start_from_content(model, plan.content)
    return model


@torch.no_grad()
def start_from_content(model: TwoTower, content: Content) -> None:
    """Puts the directions of the content block into the item tower, scaled to a root mean square length of 1."""
    item_rows, attribute_rows, rms_length = _content_directions(content, model.sizes.dim)
    if rms_length < NEGLIGIBLE:
        return
    width = item_rows.shape[1]
    for table in model.embedding_tables:
        table[:, width:] *= REMAINING_NOISE
    id_row = model.id_row[: len(item_rows)]
    unshared = torch.where(is_unshared(id_row))[0]  # shared ids keep their random start
    model.item_id.weight[id_row[unshared], :width] = torch.from_numpy(item_rows)[unshared] / rms_length
    if len(attribute_rows):
        model.attribute.weight[:, :width] = torch.from_numpy(attribute_rows) / rms_length


def _content_directions(content: Content, dim: int) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Directions of items [I, W] and attributes [A, W], W at most `dim`, and the root mean square length of their sums."""
    directions = (content.components * np.sqrt(content.idf)[:, None])[:, :dim].astype(np.float32)
    item_rows, attribute_rows = directions[: content.items], directions[content.items :]
    attribute_share = content.indicator.multiply(1 / np.maximum(content.indicator.sum(1), 1)).tocsr()
    described = item_rows + attribute_share[: content.items] @ attribute_rows
    return item_rows, attribute_rows, float(np.sqrt((described**2).sum(1).mean())) if len(item_rows) else 0.0


@torch.no_grad()
def clear_untrained_ids(model: TwoTower, counts: Rows) -> None:
    """Sets the id embedding of every item without an event to zero, unless rare items share it.

    Such an item is then its attributes alone: its id would stay at random. `counts` [V] are events by item; if there is
    none at all, nothing is cleared.
    """
    if not counts.any():
        return
    untrained = torch.from_numpy(np.flatnonzero(counts == 0))
    id_row = model.id_row[untrained[untrained < len(model.id_row)]]
    model.item_id.weight[id_row[is_unshared(id_row)]] = 0
