from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from slidelab.wsi import Region, open_slide
from slidelab.wsi.formats.tile_codec import TileCodec
from slidelab.wsi.formats.tile_shelf import TileShelf

SHAPE = (4, 4, 3)


@pytest.mark.parametrize("side", [33, 100, 128, 300])
def test_a_pass_over_a_slide_decodes_every_tile_once(write_tiff, picture, monkeypatch, side: int) -> None:
    path = write_tiff(picture(700, 531), levels=1, compression="lzw", tile=(64, 64))
    decoded = []
    plain = TileCodec.decode
    monkeypatch.setattr(TileCodec, "decode", lambda *inputs: (decoded.append(1), plain(*inputs)))
    with open_slide(path) as slide:
        slide.reader.forget()
        for _ in range(2):  # the second pass finds nothing left of the first
            decoded.clear()
            for y in range(0, 531, side):
                for x in range(0, 700, side):
                    slide.read_level(0, Region(x, y, min(side, 700 - x), min(side, 531 - y)))
            assert len(decoded) == 11 * 9


def test_a_tile_used_whole_is_not_kept() -> None:
    shelf = TileShelf()
    tile = shelf.new((0, 0), shape=SHAPE, unused=0)
    shelf.give_back(tile)
    assert shelf.borrow((0, 0), 1) is None


def test_a_kept_tile_goes_once_all_its_pixels_were_used() -> None:
    shelf = TileShelf()
    shelf.give_back(shelf.new((0, 0), shape=SHAPE, unused=6))
    for _ in range(2):
        tile = shelf.borrow((0, 0), 3)
        assert tile is not None
        shelf.give_back(tile)
    assert shelf.borrow((0, 0), 1) is None


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    shelf = TileShelf(most_bytes=3 * 48)
    for number in range(5):
        shelf.give_back(shelf.new((0, number), shape=SHAPE, unused=9))
    kept = [number for number in range(5) if shelf.borrow((0, number), 1) is not None]
    assert kept == [2, 3, 4]


def test_a_buffer_on_loan_is_not_handed_out_again() -> None:
    shelf = TileShelf()
    first = shelf.new((0, 0), shape=SHAPE, unused=5)
    shelf.give_back(first)
    slow = shelf.borrow((0, 0), 2)
    quick = shelf.borrow((0, 0), 3)  # takes the last unused pixels: the tile leaves the shelf
    assert slow is not None
    assert quick is not None
    shelf.give_back(quick)
    other = shelf.new((0, 1), shape=SHAPE, unused=0)
    assert other.pixels is not slow.pixels
    shelf.give_back(slow)
    assert shelf.new((0, 2), shape=SHAPE, unused=0).pixels is slow.pixels


def test_a_failed_tile_is_not_kept() -> None:
    shelf = TileShelf()
    shelf.give_back(shelf.new((0, 0), shape=SHAPE, unused=5), keep=False)
    assert shelf.borrow((0, 0), 1) is None


def test_threads_reading_overlapping_windows_agree_with_one(write_tiff, picture) -> None:
    image = picture(900, 700)
    windows = [Region(x, y, 150, 130) for y in range(0, 570, 37) for x in range(0, 750, 41)]
    with open_slide(write_tiff(image, levels=1, compression="lzw")) as slide, ThreadPoolExecutor(8) as pool:
        for window, found in zip(windows, pool.map(lambda w: slide.read_level(0, w), windows), strict=True):
            assert np.array_equal(found, image[window.y : window.bottom, window.x : window.right])
