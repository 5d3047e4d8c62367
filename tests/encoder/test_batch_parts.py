"""A batch in parts has the gradients of the batch, whichever threads compute them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lookalike.encoder import batch_parts
from lookalike.encoder.batches import Segments
from lookalike.encoder.threads import OwnThreads
from planted_log import SMALL
from small_fits import as_bytes, trained_fit
from synthetic_sequences import plain_vocabulary, sequences_of


def segments_of(lengths: list[int]) -> Segments:
    ends = np.cumsum(lengths)
    return Segments(ends - lengths, np.array(lengths), np.arange(len(lengths)))


@pytest.mark.parametrize(("users", "parts"), [(51, 1), (52, 2), (819, 2), (820, 4)])
def test_every_segment_is_in_one_part(users: int, parts: int) -> None:
    found = batch_parts.parts_of(segments_of([10] * users))
    assert len(found) == parts
    assert sorted(np.concatenate([part.user for part in found])) == list(range(users))
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_a_single_long_segment_is_one_part() -> None:
    assert len(batch_parts.parts_of(segments_of([9_000]))) == 1


def test_gradients_are_those_of_the_weighted_sum() -> None:
    table, unused = torch.nn.Embedding(5, 2, sparse=True).weight, torch.nn.Parameter(torch.ones(1))
    rows = torch.tensor([1, 1, 3]), torch.tensor([3, 4])
    embedding = torch.nn.functional.embedding
    losses = [lambda row=row: (embedding(row, table, sparse=True) ** 2).sum() for row in rows]
    loss = batch_parts.set_gradients([table, unused], losses, [0.25, 0.75], OwnThreads(1))
    expected = 0.25 * (table[rows[0]] ** 2).sum() + 0.75 * (table[rows[1]] ** 2).sum()
    assert loss.item() == pytest.approx(expected.item())
    assert unused.grad is None
    assert table.grad is not None
    assert torch.allclose(table.grad.to_dense(), torch.autograd.grad(expected, table)[0])


def test_weights_do_not_depend_on_the_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    log = sequences_of([sorted(rng.integers(0, 10**7, 20).tolist()) for _ in range(200)]), plain_vocabulary(9)
    settings = replace(SMALL, encoder="transformer", epochs=1, batch_events=1_000)
    before, weights = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            weights.append(as_bytes(trained_fit(log, settings).weights()))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert weights[0] == weights[1]


def test_of_news_every_part_is_contrasted_with_items_of_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of items whose lives do not touch none is alive beside the target, so no part of any batch has a loss."""
    people, items = 40, 20
    item = np.repeat(np.arange(items), 3)
    log = sequences_of([list(range(len(item)))] * people)
    log.columns["item"][:] = np.tile(item, people)
    log.columns["time"][:] = (7_200 * item + 90 * np.arange(people)[:, None]).ravel()
    parts_of, parts = batch_parts.parts_of, []
    monkeypatch.setattr(batch_parts, "parts_of", lambda batch: parts.append(parts_of(batch)) or parts[-1])
    fit = trained_fit((log, plain_vocabulary(items)), replace(SMALL, epochs=1, batch_events=1_000))
    assert max(map(len, parts)) == 2
    assert [epoch.loss for epoch in fit.progress.history] == [0]
