"""What `--json` prints where that is more than the result of the method of the same name."""

from pydantic import Field

from lookalike.api.status import StatusResult
from lookalike.expansion.result import Evaluation


class PrintedStatus(StatusResult):
    """What a workspace holds, with the next command in words."""

    next: str = Field(description="the command that comes next, as it is typed")


class PrintedReport(Evaluation):
    """An evaluation, with its page."""

    page: str | None = Field(description="path of the HTML page; null where it cannot be written")
