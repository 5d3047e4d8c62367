"""Turns events into the blocks of users, and items into vectors in the users' space, by a trained encoder."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.data.arrays import Matrix, Rows
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.embeddings.aggregates import ACTIVITY_COLUMNS, Aggregates, fit_aggregates, item_group_indicator
from lookalike.embeddings.content import Content, fit_content
from lookalike.embeddings.interactions import item_indicator, sample_users
from lookalike.encoder import batches, inference
from lookalike.encoder.fusion import Centring, Fusion, ItemParts, RawParts
from lookalike.encoder.model import ModelSizes, TwoTower, build_model
from lookalike.encoder.run_arrays import Arrays
from lookalike.encoder.run_files import FusionWeights
from lookalike.encoder.runs import Run
from lookalike.encoder.threads import own_threads
from lookalike.encoder.trainer import Fit
from lookalike.errors import StateError

CPU = torch.device("cpu")
USERS_PER_STEP = 16_384
USERS_PER_THREAD = 4_096  # at a time
MAX_CENTRING_USERS = 40_000  # enough for means
CENTRING_PREFIX = "place."  # of the centring's arrays in a run


@dataclass(frozen=True)
class PartExtractor:
    """Everything that is fitted before the fusion: the model and the two blocks that need no training."""

    model: TwoTower
    content: Content
    aggregates: Aggregates
    window: int | None  # days that a sequence reaches back
    length: int  # of a sequence

    def blocks(self, users: Sequences) -> tuple[Matrix, Matrix, Matrix]:
        """Taste, content and aggregates of some users, each [n, width]. Steps of one size, each by one thread: what a user
        is computed with does not depend on the number of threads."""
        steps = [
            users.block(first, min(first + USERS_PER_THREAD, users.users))
            for first in range(0, max(1, users.users), USERS_PER_THREAD)
        ]
        with own_threads() as threads:
            parts = threads.map(self._step, steps)
        taste, content, aggregates = (np.concatenate(block) for block in zip(*parts, strict=True))
        return taste, content, aggregates

    def _step(self, users: Sequences) -> tuple[Matrix, Matrix, Matrix]:
        latest = batches.latest_segments(users, batches.window_starts(users, self.window), self.length)
        taste = inference.user_vectors(self.model, users, latest)
        return taste, self.content.transform(users), self.aggregates.transform(users)

    def parts(self, users: Sequences, rows: Rows) -> RawParts:
        """The raw parts of some rows of `users`, computed a few thousand users at a time."""
        steps = [
            self.blocks(users.take(rows[first : first + USERS_PER_STEP]))
            for first in range(0, max(1, len(rows)), USERS_PER_STEP)
        ]
        taste, content, aggregates = (np.vstack(block) for block in zip(*steps, strict=True))
        return _raw_parts(taste, content, aggregates)


def _raw_parts(taste: Matrix, content: Matrix, aggregates: Matrix) -> RawParts:
    return RawParts(taste, content, aggregates[:, : len(ACTIVITY_COLUMNS)])


@dataclass(frozen=True)
class Embedder:
    """Everything that is fitted. Holds nothing of any user."""

    extractor: PartExtractor
    fusion: Fusion

    @property
    def widths(self) -> dict[str, int]:
        """The number of columns of each block."""
        return {
            "sequence": self.fusion.width,
            "content": self.extractor.content.width,
            "aggregates": len(self.aggregate_names),
        }

    @property
    def aggregate_names(self) -> list[str]:
        return list(self.extractor.aggregates.names)

    def blocks(self, users: Sequences) -> dict[str, Matrix]:
        """Every block of some users, [n, width]."""
        taste, content, aggregates = self.extractor.blocks(users)
        vectors = self.fusion.users(_raw_parts(taste, content, aggregates))
        return {"sequence": vectors, "content": content, "aggregates": aggregates}

    def check(self, users: Sequences) -> None:
        """Embeds the first user. Raises StateError when parts of a run do not fit together, or give NaN or infinity."""
        with unfit_parts("the run"):
            blocks = self.blocks(users.block(0, min(1, users.users)))
            if any(blocks[name].shape[1] != width for name, width in self.widths.items()):
                raise ValueError("a block has another width")
            if not all(np.isfinite(values).all() for values in blocks.values()):
                raise ValueError("a vector is not finite")

    def vectors(self, users: Sequences, on_users: Callable[[int], None]) -> NDArray[np.float32]:
        """The sequence block of all users, [n, W], computed a few thousand users at a time."""
        vectors = np.zeros((users.users, self.fusion.width), np.float32)
        for first in range(0, users.users, USERS_PER_STEP):
            last = min(first + USERS_PER_STEP, users.users)
            vectors[first:last] = self.blocks(users.block(first, last))["sequence"]
            on_users(last)
        return vectors

    def item_parts(self, history: Sequences) -> ItemParts:
        """What the item vectors are made of; popularity is counted in `history`."""
        model, content = self.extractor.model, self.extractor.content
        taste = inference.item_vectors(model)
        bag = np.zeros((len(taste), content.width), np.float32)  # items that came after the fit have no directions
        bag[: content.items] = content.components[: content.items]
        return ItemParts(taste, bag, history, float(model.scale.detach()))

    def item_vectors(self, history: Sequences) -> NDArray[np.float32]:
        """Vectors of the common items in the users' space, [V, W]."""
        return self.item_parts(history).vectors(self.fusion)

    def arrays(self) -> Arrays:
        """What a run stores besides the weights of the model."""
        centring = {f"{CENTRING_PREFIX}{name}": value for name, value in asdict(self.fusion.centring).items()}
        content, groups = self.extractor.content, self.extractor.aggregates.groups
        return centring | {
            "content.idf": content.idf,
            "content.components": content.components,
            "aggregates.groups": groups,
        }


def fit_embedder(fit: Fit, everything: Sequences, weights: FusionWeights) -> Embedder:
    """The embedder of a finished fit. Content, aggregates and means are fitted on all events, also held-out ones."""
    settings, vocabulary = fit.plan.settings, fit.vocabulary
    sample = sample_users(everything, settings.random_seed)
    content = fit_content(sample, vocabulary, settings.content_dim, settings.random_seed)
    aggregates = fit_aggregates(sample, vocabulary, settings.group_columns)
    extractor = PartExtractor(fit.model, content, aggregates, fit.plan.window, settings.length)
    centring = Centring.of(extractor.parts(everything, _evenly_spaced(everything.users, MAX_CENTRING_USERS)))
    return Embedder(extractor, Fusion(centring, weights))


def _evenly_spaced(users: int, count: int) -> Rows:
    """At most `count` of the user rows, ascending."""
    return np.unique(np.linspace(0, users - 1, min(users, count)).astype(np.int64))


def load_embedder(run: Run, vocabulary: Vocabulary, device: torch.device = CPU) -> Embedder:
    """The embedder of a run. `vocabulary` begins with the run's and may have more items.

    Raises StateError when the files of the run do not fit together.
    """
    config = run.config
    with unfit_parts(f"run {run.name}"):
        _require_sizes(run)
        model = build_model(ModelSizes(**config.sizes.model_dump()), vocabulary)
        model.load_state_dict(run.weights)
        extractor = PartExtractor(
            model.to(device),
            Content(item_indicator(vocabulary), run.fitted["content.idf"], run.fitted["content.components"]),
            _load_aggregates(run, vocabulary),
            config.window_days,
            config.length,
        )
        return Embedder(extractor, Fusion(_load_centring(run), config.fusion))


@contextlib.contextmanager
def unfit_parts(run: str) -> Iterator[None]:
    """Raises what numbers, names and shapes that do not belong together lead to as StateError."""
    try:
        yield
    except (
        ArithmeticError,
        AssertionError,
        IndexError,
        KeyError,
        MemoryError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise StateError(f"{run} does not fit this version of lookalike", "lookalike train") from error


def _require_sizes(run: Run) -> None:
    """Raises ValueError unless the model has a row for everything that the run's vocabulary names."""
    sizes, vocabulary = run.config.sizes, run.vocabulary
    stored = (sizes.items, sizes.attributes, sizes.profile, sizes.fields)
    fields = {name: len(values) for name, values in vocabulary.codes.items()}
    if stored != (len(vocabulary.items), len(vocabulary.attributes), len(vocabulary.profile), fields):
        raise ValueError("the sizes are not those of the vocabulary")


def _load_aggregates(run: Run, vocabulary: Vocabulary) -> Aggregates:
    columns, groups = run.config.aggregates, run.fitted["aggregates.groups"]
    indicator = item_group_indicator(vocabulary, groups)
    return Aggregates(list(columns.names), groups, indicator, columns.codes, columns.profile)


def _load_centring(run: Run) -> Centring:
    arrays = {
        name.removeprefix(CENTRING_PREFIX): array
        for name, array in run.fitted.items()
        if name.startswith(CENTRING_PREFIX)
    }
    return Centring(**arrays)
