"""Every command as a caller meets it: exit code, data on stdout, talk on stderr."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

import lookalike
from lookalike.api import status
from lookalike.cli import app
from small_log import TRAIN, Command, Inputs, Ran

pytest_plugins = ("space_fixtures",)
COMMANDS = ("ingest", "train", "expand", "report", "status")


def call(capsys: pytest.CaptureFixture[str], *words: str) -> Ran:
    code = app.main(words)
    said = capsys.readouterr()
    return Ran(code, said.out, said.err)


@pytest.fixture(scope="module")
def documented() -> dict[str, dict[str, str]]:
    """What docs/commands.md says that `--json` prints."""
    spec = importlib.util.spec_from_file_location(
        "make_reference", Path(__file__).resolve().parent.parent / "docs" / "make_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    reference: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    found: dict[str, dict[str, str]] = reference.JSON
    return found


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
        (("expnd",), "expand"),
        (("train", "--epoch", "3"), "--epochs"),
        (("train", "--epochs", "three"), "--epochs"),
        (("train", "--epochs"), "--epochs"),
        (("report", "a", "b"), "b"),
        (("ingest",), "PATH"),
        (("--verbose", "status"), "--verbose"),
        (("status", "--json"), "--json"),
        (("train", "--window", "soon"), "soon"),
        (("train", "--window", "0d"), "0d"),
        (("train", "--as-of", "yesterday"), "yesterday"),
        (("train", "--dim", "7"), "dim"),
        (("train", "--epochs", "0"), "epochs"),
        (("expand",), "--seed"),
        (("expand", "--seed", "s.csv"), "--size"),
        (("expand", "--size", "5%"), "--seed"),
        (("ingest", "x.csv", "--map", "user_id"), "user_id"),
    ],
    ids=" ".join,
)
def test_usage_error_is_two_lines_and_2(fresh: Command, words: tuple[str, ...], named: str) -> None:
    message, hint = fresh.refused(2, *words)
    assert named in message
    assert hint
    assert not fresh.workspace.exists()


# --- the four commands -----------------------------------------------------------------------------------------------


def test_json_is_one_object_for_every_command(
    fresh: Command, inputs: Inputs, documented: dict[str, dict[str, str]]
) -> None:
    assert fresh("--json", "status").json["next"] == "lookalike ingest FILES"
    calls = {
        "ingest --dry-run": ("ingest", inputs.log, "--items", inputs.items, "--dry-run"),
        "ingest": ("ingest", inputs.log, "--items", inputs.items),
        "train": TRAIN,
        "embed": ("embed",),
        "embed --sessions": ("embed", "--sessions", inputs.log, "--map", "session_id=user_id"),
        "expand": ("expand", "--seed", inputs.seed, "--size", "10%"),
        "status": ("status",),
    }
    assert {*calls, "overlap", "report"} == set(documented)
    for name, words in calls.items():
        ran = fresh("--json", *words)
        assert ran.code == 0, ran.err
        assert list(ran.json) == list(documented[name])
    report = fresh("--json", "report").json
    page = Path(report.pop("page"))
    assert page.is_file()
    assert report == json.loads((page.parent / "evaluation.json").read_text())


def test_tables_go_to_stdout_and_talk_to_stderr(fresh: Command, inputs: Inputs) -> None:
    shown = {
        ("ingest", inputs.log): ("Held now: 3,807 events of 300 users", "next: lookalike train"),
        TRAIN: ("300 users embedded", "next: lookalike expand"),
        ("expand", "--seed", inputs.seed, "--size", "10%"): ("seed users matched", "next: lookalike report fans"),
        ("report",): ("expand this seed", "page: "),
        ("status",): ("lookalike report", ""),
    }
    for words, (data, talk) in shown.items():
        ran = fresh(*words)
        assert ran.code == 0, ran.err
        assert data in " ".join(ran.out.split())
        assert talk in ran.err
        assert not talk or talk not in ran.out
        assert "\x1b" not in ran.out + ran.err  # no colours where nobody looks


def test_quiet_says_nothing_on_stderr(done: Command, inputs: Inputs) -> None:
    for words in (("ingest", inputs.log), ("expand", "--seed", inputs.seed, "--size", "10%"), ("report",), ("status",)):
        ran = done("--quiet", *words)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out


def test_quiet_still_says_what_is_wrong(ready: Command) -> None:
    ready.refused(3, "--quiet", "expand", "--seed", "nowhere.csv", "--size", "5")


def test_json_leaves_stdout_empty_when_something_is_wrong(ready: Command) -> None:
    ready.refused(3, "--json", "expand", "--seed", "nowhere.csv", "--size", "5")


def test_debug_adds_the_traceback(ready: Command) -> None:
    ran = ready("--debug", "expand", "--seed", "nowhere.csv", "--size", "5")
    assert ran.code == 3
    assert ran.err.startswith("error: nowhere.csv: no such file\nhint: ")
    assert "Traceback" in ran.err


@pytest.mark.parametrize("flags", [(), ("--debug",)], ids=["plain", "--debug"])
def test_bug_is_two_lines_and_1(fresh: Command, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("nobody thought\nof this")

    monkeypatch.setattr(status, "status", broken)
    ran = fresh(*flags, "status")
    assert (ran.code, ran.out) == (1, "")
    lines = ran.err.splitlines()
    assert lines[0] == "error: a bug: ZeroDivisionError: nobody thought of this"
    assert lines[1].startswith("hint: ")
    assert ("Traceback" in ran.err) == bool(flags)
    assert len(lines) == 2 or flags


def test_interrupt_ends_with_130(fresh: Command, monkeypatch: pytest.MonkeyPatch) -> None:

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "status", interrupted)
    ran = fresh("status")
    assert (ran.code, ran.out) == (130, "")
    assert len(ran.err.splitlines()) == 1


def test_workspace_may_come_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trained_space: Path
) -> None:
    monkeypatch.setenv("LOOKALIKE_WORKSPACE", str(trained_space))
    assert call(capsys, "--json", "status").json["log"]["events"] == 3807


def test_workspace_is_the_current_folder_unless_given(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trained_space: Path
) -> None:
    monkeypatch.delenv("LOOKALIKE_WORKSPACE", raising=False)
    monkeypatch.chdir(trained_space)
    assert call(capsys, "--json", "status").json["log"]["users"] == 300


@pytest.mark.parametrize(
    ("space", "following"),
    [
        ("fresh", "lookalike ingest FILES"),
        ("ready", "lookalike expand --seed seed.csv --size 5%"),
        ("done", "lookalike report"),
    ],
)
def test_status_names_the_next_command(request: pytest.FixtureRequest, space: str, following: str) -> None:
    command: Command = request.getfixturevalue(space)
    assert command("--json", "status").json["next"] == following


def test_status_changes_nothing(fresh: Command) -> None:
    assert fresh("status").code == 0
    assert not fresh.workspace.exists()


def test_dry_run_shows_the_mapping_and_writes_nothing(fresh: Command, inputs: Inputs) -> None:
    ran = fresh("--json", "ingest", inputs.log, "--dry-run")
    assert ran.json["files"][0]["mapping"]["item_id"] == "item_id"
    assert "First rows as stored" in fresh("ingest", inputs.log, "--dry-run").out
    assert not fresh.workspace.exists()


def test_a_declared_column_is_kept_and_a_ninth_is_refused(fresh: Command, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(9)]
    log = tmp_path / "wide.csv"
    log.write_text(f"user_id,ts,{','.join(names)}\nann,2024-03-01{',x' * 9}\n")
    flags = [word for name in names for word in ("--context", name)]
    message, hint = fresh.refused(2, "ingest", log, *flags)
    assert message.startswith("--context: 9 columns, and a workspace keeps at most 8: n0, n1")
    assert "--workspace" in hint
    done = fresh("--json", "ingest", log, *flags[:-2])
    assert done.json["files"][0]["mapping"]["context_8"] == "n7"
    message, _ = fresh.refused(2, "ingest", log, *flags[-2:])
    assert "at most 8" in message


def test_report_takes_the_newest_unless_one_is_named(done: Command, inputs: Inputs) -> None:
    assert done("expand", "--seed", inputs.seed, "--size", "10%", "--name", "later").code == 0
    made = done.workspace / "audiences" / "fans" / "manifest.json"
    made.write_text(json.dumps(json.loads(made.read_text()) | {"created": "2001-01-01T00:00:00Z"}))
    assert done("--json", "report").json["name"] == "later"
    assert done("--json", "report", "fans").json["name"] == "fans"


def test_reader_that_leaves_early_gets_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trained_space: Path
) -> None:
    import subprocess
    import sys

    code = "import sys\nfrom lookalike.cli import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--workspace", str(trained_space), "--json", "status"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_random_seed_fixes_the_training(fresh: Command, inputs: Inputs) -> None:
    assert fresh("ingest", inputs.log).code == 0
    first, same, other = (fresh("--json", *TRAIN, "--random-seed", seed).json for seed in (1, 1, 2))
    assert first["figures"] == same["figures"] != other["figures"]
