"""The expand command: match the seed, measure, choose, rank everybody, write the list with how good it is."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from lookalike import (
    diagnosis,
    embeddings,
    expansion,
    fitted,
    leakage,
    listing,
    lists,
    portrait,
    records,
    seeding,
    store,
)
from lookalike.audience import Audience
from lookalike.embeddings import Representation
from lookalike.engine import Engine
from lookalike.errors import ExpansionError, SettingsError
from lookalike.evaluation import Examples
from lookalike.expansion import Choice, Rows
from lookalike.linear import IN_RUN, Prior
from lookalike.listing import Listed, Place
from lookalike.portrait import Portrait
from lookalike.provenance import now
from lookalike.scan import Wanted
from lookalike.seeding import Read
from lookalike.settings import ExpandSettings
from lookalike.store import Cut
from lookalike.talk import Talk
from lookalike.verdicts import Verdict
from lookalike.workspace import Workspace, read_json, sha256

if TYPE_CHECKING:
    from lookalike.moments import Past

Result = dict[str, Any]
# BLAS works on one thread: its own split a sum differently on another machine, and crawl when a core is taken. Where a
# second core helps, whole pieces of work are given to it.


@dataclass(frozen=True)
class How:
    """What was asked for besides the audience itself."""

    force: bool = False  # write the list against the verdict
    split: bool = False  # a list for each sub-audience of the seed, together as long as was asked for
    backtest: bool = False  # refuse where none can be made
    engine: Engine | None = None  # what ranks the shards; this process if not given


def expand(workspace: Workspace, asked: list[Audience], settings: ExpandSettings, how: How, talk: Talk) -> list[Result]:
    """Measures every audience, ranks for all of them in one pass, writes each list with its evaluation; gives summaries.

    With `split` there is one list for each sub-audience of a seed, else one. Where the verdict is against and `force` is
    not given, or the seed is too small to make a list of, only the evaluation is written: `prospects` is None.
    """
    embeddings.current(workspace)  # nothing trained: said before the lock makes a file
    with workspace.locked(), threadpool_limits(1, "blas"):
        representation = embeddings.current(workspace)
        learnt = fitted.some(workspace, representation.manifest["run"], IN_RUN)
        space = _Space(
            Place(workspace, representation, settings, talk, how.engine), Prior(**learnt) if learnt else None, how
        )
        parts = [part for audience in asked for part in _read(space, audience)]
        _check_names(workspace, [audience for audience, _ in parts])
        measured = [_measured(space, audience, read) for audience, read in parts]
        listed = iter(listing.ranked(space.place, [one.wanted for one in measured if one.wanted]))
        return [_written(space.place, one, next(listed) if one.wanted else None) for one in measured]


@dataclass(frozen=True)
class _Space:
    place: Place
    prior: Prior | None
    how: How


def _read(space: _Space, audience: Audience) -> list[tuple[Audience, Read]]:
    """Everybody an audience is made of; with `split` an audience for each part of its seed."""
    place = space.place
    read = seeding.people(place.workspace, place.representation, audience, place.talk, space.how.force)
    if space.how.backtest and read.people.moment is None:
        raise SettingsError("--backtest needs to know when people became seeds", "a column ts, or --before TYPE")
    return _parts(space, audience, read) if space.how.split else [(audience, read)]


def _parts(space: _Space, audience: Audience, read: Read) -> list[tuple[Audience, Read]]:
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


def _part(audience: Audience, read: Read, kept: Rows, which: tuple[int, int, int]) -> tuple[Audience, Read]:
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


def _check_names(workspace: Workspace, asked: list[Audience]) -> None:
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


def _check_name(workspace: Workspace, audience: Audience) -> None:
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
    read: Read
    known: Examples  # without the background's columns, which only the fit has need of
    choice: Choice
    seen: Portrait
    found: Result
    wanted: Wanted | None  # None where no list is to be made


def _measured(space: _Space, audience: Audience, read: Read) -> _Measured:
    """What is known of a list before it is made, and the fitted scorer that makes it."""
    place, settings = space.place, space.place.settings
    asked = expansion.size_among(audience.size, place.representation.users - len(read.people.left_out))
    with _past(space, read) as past:
        known = _examples(space, past, read)
        seen = _portrait(place, known)
        if audience.balance:
            known = _balanced(known, seen, read, place.talk)
        with place.talk.progress("measuring on held-out seeds", total=settings.repeats * settings.folds) as step:
            choice = expansion.decide(known, audience.scorer, asked, settings, step)
        tested = _backtest(past, read, known, choice, space)
    looked = _diagnosed(place, known, seen, choice)
    choice = replace(choice, verdict=_amended(choice.verdict, looked, seen))
    found = records.evaluation_record(audience, settings, place.representation, known, choice)
    found |= {"diagnosis": looked, "backtest": tested, "created": now(), "suppression": read.suppression}
    found |= {"seed": read.seed_facts | {"used": known.seeds, "effective": expansion.effective(known.weight)}}
    read.warn(diagnosis.findings(looked, known.seeds) + _of_taken(known), place.talk)
    wanted = None
    if (choice.verdict.expand or space.how.force) and known.seeds >= diagnosis.FEWEST:
        score = expansion.fit(known, choice.scorer, settings)
        wanted = Wanted(score, choice.size, read.people.left_out)
    found["verdict"]["forced"] = wanted is not None and not choice.verdict.expand
    found["balanced"] = known.group is not None
    return _Measured(audience, read, replace(known, background=known.background[:0]), choice, seen, found, wanted)


def _amended(verdict: Verdict, looked: Result, seen: Portrait) -> Verdict:
    """The verdict with what the look at the seed adds to it."""
    if looked["leaks"]:
        verdict = replace(verdict, careful=(*verdict.careful, diagnosis.careful(looked)))
    if verdict.expand and looked["splitting_is_sure"]:
        verdict = replace(verdict, parts=len(seen.groups))
    return verdict


def _written(place: Place, measured: _Measured, made: Listed | None) -> Result:
    """Writes the list with all that is known of it; gives the summary."""
    audience, read, found = measured.audience, measured.read, measured.found
    if made is not None:
        found |= listing.about(place, made, read.people.suppressed)
        found["tiers"] = records.tier_lifts(measured.known, measured.choice, found["tiers"], place.settings)
        found["shares"] = listing.shares(place, made, measured.known, measured.seen)
        read.warn(diagnosis.of_shares(found["shares"]), place.talk)
        if audience.reasons:
            made, found["reasons"] = listing.with_reasons(place, made, measured.known, read.people)
    found |= {"warnings": read.warnings}
    folder = listing.write(place, audience, found, read.inputs, made)
    return records.expand_summary(found, folder, audience.format)


def refused(done: Result) -> ExpansionError:
    """What is said when no list was written, from its summary."""
    small = done["used"] < diagnosis.FEWEST
    written = (
        f"no list is made of fewer than {diagnosis.FEWEST} seeds" if small else "no list was written; --force writes it"
    )
    return ExpansionError(
        f"do not expand: {'; '.join(done['against'])}", f"{written}; lookalike report {done['name']} shows the figures"
    )


# --- what is known before --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _past(space: _Space, read: Read) -> "Iterator[Past | None]":
    """What it takes to embed people as they were, where the seed has moments."""
    if read.people.moment is None:
        yield None
        return
    from lookalike import runs  # torch, which a list of today's vectors does not need
    from lookalike.moments import Past

    workspace, representation = space.place.workspace, space.place.representation
    manifest = representation.manifest
    cut = Cut(datetime.fromisoformat(manifest["as_of"]), int(manifest.get("min_events", 1)))
    run = runs.load(workspace, manifest["run"])
    with store.opened_in(workspace) as opened, workspace.scratch() as scratch:
        yield Past(opened, run, representation, scratch, cut)


def _examples(space: _Space, past: "Past | None", read: Read) -> Examples:
    """What the scorers learn from; with moments, everybody as they were then."""
    place = space.place
    known = expansion.examples(place.representation, read.people, place.settings, space.prior)
    if past is None:
        return known
    from lookalike import moments

    with place.talk.progress("embedding people as they were"):
        known, new = moments.examples(past, read.people, known, place.settings)
    if new:
        warning = f"{new:,} seeds had done nothing before their moment: they teach nothing, and are not listed"
        read.warn([warning], place.talk)
    return known


def _balanced(known: Examples, seen: Portrait, read: Read, talk: Talk) -> Examples:
    """With the seed's sub-audiences, whose shares the list is then to keep."""
    if read.people.dropped:
        raise SettingsError("--balance reads the user embedding, which --drop-features takes away", "leave one out")
    if not seen.groups:
        read.warn(["the seed is one audience: there is nothing to balance"], talk)
        return known
    return replace(known, group=seen.group_of)


def _backtest(past: "Past | None", read: Read, known: Examples, choice: Choice, space: _Space) -> Result | None:
    """How the list of an earlier moment would have done; None where the seed has no moments or too few."""
    if past is None:
        return None
    from lookalike import backtest

    settings = space.place.settings
    try:
        with space.place.talk.progress("testing on the seeds that came last"):
            found = backtest.run(past, read.people, known, choice.scorer, settings)
    except ExpansionError:
        if space.how.backtest:
            raise
        return None  # nobody asked for it
    return backtest.record(found, choice.scorer, choice.share, settings.confidence)


def _portrait(place: Place, known: Examples) -> Portrait:
    names, first = _aggregates(place.representation)
    vectors = place.representation.columns("sequence")
    return portrait.portrait(known, names, first, vectors, place.settings.random_seed)


def _aggregates(representation: Representation) -> tuple[list[str], int]:
    """The names of the plain columns, and where they begin."""
    return representation.manifest["columns"]["aggregates"], representation.spans["aggregates"][0]


def _diagnosed(place: Place, known: Examples, seen: Portrait, choice: Choice) -> Result:
    """What kind of people the seed is, and what nearly defines it."""
    settings, (names, first) = place.settings, _aggregates(place.representation)
    with place.talk.progress("looking at the seed"):
        readable = known.space.columns(("aggregates",)) - first
        leaks = leakage.audit(known, names, first, readable) if known.seeds >= settings.min_cell else []
        dropped = np.array([place.representation.column(leak.column) for leak in leaks], np.int64)
        blind = leakage.lift_without(known, dropped, choice.share, settings) if leaks else None
        doubling = portrait.gain_of_doubling(known, choice.scorer, choice.share, settings, lambda done: None)
        splitting, sure = None, False
        if seen.groups and known.group is None:
            splitting, sure = portrait.gain_of_splitting(known, seen.group_of, choice.scorer, choice.share, settings)
    found = seen.as_dict() | {"leaks": [asdict(leak) for leak in leaks], "lift_without": blind}
    unlike = portrait.unlike(choice.found)
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


# --- overlap ---------------------------------------------------------------------------------------------------------


def overlap(workspace: Workspace, names: list[str]) -> Result:
    """How many people two lists share, for each pair, and how many are in so many of them."""
    read = {name: lists.read_prospects(workspace.audience(name)) for name in names}
    pairs = [
        {"first": one, "second": other, "both": len(read[one].join(read[other], on="user_id", how="semi"))}
        for at, one in enumerate(names)
        for other in names[at + 1 :]
    ]
    every = pl.concat(list(read.values())).group_by("user_id").len()["len"]
    lists_of = [{"lists": count, "people": int((every == count).sum())} for count in range(1, len(names) + 1)]
    return {"sizes": {name: len(ids) for name, ids in read.items()}, "pairs": pairs, "in": lists_of}
