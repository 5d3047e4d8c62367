"""The commands as functions: read, call, write. Each takes an open workspace and gives back plain values to show."""

import importlib.metadata
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import lookalike
from lookalike import audience as audiences
from lookalike import diagnosis, embeddings, expansion, insights, lists, records, store
from lookalike.audience import Audience
from lookalike.embeddings import Representation
from lookalike.errors import ExpansionError, SettingsError, StateError
from lookalike.evaluation import Examples
from lookalike.expansion import Choice, Rows
from lookalike.ingest import IngestOptions
from lookalike.settings import ExpandSettings, TrainSettings
from lookalike.store import Cut, Store
from lookalike.talk import Talk
from lookalike.workspace import TEMPORARY, Workspace, new_folder, read_json, sha256, write_json, write_text

Result = dict[str, Any]
# BLAS works on one thread: its own split a sum differently on another machine, and crawl when a core is taken. Where a
# second core helps, whole pieces of work are given to it.


@contextmanager
def _opened(workspace: Workspace) -> Iterator[Store]:
    with store.opened(workspace.database, temporary=workspace.root / f"{TEMPORARY}duckdb") as opened:
        yield opened


@contextmanager
def _scratch(workspace: Workspace) -> Iterator[Path]:
    """A folder on the workspace's disk for arrays too large for memory."""
    with TemporaryDirectory(prefix=TEMPORARY, dir=workspace.root) as folder:
        yield Path(folder)


# --- ingest ----------------------------------------------------------------------------------------------------------


def ingest(workspace: Workspace, paths: list[Path], options: IngestOptions, talk: Talk) -> Result:
    from lookalike import ingest as reading

    with workspace.locked(), _opened(workspace) as opened:
        return reading.ingest(opened, paths, options, talk).as_dict()


def explain(paths: list[Path], options: IngestOptions) -> Result:
    from lookalike import ingest as reading

    return reading.explain(paths, options).as_dict()


# --- train -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainRequest:
    settings: TrainSettings
    as_of: datetime | None = None
    resume: bool = False
    device: str = "auto"


def train(workspace: Workspace, request: TrainRequest, talk: Talk) -> Result:
    """Fits an encoder, measures it on held-out days, and stores every user's vectors."""
    from lookalike import checkpoints, runs, sequences

    with workspace.locked(), threadpool_limits(1, "blas"), _scratch(workspace) as scratch:
        with _opened(workspace) as opened:
            cut = Cut(request.as_of or store.last_moment(opened), request.settings.min_events)
            with talk.progress("reading the log"):
                arrays, vocabulary = sequences.build(opened, cut, scratch)
        if arrays.users == 0:
            raise StateError("no user has an event before the cut", "a later --as-of, or lookalike ingest")
        fit, figures = _fit(workspace, arrays, vocabulary, request, talk)
        name = runs.next_name(workspace)
        trained = _trained(name, cut, fit, vocabulary, figures)
        runs.save(workspace, name, trained)
        version = _represent(workspace, fit, arrays, vocabulary, (scratch / "users.parquet", trained.manifest), talk)
        checkpoints.drop(workspace)
    return {"run": name, "version": version, **trained.manifest["counts"], **trained.metrics["figures"]}


def _fit(workspace: Workspace, arrays: Any, vocabulary: Any, request: TrainRequest, talk: Talk) -> tuple[Any, Result]:
    from lookalike import checkpoints, next_items, training
    from lookalike.encoders import ENCODERS

    if request.settings.encoder not in ENCODERS:
        raise SettingsError(f"no encoder is called {request.settings.encoder!r}", f"--encoder {'|'.join(ENCODERS)}")
    plan = training.plan(arrays, vocabulary, request.settings)
    fit = training.Fit(plan, vocabulary, training.device_for(request.device))
    fingerprint = {"settings": asdict(request.settings), "as_of": arrays.as_of, "events": int(arrays.offsets[-1])}
    if request.resume:
        checkpoints.resume(workspace, fit, fingerprint)
        talk.note(f"resuming after epoch {fit.progress.epoch}")
    elif checkpoints.exists(workspace):
        talk.note("an unfinished training is discarded; --resume would have gone on with it")
        checkpoints.drop(workspace)
    held = plan.held
    items = len(vocabulary.items)
    baselines = {
        "popularity": next_items.measure(held, next_items.popularity(plan.known, items)),
        "popularity_of_late": next_items.measure(held, next_items.popularity(plan.known, items, days=30)),
        "item_neighbours": next_items.measure(held, next_items.neighbours(plan.known, held, items)),
    }

    def on_epoch(progress: training.Progress, fit: training.Fit) -> None:
        last = progress.history[-1]
        talk.note(
            f"epoch {last.epoch}/{plan.epochs}: loss {last.loss:.3f}, held-out recall@20 {last.figures['recall@20']:.4f}, "
            f"NDCG@20 {last.figures['ndcg@20']:.4f}, {last.events_per_second:,.0f} events/s"
        )
        checkpoints.save(workspace, fit, fingerprint)

    with talk.progress("training", total=plan.epochs * max(1, len(plan.known["time"]))) as step:
        fit.run(on_epoch, step)
    best = fit.progress.history[fit.progress.best_epoch - 1].figures if fit.progress.best_epoch else {}
    return fit, {"held_out_users": len(held.users), "encoder": best, **baselines}


def _trained(name: str, cut: Cut, fit: Any, vocabulary: Any, figures: Result) -> Any:
    """The finished fit with all that is to be known of it."""
    from lookalike.runs import Trained
    from lookalike.training import item_vectors

    plan = fit.plan
    config = {
        "name": name,
        "sizes": asdict(fit.model.sizes),
        "settings": asdict(plan.settings),
        "window_days": plan.window,
        "versions": versions(),
    }
    counts = {
        "users": plan.known.users,
        "events": int(plan.events),
        "items": fit.model.sizes.items,
        "epochs": fit.progress.epoch,
        "best_epoch": fit.progress.best_epoch,
    }
    manifest = {
        "run": name,
        "created": _now(),
        "as_of": cut.as_of.isoformat(),
        "weights_saw_events_before": datetime.fromtimestamp(plan.known.as_of, UTC).replace(tzinfo=None).isoformat(),
        "counts": counts,
    }
    metrics = {"figures": figures, "history": [asdict(epoch) for epoch in fit.progress.history]}
    return Trained(fit.weights(), item_vectors(fit.model), vocabulary, config, metrics, manifest)


def _represent(
    workspace: Workspace, fit: Any, arrays: Any, vocabulary: Any, of: tuple[Path, Result], talk: Talk
) -> str:
    """Stores all blocks of all users; gives the version's name. `of` is who the rows are, and the run's manifest."""
    from lookalike import batches, features, training

    users, manifest = of

    settings: TrainSettings = fit.plan.settings
    with talk.progress("fitting content and aggregates"):
        sample = features.sample(arrays, settings.random_seed)
        content = features.fit_content(sample, vocabulary, settings.content_dim, settings.random_seed)
        aggregates = features.fit_aggregates(sample, vocabulary, settings.group_columns)
    latest = batches.latest(arrays, batches.window_starts(arrays, fit.plan.window), settings.length)

    def compute(first: int, last: int) -> dict[str, NDArray[np.float32]]:
        block = arrays.block(first, last)
        return {
            "sequence": training.user_vectors(fit.model, arrays, latest[np.arange(first, last)]),
            "content": content.transform(block),
            "aggregates": aggregates.transform(block),
        }

    facts = {
        "run": manifest["run"],
        "created": _now(),
        "as_of": manifest["as_of"],
        "min_events": settings.min_events,
        "blocks": {"sequence": settings.dim, "content": content.width, "aggregates": len(aggregates.names)},
        "columns": {"aggregates": aggregates.names},
    }
    with talk.progress("embedding users", total=arrays.users) as step:
        return embeddings.write(workspace, users, compute, facts, step)


# --- expand ----------------------------------------------------------------------------------------------------------


def expand(workspace: Workspace, audience: Audience, settings: ExpandSettings, force: bool, talk: Talk) -> Result:
    """Measures and ranks; writes the list with its evaluation. Raises ExpansionError after writing only the evaluation
    when the verdict is against and `force` is not given."""
    with workspace.locked(), threadpool_limits(1, "blas"):
        representation = embeddings.current(workspace)
        suppressed, suppression = _suppressed(representation, audience)
        seed, facts = diagnosis.match_seed(representation, lists.read_ids(audience.seed), suppressed, audience.seed)
        listed = np.union1d(seed, suppressed)
        if len(listed) >= representation.users:
            raise ExpansionError("seed and suppression leave nobody to rank", "suppress fewer users")
        asked = expansion.size_among(audience.size, representation.users - len(listed))
        known = expansion.examples(representation, seed, suppressed, settings)
        with talk.progress("measuring on held-out seeds", total=settings.repeats * settings.folds) as step:
            choice = expansion.decide(known, audience.scorer, asked, settings, step)
        listing = choice.verdict.expand or force
        ranked = _ranked(representation, known, choice, listed, settings, talk) if listing else None
        found = records.evaluation_record(audience, settings, representation, known, choice)
        found |= {"created": _now(), "seed": facts.as_dict() | {"used": known.seeds}, "suppression": suppression}
        found["verdict"]["forced"] = force and not choice.verdict.expand
        if ranked is not None:
            found |= _about_list(workspace, representation, ranked, suppressed, settings)
        _write_expansion(workspace, representation, audience, found, ranked, talk)
    if not listing:
        raise ExpansionError(
            f"do not expand: {'; '.join(choice.verdict.reasons)}",
            f"the figures are in {workspace.audience(audience.name) / 'evaluation.json'}; --force writes the list all the same",
        )
    return records.expand_summary(found, workspace.audience(audience.name), audience.format)


@dataclass(frozen=True)
class _List:
    """The ranked list with its ids and tiers."""

    rows: Rows
    frame: pl.DataFrame  # rank, user_id, score, tier


def _suppressed(representation: Representation, audience: Audience) -> tuple[Rows, Result]:
    if not audience.suppress:
        return np.zeros(0, np.int64), {"given": 0, "matched": 0}
    ids = pl.concat([lists.read_ids(file) for file in audience.suppress]).unique()
    rows = embeddings.match(representation, ids)
    return rows, {"given": len(ids), "matched": len(rows)}


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
    with _opened(workspace) as opened:
        counts = store.what_users_did(opened, looked_at, Cut(datetime.fromisoformat(representation.manifest["as_of"])))
    return records.list_record(ranked.frame, counts, insights.Looked(len(audience), len(base)), settings.min_cell)


def _write_expansion(
    workspace: Workspace,
    representation: Representation,
    audience: Audience,
    found: Result,
    ranked: _List | None,
    talk: Talk,
) -> None:
    with new_folder(workspace.audience(audience.name)) as folder:
        if ranked is not None:
            escaped = lists.write_prospects(ranked.frame, folder / f"prospects.{audience.format}")
            if escaped:
                warning = (
                    f"{escaped:,} ids begin like a spreadsheet formula and stand in the CSV with ' before them; "
                    "--format parquet keeps every id as it is"
                )
                found["warnings"].append(warning)
                talk.note(f"warning: {warning}")
        write_json(folder / "evaluation.json", found)
        inputs = {file.name: sha256(file) for file in (audience.seed, *audience.suppress)}
        outputs = {file.name: sha256(file) for file in sorted(folder.iterdir())}
        write_json(
            folder / "manifest.json",
            {
                "name": audience.name,
                "created": found["created"],
                "audience": audiences.described(audience),
                "settings": found["settings"],
                "inputs": inputs,
                "representation": {
                    **found["representation"],
                    "sha256": sha256(representation.folder / "manifest.json"),
                },
                "counts": {key: found[key] for key in ("universe", "candidates", "prospects", "seed", "suppression")},
                "versions": versions(),
                "outputs": outputs,
            },
        )


# --- report, status --------------------------------------------------------------------------------------------------


def report(workspace: Workspace, name: str | None) -> tuple[Result, Path]:
    """Writes the page of one expansion, the newest unless named; gives its evaluation and where the page is."""
    from lookalike.report import page

    chosen = name or _newest(workspace)
    folder = workspace.audience(chosen)
    if not (folder / "evaluation.json").exists():
        known = ", ".join(row["name"] for row in _expansions(workspace)) or "none"
        raise StateError(f"no expansion is called {chosen!r}", f"known: {known}")
    found = read_json(folder / "evaluation.json")
    write_text(folder / "report.html", page(found))
    return found, folder / "report.html"


def _newest(workspace: Workspace) -> str:
    made = _expansions(workspace)
    if not made:
        raise StateError("nothing was expanded in this workspace", "lookalike expand --seed seed.csv --size 5%")
    return str(max(made, key=lambda row: row["created"])["name"])


def _expansions(workspace: Workspace) -> list[Result]:
    manifests = sorted(workspace.audiences.glob("*/manifest.json"))
    made = [read_json(path) for path in manifests if not path.parent.name.startswith(".")]
    return [{"name": m["name"], "created": m["created"], "prospects": m["counts"]["prospects"]} for m in made]


def status(workspace: Workspace) -> Result:
    """What the workspace holds, and the next command."""
    log: Result = {"events": 0}
    if workspace.database.exists():
        with store.opened(workspace.database, read_only=True) as opened:  # no lock: a training may be under way
            log = store.summary(opened)
    live = embeddings.current(workspace).manifest if (workspace.embeddings / "CURRENT").exists() else None
    represented = live and {key: live[key] for key in ("run", "created", "as_of", "users", "blocks")}
    made = _expansions(workspace)
    following = (
        "report"
        if made
        else "expand --seed seed.csv --size 5%"
        if live
        else "train"
        if log["events"]
        else "ingest FILES"
    )
    return {
        "workspace": str(workspace.root),
        "log": log,
        "runs": [_run_row(read_json(path)) for path in sorted(workspace.runs.glob("r*/manifest.json"))],
        "representation": represented,
        "expansions": made,
        "next": f"lookalike {following}",
    }


def _run_row(manifest: Result) -> Result:
    return {key: manifest[key] for key in ("run", "created", "as_of")}


def versions() -> dict[str, str]:
    named = ("duckdb", "faiss-cpu", "numpy", "polars", "pyarrow", "scikit-learn", "scipy", "torch")
    libraries = {name: importlib.metadata.version(name) for name in named}
    return {"lookalike": lookalike.__version__, "python": platform.python_version(), **libraries}


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"
