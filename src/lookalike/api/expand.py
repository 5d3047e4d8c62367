"""The verb `expand`: read the seed, measure, decide, rank all users, write the list with its evaluation."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from lookalike.api.locking import locked
from lookalike.data import database, id_lists
from lookalike.embeddings.representation import live_version
from lookalike.encoder.run_arrays import load_run_arrays
from lookalike.errors import SettingsError, StateError
from lookalike.expansion.audience import Audience, seed_name, seed_sha256
from lookalike.expansion.context import ExpansionContext
from lookalike.expansion.earlier_list import check_replacement
from lookalike.expansion.evaluation import Written, write_expansion
from lookalike.expansion.list_change import ListChange
from lookalike.expansion.manifest import ExpansionManifest
from lookalike.expansion.measurement import measure, split_by_sub_audience
from lookalike.expansion.messages import ExpansionWarning
from lookalike.expansion.prospects import rank_prospects
from lookalike.expansion.result import Band, Evaluation, Verdict
from lookalike.expansion.scorers.logistic import PRIOR_PREFIX, Prior
from lookalike.expansion.seed import SeedInput
from lookalike.expansion.seed_reader import read_seed
from lookalike.expansion.summary import BacktestSummary, ExpandSummary
from lookalike.workspace.executor import Executor
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import Progress
from lookalike.workspace.records import Record
from lookalike.workspace.settings import ExpandSettings

if TYPE_CHECKING:
    import polars as pl

    from lookalike.api.report import Report


class ExpandResult(Record):
    """One expansion: the verdict, the held-out lift, and the ranked list.

    >>> result = ws.expand(seed="fans.csv", size=20)
    >>> result.verdict.expand
    True
    >>> len(result.prospects)
    20
    """

    folder: Path
    evaluation: Evaluation
    prospects_file: Path | None
    reasons_file: Path | None
    hashes: dict[str, str]  # SHA-256 of every file of the folder, as it was written
    change: ListChange | None = None  # what differs from the list before it, if there was another

    @property
    def name(self) -> str:
        return self.evaluation.name

    @property
    def verdict(self) -> Verdict:
        """Whether to expand, with the checks that decided it."""
        return self.evaluation.verdict

    @property
    def lift(self) -> Band:
        """The lift to expect at the requested size, with its confidence band."""
        return self.evaluation.promise

    @property
    def warnings(self) -> tuple[ExpansionWarning, ...]:
        """What to know before trusting the list, as data."""
        return self.evaluation.warnings

    @property
    def prospects(self) -> "pl.DataFrame | None":
        """The list: rank, user_id, score, tier. None if none was written. Raises StateError if another replaced it."""
        return self._read(self.prospects_file)

    @property
    def reasons(self) -> "pl.DataFrame | None":
        """Why each prospect is listed: rank, user_id, cluster, shared. None without explanations."""
        return self._read(self.reasons_file)

    def _read(self, file: Path | None) -> "pl.DataFrame | None":
        if file is None:
            return None
        manifest = ExpansionManifest.read(self.folder / "manifest.json")
        if manifest.outputs.get(file.name) != self.hashes[file.name]:
            raise StateError(f"{self.folder}: was expanded again since", f"lookalike report {self.name}")
        return id_lists.read_list(file)

    def report(self) -> "Report":
        """The lift report, which shows itself in a notebook and can be saved."""
        from lookalike.api.report import Report

        return Report(evaluation=self.evaluation)

    def summary(self) -> ExpandSummary:
        """What `lookalike expand --json` prints."""
        evaluation, held, promise = self.evaluation, self.evaluation.held_out, self.evaluation.promise
        return ExpandSummary(
            name=evaluation.name,
            scorer=evaluation.scorer,
            verdict=evaluation.verdict.decision,
            checks=evaluation.verdict.checks,
            up_to=evaluation.verdict.up_to,
            parts=evaluation.verdict.parts,
            size=evaluation.size,
            candidates=evaluation.candidates,
            matched=evaluation.seed.matched,
            match_rate=evaluation.seed.match_rate,
            used=evaluation.seed.used,
            suppression=evaluation.suppression,
            lift=promise.value,
            lift_low=promise.low,
            lift_high=promise.high,
            activity_lift=held.activity_lift,
            rule=evaluation.rule,
            where=evaluation.where,
            forecast=evaluation.forecast,
            backtest=_backtest_summary(evaluation),
            warnings=evaluation.warnings,
            change=self.change,
            prospects=None if self.prospects_file is None else str(self.prospects_file),
            reasons=None if self.reasons_file is None else str(self.reasons_file),
            evaluation=str(self.folder / "evaluation.json"),
        )


def _backtest_summary(evaluation: Evaluation) -> BacktestSummary | None:
    if evaluation.backtest is None:
        return None
    lifts = evaluation.backtest.lifts
    ours, plain = lifts[evaluation.scorer], lifts["plain"]
    return BacktestSummary(
        cut=evaluation.backtest.cut, lift=ours.lift, low=ours.low, high=ours.high, plain_lift=plain.lift
    )


@dataclass(frozen=True)
class ExpandRequest:
    """The audiences to expand, and how."""

    audiences: list[Audience]
    split: bool = False  # a list for each sub-audience of a seed, together as long as was requested
    backtest: bool = False  # raise if no backtest can be made
    force: bool = False  # write a list against the verdict; measure seeds too small for a list
    replace: bool = False  # put a list in the place of one that has much that it lacks
    executor: Executor | None = None  # ranks the shards; this process if None


def expand(
    folder: WorkspaceFolder, request: ExpandRequest, settings: ExpandSettings, progress: Progress
) -> list[ExpandResult]:
    """Measures every audience, ranks for all of them in one pass, and writes each list with its evaluation.

    Where the verdict is against it and `force` is not set, or the seed is too small, only the evaluation is written.
    """
    representation = live_version(folder)  # raises before the lock creates a file
    # BLAS gets one thread: several would split sums differently on another machine, and slow down when a core is busy
    with (
        locked(folder, progress),
        threadpool_limits(1, "blas"),
        database.open_in(folder, read_only=True) as db,
        folder.scratch() as scratch,
    ):
        prior = load_run_arrays(folder, representation.manifest.run, PRIOR_PREFIX)
        context = ExpansionContext(
            folder=folder,
            database=db,
            representation=representation,
            prior=Prior.of(prior),
            settings=settings,
            progress=progress,
            scratch=scratch,
            executor=request.executor,
        )
        inputs = [pair for audience in request.audiences for pair in _read(context, audience, request)]
        _check_names(folder, [audience for audience, _ in inputs])
        for audience, seed_input in inputs if not request.replace else ():
            check_replacement(folder.audience(audience.name), audience, seed_input)
        measurements = [
            measure(context, audience, seed_input, force=request.force, insist_on_backtest=request.backtest)
            for audience, seed_input in inputs
        ]
        lists = iter(rank_prospects(context, [each.request for each in measurements if each.request]))
        return [
            _result(each.audience, write_expansion(context, each, next(lists) if each.request else None))
            for each in measurements
        ]


def _read(context: ExpansionContext, audience: Audience, request: ExpandRequest) -> list[tuple[Audience, SeedInput]]:
    """The audience with its seed; with `split` an audience for each sub-audience."""
    seed_input = read_seed(context, audience, request.force)
    if request.backtest and seed_input.seed.moment is None:
        raise SettingsError("--backtest needs to know when people became seeds", "a column ts, or --before TYPE")
    return (
        split_by_sub_audience(context, audience, seed_input, request.force)
        if request.split
        else [(audience, seed_input)]
    )


def _result(audience: Audience, made: Written) -> ExpandResult:
    written = made.evaluation.prospect_list is not None
    return ExpandResult(
        folder=made.folder,
        evaluation=made.evaluation,
        prospects_file=made.folder / f"prospects.{audience.format}" if written else None,
        reasons_file=made.folder / f"reasons.{audience.format}" if written and audience.reasons else None,
        hashes=made.manifest.outputs,
        change=made.change,
    )


def _check_names(folder: WorkspaceFolder, audiences: list[Audience]) -> None:
    """Raises SettingsError when two audiences share a name, or one would replace the list of another seed."""
    names = Counter(audience.name for audience in audiences)
    if repeated := sorted(name for name, times in names.items() if times > 1):
        raise SettingsError(f"two audiences are called {repeated[0]}", "give each definition a name of its own")
    for audience in audiences:
        if being_made := sorted({*audience.disjoint_from} & {*names}):
            raise SettingsError(
                f"{audience.name} is to be kept apart from {being_made[0]}, which is being made in the same command",
                f"lookalike expand {being_made[0]}.toml first",
            )
        _check_replaceable(folder, audience)


def _check_replaceable(folder: WorkspaceFolder, audience: Audience) -> None:
    """Two clients' seed.csv share a default name: only a name that was given may replace the list of another seed.

    A definition may replace its own list whatever its seed's file holds by now.
    """
    manifest = folder.audience(audience.name) / "manifest.json"
    if audience.named or not manifest.exists():
        return
    replaced = ExpansionManifest.read(manifest, f"--name {audience.name} replaces and keeps it").inputs[0]
    own = audience.defined and replaced.name == seed_name(audience.seed)
    if not own and replaced.sha256 != seed_sha256(audience.seed):
        raise SettingsError(
            f"audiences/{audience.name} holds the list of another seed",
            f"--name NAME, or --name {audience.name} to replace it",
        )
