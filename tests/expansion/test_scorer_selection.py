"""Which scorers are measured and which is chosen: the lucky are not, and the choice is judged by seeds that did not make it."""

from dataclasses import replace

import numpy as np
import pytest

from expansion_context import memory_context
from lookalike.errors import SettingsError
from lookalike.expansion.examples import Examples, build_examples
from lookalike.expansion.scorer_selection import choose_scorer, cross_fitted_quantiles, scorers_to_measure
from lookalike.expansion.seed import Seed
from lookalike.workspace.settings import ExpandSettings

NOBODY = np.zeros(0, np.int64)
PAIR = ("centroid", "logistic")


@pytest.fixture
def examples() -> Examples:
    """60 seeds of 1,000 users; no aggregate counts what a user has met, and no prior was learned."""
    vectors = np.random.default_rng(9).normal(size=(1_000, 7)).astype(np.float32)
    context = memory_context(vectors, ("log_events", "c0", "c1", "c2"), 3, ExpandSettings(background=300))
    return build_examples(context, Seed(np.arange(60), NOBODY))


def without_embedding(examples: Examples) -> Examples:
    return replace(examples, space=examples.space.without(NOBODY))


# --- which are measured ----------------------------------------------------------------------------------------------


def test_auto_measures_the_scorers_that_have_won_somewhere_and_can_be_fitted(examples: Examples) -> None:
    assert scorers_to_measure("auto", examples) == ("centroid", "background", "logistic")


def test_the_centroid_is_measured_beside_a_requested_scorer(examples: Examples) -> None:
    for name in examples.space.names:
        assert set(scorers_to_measure(name, examples)) == {"centroid", name}
    assert scorers_to_measure("logistic", without_embedding(examples)) == ("logistic",)


def test_a_scorer_that_is_unknown_or_cannot_be_fitted_is_a_settings_error(examples: Examples) -> None:
    with pytest.raises(SettingsError, match="no scorer is called 'oracle'"):
        scorers_to_measure("oracle", examples)
    with pytest.raises(SettingsError, match="transfer needs what training learns"):
        scorers_to_measure("transfer", examples)
    with pytest.raises(SettingsError, match="--drop-features removes") as refused:
        scorers_to_measure("centroid", without_embedding(examples))
    assert "auto|background|logistic" in refused.value.hint


# --- which is chosen -------------------------------------------------------------------------------------------------


def test_the_reference_scorer_is_chosen_unless_another_is_reliably_better() -> None:
    rng = np.random.default_rng(0)
    poor, good = rng.random((2, 100)), rng.random((2, 100)) ** 3
    assert choose_scorer({"centroid": poor, "logistic": poor.copy()}, PAIR, 0.05) == "logistic"
    assert choose_scorer({"centroid": good, "logistic": poor}, PAIR, 0.05) == "centroid"
    assert choose_scorer({"centroid": poor, "logistic": good}, PAIR, 0.05) == "logistic"
    assert choose_scorer({"centroid": np.ones((2, 9)), "logistic": np.ones((2, 9))}, PAIR, 0.001) == "logistic"
    assert choose_scorer({"centroid": good}, ("centroid",), 0.05) == "centroid"
    three = {"centroid": poor, "logistic": poor, "transfer": poor}
    assert choose_scorer(three, ("centroid", "logistic", "transfer"), 0.05) == "transfer"


def test_one_lucky_seed_does_not_change_the_choice() -> None:
    quantiles = np.full((1, 25), 0.5)
    lucky = quantiles.copy()
    lucky[0, 0] = 0.001
    assert choose_scorer({"centroid": lucky, "logistic": quantiles}, PAIR, 0.05) == "logistic"


# --- by what it is judged --------------------------------------------------------------------------------------------


def test_the_best_of_many_random_scorers_has_a_cross_fitted_lift_of_one() -> None:
    """Chosen and judged on the same seeds, the luckiest of thirty would seem to have lift."""
    cross_fitted_lifts, naive_lifts = [], []
    for run in range(200):
        rng = np.random.default_rng(run)
        random = {f"s{n}": rng.random((1, 60)) for n in range(30)}
        cross_fitted_lifts.append(np.mean(cross_fitted_quantiles(random, tuple(random), 0.1, run) < 0.1) / 0.1)
        naive_lifts.append(np.mean(random[choose_scorer(random, tuple(random), 0.1)] < 0.1) / 0.1)
    assert np.mean(naive_lifts) > 1.2
    assert np.mean(cross_fitted_lifts) == pytest.approx(1, abs=0.1)


def test_a_scorer_that_every_group_chooses_keeps_its_quantiles() -> None:
    rng = np.random.default_rng(1)
    quantiles = {"centroid": rng.random((2, 200)), "logistic": rng.random((2, 200)) ** 4}
    assert np.array_equal(cross_fitted_quantiles(quantiles, PAIR, 0.1, 0), quantiles["logistic"])


def test_each_seed_has_the_quantiles_of_one_scorer_in_every_repeat() -> None:
    rng = np.random.default_rng(1)
    quantiles = {f"s{n}": rng.random((3, 40)) for n in range(6)}
    cross_fitted = cross_fitted_quantiles(quantiles, tuple(quantiles), 0.1, 0)
    for seed in range(40):
        assert any(np.array_equal(cross_fitted[:, seed], values[:, seed]) for values in quantiles.values())
    assert np.array_equal(cross_fitted, cross_fitted_quantiles(quantiles, tuple(quantiles), 0.1, 0))
