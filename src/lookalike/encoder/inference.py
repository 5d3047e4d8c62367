"""Applies a trained model: vectors of users and items, computed in batches, and the device to compute them on."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.data.arrays import Rows
from lookalike.data.sequences import COMMON_ITEMS, Sequences
from lookalike.encoder import batches
from lookalike.encoder.model import FIRST_ITEM, TwoTower
from lookalike.errors import SettingsError
from lookalike.workspace.parallel import in_pool, thread_count, thread_pool

CPU_BATCH_EVENTS = 4_096  # small enough for a CPU's cache
GPU_BATCH_EVENTS = 32_768

T = TypeVar("T")
R = TypeVar("R")


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """Lets torch use one thread for each of ours. Its own wait for each other by spinning, and are eight times slower when a
    core is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def map_in_threads(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The function's results in order, each computed by one thread of ours with one torch thread.

    At most as many threads as torch has. In one of those threads itself the items are computed one by one.
    """
    items = list(items)
    if in_pool() or min(len(items), torch.get_num_threads(), thread_count()) < 2:
        return [function(item) for item in items]
    with one_torch_thread():
        return list(thread_pool().map(function, items))


def device_for(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one. Raises SettingsError for a device that is not available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device {name!r} is not available", "--device auto") from error
    return device


@torch.inference_mode()
def item_vectors(model: TwoTower) -> NDArray[np.float32]:
    """The vectors of the common items in the users' space, [V, D]."""
    model.eval()
    common = min(model.item_count, COMMON_ITEMS)
    index = torch.arange(FIRST_ITEM, common + FIRST_ITEM, device=model.item_id.weight.device)
    parts = [model.item_vectors(part) for part in torch.split(index, GPU_BATCH_EVENTS)]
    return torch.cat(parts).float().cpu().numpy() if parts else np.zeros((0, model.sizes.dim), np.float32)


def user_vectors(model: TwoTower, sequences: Sequences, latest: batches.Segments) -> NDArray[np.float32]:
    """The unit vector of each segment's user, [n, D]; for an empty segment, that of the user's profile."""
    model.eval()
    vectors = np.zeros((len(latest), model.sizes.dim), np.float32)
    device = model.item_id.weight.device
    batch_events = CPU_BATCH_EVENTS if device.type == "cpu" else GPU_BATCH_EVENTS

    @torch.inference_mode()  # of the thread that runs it
    def embed(rows: Rows) -> None:
        segments = latest[rows]
        batch, _ = batches.collate(sequences, segments, device)
        length = torch.from_numpy(segments.length).to(device)
        vectors[rows] = model.latest_user_vectors(batch, length).float().cpu().numpy()

    map_in_threads(embed, batches.batches_by_length(latest, batch_events))
    return vectors
