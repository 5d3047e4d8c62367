"""Why a row of an event file is rejected."""

from datetime import UTC, datetime, timedelta
from typing import Final

from lookalike.data.ingest import sql
from lookalike.data.ingest.id_cells import is_placeholder
from lookalike.data.schema import ID_FIELDS, MAX_ID_LENGTH

NO_USER: Final = "empty user_id"
PLACEHOLDER: Final = "placeholder user_id"
LONG_IDS: Final = {name: f"{name} over 10,000 characters" for name in ID_FIELDS}
NO_TIME: Final = "empty time"
UNREADABLE_TIME: Final = "unreadable time"
EARLY_TIME: Final = "time before 2000"
FUTURE_TIME: Final = "time in the future"
MALFORMED_LINE: Final = "malformed line"  # followed by DuckDB's word for the fault

# Reasons that are faults of the file. Rows without a usable user are a fact of the log (guests).
FAULTS: Final = (NO_TIME, UNREADABLE_TIME, EARLY_TIME, FUTURE_TIME, MALFORMED_LINE)

_EARLIEST: Final = "TIMESTAMP '2000-01-01'"


def reject_reason(now: datetime) -> str:
    """An SQL expression over `EventPlan.canonical`: why a row is rejected, NULL when it is not."""
    latest = sql.literal((now.astimezone(UTC) + timedelta(hours=24)).strftime("%Y-%m-%d %H:%M:%S"))
    too_long = f"strlen({{0}}) > {MAX_ID_LENGTH} AND length({{0}}) > {MAX_ID_LENGTH}"
    long_ids = " ".join(f"WHEN {too_long.format(name)} THEN '{reason}'" for name, reason in LONG_IDS.items())
    return (
        f"CASE WHEN user_id IS NULL THEN '{NO_USER}' WHEN {is_placeholder('user_id')} THEN '{PLACEHOLDER}' "
        f"{long_ids} WHEN __no_time THEN '{NO_TIME}' "
        f"WHEN ts IS NULL THEN '{UNREADABLE_TIME}' WHEN ts < {_EARLIEST} THEN '{EARLY_TIME}' "
        f"WHEN ts > TIMESTAMP {latest} THEN '{FUTURE_TIME}' END"
    )
