"""Random streams are fixed for ever: a change of a number would change every list."""

import numpy as np

from lookalike.workspace.random_streams import Stream, generator


def test_the_numbers_of_the_streams_are_these() -> None:
    assert {name: int(stream) for name, stream in Stream.__members__.items()} == {
        "NEXT_ITEM_HOLDOUT": 1,
        "EPOCH": 2,
        "HOLDOUT": 3,
        "TRAINING_PROCESS": 3,
        "BACKGROUND": 4,
        "FINAL_FIT": 5,
        "SAMPLE": 6,
        "FEATURE_SAMPLE": 7,
        "CROSS_FIT": 8,
        "PERMUTATION_TEST": 9,
        "PSEUDO_AUDIENCE_SEED": 12,
        "FUSION_EPISODES": 13,
        "PSEUDO_AUDIENCES": 14,
        "EVALUATION_USERS": 16,
        "CHURN": 18,
        "LEARNED_PRIOR": 20,
        "SUB_AUDIENCES": 21,
        "SEED_HALVES": 22,
        "BACKGROUND_MOMENTS": 23,
        "BACKTEST": 31,
        "FORECAST": 32,
        "PICKED_PART": 33,
        "AUDIENCE_PROBE": 40,
    }


def test_a_generator_is_numpys_with_the_seed_the_number_and_the_keys() -> None:
    expected = np.random.default_rng([5, 3, 1, 2]).random(4)
    assert np.array_equal(generator(5, Stream.HOLDOUT, 1, 2).random(4), expected)


def test_seeds_streams_and_keys_give_different_draws() -> None:
    draws = [
        generator(0, Stream.SAMPLE).random(),
        generator(1, Stream.SAMPLE).random(),
        generator(0, Stream.CHURN).random(),
        generator(0, Stream.SAMPLE, 1).random(),
    ]
    assert len(set(draws)) == len(draws)
