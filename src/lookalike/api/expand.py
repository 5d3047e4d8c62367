"""The expand command: match the seed, measure, choose, rank everybody, write the list with how good it is."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from lookalike.data import database
from lookalike.data.arrays import Rows
from lookalike.data.database import Cut
from lookalike.embeddings.representation import Representation, live_version
from lookalike.encoder import run_arrays
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion import examples, leakage, prospects, result, seed, seed_checks, seed_profile, selection
from lookalike.expansion.audience import Audience
from lookalike.expansion.examples import Examples
from lookalike.expansion.prospects import ExpansionContext, ProspectList
from lookalike.expansion.ranking.scan import RankingRequest
from lookalike.expansion.scorers.logistic import PRIOR_PREFIX, Prior
from lookalike.expansion.seed import SeedLists
from lookalike.expansion.seed_profile import SeedProfile
from lookalike.expansion.selection import Selection
from lookalike.expansion.verdict import Verdict
from lookalike.workspace.executor import Executor
from lookalike.workspace.files import read_json, sha256
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress
from lookalike.workspace.provenance import utc_now
from lookalike.workspace.settings import ExpandSettings

if TYPE_CHECKING:
    from lookalike.expansion.point_in_time import PointInTime

if TYPE_CHECKING:
    pass

Result = dict[str, Any]


@dataclass(frozen=True)
class How:
    """What was asked for besides the audience itself."""

    force: bool = False  # write the list against the verdict
    split: bool = False  # a list for each sub-audience of the seed, together as long as was asked for
    backtest: bool = False  # refuse where none can be made
    engine: Executor | None = None  # what ranks the shards; this process if not given


def expand(
    workspace: WorkspaceFolder, asked: list[Audience], settings: ExpandSettings, how: How, progress: Progress
) -> list[Result]:
    """Measures every audience, ranks for all of them in one pass, writes each list with its evaluation; gives summaries.

    With `split` there is one list for each sub-audience of a seed, else one. Where the verdict is against and `force` is
    not given, or the seed is too small to make a list of, only the evaluation is written: `prospects` is None.
    """
    live_version(workspace)  # nothing trained: said before the lock makes a file
    with workspace.locked(), threadpool_limits(1, "blas"):
        representation = live_version(workspace)
        learnt = run_arrays.load_run_arrays(workspace, representation.manifest.run, PRIOR_PREFIX)
        space = _Space(
            ExpansionContext(workspace, representation, settings, progress, how.engine),
            Prior(**learnt) if learnt else None,
            how,
        )
        parts = [part for audience in asked for part in _read(space, audience)]
        _check_names(workspace, [audience for audience, _ in parts])
        measured = [_measured(space, audience, read) for audience, read in parts]
        listed = iter(prospects.rank_prospects(space.place, [one.wanted for one in measured if one.wanted]))
        return [_written(space.place, one, next(listed) if one.wanted else None) for one in measured]


@dataclass(frozen=True)
class _Space:
    place: ExpansionContext
    prior: Prior | None
    how: How


def _read(space: _Space, audience: Audience) -> list[tuple[Audience, SeedLists]]:
    """Everybody an audience is made of; with `split` an audience for each part of its seed."""
    place = space.place
    read = seed.read_seed(place.workspace, place.representation, audience, place.progress, space.how.force)
    if space.how.backtest and read.people.moment is None:
        raise SettingsError("--backtest needs to know when people became seeds", "a column ts, or --before TYPE")
    return _parts(space, audience, read) if space.how.split else [(audience, read)]


def _parts(space: _Space, audience: Audience, read: SeedLists) -> list[tuple[Audience, SeedLists]]:
    """The seed's sub-audiences as audiences of their own; nobody of the whole seed is listed in any."""
    with _past(space, read) as past:
        known = _examples(space, past, replace(read, warnings=[]))
    groups = _portrait(space.place, known).group_of
    if not groups.any():
        raise ExpansionError(
            "the seed is one audience: cut in two, it does not come apart in the same way twice",
            "leave --split out; groups that you know yourself are seeds of their own",
        )
    count = int(groups.max()) + 1
    return [
        _part(audience, read, known.rows[groups == group], (group + 1, count, len(groups))) for group in range(count)
    ]


def _part(audience: Audience, read: SeedLists, kept: Rows, which: tuple[int, int, int]) -> tuple[Audience, SeedLists]:
    """One part of a seed as an audience of its own, with its share of the list.

    `which` are its number, how many parts there are, and how many seeds they have together.
    """
    people = read.people
    at = np.searchsorted(people.seed, kept)
    value = None if people.value is None else people.value[at]
    moment = None if people.moment is None else people.moment[at]
    # the others are left out of the background too: they are no strangers to this part, and nobody it may find
    apart = np.union1d(people.suppressed, np.setdiff1d(people.seed, kept))
    some = replace(people, seed=kept, value=value, moment=moment, suppressed=apart)
    facts = read.seed_facts | {"group": which[0], "groups": which[1]}
    size = audience.size.part(len(kept) / which[2])
    # a name that was typed was not that of a part: it replaces no other seed's list
    one = replace(audience, name=f"{audience.name}-{which[0]}", size=size, named=False)
    return one, replace(read, people=some, seed_facts=facts, warnings=list(read.warnings))


def _check_names(workspace: WorkspaceFolder, asked: list[Audience]) -> None:
    names = [audience.name for audience in asked]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"two audiences are called {twice[0]}", "give each definition a name of its own")
    for audience in asked:
        if now_made := sorted({*audience.disjoint_from} & {*names}):
            raise SettingsError(
                f"{audience.name} is to be kept apart from {now_made[0]}, which is only being made now",
                f"lookalike expand {now_made[0]}.toml first",
            )
    for audience in asked:
        _check_name(workspace, audience)


def _check_name(workspace: WorkspaceFolder, audience: Audience) -> None:
    """A list may only be replaced by another seed's when the name was meant: two clients' seed.csv share a default one.

    A definition may replace its own list, whatever its seed's file holds by now, but not that of another of its name.
    """
    manifest = workspace.audience(audience.name) / "manifest.json"
    if audience.named or not manifest.exists():
        return
    made_from = read_json(manifest).get("inputs", [])
    same = audience.defined and made_from and made_from[0].get("name") == audience.seed.name
    if made_from and not same and made_from[0].get("sha256") != sha256(audience.seed):
        raise SettingsError(
            f"audiences/{audience.name} holds the list of another seed",
            f"--name NAME, or --name {audience.name} to replace it",
        )


@dataclass(frozen=True)
class _Measured:
    """An audience before the pass over everybody."""

    audience: Audience
    read: SeedLists
    known: Examples  # without the background's columns, which only the fit has need of
    choice: Selection
    seen: SeedProfile
    found: Result
    wanted: RankingRequest | None  # None where no list is to be made


def _measured(space: _Space, audience: Audience, read: SeedLists) -> _Measured:
    """What is known of a list before it is made, and the fitted scorer that makes it."""
    place, settings = space.place, space.place.settings
    asked = selection.resolve_size(audience.size, place.representation.users - len(read.people.left_out))
    with _past(space, read) as past:
        known = _examples(space, past, read)
        seen = _portrait(place, known)
        if audience.balance:
            known = _balanced(known, seen, read, place.progress)
        with place.progress.step("measuring on held-out seeds", total=settings.repeats * settings.folds) as step:
            choice = selection.select_scorer_and_size(known, audience.scorer, asked, settings, step)
        tested = _backtest(past, read, known, choice, space)
    looked = _diagnosed(place, known, seen, choice)
    choice = replace(choice, verdict=_amended(choice.verdict, looked, seen))
    found = result.evaluation_record(audience, settings, place.representation, known, choice)
    found |= {"diagnosis": looked, "backtest": tested, "created": utc_now(), "suppression": read.suppression}
    found |= {
        "seed": read.seed_facts | {"used": known.seeds, "effective": examples.effective_sample_size(known.weight)}
    }
    read.warn(seed_checks.findings(looked, known.seeds) + _of_taken(known), place.progress)
    wanted = None
    if (choice.verdict.expand or space.how.force) and known.seeds >= seed_checks.MIN_SEEDS:
        score = selection.fit_scorer(known, choice.scorer, settings)
        wanted = RankingRequest(score, choice.size, read.people.left_out)
    found["verdict"]["forced"] = wanted is not None and not choice.verdict.expand
    found["balanced"] = known.group is not None
    return _Measured(audience, read, replace(known, background=known.background[:0]), choice, seen, found, wanted)


def _amended(verdict: Verdict, looked: Result, seen: SeedProfile) -> Verdict:
    """The verdict with what the look at the seed adds to it."""
    if looked["leaks"]:
        verdict = replace(verdict, careful=(*verdict.careful, seed_checks.careful(looked)))
    if verdict.expand and looked["splitting_is_sure"]:
        verdict = replace(verdict, parts=len(seen.groups))
    return verdict


def _written(place: ExpansionContext, measured: _Measured, made: ProspectList | None) -> Result:
    """Writes the list with all that is known of it; gives the summary."""
    audience, read, found = measured.audience, measured.read, measured.found
    if made is not None:
        found |= prospects.describe_list(place, made, read.people.suppressed)
        found["tiers"] = result.tier_lifts(measured.known, measured.choice, found["tiers"], place.settings)
        found["shares"] = prospects.sub_audience_shares(place, made, measured.known, measured.seen)
        read.warn(seed_checks.of_shares(found["shares"]), place.progress)
        if audience.reasons:
            made, found["reasons"] = prospects.with_explanations(place, made, measured.known, read.people)
    found |= {"warnings": read.warnings}
    folder = prospects.write_expansion(place, audience, found, read.inputs, made)
    return result.expand_summary(found, folder, audience.format)


def refused(done: Result) -> ExpansionError:
    """What is said when no list was written, from its summary."""
    small = done["used"] < seed_checks.MIN_SEEDS
    written = (
        f"no list is made of fewer than {seed_checks.MIN_SEEDS} seeds"
        if small
        else "no list was written; --force writes it"
    )
    return ExpansionError(
        f"do not expand: {'; '.join(done['against'])}", f"{written}; lookalike report {done['name']} shows the figures"
    )


@contextlib.contextmanager
def _past(space: _Space, read: SeedLists) -> "Iterator[PointInTime | None]":
    """What it takes to embed people as they were, where the seed has moments."""
    if read.people.moment is None:
        yield None
        return
    from lookalike.encoder import runs  # torch, which a list of today's vectors does not need
    from lookalike.expansion.point_in_time import PointInTime

    workspace, representation = space.place.workspace, space.place.representation
    manifest = representation.manifest
    cut = Cut(manifest.as_of, manifest.min_events)
    run = runs.load_run(workspace, manifest.run)
    with database.open_in(workspace) as opened, workspace.scratch() as scratch:
        yield PointInTime(opened, run, representation, scratch, cut)


def _examples(space: _Space, past: "PointInTime | None", read: SeedLists) -> Examples:
    """What the scorers learn from; with moments, everybody as they were then."""
    place = space.place
    known = examples.build_examples(place.representation, read.people, place.settings, space.prior)
    if past is None:
        return known
    from lookalike.expansion import point_in_time

    with place.progress.step("embedding people as they were"):
        known, new = point_in_time.examples_at_moments(past, read.people, known, place.settings)
    if new:
        warning = f"{new:,} seeds had done nothing before their moment: they teach nothing, and are not listed"
        read.warn([warning], place.progress)
    return known


def _balanced(known: Examples, seen: SeedProfile, read: SeedLists, progress: Progress) -> Examples:
    """With the seed's sub-audiences, whose shares the list is then to keep."""
    if read.people.dropped:
        raise SettingsError("--balance reads the user embedding, which --drop-features takes away", "leave one out")
    if not seen.groups:
        read.warn(["the seed is one audience: there is nothing to balance"], progress)
        return known
    return replace(known, group=seen.group_of)


def _backtest(
    past: "PointInTime | None", read: SeedLists, known: Examples, choice: Selection, space: _Space
) -> Result | None:
    """How the list of an earlier moment would have done; None where the seed has no moments or too few."""
    if past is None:
        return None
    from lookalike.expansion.backtest import backtest_record, run_backtest

    settings = space.place.settings
    try:
        with space.place.progress.step("testing on the seeds that came last"):
            found = run_backtest(past, read.people, known, choice.scorer, settings)
    except ExpansionError:
        if space.how.backtest:
            raise
        return None  # nobody asked for it
    return backtest_record(found, choice.scorer, choice.share, settings.confidence)


def _portrait(place: ExpansionContext, known: Examples) -> SeedProfile:
    names, first = _aggregates(place.representation)
    vectors = place.representation.layout.columns("sequence")
    return seed_profile.profile_seed(known, names, first, vectors, place.settings.random_seed)


def _aggregates(representation: Representation) -> tuple[list[str], int]:
    """The names of the plain columns, and where they begin."""
    return list(representation.layout.aggregates), representation.layout.aggregates_start


def _diagnosed(place: ExpansionContext, known: Examples, seen: SeedProfile, choice: Selection) -> Result:
    """What kind of people the seed is, and what nearly defines it."""
    settings, (names, first) = place.settings, _aggregates(place.representation)
    with place.progress.step("looking at the seed"):
        readable = known.space.columns(("aggregates",)) - first
        leaks = leakage.find_leaks(known, names, first, readable) if known.seeds >= settings.min_cell else []
        dropped = np.array([place.representation.layout.column(leak.column) for leak in leaks], np.int64)
        blind = leakage.lift_without(known, dropped, choice.share, settings) if leaks else None
        doubling = seed_profile.gain_of_doubling(known, choice.scorer, choice.share, settings, lambda done: None)
        splitting, sure = None, False
        if seen.groups and known.group is None:
            splitting, sure = seed_profile.gain_of_splitting(
                known, seen.group_of, choice.scorer, choice.share, settings
            )
    found = seen.as_dict() | {"leaks": [asdict(leak) for leak in leaks], "lift_without": blind}
    unlike = seed_profile.count_outliers(choice.found)
    return found | {
        "gain_of_doubling": doubling,
        "gain_of_splitting": splitting,
        "splitting_is_sure": sure,
        "unlike": unlike,
    }


def _of_taken(known: Examples) -> list[str]:
    if not known.taken:
        return []
    return [
        f"{known.taken:,} people of other lists are left out: the figures are of the ranks behind "
        "as many, as if they were the first; the curves are of the whole ranking"
    ]
