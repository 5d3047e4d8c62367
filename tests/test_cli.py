"""Every command as its user sees it: exit code, data on stdout, messages on stderr."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import lookalike
from lookalike.api import status, train
from lookalike.campaigns.overlap import OverlapResult
from lookalike.cli import app
from lookalike.cli.printed import PrintedReport, PrintedStatus
from lookalike.data.ingest.results import IngestPreview, IngestResult
from lookalike.encoder.results import EmbedResult, SessionsResult, TrainResult
from lookalike.expansion.manifest import ExpansionManifest
from lookalike.expansion.result import Evaluation
from lookalike.expansion.summary import ExpandSummary
from lookalike.workspace.records import Record
from small_log import TRAIN, Command, Inputs, Ran, id_file, user_ids

pytest_plugins = ("space_fixtures",)
COMMANDS = ("ingest", "remove-file", "train", "embed", "expand", "overlap", "report", "verify", "status", "suppress")


def call(capsys: pytest.CaptureFixture[str], *words: str) -> Ran:
    """Runs the program without naming a workspace."""
    code = app.main(words)
    output = capsys.readouterr()
    return Ran(code, output.out, output.err)


# --- without a workspace ---------------------------------------------------------------------------------------------


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--version") == Ran(0, f"lookalike {lookalike.__version__}\n", "")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)], ids=["no arguments", "--help", "-h"])
def test_help_names_every_command(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    ran = call(capsys, *words)
    assert (ran.code, ran.err) == (0, "")
    assert all(f"\n  {name} " in ran.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], name: str) -> None:
    ran = call(capsys, name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: lookalike {name}")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("expnd",), "expnd"),
        (("train", "--epoch", "3"), "--epochs"),
        (("train", "--epochs", "three"), "--epochs"),
        (("train", "--epochs"), "--epochs"),
        (("report", "a", "b"), "b"),
        (("ingest",), "PATH"),
        (("--verbose", "status"), "--verbose"),
        (("status", "--all"), "--all"),
        (("train", "--window", "soon"), "soon"),
        (("train", "--window", "0d"), "0d"),
        (("train", "--as-of", "yesterday"), "yesterday"),
        (("train", "--dim", "7"), "dim 7: must be a multiple of 8"),
        (("train", "--epochs", "0"), "epochs 0: must be at least 1"),
        (("expand",), "--seed"),
        (("expand", "--seed", "s.csv"), "--size is missing"),
        (("expand", "--size", "5%"), "--seed or --seed-rule is missing"),
        (("ingest", "x.csv", "--map", "user_id"), "user_id"),
        (("overlap", "fans"), "two different audiences"),
        (("--engine", "spark", "status"), "spark"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "names",
)
def test_a_usage_error_is_two_lines_and_exit_code_2(fresh: Command, words: tuple[str, ...], named: str) -> None:
    message, hint = fresh.refused(2, *words)
    assert named in message
    assert hint
    assert not any(fresh.workspace.iterdir())


def test_a_mistyped_command_has_the_nearest_one_in_its_hint(fresh: Command) -> None:
    assert fresh.refused(2, "expnd") == ("no command is called 'expnd'", "did you mean expand?")
    _, hint = fresh.refused(2, "xyz")
    assert hint == f"commands: {', '.join(COMMANDS)}"


# --- the commands ----------------------------------------------------------------------------------------------------


def test_json_is_one_typed_object_for_every_command(fresh: Command, inputs: Inputs) -> None:
    """It has the fields of the record that the library returns, and can be read back as that record."""
    empty = fresh("--json", "status").json
    assert empty["next"] == f"lookalike --workspace {fresh.workspace} ingest FILES"
    size = ("--size", "10%", "--force")
    calls: list[tuple[type[Record], tuple[object, ...]]] = [
        (IngestPreview, ("ingest", inputs.log, "--items", inputs.items, "--dry-run")),
        (IngestResult, ("ingest", inputs.log, "--items", inputs.items)),
        (TrainResult, TRAIN),
        (EmbedResult, ("embed",)),
        (SessionsResult, ("embed", "--sessions", inputs.log, "--map", "session_id=user_id")),
        (ExpandSummary, ("expand", "--seed", inputs.seed, *size)),
        (ExpandSummary, ("expand", "--seed", inputs.others, *size)),
        (OverlapResult, ("overlap", "fans", "others")),
    ]
    for record, words in calls:
        ran = fresh("--json", *words)
        assert ran.code == 0, ran.err
        assert record.model_validate(ran.json).as_json() == ran.json
    shown = fresh("--json", "status").json
    assert PrintedStatus.model_validate(shown).as_json() == shown
    assert shown["next"] == f"lookalike --workspace {fresh.workspace} report"
    report = fresh("--json", "report").json
    assert PrintedReport.model_validate(report).as_json() == report
    page = Path(report.pop("page"))
    assert page.is_file()
    assert Evaluation.model_validate(report) == Evaluation.read(page.parent / "evaluation.json")


def test_several_audiences_are_one_object(ready: Command, inputs: Inputs) -> None:
    definitions = []
    for name, seed in (("first", "fans.csv"), ("second", "others.csv")):
        definitions.append(inputs.folder / f"{name}.toml")
        definitions[-1].write_text(f'seed = "{seed}"\nsize = "10%"\n')
    value = ready("--json", "expand", *definitions, "--force").json
    assert [ExpandSummary.model_validate(audience).name for audience in value["audiences"]] == ["first", "second"]
    assert list(value) == ["audiences"]


def test_tables_go_to_stdout_and_messages_to_stderr(fresh: Command, inputs: Inputs) -> None:
    next_line = f"next: lookalike --workspace {fresh.workspace}"
    outputs = {
        ("ingest", inputs.log): ("Stored now: 3,807 events of 300 users", f"{next_line} train"),
        TRAIN: ("300 users embedded", f"{next_line} expand"),
        ("expand", "--seed", inputs.seed, "--size", "10%"): ("seeds matched", f"{next_line} report fans"),
        ("report",): ("expand this seed", "page: "),
        ("status",): (f"next lookalike --workspace {fresh.workspace} expand", ""),
    }
    for words, (data, message) in outputs.items():
        ran = fresh(*words)
        assert ran.code == 0, ran.err
        assert data.replace(" ", "") in "".join(ran.out.split())
        assert message in ran.err
        assert not message or message not in ran.out
        assert "\x1b" not in ran.out + ran.err  # no colours in a pipe


def test_quiet_shows_nothing_on_stderr(expanded: Command, inputs: Inputs) -> None:
    for words in (
        ("ingest", inputs.log),
        ("expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed),
        ("report",),
        ("status",),
    ):
        ran = expanded("--quiet", *words)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out


def test_quiet_still_shows_errors(ready: Command) -> None:
    ready.refused(3, "--quiet", "expand", "--seed", "nowhere.csv", "--size", "5")


def test_an_error_leaves_stdout_empty_with_json_too(ready: Command) -> None:
    ready.refused(3, "--json", "expand", "--seed", "nowhere.csv", "--size", "5")


def test_debug_adds_the_traceback(ready: Command) -> None:
    ran = ready("--debug", "expand", "--seed", "nowhere.csv", "--size", "5")
    assert ran.code == 3
    assert ran.err.startswith("error: nowhere.csv: no such file\nhint: ")
    assert "Traceback" in ran.err


@pytest.mark.parametrize("flags", [(), ("--debug",)], ids=["plain", "--debug"])
def test_a_bug_is_two_lines_and_exit_code_1(
    fresh: Command, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("nobody thought\nof this")

    monkeypatch.setattr(status, "status", broken)
    ran = fresh(*flags, "status")
    assert (ran.code, ran.out) == (1, "")
    lines = ran.err.splitlines()
    assert lines[0] == "error: a bug: ZeroDivisionError: nobody thought"
    assert lines[1].startswith("hint: ")
    assert ("Traceback" in ran.err) == bool(flags)
    assert len(lines) == 2 or flags


def test_an_interrupt_ends_with_130(fresh: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "status", interrupted)
    ran = fresh("status")
    assert (ran.code, ran.out) == (130, "")
    assert ran.err == "interrupted: nothing is half-written\n"


def test_an_interrupted_training_with_a_checkpoint_has_a_hint(ready: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        (ready.workspace / "runs" / "unfinished").mkdir()
        (ready.workspace / "runs" / "unfinished" / "state.json").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    ran = ready(*TRAIN)
    resume = f"lookalike --workspace {ready.workspace} train --resume"
    assert ran.err.splitlines()[1] == f"hint: {resume} continues after the last whole epoch"


# --- where the workspace is ------------------------------------------------------------------------------------------


def test_the_workspace_may_come_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trained_space: Path
) -> None:
    monkeypatch.setenv("LOOKALIKE_WORKSPACE", str(trained_space))
    assert call(capsys, "--json", "status").json["log"]["events"] == 3807


def test_the_workspace_is_the_current_folder_by_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trained_space: Path
) -> None:
    monkeypatch.delenv("LOOKALIKE_WORKSPACE", raising=False)
    monkeypatch.chdir(trained_space)
    shown = call(capsys, "--json", "status").json
    assert shown["log"]["users"] == 300
    assert shown["next"] == "lookalike expand --seed seed.csv --size 5%"


def test_global_flags_may_stand_after_the_command(capsys: pytest.CaptureFixture[str], trained_space: Path) -> None:
    ran = call(capsys, "status", "-w", str(trained_space), "--json", "-q")
    assert ran.json["log"]["users"] == 300
    assert call(capsys, "status", f"--workspace={trained_space}", "--json").json == ran.json


@pytest.mark.parametrize(
    ("fixture", "command"),
    [("fresh", "ingest FILES"), ("ready", "expand --seed seed.csv --size 5%"), ("expanded", "report")],
)
def test_status_names_the_next_command_with_its_workspace(
    request: pytest.FixtureRequest, fixture: str, command: str
) -> None:
    program: Command = request.getfixturevalue(fixture)
    assert program("--json", "status").json["next"] == f"lookalike --workspace {program.workspace} {command}"


def test_every_next_line_keeps_the_workspace(fresh: Command, inputs: Inputs) -> None:
    commands = (
        ("ingest", inputs.log),
        TRAIN,
        ("embed",),
        ("expand", "--seed", inputs.seed, "--size", "10%"),
        ("report",),
    )
    for words in commands:
        lines = [line for line in fresh(*words).err.splitlines() if line.startswith(("next: ", "more: "))]
        assert lines, words
        assert all(f"lookalike --workspace {fresh.workspace} " in line for line in lines)


def test_ingest_names_the_run_to_embed_with_when_the_vectors_are_gone(ready: Command, inputs: Inputs) -> None:
    (ready.workspace / "embeddings" / "CURRENT").unlink()
    ran = ready("ingest", inputs.log)
    assert ran.err.splitlines()[-1] == f"next: lookalike --workspace {ready.workspace} embed --run r000001"


def test_status_changes_nothing(fresh: Command) -> None:
    assert fresh("status").code == 0
    assert not any(fresh.workspace.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        TRAIN,
        ("embed",),
        ("expand", "--seed", "s.csv", "--size", "5%"),
        ("overlap", "a", "b"),
        ("report",),
    ],
    ids=lambda words: words[0],
)
def test_a_folder_that_does_not_exist_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "nowhere"
    message, hint = Command(capsys, folder).refused(4, *words)
    assert message == f"{folder}: no such folder"
    assert hint == f"lookalike --workspace {folder} ingest FILES creates it"
    assert not folder.exists()


def test_an_ingest_creates_the_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path, inputs: Inputs) -> None:
    program = Command(capsys, tmp_path / "new" / "space")
    assert program("ingest", inputs.log, "--dry-run").code == 0
    assert not program.workspace.exists()
    assert program("ingest", inputs.log).code == 0
    assert program("status").code == 0


def test_a_hint_keeps_the_workspace(fresh: Command) -> None:
    _, hint = fresh.refused(4, *TRAIN)
    assert hint == f"lookalike --workspace {fresh.workspace} ingest FILES"


def test_after_the_report_the_next_step_is_another_seed(expanded: Command) -> None:
    assert expanded("report").code == 0
    assert expanded("--json", "status").json["next_step"] == "expand"


# --- single flags ----------------------------------------------------------------------------------------------------


def test_dry_run_shows_the_mapping_and_writes_nothing(fresh: Command, inputs: Inputs) -> None:
    ran = fresh("--json", "ingest", inputs.log, "--dry-run")
    assert ran.json["files"][0]["mapping"]["item_id"] == "item_id"
    assert "First rows as stored" in fresh("ingest", inputs.log, "--dry-run").out
    assert not any(fresh.workspace.iterdir())


def test_eight_context_columns_are_kept_and_a_ninth_is_refused(fresh: Command, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(9)]
    log = tmp_path / "wide.csv"
    log.write_text(f"user_id,ts,{','.join(names)}\nann,2024-03-01{',x' * 9}\n")
    flags = [word for name in names for word in ("--context", name)]
    message, hint = fresh.refused(2, "ingest", log, *flags)
    assert message.startswith("--context: 9 columns, and a workspace keeps at most 8: n0, n1")
    assert "--workspace" in hint
    ingested = fresh("--json", "ingest", log, *flags[:-2])
    assert ingested.json["files"][0]["mapping"]["context_8"] == "n7"
    message, _ = fresh.refused(2, "ingest", log, *flags[-2:])
    assert "at most 8" in message


def test_report_takes_the_newest_audience_unless_one_is_named(expanded: Command, inputs: Inputs) -> None:
    assert expanded("expand", "--seed", inputs.seed, "--size", "10%", "--name", "later").code == 0
    path = expanded.workspace / "audiences" / "fans" / "manifest.json"
    ExpansionManifest.read(path).model_copy(update={"created": "2001-01-01T00:00:00Z"}).write(path)
    assert expanded("--json", "report").json["name"] == "later"
    assert "the newest audience: later, made " in expanded("report").err
    assert expanded("--json", "report", "fans").json["name"] == "fans"
    assert "the newest audience" not in expanded("report", "fans").err


def test_report_shows_the_main_figures_and_with_all_every_figure(expanded: Command) -> None:
    short, full = expanded("report"), expanded("report", "--all")
    assert "Lift by size" not in short.out
    assert "Lift by size" in full.out
    assert f"more: lookalike --workspace {expanded.workspace} report fans --all" in short.err
    assert "more: " not in full.err
    assert short.out.splitlines()[0] in full.out


def test_report_opens_the_page_when_asked(expanded: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(app.typer, "launch", opened.append)
    assert expanded("report").code == 0
    assert opened == []
    assert expanded("report", "--open").code == 0
    page = expanded.workspace / "audiences" / "fans" / "report.html"
    assert opened == [page.resolve().as_uri()]


def test_a_reader_that_closes_the_pipe_gets_no_traceback(trained_space: Path) -> None:
    command = [sys.executable, "-m", "lookalike", "--workspace", str(trained_space), "--json", "status"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_the_random_seed_fixes_the_training(fresh: Command, inputs: Inputs) -> None:
    assert fresh("ingest", inputs.log).code == 0
    first, same, other = (fresh("--json", *TRAIN, "--random-seed", seed).json for seed in (1, 1, 2))
    assert first["figures"] == same["figures"] != other["figures"]


def test_warnings_are_one_line_each_on_stderr_and_data_in_the_summary(ready: Command, tmp_path: Path) -> None:
    seed = id_file(tmp_path / "some.csv", [*user_ids()[:30], *(f"stranger {number}" for number in range(30))])
    ran = ready("--json", "expand", "--seed", seed, "--size", "10%", "--force")
    (warning,) = [warning for warning in ran.json["warnings"] if warning["code"] == "low_match_rate"]
    assert warning == {"code": "low_match_rate", "unmatched": 30, "distinct": 60, "matched": 30}
    sentence = "warning: 30 of 60 seed ids are not known users: the list is made from the other 30"
    assert ran.err.splitlines().count(sentence) == 1
    assert json.loads(Path(ran.json["evaluation"]).read_text())["warnings"] == ran.json["warnings"]
