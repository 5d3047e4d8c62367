"""Why each is listed: only what they and their part of the seed have met, and nothing a spreadsheet would run."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lookalike.cli.app import main
from lookalike.expansion import explanations
from small_log import SETTINGS, TRAIN, Command, Inputs, events, items

pytest_plugins = ("space_fixtures",)


def marks(inside: list[int], everybody: list[int], size: int, base: int, fewest: int = 25) -> pl.DataFrame:
    count = len(inside)
    counts = pl.DataFrame(
        {
            "cluster": [0] * count,
            "attribute": [""] * count,
            "value": [f"v{at}" for at in range(count)],
            "inside": inside,
            "everybody": everybody,
            "label": [f"item {at}" for at in range(count)],
        }
    )
    seed = pl.DataFrame({"user_id": [f"u{at}" for at in range(size)], "cluster": [0] * size})
    return explanations.cluster_traits(counts, seed, base, fewest)


def test_a_mark_is_what_the_seed_has_more_often_and_the_heaviest_comes_first() -> None:
    found = marks([20, 40, 5], [300, 100, 100], size=50, base=1_000)
    assert found["label"].to_list() == ["item 1", "item 0"]  # a tenth of both have met the third
    assert found["weight"].is_sorted(descending=True)


def test_what_few_people_have_met_is_no_mark() -> None:
    assert marks([20], [24], size=50, base=5_000).is_empty()
    assert marks([20], [25], size=50, base=5_000).height == 1
    assert marks([25], [3], size=50, base=5_000).height == 1
    assert marks([4], [90], size=5, base=10_000).is_empty()


def test_every_seed_has_a_cluster_and_the_largest_is_the_first() -> None:
    rng = np.random.default_rng(0)
    centres = np.eye(3)
    kind = np.repeat([0, 1, 2], [200, 100, 60])
    vectors = centres[kind] + rng.normal(0, 0.05, (360, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = explanations.cluster_seed(vectors.astype(np.float32))
    sizes = np.bincount(found.of)
    assert len(found.of) == 360
    assert (np.diff(sizes) <= 0).all()
    assert len(found.centres) == len(sizes)
    assert explanations.cluster_seed(vectors[:30].astype(np.float32)).of.tolist() == [0] * 30


def test_each_prospect_has_a_line_of_what_they_met(ready: Command, inputs: Inputs) -> None:
    ran = ready("--json", "expand", "--seed", inputs.seed, "--size", "40", "--reasons")
    assert ran.code == 0, ran.err
    lines = pl.read_csv(ran.json["reasons_of_each"])
    listed = pl.read_csv(ran.json["prospects"])
    assert lines.columns == ["rank", "user_id", "cluster", "shared"]
    assert lines["user_id"].to_list() == listed["user_id"].to_list()
    titles = items().select("item_id", label="item " + pl.col("title"))
    met = events().join(titles, on="item_id").group_by("user_id").agg(pl.col("label").unique())
    families = events().join(items(), on="item_id").group_by("user_id").agg(("family " + pl.col("family")).unique())
    known = {
        user: {*labels, *("word " + word for label in labels for word in label.split())} for user, labels in met.rows()
    }
    for user, labels in families.rows():
        known[user] |= {*labels}
    assert lines["shared"].is_not_null().mean() > 0.9
    for user, shared in lines.drop_nulls("shared").select("user_id", "shared").rows():
        assert 1 <= len(shared.split("; ")) <= explanations.TRAITS_SHOWN
        assert {*shared.split("; ")} <= known[user]
    # the seed's taste is what most of them share
    assert lines["shared"].str.contains("garden").mean() > 0.8


def test_without_the_flag_no_reasons_are_written(ready: Command, inputs: Inputs) -> None:
    ran = ready("--json", "expand", "--seed", inputs.seed, "--size", "40")
    assert ran.json["reasons_of_each"] is None
    assert not list((ready.workspace / "audiences" / "fans").glob("reasons*"))


@pytest.mark.slow
def test_no_text_of_the_log_becomes_a_formula(
    tmp_path: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = items().rename({"family": "=HYPERLINK(1)"})
    hostile.with_columns(title="=1+1 " + pl.col("title")).write_csv(tmp_path / "items.csv")
    space = tmp_path / "space"
    space.mkdir()
    (space / "lookalike.toml").write_text(SETTINGS)
    for words in (
        ("ingest", inputs.log, "--items", tmp_path / "items.csv"),
        TRAIN,
        ("expand", "--seed", inputs.seed, "--size", "40", "--reasons"),
    ):
        assert main(["--workspace", str(space), "--quiet", *map(str, words)]) == 0, capsys.readouterr().err
    lines = (space / "audiences" / "fans" / "reasons.csv").read_text().splitlines()[1:]
    shared = [line.split(",", 3)[3].strip('"') for line in lines]
    assert any("HYPERLINK" in text or "=1+1" in text for text in shared)
    assert not [text for text in shared if text.startswith(("=", "+", "-", "@"))]
