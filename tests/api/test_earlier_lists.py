"""An expansion never takes another's place for good, and not by a slip."""

import json
import shutil
from pathlib import Path

import pytest

from small_log import Command, Inputs, id_file, snapshot, user_ids

pytest_plugins = ("space_fixtures",)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "earlier").glob("*"))


@pytest.fixture
def fans(expanded: Command) -> Path:
    """The folder of the expansion that is there."""
    return expanded.workspace / "audiences" / "fans"


def test_the_list_before_is_kept_whole_and_what_differs_is_told(expanded: Command, inputs: Inputs, fans: Path) -> None:
    assert expanded("report", "fans").code == 0
    before = snapshot(fans)
    size = json.loads((fans / "manifest.json").read_text())["counts"]["prospects"]
    words = ("expand", "--seed", inputs.seed, "--size", size - 2, "--suppress", inputs.suppressed)
    ran = expanded("--json", *words)
    assert ran.code == 0, ran.err
    change = ran.json["change"]
    assert (change["prospects_before"], change["prospects"]) == (size, size - 2)
    assert (change["kept"], change["new"], change["gone"], change["same_seed"]) == ("earlier/v001", 0, 2, True)
    assert change["suppressed"] == change["suppressed_before"] > 0
    assert "kept in earlier/v001" in ran.err
    assert snapshot(fans / "earlier" / "v001") == before
    assert not (fans / "report.html").exists()
    ran = expanded("--json", *words[:4], size, *words[5:])
    assert (ran.json["change"]["kept"], ran.json["change"]["new"]) == ("earlier/v002", 2)
    assert kept(fans) == ["v001", "v002"]
    assert snapshot(fans / "earlier" / "v001") == before
    assert (fans / "prospects.csv").read_bytes() == (fans / "earlier" / "v001" / "prospects.csv").read_bytes()
    status = expanded("--json", "status").json["expansions"]
    assert [(each["name"], each["versions"]) for each in status] == [("fans", 3)]
    assert "2 earlier kept" in expanded("status").out


def test_the_same_again_is_no_other_version_and_loses_nothing(expanded: Command, inputs: Inputs, fans: Path) -> None:
    assert expanded("report", "fans").code == 0
    (fans / "notes.txt").write_text("sent on Monday")
    words = ("expand", "--seed", inputs.seed, "--size", "10%", "--suppress", inputs.suppressed)
    before = snapshot(fans)
    ran = expanded("--json", *words)
    assert ran.json["change"] is None
    after = snapshot(fans)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} <= {"evaluation.json", "manifest.json"}
    assert expanded(*words, "--size", "11%").code == 0
    assert (fans / "earlier" / "v001" / "notes.txt").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--size", "5", "--suppress", "suppressed.csv"), "much shorter (5)"),
        (("--size", "10%"), "without the suppression list suppressed.csv"),
        (("--size", "10%", "--negative", "suppressed.csv"), "without the suppression list suppressed.csv"),
        (("--size", "10%", "--suppress", "none.csv"), "without the suppression list suppressed.csv"),
        (("--size", "1%", "--suppress", "cut/suppressed.csv"), "much shorter (2), with 3 instead of 20 ids"),
    ],
)
def test_a_list_by_a_slip_is_refused_before_the_work_and_made_with_replace(
    expanded: Command, inputs: Inputs, fans: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    shutil.copy(inputs.suppressed, tmp_path)
    (tmp_path / "cut").mkdir()
    id_file(tmp_path / "cut" / "suppressed.csv", user_ids()[40:43])
    id_file(tmp_path / "none.csv", user_ids()[200:220])
    words = ("expand", "--seed", str(inputs.seed), *(str(tmp_path / w) if "." in w else w for w in words))
    before = snapshot(fans)
    ran = expanded("-q", *words)
    assert ran.code == 2
    message, hint = ran.complaint
    assert message.startswith("audiences/fans holds a list of ")
    assert said in message
    assert "--replace" in hint
    assert snapshot(fans) == before
    assert expanded(*words, "--replace").code in (0, 5)
    assert snapshot(fans / "earlier" / "v001") == before


def test_fewer_conditions_and_lost_reasons_are_asked_for_too(ready: Command, inputs: Inputs) -> None:
    words = ("expand", "--seed", inputs.seed, "--size", "20", "--force")
    assert ready(*words, "--name", "other").code == 0
    assert ready(*words, "--reasons", "--disjoint-from", "other").code == 0
    message, _ = ready(*words).complaint
    assert "without reasons (--reasons), not kept apart from other" in message
    assert ready(*words, "--reasons", "--disjoint-from", "other").code == 0
    assert not (ready.workspace / "audiences" / "fans" / "earlier").exists()


def test_a_renamed_suppression_list_is_the_same_and_a_name_with_other_ids_too(
    expanded: Command, inputs: Inputs, tmp_path: Path
) -> None:
    shutil.copy(inputs.suppressed, tmp_path / "optout-march.csv")
    words = ("expand", "--seed", inputs.seed, "--size", "10%", "--suppress")
    assert expanded(*words, tmp_path / "optout-march.csv").code == 0
    id_file(tmp_path / "optout-march.csv", user_ids()[30:52])
    assert expanded(*words, tmp_path / "optout-march.csv").code == 0


def test_a_damaged_list_is_kept_and_made_again(expanded: Command, inputs: Inputs, fans: Path) -> None:
    for name, text in (("prospects.csv", "rank\n"), ("manifest.json", "{")):
        (fans / name).write_text(text)
        ran = expanded("--json", "expand", "--seed", inputs.seed, "--size", "30", "--name", "fans", "--replace")
        assert ran.code == 0, ran.err
    assert (fans / "earlier" / "v002" / "manifest.json").read_text() == "{"
