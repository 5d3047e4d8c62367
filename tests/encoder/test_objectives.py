"""What objectives may have as targets."""

import numpy as np
import torch

from lookalike.data.sequences import Sequences
from lookalike.encoder import batches, objectives
from lookalike.encoder.model import FIRST_ITEM
from lookalike.encoder.training_step import TrainingStep
from small_fits import CPU
from synthetic_sequences import sequences_of


def drawn_targets(
    sequences: Sequences, event: np.ndarray, future: batches.FutureEvents, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """The items that all_action draws and the events it draws them at; positions before any event are left out."""
    targets: list[tuple[int, int]] = []

    class RecordingStep(TrainingStep):
        """Has the event's number in place of a user vector."""

        @property
        def users(self) -> torch.Tensor:
            events = np.hstack([np.full((len(event), 1), -1), event])
            return torch.from_numpy(events).float().unsqueeze(-1)

        def _target_vectors(self, target: torch.Tensor) -> torch.Tensor:
            return target

        def _softmax_loss(
            self, users: torch.Tensor, target: torch.Tensor, target_vectors: torch.Tensor, events: np.ndarray | None
        ) -> torch.Tensor:
            item_rows = target - FIRST_ITEM
            targets.extend(zip(item_rows.tolist(), users.long().flatten().tolist(), strict=True))
            return users.sum()

    lengths = (event >= 0).sum(1)
    segments = batches.Segments(event[:, 0], lengths, np.arange(len(event)))
    step = RecordingStep(None, None, sequences, segments, future, 2, None, rng, CPU)  # type: ignore[arg-type]
    objectives.all_action(step)
    return [(item, at) for item, at in targets if at >= 0]


def test_no_target_is_of_another_user_or_the_same_moment_or_without_an_item() -> None:
    sequences = sequences_of([[0, 0, 5, 9], [5, 5], [1, 2, 3]])
    sequences.columns["item"][:] = [0, 1, 2, -1, 4, 5, 6, 7, 8]
    future = batches.future_events(sequences, 2)
    event = np.array([[0, 1, 2, 3], [4, 5, -1, -1], [6, 7, 8, -1]])
    allowed = {0: {2}, 1: {2}, 6: {7, 8}, 7: {8}}  # event -> items; event 3 has no item
    targets: dict[int, set[int]] = {}
    rng = np.random.default_rng(0)
    for _ in range(200):
        for item, at in drawn_targets(sequences, event, future, rng):
            targets.setdefault(at, set()).add(item)
    assert targets == allowed
