"""What an expansion may warn of, as data. The sentences are made in `reporting`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lookalike.workspace.progress import Message


class UnmatchedSuppression(Message):
    """Ids to suppress that are nobody's, in any spelling: of people outside the log, or written in another form."""

    about_safety: ClassVar[bool] = True

    code: Literal["unmatched_suppression"] = "unmatched_suppression"
    ids: int
    given: int


class OtherColumnRead(Message):
    """The seed's ids were read from a column because those that come before it by their names are empty."""

    code: Literal["other_column_read"] = "other_column_read"
    column: str
    empty: tuple[str, ...]


class LowMatchRate(Message):
    """Many seed ids match no known user."""

    code: Literal["low_match_rate"] = "low_match_rate"
    unmatched: int
    distinct: int
    matched: int


class NearMatches(Message):
    """Unmatched seed ids that differ from the log's only by the way they are written; `ways` counts them by difference."""

    code: Literal["near_matches"] = "near_matches"
    ids: int
    ways: dict[str, int]


class WithoutVectors(Message):
    """Unmatched seed ids that are in the log or the users table, but have no stored vector."""

    code: Literal["without_vectors"] = "without_vectors"
    ids: int


class WithoutEventsLeftOut(Message):
    """People without events, who are not candidates, and the seeds among them: these are not used."""

    code: Literal["without_events_left_out"] = "without_events_left_out"
    users: int
    seeds: int


class WithoutEventsListed(Message):
    """Candidates without events, and the lift of a random list of only people with events, or only without them."""

    code: Literal["without_events_listed"] = "without_events_listed"
    users: int
    candidates: int
    seed_share: float  # of the seeds without events
    more_than_everybody: bool  # whether that is a larger share than everybody's
    random_lift: float  # of people without events if it is, of those with events if not


class SuppressedAlike(Message):
    """Users whose id may be one of those to suppress, spelled differently: they are suppressed too."""

    about_safety: ClassVar[bool] = True

    code: Literal["suppressed_alike"] = "suppressed_alike"
    users: int
    ways: dict[str, int]


class FewNegatives(Message):
    """The negative examples match hardly any known user."""

    code: Literal["few_negatives"] = "few_negatives"
    matched: int


class NewerFiles(Message):
    """Files were ingested after the stored vectors were made."""

    code: Literal["newer_files"] = "newer_files"
    files: int


class SeedsWithoutHistory(Message):
    """Seeds without any event before their moment: they are excluded from the training sample."""

    code: Literal["seeds_without_history"] = "seeds_without_history"
    seeds: int


class SeedsWithNothingElse(Message):
    """Seeds who have done nothing but what the seeds have in common: they are excluded from the training sample."""

    code: Literal["seeds_with_nothing_else"] = "seeds_with_nothing_else"
    seeds: int


class BusySeeds(Message):
    """Seeds with more events a day than 99.9 % of all users."""

    code: Literal["busy_seeds"] = "busy_seeds"
    busy: int
    seeds: int


class SeveralAudiences(Message):
    """The seed consists of sub-audiences, and a list for each finds reliably more."""

    code: Literal["several_audiences"] = "several_audiences"
    shares: tuple[float, ...]


class NothingToBalance(Message):
    """Balancing was asked for, but the seed is one audience."""

    code: Literal["nothing_to_balance"] = "nothing_to_balance"


class UnderrepresentedSubAudience(Message):
    """The list has much less of a sub-audience than the seed."""

    code: Literal["underrepresented_sub_audience"] = "underrepresented_sub_audience"
    number: int
    list_share: float
    seed_share: float


class InCommon(Message):
    """Many seeds have done something that few others have, and they are read as they are."""

    code: Literal["in_common"] = "in_common"
    rule: str
    seed_share: float
    nothing_else: bool = False  # whether most seeds have done nothing else, so that nothing tells who will do it


class PickedPart(Message):
    """The seeds are told from others who have done it too: those count little beside them."""

    code: Literal["picked_part"] = "picked_part"
    others: int


class NoForecast(Message):
    """Too few people fulfilled the rule after earlier moments: the figures are of hidden seeds, and promise too much."""

    code: Literal["no_forecast"] = "no_forecast"


class ListedElsewhere(Message):
    """Candidates who are left out because they are on another audience's list."""

    code: Literal["listed_elsewhere"] = "listed_elsewhere"
    users: int


class EscapedIds(Message):
    """Ids that a spreadsheet would run as a formula, or a part of them, are written with an apostrophe in front of it."""

    code: Literal["escaped_ids"] = "escaped_ids"
    ids: int


ExpansionWarning = Annotated[
    UnmatchedSuppression
    | OtherColumnRead
    | LowMatchRate
    | NearMatches
    | WithoutVectors
    | WithoutEventsLeftOut
    | WithoutEventsListed
    | SuppressedAlike
    | FewNegatives
    | NewerFiles
    | SeedsWithoutHistory
    | SeedsWithNothingElse
    | BusySeeds
    | SeveralAudiences
    | NothingToBalance
    | UnderrepresentedSubAudience
    | ListedElsewhere
    | InCommon
    | NoForecast
    | PickedPart
    | EscapedIds,
    Field(discriminator="code"),
]
