"""The workspace handle: what `lookalike.open` gives, with a method for each command."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack

from lookalike.api.arguments import Columns, PathLike, Paths, column_pairs, paths_of, several, utc
from lookalike.api.expand_options import ExpandOptions, audience_flags, check_options
from lookalike.errors import SettingsError, StateError, system_errors
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import CallbackProgress, Progress, ProgressEvent, QuietProgress
from lookalike.workspace.settings import Settings, load_settings, with_flags

if TYPE_CHECKING:
    from lookalike.api.expand import ExpandResult
    from lookalike.api.id_sources import Ids
    from lookalike.api.report import Report
    from lookalike.api.status import NextStep, StatusResult
    from lookalike.api.verify import VerifyResult
    from lookalike.campaigns.overlap import OverlapResult
    from lookalike.data.ingest.options import IngestOptions
    from lookalike.data.ingest.results import IngestPreview, IngestResult, RemoveResult
    from lookalike.data.standing_lists import SuppressAdded, SuppressLists, SuppressRemoved
    from lookalike.encoder.results import EmbedResult, SessionsResult, TrainResult
    from lookalike.workspace.executor import Executor

ENGINES = ("local", "ray")


class Workspace:
    """A folder with a client's data, and the commands as methods. Arguments are named like the command's flags.

    >>> ws = la.open("client/")
    >>> ws.status().next_step
    'report'
    """

    def __init__(
        self, folder: WorkspaceFolder, progress: Progress | None = None, executor: "Executor | None" = None
    ) -> None:
        self._folder = folder
        self._progress = progress or QuietProgress()
        self._executor = executor
        self._closed = False

    # --- the handle ---------------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.root

    @property
    def folder(self) -> WorkspaceFolder:
        """The paths inside the folder. Raises StateError after `close`."""
        if self._closed:
            raise StateError(f"{self._folder.root}: the workspace was closed", "open it again")
        return self._folder

    @property
    def settings(self) -> Settings:
        """The settings of `lookalike.toml`, read anew."""
        return load_settings(self.folder.settings)

    def close(self) -> None:
        """Ends the use of this handle; nothing stays open between calls."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Workspace({str(self._folder.root)!r})"

    # --- the commands -------------------------------------------------------------------------------------------------

    @system_errors()
    def ingest(
        self,
        paths: Paths,
        *,
        items: PathLike | None = None,
        users: PathLike | None = None,
        map: Columns | None = None,
        context: str | Iterable[str] | None = None,
        timezone: str | None = None,
        again: bool = False,
    ) -> "IngestResult":
        """Reads event logs: files, folders or globs. Files that were read before are skipped, repeated events dropped.

        With `again`, what files brought that were read before is removed and they are read anew, each in one transaction.

        >>> ws.ingest("events.parquet").totals.users
        300
        """
        from lookalike.api.ingest import ingest

        options = replace(self._ingest_options(items, users, map, context, timezone), again=again)
        return ingest(self.folder, paths_of("paths", paths), options, self._progress)

    @system_errors()
    def remove_file(self, what: PathLike, *, dry_run: bool = False) -> "RemoveResult":
        """Takes out of the log what one file brought: by its name as it was ingested, its path, or the start of its hash.

        >>> ws.remove_file("events.parquet", dry_run=True).removed[0].added
        3807
        """
        from lookalike.api.remove_file import remove_file

        return remove_file(self.folder, str(what), dry_run)

    @system_errors()
    def preview(
        self,
        paths: Paths,
        *,
        items: PathLike | None = None,
        users: PathLike | None = None,
        map: Columns | None = None,
        context: str | Iterable[str] | None = None,
        timezone: str | None = None,
    ) -> "IngestPreview":
        """How files would be read, with their first rows; writes nothing (the command's --dry-run).

        >>> ws.preview("events.parquet").files[0].mapping["user_id"]
        'user_id'
        """
        from lookalike.api.ingest import preview

        return preview(paths_of("paths", paths), self._ingest_options(items, users, map, context, timezone))

    @system_errors()
    def train(
        self,
        *,
        encoder: str | None = None,
        objective: str | None = None,
        dim: int | None = None,
        window: int | None = None,
        epochs: int | None = None,
        as_of: datetime | None = None,
        from_run: str | None = None,
        resume: bool = False,
        device: str = "auto",
        random_seed: int | None = None,
    ) -> "TrainResult | None":
        """Fits a user encoder, measures it on held-out days, and stores every user's vectors.

        `window` is in days. Gives None in the helper processes of torchrun.

        >>> ws.train(encoder="mean", dim=16, epochs=1).run
        'r000002'
        """
        from lookalike.api.train import TrainRequest, train

        settings = with_flags(
            self.settings.train,
            encoder=encoder,
            objective=objective,
            dim=dim,
            window_days=window,
            epochs=epochs,
            random_seed=random_seed,
        )
        request = TrainRequest(settings, utc(as_of), resume, device, from_run, self._executor)
        return train(self.folder, request, self._progress)

    @system_errors()
    def embed(
        self, *, run: str | None = None, as_of: datetime | None = None, full: bool = False, device: str = "auto"
    ) -> "EmbedResult":
        """Refreshes the stored vectors of users whose events changed.

        >>> ws.embed(full=True).refreshed
        300
        """
        from lookalike.api.embed import EmbedRequest, embed

        return embed(self.folder, EmbedRequest(run, utc(as_of), full, device, self._executor), self._progress)

    @system_errors()
    def embed_sessions(
        self, paths: Paths, *, run: str | None = None, map: Columns | None = None, device: str = "auto"
    ) -> "SessionsResult":
        """Vectors of anonymous sessions, as a Parquet file (the command's embed --sessions)."""
        from lookalike.api.embed_sessions import SessionsRequest, embed_sessions

        options = self._ingest_options(None, None, map, None, None)
        return embed_sessions(
            self.folder, SessionsRequest(paths_of("paths", paths), run, options, device), self._progress
        )

    @system_errors()
    def expand(
        self,
        seed: "Ids | None" = None,
        size: str | int | None = None,
        *,
        definition: PathLike | None = None,
        **options: Unpack[ExpandOptions],
    ) -> "ExpandResult":
        """Ranks all users by similarity to a seed and writes the list, with how good it is on held-out people.

        `seed` is a path, a list of ids, or a frame with a column `user_id` (and `value`, `ts`); `size` a count, a share
        such as "5%", or "auto". See `ExpandOptions` for the options. If the verdict is against it, no list is written.

        >>> ws.expand(seed="fans.csv", size="5%", suppress="customers.csv").prospects.columns
        ['rank', 'user_id', 'score', 'tier']
        """
        check_options("expand", options)
        return self.expand_all(definition, seed=seed, size=size, **options)[0]

    @system_errors()
    def expand_all(
        self,
        definitions: Paths | None = None,
        *,
        seed: "Ids | None" = None,
        size: str | int | None = None,
        split: bool = False,
        **options: Unpack[ExpandOptions],
    ) -> "list[ExpandResult]":
        """Several definitions in one pass over all users, or with `split` one list for each sub-audience of a seed."""
        from lookalike.api.expand import ExpandRequest, expand
        from lookalike.expansion.audience import requested_audiences

        check_options("expand_all", options)
        audiences = requested_audiences(paths_of("definitions", definitions), audience_flags(seed, size, options))
        settings = with_flags(self.settings.expand, min_lift=options.get("min_lift"))
        request = ExpandRequest(
            audiences,
            split=split,
            backtest=options.get("backtest", False),
            force=options.get("force", False),
            replace=options.get("replace", False),
            executor=self._executor,
        )
        return expand(self.folder, request, settings, self._progress)

    @system_errors()
    def suppress_add(
        self,
        ids: "Ids",
        *,
        reason: str = "optout",
        until: date | None = None,
        allow_unmatched: str | None = None,
    ) -> "SuppressAdded":
        """Adds a list of ids to the standing list: nobody on it is listed in any later expansion, up to and with `until`.

        `reason` is optout, customer or campaign:NAME. Raises DataError when more than 5 % of the ids are nobody's in the
        log, or any of fewer than 20, unless `allow_unmatched` says how many may be.
        """
        from lookalike.api.id_sources import id_source
        from lookalike.api.suppress import SuppressRequest, suppress_add
        from lookalike.expansion.audience import parse_share

        source = id_source(ids, "the suppression list")
        request = SuppressRequest(source, reason, until, parse_share(allow_unmatched))
        return suppress_add(self.folder, request, self._progress)

    @system_errors()
    def suppress_list(self) -> "SuppressLists":
        """The lists that make up the standing list, without their ids."""
        from lookalike.api.suppress import suppress_list

        return suppress_list(self.folder)

    @system_errors()
    def suppress_remove(self, what: "int | Ids") -> "SuppressRemoved":
        """Removes a list by its number, or single ids, as they are written, from all lists."""
        from lookalike.api.id_sources import id_source
        from lookalike.api.suppress import suppress_remove

        return suppress_remove(self.folder, what if isinstance(what, int) else id_source(what, "the ids to remove"))

    @system_errors()
    def overlap(self, *names: str) -> "OverlapResult":
        """How many people the lists of several audiences share.

        >>> ws.overlap("fans", "others").sizes
        {'fans': 20, 'others': 20}
        """
        from lookalike.api.overlap import overlap

        return overlap(self.folder, list(names))

    @system_errors()
    def report(self, name: str | None = None) -> "Report":
        """Writes the lift report of an expansion, the newest if not named.

        >>> ws.report("fans").path.name
        'report.html'
        """
        from lookalike.api.report import report

        return report(self.folder, name)

    @system_errors()
    def verify(self, name: str | None = None) -> "VerifyResult":
        """Whether the files of an expansion, or of the live vectors and their run, still have their hashes.

        >>> ws.verify("fans").held
        True
        """
        from lookalike.api.verify import verify

        return verify(self.folder, name)

    @system_errors()
    def status(self) -> "StatusResult":
        """What the workspace holds, and the next command.

        >>> ws.status().log.events
        3807
        """
        from lookalike.api.status import status

        return status(self.folder)

    @system_errors()
    def next_step(self) -> "NextStep":
        """The command that comes next, found faster than by `status`."""
        from lookalike.api.status import next_step

        return next_step(self.folder)

    def _ingest_options(
        self,
        items: PathLike | None,
        users: PathLike | None,
        map: Columns | None,
        context: str | Iterable[str] | None,
        timezone: str | None,
    ) -> "IngestOptions":
        from lookalike.data.ingest.options import IngestOptions, parse_context, parse_mapping

        settings = self.settings.ingest
        return IngestOptions(
            items=None if items is None else Path(items),
            users=None if users is None else Path(users),
            mapping=parse_mapping(column_pairs(map)),
            timezone=timezone or settings.timezone,
            max_rejected_share=settings.max_rejected_share,
            context=parse_context(several("context", context)),
        )


def open(
    path: PathLike = ".",
    *,
    progress: Callable[[ProgressEvent], None] | Progress | None = None,
    engine: str = "local",
    ray_address: str | None = None,
) -> Workspace:
    """The workspace in a folder; the first `ingest` creates it.

    `progress` is called with every step and message; by default nothing is reported. A relative path is that of the
    folder now, wherever the process goes later. Raises SettingsError for an unknown engine.

    >>> la.open("client/").path.name
    'client'
    """
    reporter = CallbackProgress(progress) if callable(progress) else progress
    if reporter is not None and not isinstance(reporter, Progress):
        raise SettingsError(f"progress: {str(progress)[:40]!r} is not a function", "progress=print")
    return Workspace(WorkspaceFolder(Path(path).absolute()), reporter, _executor(engine, ray_address))


def _executor(engine: str, ray_address: str | None) -> "Executor | None":
    """What works on shards besides this process; None for `local`."""
    if engine not in ENGINES:
        raise SettingsError(f"no engine is called {engine[:40]!r}", f"--engine {'|'.join(ENGINES)}")
    if engine == "local":
        return None
    from lookalike.workspace.ray_executor import RayExecutor

    return RayExecutor(ray_address)
