"""TODO"""

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.data.sequences import COMMON_ITEMS, Sequences
from lookalike.encoder import batches
from lookalike.encoder.model import FIRST_ITEM, TwoTower
from lookalike.errors import SettingsError

CPU_BATCH_EVENTS, GPU_BATCH_EVENTS = 4_096, 32_768  # read at once by a CPU, whose cache is small; by anything else


def device_for(name: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises SettingsError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"device {name!r} cannot be used here", "--device auto") from error
    return device


@torch.inference_mode()
def item_vectors(model: TwoTower) -> NDArray[np.float32]:
    """The common items' vectors [V, D], in the users' space."""
    model.eval()
    common = min(model.rows, COMMON_ITEMS)
    index = torch.arange(FIRST_ITEM, common + FIRST_ITEM, device=model.item_id.weight.device)
    parts = [model.items(part) for part in torch.split(index, GPU_BATCH_EVENTS)]
    return torch.cat(parts).float().cpu().numpy() if parts else np.zeros((0, model.sizes.dim), np.float32)


@torch.inference_mode()
def user_vectors(model: TwoTower, sequences: Sequences, latest: batches.Segments) -> NDArray[np.float32]:
    """The unit vector of each stretch's user [n, D]; of an empty stretch what is known of the user besides events."""
    model.eval()
    vectors = np.zeros((len(latest), model.sizes.dim), np.float32)
    device = model.item_id.weight.device
    for chosen in batches.batches_by_length(latest, CPU_BATCH_EVENTS if device.type == "cpu" else GPU_BATCH_EVENTS):
        part = latest[chosen]
        batch, _ = batches.collate(sequences, part, device)
        length = torch.from_numpy(part.length).to(device)
        vectors[chosen] = model.latest(batch, length).float().cpu().numpy()
    return vectors
