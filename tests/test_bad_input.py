"""What train, expand and report refuse: two lines, the exit code of the error's kind, and nothing changed on disk.

What ingest refuses is tested in tests/data/ingest.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.expansion.result import Evaluation
from lookalike.workspace.paths import WorkspaceFolder
from small_log import TRAIN, USERS, Command, Inputs, events, id_file, snapshot, user_ids

pytest_plugins = ("space_fixtures",)


def expanding(seed: Path, size: object = "10%") -> tuple[object, ...]:
    return ("expand", "--seed", seed, "--size", size)


# --- seeds -----------------------------------------------------------------------------------------------------------


def test_a_seed_without_a_known_user(ready: Command, tmp_path: Path) -> None:
    seed = id_file(tmp_path / "unknown.csv", ["a", "b", "c"])
    message, hint = ready.refused(5, *expanding(seed))
    assert message == f"{seed.name}: 0 of 3 ids match a known user (0.00%)"
    assert "compared exactly" in hint


@pytest.mark.parametrize("users", [1, 4])
def test_a_seed_too_small_to_be_measured(ready: Command, tmp_path: Path, users: int) -> None:
    seed = id_file(tmp_path / "few.csv", user_ids()[:users])
    message, hint = ready.refused(5, *expanding(seed))
    assert f"{users} of {users} ids match a known user" in message
    assert "fewer than 25 are too few for a list, and fewer than 5 cannot be measured" in message
    assert ready.refused(5, *expanding(seed), "--force") == (message, hint)


def test_a_seed_below_the_minimum_is_measured_with_force_and_never_listed(ready: Command, tmp_path: Path) -> None:
    seed = id_file(tmp_path / "few.csv", user_ids()[:24])
    message, hint = ready.refused(5, *expanding(seed))
    assert "24 of 24 ids match a known user" in message
    assert "--force measures them" in hint
    ran = ready(*expanding(seed), "--force")
    assert ran.code == 5
    message, hint = ran.complaint
    assert "only 24 seeds: a list needs at least 25" in message
    assert "even --force makes no list from so few seeds" in hint
    names = {file.name for file in (ready.workspace / "audiences" / "few").iterdir()}
    assert names == {"evaluation.json", "manifest.json"}
    ran = ready(*expanding(id_file(tmp_path / "enough.csv", user_ids()[:25])))
    assert ran.code == 0, ran.err


def test_near_matches_are_told_from_unknown_ids(ready: Command, tmp_path: Path) -> None:
    near = [f"00{user.upper()}" for user in user_ids()[30:34]]
    seed = id_file(tmp_path / "some.csv", user_ids()[:30] + near + ["nobody", "no one"])
    ran = ready("--json", *expanding(seed), "--force")
    assert {"code": "near_matches", "ids": 4, "ways": {"leading zeros": 4}} in ran.json["warnings"]
    assert (
        "warning: 4 unmatched seed ids differ from the log's only by the way they are written (4 in leading zeros): "
        "write them as the log does; until then these people are neither seeds nor listed"
    ) in ran.err.splitlines()
    match = Evaluation.read(Path(ran.json["evaluation"])).seed
    assert (match.unmatched, match.near_matches, match.without_vector) == (6, 4, 0)


def test_a_seed_of_one_user_many_times(ready: Command, tmp_path: Path) -> None:
    message, _ = ready.refused(5, *expanding(id_file(tmp_path / "one.csv", user_ids()[:1] * 50)))
    assert "1 of 1 ids" in message


def test_a_seed_of_every_user(ready: Command, tmp_path: Path) -> None:
    message, _ = ready.refused(5, *expanding(id_file(tmp_path / "all.csv", user_ids())))
    assert f"{USERS} of {USERS}" in message
    assert "nobody is left" in message


def test_a_seed_and_a_suppression_of_every_user(ready: Command, tmp_path: Path) -> None:
    seed, others = id_file(tmp_path / "s.csv", user_ids()[:50]), id_file(tmp_path / "r.csv", user_ids()[50:])
    message, _ = ready.refused(5, *expanding(seed), "--suppress", others)
    assert "nobody" in message


SEED_FILES: dict[str, bytes] = {
    "empty": b"",
    "only a heading": b"user_id\n",
    "only blanks": b"user_id\n \n\t\n",
    "several columns but no user_id": b"name,city\nann,rome\n",
    "ragged": b"user_id,value\nu001,1\nu002,1,2,3\n",
    "a quote that never closes": b'user_id,value\n"u001,1\nu002,2\n',
    "not text": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("kind", SEED_FILES)
@pytest.mark.parametrize("flag", ["--seed", "--suppress"])
def test_an_unreadable_file_of_ids(ready: Command, tmp_path: Path, inputs: Inputs, kind: str, flag: str) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(SEED_FILES[kind])
    words = expanding(bad) if flag == "--seed" else (*expanding(inputs.seed), flag, bad)
    message, _ = ready.refused(3, *words)
    assert message.startswith(f"{bad}: ")


def test_a_missing_file_of_ids_or_a_folder(ready: Command, tmp_path: Path, inputs: Inputs) -> None:
    for words in (
        expanding(tmp_path / "no.csv"),
        expanding(tmp_path),
        (*expanding(inputs.seed), "--suppress", "no.csv"),
    ):
        message, _ = ready.refused(3, *words)
        assert "no such file" in message


def test_a_truncated_parquet_file_of_ids(ready: Command, tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"user_id": user_ids()}).write_parquet(whole)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-20])
    message, _ = ready.refused(3, *expanding(cut))
    assert message.startswith(f"{cut}: cannot be read")


# --- sizes, names, scorers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["0", "-5", "0%", "-1%", "101%", "many", "", "1.5", "5 %%", "nan", "1e3", "٣x"])
def test_an_invalid_size(ready: Command, inputs: Inputs, size: str) -> None:
    message, _ = ready.refused(2, "expand", "--seed", inputs.seed, f"--size={size}")
    assert "size" in message


def test_a_size_larger_than_the_candidates(ready: Command, inputs: Inputs) -> None:
    message, hint = ready.refused(5, *expanding(inputs.seed, 1_000_000))
    assert message == "1,000,000 prospects were requested, but only 260 candidates are left"
    assert "--size 260" in hint


@pytest.mark.parametrize(
    "name",
    ["../up", "a/b", "/tmp/x", "..", ".hidden", "a\\b", "a b", "", "x" * 101, "a..b", "-x", "ü", "a\x00b", "a\nb"],
)
def test_a_name_that_could_lead_out_of_the_workspace(ready: Command, inputs: Inputs, name: str) -> None:
    message, hint = ready.refused(2, *expanding(inputs.seed), f"--name={name}")
    assert "cannot be the name" in message
    assert "letters" in hint


@pytest.mark.parametrize("name", ["../up", "a/b", "/etc", ".."])
def test_a_report_of_a_name_that_could_lead_out_of_the_workspace(expanded: Command, name: str) -> None:
    expanded.refused(2, "report", name)


def test_a_report_of_an_unknown_name(expanded: Command) -> None:
    message, hint = expanded.refused(4, "report", "no-such")
    assert "no-such" in message
    assert "fans" in hint


def test_an_unknown_scorer_encoder_device_or_format(ready: Command, inputs: Inputs) -> None:
    for words, named in (
        ((*expanding(inputs.seed), "--scorer", "magic"), "logistic"),
        (("train", "--encoder", "magic"), "transformer"),
        (("train", "--encoder", "mean", "--device", "abacus"), "--device auto"),
        ((*expanding(inputs.seed), "--format", "xlsx"), "csv"),
    ):
        message, hint = ready.refused(2, *words)
        assert named in message + hint


# --- the wrong order -------------------------------------------------------------------------------------------------


def test_train_before_ingest(fresh: Command) -> None:
    message, hint = fresh.refused(4, *TRAIN)
    assert "nothing was ingested" in message
    assert hint == f"lookalike --workspace {fresh.workspace} ingest FILES"
    assert not any(fresh.workspace.iterdir())


def test_expand_before_train(fresh: Command, inputs: Inputs) -> None:
    assert fresh("ingest", inputs.log).code == 0
    message, hint = fresh.refused(4, *expanding(inputs.seed))
    assert "no encoder was trained" in message
    assert hint == f"lookalike --workspace {fresh.workspace} train"


def test_expand_before_ingest(fresh: Command, inputs: Inputs) -> None:
    message, _ = fresh.refused(4, *expanding(inputs.seed))
    assert "no encoder was trained" in message
    assert not any(fresh.workspace.iterdir())


def test_report_before_expand(ready: Command) -> None:
    message, hint = ready.refused(4, "report")
    assert "nothing was expanded" in message
    assert hint.startswith(f"lookalike --workspace {ready.workspace} expand")


def test_report_before_anything(fresh: Command) -> None:
    fresh.refused(4, "report")
    assert not any(fresh.workspace.iterdir())


def test_resume_without_an_unfinished_training(ready: Command) -> None:
    message, hint = ready.refused(4, *TRAIN, "--resume")
    assert message == "no unfinished training to resume"
    assert hint == f"lookalike --workspace {ready.workspace} train"


def test_a_cut_before_the_first_event(ready: Command) -> None:
    message, _ = ready.refused(4, *TRAIN, "--as-of", "2001-01-01")
    assert "before the cut" in message


# --- two processes ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def another_process_at_work(workspace: Path) -> Iterator[int]:
    """A process that keeps the workspace locked; gives its number."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom lookalike.workspace.paths import WorkspaceFolder\n"
        "with WorkspaceFolder(Path(sys.argv[1])).locked():\n    sys.stdout.write('held\\n')\n    sys.stdout.flush()\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(workspace)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.communicate()


def test_a_second_process_on_the_same_workspace(expanded: Command, inputs: Inputs) -> None:
    with another_process_at_work(expanded.workspace) as pid:
        for words in (("ingest", inputs.log), TRAIN, expanding(inputs.seed)):
            message, hint = expanded.refused(4, *words)
            assert f"process {pid} is working on this workspace" in message
            assert hint
        assert expanded("--json", "report").json["name"] == "fans"  # only reads
    assert expanded(*expanding(inputs.seed), "--replace").code == 0


def test_temporary_files_of_a_process_at_work_stay(expanded: Command, inputs: Inputs) -> None:
    with another_process_at_work(expanded.workspace):
        temporary = expanded.workspace / "audiences" / ".lookalike-tmp-of-the-other"
        temporary.mkdir()
        expanded.refused(4, *expanding(inputs.seed))
        assert temporary.exists()
    assert expanded(*expanding(inputs.seed), "--replace").code == 0
    assert not temporary.exists()


# --- damage ----------------------------------------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path: Path) -> None:
    path.write_bytes(b"\x00rubbish\xff" * 50)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "cut short": cut_short,
    "overwritten": overwrite,
    "empty": empty,
    "missing": remove,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "file",
    [
        "sequence-00000.npy",
        "content-00000.npy",
        "aggregates-00000.npy",
        "tie-00000.npy",
        "users.parquet",
        "manifest.json",
    ],
)
def test_damaged_vectors(ready: Command, inputs: Inputs, file: str, damage: str) -> None:
    path = ready.workspace / "embeddings" / "v000001" / file
    DAMAGES[damage](path)
    message, hint = ready.refused(4, *expanding(inputs.seed))
    assert "v000001" in message
    assert hint


@pytest.mark.parametrize("text", ["", "v999999\n", "../../elsewhere\n", "\x00\n", "v000001/../..\n"])
def test_a_damaged_pointer_to_the_vectors(ready: Command, inputs: Inputs, text: str) -> None:
    (ready.workspace / "embeddings" / "CURRENT").write_text(text)
    ready.refused(4, *expanding(inputs.seed))


def test_vectors_without_a_manifest_are_made_again_by_the_run(ready: Command, inputs: Inputs) -> None:
    (ready.workspace / "embeddings" / "v000001" / "manifest.json").unlink()
    assert "embed --run" in ready.refused(4, *expanding(inputs.seed))[1]
    message, hint = ready.refused(4, "embed")
    assert "no stored vectors that can be read" in message
    assert hint == f"lookalike --workspace {ready.workspace} embed --run r000001"
    assert ready("--json", "status").json["next"] == f"lookalike --workspace {ready.workspace} embed --run r000001"
    assert ready("embed", "--run", "r000001").code == 0
    assert ready(*expanding(inputs.seed)).code == 0


def test_vectors_with_nan(ready: Command, inputs: Inputs) -> None:
    path = ready.workspace / "embeddings" / "v000001" / "content-00000.npy"
    values = np.load(path)
    values[17] = np.nan
    np.save(path, values)
    message, hint = ready.refused(4, *expanding(inputs.seed))
    assert "content-00000.npy: is not the file that was written with this version" in message
    assert "embed --full" in hint


def test_a_shard_of_objects_is_never_unpickled(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    path = ready.workspace / "embeddings" / "v000001" / "content-00000.npy"
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    ready.refused(4, *expanding(inputs.seed))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("damage", ["cut short", "overwritten"])
def test_a_damaged_database(expanded: Command, inputs: Inputs, damage: str) -> None:
    DAMAGES[damage](expanded.workspace / "lookalike.duckdb")
    for words in (("ingest", inputs.log), TRAIN, ("status",), expanding(inputs.seed)):
        message, hint = expanded.refused(4, *words)
        assert "lookalike.duckdb" in message
        assert hint


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_evaluation(expanded: Command, damage: str) -> None:
    DAMAGES[damage](expanded.workspace / "audiences" / "fans" / "evaluation.json")
    expanded.refused(4, "report", "fans")


@pytest.mark.parametrize("text", ["[]", "{}", '{"name": "fans"}', "null", "{"])
def test_an_evaluation_that_is_something_else(expanded: Command, text: str) -> None:
    (expanded.workspace / "audiences" / "fans" / "evaluation.json").write_text(text)
    expanded.refused(4, "report", "fans")


@pytest.mark.parametrize("text", ["", "[]", "{}", "rubbish"])
@pytest.mark.parametrize("words", [("status",), ("report",)], ids=" ".join)
def test_a_damaged_manifest_of_an_expansion(expanded: Command, text: str, words: tuple[str, ...]) -> None:
    (expanded.workspace / "audiences" / "fans" / "manifest.json").write_text(text)
    expanded.refused(4, *words)


# --- settings and definitions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[train]\nepoch = 3\n", "unknown key 'train.epoch', did you mean 'epochs'?"),
        ("[trian]\nepochs = 3\n", "unknown key 'trian', did you mean 'train'?"),
        ("[expand]\nfold = 3\ntier = 2\n", "did you mean 'folds'?; unknown key 'expand.tier', did you mean 'tiers'?"),
        ("[train]\nepochs = 0\n", "train.epochs: "),
        ('[train]\nepochs = "three"\n', "train.epochs: "),
        ("train = 3\n", "train: "),
        ("[train]\nzzz = 1\n", "unknown key 'train.zzz'"),
        ("[train\n", "lookalike.toml: "),
        ("epochs = 3\n", "unknown key 'epochs'"),
        ("[expand]\nconfidence = nan\n", "expand.confidence: "),
        ("[ingest]\nmax_rejected_share = 2\n", "ingest.max_rejected_share: "),
    ],
)
def test_wrong_settings(ready: Command, inputs: Inputs, text: str, fault: str) -> None:
    (ready.workspace / "lookalike.toml").write_text(text)
    for words in (("ingest", inputs.log), TRAIN, expanding(inputs.seed)):
        message, hint = ready.refused(2, *words)
        assert message.startswith(f"{ready.workspace / 'lookalike.toml'}: ")
        assert fault in message
        assert hint


def test_settings_that_are_not_text(ready: Command, inputs: Inputs) -> None:
    (ready.workspace / "lookalike.toml").write_bytes(b"\xff\xfe\x00")
    ready.refused(2, *expanding(inputs.seed))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('seed = "fans.csv"\nsize = "10%"\nsupress = ["x.csv"]\n', "unknown key 'supress', did you mean 'suppress'?"),
        ('seeds = "fans.csv"\nsize = "10%"\n', "did you mean 'seed'?"),
        ('seed = "fans.csv"\n', "size: "),
        ('seed = "fans.csv"\nsize = "lots"\n', "size 'lots'"),
        ('seed = "fans.csv"\nsize = 0\n', "size '0'"),
        ('seed = "fans.csv"\nsize = 1.5\n', "size"),
        ('seed = "fans.csv"\nsize = 10\nname = "../up"\n', "'../up' cannot be the name"),
        ('seed = "fans.csv"\nsize = 10\nformat = "xlsx"\n', "format: "),
        ('seed = "fans.csv"\nsize = 10\nscorer = "magic"\n', "no scorer is called 'magic'"),
        ("seed = ", "definition.toml: "),
    ],
)
def test_a_wrong_definition(ready: Command, inputs: Inputs, text: str, fault: str) -> None:
    definition = inputs.folder / "definition.toml"
    definition.write_text(text)
    message, hint = ready.refused(2, "expand", definition)
    assert fault in message
    assert hint


def test_a_missing_definition(ready: Command) -> None:
    message, _ = ready.refused(2, "expand", "nowhere.toml")
    assert "nowhere.toml: no such file" in message


def test_a_definition_whose_seed_is_missing(ready: Command, tmp_path: Path) -> None:
    definition = tmp_path / "d.toml"
    definition.write_text('seed = "nowhere.csv"\nsize = 10\n')
    message, _ = ready.refused(3, "expand", definition)
    assert "nowhere.csv" in message


# --- the disk --------------------------------------------------------------------------------------------------------

_LIMITED = """
import resource, sys
from lookalike.cli.app import main
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""


def run_with_file_limit(max_bytes: int, workspace: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Runs a command that may write no file larger than so many bytes."""
    command = [sys.executable, "-c", _LIMITED, str(max_bytes), "--workspace", str(workspace), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("max_bytes", [0, 1_000, 6_000])
def test_expand_that_cannot_write_leaves_the_old_list(expanded: Command, inputs: Inputs, max_bytes: int) -> None:
    before = snapshot(expanded.workspace)
    process = run_with_file_limit(max_bytes, expanded.workspace, *expanding(inputs.seed, 20), "--replace")
    assert (process.returncode, process.stdout) == (4, ""), process.stderr
    assert [line.split(":")[0] for line in process.stderr.splitlines()] == ["error", "hint"]
    assert snapshot(expanded.workspace) == before


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own, mounted at the folder. Skips the test where none can be mounted."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir()
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={size}".encode()):
        pytest.skip(f"no small disk can be mounted here: {errno.errorcode[ctypes.get_errno()]}")
    try:
        yield folder
    finally:
        assert libc.umount2(bytes(folder), 2) == 0


def fill(disk: Path, free_bytes: int) -> None:
    """Fills the disk up to so many free bytes."""
    status = os.statvfs(disk)
    with open(disk / "filler", "wb") as file:
        file.write(bytes(max(0, status.f_bavail * status.f_frsize - free_bytes)))


def run_program(workspace: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lookalike", "--workspace", str(workspace), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.parametrize("free_bytes", [0, 50_000, 200_000])
def test_a_full_disk_is_an_error_that_leaves_the_old_state(
    ready: Command, inputs: Inputs, tmp_path: Path, free_bytes: int
) -> None:
    assert ready(*expanding(inputs.seed)).code == 0
    prospects = (ready.workspace / "audiences" / "fans" / "prospects.csv").read_bytes()
    more = tmp_path / "more.csv"
    events().with_columns(user_id="x" + pl.col("user_id")).write_csv(more)
    with small_disk(tmp_path / "disk", "24m") as disk:
        workspace = disk / "space"
        shutil.copytree(ready.workspace, workspace)
        fill(disk, free_bytes)
        before = snapshot(workspace)
        failures = 0
        for words in (TRAIN, expanding(inputs.seed, 50), ("ingest", more)):
            process = run_program(workspace, *words)
            if process.returncode == 0:
                before = snapshot(workspace)
                continue
            failures += 1
            assert (process.returncode, process.stdout) == (4, ""), (words, process)
            assert [line.split(":")[0] for line in process.stderr.splitlines()[-2:]] == ["error", "hint"]
            # of an ingest, the database may have grown and shrunk again
            changeable = ("unfinished", ".lookalike-tmp-", *(["lookalike.duckdb"] if words[0] == "ingest" else []))
            before = {name: value for name, value in before.items() if not any(part in name for part in changeable)}
            after = snapshot(workspace)
            assert {name: after.get(name) for name in before} == before
        assert failures or free_bytes
        (disk / "filler").unlink()
        assert run_program(workspace, *TRAIN).returncode == 0
        assert run_program(workspace, *expanding(inputs.seed)).returncode == 0
        assert (workspace / "audiences" / "fans" / "prospects.csv").read_bytes() == prospects


def test_a_workspace_that_is_a_file(tmp_path: Path, ready: Command, inputs: Inputs) -> None:
    (tmp_path / "file").write_text("x")
    command = Command(ready.capsys, tmp_path / "file")
    for words in (("ingest", inputs.log), TRAIN, expanding(inputs.seed), ("report",)):
        ran = command(*words)
        assert ran.code == 4, ran
        assert ran.complaint
    assert (tmp_path / "file").read_text() == "x"


# --- hostile ids and names -------------------------------------------------------------------------------------------

HOSTILE = [
    "=HYPERLINK(\"http://x\")",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\tab",
    "<script>alert(1)</script>",
    '"quoted"',
    "it''s; DROP TABLE events;--",
    "two\nlines",
    "carriage\rreturn",
    "nul\x00in it",
    "\u202eright to left\u202c",
    "\u05e9\u05dc\u05d5\u05dd",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "e\u0301 against \u00e9",
    "{{ 7 * 7 }}",
    "x" * 10_000,
    ",,,",
    "'=already",
    "-12.5",
    "NULL",
    "nan",
    "../../etc/passwd",
    "\\N",
    "[bold red]markup[/]",
]  # fmt: skip


def write_hostile_log(folder: Path) -> dict[str, str]:
    """Writes the small log with hostile ids in it; gives the hostile id of each ordinary one that it replaces."""
    ordinary = user_ids()
    fans, others = ordinary[: len(HOSTILE)], ordinary[150 : 150 + len(HOSTILE)]
    hostile = dict(zip(fans, HOSTILE, strict=True)) | dict(zip(others, [f"{text}!" for text in HOSTILE], strict=True))
    items = {f"i{number:02d}": text for number, text in enumerate(HOSTILE)}
    frame = events().with_columns(
        pl.col("item_id").replace(items),
        source=pl.when(pl.col("user_id").is_in(ordinary[:90])).then(pl.lit(HOSTILE[5])).otherwise(pl.lit("web")),
        user_id=pl.col("user_id").replace(hostile),
    )
    frame.write_parquet(folder / "hostile.parquet")
    names = list(items.values())
    pl.DataFrame(
        {"item_id": names, "title": [f"{name} <b>title</b>" for name in names], "family": names}
    ).write_parquet(folder / "hostile-items.parquet")
    return hostile


def write_ordinary_seed(folder: Path) -> Path:
    """Fans whose ids are not hostile."""
    pl.DataFrame({"user_id": user_ids()[len(HOSTILE) : 60]}).write_parquet(folder / "seed.parquet")
    return folder / "seed.parquet"


def test_hostile_ids_and_names_go_through_every_command(fresh: Command, tmp_path: Path) -> None:
    hostile = write_hostile_log(tmp_path)
    seed = write_ordinary_seed(tmp_path)
    (fresh.workspace / "lookalike.toml").write_text("[expand]\nmin_cell = 1\n")
    ran = fresh("--json", "ingest", tmp_path / "hostile.parquet", "--items", tmp_path / "hostile-items.parquet")
    assert ran.code == 0, ran.err
    users = ran.json["totals"]["users"]
    assert fresh(*TRAIN).code == 0
    ran = fresh("--json", *expanding(seed, "100%"), "--name", "all", "--force")
    assert ran.code == 0, ran.err
    whole = fresh("--json", *expanding(seed, "100%"), "--name", "whole", "--force", "--format", "parquet").json
    exact = pl.read_parquet(whole["prospects"])
    as_csv = pl.read_csv(ran.json["prospects"], infer_schema=False)
    assert len(exact) == len(as_csv) == users - 35
    # the CSV has the same ids in the same order; those that a spreadsheet would run, or a part of them, have a ' there
    for user_id, written in zip(exact["user_id"], as_csv["user_id"], strict=True):
        assert written.replace("'", "") == user_id.replace("'", "")
        assert not written.startswith(("=", "@", "\t", "\r"))
        assert not written.startswith(("+", "-")) or float(written)
    assert {user_id for user_id in exact["user_id"] if user_id in hostile.values()} >= {
        '=HYPERLINK("http://x")',
        "x" * 10_000,
    }
    assert fresh(*expanding(seed, "15%"), "--name", "some", "--force").code == 0
    report = fresh("report", "some")
    assert report.code == 0, report.err
    assert "\x1b" not in report.out
    page = (fresh.workspace / "audiences" / "some" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<b>title</b>" not in page
    assert "alert(1)" in page  # shown as text
    assert fresh("--json", "report", "some").json["name"] == "some"


def test_a_list_of_hostile_ids_can_be_suppressed(fresh: Command, tmp_path: Path) -> None:
    write_hostile_log(tmp_path)
    seed = write_ordinary_seed(tmp_path)
    assert fresh("ingest", tmp_path / "hostile.parquet").code == 0
    assert fresh(*TRAIN).code == 0
    first = fresh("--json", *expanding(seed, "60%"), "--name", "first", "--force").json
    flags = ("--name", "second", "--force", "--format", "parquet", "--suppress", first["prospects"])
    second = fresh("--json", *expanding(seed, "100%"), *flags).json
    suppression = Evaluation.read(Path(second["evaluation"])).suppression
    assert (suppression.given, suppression.matched) == (first["size"], first["size"])
    assert second["suppression"] == suppression.as_json()
    assert second["size"] == first["candidates"] - first["size"]


def test_a_seed_of_hostile_ids_matches_completely(fresh: Command, tmp_path: Path) -> None:
    hostile = write_hostile_log(tmp_path)
    assert fresh("ingest", tmp_path / "hostile.parquet").code == 0
    assert fresh(*TRAIN).code == 0
    version = WorkspaceFolder(fresh.workspace).embeddings / "v000001"
    known = set(pl.read_parquet(version / "users.parquet")["user_id"])
    ids = [user_id for user_id in hostile.values() if user_id in known and not user_id.startswith("'")]
    pl.DataFrame({"user_id": ids}).write_csv(tmp_path / "seed.csv")
    assert fresh("--json", *expanding(tmp_path / "seed.csv", "10%"), "--force").json["matched"] == len(ids)
