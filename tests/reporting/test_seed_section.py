"""The facts about the seed, one sentence each."""

from typing import Any

import pytest

from example_evaluation import LEAKS, detailed_evaluation, example_evaluation, refused_evaluation, replaced
from lookalike.expansion.result import Evaluation
from lookalike.reporting.formatting import NBSP
from lookalike.reporting.seed_section import cluster_rows, seed_facts


def facts(evaluation: Evaluation, **changes: Any) -> str:
    """All facts as one text; changes are written `seed_profile__busy=3`."""
    for path, value in changes.items():
        evaluation = replaced(evaluation, path.replace("__", "."), value)
    return " ".join(seed_facts(evaluation)).replace(NBSP, " ")


def test_an_ordinary_seed() -> None:
    assert seed_facts(example_evaluation()) == [
        "Two seeds have a mean cosine similarity of 0.31; two other users of 0.02.",
        "The median seed has 31 events, the last 12 days ago; the median of the others 9, 48 days ago.",
        "The seed is one audience: no stable sub-audiences were found.",
        "No single feature nearly defines the seed.",
        f"3{NBSP}seeds rank behind 95% of the candidates when hidden; by chance it would be 11.",
        f"12{NBSP}seed ids match no user: 4 differ from the log's only by the way they are written "
        "(3 in capitals, 1 in leading zeros); "
        "2 are known, but "
        "came after the cut or have too few events.",
        "From half of the seed to all of it, lift grew by 8%: more seeds would help.",
    ]


def test_people_without_events_were_not_here_some_days_ago() -> None:
    text = facts(example_evaluation(), seed_profile__median_events=0, seed_profile__median_days_since=None)
    assert "The median seed has no events; the median of the others 9, 48 days ago." in text
    text = facts(example_evaluation(), seed_profile__others_median_events=0, seed_profile__others_median_days_since=3)
    assert "The median seed has 31 events, the last 12 days ago; the median of the others no events." in text


def test_sub_audiences_their_shares_and_the_gain_of_separate_lists() -> None:
    text = facts(detailed_evaluation())
    assert "The seed has 2 sub-audiences: 60% with more word=cake, word=tin; 40% with more word=light." in text
    assert "find 12% more of the hidden seeds than one list of the same size; make them with --split." in text
    assert (
        "Of the list, 95% like part 1 (60% of the seed), 5% like part 2 (40% of the seed). "
        "--balance keeps the seed's shares."
    ) in text
    assert "--balance" not in facts(detailed_evaluation(), balanced=True)
    unreliable = facts(
        detailed_evaluation(), seed_profile__gain_of_splitting=-0.03, seed_profile__splitting_reliable=False
    )
    assert (
        "find 3% fewer of the hidden seeds than one list of the same size; not reliably, or not each of "
        "them worth making: one list will do" in unreliable
    )
    unmeasured = facts(detailed_evaluation(), seed_profile__gain_of_splitting=None)
    assert "Separate lists" not in unmeasured


def test_leaks_are_named_with_the_lift_without_them() -> None:
    found = {"seed_profile__leaks": LEAKS, "seed_profile__lift_without_leaks": 2.04}
    text = facts(example_evaluation(), **found, seed_profile__expand_without_leaks=True)
    assert (
        "2 features nearly define the seed: much word=jumbo (100% of the seed, 19% of others); much country=DE (98% of the "
        "seed, 2% of others). Without them and without the user embedding the lift is 2.0×, and the verdict is to expand."
    ) in text


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"seed_profile__outliers": 1}, "1 seed ranks behind 95% of the candidates"),
        ({"seed__near_matches": 0, "seed__without_vector": 0}, "12 seed ids match no user: not in the log."),
        ({"seed_profile__gain_of_doubling": None}, "More seeds may not help: with half of them, lift is not reliably"),
        (
            {"seed__valued": True, "seed__effective": 80.4},
            "they carry as much information as 80 equal ones. By value the lift is 4.2×.",
        ),
        ({"seed__negatives": 1}, "1 person is a negative example."),
        ({"seed__negatives": 30}, "30 people are negative examples."),
        ({"seed_profile__busy": 2}, "2 seeds have more events a day than 99.9% of all users."),
    ],
    ids=["one outlier", "no reason", "enough seeds", "values", "one negative", "negatives", "busy"],
)
def test_a_fact_that_not_every_seed_has(changes: dict[str, Any], fact: str) -> None:
    assert fact in facts(example_evaluation(), **changes)


def test_a_fact_that_does_not_hold_is_left_out() -> None:
    text = facts(example_evaluation(), seed__unmatched=0, seed_profile__outliers=0)
    assert not [word for word in ("match no user", "behind 95%", "weighted", "negative", "a day") if word in text]


def test_clusters_are_rows_with_explanations_only() -> None:
    assert cluster_rows(detailed_evaluation()) == [
        ["1", "70%", "90%", "word=tea"],
        ["2", "30%", "10%", "of no single feature"],
    ]
    assert cluster_rows(example_evaluation()) == cluster_rows(refused_evaluation()) == []
