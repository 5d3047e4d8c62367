"""Results as tables: what they name, what they suggest next, and that they fit a terminal of 80 columns."""

import io
from datetime import datetime
from pathlib import Path
from typing import get_args

import pytest
from rich.cells import cell_len
from rich.console import Console

from example_evaluation import (
    BACKTEST,
    BLOCKS,
    HOSTILE_TEXTS,
    example_evaluation,
    hostile_evaluation,
    refused_evaluation,
    replaced,
)
from lookalike.api.expand import ExpandResult
from lookalike.api.status import ExpansionSummary, NextStep, RunSummary, StatusResult, VectorSummary
from lookalike.api.verify import VerifiedFile, VerifyResult
from lookalike.campaigns.overlap import ListCount, OverlapResult, PairOverlap
from lookalike.cli import tables
from lookalike.data.database import LogSummary
from lookalike.data.ingest.results import (
    FilePreview,
    FileReport,
    IngestPreview,
    IngestResult,
    MissingColumn,
    StaleLog,
    Totals,
)
from lookalike.encoder.results import (
    AudienceFigures,
    Coverage,
    EmbedResult,
    NewItemFigures,
    RecentPopularity,
    SessionsResult,
    TrainFigures,
    TrainResult,
    UserGroupFigures,
)
from lookalike.expansion.result import Check, Evaluation
from lookalike.expansion.suppression_figures import Suppression

WIDTH = 80
LONG = Path("a-folder-with-a-very-long-name/") / ("and-a-file-" * 9 + "events.csv")


def printed(shown: list[tables.Shown]) -> str:
    """What a terminal of 80 columns shows."""
    output = io.StringIO()
    console = Console(file=output, width=WIDTH, highlight=False)
    for part in shown:
        console.print(part)
    return output.getvalue()


def words(shown: list[tables.Shown]) -> str:
    return " ".join(printed(shown).split())


# --- examples --------------------------------------------------------------------------------------------------------


INGESTED = IngestResult(
    files=(
        FileReport(name="log.csv", kind="events", rows=1_240, added=1_200, duplicates=30, rejected={"null user": 10}),
        FileReport(name=str(LONG), kind="items", skipped=True),
    ),
    totals=Totals(events=1_200, users=300, items=60, first=datetime(2024, 1, 1), last=datetime(2024, 4, 9)),
    checks=(StaleLog(severity="note", rows=0, share=0, days=962),),
)

PREVIEW = IngestPreview(
    files=(
        FilePreview(
            name="log.csv",
            kind="events",
            format="CSV",
            mapping={"user_id": "customer", "ts": "day"},
            time="days such as 2024-03-01",
            unused=("shop",),
            notes=(MissingColumn(column="campaign"),),
            columns=("customer", "day", "shop"),
            rows=(("ann", "2024-03-01", None),),
            stored=({"user_id": "ann", "ts": "2024-03-01 00:00:00", "value": None},),
        ),
        FilePreview(
            name="items.csv",
            kind="items",
            format="CSV",
            mapping={"item_id": "sku"},
            notes=(),
            columns=("sku", "title"),
            rows=(("i1", None),),
        ),
    )
)


def metrics(recall: float) -> dict[str, float]:
    return {"recall@20": recall, "ndcg@20": recall / 2}


FIGURES = TrainFigures(
    held_out_users=1_234,
    items_judged=60,
    popularity=metrics(0.2),
    popularity_of_late=RecentPopularity(days=7, metrics=metrics(0.21)),
    item_neighbours=metrics(0.3),
    encoder=metrics(0.4),
    taste_alone=metrics(0.35),
    recall_by_events={
        "0": UserGroupFigures(users=0, metrics={}),
        "1": UserGroupFigures(users=120, metrics=metrics(0.25)),
        "2-4": UserGroupFigures(users=1_114, metrics=metrics(0.45)),
    },
    new_items=NewItemFigures(items=3, users=9, metrics=metrics(0.1), random_recall=0.05),
    coverage=Coverage(users=50, encoder=0.9, with_5_events=0.4),
    audiences=AudienceFigures(
        audiences=12,
        users=1_234,
        lift={"sequence": 3.21, "taste": 3.0, "content": 2.5, "activity": None},
        sequence_by_events={"1": 1.5, "2-4": 3.0},
    ),
    weights_had_seen=None,
)
TRAINED = TrainResult(
    run="r000001",
    version="v000001",
    users=300,
    without_events=0,
    events=1_200,
    items=60,
    epochs=5,
    best_epoch=4,
    figures=FIGURES,
    churn=None,
)


def expanded(evaluation: Evaluation) -> ExpandResult:
    folder = Path("client/audiences/fans")
    written = evaluation.prospect_list is not None
    return ExpandResult(
        folder=folder,
        evaluation=evaluation,
        prospects_file=folder / "prospects.csv" if written else None,
        reasons_file=None,
        hashes={},
    )


OVERLAP = OverlapResult(
    sizes={"spring": 200, "summer": 100, "autumn": 50},
    pairs=(
        PairOverlap(first="spring", second="summer", both=40),
        PairOverlap(first="spring", second="autumn", both=0),
        PairOverlap(first="summer", second="autumn", both=25),
    ),
    by_lists=(ListCount(lists=1, people=220), ListCount(lists=2, people=65), ListCount(lists=3, people=0)),
)
STATUS = StatusResult(
    workspace=str(LONG.parent),
    log=LogSummary(
        events=1_200,
        users=300,
        without_events=0,
        items=60,
        first=datetime(2024, 1, 1),
        last=datetime(2024, 4, 9),
        files=2,
        rejected=10,
        duplicates=30,
    ),
    runs=(RunSummary(run="r000001", created="2024-05-01T12:00:00Z", as_of=datetime(2024, 4, 9)),),
    vectors=VectorSummary(
        version="v000001",
        run="r000001",
        created="2024-05-01T12:00:00Z",
        as_of=datetime(2024, 4, 9),
        users=300,
        without_events=0,
        blocks={"sequence": 16},
    ),
    expansions=(ExpansionSummary(name="fans", created="2024-05-01T13:00:00Z", prospects=26, versions=1),),
    next_step="report",
)
EMPTY_STATUS = StatusResult(workspace=".", log=None, runs=(), vectors=None, expansions=(), next_step="ingest")
VERIFIED = VerifyResult(
    name="fans",
    files=(
        VerifiedFile(kind="input", name="fans.csv", state="missing", fault=False),
        VerifiedFile(kind="list", name=f"fans/{'x' * 90}.csv", state="changed", fault=True),
    ),
    held=False,
)

ALL_TABLES = {
    "ingest": tables.ingest_tables(INGESTED),
    "preview": tables.ingest_tables(PREVIEW),
    "train": tables.train_tables(TRAINED),
    "embed": tables.embed_tables(
        EmbedResult(run="r000001", version="v000002", users=300, without_events=0, refreshed=4)
    ),
    "sessions": tables.sessions_tables(SessionsResult(run="r000001", sessions=60, path=LONG)),
    "expand": tables.expand_tables(expanded(replaced(example_evaluation(), "backtest", BACKTEST))),
    "refused": tables.expand_tables(expanded(refused_evaluation())),
    "overlap": tables.overlap_tables(OVERLAP),
    "verify": tables.verify_tables(VERIFIED),
    "status": tables.status_tables(STATUS, f"lookalike --workspace {LONG.parent} report"),
    "empty status": tables.status_tables(EMPTY_STATUS, "lookalike ingest FILES"),
}


@pytest.mark.parametrize("name", ALL_TABLES)
def test_tables_are_never_wider_than_eighty_columns(name: str) -> None:
    assert max(cell_len(line) for line in printed(ALL_TABLES[name]).splitlines()) <= WIDTH


# --- ingest ----------------------------------------------------------------------------------------------------------


def test_an_ingest_shows_counts_rejects_totals_and_findings() -> None:
    text = words(ALL_TABLES["ingest"])
    assert "log.csv events 1,240 1,200 30 10" in text
    assert "read before" in text
    assert "Stored now: 1,200 events of 300 users and 60 items, 2024-01-01 to 2024-04-09" in text
    assert "log.csv null user 10" in text
    assert "note stale_log the last event is 962 days old" in text


def test_an_ingest_without_rejects_and_findings_has_two_parts_only() -> None:
    clean = INGESTED.model_copy(update={"files": INGESTED.files[1:], "checks": ()})
    text = words(tables.ingest_tables(clean))
    assert "Rejected" in text.split("Stored now")[0]  # the heading of the column
    assert "Rejected" not in text.split("Stored now")[1]
    assert "Worth a look" not in text


def test_a_preview_shows_the_mapping_the_notes_and_the_rows_as_stored() -> None:
    text = words(ALL_TABLES["preview"])
    assert "log.csv (CSV, events)" in text
    assert "user_id customer" in text
    assert "time: days such as 2024-03-01" in text
    assert "not used: shop" in text
    assert "note: there is no column campaign" in text
    first, items = text.split("items.csv (CSV, items)")
    assert "First rows as stored user_id ts ann 2024-03-01 00:00:00" in first  # without the empty column
    assert "First rows sku title i1" in items


# --- train and embed -------------------------------------------------------------------------------------------------


def test_a_training_shows_the_encoder_beside_its_baselines() -> None:
    text = words(ALL_TABLES["train"])
    assert "New items of 1,234 held-out users, full catalogue Recall@20 NDCG@20 this encoder 0.4000 0.2000" in text
    assert "popularity of the last 7 days 0.2100" in text
    assert "Lift@5% of the centroid, 12 held-out audiences drawn from the log" in text
    assert "this encoder 3.21 what it learned, alone 3.00 items met, not learned 2.50 number of events -" in text
    assert "2-4 1,114 0.4500 3.00" in text
    assert "Events Users Recall@20 Lift@5% 1 120" in text  # without the empty group of 0 events
    assert "300 users embedded as v000001 by run r000001, best epoch 4 of 5" in text
    assert "of the 50 users who came after the cut 90% had a vector of their own" in text
    assert "a method that needs 5 events would have covered 40%" in text


def test_a_training_shows_what_the_embedding_adds_to_plain_counts_where_that_was_measured() -> None:
    assert "logistic model" not in words(ALL_TABLES["train"])
    audiences = FIGURES.audiences.model_copy(update={"blocks": BLOCKS.model_copy(update={"measured": 9})})
    figures = FIGURES.model_copy(update={"audiences": audiences})
    shown = tables.train_tables(TRAINED.model_copy(update={"figures": figures}))
    text = words(shown)
    assert "A logistic model given up to 50 members, 9 of these audiences" in text
    assert "Plain counts Embedding Both Both − counts Lift@5% 2.4× 2.9× 3.0× +0.60 1.6–3.4 2.0–4.0 2.1–4.1" in text
    assert "Log-loss 0.2012 0.1987 0.1971 −0.0041" in text
    assert "The encoder pays: the lift of a list of 5% is 3.0× with it and 2.4× without" in text
    assert max(cell_len(line) for line in printed(shown[2:6]).splitlines()) <= WIDTH


def test_a_training_on_a_tiny_log_says_what_could_not_be_measured() -> None:
    figures = FIGURES.model_copy(
        update={
            "audiences": AudienceFigures(audiences=0, users=0, lift={}, sequence_by_events={}),
            "coverage": Coverage(users=0, encoder=None, with_5_events=None),
            "popularity_of_late": RecentPopularity(days=1, metrics=metrics(0.2)),
            "items_judged": 50,
            "weights_had_seen": datetime(2024, 4, 1),
        }
    )
    text = words(tables.train_tables(TRAINED.model_copy(update={"figures": figures})))
    assert "too small to draw audiences from" in text
    assert "who came after the cut" not in text
    assert "popularity of the last 1 day 0.2000" in text
    assert "the 50 most common items (not held out: the weights it started from had seen them)" in text


def test_embeddings_are_counted() -> None:
    assert words(ALL_TABLES["embed"]) == "4 of 300 users embedded again by r000001, as v000002"
    some = EmbedResult(run="r000001", version="v000002", users=300, without_events=120, refreshed=4)
    assert words(tables.embed_tables(some)).startswith("4 of 300 users (120 of them without events) embedded again")
    assert words(ALL_TABLES["sessions"]).startswith("60 sessions embedded by r000001: a-folder")


# --- expand and overlap ----------------------------------------------------------------------------------------------


def test_an_expansion_shows_the_verdict_the_figures_and_the_files() -> None:
    text = words(ALL_TABLES["expand"])
    for part in (
        "verdict Expand this seed",
        "Better than chance: 3.8× a random pick",
        "scorer logistic",
        "seeds matched 214 (94.7%), 214 used",
        "suppressed 37 known users of 40 ids given",
        "size 168 of 3,360 candidates",
        "backtest 3.1× on later seeds for the list of 2011-09-01 (likely 2.0–4.4); leakage-free baseline 2.2×",
        "list client/audiences/fans/prospects.csv",
        "figures client/audiences/fans/evaluation.json",
    ):
        assert part in text
    assert "reasons" not in text


def test_without_a_list_to_suppress_nothing_is_said_of_it() -> None:
    nobody = replaced(example_evaluation(), "suppression", Suppression(given=0, matched=0))
    assert "suppressed" not in words(tables.expand_tables(expanded(nobody)))


def test_a_limited_size_names_the_requested_one() -> None:
    limited = replaced(example_evaluation(), "verdict.up_to", 100)
    assert "up to 100 people (168 were requested)" in words(tables.expand_tables(expanded(limited)))


def test_the_explanations_are_named_if_there_are_any() -> None:
    result = expanded(example_evaluation()).model_copy(update={"reasons_file": Path("reasons.csv")})
    assert "reasons reasons.csv" in words(tables.expand_tables(result))


def test_a_refusal_names_the_failed_checks_and_what_helps() -> None:
    assert "list none was written" in words(ALL_TABLES["refused"])
    error = tables.refusal(expanded(refused_evaluation()))
    assert error.exit_code == 5
    assert error.message == (
        "do not expand: not reliably better than chance: 1.2× a random pick at 5% of the candidates (likely 0.70–1.8)"
    )
    assert error.hint == "no list was written; --force writes it; lookalike report retro-bags shows the figures"


def test_too_few_seeds_cannot_be_forced() -> None:
    few = Check(name="enough_seeds", passed=False, value=24, threshold=25)
    error = tables.refusal(expanded(replaced(refused_evaluation(), "verdict.checks.0", few)))
    assert error.message.startswith("do not expand: only 24 seeds: a list needs at least 25; ")
    assert error.hint.startswith("even --force makes no list from so few seeds; ")


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_no_text_from_outside_drives_the_terminal(text: str) -> None:
    shown = printed(tables.expand_tables(expanded(hostile_evaluation(text))))
    assert not set(shown) & set("\x00\x1b\u202e\u2028")
    assert max(cell_len(line) for line in shown.splitlines()) <= WIDTH


def test_overlap_is_a_matrix_with_shares_of_the_row() -> None:
    text = words(ALL_TABLES["overlap"])
    assert "spring 200 (100%) 40 (20%) 0 (0%)" in text
    assert "summer 40 (40%) 100 (100%) 25 (25%)" in text
    assert "autumn 0 (0%) 25 (50%) 50 (100%)" in text
    assert "On lists People 1 220 2 65 3 0" in text


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_shows_what_is_there_and_what_comes_next() -> None:
    text = words(ALL_TABLES["status"])
    for part in (
        "events 1,200",
        "from, to 2024-01-01 to 2024-04-09",
        "trained runs r000001",
        "vectors 300 users by r000001, as of 2024-04-09",
        "expansion fans: 26 prospects",
    ):
        assert part in text
    refused = STATUS.expansions[0].model_copy(update={"prospects": 0})
    shown = words(tables.status_tables(STATUS.model_copy(update={"expansions": (refused,)}), "lookalike report"))
    assert "expansion fans: refused, no list" in shown
    empty = words(ALL_TABLES["empty status"])
    assert "events 0 trained runs none vectors none next lookalike ingest FILES" in empty


@pytest.mark.parametrize("step", get_args(NextStep))
def test_every_next_step_is_a_command(step: NextStep) -> None:
    command = tables.next_command(STATUS.model_copy(update={"next_step": step}))
    assert command.split()[0] in ("ingest", "train", "embed", "expand", "report")
    assert "{" not in command


def test_embedding_by_a_run_names_the_newest_run() -> None:
    runs = (*STATUS.runs, STATUS.runs[0].model_copy(update={"run": "r000002"}))
    status = STATUS.model_copy(update={"next_step": "embed_run", "runs": runs})
    assert tables.next_command(status) == "embed --run r000002"


def test_cells_are_never_read_as_markup() -> None:
    shown = tables.table("[b]title[/b]", ["[red]column[/red]"], [["[/] \x1b[31m cell"]])
    assert words([shown]) == "[b]title[/b] [red]column[/red] [/] [31m cell"
