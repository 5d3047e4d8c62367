"""TODO"""

from typing import TYPE_CHECKING

import polars as pl

from lookalike.api.expand import Result
from lookalike.data import id_lists
from lookalike.workspace.paths import WorkspaceFolder

if TYPE_CHECKING:
    pass


def overlap(workspace: WorkspaceFolder, names: list[str]) -> Result:
    """How many people two lists share, for each pair, and how many are in so many of them."""
    read = {name: id_lists.read_prospects(workspace.audience(name)) for name in names}
    pairs = [
        {"first": one, "second": other, "both": len(read[one].join(read[other], on="user_id", how="semi"))}
        for at, one in enumerate(names)
        for other in names[at + 1 :]
    ]
    every = pl.concat(list(read.values())).group_by("user_id").len()["len"]
    lists_of = [{"lists": count, "people": int((every == count).sum())} for count in range(1, len(names) + 1)]
    return {"sizes": {name: len(ids) for name, ids in read.items()}, "pairs": pairs, "in": lists_of}
