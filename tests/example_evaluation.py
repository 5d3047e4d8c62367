"""A complete evaluation as typed records, for the tests of reporting and of the terminal's tables.

The numbers are made up, but consistent: 214 matched seeds, 3,360 candidates, a list of 5 %.
"""

import math
from datetime import datetime
from typing import Any, TypeVar

from lookalike.encoder.block_figures import BlockComparison, BlockFigures, Interval
from lookalike.expansion.messages import LowMatchRate
from lookalike.expansion.result import (
    Backtest,
    Check,
    Cluster,
    CurvePoint,
    Evaluation,
    HeldOut,
    Leak,
    ListDescription,
    MethodLift,
    OverIndex,
    OverIndexGroup,
    OverIndexRow,
    PermutationTest,
    RepresentationSource,
    ScorerFigures,
    SeedProfile,
    SeedSummary,
    SubAudience,
    SubAudienceShare,
    Tier,
    Verdict,
)
from lookalike.expansion.slice_figures import SliceFigures, SliceGroup, Slices, SliceVerdict
from lookalike.expansion.suppression_figures import Suppression
from lookalike.workspace.records import Record

AnyRecord = TypeVar("AnyRecord", bound=Record)

# Text that tries to break out of HTML, a script, a style sheet, a template, or the terminal.
HOSTILE_TEXTS = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "</style></title></svg>\"'` onmouseover=alert(1)",
    "line\none\r\ttwo\x00three\x1b[31m",
    "x" * 10_000,
    "\u202egnp.exe \u2066isolate",
    "שלום עולם مرحبا नमस्ते 你好",
    "{{ 7 * 7 }}{% raw %}",
    "a\u2028b\u2029c",
    "[red]markup[/red][/]",
    "\ud800 lone",
    "e" + "\u0301" * 5_000,
    "",
)

CANDIDATES = 3_360
SHARE = 0.05  # of the candidates, as requested
SEEDS = 214

# Lift of each method by share of the candidates.
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.2, 0.3, 0.5, 1.0)
LIFTS = {
    "logistic": (8.4, 7.79, 6.6, 5.67, 4.81, 4.34, 3.8162, 3.38, 3.2, 2.69, 2.44, 2.0, 1.0),
    "ensemble": (7.7, 7.15, 6.07, 5.23, 4.45, 4.03, 3.5498, 3.16, 2.99, 2.53, 2.3, 2.0, 1.0),
    "centroid": (5.2, 4.88, 4.26, 3.76, 3.29, 3.03, 2.7385, 2.49, 2.39, 2.09, 1.94, 1.78, 1.0),
    "activity": (3.0, 2.87, 2.62, 2.41, 2.21, 2.09, 1.9589, 1.84, 1.79, 1.65, 1.58, 1.49, 1.0),
    "random": (1.0,) * len(SHARES),
}


def replaced(record: AnyRecord, path: str, value: Any) -> AnyRecord:
    """The record with another value at a path such as `held_out.lift` or `scorers.0.name`. Nothing is validated."""
    return _replaced(record, path.split("."), value)  # type: ignore[no-any-return]


def _replaced(container: Any, keys: list[str], value: Any) -> Any:
    if not keys:
        return value
    key, *inner = keys
    if isinstance(container, Record):
        return container.model_copy(update={key: _replaced(getattr(container, key), inner, value)})
    if isinstance(container, dict):
        return container | {key: _replaced(container.get(key), inner, value)}
    items = list(container)
    items[int(key)] = _replaced(items[int(key)], inner, value)
    return tuple(items)


def curve(lifts: tuple[float, ...], band: bool = True) -> tuple[CurvePoint, ...]:
    """A method's curve, with bands of a binomial share of about half of the seeds."""
    points: list[CurvePoint] = []
    before, recall_before = 0.0, 0.0
    for share, lift in zip(SHARES, lifts, strict=True):
        recall = min(1.0, lift * share)
        half = 1.96 * math.sqrt(recall * (1 - recall) / 117.4) if band else 0.0
        marginal = (recall - recall_before) / (share - before)
        points.append(
            CurvePoint(
                share=share,
                size=round(share * CANDIDATES),
                recall=recall,
                recall_low=max(0.0, recall - half),
                recall_high=min(1.0, recall + half),
                lift=lift,
                lift_low=max(0.0, lift - half / share),
                lift_high=lift + half / share,
                marginal=marginal,
                marginal_low=marginal * 0.8,
                marginal_high=marginal * 1.2,
            )
        )
        before, recall_before = share, recall
    return tuple(points)


def trait(label: str, audience_count: int, base_count: int, q: float = 0.001) -> OverIndexRow:
    """A trait of so many of the 168 people in the audience and of the 3,574 in the base."""
    audience_rate, base_rate = audience_count / 168, base_count / 3_574
    ratio = audience_rate / base_rate
    spread = math.exp(1.96 * math.sqrt((1 - audience_rate) / audience_count + (1 - base_rate) / base_count))
    return OverIndexRow(
        label=label,
        audience_count=audience_count,
        base_count=base_count,
        q=q,
        audience_rate=audience_rate,
        base_rate=base_rate,
        ratio=ratio,
        ratio_low=ratio / spread,
        ratio_high=ratio * spread,
    )


ITEMS = (
    trait("Jumbo bag red retrospot", 62, 402),
    trait("Lunch bag red retrospot", 58, 371),
    trait("Regency cakestand 3 tier", 41, 463),
    trait("Set of 3 cake tins pantry design", 49, 288),
    trait("Pack of 72 retrospot cake cases", 44, 291),
    trait("Rabbit night light", 38, 187),
    trait("Paper chain kit 50's Christmas", 40, 335),
    trait("Party bunting", 36, 345),
    trait("Spotty bunting", 33, 245),
    trait("Assorted colour bird ornament", 35, 322),
    trait("Hot water bottle tea and sympathy", 28, 176),
    trait("Alarm clock bakelike red", 30, 229),
    trait("Wooden picture frame white finish", 27, 240),
    trait("Natural slate heart chalkboard", 29, 296),
    trait("Jam making set with jars", 26, 260),
    trait("Gardeners kneeling pad", 25, 214),
    trait("White hanging heart t-light holder", 31, 610, q=0.6),  # its interval holds 1
)
OVER_INDEX = OverIndex(
    audience_users=168,
    base_users=3_574,
    min_cell=25,
    groups=(
        OverIndexGroup(title="Items", hidden=2_841, rows=ITEMS, less=()),
        OverIndexGroup(
            title="Category",
            hidden=6,
            rows=(trait("Bags", 104, 1_180), trait("Kitchen", 121, 1_702), trait("Lighting", 59, 1_121, q=0.4)),
            less=(trait("Stationery", 30, 1_083),),
        ),
        OverIndexGroup(title="Event types", hidden=0, rows=(trait("purchase", 168, 3_574, q=1.0),), less=()),
        OverIndexGroup(title="Weekdays", hidden=0, rows=(trait("Thursday", 112, 1_850),), less=()),
        OverIndexGroup(title="Countries", hidden=31, rows=(trait("Germany", 26, 88),), less=()),
    ),
)

VERDICT = Verdict(
    decision="expand",
    checks=(
        Check(name="enough_seeds", passed=True, value=SEEDS, threshold=25),
        Check(name="above_chance", passed=True, value=3.8162, interval=(2.3947, 5.2377), threshold=1),
        Check(name="beyond_activity", passed=True, value=4.1, threshold=1.9),
        Check(name="not_beaten_by_activity", passed=True, value=1.9589, interval=(0.8837, 3.0342)),
        Check(name="worth_taking", passed=True, required=False, value=1_234, threshold=1),
    ),
    permutation_test=PermutationTest(lift=4.1, random_lift=1.9, p_value=0.005, draws=199),
    activity="reliably_lower",
)

HELD_OUT = HeldOut(
    size=168,
    share=SHARE,
    lift=3.8162,
    low=2.3947,
    high=5.2377,
    activity_lift=1.9589,
    activity_low=0.8837,
    activity_high=3.0342,
    max_lift=15.7,
    recall=0.1908,
    recall_low=0.1197,
    recall_high=0.2619,
    precision_floor=0.02,
    partial_auc=0.11,
    gain=0.624,
    value_lift=4.2,
    largest=1_234,
)

SEED = SeedSummary(
    given=231,
    distinct=226,
    duplicates=5,
    matched=SEEDS,
    unmatched=12,
    suppressed=0,
    match_rate=0.9469,
    near_matches=4,
    differences={"capitals": 3, "leading zeros": 1},
    without_vector=2,
    valued=False,
    negatives=0,
    point_in_time=False,
    used=SEEDS,
    effective=214.0,
)

SEED_PROFILE = SeedProfile(
    median_events=31,
    others_median_events=9,
    median_days_since=12,
    others_median_days_since=48,
    mean_cosine=0.31,
    others_mean_cosine=0.02,
    sub_audiences=(),
    busy=0,
    outliers=3,
    leaks=(),
    lift_without_leaks=None,
    expand_without_leaks=None,
    gain_of_doubling=0.08,
    gain_of_splitting=None,
    splitting_reliable=False,
)


def tier(number: int, ranks: tuple[int, int], scores: tuple[float, float], lift: tuple[float, float, float]) -> Tier:
    """A tier with its first and last rank, its highest and lowest score, and its lift with the band."""
    return Tier(
        tier=number,
        from_rank=ranks[0],
        to_rank=ranks[1],
        users=ranks[1] - ranks[0] + 1,
        highest_score=scores[0],
        lowest_score=scores[1],
        lift=lift[0],
        lift_low=lift[1],
        lift_high=lift[2],
    )


def scorer(name: str, auc: float, lift: tuple[float, float, float], chosen: bool = False) -> ScorerFigures:
    """A scorer with its lift and the band."""
    return ScorerFigures(
        name=name,
        chosen=chosen,
        auc=auc,
        partial_auc=0.11,
        gain=2 * auc - 1,
        lift=lift[0],
        low=lift[1],
        high=lift[2],
    )


TIERS = (
    tier(1, (1, 34), (2.914, 1.482), (5.7, 1.5, 9.9)),
    tier(2, (35, 84), (1.479, 0.935), (4.0, 1.9, 6.1)),
    tier(3, (85, 168), (0.934, 0.521), (2.9, 1.3, 4.6)),
)
SCORERS = (
    scorer("logistic", 0.812, (3.8162, 2.3947, 5.2377), chosen=True),
    scorer("ensemble", 0.806, (3.5498, 2.1676, 4.932)),
    scorer("centroid", 0.741, (2.7385, 1.4949, 3.9821)),
)

BACKTEST = Backtest(
    cut=datetime(2011, 9, 1),
    seeds=120,
    later=64,
    newcomers=9,
    candidates=3_000,
    share=SHARE,
    lifts={
        "logistic": MethodLift(lift=3.1, low=2.0, high=4.4),
        "centroid": MethodLift(lift=2.5, low=1.5, high=3.7),
        "activity": MethodLift(lift=1.4, low=0.7, high=2.4),
        "plain": MethodLift(lift=2.2, low=1.3, high=3.4),
    },
    curves={},
)
LEAKS = (
    Leak(column="word=jumbo", seed=1.0, others=0.19),
    Leak(column="country=DE", seed=0.98, others=0.02),
)


def a_slice(
    label: str | None, people: tuple[int, int], lift: tuple[float, float, float], verdict: SliceVerdict
) -> SliceFigures:
    """A slice with its candidates and seeds, and its lift with the band."""
    return SliceFigures(
        label=label, candidates=people[0], seeds=people[1], lift=lift[0], low=lift[1], high=lift[2], verdict=verdict
    )


SLICES = Slices(
    measured_on="hidden_seeds",
    share=SHARE,
    lift=3.8,
    low=2.4,
    high=5.2,
    min_people=25,
    groups=(
        SliceGroup(
            by="events",
            slices=(
                a_slice("1-4", (2_000, 60), (1.02, 0.4, 2.2), "gains_nothing"),
                a_slice("5+", (1_360, 154), (4.1, 2.6, 5.9), "gains"),
            ),
        ),
        SliceGroup(
            by="country",
            slices=(
                a_slice("France", (3_000, 180), (3.9, 2.5, 5.6), "gains"),
                a_slice(None, (360, 34), (2.1, 0.5, 6.0), "too_few"),
            ),
        ),
    ),
)


def figures_of(*values: tuple[float, float, float]) -> BlockFigures:
    """Lift, AUC, log-loss and NDCG with their intervals."""
    lift, auc, log_loss, ndcg = (Interval(value=value, low=low, high=high) for value, low, high in values)
    return BlockFigures(lift=lift, auc=auc, log_loss=log_loss, ndcg=ndcg)


BLOCKS = BlockComparison(
    measured=SEEDS,
    aggregates=figures_of((2.4, 1.6, 3.4), (0.71, 0.67, 0.75), (0.2012, 0.1950, 0.2074), (0.11, 0.08, 0.14)),
    sequence=figures_of((2.9, 2.0, 4.0), (0.73, 0.69, 0.77), (0.1987, 0.1920, 0.2054), (0.13, 0.09, 0.17)),
    both=figures_of((3.0, 2.1, 4.1), (0.74, 0.70, 0.78), (0.1971, 0.1905, 0.2037), (0.14, 0.10, 0.18)),
    gain=figures_of((0.6, 0.1, 1.1), (0.03, 0.01, 0.05), (-0.0041, -0.0062, -0.0020), (0.03, -0.01, 0.07)),
    log_loss_of_none=0.2264,
    encoder="pays",
)


def example_evaluation() -> Evaluation:
    """An ordinary list: one audience, no moments, no explanations."""
    return Evaluation(
        name="retro-bags",
        created="2011-12-10T09:14:27Z",
        as_of=datetime(2011, 11, 10),
        scorer="logistic",
        requested_scorer="auto",
        verdict=VERDICT,
        size=168,
        requested_size="5%",
        universe=3_611,
        candidates=CANDIDATES,
        prospects=168,
        confidence=0.95,
        folds=5,
        repeats=4,
        held_out=HELD_OUT,
        curves={method: curve(lifts, band=method != "random") for method, lifts in LIFTS.items()},
        scorers=SCORERS,
        seed=SEED,
        suppression=Suppression(given=40, matched=37),
        seed_profile=SEED_PROFILE,
        backtest=None,
        balanced=False,
        prospect_list=ListDescription(tiers=TIERS, over_index=OVER_INDEX, between_tiers=None, shares=(), clusters=None),
        representation=RepresentationSource(
            version="v000001",
            run="r000001",
            blocks={"sequence": 128, "content": 128, "aggregates": 300},
            trained="2011-12-10T09:11:02Z",
        ),
        settings={"expand.folds": 5, "expand.repeats": 4, "expand.min_lift": 1.0, "expand.min_cell": 25},
        warnings=(LowMatchRate(unmatched=12, distinct=226, matched=SEEDS),),
    )


def detailed_evaluation() -> Evaluation:
    """The same list of a seed with moments and two sub-audiences, with explanations, slices and the worth of the encoder."""
    sub_audiences = (
        SubAudience(share=0.6, more_of=("word=cake", "word=tin")),
        SubAudience(share=0.4, more_of=("word=light",)),
    )
    profile = SEED_PROFILE.model_copy(
        update={"sub_audiences": sub_audiences, "gain_of_splitting": 0.12, "splitting_reliable": True}
    )
    described = ListDescription(
        tiers=TIERS,
        over_index=OVER_INDEX,
        between_tiers=OVER_INDEX,
        shares=(
            SubAudienceShare(seed_share=0.6, list_share=0.95, more_of=("word=cake",)),
            SubAudienceShare(seed_share=0.4, list_share=0.05, more_of=("word=light",)),
        ),
        clusters=(
            Cluster(cluster=1, seed_share=0.7, list_share=0.9, more_of=("word=tea",)),
            Cluster(cluster=2, seed_share=0.3, list_share=0.1, more_of=()),
        ),
    )
    seed = SEED.model_copy(update={"point_in_time": True, "used": 168})
    return example_evaluation().model_copy(
        update={
            "backtest": BACKTEST,
            "seed_profile": profile,
            "seed": seed,
            "prospect_list": described,
            "slices": SLICES,
            "blocks": BLOCKS,
        }
    )


def refused_evaluation() -> Evaluation:
    """A seed that is not reliably better than chance: no list was written."""
    checks = tuple(
        check.model_copy(update={"passed": False, "value": 1.2, "interval": (0.7, 1.8)})
        if check.name == "above_chance"
        else check
        for check in VERDICT.checks
    )
    verdict = VERDICT.model_copy(update={"decision": "do not expand", "checks": checks})
    return example_evaluation().model_copy(update={"verdict": verdict, "prospects": 0, "prospect_list": None})


def hostile_evaluation(text: str) -> Evaluation:
    """The detailed evaluation with a text in every place that can hold text from outside."""
    evaluation = replaced(detailed_evaluation(), "seed_profile.leaks", LEAKS)
    evaluation = replaced(evaluation, "seed_profile.lift_without_leaks", 2.0)
    curves = {text if method == "logistic" else method: points for method, points in evaluation.curves.items()}
    lifts = {text if method == "logistic" else method: lift for method, lift in BACKTEST.lifts.items()}
    values: dict[str, Any] = {
        "curves": curves,
        "backtest.lifts": lifts,
        "settings": evaluation.settings | {text: 1},
        "representation": RepresentationSource(version=text, run=text, blocks={text: 3}, trained=text),
        "seed_profile.sub_audiences.0.more_of": (text,),
        "seed_profile.leaks.0.column": text,
        "prospect_list.clusters.0.more_of": (text,),
        "scorers.0.name": text,
        "slices.groups.1.slices.0.label": text,
    }
    for name in ("name", "scorer", "requested_scorer", "requested_size", "created"):
        values[name] = text
    for group in range(len(OVER_INDEX.groups)):
        for comparison in ("over_index", "between_tiers"):
            place = f"prospect_list.{comparison}.groups.{group}"
            values |= {f"{place}.title": text, f"{place}.rows.0.label": text}
    values["prospect_list.over_index.groups.1.less.0.label"] = text
    for path, value in values.items():
        evaluation = _replaced(evaluation, path.split("."), value)
    return evaluation
