"""The expand command: match the seed, measure, choose, rank everybody, write the list with how good it is."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from lookalike import audience as audiences
from lookalike import diagnosis, embeddings, expansion, fitted, insights, leakage, lists, portrait, records, store
from lookalike.audience import Audience
from lookalike.embeddings import Representation
from lookalike.errors import ExpansionError, SettingsError
from lookalike.evaluation import Examples
from lookalike.expansion import Choice, People, Rows
from lookalike.linear import IN_RUN, Prior
from lookalike.portrait import Portrait
from lookalike.provenance import now, versions
from lookalike.settings import ExpandSettings
from lookalike.store import Cut
from lookalike.talk import Talk
from lookalike.workspace import Workspace, new_folder, read_json, sha256, write_json

Result = dict[str, Any]
# BLAS works on one thread: its own split a sum differently on another machine, and crawl when a core is taken. Where a
# second core helps, whole pieces of work are given to it.


def expand(
    workspace: Workspace, audience: Audience, settings: ExpandSettings, force: bool, talk: Talk, split: bool = False
) -> list[Result]:
    """Measures and ranks; writes each list with its evaluation, and gives a summary of each.

    With `split` there is one list for each sub-audience of the seed, else one. Where the verdict is against and `force`
    is not given, only the evaluation is written: `prospects` is None.
    """
    embeddings.current(workspace)  # nothing trained: said before the lock makes a file
    with workspace.locked(), threadpool_limits(1, "blas"):
        representation = embeddings.current(workspace)
        learnt = fitted.some(workspace, representation.manifest["run"], IN_RUN)
        prior = Prior(**learnt) if learnt else None
        read = _people(workspace, representation, audience, talk)
        space = _Space(workspace, representation, prior)
        parts = _parts(space, audience, read, settings) if split else [(audience, read)]
        for one, _ in parts:
            _check_name(workspace.audience(one.name), one)
        return [_expanded(space, one, part, settings, force, talk) for one, part in parts]


@dataclass(frozen=True)
class _Space:
    workspace: Workspace
    representation: Representation
    prior: Prior | None


def _parts(
    space: _Space, audience: Audience, read: "_Read", settings: ExpandSettings
) -> list[tuple[Audience, "_Read"]]:
    """The seed's sub-audiences as audiences of their own; nobody of the whole seed is listed in any."""
    seed = read.people.seed
    known = expansion.examples(space.representation, read.people, settings, space.prior)
    taught = expansion.draw(seed, settings.background, settings.random_seed)
    groups = _portrait(space.representation, known, settings).group_of
    if not groups.any():
        raise ExpansionError("the seed is one audience: no part of it stands apart", "leave --split out")
    parts = []
    for group in range(int(groups.max()) + 1):
        kept = taught[groups == group]
        at = np.searchsorted(seed, kept)
        value = None if read.people.value is None else read.people.value[at]
        moment = None if read.people.moment is None else read.people.moment[at]
        others = np.setdiff1d(seed, kept)
        people = replace(
            read.people, seed=kept, value=value, moment=moment, taken=np.union1d(read.people.taken, others)
        )
        facts = read.seed_facts | {"group": group + 1, "groups": int(groups.max()) + 1}
        one = replace(audience, name=f"{audience.name}-{group + 1}")
        parts.append((one, replace(read, people=people, seed_facts=facts, warnings=list(read.warnings))))
    return parts


def _expanded(
    space: _Space, audience: Audience, read: "_Read", settings: ExpandSettings, force: bool, talk: Talk
) -> Result:
    people, representation = read.people, space.representation
    asked = expansion.size_among(audience.size, representation.users - len(people.left_out))
    known = _examples(space, read, settings, talk)
    with talk.progress("measuring on held-out seeds", total=settings.repeats * settings.folds) as step:
        choice = expansion.decide(known, audience.scorer, asked, settings, step)
    found = records.evaluation_record(audience, settings, representation, known, choice)
    found["diagnosis"] = _diagnosed(representation, known, choice, settings, talk)
    said = diagnosis.findings(found["diagnosis"], known.seeds)
    if known.taken:
        said.append(
            f"{known.taken:,} people of other lists or parts of the seed are left out: the figures are of the ranks behind "
            "as many, as if they were the first; the curves are of the whole ranking"
        )
    for warning in said:
        read.warnings.append(warning)
        talk.note(f"warning: {warning}")
    used = {"used": known.seeds, "effective": expansion.effective(known.weight)}
    found |= {"created": now(), "seed": read.seed_facts | used}
    found |= {"suppression": read.suppression, "warnings": read.warnings}
    found["verdict"]["forced"] = force and not choice.verdict.expand
    ranked = None
    if choice.verdict.expand or force:
        ranked = _ranked(representation, known, choice, people.left_out, settings, talk)
        found |= _about_list(space.workspace, representation, ranked, people.suppressed, settings)
        found["tiers"] = records.tier_lifts(known, choice, found["tiers"], settings)
    folder = space.workspace.audience(audience.name)
    _write_expansion(folder, representation, audience, (found, read.inputs), ranked, talk)
    return records.expand_summary(found, folder, audience.format)


def _examples(space: _Space, read: "_Read", settings: ExpandSettings, talk: Talk) -> Examples:
    """What the scorers learn from; with moments, everybody as they were then."""
    representation, people = space.representation, read.people
    known = expansion.examples(representation, people, settings, space.prior)
    if people.moment is None:
        return known
    from lookalike import moments, runs  # torch, which a list of today's vectors does not need

    manifest = representation.manifest
    cut = Cut(datetime.fromisoformat(manifest["as_of"]), int(manifest.get("min_events", 1)))
    run = runs.load(space.workspace, manifest["run"])
    with (
        talk.progress("embedding people as they were"),
        store.opened_in(space.workspace) as opened,
        space.workspace.scratch() as scratch,
    ):
        known, new = moments.examples(opened, run, (representation, scratch, cut), people, known, settings)
    if new:
        warning = f"{new:,} seeds had done nothing before their moment: they teach nothing, and are not listed"
        read.warnings.append(warning)
        talk.note(f"warning: {warning}")
    return known


def _portrait(representation: Representation, known: Examples, settings: ExpandSettings) -> Portrait:
    names, first = representation.manifest["columns"]["aggregates"], representation.spans["aggregates"][0]
    return portrait.portrait(known, names, first, representation.columns("sequence"), settings.random_seed)


def _diagnosed(
    representation: Representation, known: Examples, choice: Choice, settings: ExpandSettings, talk: Talk
) -> Result:
    """What kind of people the seed is, and what nearly defines it."""
    names, first = representation.manifest["columns"]["aggregates"], representation.spans["aggregates"][0]
    with talk.progress("looking at the seed"):
        found = _portrait(representation, known, settings).as_dict()
        readable = known.space.columns(("aggregates",)) - first
        leaks = leakage.audit(known, names, first, readable) if known.seeds >= settings.min_cell else []
        dropped = np.array([representation.column(leak.column) for leak in leaks], np.int64)
        blind = leakage.lift_without(known, dropped, choice.share, settings) if leaks else None
        doubling = portrait.gain_of_doubling(known, choice.scorer, choice.share, settings, lambda done: None)
    return found | {"leaks": [asdict(leak) for leak in leaks], "lift_without": blind, "gain_of_doubling": doubling}


def _check_name(folder: Path, audience: Audience) -> None:
    """A list may only be replaced by another seed's when the name was meant: two clients' seed.csv share a default one."""
    if audience.named or not (folder / "manifest.json").exists():
        return
    made_from = read_json(folder / "manifest.json").get("inputs", [])
    if made_from and made_from[0].get("sha256") != sha256(audience.seed):
        raise SettingsError(
            f"audiences/{audience.name} holds the list of another seed",
            f"--name NAME, or --name {audience.name} to replace it",
        )


@dataclass(frozen=True)
class _Read:
    """The people, and what is to be said of the lists they came from."""

    people: People
    seed_facts: Result
    suppression: Result
    inputs: list[dict[str, str]]  # the seed's file first
    warnings: list[str]


def _people(workspace: Workspace, representation: Representation, audience: Audience, talk: Talk) -> _Read:
    given = lists.read_ids(audience.seed, with_values=True)
    suppress = _ids_of(audience.suppress)
    suppressed = embeddings.match(representation, lists.either_way(suppress))
    diagnosis.check_suppression(len(suppress), len(suppressed))
    seed, facts = diagnosis.match_seed(representation, given.ids.select("user_id"), suppressed, audience.seed)
    value = None
    if "value" in given.ids.columns:
        worth = given.ids.group_by("user_id").agg(pl.col("value").sum())
        value = embeddings.matched(representation, worth)["value"].to_numpy()
    moment = _moments(workspace, representation, audience, given.ids, seed)
    against = np.setdiff1d(embeddings.match(representation, _ids_of(audience.negative)), seed)
    files = (audience.seed, *audience.suppress, *audience.negative)
    inputs = [{"name": file.name, "sha256": sha256(file)} for file in files]
    warnings = diagnosis.warnings_of(facts, len(suppress), len(suppressed))
    warnings += diagnosis.negative_warnings(audience.negative, len(against))
    warnings += diagnosis.newer_files(workspace, representation)
    for warning in warnings:
        talk.note(f"warning: {warning}")
    suppression = {"given": len(suppress), "matched": len(suppressed)}
    said = facts.as_dict() | {"valued": value is not None, "negative": len(against), "as_they_were": moment is not None}
    dropped = diagnosis.droppable(representation, audience.drop_features)
    taken = _listed(workspace, representation, audience.disjoint_from)
    people = People(seed, suppressed, value, against, dropped, moment, audience.before, taken)
    return _Read(people, said, suppression, inputs, warnings)


def _moments(
    workspace: Workspace, representation: Representation, audience: Audience, ids: pl.DataFrame, seed: Rows
) -> Rows | None:
    """Up to when each seed is read; None where neither the file nor `--before` says. Who has no such event: up to now."""
    if audience.before is None and "ts" not in ids.columns:
        return None
    end = int(datetime.fromisoformat(representation.manifest["as_of"]).replace(tzinfo=UTC).timestamp()) + 1
    if audience.before is None:
        given = ids.group_by("user_id").agg(value=pl.col("ts").min())
    else:
        from lookalike import moments

        with store.opened_in(workspace) as opened:
            given = moments.of_event(opened, ids.select("user_id").unique(), audience.before).rename(
                {"moment": "value"}
            )
    found = embeddings.matched(representation, given)
    moment = np.full(len(seed), end, np.int64)
    moment[np.searchsorted(seed, found["row"].to_numpy())] = np.minimum(found["value"].to_numpy(), end)
    return moment


def _listed(workspace: Workspace, representation: Representation, names: tuple[str, ...]) -> Rows:
    """The rows of everybody in the lists of other audiences."""
    rows = [embeddings.match(representation, lists.read_prospects(workspace.audience(name))) for name in names]
    return np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.int64)


def _ids_of(files: tuple[Path, ...]) -> pl.DataFrame:
    read = [lists.read_ids(file).ids.select("user_id") for file in files]
    return pl.concat(read).unique() if read else pl.DataFrame({"user_id": []}, schema={"user_id": pl.String})


@dataclass(frozen=True)
class _List:
    """The ranked list with its ids and tiers."""

    rows: Rows
    frame: pl.DataFrame  # rank, user_id, score, tier


def _ranked(
    representation: Representation,
    known: Examples,
    choice: Choice,
    left_out: Rows,
    settings: ExpandSettings,
    talk: Talk,
) -> _List:
    score = expansion.fit(known, choice.scorer, settings)
    with talk.progress("ranking everybody", total=representation.users) as step:
        ranked = expansion.rank(representation, score, choice.size, left_out, step)
    frame = pl.DataFrame(
        {
            "rank": np.arange(1, len(ranked.rows) + 1),
            "user_id": embeddings.user_ids(representation, ranked.rows),
            "score": ranked.scores,
            "tier": expansion.tiers(len(ranked.rows), settings.tiers),
        }
    )
    return _List(ranked.rows, frame)


def _about_list(
    workspace: Workspace, representation: Representation, ranked: _List, suppressed: Rows, settings: ExpandSettings
) -> Result:
    """Looks up what a sample of the list and of everybody eligible did, and compares the two."""
    audience = expansion.draw(ranked.rows, settings.background, settings.random_seed)
    base = expansion.draw_background(representation.users, suppressed, settings.background, settings.random_seed)
    rows = np.union1d(audience, base)
    looked_at = pl.DataFrame(
        {
            "user_id": embeddings.user_ids(representation, rows),
            "audience": np.isin(rows, audience).astype(np.int8),
            "base": np.isin(rows, base).astype(np.int8),
        }
    )
    with store.opened(workspace.database, read_only=True) as opened:
        counts = store.what_users_did(opened, looked_at, Cut(datetime.fromisoformat(representation.manifest["as_of"])))
    return records.list_record(ranked.frame, counts, insights.Looked(len(audience), len(base)), settings.min_cell)


def _write_expansion(
    folder: Path,
    representation: Representation,
    audience: Audience,
    of: tuple[Result, list[dict[str, str]]],
    ranked: _List | None,
    talk: Talk,
) -> None:
    """Puts the folder in place whole. `of` is the record and the hashes of what it was made from."""
    found, inputs = of
    with new_folder(folder) as made:
        if ranked is not None:
            escaped = lists.write_prospects(ranked.frame, made / f"prospects.{audience.format}")
            if escaped:
                warning = (
                    f"{escaped:,} ids begin like a spreadsheet formula and stand in the CSV with ' before them; "
                    "--format parquet keeps every id as it is"
                )
                found["warnings"].append(warning)
                talk.note(f"warning: {warning}")
        write_json(made / "evaluation.json", found)
        outputs = {file.name: sha256(file) for file in sorted(made.iterdir())}
        source = found["representation"] | {"sha256": sha256(representation.folder / "manifest.json")}
        counted = ("universe", "candidates", "prospects", "seed", "suppression")
        manifest = {
            "name": audience.name,
            "created": found["created"],
            "audience": audiences.described(audience),
            "settings": found["settings"],
            "inputs": inputs,
            "representation": source,
            "counts": {key: found[key] for key in counted},
            "versions": versions(),
            "outputs": outputs,
        }
        write_json(made / "manifest.json", manifest)


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
