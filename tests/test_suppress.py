"""People who must not be listed: the standing list, lists given with a command, and lists that do not fit the log."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.data import id_lists, suppressions
from lookalike.data.database import Database
from lookalike.data.id_spellings import count_ways, with_plain_form
from lookalike.embeddings.user_index import Alike, UserIndex
from lookalike.errors import DataError
from lookalike.expansion.result import Evaluation
from small_log import Command, Inputs, events, id_file, user_ids

pytest_plugins = ("space_fixtures",)

USERS = user_ids()
OPTED_OUT = USERS[60:100]  # among the first of any list for the fans
TODAY = datetime.now(UTC).date()


def expanding(inputs: Inputs, *words: object) -> tuple[object, ...]:
    return ("--json", "expand", "--seed", inputs.seed, "--size", "40%", "--force", "--replace", *words)


def listed(command: Command, inputs: Inputs, *words: object) -> set[str]:
    ran = command(*expanding(inputs, *words))
    assert ran.code == 0, ran.err
    return set(pl.read_csv(ran.json["prospects"], infer_schema=False)["user_id"])


# --- the standing list -----------------------------------------------------------------------------------------------


def test_nobody_on_the_standing_list_is_listed_until_taken_off(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    assert listed(ready, inputs) & {*OPTED_OUT}
    assert "ids suppressed" not in ready("status").out
    file = id_file(tmp_path / "out.csv", [user.upper() for user in OPTED_OUT])
    added = ready("--json", "suppress", "add", file, "--reason", "customer").json
    assert added["ways"] == {"capitals": 40}
    assert (added["added"]["number"], added["added"]["reason"], added["added"]["unmatched"]) == (1, "customer", 0)
    assert not listed(ready, inputs) & {*OPTED_OUT}
    assert ready("--json", "status").json["suppressed"] == 40
    assert "ids suppressed" in ready("status").out
    some = id_file(tmp_path / "some.csv", [user.upper() for user in OPTED_OUT[:10]])
    assert ready("--json", "suppress", "remove", some).json == {"lists": [], "ids": 10, "left": 30}
    assert not listed(ready, inputs) & {*OPTED_OUT[10:]}
    assert ready("--json", "suppress", "remove", 1).json == {"lists": [1], "ids": 30, "left": 0}
    assert listed(ready, inputs) & {*OPTED_OUT}


def test_the_standing_list_is_counted_and_in_the_manifest(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    file = id_file(tmp_path / "out.csv", OPTED_OUT)
    ready("suppress", "add", file)
    ran = ready(*expanding(inputs, "--suppress", id_file(tmp_path / "more.csv", OPTED_OUT[-20:] + USERS[100:110])))
    suppression = Evaluation.read(Path(ran.json["evaluation"])).suppression
    assert (suppression.given, suppression.matched, suppression.standing) == (50, 50, 40)
    manifest = Path(ran.json["evaluation"]).with_name("manifest.json").read_text()
    assert hashlib.sha256(file.read_bytes()).hexdigest() in manifest


@pytest.mark.parametrize(("later", "holds"), [(0, True), (9, True), (10, False)])
def test_a_list_holds_up_to_its_last_day(
    ready: Command, inputs: Inputs, tmp_path: Path, later: int, holds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = TODAY + timedelta(days=9)
    ran = ready("suppress", "add", id_file(tmp_path / "out.csv", OPTED_OUT), "--until", until.isoformat())
    assert until.isoformat() in ran.out
    monkeypatch.setattr(suppressions, "today", lambda: TODAY + timedelta(days=later))
    assert bool(listed(ready, inputs) & {*OPTED_OUT}) is not holds


def test_ids_that_were_removed_come_back_with_their_list(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    file = id_file(tmp_path / "out.csv", OPTED_OUT)
    ready("suppress", "add", file)
    ready("suppress", "remove", id_file(tmp_path / "some.csv", OPTED_OUT[:5]))
    again = ready("--json", "suppress", "add", file).json
    assert (again["was_there"], again["added"]["ids"]) == (True, 40)
    assert not listed(ready, inputs) & {*OPTED_OUT}


def test_the_number_of_a_removed_list_is_not_given_again(ready: Command, tmp_path: Path) -> None:
    numbers = []
    for _ in range(3):
        added = ready("--json", "suppress", "add", id_file(tmp_path / "out.csv", OPTED_OUT)).json["added"]
        numbers.append(added["number"])
        ready("suppress", "remove", added["number"])
    assert numbers == [1, 2, 3]


def test_a_standing_list_is_compared_with_the_log_as_it_is_now(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    ready("suppress", "add", id_file(tmp_path / "out.csv", OPTED_OUT))
    renamed = events().with_columns(user_id="new-" + pl.col("user_id"))
    renamed.write_parquet(tmp_path / "renamed.parquet")
    for words in (("remove-file", inputs.log.name), ("ingest", tmp_path / "renamed.parquet"), ("embed",)):
        assert ready(*words).code == 0
    seed = id_file(tmp_path / "fans.csv", [f"new-{user}" for user in USERS[:40]])
    message, _ = ready.refused(3, "expand", "--seed", seed, "--size", "20")
    assert message.startswith("standing list 1 (out.csv): 40 of 40 ids to suppress are nobody's in the log")


def test_a_list_is_added_once_for_each_reason_and_end(ready: Command, tmp_path: Path) -> None:
    file = id_file(tmp_path / "out.csv", OPTED_OUT)
    calls = ((), (), ("--reason", "campaign:spring"), ("--until", "2999-01-01"), ())
    added = [ready("--json", "suppress", "add", file, *words).json for words in calls]
    assert [each["was_there"] for each in added] == [False, True, False, False, True]
    lists = ready("--json", "suppress", "list").json
    assert [each["reason"] for each in lists["lists"]] == ["optout", "campaign:spring", "optout"]
    assert lists["people"] == 40
    shown = ready("suppress", "list").out
    assert "campaign:spring" in shown
    assert "Suppressed today: 40\u00a0ids" in shown
    assert not any(user in shown for user in OPTED_OUT)


def test_opt_outs_may_come_before_the_log(fresh: Command, inputs: Inputs, tmp_path: Path) -> None:
    ran = fresh("suppress", "add", id_file(tmp_path / "out.csv", OPTED_OUT))
    assert "looked at by the first expansion" in ran.out
    for words in (("ingest", inputs.log), ("train", "--encoder", "mean", "--dim", "16", "--epochs", "1")):
        assert fresh(*words).code == 0
    assert not listed(fresh, inputs) & {*OPTED_OUT}


def test_what_was_never_compared_with_the_log_is_compared_by_the_first_expansion(
    fresh: Command, inputs: Inputs, tmp_path: Path
) -> None:
    fresh("suppress", "add", id_file(tmp_path / "out.csv", [f"stranger{n}" for n in range(30)]))
    for words in (("ingest", inputs.log), ("train", "--encoder", "mean", "--dim", "16", "--epochs", "1")):
        assert fresh(*words).code == 0
    message, _ = fresh.refused(3, *expanding(inputs))
    assert message.startswith("standing list 1 (out.csv): 30 of 30 ids to suppress are nobody's in the log")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--reason", "because"), 2, "reason 'because' is not optout, customer or campaign:NAME"),
        (("--until", "soon"), 2, "--until 'soon' is not a date"),
        (("--until", "2020-01-01"), 2, "--until 2020-01-01 is past: the list would hold for nobody"),
        (("--allow-unmatched", "half"), 2, "'half' is not a share from 0% to 100%"),
    ],
)
def test_a_wrong_flag(ready: Command, tmp_path: Path, words: tuple[str, ...], code: int, message: str) -> None:
    file = id_file(tmp_path / "out.csv", OPTED_OUT)
    assert ready.refused(code, "suppress", "add", file, *words)[0] == message


def test_what_is_not_there_cannot_be_removed(ready: Command, tmp_path: Path) -> None:
    assert ready.refused(4, "suppress", "remove", 7)[0] == "no list has the number 7"
    file = id_file(tmp_path / "out.csv", OPTED_OUT)
    assert "on the standing list" in ready.refused(4, "suppress", "remove", file)[0]
    assert ready.refused(3, "suppress", "remove", tmp_path / "none.csv")[0].endswith("no such file")


def test_a_finished_list_with_somebody_suppressed_is_not_written(
    ready: Command, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where leaving them out before the ranking fails, the last look does not."""

    def nobody(_: UserIndex, database: Database, lists: dict[str, pl.DataFrame]) -> dict[str, Alike]:
        return {name: Alike(np.zeros(0, np.int64), {}, ids.clear()) for name, ids in lists.items()}

    file = id_file(tmp_path / "out.csv", OPTED_OUT)
    assert ready("suppress", "add", file).code == 0
    monkeypatch.setattr(UserIndex, "alike", nobody)
    ran = ready(*expanding(inputs))
    assert (ran.code, ran.out) == (5, "")
    assert "people who must not be listed came into the list: nothing was written" in ran.complaint[0]
    assert not [*(ready.workspace / "audiences").glob("*/prospects.*")]


# --- lists that do not fit the log -----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["suppress add", "expand"])
@pytest.mark.parametrize(
    ("known", "strangers", "fits"),
    [(39, 1, True), (38, 2, True), (37, 3, False), (18, 1, False), (19, 1, True), (5, 0, True), (0, 1, False)],
)
def test_a_list_of_strangers_is_refused(
    ready: Command, inputs: Inputs, tmp_path: Path, call: str, known: int, strangers: int, fits: bool
) -> None:
    file = id_file(tmp_path / "out.csv", USERS[60 : 60 + known] + [f"stranger{n}" for n in range(strangers)])
    words = ("suppress", "add", file) if call == "suppress add" else expanding(inputs, "--suppress", file)
    if fits:
        assert ready(*words).code == 0
        return
    message, hint = ready.refused(3, "-q", *words)
    of = known + strangers
    assert message == f"out.csv: {strangers} of {of} ids to suppress are nobody's in the log, in any spelling"
    share = -(-100 * strangers // of)
    assert hint == f"--allow-unmatched {share}% if these people are really not in the log"
    assert ready(*words, "--allow-unmatched", f"{share}%").code == 0


def test_the_refusal_says_how_the_ids_differ(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    file = id_file(tmp_path / "out.csv", [f"person{n}@example.com" for n in range(40)])
    _, hint = ready.refused(3, *expanding(inputs, "--suppress", file))
    assert hint.startswith(
        "they are e-mail addresses, and the log's ids are text: write them as the log does; or --allow"
    )
    assert "example.com" not in hint


@pytest.mark.parametrize("standing", ["hashed", "plain"])
def test_people_are_suppressed_by_their_hash_whatever_stands_beside(
    ready: Command, inputs: Inputs, tmp_path: Path, standing: str
) -> None:
    hashes = [hashlib.sha256(user.encode()).hexdigest() for user in OPTED_OUT[:10]]
    lists = {
        "hashed": id_file(tmp_path / "hashed.csv", hashes),
        "plain": id_file(tmp_path / "plain.csv", OPTED_OUT[10:]),
    }
    ran = ready("--json", "suppress", "add", lists.pop(standing))
    assert ran.json["added"]["unmatched"] == 0
    (other,) = lists.values()
    assert not listed(ready, inputs, "--suppress", other) & {*OPTED_OUT}


@pytest.mark.parametrize("call", ["suppress add", "expand"])
@pytest.mark.parametrize(
    "lines",
    [
        ["user_id,email", *(f"{user}," for user in OPTED_OUT[:30]), *(f",{user}@x.com" for user in OPTED_OUT[30:])],
        ["user_id,note", *(f"{user}," for user in OPTED_OUT[:30]), *(",opted out" for _ in OPTED_OUT[30:])],
        ["user_id", *OPTED_OUT, "#REF!"],
    ],
    ids=["other_column", "no_id", "placeholder"],
)
def test_no_line_of_a_list_is_missed(
    ready: Command, inputs: Inputs, tmp_path: Path, call: str, lines: list[str]
) -> None:
    file = tmp_path / "out.csv"
    file.write_text("\n".join(lines))
    words = ("suppress", "add", file) if call == "suppress add" else expanding(inputs, "--suppress", file)
    message, _ = ready.refused(3, *words)
    assert "lines have no id" in message or "10 of 40 ids to suppress are nobody's" in message


def test_thousands_are_no_decimals(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("user_id\n10.000\n10.250\n11.000\n7.0\n")
    assert id_lists.read_all_ids(file)["user_id"].to_list() == ["10.000", "10.250", "11.000", "7"]
    assert id_lists.read_ids(file).ids["user_id"].to_list() == ["10.000", "10.250", "11.000", "7"]
    file.write_text("user_id\n10.000\n11.000\n7.0\n")
    assert id_lists.read_ids(file).ids["user_id"].to_list() == ["10", "11", "7"]


@pytest.mark.parametrize("heading", ["user_id\n", ""], ids=["heading", "no_heading"])
def test_a_list_is_read_as_cautiously_with_and_without_a_heading(tmp_path: Path, heading: str) -> None:
    file = tmp_path / "out.csv"
    file.write_text(f"{heading}12.000\n13.000\n")
    assert id_lists.read_all_ids(file)["user_id"].to_list() == ["12.000", "13.000"]
    file.write_text(f"{heading}ann\n#REF!\n")
    with pytest.raises(DataError, match="1 of 2 lines have no id"):
        id_lists.read_all_ids(file)


def test_ids_are_removed_as_they_were_added(ready: Command, tmp_path: Path) -> None:
    file = id_file(tmp_path / "out.csv", ["12.000", "13.000"])
    ready("suppress", "add", file, "--allow-unmatched", "100%")
    assert ready("--json", "suppress", "remove", file).json["ids"] == 2


def test_what_may_be_thousands_or_a_decimal_suppresses_both() -> None:
    lists = with_plain_form(pl.DataFrame({"user_id": ["12.000", "1.250", "7"]}))
    assert sorted(lists["alike"]) == ["12", "12000", "1250", "7"]
    assert count_ways(pl.DataFrame({"user_id": ["12.000", "13.000"], "known": ["12", "13000"]})) == {
        "thousands marks": 1,
        "a final .0": 1,
    }


def test_unmatched_ids_that_are_allowed_are_a_warning(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    file = id_file(tmp_path / "out.csv", [*OPTED_OUT, "stranger"])
    ran = ready(*expanding(inputs, "--suppress", file))
    assert {"code": "unmatched_suppression", "ids": 1, "given": 41} in ran.json["warnings"]


def test_what_was_allowed_is_kept_with_the_list(fresh: Command, inputs: Inputs, tmp_path: Path) -> None:
    lists = [id_file(tmp_path / f"{name}.csv", [f"{name}{n}" for n in range(30)]) for name in ("one", "two")]
    fresh("suppress", "add", lists[0], "--allow-unmatched", "100%")
    fresh("suppress", "add", lists[1])
    for words in (("ingest", inputs.log), ("train", "--encoder", "mean", "--dim", "16", "--epochs", "1")):
        assert fresh(*words).code == 0
    message, _ = fresh.refused(3, *expanding(inputs))
    assert message.startswith("standing list 2 (two.csv): 30 of 30 ids")
    ran = fresh("suppress", "add", lists[1], "--allow-unmatched", "100%")
    assert "30\u00a0ids are nobody's in the log" in ran.out
    assert [each["unmatched"] for each in fresh("--json", "suppress", "list").json["lists"]] == [None, 30]
    assert listed(fresh, inputs)


def test_a_definition_may_allow_strangers(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    id_file(tmp_path / "out.csv", [*OPTED_OUT, "one", "two", "three"])
    definition = tmp_path / "fans.toml"
    text = f'seed = "{inputs.seed}"\nsize = "5%"\nsuppress = "out.csv"\n'
    definition.write_text(text)
    ready.refused(3, "expand", definition)
    definition.write_text(f'{text}allow_unmatched = "10%"\n')
    assert ready("expand", definition, "--force").code == 0
