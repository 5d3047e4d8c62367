"""How scores are computed from the stored half-precision blocks."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lookalike.data.arrays import Floats, Rows
from lookalike.embeddings.linear import Linear
from lookalike.embeddings.representation import Representation
from lookalike.expansion.ranking.half_sums import Halves
from lookalike.expansion.ranking.prefilter import Prefilter, Spans
from lookalike.expansion.scorers import Score, Selected, columns_read

TILE_USERS = 4_096  # users that a score which is not linear is given at once
WIDEN_USERS = 1_024  # users converted to doubles at once: more do not fit the cache of one core

Blocks = dict[str, Halves]  # each block that is read, [n, width]


@dataclass(frozen=True)
class LinearReader:
    """A linear score. It can be computed for single users, so that most of them need only pass the prefilter."""

    linear: Linear
    spans: Spans  # of the blocks that are read
    columns: Rows  # that the weights belong to, counted in these blocks side by side [K]
    prefilter: Prefilter | None

    @cached_property
    def _reads_whole_blocks(self) -> bool:
        width = sum(last - first for first, last in self.spans.values())
        return np.array_equal(self.columns, np.arange(width))

    def all_scores(self, blocks: Blocks, buffer: Floats) -> Floats:
        """The scores of all users of the blocks."""
        return self.scores(blocks, np.arange(len(next(iter(blocks.values())))), buffer)

    def scores(self, blocks: Blocks, places: Rows, buffer: Floats) -> Floats:
        """The scores of the users at some places of the blocks. The buffer holds at least WIDEN_USERS x K numbers."""
        scores, width = np.empty(len(places)), len(self.columns)
        doubles = buffer.reshape(-1)[: WIDEN_USERS * width].reshape(WIDEN_USERS, width)
        for first in range(0, len(places), WIDEN_USERS):
            chosen = places[first : first + WIDEN_USERS]
            halves = [blocks[block].take(chosen, axis=0) for block in self.spans]
            rows = doubles[: len(chosen)]
            if self._reads_whole_blocks:
                np.concatenate(halves, axis=1, out=rows)
            else:
                rows[:] = np.concatenate(halves, axis=1).take(self.columns, axis=1)
            scores[first : first + len(chosen)] = self.linear(rows)
        return scores


@dataclass(frozen=True)
class TileReader:
    """Any other score. Its rounding may depend on the number of rows, so all users are scored in tiles of one size."""

    score: Score
    spans: Spans  # of the blocks that are read
    prefilter: None = None

    def all_scores(self, blocks: Blocks, buffer: Floats) -> Floats:
        """The scores of all users of the blocks. The buffer is a tile [TILE_USERS, W] of all columns.

        What a tile holds of earlier users, or in columns that are not read, is scored with it and thrown away.
        """
        users, scores = len(next(iter(blocks.values()))), []
        for first in range(0, users, len(buffer)):
            for block, (first_column, last_column) in self.spans.items():
                part = blocks[block][first : first + len(buffer)]
                buffer[: len(part), first_column:last_column] = part
            scores.append(self.score(buffer)[: users - first])
        return np.concatenate(scores)


ScoreReader = LinearReader | TileReader


def reader_of(score: Score, representation: Representation) -> ScoreReader:
    """How the score reads this representation."""
    read = columns_read(score, representation.layout.width)
    spans = {
        block: (first, last)
        for block, (first, last) in representation.layout.spans.items()
        if ((first <= read) & (read < last)).any()
    }
    inner = score.score if isinstance(score, Selected) else score
    if not isinstance(inner, Linear):
        return TileReader(score, spans)
    columns = score.columns if isinstance(score, Selected) else read
    block_columns = np.concatenate([np.arange(first, last) for first, last in spans.values()])
    places = np.searchsorted(block_columns, columns)
    return LinearReader(inner, spans, places, Prefilter.of(inner, columns, spans))
