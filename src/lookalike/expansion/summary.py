"""An expansion in short: what `lookalike expand --json` prints."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from lookalike.expansion.list_change import ListChange
from lookalike.expansion.messages import ExpansionWarning
from lookalike.expansion.result import Check
from lookalike.expansion.seed_summary import ForecastSummary, RuleSummary, WhereSummary
from lookalike.expansion.suppression_figures import Suppression
from lookalike.workspace.records import Record


class BacktestSummary(Record):
    """The backtest in one line."""

    cut: datetime = Field(description="the earlier day")
    lift: float = Field(description="on the later seeds")
    low: float = Field(description="lower end of its band")
    high: float = Field(description="upper end")
    plain_lift: float = Field(description="of the leakage-free baseline")


class ExpandSummary(Record):
    """What `lookalike expand --json` prints for one audience."""

    name: str = Field(description="the audience")
    scorer: str = Field(description="the method that ranked the list")
    verdict: Literal["expand", "do not expand"] = Field(description="expand, or do not expand")
    checks: tuple[Check, ...] = Field(description="what decided the verdict")
    up_to: int | None = Field(description="largest list worth taking, if less than was asked for; else null")
    parts: int | None = Field(description="sub-audiences whose own lists reliably find more; else null")
    size: int = Field(description="users asked for, as a number")
    candidates: int = Field(description="users who could be listed")
    matched: int = Field(description="seed ids of users with a vector")
    match_rate: float = Field(description="their share of the distinct ids given")
    used: int = Field(description="seeds in the training sample")
    suppression: Suppression = Field(description="users who must not be listed")
    lift: float = Field(description="lift to expect at this size")
    lift_low: float = Field(description="lower end of its band")
    lift_high: float = Field(description="upper end")
    activity_lift: float = Field(description="of ranking by activity alone")
    rule: RuleSummary | None = Field(description="what the seeds have done that made them seeds; null without a rule")
    where: WhereSummary | None = Field(description="the people the list is for; null for everybody")
    forecast: ForecastSummary | None = Field(description="what the lift was measured on; null if on hidden seeds")
    backtest: BacktestSummary | None = Field(description="null if the seeds have no moments")
    warnings: tuple[ExpansionWarning, ...] = Field(description="what to know before trusting the list")
    change: ListChange | None = Field(
        description="what differs from the audience's last list, which is kept; null for the first and for the same again"
    )
    prospects: str | None = Field(description="path of the list; null if none was written")
    reasons: str | None = Field(description="path of the explanations, with --reasons")
    evaluation: str = Field(description="path of evaluation.json")
