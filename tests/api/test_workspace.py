"""The library handle: typed results, the same figures as the command line, and clear errors."""

import inspect
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from typer.main import get_command

import lookalike as la
from lookalike.api.expand_options import ExpandOptions
from lookalike.api.status import StatusResult
from lookalike.campaigns.overlap import OverlapResult
from lookalike.cli.app import app
from lookalike.data.ingest.results import IngestPreview, IngestResult
from lookalike.encoder.results import EmbedResult, SessionsResult, TrainResult
from lookalike.errors import DataError, ExpansionError, SettingsError, StateError
from lookalike.expansion.result import Evaluation
from lookalike.workspace.progress import Message, ProgressEvent, QuietProgress
from small_log import DAYS, SETTINGS, Command, Inputs, snapshot, user_ids

pytest_plugins = ("space_fixtures",)
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture
def ws(trained_space: Path, tmp_path: Path) -> la.Workspace:
    """The handle of a copy of the trained workspace."""
    shutil.copytree(trained_space, tmp_path / "space")
    return la.open(tmp_path / "space")


def without_times(value: dict[str, Any]) -> dict[str, Any]:
    """An evaluation without the path of its page, and the times in which two runs differ."""
    return {name: item for name, item in value.items() if name not in ("page", "created", "representation")}


# --- every command ---------------------------------------------------------------------------------------------------


def test_every_method_returns_a_typed_result(tmp_path: Path, inputs: Inputs) -> None:
    ws = la.open(tmp_path / "space")
    assert ws.status().next_step == "ingest"
    assert isinstance(ws.preview(inputs.log, items=inputs.items), IngestPreview)
    assert not ws.path.exists(), "a preview writes nothing"
    ingested = ws.ingest([inputs.log], items=inputs.items)
    assert isinstance(ingested, IngestResult)
    assert (ingested.totals.events, ingested.totals.users, ingested.totals.items) == (3_807, 300, 60)
    (ws.path / "lookalike.toml").write_text(SETTINGS)
    trained = ws.train(encoder="mean", dim=16, epochs=1)
    assert isinstance(trained, TrainResult)
    assert (trained.run, trained.users) == ("r000001", 300)
    assert isinstance(ws.embed(), EmbedResult)
    sessions = ws.embed_sessions(inputs.log, map={"session_id": "user_id"})
    assert isinstance(sessions, SessionsResult)
    assert sessions.path.is_file()
    fans = ws.expand(inputs.seed, "10%")
    assert isinstance(fans, la.ExpandResult)
    others = ws.expand(inputs.others, "10%", name="others", force=True)
    assert [result.verdict.decision for result in (fans, others)] == ["expand", "do not expand"]
    overlap = ws.overlap("fans", "others")
    assert isinstance(overlap, OverlapResult)
    assert overlap.sizes == {"fans": 26, "others": 26}
    report = ws.report("fans")
    assert isinstance(report, la.Report)
    assert report.path is not None
    assert report.path.read_text(encoding="utf-8") == report.html
    status = ws.status()
    assert isinstance(status, StatusResult)
    assert {expansion.name for expansion in status.expansions} == {"fans", "others"}
    assert status.next_step == ws.next_step() == "report"


def test_an_expansion_is_the_verdict_the_lift_and_the_list(ws: la.Workspace, inputs: Inputs) -> None:
    result = ws.expand(seed=inputs.seed, size=26)
    assert (result.name, result.folder) == ("fans", ws.path / "audiences" / "fans")
    assert result.verdict.expand
    assert result.lift == la.Band(*(getattr(result.evaluation.held_out, name) for name in ("lift", "low", "high")))
    assert result.evaluation == Evaluation.read(result.folder / "evaluation.json")
    assert result.prospects is not None
    assert result.prospects.columns == ["rank", "user_id", "score", "tier"]
    assert result.prospects["rank"].to_list() == list(range(1, 27))
    assert result.reasons is None
    assert result.report().html == ws.report().html
    explained = ws.expand(seed=inputs.seed, size=26, reasons=True)
    assert explained.reasons is not None
    assert explained.reasons.columns == ["rank", "user_id", "cluster", "shared"]


def test_a_refused_seed_has_no_list(ws: la.Workspace, inputs: Inputs) -> None:
    result = ws.expand(seed=inputs.others, size="10%")
    assert not result.verdict.expand
    assert {check.name for check in result.verdict.failed} >= {"above_chance"}
    assert (result.prospects, result.prospects_file, result.reasons) == (None, None, None)


def test_several_definitions_are_expanded_at_once(ws: la.Workspace, inputs: Inputs) -> None:
    definitions = [inputs.folder / f"{name}.toml" for name in ("ten", "twenty")]
    for definition, size in zip(definitions, (10, 20), strict=True):
        definition.write_text(f'seed = "fans.csv"\nsize = {size}\n')
    results = ws.expand_all(definitions, force=True)
    assert [(result.name, result.evaluation.prospects) for result in results] == [("ten", 10), ("twenty", 20)]
    assert ws.expand(definition=definitions[0], scorer="centroid", force=True).evaluation.scorer == "centroid"


def frames_of(ids: list[str]) -> dict[str, Any]:
    return {
        "list": ids,
        "polars": pl.DataFrame({"user_id": ids}),
        "polars column": pl.Series(ids),
        "pyarrow": pa.table({"user_id": ids}),
    }


def test_a_seed_may_be_a_file_a_list_or_a_frame(ws: la.Workspace, inputs: Inputs) -> None:
    ids = user_ids()[:40]
    expected = ws.expand(seed=str(inputs.seed), size=20, name="file").prospects
    assert expected is not None
    for seed in frames_of(ids).values():
        result = ws.expand(seed=seed, size=20, name="values")
        assert result.evaluation.seed.matched == 40
        assert result.prospects is not None
        assert result.prospects.equals(expected)


def test_a_seed_may_be_a_pandas_frame_or_column(ws: la.Workspace, inputs: Inputs) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user_id": user_ids()[:40]})
    lists = [ws.expand(seed=seed, size=20, name="x").prospects for seed in (inputs.seed, frame, frame["user_id"])]
    assert lists[0] is not None
    assert all(prospects is not None and prospects.equals(lists[0]) for prospects in lists)


def test_suppression_and_negatives_take_the_same_values(ws: la.Workspace, inputs: Inputs) -> None:
    suppressed = pl.read_csv(inputs.suppressed)["user_id"].to_list()
    seed = user_ids()[:30]
    forms: list[Any] = [inputs.suppressed, [inputs.suppressed], suppressed, pl.DataFrame({"user_id": suppressed})]
    for suppress in forms:
        result = ws.expand(
            seed=seed, size="100%", suppress=suppress, negative=user_ids()[100:140], force=True, name="s"
        )
        assert result.evaluation.suppression.matched == len(suppressed) == 20
        assert result.evaluation.seed.negatives == 40
        assert result.prospects is not None
        assert not set(result.prospects["user_id"]) & set(suppressed)


# --- the same as the command line ------------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_command_line(
    ws: la.Workspace, tmp_path: Path, trained_space: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained_space, tmp_path / "other" / "space")
    command = Command(capsys, tmp_path / "other" / "space")
    assert ws.ingest(inputs.log).as_json() == command("--json", "ingest", inputs.log).json
    trained = ws.train(encoder="mean", dim=16, epochs=1, random_seed=3)
    assert trained is not None
    words = ("train", "--encoder", "mean", "--dim", "16", "--epochs", "1", "--random-seed", "3")
    assert trained.as_json() == command("--json", *words).json
    result = ws.expand(seed=inputs.seed, size="10%", suppress=[inputs.suppressed])
    printed = command("--json", "expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed).json
    summary = result.summary().as_json()
    for name in ("prospects", "evaluation"):
        first, second = Path(summary.pop(name)), Path(printed.pop(name))
        assert first.relative_to(ws.path) == second.relative_to(command.workspace)
    assert summary == printed
    prospects = [folder / "audiences" / "fans" / "prospects.csv" for folder in (ws.path, command.workspace)]
    assert prospects[0].read_bytes() == prospects[1].read_bytes()
    report = command("--json", "report").json
    assert without_times(ws.report().evaluation.as_json()) == without_times(report)


def flags_of(command: str) -> set[str]:
    """The flags of a command as Python names."""
    parameters = COMMANDS[command].params
    flags = [flag for parameter in parameters if parameter.param_type_name == "option" for flag in parameter.opts]
    return {flag.removeprefix("--").replace("-", "_") for flag in flags}


def keywords_of(method: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(method).parameters) - {"self", "options"}


def test_expand_has_a_keyword_for_each_flag() -> None:
    options = set(ExpandOptions.__annotations__)
    assert {"seed", "size", "split"} | options == flags_of("expand")
    assert keywords_of(la.Workspace.expand_all) == {"definitions", "seed", "size", "split"}
    assert keywords_of(la.Workspace.expand) == {"definition", "seed", "size"}


@pytest.mark.parametrize(
    ("command", "methods", "renamed"),
    [
        ("ingest", (la.Workspace.ingest,), {"dry_run": None}),  # dry_run is `preview`
        ("ingest", (la.Workspace.preview,), {"dry_run": None, "again": None}),
        ("train", (la.Workspace.train,), {"from": "from_run"}),  # `from` is a word of Python
        ("embed", (la.Workspace.embed, la.Workspace.embed_sessions), {"sessions": "paths"}),
        ("status", (la.Workspace.status,), {}),
        ("overlap", (la.Workspace.overlap,), {}),
        ("verify", (la.Workspace.verify,), {}),
        ("report", (la.Workspace.report,), {"all": None, "open": None}),  # of the terminal alone
    ],
    ids=["ingest", "preview", "train", "embed", "status", "overlap", "verify", "report"],
)
def test_keywords_are_named_like_the_flags(
    command: str, methods: tuple[Callable[..., Any], ...], renamed: dict[str, str | None]
) -> None:
    flags = {renamed.get(flag, flag) for flag in flags_of(command)} - {None}
    arguments = {parameter.name for parameter in COMMANDS[command].params if parameter.param_type_name == "argument"}
    assert set().union(*map(keywords_of, methods)) == flags | arguments


# --- the handle ------------------------------------------------------------------------------------------------------


def test_a_handle_shows_its_folder_and_settings(tmp_path: Path) -> None:
    ws = la.open(tmp_path)
    assert ws.path == tmp_path
    assert repr(ws) == f"Workspace({str(tmp_path)!r})"
    assert ws.settings.train.dim == 128
    (tmp_path / "lookalike.toml").write_text("[train]\ndim = 64\n")
    assert ws.settings.train.dim == 64, "settings are read anew"


def test_opening_creates_nothing_and_takes_the_current_folder_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert la.open().path == tmp_path
    assert la.open("nowhere").status().next_step == "ingest"
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_is_that_of_the_folder_at_the_time(
    ws: la.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    same = la.open("space")
    monkeypatch.chdir("/")
    assert same.status() == ws.status()


def test_progress_may_be_a_function(trained_space: Path, tmp_path: Path, inputs: Inputs) -> None:
    shutil.copytree(trained_space, tmp_path / "space")
    events: list[ProgressEvent] = []
    la.open(tmp_path / "space", progress=events.append).expand(seed=inputs.seed, size=20)
    steps = list(dict.fromkeys(event.step for event in events if event.step))
    assert steps == [
        "looking for what the 40 seeds have in common",
        "measuring on held-out seeds",
        "profiling the seed",
        "ranking all users",
    ]
    ranking = [event for event in events if event.step == "ranking all users"]
    assert (ranking[0].done, ranking[-1].done, ranking[-1].total) == (0, 300, 300)


def test_progress_may_be_an_object(trained_space: Path, inputs: Inputs, tmp_path: Path) -> None:
    class Recorder(QuietProgress):
        def __init__(self) -> None:
            self.messages: list[Message] = []

        def say(self, message: Message) -> None:
            self.messages.append(message)

    shutil.copytree(trained_space, tmp_path / "space")
    recorder = Recorder()
    result = la.open(tmp_path / "space", progress=recorder).expand(
        seed=[*user_ids()[:40], *(f"stranger {number}" for number in range(20))], size=20
    )
    assert tuple(recorder.messages) == result.warnings
    assert [message.code for message in recorder.messages] == ["low_match_rate"]


def test_a_closed_handle_is_a_state_error_for_every_method(ws: la.Workspace, inputs: Inputs) -> None:
    with ws as same:
        assert same is ws
        assert ws.next_step() == "expand"
    before = snapshot(ws.path)
    calls: list[Callable[[], object]] = [
        lambda: ws.ingest(inputs.log),
        lambda: ws.preview(inputs.log),
        lambda: ws.train(),
        lambda: ws.embed(),
        lambda: ws.embed_sessions(inputs.log),
        lambda: ws.expand(inputs.seed, 20),
        lambda: ws.expand_all(seed=inputs.seed, size=20),
        lambda: ws.overlap("a", "b"),
        lambda: ws.report(),
        lambda: ws.status(),
        lambda: ws.next_step(),
        lambda: ws.settings,
    ]
    for call in calls:
        with pytest.raises(StateError, match="the workspace was closed"):
            call()
    assert snapshot(ws.path) == before
    assert ws.path.exists()
    assert la.open(ws.path).next_step() == "expand"


def test_moments_with_a_zone_are_utc(ws: la.Workspace) -> None:
    cut = datetime(2024, 1, 1) + timedelta(days=DAYS // 2)
    berlin = timezone(timedelta(hours=1))
    options: dict[str, Any] = {"encoder": "mean", "dim": 16, "epochs": 1}
    results = [
        ws.train(as_of=as_of, **options)
        for as_of in (cut, cut.replace(tzinfo=UTC), cut.replace(tzinfo=UTC).astimezone(berlin))
    ]
    assert len({result.events for result in results if result}) == 1
    assert ws.embed(as_of=cut.replace(tzinfo=UTC)).refreshed == 0


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        (pl.DataFrame({"a": ["u1"], "b": ["u2"]}), DataError, "the seed: no column user_id among a, b"),
        (pl.DataFrame(), DataError, "the seed: cannot be read (it has no columns)"),
        ([1.5] * 30, DataError, "the seed: 30 of 30 ids are neither text nor whole numbers"),
        ({"user_id": ["u1"]}, DataError, "the seed: ids cannot be read from a value of type dict"),
        ([], DataError, "the seed: the column user_id holds no id"),
        ("nowhere.csv", DataError, "nowhere.csv: no such file"),
        (["nobody"] * 30, ExpansionError, "the seed: 0 of 1 ids match a known user (0.00%)"),
    ],
    ids=["no user column", "no columns", "decimals", "dict", "empty", "no file", "unknown"],
)
def test_a_bad_seed_is_an_error_that_names_it(
    ws: la.Workspace, seed: Any, error: type[Exception], message: str
) -> None:
    before = snapshot(ws.path)
    with pytest.raises(error) as raised:
        ws.expand(seed=seed, size=20)
    assert raised.value.message == message  # type: ignore[attr-defined]
    assert raised.value.hint  # type: ignore[attr-defined]
    assert snapshot(ws.path) == before


@pytest.mark.parametrize("argument", ["suppress", "negative"])
def test_a_bad_list_besides_the_seed_is_called_by_its_name(ws: la.Workspace, inputs: Inputs, argument: str) -> None:
    label = {"suppress": "the suppression list", "negative": "the negative examples"}[argument]
    with pytest.raises(DataError, match=f"^{label}: no column user_id among a, b"):
        ws.expand(seed=inputs.seed, size=20, **{argument: pl.DataFrame({"a": ["u1"], "b": ["u2"]})})  # type: ignore[misc]


@pytest.mark.parametrize("size", [None, 0, -1, 0.05, True, "a lot", "200%", 1_000_000])
def test_a_bad_size_is_an_error(ws: la.Workspace, inputs: Inputs, size: Any) -> None:
    with pytest.raises((SettingsError, ExpansionError)):
        ws.expand(seed=inputs.seed, size=size)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "../up"},
        {"scorer": "magic"},
        {"format": "xlsx"},
        {"min_lift": 0.5},
        {"before": "no such event"},
        {"drop_features": ["no such feature"]},
        {"backtest": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_bad_option_is_a_settings_error(ws: la.Workspace, inputs: Inputs, options: Any) -> None:
    before = snapshot(ws.path)
    with pytest.raises(SettingsError):
        ws.expand(seed=inputs.seed, size=20, **options)
    assert snapshot(ws.path) == before


@pytest.mark.parametrize("argument", ["suppress", "negative", "drop_features", "disjoint_from"])
def test_none_is_not_given(ws: la.Workspace, inputs: Inputs, argument: str) -> None:
    plain = ws.expand(seed=inputs.seed, size=20).prospects
    given = ws.expand(seed=inputs.seed, size=20, **{argument: None}).prospects  # type: ignore[misc]
    assert plain is not None
    assert plain.equals(given)


def test_a_lone_text_is_one_value(ws: la.Workspace, inputs: Inputs, tmp_path: Path) -> None:
    definition = inputs.folder / "lone.toml"
    definition.write_text('seed = "fans.csv"\nsize = 20\n')
    assert [result.name for result in ws.expand_all(str(definition))] == ["lone"]
    apart = ws.expand(seed=inputs.seed, size=20, disjoint_from="lone", name="apart", force=True)
    assert apart.evaluation.candidates == ws.expand(seed=inputs.seed, size=20).evaluation.candidates - 20
    with pytest.raises(SettingsError, match="no such feature"):
        ws.expand(seed=inputs.seed, size=20, drop_features="no such feature")
    (tmp_path / "log.csv").write_text("who,ts,item_id,campaign\nu1,2024-01-01,i1,spring\n")
    read = ws.preview(tmp_path / "log.csv", map="user_id=who", context="campaign")
    assert read.files[0].mapping == {"user_id": "who", "ts": "ts", "item_id": "item_id", "context_1": "campaign"}


@pytest.mark.parametrize("columns", [5, [("user_id", "who")], b"user_id=who"], ids=["number", "pairs", "bytes"])
def test_columns_of_another_kind_are_a_settings_error(ws: la.Workspace, inputs: Inputs, columns: Any) -> None:
    with pytest.raises(SettingsError, match=r"^map: "):
        ws.preview(inputs.log, map=columns)


def test_progress_must_be_a_function(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^progress: 'yes' is not a function"):
        la.open(tmp_path, progress="yes")  # type: ignore[arg-type]


def test_what_the_system_refuses_is_a_state_error(tmp_path: Path, inputs: Inputs) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match=r"File exists|Not a directory"):
        la.open(tmp_path / "file").ingest(inputs.log)


@pytest.mark.parametrize("keyword", ["sise", "split", "definitions"])
def test_an_unknown_keyword_is_a_type_error(ws: la.Workspace, inputs: Inputs, keyword: str) -> None:
    with pytest.raises(TypeError, match=rf"expand\(\) got an unexpected keyword argument '{keyword}'"):
        ws.expand(seed=inputs.seed, size=20, **{keyword: True})  # type: ignore[misc]
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        ws.train(epoch=3)  # type: ignore[call-arg]
    assert ws.status().expansions == ()


@pytest.mark.parametrize("as_of", ["2024-03-01", datetime(2024, 3, 1).date(), 20240301], ids=["text", "date", "number"])
def test_a_moment_must_be_a_datetime(ws: la.Workspace, as_of: Any) -> None:
    for call in (ws.train, ws.embed):
        with pytest.raises(SettingsError, match="is not a datetime"):
            call(as_of=as_of)


def test_a_training_setting_out_of_range_is_a_settings_error(ws: la.Workspace) -> None:
    for options in ({"dim": 7}, {"epochs": 0}, {"window": "90d"}, {"encoder": "magic"}, {"device": "abacus"}):
        with pytest.raises(SettingsError):
            ws.train(**options)  # type: ignore[arg-type]
    assert [run.run for run in ws.status().runs] == ["r000001"]


def test_a_missing_workspace_is_a_state_error(tmp_path: Path, inputs: Inputs) -> None:
    ws = la.open(tmp_path / "nowhere")
    for call in (ws.train, ws.embed, ws.report, lambda: ws.expand(inputs.seed, 20), lambda: ws.overlap("a", "b")):
        with pytest.raises(StateError):
            call()
    assert not ws.path.exists()


def test_an_unknown_engine_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no engine is called 'spark'"):
        la.open(tmp_path, engine="spark")


def test_an_ingest_of_a_missing_file_creates_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        la.open(tmp_path / "space").ingest(tmp_path / "nowhere.csv")
    assert list(tmp_path.iterdir()) == []


# --- several calls at once -------------------------------------------------------------------------------------------


def call_together(*calls: Callable[[], object]) -> list[object]:
    """What the calls give or raise when they run in one thread each, at the same time."""
    outcomes: list[object] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(number: int) -> None:
        barrier.wait()
        try:
            outcomes[number] = calls[number]()
        except BaseException as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return outcomes


@pytest.mark.parametrize("handles", [1, 2])
def test_two_expansions_at_once_give_lists_or_a_state_error(ws: la.Workspace, inputs: Inputs, handles: int) -> None:
    alone = ws.expand(seed=inputs.seed, size=20, name="alone").prospects
    assert alone is not None
    other = ws if handles == 1 else la.open(ws.path)
    outcomes = call_together(
        lambda: ws.expand(seed=inputs.seed, size=20, name="first"),
        lambda: other.expand(seed=inputs.seed, size=20, name="second"),
    )
    results = [outcome for outcome in outcomes if isinstance(outcome, la.ExpandResult)]
    errors = [outcome for outcome in outcomes if not isinstance(outcome, la.ExpandResult)]
    assert results
    assert all(isinstance(error, StateError) and "is working on this workspace" in error.message for error in errors)
    for result in results:
        assert result.prospects is not None
        assert result.prospects.equals(alone)
    written = {expansion.name for expansion in ws.status().expansions}
    assert written == {"alone", *(result.name for result in results)}
    assert not [path for path in ws.path.rglob("*") if path.name.startswith((".lookalike-tmp-", ".lookalike-old-"))]


def test_reading_while_another_thread_writes_gives_a_result_or_a_state_error(ws: la.Workspace, inputs: Inputs) -> None:
    ws.expand(seed=inputs.seed, size=20, name="before")
    other = la.open(ws.path)
    outcomes = call_together(
        lambda: ws.ingest(inputs.log),
        other.status,
        lambda: other.report("before"),
        lambda: ws.train(encoder="mean", dim=16, epochs=1),
        lambda: other.expand(seed=inputs.seed, size=20, name="during"),
    )
    allowed = (IngestResult, StatusResult, la.Report, TrainResult, la.ExpandResult, StateError)
    assert [outcome for outcome in outcomes if not isinstance(outcome, allowed)] == []
    status = ws.status()
    assert status.log is not None
    assert status.log.events == 3_807
    assert "before" in {expansion.name for expansion in status.expansions}
    assert ws.expand(seed=inputs.seed, size=20, name="after").verdict.expand
