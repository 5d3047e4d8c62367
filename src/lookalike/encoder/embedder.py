"""A trained encoder put to use: from events to the blocks of users, and to item vectors in the users' space."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.data.arrays import Matrix
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS, Aggregates, item_group_indicator
from lookalike.embeddings.content import Content
from lookalike.embeddings.interactions import item_indicator
from lookalike.encoder import batches, inference
from lookalike.encoder.fusion import Centring, Fusion, FusionWeights, ItemParts, RawParts
from lookalike.encoder.model import ModelSizes, TwoTower, build_model
from lookalike.encoder.run_arrays import Arrays
from lookalike.encoder.runs import Run
from lookalike.errors import StateError

USERS_PER_STEP = 16_384


@dataclass(frozen=True)
class Embedder:
    """Everything that is fitted, and nothing of any user."""

    model: TwoTower
    content: Content
    aggregates: Aggregates
    fusion: Fusion
    window: int | None
    length: int

    @property
    def widths(self) -> dict[str, int]:
        """How many columns each block has."""
        return {
            "sequence": self.fusion.width,
            "content": self.content.width,
            "aggregates": len(self.aggregates.names),
        }

    def blocks(self, users: Sequences) -> dict[str, Matrix]:
        """Every block of a stretch of users, [n, width]."""
        taste, content, aggregates = self._raw(users)
        parts = RawParts(taste, content, aggregates[:, : len(ACTIVITY_COLUMNS)])
        return {"sequence": self.fusion.users(parts), "content": content, "aggregates": aggregates}

    def _raw(self, users: Sequences) -> tuple[Matrix, Matrix, Matrix]:
        return raw_blocks(self.model, (self.content, self.aggregates), users, self.window, self.length)


def raw_blocks(
    model: TwoTower, fitted: tuple[Content, Aggregates], users: Sequences, window: int | None, length: int
) -> tuple[Matrix, Matrix, Matrix]:
    """Taste, content and aggregates of a stretch of users."""
    content, aggregates = fitted
    latest = batches.latest_segments(users, batches.window_starts(users, window), length)
    return inference.user_vectors(model, users, latest), content.transform(users), aggregates.transform(users)


def raw_parts(
    model: TwoTower,
    fitted: tuple[Content, Aggregates],
    users: Sequences,
    rows: NDArray[np.int64],
    reach: tuple[int | None, int],
) -> RawParts:
    """The raw parts of some user rows. `reach` is the window and the length of a sequence."""
    found = [
        raw_blocks(model, fitted, users.take(rows[first : first + USERS_PER_STEP]), *reach)
        for first in range(0, max(1, len(rows)), USERS_PER_STEP)
    ]
    taste, content, aggregates = (np.vstack(part) for part in zip(*found, strict=True))
    return RawParts(taste, content, aggregates[:, : len(ACTIVITY_COLUMNS)])


def item_parts(embedder: Embedder, known: Sequences) -> ItemParts:
    """What the item vectors are made of; how popular items are is read from `known`."""
    taste, content = inference.item_vectors(embedder.model), embedder.content
    bag = np.zeros((len(taste), content.width), np.float32)  # an item that came after the fit has no directions
    bag[: content.items] = content.components[: content.items]
    return ItemParts(taste, bag, known, float(embedder.model.scale.detach()))


def fitted_arrays(embedder: Embedder) -> Arrays:
    """All that is fitted besides the weights."""
    place = {f"place.{name}": value for name, value in asdict(embedder.fusion.place).items()}
    content, groups = embedder.content, embedder.aggregates.groups
    return place | {"content.idf": content.idf, "content.components": content.components, "aggregates.groups": groups}


def embedder_config(embedder: Embedder) -> dict[str, Any]:
    """What of it goes into the run's config."""
    aggregates = embedder.aggregates
    return {
        "sizes": asdict(embedder.model.sizes),
        "window_days": embedder.window,
        "length": embedder.length,
        "fusion": asdict(embedder.fusion.weights),
        "aggregates": {"names": aggregates.names, "codes": aggregates.codes, "profile": aggregates.profile},
    }


def load_embedder(run: Run, vocabulary: Vocabulary, device: torch.device) -> Embedder:
    """The embedder of a run over a vocabulary that begins with the run's and may go on. Raises StateError."""
    try:
        sizes = ModelSizes(**run.config["sizes"])
        model = build_model(sizes, vocabulary)
        model.load_state_dict(run.weights)
        named, groups = run.config["aggregates"], run.fitted["aggregates.groups"]
        aggregates = Aggregates(
            named["names"], groups, item_group_indicator(vocabulary, groups), named["codes"], named["profile"]
        )
        place = Centring(
            **{name.removeprefix("place."): a for name, a in run.fitted.items() if name.startswith("place.")}
        )
        fusion = Fusion(place, FusionWeights(**run.config["fusion"]))
        content = Content(item_indicator(vocabulary), run.fitted["content.idf"], run.fitted["content.components"])
        return Embedder(model.to(device), content, aggregates, fusion, run.config["window_days"], run.config["length"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise StateError(f"run {run.name} does not fit this version of lookalike", "lookalike train") from error
