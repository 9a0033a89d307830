from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slidelab.wsi.formats.file_bytes import FileBytes


@pytest.fixture(params=["pread", "seek"])
def numbers(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file of 4-byte numbers, read with and without the call that Windows lacks."""
    if request.param == "seek":
        monkeypatch.delattr(os, "pread", raising=False)
    path = tmp_path / "numbers"
    path.write_bytes(b"".join(number.to_bytes(4, "little") for number in range(5000)))
    file = FileBytes(path)
    yield file
    file.close()


def test_bytes_are_read_by_position_from_any_thread(numbers: FileBytes) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda number: int.from_bytes(numbers.read(4 * number, 4), "little"), range(5000))
        assert list(found) == list(range(5000))


def test_less_comes_back_at_the_end_of_the_file(numbers: FileBytes) -> None:
    assert len(numbers.read(19_990, 100)) == 10


def test_closing_twice_does_no_harm(numbers: FileBytes) -> None:
    numbers.close()
    numbers.close()


def test_short_answers_of_the_system_are_asked_for_again(numbers: FileBytes, monkeypatch) -> None:
    plain = numbers._read_once
    monkeypatch.setattr(numbers, "_read_once", lambda offset, count: plain(offset, min(count, 7)))
    assert numbers.read(40, 40) == b"".join(number.to_bytes(4, "little") for number in range(10, 20))
