"""Audiences drawn from the log, against loops in plain Python, and the lift of scores of known quality."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from lookalike.data import sequence_queries
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import pseudo_audiences
from lookalike.encoder.pseudo_audiences import (
    LIFT_SHARE,
    MAX_AUDIENCES,
    MEMBER_SHARES,
    MIN_MEMBERS,
    SEED_SIZES,
    PseudoAudience,
)
from synthetic_sequences import CODES, sequences_of

USERS, ITEMS, BRANDS = 600, 40, 30

# --- drawing ---------------------------------------------------------------------------------------------------------


def draw_log() -> tuple[Sequences, Sequences, Vocabulary]:
    """Items of very unequal popularity, events without an item, items with no, one or several attributes."""
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


def groups_met(sequences: Sequences, vocabulary: Vocabulary, row: int) -> set[tuple[str, int]]:
    """The items that a user has met, and their attributes."""
    groups: set[tuple[str, int]] = set()
    offsets, codes = vocabulary.item_attributes
    for event in range(int(sequences.offsets[row]), int(sequences.offsets[row + 1])):
        item = int(sequences["item"][event])
        if item >= 0:
            groups.add(("item", item))
            groups |= {("attribute", int(code)) for code in codes[offsets[item] : offsets[item + 1]]}
    return groups


def drawn_in_loops(
    before: Sequences, after: Sequences, vocabulary: Vocabulary, users: np.ndarray
) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    met_before = {int(user): groups_met(before, vocabulary, int(user)) for user in users}
    met_after = {int(user): groups_met(after, vocabulary, int(user)) for user in users}
    audiences = set()
    for group in [("attribute", code) for code in range(BRANDS)] + [("item", item) for item in range(ITEMS)]:
        members = tuple(user for user in met_before if group in met_after[user] and group not in met_before[user])
        met = tuple(user for user in met_before if group in met_before[user])
        if max(MIN_MEMBERS, MEMBER_SHARES[0] * len(users)) <= len(members) <= MEMBER_SHARES[1] * len(users):
            audiences.add((members, met))
    return audiences


@pytest.mark.parametrize("step", [1, 2])
def test_members_are_the_users_who_newly_met_something(step: int) -> None:
    before, after, vocabulary = draw_log()
    users = np.arange(0, USERS, step)
    drawn = pseudo_audiences.draw_audiences(before, after, vocabulary, users, np.random.default_rng(0))
    expected = drawn_in_loops(before, after, vocabulary, users)
    assert {(tuple(audience.members.tolist()), tuple(audience.met.tolist())) for audience in drawn} == expected
    assert len(expected) > 8 / step, "the log has audiences"
    assert len(expected) < 0.6 * (BRANDS + ITEMS), "and groups too small or too large for one"


def test_of_many_audiences_the_random_seed_chooses_some(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_AUDIENCES == 200
    monkeypatch.setattr(pseudo_audiences, "MAX_AUDIENCES", 5)
    before, after, vocabulary = draw_log()

    def drawn(seed: int) -> list[tuple[int, ...]]:
        rng = np.random.default_rng(seed)
        audiences = pseudo_audiences.draw_audiences(before, after, vocabulary, np.arange(USERS), rng)
        return [tuple(audience.members.tolist()) for audience in audiences]

    assert len(drawn(0)) == 5
    assert drawn(0) == drawn(0) != drawn(1)


def test_two_names_of_one_thing_are_one_audience() -> None:
    """Otherwise the weights would be tuned on an audience under one name and reported on it under the other."""
    before, after, vocabulary = draw_log()
    offsets, codes = vocabulary.item_attributes
    doubled = np.column_stack([codes, codes + BRANDS]).ravel()
    makers = [("maker", value) for _, value in vocabulary.attributes]
    twice = Vocabulary(vocabulary.items, CODES, vocabulary.attributes + makers, (2 * offsets, doubled), [])
    users = np.arange(USERS)
    drawn = pseudo_audiences.draw_audiences(before, after, twice, users, np.random.default_rng(0))
    members = [tuple(audience.members.tolist()) for audience in drawn]
    assert len(members) == len(set(members)) == len(drawn_in_loops(before, after, vocabulary, users))


def test_without_new_events_or_users_there_is_no_audience() -> None:
    before, _, vocabulary = draw_log()
    rng = np.random.default_rng(0)
    assert pseudo_audiences.draw_audiences(before, before, vocabulary, np.arange(USERS), rng) == []
    nobody = np.zeros(0, np.int64)
    assert pseudo_audiences.draw_audiences(before, before, vocabulary, nobody, rng) == []


# --- lift ------------------------------------------------------------------------------------------------------------

EVERYBODY = np.arange(3_000) * 3


def random_audiences(count: int, members: int = 90) -> list[PseudoAudience]:
    rng = np.random.default_rng(8)
    audiences = []
    for _ in range(count):
        drawn = rng.permutation(EVERYBODY)
        audiences.append(PseudoAudience(np.sort(drawn[:members]), np.sort(drawn[members : members + 300])))
    return audiences


def perfect_scorer(audiences: list[PseudoAudience]) -> Callable[..., np.ndarray]:
    """Recognises each audience by its seed."""

    def score(seed: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        (recognised,) = [audience for audience in audiences if np.isin(seed, audience.members).all()]
        return np.isin(candidates, recognised.members).astype(float)

    return score


def no_scorer(seed: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The same score for every candidate."""
    return np.zeros(len(candidates))


def test_a_perfect_score_has_the_largest_possible_lift() -> None:
    audiences = random_audiences(8)
    logs = pseudo_audiences.log_lifts(audiences, EVERYBODY, perfect_scorer(audiences), random_seed=0)
    for number, log_lift in enumerate(logs):
        seed = min(SEED_SIZES[number % 2], 45)
        to_find, candidates = 90 - seed, 3_000 - 300 - seed
        k = round(LIFT_SHARE * candidates)
        assert to_find < k
        assert log_lift == pytest.approx(math.log((to_find + 0.5) / (k * to_find / candidates + 0.5)))
    lift = pseudo_audiences.mean_lift(audiences, EVERYBODY, perfect_scorer(audiences), random_seed=0)
    assert lift is not None
    assert lift == pytest.approx(math.exp(np.mean(logs)))
    assert lift > 10


def test_a_random_score_and_a_constant_score_have_a_lift_of_about_1() -> None:
    audiences = random_audiences(60, members=250)
    rng = np.random.default_rng(1)
    at_random = pseudo_audiences.mean_lift(
        audiences, EVERYBODY, lambda seed, candidates: rng.random(len(candidates)), random_seed=0
    )
    tied = pseudo_audiences.mean_lift(audiences, EVERYBODY, no_scorer, random_seed=0)
    assert at_random == pytest.approx(1, abs=0.12)
    assert tied == pytest.approx(1, abs=0.12)


def test_ties_are_broken_at_random_and_not_by_row() -> None:
    first_rows = [PseudoAudience(EVERYBODY[:200], np.zeros(0, np.int64)) for _ in range(20)]
    lift = pseudo_audiences.mean_lift(first_rows, EVERYBODY, no_scorer, random_seed=0)
    assert lift is not None
    assert 0.7 < lift < 1.3  # by row it would be above ten


def test_a_reversed_score_has_a_lift_below_1() -> None:
    audiences = random_audiences(10, members=250)
    score = perfect_scorer(audiences)
    lift = pseudo_audiences.mean_lift(
        audiences, EVERYBODY, lambda seed, candidates: -score(seed, candidates), random_seed=0
    )
    assert lift is not None
    assert lift < 0.2


def test_candidates_are_all_users_but_the_seed_and_those_who_had_met_it() -> None:
    audiences, users = random_audiences(6), EVERYBODY[::2]
    scored = []

    def score(seed: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        audience = next(audience for audience in audiences if np.isin(seed, audience.members).all())
        scored.append(audience)
        assert set(candidates.tolist()) == set(users.tolist()) - set(seed.tolist()) - set(audience.met.tolist())
        return np.zeros(len(candidates))

    pseudo_audiences.mean_lift(audiences, users, score, random_seed=0)
    assert [id(audience) for audience in scored] == [id(audience) for audience in audiences]


def test_seeds_are_the_same_whichever_users_are_ranked() -> None:
    """So the figures of groups of users answer the same question and can be compared."""
    audiences = random_audiences(4)
    seeds: dict[int, list[bytes]] = {}
    for users in (EVERYBODY, EVERYBODY[1::2]):
        drawn = seeds.setdefault(len(users), [])

        def score(seed: np.ndarray, candidates: np.ndarray, drawn: list[bytes] = drawn) -> np.ndarray:
            drawn.append(seed.tobytes())
            return candidates

        pseudo_audiences.mean_lift(audiences, users, score, random_seed=3)
    assert seeds[3_000] == seeds[1_500]
    assert len(seeds[3_000]) == 4


def test_without_members_to_find_there_is_no_figure() -> None:
    audiences = random_audiences(3)
    others = np.setdiff1d(EVERYBODY, np.concatenate([audience.members for audience in audiences]))
    assert pseudo_audiences.mean_lift(audiences, others, no_scorer, random_seed=0) is None
    assert pseudo_audiences.mean_lift([], EVERYBODY, no_scorer, random_seed=0) is None


def test_the_centroid_scores_by_the_mean_of_the_seed() -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 4))
    centroid = (vectors[1] + vectors[5] + vectors[6]) / 3
    expected = [vectors[0] @ centroid, vectors[8] @ centroid]
    seed, candidates = np.array([1, 5, 6]), np.array([0, 8])
    assert pseudo_audiences.centroid_scorer(vectors)(seed, candidates) == pytest.approx(expected)
    users = np.arange(9) * 10 + 3
    assert pseudo_audiences.centroid_scorer(vectors, users)(users[seed], users[candidates]) == pytest.approx(expected)
