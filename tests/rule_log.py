"""A log in which some people buy dog food, most of them of one interest, and a trained workspace of it."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from lookalike.workspace.paths import WorkspaceFolder
from planted_log import START, Population, planted, trained

RULE = "category = dog food"
USERS, DAYS = 900, 80


@dataclass(frozen=True)
class RuleSpace:
    workspace: WorkspaceFolder
    deeds: pl.DataFrame  # user_id, ts: every purchase of dog food
    log: Population  # without the deeds

    @property
    def doers(self) -> list[str]:
        return self.deeds["user_id"].unique().sort().to_list()

    def seed(self, count: int = 60) -> list[str]:
        return np.random.default_rng(1).permutation(self.doers)[:count].tolist()


def rule_space(root: Path) -> RuleSpace:
    """Who buys is decided by interest and activity; when, by chance."""
    log, rng = planted(USERS, seed=3), np.random.default_rng(4)
    chance = np.where(log.interest == 0, 0.6, 0.04) * np.minimum(1, log.activity / 8)
    buys = np.flatnonzero(rng.random(USERS) < chance)
    times = 1 + rng.integers(0, 3, len(buys))
    owner = np.repeat(buys, times)
    deeds = pl.DataFrame(
        {
            "user_id": np.array(log.user_ids)[owner],
            "ts": [START + timedelta(seconds=int(day * 86_400)) for day in rng.uniform(0, DAYS, len(owner))],
            "event_type": "purchase",
            "item_id": np.char.add("d", rng.integers(0, 3, len(owner)).astype(str)),
            "value": 9.5,
        }
    )
    items = pl.concat([log.items, pl.DataFrame({"item_id": ["d0", "d1", "d2"], "category": ["dog food"] * 3})])
    everything = pl.concat([log.events, deeds.select(log.events.columns)])
    return RuleSpace(trained(root, replace(log, events=everything, items=items)), deeds, log)
