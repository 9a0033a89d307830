from __future__ import annotations

from pathlib import Path

import pytest

from slidelab.wsi.fingerprint import SAMPLE_BYTES, fingerprint_files


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_order_and_names_of_the_files_do_not_matter(tmp_path: Path) -> None:
    a, b = write(tmp_path, "a", b"first"), write(tmp_path, "b", b"second")
    c, d = write(tmp_path, "c", b"second"), write(tmp_path, "d", b"first")
    assert fingerprint_files([a, b]) == fingerprint_files([b, a]) == fingerprint_files([c, d])
    assert len(fingerprint_files([a, b])) == 64


def test_bytes_moved_from_one_file_to_another_matter(tmp_path: Path) -> None:
    pair = [write(tmp_path, "a", b"one"), write(tmp_path, "b", b"two")]
    other = [write(tmp_path, "c", b"onet"), write(tmp_path, "d", b"wo")]
    assert fingerprint_files(pair) != fingerprint_files(other)


@pytest.mark.parametrize("place", [0, SAMPLE_BYTES - 1, 5 * SAMPLE_BYTES // 2, -1])
def test_a_changed_byte_at_head_middle_or_tail_of_a_large_file_is_seen(tmp_path: Path, place: int) -> None:
    content = bytearray(5 * SAMPLE_BYTES)
    before = fingerprint_files([write(tmp_path, "a", content)])
    content[place] = 1
    assert fingerprint_files([write(tmp_path, "a", content)]) != before


def test_a_longer_file_is_another(tmp_path: Path) -> None:
    short, long = write(tmp_path, "a", bytes(9)), write(tmp_path, "b", bytes(10))
    assert fingerprint_files([short]) != fingerprint_files([long])
