"""The checksum of a file depends on every byte, and is computed once for as long as the file is unchanged."""

from pathlib import Path

import numpy as np
import pytest

from lookalike.embeddings import checksum as module
from lookalike.embeddings.checksum import checksum, checksum_of

TILE_BYTES = 512 * 512 * 8


@pytest.mark.parametrize("size", [0, 1, 4_095, 4_096, 5_000, 200_000])
def test_one_more_byte_and_any_changed_byte_change_it(size: int) -> None:
    content = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    sums = {checksum_of(content), checksum_of(np.append(content, np.uint8(0)))}
    places = np.unique(np.linspace(0, size - 1, min(size, 50)).astype(int)) if size else []
    for place in places:
        changed = content.copy()
        changed[place] ^= 1 << int(place) % 8
        sums.add(checksum_of(changed))
    assert len(sums) == 2 + len(places)


def test_words_rows_and_tiles_that_change_places_change_it() -> None:
    content = np.random.default_rng(1).integers(0, 256, 3 * TILE_BYTES + 17, np.uint8)
    sums = {checksum_of(content)}
    for first, second, length in [(0, 8, 8), (0, 4_096, 8), (0, 4_096, 4_096), (0, TILE_BYTES, TILE_BYTES)]:
        changed = content.copy()
        changed[first : first + length] = content[second : second + length]
        changed[second : second + length] = content[first : first + length]
        sums.add(checksum_of(changed))
    assert len(sums) == 5


def test_a_file_has_the_checksum_of_its_bytes_and_is_read_again_when_it_changed(tmp_path: Path) -> None:
    for content in (b"", b"abc", bytes(range(256)) * 64):
        (file := tmp_path / "file").write_bytes(content)
        assert checksum(file) == checksum_of(np.frombuffer(content, np.uint8))


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    (file := tmp_path / "file").write_bytes(b"abc")
    before = module._checksum.cache_info().misses
    assert checksum(file) == checksum(file)
    assert module._checksum.cache_info().misses == before + 1
