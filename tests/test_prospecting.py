"""Seeds with values, people of whom fewer are wanted, parts of a seed, and lists that must not overlap."""

import json
from pathlib import Path

import polars as pl
import pytest

from small_log import FANS, Command, Inputs, user_ids

pytest_plugins = ("space_fixtures",)

TWO_TASTES = [*user_ids()[:60], *user_ids()[FANS : FANS + 60]]


def ids(path: Path) -> list[str]:
    return pl.read_csv(path, schema_overrides={"user_id": pl.String})["user_id"].to_list()


def write(path: Path, users: list[str], **columns: list[object]) -> Path:
    pl.DataFrame({"user_id": users, **columns}, strict=False).write_csv(path)
    return path


def listed(workspace: Path, name: str) -> list[str]:
    return ids(workspace / "audiences" / name / "prospects.csv")


def found(workspace: Path, name: str) -> dict[str, object]:
    text: dict[str, object] = json.loads((workspace / "audiences" / name / "evaluation.json").read_text())
    return text


# --- values ----------------------------------------------------------------------------------------------------------


def test_equal_values_give_the_bytes_of_no_values(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    seed = ids(inputs.seed)
    write(tmp_path / "plain.csv", seed)
    write(tmp_path / "valued.csv", seed, value=[7] * len(seed))
    for name in ("plain", "valued"):
        assert ready("expand", "--seed", tmp_path / f"{name}.csv", "--size", "20").code == 0
    read = [(ready.workspace / "audiences" / name / "prospects.csv").read_bytes() for name in ("plain", "valued")]
    assert read[0] == read[1]
    assert found(ready.workspace, "valued")["seed"]["valued"] is True  # type: ignore[index]


def test_values_are_held_back_and_their_effective_number_is_told(
    ready: Command, inputs: Inputs, tmp_path: Path
) -> None:
    seed = ids(inputs.seed)
    write(tmp_path / "rich.csv", seed, value=[1_000_000, *range(1, len(seed))])
    assert ready("expand", "--seed", tmp_path / "rich.csv", "--size", "20").code == 0
    told = found(ready.workspace, "rich")
    assert 20 < told["seed"]["effective"] < 39  # type: ignore[index, operator]
    assert told["held_out"]["value_lift"] > 1  # type: ignore[index]


@pytest.mark.parametrize("value", ["-1", "0", "inf", "nan", "much", ""])
def test_a_value_that_is_no_weight_is_refused_with_its_line(
    ready: Command, inputs: Inputs, tmp_path: Path, value: str
) -> None:
    seed = ids(inputs.seed)
    file = write(tmp_path / "odd.csv", seed, value=["1", "2", value, *["3"] * (len(seed) - 3)])
    message, hint = ready.refused(3, "expand", "--seed", file, "--size", "20")
    assert "odd.csv: line 4: value " in message
    assert "(1 such lines)" in message
    assert "value" in hint


# --- negative examples -----------------------------------------------------------------------------------------------


def test_people_of_whom_fewer_are_wanted_push_their_like_away(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    seed, others = ids(inputs.seed), ids(inputs.others)
    mixed = write(tmp_path / "mixed.csv", [*seed, *others[:20]])
    against = write(tmp_path / "against.csv", others[20:])
    for name, flags in (("plain", ()), ("pushed", ("--negative", against))):
        words = ("expand", "--seed", mixed, "--size", "30", "--scorer", "logistic", "--force", "--name", name, *flags)
        assert ready(*words).code == 0
    assert found(ready.workspace, "pushed")["seed"]["negative"] > 0  # type: ignore[index, operator]
    assert listed(ready.workspace, "plain") != listed(ready.workspace, "pushed")
    manifest = json.loads((ready.workspace / "audiences" / "pushed" / "manifest.json").read_text())
    assert [one["name"] for one in manifest["inputs"]] == ["mixed.csv", "against.csv"]


def test_negative_examples_that_are_nobody_are_told(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    nobody = write(tmp_path / "nobody.csv", ["x1", "x2"])
    ran = ready("expand", "--seed", inputs.seed, "--size", "20", "--negative", nobody)
    assert "warning: the negative examples name 0 known users" in ran.err
    ready.refused(3, "expand", "--seed", inputs.seed, "--size", "20", "--negative", tmp_path / "gone.csv")


# --- features, parts, other lists ------------------------------------------------------------------------------------


def test_a_feature_that_is_dropped_takes_the_user_embedding_with_it(ready: Command, inputs: Inputs) -> None:
    words = ("expand", "--seed", inputs.seed, "--size", "20", "--drop-features", "log_events", "--force")
    assert ready(*words).code == 0
    tried = {one["name"] for one in found(ready.workspace, "fans")["scorers"]}  # type: ignore[attr-defined]
    assert "logistic" in tried
    assert not tried & {"centroid", "transfer", "neighbours", "ensemble"}
    ready.refused(2, "expand", "--seed", inputs.seed, "--size", "20", "--drop-features", "log_event")
    ready.refused(2, *words, "--scorer", "centroid")


def test_a_seed_that_is_one_audience_is_not_split(ready: Command, inputs: Inputs) -> None:
    message, _ = ready.refused(5, "expand", "--seed", inputs.seed, "--size", "20", "--split")
    assert "one audience" in message


def test_the_parts_of_a_seed_have_lists_without_anybody_of_the_seed(
    ready: Command, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lookalike.expansion import seed_profile

    monkeypatch.setattr(seed_profile, "MIN_SEPARATION", 0.0)  # the two halves of so small a log hardly stand apart
    monkeypatch.setattr(seed_profile, "MIN_STABILITY", -1.0)
    monkeypatch.setattr(seed_profile, "MAX_SUB_AUDIENCES", 2)
    both = TWO_TASTES
    file = write(tmp_path / "both.csv", both)
    made = ready("--json", "expand", "--seed", file, "--size", "20", "--split", "--force").json["audiences"]
    assert [one["name"] for one in made] == ["both-1", "both-2"]
    groups = [found(ready.workspace, one["name"])["seed"] for one in made]
    assert [(group["group"], group["groups"]) for group in groups] == [(1, 2), (2, 2)]  # type: ignore[index]
    assert sum(group["used"] for group in groups) == made[0]["matched"]  # type: ignore[index]
    for one in made:
        assert not set(listed(ready.workspace, one["name"])) & set(both)
    assert ready("report", "both-1").code == 0


def test_a_list_says_what_share_of_each_part_it_has_and_balance_keeps_the_seeds(
    ready: Command, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lookalike.expansion import seed_profile

    monkeypatch.setattr(seed_profile, "MIN_SEPARATION", 0.0)
    monkeypatch.setattr(seed_profile, "MIN_STABILITY", -1.0)
    monkeypatch.setattr(seed_profile, "MAX_SUB_AUDIENCES", 2)
    file = write(tmp_path / "both.csv", TWO_TASTES)
    words = ("expand", "--seed", file, "--size", "40", "--scorer", "logistic", "--force")
    assert ready(*words).code == 0
    plain = found(ready.workspace, "both")
    assert ready(*words, "--balance").code == 0
    kept = found(ready.workspace, "both")

    def farthest(told: dict[str, object]) -> float:
        return max(abs(part["list"] - part["seed"]) for part in told["shares"])  # type: ignore[attr-defined]

    assert sum(part["list"] for part in plain["shares"]) == pytest.approx(1)  # type: ignore[attr-defined]
    assert farthest(kept) < 0.12
    assert farthest(kept) < farthest(plain)
    assert plain["diagnosis"]["gain_of_splitting"] is not None  # type: ignore[index]
    page = ready("report", "both")
    said = " ".join(page.out.split())
    assert "Of the list" in said
    assert "--balance" not in said  # it is balanced already
    message, _ = ready.refused(2, *words, "--balance", "--drop-features", "log_events")
    assert "--balance reads the user embedding" in message


def test_one_audience_has_nothing_to_balance(ready: Command, inputs: Inputs) -> None:
    words = ("expand", "--seed", inputs.seed, "--size", "20")
    assert ready(*words).code == 0
    plain = (ready.workspace / "audiences" / "fans" / "prospects.csv").read_bytes()
    ran = ready(*words, "--balance")
    assert "warning: the seed is one audience: there is nothing to balance" in ran.err
    assert (ready.workspace / "audiences" / "fans" / "prospects.csv").read_bytes() == plain


def test_a_definition_may_ask_for_balance_and_reasons(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "asked.toml").write_text(f'seed = "{inputs.seed}"\nsize = 20\nbalance = true\nreasons = true\n')
    ran = ready("--json", "expand", tmp_path / "asked.toml")
    assert ran.code == 0, ran.err
    assert Path(ran.json["reasons_of_each"]).exists()
    assert "nothing to balance" in ran.err


def test_the_first_tier_is_set_beside_the_last(ready: Command, inputs: Inputs) -> None:
    (ready.workspace / "lookalike.toml").write_text("[expand]\nrepeats = 2\nfolds = 3\ntiers = 2\n")
    assert ready("expand", "--seed", inputs.seed, "--size", "100").code == 0
    told = found(ready.workspace, "fans")["between_tiers"]
    assert (told["audience_users"], told["base_users"]) == (50, 50)  # type: ignore[index]
    more = [row["label"] for group in told["groups"] for row in group["rows"]]  # type: ignore[index]
    assert more
    ready("report", "fans")
    page = (ready.workspace / "audiences" / "fans" / "report.html").read_text()
    assert "What the first tier does more than the last" in page
    assert (
        ready("expand", "--seed", inputs.seed, "--size", "40").code == 0
    )  # tiers of 20 people are too small to compare
    assert found(ready.workspace, "fans")["between_tiers"] is None


def test_a_list_may_be_kept_apart_from_another_and_the_overlap_is_shown(ready: Command, inputs: Inputs) -> None:
    one = ("expand", "--seed", inputs.seed, "--size", "30", "--name")
    assert ready(*one, "first").code == 0
    assert ready(*one, "second", "--disjoint-from", "first", "--force").code == 0
    assert ready(*one, "again").code == 0
    shared = ready("--json", "overlap", "first", "second", "again").json
    assert {(pair["first"], pair["second"]): pair["both"] for pair in shared["pairs"]} == {
        ("first", "second"): 0,
        ("first", "again"): 30,
        ("second", "again"): 0,
    }
    assert shared["in"] == [
        {"lists": 1, "people": 30},
        {"lists": 2, "people": 30},
        {"lists": 3, "people": 0},
    ]
    assert "30 (100%)" in ready("overlap", "first", "again").out
    ready.refused(4, *one, "third", "--disjoint-from", "gone")
    ready.refused(4, "overlap", "first", "gone")
    ready.refused(2, "overlap", "first", "first")


def test_two_definitions_of_one_name_do_not_replace_each_other(ready: Command, inputs: Inputs, tmp_path: Path) -> None:
    for file, seed in (("one", inputs.seed), ("other", inputs.others)):
        (tmp_path / f"{file}.toml").write_text(f'name = "same"\nseed = "{seed}"\nsize = 20\n')
    assert ready("expand", tmp_path / "one.toml").code == 0
    message, hint = ready.refused(2, "expand", tmp_path / "other.toml")
    assert "audiences/same holds the list of another seed" in message
    assert "--name" in hint
    assert ready("expand", tmp_path / "one.toml").code == 0  # its own list it may replace
    assert ready("expand", tmp_path / "other.toml", "--name", "same").code in (0, 5)


def test_several_definitions_are_ranked_in_one_pass_and_each_list_is_as_alone(
    ready: Command, inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lookalike.expansion.ranking import scan

    passes: list[int] = []
    rank = scan.rank
    monkeypatch.setattr(
        scan, "rank", lambda live, wanted, *more: passes.append(len(wanted)) or rank(live, wanted, *more)
    )
    files = [tmp_path / "fans.toml", tmp_path / "stated.toml", tmp_path / "noise.toml"]
    files[0].write_text(f'seed = "{inputs.seed}"\nsize = 20\n')
    files[1].write_text(
        f'seed = "{inputs.seed}"\nsize = "10%"\nscorer = "centroid"\nsuppress = "{inputs.suppressed}"\n'
    )
    files[2].write_text(f'seed = "{inputs.others}"\nsize = 20\n')  # by the verdict not to be listed
    ran = ready("--json", "expand", *files)
    assert ran.code == 0, ran.err
    made = ran.json["audiences"]
    assert [one["name"] for one in made] == ["fans", "stated", "noise"]
    assert made[2]["prospects"] is None
    assert passes == [2]
    together = [Path(one["prospects"]).read_bytes() for one in made[:2]]
    for file, list_of in zip(files, together, strict=False):
        assert ready("expand", file).code == 0
        assert (ready.workspace / "audiences" / file.stem / "prospects.csv").read_bytes() == list_of
    message, _ = ready.refused(2, "expand", *files, "--name", "x")
    assert "--name is for one audience, not for 3" in message
    files[1].write_text(f'seed = "{inputs.seed}"\nsize = 20\ndisjoint_from = ["fans"]\n')
    message, hint = ready.refused(2, "expand", *files)
    assert "stated is to be kept apart from fans, which is only being made now" in message
    assert hint == "lookalike expand fans.toml first"
    files[1].write_text(f'name = "fans"\nseed = "{inputs.seed}"\nsize = 20\n')
    message, _ = ready.refused(2, "expand", *files)
    assert "two audiences are called fans" in message


def test_a_feature_that_defines_the_seed_stands_beside_the_verdict(ready: Command, tmp_path: Path) -> None:
    from small_log import events

    purchases = events().filter(pl.col("event_type") == "purchase")["user_id"].value_counts()
    most = purchases.sort("count", "user_id", descending=True)["user_id"].to_list()[:40]
    ran = ready("--json", "expand", "--seed", write(tmp_path / "buyers.csv", most), "--size", "20", "--force")
    told = ran.json
    assert "--drop-features" in told["careful"][0]
    assert ready("report", "buyers").out.count("! careful:") == 1


def test_what_speaks_against_a_seed_is_what_the_error_says(ready: Command, inputs: Inputs) -> None:
    ran = ready("--json", "expand", "--seed", inputs.others, "--size", "20")
    assert ran.code == 5
    told = ran.json
    assert told["against"]
    assert {*told["against"]} <= {*told["reasons"]}
    assert ran.complaint[0] == f"do not expand: {'; '.join(told['against'])}"
