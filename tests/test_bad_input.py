"""What train, expand and report refuse: two lines, the exit code of its kind, and nothing on disk changed.

What ingest refuses is tested beside it.
"""

import contextlib
import ctypes
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.workspace.paths import WorkspaceFolder
from small_log import TRAIN, USERS, Command, Inputs, events, id_file, snapshot, user_ids

pytest_plugins = ("space_fixtures",)


def expanding(seed: Path, size: object = "10%") -> tuple[object, ...]:
    return ("expand", "--seed", seed, "--size", size)


# --- seeds -----------------------------------------------------------------------------------------------------------


def test_seed_without_a_known_user(ready: Command, tmp_path: Path) -> None:
    seed = id_file(tmp_path / "strangers.csv", ["a", "b", "c"])
    message, hint = ready.refused(5, *expanding(seed))
    assert message == f"{seed}: 0 of 3 ids match a known user (0.00%)"
    assert "compared exactly" in hint


@pytest.mark.parametrize("users", [1, 4])
def test_seed_too_small_to_be_measured(ready: Command, tmp_path: Path, users: int) -> None:
    seed = id_file(tmp_path / "few.csv", user_ids()[:users])
    message, _ = ready.refused(5, *expanding(seed))
    assert f"{users} of {users} ids match a known user" in message
    assert "fewer than 25 are no ground for a list, nor can they be measured" in message
    assert ready.refused(5, *expanding(seed), "--force") == (message, _)


def test_seed_below_the_floor_is_measured_by_force_and_never_listed(ready: Command, tmp_path: Path) -> None:
    seed = id_file(tmp_path / "few.csv", user_ids()[:24])
    message, hint = ready.refused(5, *expanding(seed))
    assert "24 of 24 ids match a known user" in message
    assert "--force measures them" in hint
    ran = ready(*expanding(seed), "--force")
    assert ran.code == 5
    assert "no list is made of fewer than 25 seeds" in ran.complaint[1]
    made = {file.name for file in (ready.workspace / "audiences" / "few").iterdir()}
    assert made == {"evaluation.json", "manifest.json"}
    ran = ready(*expanding(id_file(tmp_path / "enough.csv", user_ids()[:25])))
    assert ran.code == 0, ran.err


def test_ids_that_match_nobody_are_told_apart(ready: Command, tmp_path: Path) -> None:
    known = user_ids()[:30]
    strange = [f"00{user.upper()}" for user in user_ids()[30:34]] + ["nobody", "no one"]
    seed = id_file(tmp_path / "some.csv", known + strange)
    ran = ready("--json", *expanding(seed), "--force")
    assert "warning: 4 of the seed ids that match nobody would but for capitals, blanks or zeros in front" in ran.err
    told = json.loads(Path(ran.json["evaluation"]).read_text())["seed"]
    assert (told["unmatched"], told["spelled_otherwise"], told["without_vector"]) == (6, 4, 0)


def test_seed_that_is_one_user_many_times(ready: Command, tmp_path: Path) -> None:
    message, _ = ready.refused(5, *expanding(id_file(tmp_path / "one.csv", user_ids()[:1] * 50)))
    assert "1 of 1 ids" in message


def test_seed_of_every_user(ready: Command, tmp_path: Path) -> None:
    message, _ = ready.refused(5, *expanding(id_file(tmp_path / "all.csv", user_ids())))
    assert f"{USERS} of {USERS}" in message
    assert "nobody is left" in message


def test_seed_and_suppression_of_every_user(ready: Command, tmp_path: Path) -> None:
    seed, rest = id_file(tmp_path / "s.csv", user_ids()[:50]), id_file(tmp_path / "r.csv", user_ids()[50:])
    message, _ = ready.refused(5, *expanding(seed), "--suppress", rest)
    assert "nobody" in message


SEED_FILES: dict[str, bytes] = {
    "empty": b"",
    "only a heading": b"user_id\n",
    "only blanks": b"user_id\n \n\t\n",
    "several columns and none is it": b"name,city\nann,rome\n",
    "ragged": b"user_id,value\nu001,1\nu002,1,2,3\n",
    "a quote that never closes": b'user_id,value\n"u001,1\nu002,2\n',
    "no text at all": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("kind", SEED_FILES)
@pytest.mark.parametrize("flag", ["--seed", "--suppress"])
def test_file_of_ids_that_cannot_be_read(ready: Command, tmp_path: Path, inputs: Inputs, kind: str, flag: str) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(SEED_FILES[kind])
    words = expanding(bad) if flag == "--seed" else (*expanding(inputs.seed), flag, bad)
    message, _ = ready.refused(3, *words)
    assert message.startswith(f"{bad}: ")


def test_file_of_ids_that_is_not_there_or_a_folder(ready: Command, tmp_path: Path, inputs: Inputs) -> None:
    for words in (
        expanding(tmp_path / "no.csv"),
        expanding(tmp_path),
        (*expanding(inputs.seed), "--suppress", "no.csv"),
    ):
        message, _ = ready.refused(3, *words)
        assert "no such file" in message


def test_parquet_of_ids_that_is_truncated(ready: Command, tmp_path: Path) -> None:
    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"user_id": user_ids()}).write_parquet(whole)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-20])
    message, _ = ready.refused(3, *expanding(cut))
    assert message.startswith(f"{cut}: cannot be read")


# --- sizes, names, scorers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["0", "-5", "0%", "-1%", "101%", "many", "", "1.5", "5 %%", "nan", "1e3", "٣x"])
def test_size_that_is_none(ready: Command, inputs: Inputs, size: str) -> None:
    message, _ = ready.refused(2, "expand", "--seed", inputs.seed, f"--size={size}")
    assert "size" in message


def test_size_larger_than_the_universe(ready: Command, inputs: Inputs) -> None:
    message, hint = ready.refused(5, *expanding(inputs.seed, 1_000_000))
    assert message == "1,000,000 prospects asked for, but only 260 candidates are left"
    assert "--size 260" in hint


@pytest.mark.parametrize(
    "name",
    ["../up", "a/b", "/tmp/x", "..", ".hidden", "a\\b", "a b", "", "x" * 101, "a..b", "-x", "ü", "a\x00b", "a\nb"],
)
def test_name_that_could_lead_elsewhere(ready: Command, inputs: Inputs, name: str) -> None:
    message, hint = ready.refused(2, *expanding(inputs.seed), f"--name={name}")
    assert "cannot be the name" in message
    assert "letters" in hint


@pytest.mark.parametrize("name", ["../up", "a/b", "/etc", ".."])
def test_report_of_a_name_that_could_lead_elsewhere(done: Command, name: str) -> None:
    done.refused(2, "report", name)


def test_report_of_an_unknown_name(done: Command) -> None:
    message, hint = done.refused(4, "report", "no-such")
    assert "no-such" in message
    assert "fans" in hint


def test_unknown_scorer_encoder_device_and_format(ready: Command, inputs: Inputs) -> None:
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
    assert hint == "lookalike ingest FILES"
    assert not fresh.workspace.exists()


def test_expand_before_train(fresh: Command, inputs: Inputs) -> None:
    assert fresh("ingest", inputs.log).code == 0
    message, hint = fresh.refused(4, *expanding(inputs.seed))
    assert "no encoder was trained" in message
    assert hint == "lookalike train"


def test_expand_before_ingest(fresh: Command, inputs: Inputs) -> None:
    message, _ = fresh.refused(4, *expanding(inputs.seed))
    assert "no encoder was trained" in message
    assert not fresh.workspace.exists()


def test_report_before_expand(ready: Command) -> None:
    message, hint = ready.refused(4, "report")
    assert "nothing was expanded" in message
    assert hint.startswith("lookalike expand")


def test_report_before_anything(fresh: Command) -> None:
    fresh.refused(4, "report")
    assert not fresh.workspace.exists()


def test_resume_of_nothing(ready: Command) -> None:
    message, hint = ready.refused(4, *TRAIN, "--resume")
    assert (message, hint) == ("no unfinished training to resume", "lookalike train")


def test_cut_before_the_first_event(ready: Command) -> None:
    message, _ = ready.refused(4, *TRAIN, "--as-of", "2001-01-01")
    assert "before the cut" in message


# --- two processes ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def another_process_at_work(workspace: Path) -> Iterator[int]:
    code = (
        "import sys\nfrom pathlib import Path\nfrom lookalike.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).locked():\n    sys.stdout.write('held\\n')\n    sys.stdout.flush()\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(workspace)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.communicate()


def test_second_process_on_the_same_workspace(done: Command, inputs: Inputs) -> None:
    with another_process_at_work(done.workspace) as pid:
        for words in (("ingest", inputs.log), TRAIN, expanding(inputs.seed)):
            message, hint = done.refused(4, *words)
            assert f"process {pid} is working on this workspace" in message
            assert hint
        assert done("--json", "report").json["name"] == "fans"  # only reads
    assert done(*expanding(inputs.seed)).code == 0


def test_rubbish_of_a_process_at_work_is_left_alone(done: Command, inputs: Inputs) -> None:
    with another_process_at_work(done.workspace):
        begun = done.workspace / "audiences" / ".tmp-of-the-other"
        begun.mkdir()
        done.refused(4, *expanding(inputs.seed))
        assert begun.exists()
    assert done(*expanding(inputs.seed)).code == 0
    assert not begun.exists()


# --- damage ----------------------------------------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rubbish(path: Path) -> None:
    path.write_bytes(b"\x00rubbish\xff" * 50)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


BREAK: dict[str, Callable[[Path], None]] = {"cut short": cut_short, "rubbish": rubbish, "empty": emptied, "gone": gone}


@pytest.mark.parametrize("how", BREAK)
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
def test_damaged_vectors(ready: Command, inputs: Inputs, file: str, how: str) -> None:
    path = ready.workspace / "embeddings" / "v000001" / file
    BREAK[how](path)
    message, hint = ready.refused(4, *expanding(inputs.seed))
    assert "v000001" in message
    assert hint


@pytest.mark.parametrize("text", ["", "v999999\n", "../../elsewhere\n", "\x00\n", "v000001/../..\n"])
def test_damaged_pointer_to_the_vectors(ready: Command, inputs: Inputs, text: str) -> None:
    (ready.workspace / "embeddings" / "CURRENT").write_text(text)
    ready.refused(4, *expanding(inputs.seed))


def test_vectors_whose_manifest_is_gone_are_made_anew_by_the_run_there_is(ready: Command, inputs: Inputs) -> None:
    (ready.workspace / "embeddings" / "v000001" / "manifest.json").unlink()
    assert "embed --run" in ready.refused(4, *expanding(inputs.seed))[1]
    message, hint = ready.refused(4, "embed")
    assert "no stored vectors that can be read" in message
    assert hint == "lookalike embed --run r000001"
    assert ready("--json", "status").json["next"] == "lookalike embed --run r000001"
    assert ready("embed", "--run", "r000001").code == 0
    assert ready(*expanding(inputs.seed)).code == 0


def test_vectors_that_are_no_numbers(ready: Command, inputs: Inputs) -> None:
    path = ready.workspace / "embeddings" / "v000001" / "content-00000.npy"
    values = np.load(path)
    values[17] = np.nan
    np.save(path, values)
    message, hint = ready.refused(4, *expanding(inputs.seed))
    assert "content-00000.npy: is not the file that was written with this version" in message
    assert "embed --full" in hint


def test_shard_of_objects_is_never_unpickled(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    path = ready.workspace / "embeddings" / "v000001" / "content-00000.npy"
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    ready.refused(4, *expanding(inputs.seed))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("how", ["cut short", "rubbish"])
def test_damaged_database(done: Command, inputs: Inputs, how: str) -> None:
    BREAK[how](done.workspace / "lookalike.duckdb")
    for words in (("ingest", inputs.log), TRAIN, ("status",), expanding(inputs.seed)):
        message, hint = done.refused(4, *words)
        assert "lookalike.duckdb" in message
        assert hint


@pytest.mark.parametrize("how", BREAK)
def test_damaged_figures(done: Command, how: str) -> None:
    BREAK[how](done.workspace / "audiences" / "fans" / "evaluation.json")
    done.refused(4, "report", "fans")


@pytest.mark.parametrize("text", ["[]", "{}", '{"name": "fans"}', "null", "{"])
def test_figures_that_are_something_else(done: Command, text: str) -> None:
    (done.workspace / "audiences" / "fans" / "evaluation.json").write_text(text)
    done.refused(4, "report", "fans")


@pytest.mark.parametrize("text", ["", "[]", "{}", "rubbish"])
@pytest.mark.parametrize("words", [("status",), ("report",)], ids=" ".join)
def test_damaged_manifest_of_an_expansion(done: Command, text: str, words: tuple[str, ...]) -> None:
    (done.workspace / "audiences" / "fans" / "manifest.json").write_text(text)
    done.refused(4, *words)


# --- settings and definitions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_settings_that_are_wrong(ready: Command, inputs: Inputs, text: str, said: str) -> None:
    (ready.workspace / "lookalike.toml").write_text(text)
    for words in (("ingest", inputs.log), TRAIN, expanding(inputs.seed)):
        message, hint = ready.refused(2, *words)
        assert message.startswith(f"{ready.workspace / 'lookalike.toml'}: ")
        assert said in message
        assert hint


def test_settings_that_are_no_text(ready: Command, inputs: Inputs) -> None:
    (ready.workspace / "lookalike.toml").write_bytes(b"\xff\xfe\x00")
    ready.refused(2, *expanding(inputs.seed))


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_definition_that_is_wrong(ready: Command, inputs: Inputs, text: str, said: str) -> None:
    definition = inputs.folder / "definition.toml"
    definition.write_text(text)
    message, hint = ready.refused(2, "expand", definition)
    assert said in message
    assert hint


def test_definition_that_is_not_there(ready: Command) -> None:
    message, _ = ready.refused(2, "expand", "nowhere.toml")
    assert "nowhere.toml: no such file" in message


def test_definition_whose_seed_is_not_there(ready: Command, tmp_path: Path) -> None:
    definition = tmp_path / "d.toml"
    definition.write_text('seed = "nowhere.csv"\nsize = 10\n')
    message, _ = ready.refused(3, "expand", definition)
    assert "nowhere.csv" in message


# --- the disk --------------------------------------------------------------------------------------------------------

_LIMITED = """
import resource, sys
from lookalike.cli import main
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""


def limited(most: int, space: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Runs a command that may write no file larger than so many bytes."""
    command = [sys.executable, "-c", _LIMITED, str(most), "--workspace", str(space), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("most", [0, 1_000, 6_000])
def test_expand_that_may_not_write_leaves_the_list_as_it_was(done: Command, inputs: Inputs, most: int) -> None:
    before = snapshot(done.workspace)
    ran = limited(most, done.workspace, *expanding(inputs.seed, 20))
    assert (ran.returncode, ran.stdout) == (4, ""), ran.stderr
    assert [line.split(":")[0] for line in ran.stderr.splitlines()] == ["error", "hint"]
    assert snapshot(done.workspace) == before


def on_a_small_disk(size: str, folder: Path) -> contextlib.AbstractContextManager[Path]:
    @contextlib.contextmanager
    def mounted() -> Iterator[Path]:
        libc = ctypes.CDLL(None, use_errno=True)
        folder.mkdir()
        if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={size}".encode()):
            pytest.skip(f"no small disk can be made here: {errno.errorcode[ctypes.get_errno()]}")
        try:
            yield folder
        finally:
            assert libc.umount2(bytes(folder), 2) == 0

    return mounted()


def fill(folder: Path, left: int) -> None:
    """Leaves so many bytes free."""
    found = os.statvfs(folder)
    with open(folder / "filler", "wb") as file:
        file.write(bytes(max(0, found.f_bavail * found.f_frsize - left)))


def program(space: Path, *words: object) -> subprocess.CompletedProcess[str]:
    code = "import sys\nfrom lookalike.cli import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "--workspace", str(space), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.parametrize("left", [0, 50_000, 200_000])
def test_full_disk_stops_each_command_in_words(ready: Command, inputs: Inputs, tmp_path: Path, left: int) -> None:
    import shutil

    expected = ready(*expanding(inputs.seed)).code
    assert expected == 0
    listed = (ready.workspace / "audiences" / "fans" / "prospects.csv").read_bytes()
    more = tmp_path / "more.csv"
    events().with_columns(user_id="x" + pl.col("user_id")).write_csv(more)
    with on_a_small_disk("24m", tmp_path / "disk") as disk:
        space = disk / "space"
        shutil.copytree(ready.workspace, space)
        fill(disk, left)
        before = snapshot(space)
        stopped = 0
        for words in (TRAIN, expanding(inputs.seed, 50), ("ingest", more)):
            ran = program(space, *words)
            if ran.returncode == 0:
                before = snapshot(space)
                continue
            stopped += 1
            assert (ran.returncode, ran.stdout) == (4, ""), (words, ran)
            assert [line.split(":")[0] for line in ran.stderr.splitlines()[-2:]] == ["error", "hint"]
            after = snapshot(space)
            before = {name: value for name, value in before.items() if "unfinished" not in name}
            kept = {name: value for name, value in after.items() if ".tmp-" not in name}
            if words[0] == "ingest":  # the database may have grown and shrunk
                kept.pop("lookalike.duckdb"), before.pop("lookalike.duckdb")  # type: ignore[attr-defined]
            assert {name: kept.get(name) for name in before} == before
        assert stopped or left
        (disk / "filler").unlink()
        assert program(space, *TRAIN).returncode == 0
        assert program(space, *expanding(inputs.seed)).returncode == 0
        assert (space / "audiences" / "fans" / "prospects.csv").read_bytes() == listed


def test_workspace_that_is_a_file(tmp_path: Path, ready: Command, inputs: Inputs) -> None:
    (tmp_path / "file").write_text("x")
    stranger = Command(ready.capsys, tmp_path / "file")
    for words in (("ingest", inputs.log), TRAIN, expanding(inputs.seed), ("report",)):
        ran = stranger(*words)
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


def hostile_log(folder: Path) -> dict[str, str]:
    """Writes the small log with strange ids in it; gives the strange id of each plain one it stands for."""
    plain = user_ids()
    fans, others = plain[: len(HOSTILE)], plain[150 : 150 + len(HOSTILE)]
    strange = dict(zip(fans, HOSTILE, strict=True)) | dict(zip(others, [f"{h}!" for h in HOSTILE], strict=True))
    items = {f"i{number:02d}": value for number, value in enumerate(HOSTILE)}
    frame = events().with_columns(
        pl.col("item_id").replace(items),
        source=pl.when(pl.col("user_id").is_in(plain[:90])).then(pl.lit(HOSTILE[5])).otherwise(pl.lit("web")),
        user_id=pl.col("user_id").replace(strange),
    )
    frame.write_parquet(folder / "hostile.parquet")
    names = list(items.values())
    pl.DataFrame({"item_id": names, "title": [f"{n} <b>title</b>" for n in names], "family": names}).write_parquet(
        folder / "hostile-items.parquet"
    )
    return strange


def test_strange_ids_and_names_go_through_the_whole_path(fresh: Command, tmp_path: Path) -> None:
    strange = hostile_log(tmp_path)
    seed = tmp_path / "seed.parquet"
    pl.DataFrame({"user_id": user_ids()[len(HOSTILE) : 60]}).write_parquet(seed)
    fresh.workspace.mkdir()
    (fresh.workspace / "lookalike.toml").write_text("[expand]\nmin_cell = 1\n")
    ran = fresh("--json", "ingest", tmp_path / "hostile.parquet", "--items", tmp_path / "hostile-items.parquet")
    assert ran.code == 0, ran.err
    kept = ran.json["totals"]["users"]
    assert fresh(*TRAIN).code == 0
    ran = fresh("--json", *expanding(seed, "100%"), "--name", "all", "--force")
    assert ran.code == 0, ran.err
    whole = fresh("--json", *expanding(seed, "100%"), "--name", "whole", "--force", "--format", "parquet").json
    exact = pl.read_parquet(whole["prospects"])
    as_csv = pl.read_csv(ran.json["prospects"], infer_schema=False)
    assert len(exact) == len(as_csv) == kept - 35
    # the CSV holds the same ids in the same order; those a spreadsheet would run have ' before them
    for given, shown in zip(exact["user_id"], as_csv["user_id"], strict=True):
        assert shown in (given, f"'{given}")
        assert not shown.startswith(("=", "@", "\t", "\r"))
        assert not shown.startswith(("+", "-")) or float(shown)
    assert {given for given in exact["user_id"] if given in strange.values()} >= {
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
    assert "alert(1)" in page  # it is shown, as text
    assert fresh("--json", "report", "some").json["name"] == "some"


def test_list_of_strange_ids_may_be_given_back(fresh: Command, tmp_path: Path) -> None:
    """A list that was written is a list that can be suppressed, whatever the ids are."""
    hostile_log(tmp_path)
    seed = tmp_path / "seed.parquet"
    pl.DataFrame({"user_id": user_ids()[len(HOSTILE) : 60]}).write_parquet(seed)
    assert fresh("ingest", tmp_path / "hostile.parquet").code == 0
    assert fresh(*TRAIN).code == 0
    first = fresh("--json", *expanding(seed, "60%"), "--name", "first", "--force").json
    flags = ("--name", "second", "--force", "--format", "parquet", "--suppress", first["prospects"])
    second = fresh("--json", *expanding(seed, "100%"), *flags).json
    figures = json.loads(Path(second["evaluation"]).read_text())
    assert figures["suppression"] == {"given": first["size"], "matched": first["size"]}
    assert second["size"] == first["candidates"] - first["size"]


def test_strange_seed_matches_itself(fresh: Command, tmp_path: Path) -> None:
    strange = hostile_log(tmp_path)
    assert fresh("ingest", tmp_path / "hostile.parquet").code == 0
    assert fresh(*TRAIN).code == 0
    known = pl.read_parquet(WorkspaceFolder(fresh.workspace).embeddings / "v000001" / "users.parquet")["user_id"]
    seed = tmp_path / "seed.csv"
    plain = [value for value in strange.values() if value in set(known) and not value.startswith("'")]
    pl.DataFrame({"user_id": plain}).write_csv(seed)
    made = fresh("--json", *expanding(seed, "10%"), "--force").json
    assert made["matched"] == len(plain)
