"""An audience before the pass over all users: measured, judged, described, and ready to be ranked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from expansion_context import measured, opened_context
from lookalike.data.id_lists import IdFrame
from lookalike.errors import ExpansionError, SettingsError
from lookalike.expansion import measurement, seed_profile
from lookalike.expansion.audience import Audience, Size
from lookalike.expansion.measurement import Measurement, measure, split_by_sub_audience
from lookalike.expansion.messages import ListedElsewhere, NothingToBalance, SeedsWithoutHistory
from lookalike.expansion.reading import read_examples
from lookalike.expansion.seed import Part
from lookalike.expansion.seed_profile import SubAudiences
from lookalike.expansion.seed_reader import read_seed
from recording_progress import RecordingProgress
from small_log import FANS, fans_with_moments, user_ids

pytest_plugins = ("space_fixtures",)

FANS_IDS = user_ids()[:40]
TWO_TASTES = [*user_ids()[:60], *user_ids()[FANS : FANS + 60]]


def frame(ids: list[str], **columns: object) -> IdFrame:
    return IdFrame(pl.DataFrame({"user_id": ids, **columns}), "the seed")


def audience_of(ids: list[str], size: Size | None = None, **fields: object) -> Audience:
    return Audience("a", frame(ids), size or Size(count=20), **{"scorer": "logistic", **fields})


def measurement_of(space: Path, audience: Audience, force: bool = False) -> Measurement:
    with opened_context(space) as context:
        return measured(context, audience, force)


@pytest.fixture
def two_sub_audiences(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every seed is two sub-audiences: those of so small a log hardly stand apart."""
    monkeypatch.setattr(seed_profile, "MIN_SEPARATION", 0.0)
    monkeypatch.setattr(seed_profile, "MIN_STABILITY", -1.0)
    monkeypatch.setattr(seed_profile, "MAX_SUB_AUDIENCES", 2)


# --- the request for the list ----------------------------------------------------------------------------------------


def test_a_list_is_requested_if_the_verdict_is_to_expand(trained_space: Path) -> None:
    result = measurement_of(trained_space, audience_of(FANS_IDS))
    assert result.verdict.expand
    assert not result.verdict.forced
    assert result.request is not None
    assert result.request.size == result.selection.size == 20
    assert result.request.excluded.tolist() == result.input.seed.rows.tolist()
    assert len(result.examples.background) == 0, "only fits need it"
    assert result.examples.seeds == 40
    assert result.warnings == ()


def test_against_the_verdict_a_list_is_made_only_by_force(trained_space: Path) -> None:
    nothing_in_common = audience_of(user_ids()[::8])
    refused = measurement_of(trained_space, nothing_in_common)
    assert not refused.verdict.expand
    assert refused.request is None
    assert not refused.verdict.forced
    forced = measurement_of(trained_space, nothing_in_common, force=True)
    assert forced.request is not None
    assert forced.verdict.forced
    assert forced.selection.verdict == refused.selection.verdict


def test_force_makes_no_list_from_fewer_than_25_seeds(trained_space: Path) -> None:
    result = measurement_of(trained_space, audience_of(FANS_IDS[:24]), force=True)
    assert result.request is None
    assert not result.verdict.forced
    assert result.verdict.failed[0].name == "enough_seeds"


def test_a_size_above_the_candidates_is_refused_before_anything_is_measured(trained_space: Path) -> None:
    with pytest.raises(ExpansionError, match="only 260 candidates are left"):
        measurement_of(trained_space, audience_of(FANS_IDS, Size(count=261)))


def test_the_same_settings_give_the_same_figures_and_the_same_scorer(trained_space: Path) -> None:
    first, again = (measurement_of(trained_space, audience_of(FANS_IDS, scorer="auto")) for _ in range(2))
    assert first.selection.scorer == again.selection.scorer
    assert first.verdict == again.verdict
    assert first.profile == again.profile
    for name, quantiles in first.selection.quantiles.items():
        assert np.array_equal(quantiles, again.selection.quantiles[name])
    with opened_context(trained_space) as context:
        users = context.representation.gather(np.arange(300))
    assert first.request is not None
    assert again.request is not None
    assert np.array_equal(first.request.score(users), again.request.score(users))


def test_warnings_are_those_of_the_lists_and_of_the_seed_and_each_is_reported_once(
    trained_space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "profile_warnings", lambda profile, seeds: (NothingToBalance(),))
    progress = RecordingProgress()
    with opened_context(trained_space, progress=progress) as context:
        audience = audience_of([*FANS_IDS, *(f"x{n}" for n in range(20))])
        result = measured(context, audience)
    assert [warning.code for warning in result.warnings] == ["low_match_rate", "nothing_to_balance"]
    assert tuple(progress.messages) == result.warnings


def test_candidates_on_another_list_are_warned_of(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        audience = audience_of(FANS_IDS)
        seed_input = read_seed(context, audience)
        others = np.setdiff1d(np.arange(300), seed_input.seed.rows)[:30]
        with_listed = replace(seed_input, seed=replace(seed_input.seed, listed_elsewhere=others))
        result = measure(context, audience, with_listed, force=True, insist_on_backtest=False)
    assert result.warnings == (ListedElsewhere(users=30),)
    assert result.selection.requested.begin == 30 / 260
    assert result.request is not None
    assert np.isin(others, result.request.excluded).all()


# --- seeds with moments ----------------------------------------------------------------------------------------------


def dated(moments: list[str]) -> Audience:
    return Audience("a", frame(user_ids()[: len(moments)], ts=moments), Size(count=20), scorer="logistic")


def test_the_examples_of_a_seed_with_moments_are_users_as_they_were(trained_space: Path) -> None:
    audience = dated(["2023-01-01"] * 3 + ["2024-03-20"] * 37)
    with opened_context(trained_space) as context:
        dated_input = read_seed(context, audience)
        then = read_examples(context, dated_input)
        now = read_examples(context, read_seed(context, audience_of(FANS_IDS)))
    examples, plain = then.examples, now.examples
    assert (examples.seeds, then.warnings) == (37, (SeedsWithoutHistory(seeds=3),))
    assert (plain.seeds, now.warnings, now.forecast) == (40, (), None)
    column = examples.activity_column
    assert np.median(examples.seed[:, column]) < np.median(plain.seed[:, column])


def test_a_seed_with_moments_is_backtested_and_one_without_is_not(trained_space: Path) -> None:
    fans = fans_with_moments()
    seed = IdFrame(fans.with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%S")), "the seed")
    audience = Audience("a", seed, Size(share=0.2), scorer="logistic")
    result = measurement_of(trained_space, audience, force=True)
    assert result.backtest is not None
    assert result.backtest.share == pytest.approx(0.2, abs=0.01)
    assert measurement_of(trained_space, audience_of(FANS_IDS)).backtest is None


def test_a_backtest_that_cannot_be_made_is_an_error_only_if_it_was_asked_for(trained_space: Path) -> None:
    audience = dated(["2024-03-01"] * 40)  # all at once: nobody came before
    with opened_context(trained_space) as context:
        seed_input = read_seed(context, audience)
        assert measure(context, audience, seed_input, force=True, insist_on_backtest=False).backtest is None
        with pytest.raises(ExpansionError, match="too few for a backtest"):
            measure(context, audience, seed_input, force=True, insist_on_backtest=True)


def test_negative_examples_and_moments_go_together(trained_space: Path) -> None:
    negative = IdFrame(pl.DataFrame({"user_id": user_ids()[150:200]}), "the negative examples")
    audience = replace(dated(["2024-03-20"] * 40), before="purchase", negative=(negative,))
    result = measurement_of(trained_space, audience, force=True)
    assert 0 < len(result.examples.negatives) <= 50
    assert result.request is not None


# --- sub-audiences ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("two_sub_audiences")
def test_a_balanced_list_keeps_the_sub_audiences(trained_space: Path) -> None:
    plain = measurement_of(trained_space, audience_of(TWO_TASTES), force=True)
    balanced = measurement_of(trained_space, audience_of(TWO_TASTES, balance=True), force=True)
    assert plain.examples.sub_audience is None
    assert plain.profile.gain_of_splitting is not None
    assert np.array_equal(balanced.examples.sub_audience, balanced.sub_audiences.of)
    assert balanced.profile.gain_of_splitting is None
    assert len(balanced.sub_audiences.parts) == 2


def test_one_audience_has_nothing_to_balance(trained_space: Path) -> None:
    result = measurement_of(trained_space, audience_of(FANS_IDS, balance=True))
    assert result.warnings == (NothingToBalance(),)
    assert result.examples.sub_audience is None


def test_balance_and_dropped_features_exclude_each_other(trained_space: Path) -> None:
    audience = audience_of(FANS_IDS, balance=True, drop_features=("log_events",))
    with pytest.raises(SettingsError, match="--balance reads the user embedding"):
        measurement_of(trained_space, audience)


def test_the_verdict_gives_the_number_of_sub_audiences_if_splitting_is_reliable(
    trained_space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_profile, "MIN_SEPARATION", 0.0)
    monkeypatch.setattr(seed_profile, "MIN_STABILITY", -1.0)
    monkeypatch.setattr(seed_profile, "MAX_SUB_AUDIENCES", 2)
    seed = user_ids()[:FANS]
    for reliable, parts in ((True, 2), (False, None)):
        monkeypatch.setattr(seed_profile, "gain_of_splitting", lambda *_, gain=(0.3, reliable): gain)
        result = measurement_of(trained_space, audience_of(seed))
        assert result.verdict.expand
        assert result.verdict.parts == parts
        assert ("several_audiences" in [warning.code for warning in result.warnings]) == reliable


@pytest.mark.usefixtures("two_sub_audiences")
def test_the_parts_of_a_seed_are_audiences_that_list_nobody_of_it(trained_space: Path) -> None:
    audience = audience_of(TWO_TASTES, suppress=(frame(user_ids()[-5:]),), named=True)
    with opened_context(trained_space) as context:
        seed_input = read_seed(context, audience)
        parts = split_by_sub_audience(context, audience, seed_input)
    whole = seed_input.seed
    assert [(part.name, part.named) for part, _ in parts] == [("a-1", False), ("a-2", False)]
    assert [own.part for _, own in parts] == [Part(1, 2), Part(2, 2)]
    assert np.array_equal(np.sort(np.concatenate([own.seed.rows for _, own in parts])), whole.rows)
    for part, own in parts:
        assert np.array_equal(own.seed.excluded, whole.excluded)
        assert own.match == seed_input.match
        assert part.size.count == max(1, round(20 * len(own.seed.rows) / len(whole.rows)))
    assert len(parts[0][1].seed.rows) >= len(parts[1][1].seed.rows)


def test_one_audience_is_not_split(trained_space: Path) -> None:
    audience = audience_of(FANS_IDS)
    with opened_context(trained_space) as context:
        seed_input = read_seed(context, audience)
        with pytest.raises(ExpansionError, match="the seed is one audience"):
            split_by_sub_audience(context, audience, seed_input)


def test_without_sub_audiences_the_measurement_has_none(trained_space: Path) -> None:
    result = measurement_of(trained_space, audience_of(FANS_IDS))
    assert isinstance(result.sub_audiences, SubAudiences)
    assert result.sub_audiences.parts == result.profile.sub_audiences == ()
