"""What an expansion found, as typed records. `evaluation.json` and `manifest.json` are these records, serialised."""

from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import Field

from lookalike.encoder.block_figures import BlockComparison
from lookalike.expansion.messages import ExpansionWarning
from lookalike.expansion.seed_summary import ForecastSummary, RuleSummary, WhereSummary
from lookalike.expansion.slice_figures import Slices
from lookalike.expansion.suppression_figures import Suppression
from lookalike.workspace.records import FileRecord, Record

EXPAND: Literal["expand"] = "expand"
DO_NOT_EXPAND: Literal["do not expand"] = "do not expand"


class Band(NamedTuple):
    """A figure with its confidence band.

    >>> value, low, high = result.lift
    >>> low <= value <= high
    True
    """

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Band":
        """The band times a constant."""
        return Band(self.value * factor, self.low * factor, self.high * factor)

    def divided(self, divisor: float) -> "Band":
        """The band divided by a constant."""
        return Band(self.value / divisor, self.low / divisor, self.high / divisor)


# --- the verdict -----------------------------------------------------------------------------------------------------

CheckName = Literal["enough_seeds", "above_chance", "beyond_activity", "not_beaten_by_activity", "worth_taking"]


class Check(Record):
    """One question the verdict asks. It decides against the list when it is `required` and not `passed`."""

    name: CheckName = Field(
        description="enough_seeds, above_chance, beyond_activity, not_beaten_by_activity, worth_taking"
    )
    passed: bool = Field(description="the answer")
    required: bool = Field(default=True, description="whether failing it means: do not expand")
    value: float | None = Field(description="seeds, lift, lift of the probe, lift by activity, or the largest size")
    interval: tuple[float, float] | None = Field(default=None, description="confidence band of the value")
    threshold: float | None = Field(default=None, description="what the value is compared with")


class PermutationTest(Record):
    """A linear probe on the seed, beside the same probe on random seeds that are as active."""

    lift: float = Field(description="held-out lift of the probe on the seed")
    random_lift: float | None = Field(description="mean over the random seeds; null if there are too few others")
    p_value: float | None = Field(description="one-sided: share of random seeds that are found as far in front")
    draws: int = Field(description="random seeds drawn")


ActivityComparison = Literal["reliably_lower", "lower", "not_lower", "reliably_higher"]


class Verdict(Record):
    """Whether to expand, with the checks that decided it.

    >>> result.verdict.decision
    'expand'
    >>> [check.name for check in result.verdict.checks if not check.passed]
    []
    """

    decision: Literal["expand", "do not expand"] = Field(description="expand, or do not expand")
    checks: tuple[Check, ...] = Field(description="what was asked, in order")
    permutation_test: PermutationTest = Field(description="whether the seed shares more than activity")
    activity: ActivityComparison = Field(description="ranking by activity alone, compared with the list")
    up_to: int | None = Field(default=None, description="largest list worth taking, if less than was asked for")
    parts: int | None = Field(default=None, description="sub-audiences whose own lists reliably find more")
    forced: bool = Field(default=False, description="the list was written against the verdict")

    @property
    def expand(self) -> bool:
        """Whether the verdict is to expand."""
        return self.decision == EXPAND

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that decided against the list."""
        return tuple(check for check in self.checks if check.required and not check.passed)


# --- figures ---------------------------------------------------------------------------------------------------------


class HeldOut(Record):
    """Held-out figures at the size asked for."""

    size: int = Field(description="users in the list")
    share: float = Field(description="the same as a share of the candidates")
    lift: float = Field(description="how many times more seeds than a random pick")
    low: float = Field(description="lower end of its confidence band")
    high: float = Field(description="upper end")
    activity_lift: float = Field(description="lift of ranking by the number of events alone")
    activity_low: float = Field(description="lower end of its band")
    activity_high: float = Field(description="upper end")
    max_lift: float = Field(description="highest lift that is possible at this size")
    recall: float = Field(description="share of the held-out seeds in the list")
    recall_low: float = Field(description="lower end of its band")
    recall_high: float = Field(description="upper end")
    precision_floor: float = Field(description="least share of the list who are known to belong to the audience")
    partial_auc: float = Field(description="area under the curve up to 5 % false positives, scaled to 1")
    gain: float = Field(description="2 AUC - 1")
    value_lift: float = Field(description="lift with seeds weighted by their value")
    largest: int | None = Field(description="largest list whose last half reliably exceeds the minimum lift")

    @property
    def lift_band(self) -> Band:
        return Band(self.lift, self.low, self.high)


class CurvePoint(Record):
    """Recall and lift of the first users up to one size, and the lift of those since the size before alone."""

    share: float = Field(description="of the candidates")
    size: int = Field(description="the same as a number of users")
    recall: float = Field(description="share of the held-out seeds up to here")
    recall_low: float = Field(description="lower end of its band")
    recall_high: float = Field(description="upper end")
    lift: float = Field(description="recall over share")
    lift_low: float = Field(description="lower end of its band")
    lift_high: float = Field(description="upper end")
    marginal: float = Field(description="lift since the size before")
    marginal_low: float = Field(description="lower end of its band")
    marginal_high: float = Field(description="upper end")


class ScorerFigures(Record):
    """One scorer of the comparison, at the size asked for."""

    name: str = Field(description="the scorer")
    chosen: bool = Field(description="whether the list is by it")
    auc: float = Field(description="area under the ROC curve")
    partial_auc: float = Field(description="up to 5 % false positives, scaled to 1")
    gain: float = Field(description="2 AUC - 1")
    lift: float = Field(description="at the size asked for")
    low: float = Field(description="lower end of its band")
    high: float = Field(description="upper end")


class Tier(Record):
    """A part of the list, and the held-out lift of its ranks alone."""

    tier: int = Field(description="1 is most similar")
    from_rank: int = Field(description="first rank")
    to_rank: int = Field(description="last rank")
    users: int = Field(description="in the tier")
    highest_score: float = Field(description="of its first user")
    lowest_score: float = Field(description="of its last user")
    lift: float = Field(description="held-out lift of these ranks alone")
    lift_low: float = Field(description="lower end of its band")
    lift_high: float = Field(description="upper end")


class MethodLift(Record):
    """Lift of one method with its band."""

    lift: float = Field(description="on the later seeds")
    low: float = Field(description="lower end of its band")
    high: float = Field(description="upper end")


class Backtest(Record):
    """The list of an earlier day, and how many of the later seeds it holds."""

    cut: datetime = Field(description="the earlier day")
    seeds: int = Field(description="seeds by then, which the list was made from")
    later: int = Field(description="later seeds who were known by then")
    newcomers: int = Field(description="later seeds without any event by then: no list could hold them")
    candidates: int = Field(description="on that day")
    share: float = Field(description="of the candidates on the list")
    lifts: dict[str, MethodLift] = Field(
        description="of the scorer, the centroid, activity, and `plain`, which is leakage-free"
    )
    curves: dict[str, tuple[CurvePoint, ...]] = Field(description="by method")


# --- who the seed is -------------------------------------------------------------------------------------------------


class SeedMatch(Record):
    """How the ids of a seed match the known users."""

    given: int = Field(description="ids in the list")
    distinct: int = Field(description="different ids")
    duplicates: int = Field(description="ids given again")
    matched: int = Field(description="ids of users with a vector")
    unmatched: int = Field(description="other ids")
    suppressed: int = Field(description="matched seeds who are suppressed: in the training sample, never listed")
    match_rate: float = Field(description="matched / distinct")
    near_matches: int = Field(description="unmatched ids that would match if they were spelled as in the log")
    differences: dict[str, int] = Field(default={}, description="the same, by what they differ in from the log's")
    without_vector: int = Field(
        description="unmatched ids in the log or the users table: after the cut, or with too few events"
    )


class SeedSummary(SeedMatch):
    """The seed as it was used."""

    valued: bool = Field(description="whether seeds are weighted by a value")
    negatives: int = Field(description="negative examples")
    point_in_time: bool = Field(description="whether seeds are read as they were before they became seeds")
    used: int = Field(description="seeds in the training sample")
    effective: float = Field(description="effective sample size of the weighted seeds")
    part: int | None = Field(default=None, description="number of the sub-audience, with --split")
    parts: int | None = Field(default=None, description="sub-audiences of the whole seed, with --split")


class SubAudience(Record):
    """A part of the seed that stands apart from the others."""

    share: float = Field(description="of the seed")
    more_of: tuple[str, ...] = Field(description="features that it has more often than the rest of the seed")


class Leak(Record):
    """A feature that nearly defines the seed."""

    column: str = Field(description="the feature")
    seed: float = Field(description="share of the seed on its side of the threshold")
    others: float = Field(description="share of the other users")
    less: bool = Field(default=False, description="whether the seed has less of it than the threshold, not more")


class SeedProfile(Record):
    """What kind of people the seed is."""

    median_events: float = Field(description="of a seed")
    others_median_events: float = Field(description="of another user")
    median_days_since: float | None = Field(
        description="days since the last event, of those who have events; null if nobody has"
    )
    others_median_days_since: float | None = Field(description="of another user")
    mean_cosine: float = Field(description="mean cosine of two seeds' user embeddings")
    others_mean_cosine: float = Field(description="of two other users")
    sub_audiences: tuple[SubAudience, ...] = Field(description="empty if the seed is one audience")
    busy: int = Field(description="seeds with more events a day than 99.9 % of all users")
    outliers: int = Field(description="seeds ranked behind 95 % of the candidates when held out")
    leaks: tuple[Leak, ...] = Field(description="features that nearly define the seed")
    lift_without_leaks: float | None = Field(default=None, description="lift without the leaks; null without leaks")
    expand_without_leaks: bool | None = Field(
        default=None, description="whether the verdict is to expand without them; null without leaks"
    )
    scorer_without_leaks: str | None = Field(
        default=None, description="the scorer that was asked for then: auto if the requested one reads what is left out"
    )
    gain_of_doubling: float | None = Field(
        description="relative gain in lift from half of the seed to all of it, if reliable"
    )
    gain_of_splitting: float | None = Field(description="relative gain of one list for each sub-audience")
    splitting_reliable: bool = Field(description="whether that gain is reliably above 0, and each list worth making")


class SubAudienceShare(Record):
    """A sub-audience's share of the seed and of the list."""

    seed_share: float = Field(description="of the seed")
    list_share: float = Field(description="of the list")
    more_of: tuple[str, ...] = Field(description="features that it has more often than the rest of the seed")


class Cluster(Record):
    """A cluster of the seed that explanations refer to."""

    cluster: int = Field(description="number, from 1")
    seed_share: float = Field(description="of the seed")
    list_share: float = Field(description="of the list")
    more_of: tuple[str, ...] = Field(description="features that it has more often than the rest of the seed")


# --- over-index ------------------------------------------------------------------------------------------------------


class OverIndexRow(Record):
    """One trait: how many users of both groups have it, and the ratio of the rates with its 95 % interval."""

    label: str = Field(description="the trait")
    audience_count: int = Field(description="users of the group with it")
    base_count: int = Field(description="users of the base with it")
    q: float = Field(description="false discovery rate at which it would be accepted")
    audience_rate: float = Field(description="share of the group")
    base_rate: float = Field(description="share of the base")
    ratio: float = Field(description="of the rates")
    ratio_low: float = Field(description="lower end of its 95 % interval")
    ratio_high: float = Field(description="upper end")


class OverIndexGroup(Record):
    """The traits of one kind."""

    title: str = Field(description="kind of trait")
    hidden: int = Field(description="traits that too few users have to be shown")
    rows: tuple[OverIndexRow, ...] = Field(description="more frequent than in the base, most reliable first")
    less: tuple[OverIndexRow, ...] = Field(description="reliably less frequent than in the base")


class OverIndex(Record):
    """What one group of users does more and less than another."""

    audience_users: int = Field(description="in the group")
    base_users: int = Field(description="in the base")
    min_cell: int = Field(description="traits of fewer users are hidden")
    groups: tuple[OverIndexGroup, ...] = Field(description="by kind of trait")


# --- the files -------------------------------------------------------------------------------------------------------


class RepresentationSource(Record):
    """The stored vectors that a list was made from."""

    version: str = Field(description="name of the stored vectors")
    run: str = Field(description="whose encoder made them")
    blocks: dict[str, int] = Field(description="number of columns by block")
    trained: str = Field(description="when they were made")


class ListDescription(Record):
    """What is known of a list once it is ranked."""

    tiers: tuple[Tier, ...] = Field(description="parts of the list, the most similar first")
    over_index: OverIndex = Field(description="what the list does more than the candidates")
    between_tiers: OverIndex | None = Field(description="the first tier beside the last, if both are large enough")
    shares: tuple[SubAudienceShare, ...] = Field(description="of sub-audiences, empty if the seed is one audience")
    clusters: tuple[Cluster, ...] | None = Field(description="clusters that the explanations refer to, with --reasons")


class Evaluation(FileRecord):
    """All figures of one expansion: `evaluation.json`."""

    schema_version: Literal[1] = 1
    name: str = Field(description="the audience")
    created: str = Field(description="when it was made")
    as_of: datetime = Field(description="events before this moment were read")
    scorer: str = Field(description="the method that ranked the list")
    requested_scorer: str = Field(description="auto, or the scorer that was asked for")
    verdict: Verdict = Field(description="whether to expand, and why")
    size: int = Field(description="users asked for, as a number")
    requested_size: str = Field(description="as it was asked for")
    universe: int = Field(description="eligible users")
    candidates: int = Field(description="eligible users who are not seeds, suppressed, or listed elsewhere")
    prospects: int = Field(description="users in the list; 0 if none was written")
    confidence: float = Field(description="of all bands")
    folds: int = Field(description="of the hold-out")
    repeats: int = Field(description="of the hold-out")
    held_out: HeldOut = Field(description="figures at the size asked for")
    curves: dict[str, tuple[CurvePoint, ...]] = Field(description="by method: the scorers, activity and random")
    scorers: tuple[ScorerFigures, ...] = Field(description="comparison of the methods")
    seed: SeedSummary = Field(description="the seed as it was used")
    suppression: Suppression = Field(description="users who must not be listed")
    seed_profile: SeedProfile = Field(description="what kind of people the seed is")
    backtest: Backtest | None = Field(description="null if the seeds have no moments")
    rule: RuleSummary | None = Field(default=None, description="null if the seeds have no rule in common")
    where: WhereSummary | None = Field(default=None, description="the people the list is for; null for everybody")
    forecast: ForecastSummary | None = Field(
        default=None, description="what the figures were measured on if the seeds have a rule; null if on hidden seeds"
    )
    slices: Slices | None = Field(
        default=None, description="where the list gains; null if the seed is too small to be cut"
    )
    blocks: BlockComparison | None = Field(default=None, description="whether the encoder pays; null if it is not read")
    balanced: bool = Field(description="whether the list keeps the shares of the seed's sub-audiences")
    prospect_list: ListDescription | None = Field(description="null if no list was written")
    representation: RepresentationSource = Field(description="the stored vectors that were read")
    settings: dict[str, int | float] = Field(description="of the section expand")
    warnings: tuple[ExpansionWarning, ...] = Field(description="what to know before trusting the list")

    @property
    def promise(self) -> Band:
        """The lift to expect: the held-out or forecast one, or the backtest's where that is lower by more than the bands."""
        return promised(self.held_out.lift_band, self.backtest, self.scorer)


def promised(held_out: Band, backtest: Backtest | None, scorer: str) -> Band:
    """The lift to expect of the scorer's list: the backtest's where it is lower than the held-out one by more than the
    bands."""
    later = backtest.lifts[scorer] if backtest else None
    return Band(later.lift, later.low, later.high) if later and later.high < held_out.low else held_out
