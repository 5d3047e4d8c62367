"""Audiences drawn from the log, against loops in plain Python, and the lift of scores whose worth is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from lookalike.data import sequence_queries
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import pseudo_audiences
from lookalike.encoder.pseudo_audiences import LIFT_SHARE, MAX_AUDIENCES, MIN_MEMBERS, SEEDS, SHARES, PseudoAudience
from test_batches import CODES, sequences_of

USERS, ITEMS, BRANDS = 600, 40, 30


def log() -> tuple[Sequences, Sequences, Vocabulary]:
    """Items of very unequal popularity, some events about none, items with no, one or several attributes."""
    rng = np.random.default_rng(3)
    times = [np.sort(rng.integers(0, 1_000, rng.integers(0, 12))).tolist() for _ in range(USERS)]
    everything = sequences_of(times)
    item = np.minimum(rng.geometric(0.09, len(everything["item"])) - 1, ITEMS - 1)
    everything.columns["item"][:] = np.where(rng.random(len(item)) < 0.05, -1, item)
    width = rng.integers(0, 4, ITEMS)
    codes = np.concatenate([np.sort(rng.choice(BRANDS, size, replace=False)) for size in width]).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(width)])
    brands = [("brand", f"b{code}") for code in range(BRANDS)]
    vocabulary = Vocabulary([f"i{row}" for row in range(ITEMS)], CODES, brands, (offsets, codes), [])
    return sequence_queries.events_before(everything, 600), everything, vocabulary


def touched(arrays: Sequences, vocabulary: Vocabulary, row: int) -> set[tuple[str, int]]:
    """Items and attributes of items that a user has met."""
    found: set[tuple[str, int]] = set()
    offsets, codes = vocabulary.item_attributes
    for event in range(int(arrays.offsets[row]), int(arrays.offsets[row + 1])):
        item = int(arrays["item"][event])
        if item >= 0:
            found.add(("item", item))
            found |= {("attribute", int(code)) for code in codes[offsets[item] : offsets[item + 1]]}
    return found


def drawn_in_loops(
    before: Sequences, after: Sequences, vocabulary: Vocabulary, users: np.ndarray
) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    had = {int(user): touched(before, vocabulary, int(user)) for user in users}
    have = {int(user): touched(after, vocabulary, int(user)) for user in users}
    made = set()
    for group in [("attribute", code) for code in range(BRANDS)] + [("item", item) for item in range(ITEMS)]:
        members = tuple(user for user in had if group in have[user] and group not in had[user])
        met = tuple(user for user in had if group in had[user])
        if max(MIN_MEMBERS, SHARES[0] * len(users)) <= len(members) <= SHARES[1] * len(users):
            made.add((members, met))
    return made


@pytest.mark.parametrize("step", [1, 2])
def test_audiences_are_those_who_newly_met_something(step: int) -> None:
    before, after, vocabulary = log()
    users = np.arange(0, USERS, step)
    drawn = pseudo_audiences.draw_audiences(before, after, vocabulary, users, np.random.default_rng(0))
    expected = drawn_in_loops(before, after, vocabulary, users)
    assert {(tuple(one.members.tolist()), tuple(one.met.tolist())) for one in drawn} == expected
    assert len(expected) > 8 / step, "the log has audiences"
    assert len(expected) < 0.6 * (BRANDS + ITEMS), "and groups too small or too large for one"


def test_only_some_of_very_many_are_taken_and_the_seed_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_AUDIENCES == 200
    monkeypatch.setattr(pseudo_audiences, "MAX_AUDIENCES", 5)
    before, after, vocabulary = log()

    def chosen(seed: int) -> list[tuple[int, ...]]:
        users = np.arange(USERS)
        drawn = pseudo_audiences.draw_audiences(before, after, vocabulary, users, np.random.default_rng(seed))
        return [tuple(one.members.tolist()) for one in drawn]

    assert len(chosen(0)) == 5
    assert chosen(0) == chosen(0) != chosen(1)


def test_two_names_of_one_thing_are_one_audience() -> None:
    """Or the weights would be chosen on an audience under one name and reported on it under the other."""
    before, after, vocabulary = log()
    offsets, codes = vocabulary.item_attributes
    both = np.column_stack([codes, codes + BRANDS]).ravel()
    makers = [("maker", value) for _, value in vocabulary.attributes]
    twice = Vocabulary(vocabulary.items, CODES, vocabulary.attributes + makers, (2 * offsets, both), [])
    users = np.arange(USERS)
    drawn = pseudo_audiences.draw_audiences(before, after, twice, users, np.random.default_rng(0))
    members = [tuple(one.members.tolist()) for one in drawn]
    assert len(members) == len(set(members)) == len(drawn_in_loops(before, after, vocabulary, users))


def test_nobody_new_is_no_audience() -> None:
    before, _, vocabulary = log()
    assert pseudo_audiences.draw_audiences(before, before, vocabulary, np.arange(USERS), np.random.default_rng(0)) == []
    nobody = np.zeros(0, np.int64)
    assert pseudo_audiences.draw_audiences(before, before, vocabulary, nobody, np.random.default_rng(0)) == []


# --- lift ------------------------------------------------------------------------------------------------------------

EVERYBODY = np.arange(3_000) * 3


def audiences(count: int, members: int = 90) -> list[PseudoAudience]:
    rng = np.random.default_rng(8)
    made = []
    for _ in range(count):
        drawn = rng.permutation(EVERYBODY)
        made.append(PseudoAudience(np.sort(drawn[:members]), np.sort(drawn[members : members + 300])))
    return made


def knowing(known: list[PseudoAudience]) -> Callable[..., np.ndarray]:
    """A score that knows each audience by its seeds."""

    def score(taught: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        (whose,) = [one for one in known if np.isin(taught, one.members).all()]
        return np.isin(candidates, whose.members).astype(float)

    return score


def test_a_perfect_score_has_all_the_lift_there_is() -> None:
    known = audiences(8)
    logs = pseudo_audiences.log_lifts(known, EVERYBODY, knowing(known), seed=0)
    for number, log_lift in enumerate(logs):
        taught = min(SEEDS[number % 2], 45)
        rest, candidates = 90 - taught, 3_000 - 300 - taught
        first = round(LIFT_SHARE * candidates)
        assert rest < first
        assert log_lift == pytest.approx(math.log((rest + 0.5) / (first * rest / candidates + 0.5)))
    lift = pseudo_audiences.mean_lift(known, EVERYBODY, knowing(known), seed=0)
    assert lift == pytest.approx(math.exp(np.mean(logs)))
    assert lift > 10


def test_a_random_score_and_one_score_for_all_have_a_lift_of_about_one() -> None:
    known = audiences(60, members=250)
    rng = np.random.default_rng(1)
    by_lot = pseudo_audiences.mean_lift(known, EVERYBODY, lambda taught, rest: rng.random(len(rest)), seed=0)
    tied = pseudo_audiences.mean_lift(known, EVERYBODY, lambda taught, rest: np.zeros(len(rest)), seed=0)
    assert by_lot == pytest.approx(1, abs=0.12)
    assert tied == pytest.approx(1, abs=0.12)


def test_ties_are_broken_by_lot_and_not_by_row() -> None:
    first = [PseudoAudience(EVERYBODY[:200], np.zeros(0, np.int64)) for _ in range(20)]
    found = pseudo_audiences.mean_lift(first, EVERYBODY, lambda taught, rest: np.zeros(len(rest)), seed=0)
    assert 0.7 < found < 1.3  # by row it would be above ten


def test_a_score_that_is_wrong_on_purpose_is_below_one() -> None:
    known = audiences(10, members=250)
    score = knowing(known)
    assert pseudo_audiences.mean_lift(known, EVERYBODY, lambda taught, rest: -score(taught, rest), seed=0) < 0.2


def test_no_candidate_had_met_it_or_is_a_seed_and_all_others_are_there() -> None:
    known, asked = audiences(6), EVERYBODY[::2]
    seen = []

    def score(taught: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        whose = next(one for one in known if np.isin(taught, one.members).all())
        seen.append(whose)
        assert set(candidates.tolist()) == set(asked.tolist()) - set(taught.tolist()) - set(whose.met.tolist())
        return np.zeros(len(candidates))

    pseudo_audiences.mean_lift(known, asked, score, seed=0)
    assert [id(one) for one in seen] == [id(one) for one in known]


def test_seeds_are_the_same_whoever_is_to_be_ranked() -> None:
    """Figures of parts of the users are of one question, so they can stand side by side."""
    known = audiences(4)
    asked: list[list[bytes]] = []
    for users in (EVERYBODY, EVERYBODY[1::2]):
        seeds: list[bytes] = []
        pseudo_audiences.mean_lift(
            known, users, lambda taught, rest, seeds=seeds: [seeds.append(taught.tobytes()), rest][1], seed=3
        )
        asked.append(seeds)
    assert asked[0] == asked[1]


def test_with_nobody_left_to_find_there_is_no_figure() -> None:
    known = audiences(3)
    strangers = np.setdiff1d(EVERYBODY, np.concatenate([one.members for one in known]))
    assert math.isnan(pseudo_audiences.mean_lift(known, strangers, lambda taught, rest: rest, seed=0))
    assert math.isnan(pseudo_audiences.mean_lift([], EVERYBODY, lambda taught, rest: rest, seed=0))


def test_the_centroid_scores_by_the_mean_of_the_seeds() -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 4))
    found = pseudo_audiences.by_centroid(vectors)(np.array([1, 5, 6]), np.array([0, 8]))
    centre = (vectors[1] + vectors[5] + vectors[6]) / 3
    assert found == pytest.approx([vectors[0] @ centre, vectors[8] @ centre])
