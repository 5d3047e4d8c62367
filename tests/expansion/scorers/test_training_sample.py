"""Parts of a training sample keep seeds, weights and background rows together."""

import numpy as np

from lookalike.expansion.scorers.training_sample import MIN_FIT_ROWS, TrainingSample, fit_rows


def sample() -> TrainingSample:
    """Three seeds; the background's rows 1 and 4 are the seeds 2 and 0."""
    background = np.arange(12.0).reshape(6, 2)
    seed = np.array([background[4], [100, 101], background[1]])
    weight, negatives = np.array([0.5, 1.0, 1.5]), np.full((2, 2), -1.0)
    return TrainingSample(seed, background, weight, negatives, np.array([0, 1, 0]), np.array([-1, 2, -1, -1, 0, -1]))


def test_the_mean_is_weighted() -> None:
    assert sample().mean.tolist() == ((0.5 * sample().seed[0] + sample().seed[1] + 1.5 * sample().seed[2]) / 3).tolist()


def test_dropped_seeds_leave_the_background() -> None:
    part = sample().part(np.array([False, True, True]))
    assert part.seed.tolist() == sample().seed[1:].tolist()
    assert part.weight.tolist() == [1.0, 1.5]
    assert part.sub_audience.tolist() == [1, 0]
    assert part.background[:, 0].tolist() == [0, 2, 4, 6, 10]
    assert part.seed_index.tolist() == [-1, 1, -1, -1, -1]
    assert part.others.tolist() == [True, False, True, True, True]


def test_background_rows_can_be_dropped_too() -> None:
    rows = np.array([True, True, False, False, True, True])
    part = sample().part(np.array([True, False, False]), rows)
    assert part.background[:, 0].tolist() == [0, 8, 10]
    assert part.seed_index.tolist() == [-1, 0, -1]
    assert part.negatives.shape == (2, 2)
    assert rows.tolist() == [True, True, False, False, True, True]


def test_columns_are_selected_in_all_parts() -> None:
    narrow = sample()[np.array([1])]
    assert [values.shape for values in (narrow.seed, narrow.background, narrow.negatives)] == [(3, 1), (6, 1), (2, 1)]
    assert narrow.seed_index is not None


def test_fits_read_a_bounded_part_of_the_background() -> None:
    rng = np.random.default_rng(0)
    for seeds, expected in ((10, MIN_FIT_ROWS), (700, 7_000)):
        background = np.zeros((9_000, 1))
        rows = fit_rows(TrainingSample(background[:seeds], background, np.ones(seeds), background[:0]), rng)
        assert len(np.unique(rows)) == len(rows) == expected
