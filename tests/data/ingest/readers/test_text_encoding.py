"""The encoding of a text, and copies in UTF-8."""

from pathlib import Path

import pytest

from log_files import find_check, ingest, refused, stored_events, stored_rejects, write
from lookalike.data.database import Database
from lookalike.data.ingest.readers import text_encoding
from lookalike.data.ingest.readers.text_encoding import Survey
from lookalike.data.ingest.sources import describe_source

HEADER = b"user_id,ts,country\n"
ASCII_LINES = b"ann,2024-01-01,DE\n" * 20_000  # more than is looked at to tell the columns


def test_latin_1_is_read_even_when_it_shows_late_and_the_encoding_is_named(database: Database, tmp_path: Path) -> None:
    early = "user_id,ts,country\nzoë,2024-01-01,Österreich €\n".encode("cp1252")
    late = HEADER + ASCII_LINES + "zoë,2024-01-01,x\n".encode("cp1252")
    for name, content in (("early.csv", early), ("late.csv", late)):
        result = ingest(database, write(tmp_path / name, content))
        assert result.files[0].encoding == find_check(result, "assumed_encoding").encoding == "cp1252"
        assert find_check(result, "assumed_encoding").file.endswith(name)
    assert ("zoë", "Österreich €") in stored_events(database, "user_id, country")
    assert ("zoë", "x") in stored_events(database, "user_id, country")


@pytest.mark.parametrize("before", [b"", ASCII_LINES], ids=["early", "late"])
def test_single_lines_that_are_not_utf_8_are_rejected_and_do_not_recode_the_others(
    database: Database, tmp_path: Path, before: bytes
) -> None:
    good, bad = "müller,2024-01-02,x\n".encode(), "groß,2024-01-02,x\n".encode("cp1252")
    result = ingest(database, write(tmp_path / "a.csv", HEADER + before + good + bad + good[1:]))
    assert {"müller", "üller"} <= {user for (user,) in stored_events(database, "user_id")}
    assert stored_rejects(database) == [(before.count(b"\n") + 3, "malformed line: invalid encoding")]
    assert (result.files[0].encoding, find_check(result, "assumed_encoding")) == ("utf-8", None)


def test_a_few_characters_that_are_utf_8_by_chance_do_not_make_latin_1_utf_8(
    database: Database, tmp_path: Path
) -> None:
    text = "user_id,ts,country\n" + "zoë,2024-01-01,CAFÉ\n" * 200 + "ann,2024-01-01,CAFÉ»\n"
    result = ingest(database, write(tmp_path / "a.csv", text.encode("cp1252")))
    assert result.files[0].encoding == "cp1252"
    assert ("ann", "CAFÉ»") in stored_events(database, "user_id, country")


def test_a_header_that_cannot_be_read_is_refused(database: Database, tmp_path: Path) -> None:
    content = "user_id,ts,größe\n".encode("cp1252") + "zoë,2024-01-01,x\n".encode()
    assert "the header line is not UTF-8" in refused(database, write(tmp_path / "a.csv", content)).message


@pytest.mark.parametrize("ending", [b"x", "\ud800".encode("utf-16-le", "surrogatepass")])
def test_utf_16_that_is_damaged_is_refused(database: Database, tmp_path: Path, ending: bytes) -> None:
    path = write(tmp_path / "a.csv", (HEADER + ASCII_LINES).decode().encode("utf-16") + ending)
    assert "not valid utf-16" in refused(database, path).message


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_compressed_file_that_is_cut_off_is_refused(database: Database, tmp_path: Path, suffix: str) -> None:
    import gzip

    import pyarrow as pa

    content = HEADER + b"".join(b"u%d,2024-01-01,DE\n" % number for number in range(50_000))
    packed = gzip.compress(content) if suffix == "gz" else pa.Codec("zstd").compress(content).to_pybytes()
    path = write(tmp_path / f"a.csv.{suffix}", packed[: len(packed) // 2])
    assert "cannot be unpacked" in refused(database, path).message


@pytest.mark.parametrize("block", [1, 3, 16])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"plain\ntext\n", Survey()),
        ("zoë €\n".encode(), Survey(utf8_bytes=3)),
        (b"zo\xeb\n\xe2\x82", Survey(other_bytes=3)),
        (b"a\n" + b"x" * 20, Survey(has_long_line=True)),
        (b"a\n" + b"x" * 19 + b"\n" + b"y" * 19, Survey()),
        (b"a\r" + b"x" * 19 + b"\r" + b"y" * 19, Survey()),
        (b"a\x00b\n", Survey(has_nul=True)),
    ],
)
def test_a_survey_is_the_same_in_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, content: bytes, expected: Survey
) -> None:
    monkeypatch.setattr(text_encoding, "_BLOCK_SIZE", block)
    assert text_encoding.survey(describe_source(write(tmp_path / "a.csv", content)), 20) == expected
