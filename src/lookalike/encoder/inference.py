"""Applies a trained model: vectors of users and items, computed in batches, and the device to compute them on."""

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.data.arrays import Rows
from lookalike.data.sequences import COMMON_ITEMS, Sequences
from lookalike.encoder import batches
from lookalike.encoder.model import FIRST_ITEM, TwoTower
from lookalike.encoder.threads import own_threads
from lookalike.errors import SettingsError

CPU_BATCH_EVENTS = 2_048  # small enough for a CPU's cache
GPU_BATCH_EVENTS = 32_768


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

    with own_threads() as threads:
        threads.map(embed, batches.batches_by_length(latest, batch_events))
    return vectors
