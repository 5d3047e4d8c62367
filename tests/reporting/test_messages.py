"""Every message in words, whatever verb it is from."""

from lookalike.data.ingest.results import FileSkipped
from lookalike.encoder.results import TrainingResumed
from lookalike.expansion.messages import NothingToBalance
from lookalike.reporting import expand_messages, ingest_messages, train_messages
from lookalike.reporting.messages import SENTENCES, is_warning, sentence


def test_messages_of_all_verbs_have_their_sentence() -> None:
    assert sentence(FileSkipped(file="log.csv")) == "log.csv: ingested before, skipped"
    assert sentence(TrainingResumed(epoch=3)) == "resuming after epoch 3"
    assert sentence(NothingToBalance()) == "the seed is one audience: there is nothing to balance"


def test_no_two_modules_have_a_sentence_for_the_same_message() -> None:
    parts = (ingest_messages.SENTENCES, train_messages.SENTENCES, expand_messages.SENTENCES, expand_messages.NEWS)
    assert len(SENTENCES) == sum(map(len, parts))


def test_only_an_expansions_messages_are_warnings() -> None:
    assert is_warning(NothingToBalance())
    assert not is_warning(FileSkipped(file="log.csv"))
    assert not is_warning(TrainingResumed(epoch=3))
