"""The verdict in words: the headline, the key sentence, and a line for each check."""

import pytest

from example_evaluation import LEAKS, example_evaluation, refused_evaluation, replaced
from lookalike.expansion.result import Check, Evaluation
from lookalike.reporting import verdict_text as texts
from lookalike.reporting.formatting import NBSP
from lookalike.reporting.verdict_text import verdict_text


def with_check(evaluation: Evaluation, check: Check) -> Evaluation:
    """The evaluation with this check in place of the one of the same name."""
    checks = tuple(check if other.name == check.name else other for other in evaluation.verdict.checks)
    return replaced(evaluation, "verdict.checks", checks)


def line_of(evaluation: Evaluation, start: str) -> texts.Line:
    """The one line that starts like this."""
    (line,) = (line for line in verdict_text(evaluation).lines if line.text.startswith(start))
    return line


def test_an_ordinary_verdict() -> None:
    text = verdict_text(example_evaluation())
    assert text.expand
    assert text.headline == "Expand this seed"
    assert text.sentence == (
        f"In a test with hidden seed people, the first 168{NBSP}people on the list held 3.8× as many of them as a random "
        "pick (likely 2.4–5.2). Ranking by activity alone: 2.0×."
    )
    assert [line.mark for line in text.lines] == ["for"] * 3
    assert (text.caution, text.note) == ("", "")


def test_a_list_of_one_person_is_in_the_singular() -> None:
    assert "the first person on the list held" in texts.key_sentence(replaced(example_evaluation(), "held_out.size", 1))


def test_a_refused_seed_has_the_failed_check_and_no_list() -> None:
    evaluation = refused_evaluation()
    text = verdict_text(evaluation)
    assert not text.expand
    assert text.headline == "Do not expand this seed"
    assert text.note == "No list was written."
    failed = "Not reliably better than chance: 1.2× a random pick at 5% of the candidates (likely 0.70–1.8)"
    assert [line.text for line in text.lines if line.mark == "against"] == [failed]
    assert texts.failed_checks(evaluation) == [failed[0].lower() + failed[1:]]


def test_a_forced_list_keeps_its_verdict() -> None:
    text = verdict_text(replaced(refused_evaluation(), "verdict.forced", True))
    assert text.headline == "Do not expand this seed"
    assert text.note == "The list was written anyway, because it was forced."


def test_a_limited_size_is_in_the_headline_and_in_a_note() -> None:
    text = verdict_text(replaced(example_evaluation(), "verdict.up_to", 100))
    assert text.headline == f"Expand this seed, up to 100{NBSP}people"
    assert text.lines[-1] == texts.Line(
        f"Beyond 100{NBSP}people the last half of the list is no longer reliably better than chance", "note"
    )


def test_a_seed_that_is_better_split_is_split_first() -> None:
    assert verdict_text(replaced(example_evaluation(), "verdict.parts", 2)).headline == "Split this seed into 2 lists"


def test_too_few_seeds() -> None:
    evaluation = with_check(refused_evaluation(), Check(name="enough_seeds", passed=False, value=24, threshold=25))
    assert texts.failed_checks(evaluation)[0] == "only 24 seeds: a list needs at least 25"


@pytest.mark.parametrize(
    ("p_value", "among"), [(0.005, "all 199"), (0.05, "190 of 199"), (1.0, "0 of 199")], ids=["all", "most", "none"]
)
def test_the_permutation_test_counts_the_random_seeds_beaten(p_value: float, among: str) -> None:
    evaluation = replaced(example_evaluation(), "verdict.permutation_test.p_value", p_value)
    assert (
        f"ranks held-out members above {among} activity-matched random seeds" in line_of(evaluation, "Its members").text
    )


def test_a_failed_or_impossible_permutation_test_counts_against_the_list() -> None:
    failed = with_check(refused_evaluation(), Check(name="beyond_activity", passed=False, value=1.1, threshold=None))
    assert line_of(failed, "No reliable sign that its members share more than their activity").mark == "against"
    impossible = replaced(failed, "verdict.permutation_test.p_value", None)
    assert line_of(impossible, "Not tested against random people who are as active").mark == "against"


@pytest.mark.parametrize(
    ("comparison", "words", "mark"),
    [
        ("reliably_lower", "reliably less than the list", "for"),
        ("lower", "about the same as the list", "for"),
        ("not_lower", "not reliably more than the list", "note"),
    ],
)
def test_ranking_by_activity_is_compared_in_words(comparison: str, words: str, mark: texts.Mark) -> None:
    evaluation = replaced(example_evaluation(), "verdict.activity", comparison)
    line = line_of(evaluation, "Ranking by activity")
    assert line == texts.Line(f"Ranking by activity alone: 2.0×, {words}", mark)


def test_activity_that_is_reliably_better_counts_against_the_list() -> None:
    beaten = Check(name="not_beaten_by_activity", passed=False, value=5.0, threshold=None)
    evaluation = replaced(with_check(example_evaluation(), beaten), "verdict.activity", "reliably_higher")
    line = line_of(evaluation, "Ranking by activity")
    assert line == texts.Line("Ranking by activity alone: 5.0×, reliably more than the list", "against")


def test_no_size_worth_taking_is_a_note_unless_the_size_is_auto() -> None:
    nothing = Check(name="worth_taking", passed=False, required=False, value=None, threshold=1)
    line = line_of(with_check(refused_evaluation(), nothing), "No size passes")
    assert line == texts.Line(
        "No size passes: of none is the last half of the list reliably better than chance", "note"
    )
    assert line_of(with_check(example_evaluation(), nothing), "Too few people to tell up to what size").mark == "note"
    auto = replaced(with_check(example_evaluation(), nothing), "verdict.checks.4.required", True)
    assert line_of(auto, "No size passes").mark == "against"
    assert "such as --size 5%, is judged by itself" in line_of(auto, "No size passes").text
    taken = replaced(example_evaluation(), "verdict.checks.4.required", True)
    assert line_of(taken, "The largest list whose last half is reliably better than chance").mark == "for"


def test_a_minimum_lift_replaces_chance_in_the_words() -> None:
    evaluation = replaced(example_evaluation(), "settings", {"expand.min_lift": 2.0})
    text = verdict_text(replaced(evaluation, "verdict.up_to", 100))
    assert text.lines[-1].text.endswith("no longer reliably above 2.0×")


def test_leaks_are_a_caution_with_the_flags_that_drop_them() -> None:
    evaluation = replaced(example_evaluation(), "seed_profile.leaks", LEAKS)
    evaluation = replaced(evaluation, "seed_profile.lift_without_leaks", 2.04)
    evaluation = replaced(evaluation, "seed_profile.expand_without_leaks", True)
    assert verdict_text(evaluation).caution == (
        "2 features nearly define the seed: much word=jumbo (100% of the seed, 19% of others), much country=DE (98% of the seed, "
        "2% of others). If that is how these people became seeds, expect a lift of 2.0× without them and the user embedding, "
        "and expand with --drop-features word=jumbo --drop-features country=DE"
    )
    twice = replaced(evaluation, "seed_profile.leaks", (*LEAKS, *LEAKS))  # fields of events and users of one name
    assert verdict_text(twice).caution == verdict_text(evaluation).caution
    single = replaced(evaluation, "seed_profile.leaks", LEAKS[:1])
    assert verdict_text(single).caution.startswith("One feature nearly defines the seed: much word=jumbo")
    against = replaced(single, "seed_profile.expand_without_leaks", False)
    assert verdict_text(against).caution.endswith(
        "If that is how these people became seeds, do not expand: a lift of 2.0× without it and the user embedding does not "
        "pass the checks (--drop-features word=jumbo)"
    )
    unmeasured = replaced(single, "seed_profile.expand_without_leaks", None)  # written by an earlier version
    assert "expect a lift of 2.0×" in verdict_text(unmeasured).caution
    balanced = replaced(replaced(single, "balanced", True), "seed_profile.scorer_without_leaks", "auto")
    balanced = replaced(balanced, "requested_scorer", "centroid")
    assert verdict_text(balanced).caution.endswith("--drop-features word=jumbo --scorer auto, without --balance")


def test_at_most_three_leaks_are_named_and_the_advice_drops_them_all() -> None:
    leaks = tuple(LEAKS[0].model_copy(update={"column": f"word={n}"}) for n in range(5))
    caution = verdict_text(replaced(example_evaluation(), "seed_profile.leaks", leaks)).caution
    assert caution.startswith("5 features nearly define the seed")
    assert caution.count("of the seed, ") == 3
    assert caution.count("--drop-features") == 5
