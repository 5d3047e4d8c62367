"""The sentences of an expansion's warnings: the figures, and what helps."""

import pytest

from lookalike.expansion import messages
from lookalike.reporting.expand_messages import SENTENCES
from lookalike.workspace.progress import Message

CASES: list[tuple[Message, str]] = [
    (
        messages.UnmatchedSuppression(ids=12, given=1_234),
        "12 of 1,234 ids to suppress are nobody's in the log, in any spelling",
    ),
    (
        messages.SuppressedAlike(users=2, ways={"as written": 7, "capitals": 2}),
        "2 users are suppressed whose ids differ from those given only by the way they are written (2 in capitals): "
        "they may be the same people",
    ),
    (
        messages.OtherColumnRead(column="email", empty=("uid",)),
        "the seed's ids are read from the column email: uid is empty",
    ),
    (
        messages.LowMatchRate(unmatched=12, distinct=226, matched=214),
        "12 of 226 seed ids are not known users: the list is made from the other 214",
    ),
    (
        messages.NearMatches(ids=4, ways={"capitals": 3, "leading zeros": 1}),
        "4 unmatched seed ids differ from the log's only by the way they are written (3 in capitals, 1 in leading zeros): "
        "write them as the log does; until then these people are neither seeds nor listed",
    ),
    (
        messages.WithoutVectors(ids=2),
        "2 unmatched seed ids are known but have no vector: they came later, or have too few events or none; "
        "lookalike embed adds newcomers",
    ),
    (
        messages.WithoutEventsLeftOut(users=30_000, seeds=0),
        "30,000 people without events are not candidates, because the list is for people who have some",
    ),
    (
        messages.WithoutEventsLeftOut(users=30_000, seeds=3),
        "30,000 people without events are not candidates, because the list is for people who have some; "
        "3 seeds without events are not used",
    ),
    (
        messages.WithoutEventsListed(
            users=30_000, candidates=32_900, seed_share=0.2, more_than_everybody=False, random_lift=8.8
        ),
        "30,000 of 32,900 candidates have no events, and 20% of the seeds: a random list of people with events has a lift "
        "of 8.8× already",
    ),
    (
        messages.FewNegatives(matched=3),
        "only 3 of the negative examples are known users who are not seeds: too few to learn much from",
    ),
    (
        messages.NewerFiles(files=2),
        "the log has changed since the vectors were made (2 files ingested or removed): lookalike embed takes it in",
    ),
    (
        messages.SeedsWithoutHistory(seeds=9),
        "9 seeds had no event before their moment: they are excluded from the model, and are not listed",
    ),
    (
        messages.SeedsWithNothingElse(seeds=3),
        "3 seeds have done nothing else: they are excluded from the model, and are not listed",
    ),
    (
        messages.InCommon(rule="category = c0", seed_share=1, nothing_else=True),
        "100% of the seeds have done category = c0, most of them nothing else, and are recognised by it: the list is mostly of "
        "others who have done it, and the lift says nothing about people who have not done it yet",
    ),
    (
        messages.BusySeeds(busy=7, seeds=214),
        "7 of 214 seeds have more events a day than 99.9% of all users: most likely bots or staff",
    ),
    (
        messages.SeveralAudiences(shares=(0.6, 0.4)),
        "the seed is 2 audiences (60%, 40%), and a list for each finds more people: --split makes them",
    ),
    (messages.NothingToBalance(), "the seed is one audience: there is nothing to balance"),
    (
        messages.UnderrepresentedSubAudience(number=2, list_share=0.05, seed_share=0.4),
        "sub-audience 2 is 5% of the list but 40% of the seed: --balance keeps the shares",
    ),
    (
        messages.ListedElsewhere(users=30),
        "30 people on other lists are left out: figures assume that they ranked first; curves are of the whole ranking",
    ),
    (
        messages.EscapedIds(ids=5),
        "a spreadsheet would run 5 ids, or a part of them, as a formula: a ' in front of it in the CSV prevents that; "
        "--format parquet keeps every id unchanged",
    ),
]


@pytest.mark.parametrize(("message", "sentence"), CASES, ids=[message.code for message, _ in CASES])
def test_a_sentence_names_the_figures_and_what_helps(message: Message, sentence: str) -> None:
    assert SENTENCES[type(message)](message) == sentence
