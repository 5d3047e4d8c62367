"""What a list differs in from the one it took the place of."""

from typing import Literal

from pydantic import Field

from lookalike.workspace.progress import Message


class ListChange(Message):
    """Another list took the place of an audience's last one, which is kept."""

    code: Literal["list_change"] = "list_change"
    kept: str = Field(description="folder of the earlier list, in that of the audience")
    prospects_before: int = Field(description="people on the earlier list")
    prospects: int = Field(description="people on the list")
    new: int | None = Field(description="of them, not on the earlier one; null if that cannot be read")
    gone: int | None = Field(description="people on the earlier list only; null if that cannot be read")
    suppressed_before: int = Field(description="users who must not be listed, then")
    suppressed: int = Field(description="users who must not be listed, now")
    same_seed: bool = Field(description="whether both are from the same seed")
    scorer_before: str = Field(description="the method that ranked the earlier list, as it was asked for")
    scorer: str = Field(description="the method that ranked the list, as it was asked for")
