"""What an expansion found, as typed records. `evaluation.json` and `manifest.json` are these records, serialised."""

from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import Field

from lookalike.expansion.messages import ExpansionWarning
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
    passed: bool
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

    decision: Literal["expand", "do not expand"]
    checks: tuple[Check, ...]
    permutation_test: PermutationTest
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
    lift: float
    low: float
    high: float
    activity_lift: float = Field(description="lift of ranking by the number of events alone")
    activity_low: float
    activity_high: float
    max_lift: float = Field(description="highest lift that is possible at this size")
    recall: float
    recall_low: float
    recall_high: float
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

    share: float
    size: int
    recall: float
    recall_low: float
    recall_high: float
    lift: float
    lift_low: float
    lift_high: float
    marginal: float
    marginal_low: float
    marginal_high: float


class ScorerFigures(Record):
    """One scorer of the comparison, at the size asked for."""

    name: str
    chosen: bool
    auc: float
    partial_auc: float
    gain: float
    lift: float
    low: float
    high: float


class Tier(Record):
    """A part of the list, and the held-out lift of its ranks alone."""

    tier: int
    from_rank: int
    to_rank: int
    users: int
    highest_score: float
    lowest_score: float
    lift: float
    lift_low: float
    lift_high: float


class MethodLift(Record):
    """Lift of one method with its band."""

    lift: float
    low: float
    high: float


class Backtest(Record):
    """The list of an earlier day, and how many of the later seeds it holds."""

    cut: datetime
    seeds: int = Field(description="seeds by then, which the list was made from")
    later: int = Field(description="later seeds who were known by then")
    newcomers: int = Field(description="later seeds without any event by then: no list could hold them")
    candidates: int
    share: float
    lifts: dict[str, MethodLift] = Field(
        description="of the scorer, the centroid, activity, and `plain`, which is leakage-free"
    )
    curves: dict[str, tuple[CurvePoint, ...]]


# --- who the seed is -------------------------------------------------------------------------------------------------


class SeedMatch(Record):
    """How the ids of a seed match the known users."""

    given: int
    distinct: int
    duplicates: int
    matched: int
    unmatched: int
    suppressed: int = Field(description="matched seeds who are suppressed: in the training sample, never listed")
    match_rate: float
    near_matches: int = Field(description="unmatched ids that would match ignoring case, whitespace and leading zeros")
    without_vector: int = Field(description="unmatched ids in the log, but after the cut or with too few events")


class SeedSummary(SeedMatch):
    """The seed as it was used."""

    valued: bool = Field(description="whether seeds are weighted by a value")
    negatives: int = Field(description="negative examples")
    point_in_time: bool = Field(description="whether seeds are read as they were before they became seeds")
    used: int = Field(description="seeds in the training sample")
    effective: float = Field(description="effective sample size of the weighted seeds")
    part: int | None = Field(default=None, description="number of the sub-audience, with --split")
    parts: int | None = Field(default=None, description="sub-audiences of the whole seed, with --split")


class Suppression(Record):
    """How the ids to suppress match the known users."""

    given: int
    matched: int


class SubAudience(Record):
    """A part of the seed that stands apart from the others."""

    share: float
    more_of: tuple[str, ...] = Field(description="features that it has more often than the rest of the seed")


class Leak(Record):
    """A feature that nearly defines the seed."""

    column: str
    seed: float = Field(description="share of the seed on its side of the threshold")
    others: float = Field(description="share of the other users")


class SeedProfile(Record):
    """What kind of people the seed is."""

    median_events: float
    others_median_events: float
    median_days_since: float = Field(description="days since the last event")
    others_median_days_since: float
    mean_cosine: float = Field(description="mean cosine of two seeds' user embeddings")
    others_mean_cosine: float
    sub_audiences: tuple[SubAudience, ...] = Field(description="empty if the seed is one audience")
    busy: int = Field(description="seeds with more events a day than 99.9 % of all users")
    outliers: int = Field(description="seeds ranked behind 95 % of the candidates when held out")
    leaks: tuple[Leak, ...]
    lift_without_leaks: float | None
    gain_of_doubling: float | None = Field(
        description="relative gain in lift from half of the seed to all of it, if reliable"
    )
    gain_of_splitting: float | None = Field(description="relative gain of one list for each sub-audience")
    splitting_reliable: bool


class SubAudienceShare(Record):
    """A sub-audience's share of the seed and of the list."""

    seed_share: float
    list_share: float
    more_of: tuple[str, ...]


class Cluster(Record):
    """A cluster of the seed that explanations refer to."""

    cluster: int
    seed_share: float
    list_share: float
    more_of: tuple[str, ...]


# --- over-index ------------------------------------------------------------------------------------------------------


class OverIndexRow(Record):
    """One trait: how many users of both groups have it, and the ratio of the rates with its 95 % interval."""

    label: str
    audience_count: int
    base_count: int
    q: float = Field(description="false discovery rate at which it would be accepted")
    audience_rate: float
    base_rate: float
    ratio: float
    ratio_low: float
    ratio_high: float


class OverIndexGroup(Record):
    """The traits of one kind."""

    title: str
    hidden: int = Field(description="traits that too few users have to be shown")
    rows: tuple[OverIndexRow, ...] = Field(description="more frequent than in the base, most reliable first")
    less: tuple[OverIndexRow, ...] = Field(description="reliably less frequent than in the base")


class OverIndex(Record):
    """What one group of users does more and less than another."""

    audience_users: int
    base_users: int
    min_cell: int
    groups: tuple[OverIndexGroup, ...]


# --- the files -------------------------------------------------------------------------------------------------------


class RepresentationSource(Record):
    """The stored vectors that a list was made from."""

    version: str
    run: str
    blocks: dict[str, int]
    trained: str


class InputFile(Record):
    """A list of ids that was read."""

    name: str
    sha256: str


class ListDescription(Record):
    """What is known of a list once it is ranked."""

    tiers: tuple[Tier, ...]
    over_index: OverIndex
    between_tiers: OverIndex | None = Field(description="the first tier beside the last, if both are large enough")
    shares: tuple[SubAudienceShare, ...]
    clusters: tuple[Cluster, ...] | None = Field(description="clusters that the explanations refer to, with --reasons")


class Evaluation(FileRecord):
    """All figures of one expansion: `evaluation.json`."""

    schema_version: Literal[1] = 1
    name: str
    created: str
    as_of: datetime
    scorer: str
    requested_scorer: str
    verdict: Verdict
    size: int
    requested_size: str
    universe: int = Field(description="eligible users")
    candidates: int = Field(description="eligible users who are not seeds, suppressed, or listed elsewhere")
    prospects: int = Field(description="users in the list; 0 if none was written")
    confidence: float
    folds: int
    repeats: int
    held_out: HeldOut
    curves: dict[str, tuple[CurvePoint, ...]] = Field(description="by method: the scorers, activity and random")
    scorers: tuple[ScorerFigures, ...]
    seed: SeedSummary
    suppression: Suppression
    seed_profile: SeedProfile
    backtest: Backtest | None
    balanced: bool = Field(description="whether the list keeps the shares of the seed's sub-audiences")
    prospect_list: ListDescription | None = Field(description="null if no list was written")
    representation: RepresentationSource
    settings: dict[str, int | float]
    warnings: tuple[ExpansionWarning, ...]


class Counts(Record):
    """How many users and ids there were at every step."""

    universe: int
    candidates: int
    prospects: int
    seed: SeedSummary
    suppression: Suppression


class AudienceRecord(Record):
    """An audience definition as a manifest keeps it: files by name, without folders."""

    name: str
    seed: str
    size: str
    scorer: str
    suppress: tuple[str, ...]
    negative: tuple[str, ...]
    before: str | None
    drop_features: tuple[str, ...]
    disjoint_from: tuple[str, ...]
    balance: bool
    reasons: bool
    format: Literal["csv", "parquet"]


class ManifestSource(RepresentationSource):
    """The stored vectors, and the hash of their manifest."""

    sha256: str


class ExpansionManifest(FileRecord):
    """What a list was made from and with: `manifest.json`."""

    schema_version: Literal[1] = 1
    name: str
    created: str
    audience: AudienceRecord
    settings: dict[str, int | float]
    inputs: tuple[InputFile, ...] = Field(description="the lists of ids that were read, the seed first")
    representation: ManifestSource
    counts: Counts
    versions: dict[str, str]
    outputs: dict[str, str] = Field(description="SHA-256 of every file of the folder")


class BacktestSummary(Record):
    """The backtest in one line."""

    cut: datetime
    lift: float
    low: float
    high: float
    plain_lift: float


class ExpandSummary(Record):
    """What `lookalike expand --json` prints for one audience."""

    name: str
    scorer: str
    verdict: Literal["expand", "do not expand"]
    checks: tuple[Check, ...]
    up_to: int | None
    parts: int | None
    size: int
    candidates: int
    matched: int
    match_rate: float
    used: int
    suppression: Suppression
    lift: float
    lift_low: float
    lift_high: float
    activity_lift: float
    backtest: BacktestSummary | None
    warnings: tuple[ExpansionWarning, ...]
    prospects: str | None = Field(description="path of the list; null if none was written")
    reasons: str | None = Field(description="path of the explanations, with --reasons")
    evaluation: str = Field(description="path of evaluation.json")
