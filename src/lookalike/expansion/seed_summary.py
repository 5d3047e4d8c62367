"""What is stored and told of a seed: its rule, the people the list is for, and the forecast it was measured on."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from lookalike.workspace.progress import Message
from lookalike.workspace.records import Record


class RuleSummary(Record):
    """What the seeds have done that made them seeds, and everybody who has done it: the doers."""

    rule: str = Field(description="the rule, as --before takes it")
    stated: bool = Field(description="whether it was given, not found")
    seeds: int = Field(description="matched seeds that fulfil it")
    of_seeds: int = Field(description="matched seeds, with --where those for whom it is true")
    seed_share: float = Field(description="seeds / of_seeds")
    doers: int = Field(description="users with a vector who fulfil it, seeds included")
    everybody_share: float = Field(
        description="the same as a share of all users, with --where of those for whom it is true"
    )
    left_out: int = Field(description="doers besides the seeds, who are not listed")
    doers_listed: bool = Field(description="whether other doers may be listed, with --include-doers")
    first: datetime | None = Field(description="when a seed fulfilled it first")


class RuleUsed(Message):
    """The seeds have a rule, and are read as if they had not fulfilled it."""

    code: Literal["rule_used"] = "rule_used"
    rule: RuleSummary


class ForecastSummary(Record):
    """The earlier moment as of which the list was made and judged by who fulfilled the rule first after it."""

    cut: datetime = Field(description="the moment")
    later: int = Field(description="people who fulfilled the rule later and were looked for")
    seeds_only: bool = Field(default=False, description="whether only seeds were looked for, who are a picked part")
    candidates: int = Field(description="people among whom they were looked for")


class WhereSummary(Record):
    """The people a list is for; no scorer lists, compares with, or learns from anybody else."""

    conditions: tuple[str, ...] = Field(description="all of them are true, as --where takes them")
    users: int = Field(description="users with a vector for whom they are")
    seeds: int = Field(description="seeds for whom they are")
    of_seeds: int = Field(description="matched seeds")


class WhereUsed(Message):
    """The list is for some people only."""

    code: Literal["where_used"] = "where_used"
    where: WhereSummary
