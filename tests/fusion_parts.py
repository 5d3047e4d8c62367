"""Raw parts of users drawn at random, for the tests of the fusion."""

import numpy as np

from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS
from lookalike.encoder.fusion import Centring, Fusion, RawParts, part_tensors
from lookalike.encoder.fusion_tuning import prior_weights
from lookalike.encoder.run_files import FusionWeights

TASTE, CONTENT = 12, 20  # widths


def draw_parts(users: int, seed: int = 0, spread: float = 1.0) -> RawParts:
    """Unit tastes about a common direction, unit contents, and activity columns of very different sizes."""
    rng = np.random.default_rng(seed)
    taste = rng.normal(size=(users, TASTE)) * spread + 0.8
    content = rng.normal(size=(users, CONTENT)) + 0.3
    activity = rng.gamma(1.5, size=(users, len(ACTIVITY_COLUMNS))) * np.arange(1, len(ACTIVITY_COLUMNS) + 1)
    return RawParts(*(part.astype(np.float32) for part in (unit_rows(taste), unit_rows(content), activity)))


def unit_rows(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def centred(parts: RawParts, centring: Centring) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centred taste and bag of unit length, and standardised activity."""
    tensors = part_tensors(parts, centring)
    taste, bag = (part / part.norm(dim=1, keepdim=True).clamp(min=1e-12) for part in (tensors.taste, tensors.bag))
    return taste.numpy(), bag.numpy(), tensors.activity.numpy()


def fusion_of(parts: RawParts, **changes: object) -> Fusion:
    """A fusion centred on these users, with the prior's weights and some changes."""
    return Fusion(Centring.of(parts), weights(**changes))


def weights(**changes: object) -> FusionWeights:
    """The prior's weights with some changes."""
    return prior_weights().model_copy(update=changes)
