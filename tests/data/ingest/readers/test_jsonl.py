"""JSON lines: malformed ones are rejected with their line."""

import json
from pathlib import Path

import pytest

from log_files import ingest, refused, stored_events, stored_rejects, write
from lookalike.data.database import Database
from lookalike.errors import DataError


def test_malformed_json_lines_are_rejects_with_their_line(database: Database, tmp_path: Path) -> None:
    lines = [
        '{"user_id": "ann", "ts": 1700000000}', "{bad", "", '{"user_id": "bob", "ts": 1700000001}', "[1, 2]",
        '{"user_id": null, "ts": 1700000002}', '{"other": 1}', '{"user_id": "cut", "ts": 17000',
    ]  # fmt: skip
    result = ingest(database, write(tmp_path / "a.jsonl", "\n".join(lines)), max_rejected_share=0.9)
    assert [row[0] for row in stored_events(database)] == ["ann", "bob"]
    assert stored_rejects(database) == [
        (2, "malformed line: no JSON object"),
        (5, "malformed line: no JSON object"),
        (6, "empty user_id"),
        (7, "empty user_id"),
        (8, "malformed line: no JSON object"),
    ]
    assert result.files[0].rows == 7


def test_lines_that_are_no_text_or_too_long_are_rejects_and_never_lost(database: Database, tmp_path: Path) -> None:
    good = [json.dumps({"user_id": f"u{n}", "ts": 1_700_000_000 + n, "note": "x" * 200}).encode() for n in range(6_000)]
    bad = [b'{"user_id": "m\xfcller", "ts": 1700000000}', b'{"user_id": "' + b"x" * (1 << 24) + b'"}']
    lines = [*good[:5_900], *bad, *good[5_900:], b"{broken", bad[0]]
    result = ingest(database, write(tmp_path / "a.jsonl", b"\n".join(lines)))
    (report,) = result.files
    assert (report.rows, report.added, sum(report.rejected.values())) == (len(lines), 6_000, 4)
    reasons = ["not UTF-8", "16 MiB or more", "no JSON object", "not UTF-8"]
    places = [5_901, 5_902, len(lines) - 1, len(lines)]
    assert stored_rejects(database) == [
        (line, f"malformed line: {reason}") for line, reason in zip(places, reasons, strict=True)
    ]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_nul_bytes_cut_no_line_off(database: Database, tmp_path: Path, line_end: bytes) -> None:
    lines = [b'{"user_id": "ann", "ts": 1700000000}', b'\x00\x00{"user_id": "bob", "ts": 1700000000}\x00']
    lines += [b'{"user_id": "c\x00y", "ts": 1700000000}', b"\x00"]
    result = ingest(database, write(tmp_path / "a.jsonl", line_end.join(lines)))
    assert result.files[0].rows == 3
    assert [row[0] for row in stored_events(database)] == ["ann", "bob"]
    assert stored_rejects(database) == [(3, "malformed line: no JSON object")]


def test_nesting_and_numbers_beyond_what_python_reads_are_text(database: Database, tmp_path: Path) -> None:
    deep = b"[" * 20_000 + b"]" * 20_000
    lines = [b'{"user_id": "ann", "ts": 1700000000}', b'{"user_id": "bob", "ts": 1700000000, "x": ' + deep + b"}"]
    lines += [b'{"user_id": ' + b"9" * 4_301 + b', "ts": 1700000000}']
    result = ingest(database, write(tmp_path / "a.jsonl", b"\n".join(lines)))
    assert (result.files[0].rows, result.files[0].added) == (3, 3)
    assert stored_events(database, "user_id")[0] == ("9" * 4_301,)


def test_an_array_that_is_not_utf_8_is_refused(database: Database, tmp_path: Path) -> None:
    for content in (b'[{"user_id": "m\xfcller", "ts": 1700000000}]', b'[{"user_id": "ann"}, "\xff\xfe"]'):
        assert "not valid utf-8" in refused(database, write(tmp_path / "a.json", content)).message


def test_what_only_the_reader_takes_for_json_is_no_object(database: Database, tmp_path: Path) -> None:
    assert "no JSON object" in refused(database, write(tmp_path / "a.json", b"[\n NAN\n]")).message
    lines = [b"NAN", b"-inf", b'{"user_id": "ann", "ts": 1700000000}']
    result = ingest(database, write(tmp_path / "a.jsonl", b"\n".join(lines)), max_rejected_share=1.0)
    assert (result.files[0].rows, result.files[0].added) == (3, 1)


def test_a_fault_of_a_copy_in_utf8_names_the_file_that_was_given(database: Database, tmp_path: Path) -> None:
    (path := tmp_path / "log.json").write_bytes('[{"user_id": "ann", "ts": "2024-01-01"}, '.encode("utf-16"))
    with pytest.raises(DataError, match="the JSON array is cut off") as raised:
        ingest(database, path)
    assert raised.value.message.startswith(f"{path}: ")
