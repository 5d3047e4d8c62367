"""Reads the lists of a definition and matches them with the known users, all in one pass."""

from datetime import UTC

import numpy as np
import polars as pl

from lookalike.data import database, deeds, id_lists
from lookalike.data.arrays import Floats, Seconds, union
from lookalike.data.id_lists import IdSource
from lookalike.data.id_spellings import AS_WRITTEN
from lookalike.data.ingest.id_file import IdList
from lookalike.data.ingest.options import did_you_mean
from lookalike.embeddings import freshness
from lookalike.embeddings.user_index import Alike, Match
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion import seed_checks, suppression
from lookalike.expansion.audience import Audience, seed_name, seed_sha256
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.doers import check_rule
from lookalike.expansion.manifest import ListFile
from lookalike.expansion.messages import NewerFiles, OtherColumnRead
from lookalike.expansion.result import SeedMatch
from lookalike.expansion.rule import Rule
from lookalike.expansion.seed import Seed, SeedInput
from lookalike.expansion.seed_rule import stated_rule, with_rule
from lookalike.expansion.suppression import SuppressionLists
from lookalike.expansion.suppression_figures import Suppression
from lookalike.expansion.where import only_inside
from lookalike.expansion.without_events import with_eligible


def read_seed(context: ExpansionContext, audience: Audience, force: bool = False) -> SeedInput:
    """Everybody an audience is made of. Raises ExpansionError when the seed is too small; `force` lets small ones pass.

    All lists are matched with the known users in one pass as they are written, and in another in any spelling, for whoever
    must not be listed.
    """
    seed_list = _given(context, audience.seed)
    given = seed_list.ids
    lists, negative = suppression.read_lists(context.database, audience.suppress), _read_all(audience.negative)
    listed = [id_lists.read_prospects(context.folder.audience(name)) for name in audience.disjoint_from]
    barred = {
        "seed": given.select("user_id"),
        "suppress": lists.ids,
        "listed": pl.concat(listed).unique() if listed else negative.clear(),
    }
    matches = context.index.match({"seed": _distinct(given), "suppress": lists.ids, "negative": negative})
    alike = context.index.alike(context.database, barred)
    suppression.check_lists(context.index, context.database, lists, alike["suppress"], audience.allow_unmatched)
    match = _seed_match(context, given, matches["seed"], alike)
    name = seed_name(audience.seed)
    seed_checks.check_seed(match, context.representation.users, name, force)
    seed = Seed(
        rows=matches["seed"].rows,
        suppressed=union(alike["suppress"].rows, np.setdiff1d(alike["seed"].rows, matches["seed"].rows)),
        value=_column(matches["seed"], "value"),
        moment=_moments(context, audience, matches["seed"]),
        moment_event=None if stated_rule(audience) else audience.before,
        negatives=np.setdiff1d(matches["negative"].rows, matches["seed"].rows),
        listed_elsewhere=alike["listed"].rows,
        dropped_columns=seed_checks.check_droppable(context.representation.layout.aggregates, audience.drop_features),
    )
    seed, where = only_inside(context, audience.where, seed, force)
    eligible = with_eligible(context, audience, seed)
    ruled = with_rule(context, audience, eligible.seed)
    negatives = len(seed.negatives) if audience.negative else None
    figures = _suppression(lists, matches["suppress"], alike["suppress"])
    warnings = (*seed_checks.list_warnings(match, figures, negatives), *eligible.warnings, *ruled.warnings)
    if seed_list.empty:
        warnings = (OtherColumnRead(column=seed_list.column, empty=seed_list.empty), *warnings)
    if newer := freshness.newer_files(context.database, context.representation):
        warnings = (*warnings, NewerFiles(files=newer))
    for warning in warnings:
        context.progress.say(warning)
    inputs = (
        ListFile(name=name, sha256=seed_sha256(audience.seed)),
        *(
            ListFile(name=id_lists.source_name(source), sha256=id_lists.source_sha256(source))
            for source in (*audience.suppress, *audience.negative)
        ),
        *lists.files,
    )
    nobody_of = pl.concat(list(barred.values()))
    return SeedInput(ruled.seed, match, figures, inputs, warnings, rule=ruled.rule, where=where, barred=nobody_of)


def _given(context: ExpansionContext, source: IdSource | Rule) -> IdList:
    """The ids of the seed's list, or of everybody who fulfils its rule."""
    if not isinstance(source, Rule):
        timezones = database.log_timezones(context.database)
        return id_lists.read_ids(source, with_values=True, timezones=timezones)
    check_rule(context, source)
    given = deeds.first_deeds(context.database, source.terms, context.cut, source.start, source.times).select("user_id")
    if given.is_empty():
        raise ExpansionError(f"nobody fulfils the rule {str(source)[:100]}", "check field, value and date")
    return IdList(given, ())


def _read_all(sources: tuple[IdSource, ...]) -> pl.DataFrame:
    lists = [id_lists.read_ids(source).ids.select("user_id") for source in sources]
    return pl.concat(lists).unique() if lists else pl.DataFrame(schema={"user_id": pl.String})


def _distinct(given: pl.DataFrame) -> pl.DataFrame:
    """One line an id: its values added up, its earliest moment."""
    columns = [pl.col("value").sum()] if "value" in given.columns else []
    columns += [pl.col("ts").min()] if "ts" in given.columns else []
    return given.group_by("user_id", maintain_order=True).agg(*columns)


def _suppression(lists: SuppressionLists, as_written: Match, alike: Alike) -> Suppression:
    matched = len(as_written.rows)
    return Suppression(
        given=len(lists.ids),
        matched=matched,
        alike=len(alike.rows) - matched,
        standing=lists.standing,
        unmatched=len(alike.unmatched),
        ways=alike.ways,
    )


def _seed_match(context: ExpansionContext, given: pl.DataFrame, match: Match, alike: dict[str, Alike]) -> SeedMatch:
    """How the seed's ids match: as they are written, as other spellings of users' ids, or as people without a vector."""
    distinct, without_vector = given["user_id"].n_unique(), 0
    near = {way: ids for way, ids in alike["seed"].ways.items() if way != AS_WRITTEN}
    if len(match.unmatched):
        without_vector = len(database.ingested_users(context.database, match.unmatched))
    return SeedMatch(
        given=len(given),
        distinct=distinct,
        duplicates=len(given) - distinct,
        matched=len(match.rows),
        unmatched=distinct - len(match.rows),
        suppressed=int(np.isin(match.rows, alike["suppress"].rows, assume_unique=True).sum()),
        match_rate=len(match.rows) / max(1, distinct),
        near_matches=sum(near.values()),
        differences=near,
        without_vector=without_vector,
    )


def _column(match: Match, name: str) -> Floats | None:
    return match.matched[name].to_numpy() if name in match.matched.columns else None


def _moments(context: ExpansionContext, audience: Audience, match: Match) -> Seconds | None:
    """Up to when each seed is read; None if neither the list nor `--before` says.

    A seed without the event is read up to the cut.
    """
    cut = int(context.cut.as_of.replace(tzinfo=UTC).timestamp()) + 1
    if stated_rule(audience) is not None:
        if "ts" in match.matched.columns:
            raise SettingsError(
                "the seed's column ts and the rule both say when people became seeds", "leave one of them out"
            )
        return None
    if audience.before is not None:
        types = database.event_types(context.database)
        if audience.before not in types:
            near = did_you_mean(audience.before, types, 0.6)
            hint = f"{near}--before {'|'.join(types[:8])}"
            raise SettingsError(f"no event type is called {audience.before[:60]!r}", hint)
        first = database.first_event_times(context.database, audience.before)
        moments = match.matched.join(first, on="user_id", how="left", maintain_order="left")["moment"]
    elif "ts" in match.matched.columns:
        moments = match.matched["ts"]
    else:
        return None
    seconds: Seconds = moments.fill_null(cut).to_numpy().astype(np.int64)
    return np.minimum(seconds, cut)
