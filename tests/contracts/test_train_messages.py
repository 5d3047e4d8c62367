"""Every message of a training or an embedding has a code of its own and a sentence."""

import inspect
from datetime import datetime

import pytest

from lookalike.encoder import results
from lookalike.encoder.results import EpochFigures, VocabularyOverlap
from lookalike.reporting.train_messages import SENTENCES
from lookalike.workspace.progress import Message

EPOCH = EpochFigures(epoch=2, loss=6.9708, figures={"recall@20": 0.1, "ndcg@20": 0.2}, events_per_second=14_847.1)
OVERLAP = VocabularyOverlap(known_items=3, items=4, known_attributes=1, attributes=2)
MESSAGES: list[Message] = [
    results.WarmStart(run="r000001", overlap=OVERLAP),
    results.TrainingResumed(epoch=3),
    results.CheckpointDiscarded(),
    results.PersonalItems(items=1_234, share=0.05),
    results.UserValuesNotRead(values=1_906, read=64, attributes=("hobby", "plan"), attributes_not_read=700),
    results.TrainingStarted(events=1_234, users=56, max_epochs=7),
    results.EpochFinished(epoch=EPOCH, max_epochs=7),
    results.TrainingDiverged(epoch=4),
    results.FinishedOnAllEvents(epochs=2),
    results.FiguresNotHeldOut(run="r000001", trained_until=datetime(2024, 1, 2)),
    results.ListChurn(share=0.25),
    results.RunAdopted(source="their/r000007", run="r000002"),
    results.FullRefreshRequested(),
    results.RunChanged(stored_run="r000001", run="r000002"),
    results.VectorsTooOld(oldest=datetime(2024, 1, 2), max_days=30),
    results.CutBeforeStored(as_of=datetime(2024, 1, 2), stored_as_of=datetime(2024, 1, 3)),
    results.TablesChanged(),
    results.FilesRemoved(),
    results.NewItems(run="r000001", items=1_234),
    results.UnknownColumns(run="r000001", columns=("campaign", "shop")),
    results.NothingToRefresh(),
    results.VectorsKept(users=1_234, as_of=datetime(2024, 1, 2)),
]


def message_types() -> set[type[Message]]:
    classes = (value for _, value in inspect.getmembers(results, inspect.isclass))
    return {value for value in classes if issubclass(value, Message) and value is not Message}


def test_every_message_has_a_sentence_and_every_sentence_a_message() -> None:
    assert SENTENCES.keys() == message_types() == {type(message) for message in MESSAGES}


def test_codes_are_unique() -> None:
    codes = [message.code for message in MESSAGES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.code)
def test_a_sentence_is_one_line_that_names_every_figure(message: Message) -> None:
    sentence = SENTENCES[type(message)](message)
    assert sentence
    assert "\n" not in sentence
    for name in type(message).model_fields:
        value = getattr(message, name)
        if isinstance(value, str) and name != "code":
            assert value in sentence
        if isinstance(value, int):
            assert f"{value:,}" in sentence
        if isinstance(value, datetime):
            assert f"{value:%Y-%m-%d}" in sentence
        if isinstance(value, tuple):
            assert all(part in sentence for part in value)


def test_an_epoch_without_held_out_users_has_no_held_out_figures() -> None:
    epoch = EpochFigures(epoch=1, loss=1, figures={}, events_per_second=1)
    sentence = SENTENCES[results.EpochFinished](results.EpochFinished(epoch=epoch, max_epochs=2))
    assert sentence == "epoch 1/2: loss 1.000, 1 events/s"


def test_a_single_epoch_on_all_events_is_in_the_singular() -> None:
    sentence = SENTENCES[results.FinishedOnAllEvents](results.FinishedOnAllEvents(epochs=1))
    assert "one more epoch " in sentence
