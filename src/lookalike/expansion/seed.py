"""Who an audience is made of: the lists of its definition, read and matched with the known users, once."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from lookalike.data import database, id_lists
from lookalike.data.arrays import Flags, Floats, Rows, Seconds
from lookalike.data.id_lists import IdSource
from lookalike.data.ingest.options import did_you_mean
from lookalike.embeddings import freshness
from lookalike.embeddings.user_index import Match
from lookalike.errors import SettingsError
from lookalike.expansion import seed_checks
from lookalike.expansion.audience import Audience
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.manifest import ListFile
from lookalike.expansion.messages import ExpansionWarning, NewerFiles
from lookalike.expansion.result import SeedMatch, Suppression


def _no_rows() -> Rows:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Seed:
    """The users of an audience, as ascending user rows."""

    rows: Rows  # [M]
    suppressed: Rows
    value: Floats | None = None  # [M]; None if all seeds count the same
    moment: Seconds | None = None  # [M]: only events before it are read; None for all events
    moment_event: str | None = None  # the event type that the moments are the first of, if they are
    negatives: Rows = field(default_factory=_no_rows)  # users whose like should rank lower
    listed_elsewhere: Rows = field(default_factory=_no_rows)  # eligible, but not to be listed
    dropped_columns: tuple[str, ...] = ()  # aggregates that no scorer may read

    @property
    def excluded(self) -> Rows:
        """Everybody who must not be listed."""
        return np.union1d(np.union1d(self.rows, self.suppressed), self.listed_elsewhere)

    def subset(self, kept: Flags) -> "Seed":
        """Only some of the seeds [M]."""
        return replace(
            self,
            rows=self.rows[kept],
            value=None if self.value is None else self.value[kept],
            moment=None if self.moment is None else self.moment[kept],
        )


@dataclass(frozen=True)
class Part:
    """Which sub-audience of a larger seed this is, counted from 1."""

    number: int
    parts: int


@dataclass(frozen=True)
class SeedInput:
    """A seed with the figures of the lists it came from."""

    seed: Seed
    match: SeedMatch
    suppression: Suppression
    inputs: tuple[ListFile, ...]  # the seed's list first
    warnings: tuple[ExpansionWarning, ...]
    part: Part | None = None


def read_seed(context: ExpansionContext, audience: Audience, force: bool = False) -> SeedInput:
    """Everybody an audience is made of. Raises ExpansionError when the seed is too small; `force` lets small ones pass.

    All lists are matched with the known users in one pass.
    """
    given = id_lists.read_ids(audience.seed, with_values=True).ids
    suppress, negative = _read_all(audience.suppress), _read_all(audience.negative)
    listed = [id_lists.read_prospects(context.folder.audience(name)) for name in audience.disjoint_from]
    matches = context.index.match(
        {
            "seed": _distinct(given),
            "suppress": id_lists.with_escaped_forms(suppress),
            "negative": negative,
            "listed": pl.concat(listed).unique() if listed else negative.clear(),
        }
    )
    suppression = Suppression(given=len(suppress), matched=len(matches["suppress"].rows))
    seed_checks.check_suppression(suppression)
    match = _seed_match(context, given, matches["seed"], matches["suppress"].rows)
    seed_checks.check_seed(match, context.representation.users, id_lists.source_name(audience.seed), force)
    seed = Seed(
        rows=matches["seed"].rows,
        suppressed=matches["suppress"].rows,
        value=_column(matches["seed"], "value"),
        moment=_moments(context, audience, matches["seed"]),
        moment_event=audience.before,
        negatives=np.setdiff1d(matches["negative"].rows, matches["seed"].rows),
        listed_elsewhere=matches["listed"].rows,
        dropped_columns=seed_checks.check_droppable(context.representation.layout.aggregates, audience.drop_features),
    )
    negatives = len(seed.negatives) if audience.negative else None
    warnings = seed_checks.list_warnings(match, suppression, negatives)
    if newer := freshness.newer_files(context.database, context.representation):
        warnings = (*warnings, NewerFiles(files=newer))
    for warning in warnings:
        context.progress.say(warning)
    inputs = tuple(
        ListFile(name=id_lists.source_name(source), sha256=id_lists.source_sha256(source))
        for source in (audience.seed, *audience.suppress, *audience.negative)
    )
    return SeedInput(seed, match, suppression, inputs, warnings)


def _read_all(sources: tuple[IdSource, ...]) -> pl.DataFrame:
    lists = [id_lists.read_ids(source).ids.select("user_id") for source in sources]
    return pl.concat(lists).unique() if lists else pl.DataFrame(schema={"user_id": pl.String})


def _distinct(given: pl.DataFrame) -> pl.DataFrame:
    """One line an id: its values added up, its earliest moment."""
    columns = [pl.col("value").sum()] if "value" in given.columns else []
    columns += [pl.col("ts").min()] if "ts" in given.columns else []
    return given.group_by("user_id", maintain_order=True).agg(*columns)


def _seed_match(context: ExpansionContext, given: pl.DataFrame, match: Match, suppressed: Rows) -> SeedMatch:
    distinct, near_matches, without_vector = given["user_id"].n_unique(), 0, 0
    if len(match.unmatched):
        in_log = database.users_with_events(context.database, match.unmatched)
        without_vector = len(in_log)
        near_matches = context.index.count_near_matches(match.unmatched.join(in_log, on="user_id", how="anti"))
    return SeedMatch(
        given=len(given),
        distinct=distinct,
        duplicates=len(given) - distinct,
        matched=len(match.rows),
        unmatched=distinct - len(match.rows),
        suppressed=int(np.isin(match.rows, suppressed, assume_unique=True).sum()),
        match_rate=len(match.rows) / max(1, distinct),
        near_matches=near_matches,
        without_vector=without_vector,
    )


def _column(match: Match, name: str) -> Floats | None:
    return match.matched[name].to_numpy() if name in match.matched.columns else None


def _moments(context: ExpansionContext, audience: Audience, match: Match) -> Seconds | None:
    """Up to when each seed is read; None if neither the list nor `--before` says.

    A seed without the event is read up to the cut.
    """
    cut = int(context.cut.as_of.replace(tzinfo=UTC).timestamp()) + 1
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


def to_seconds(moment: datetime) -> int:
    """Seconds since 1970 of a UTC time without a zone."""
    return int(moment.replace(tzinfo=UTC).timestamp())
