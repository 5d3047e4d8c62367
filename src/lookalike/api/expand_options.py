"""The options of `expand`, and what they ask for."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, TypedDict

from lookalike.api.arguments import several
from lookalike.errors import SettingsError

if TYPE_CHECKING:
    from lookalike.api.id_sources import Ids
    from lookalike.data.id_lists import IdSource
    from lookalike.expansion.audience import AudienceFlags
    from lookalike.expansion.rule import Rule


class ExpandOptions(TypedDict, total=False):
    """The options of `expand` besides seed and size, named like the command's flags."""

    name: str | None  # of the audience; the seed file's if not given
    scorer: str | None  # auto, or a scorer of docs/concepts.md
    suppress: "Ids | Iterable[Ids] | None"  # who must not be listed, besides the standing list
    allow_unmatched: str | None  # share of the ids of a list that may be nobody's in the log, such as "20%"
    negative: "Ids | Iterable[Ids] | None"  # negative examples: similar users rank lower
    before: str | None  # read each seed only up to its first event of this type; or a rule that made people seeds
    seed_rule: str | None  # everybody who has done this is the seed, such as category = DOG FOODS
    as_of_now: bool | None  # read the seeds as they are, whatever they have done in common
    include_doers: bool | None  # list people too who have done what the seeds have in common
    where: str | Iterable[str] | None  # what the people must be that the list is for, such as country = FR
    drop_features: str | Iterable[str] | None  # aggregates that no scorer may read; the user embedding goes with them
    disjoint_from: str | Iterable[str] | None  # audiences whose prospects are not listed again
    balance: bool | None  # keep the shares of the seed's sub-audiences
    reasons: bool | None  # write why each is listed
    format: Literal["csv", "parquet"] | None
    backtest: bool  # insist on a backtest on the latest seeds
    min_lift: float | None  # that the last half of an auto size must reliably exceed
    force: bool  # write the list against the verdict
    replace: bool  # put the list in the place of one that has much that it lacks


def check_options(method: str, options: ExpandOptions) -> None:
    """Raises TypeError for a keyword that is none, as Python does where the keywords are spelled out."""
    if unknown := sorted(options.keys() - ExpandOptions.__annotations__.keys()):
        raise TypeError(f"{method}() got an unexpected keyword argument {unknown[0]!r}")


def _seed(seed: "Ids | None", rule: str | None) -> "IdSource | Rule | None":
    from lookalike.api.id_sources import id_source
    from lookalike.expansion.rule import parse_rule

    if rule is None:
        return None if seed is None else id_source(seed, "the seed")
    if seed is not None:
        raise SettingsError("seed and seed_rule both say who the seed is", "leave one of them out")
    return parse_rule(rule)


def audience_flags(seed: "Ids | None", size: str | int | None, options: ExpandOptions) -> "AudienceFlags":
    from lookalike.api.id_sources import id_sources
    from lookalike.expansion.audience import AudienceFlags, parse_share, parse_size
    from lookalike.expansion.rule import parse_condition

    return AudienceFlags(
        seed=_seed(seed, options.get("seed_rule")),
        size=None if size is None else parse_size(size),
        name=options.get("name"),
        scorer=options.get("scorer"),
        before=options.get("before"),
        as_of_now=options.get("as_of_now"),
        include_doers=options.get("include_doers"),
        balance=options.get("balance"),
        reasons=options.get("reasons"),
        format=options.get("format"),
        allow_unmatched=parse_share(options.get("allow_unmatched")),
        suppress=id_sources(options.get("suppress"), "the suppression list"),
        negative=id_sources(options.get("negative"), "the negative examples"),
        where=tuple(map(parse_condition, several("where", options.get("where")))),
        drop_features=several("drop_features", options.get("drop_features")),
        disjoint_from=several("disjoint_from", options.get("disjoint_from")),
    )
