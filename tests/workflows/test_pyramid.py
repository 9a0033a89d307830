"""Every tile of a pyramid comes once, whatever its size, and coarser pixels are means of finer ones."""

import threading
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from slidelab.workflows.slides.pyramid import AHEAD, BLOCK, TILE, PyramidShape, halve, pyramid_tiles


def gradient(x, y, width, height):
    rows, columns = np.mgrid[y : y + height, x : x + width]
    return np.stack([columns % 251, rows % 241, (rows + columns) % 239], axis=-1).astype(np.uint8)


def built(width, height, *, workers=2, read=gradient):
    shape = PyramidShape(width, height)
    levels = [np.zeros((h, w, 3), np.uint8) for w, h in shape.sizes]
    seen = Counter()
    for at, data in pyramid_tiles(shape, read, lambda at, tile: tile.tobytes(), workers=workers):
        tile = np.frombuffer(data, np.uint8).reshape(TILE, TILE, 3)
        room = levels[at.level][
            at.row * TILE : (at.row + 1) * TILE, at.column * TILE : (at.column + 1) * TILE
        ]
        room[:] = tile[: room.shape[0], : room.shape[1]]
        seen[at] += 1
    return shape, levels, seen


SIZES = [(1, 1), (512, 512), (1024, 300), (1025, 1025), (2049, 700), (4097, 2047), (9001, 513)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_tile_comes_once(width, height):
    shape, _, seen = built(width, height)
    expected = {
        (level, row, column)
        for level in range(len(shape.sizes))
        for row in range(shape.tiles(level)[0])
        for column in range(shape.tiles(level)[1])
    }
    assert {(at.level, at.row, at.column) for at in seen} == expected
    assert set(seen.values()) == {1}


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_level_0_is_what_was_read_and_each_level_the_mean_of_the_one_before(width, height):
    _, levels, _ = built(width, height)
    assert np.array_equal(levels[0], gradient(0, 0, width, height))
    for fine, coarse in pairwise(levels):
        even = np.pad(fine, ((0, fine.shape[0] % 2), (0, fine.shape[1] % 2), (0, 0)), mode="edge")
        inner = halve(even)
        assert inner.shape == coarse.shape
        # At an odd edge the level before repeats pixels finer than its own: one grey level of rounding.
        assert np.array_equal(inner[:-1, :-1], coarse[:-1, :-1])


def test_tiles_do_not_depend_on_workers():
    for one, many in zip(built(4500, 3000, workers=1)[1], built(4500, 3000, workers=5)[1], strict=True):
        assert np.array_equal(one, many)


def test_no_more_than_a_few_blocks_are_under_way():
    lock, state = threading.Lock(), {"begun": 0, "drawn": 0, "most": 0}

    def read(x, y, width, height):
        with lock:
            state["begun"] += 1
            state["most"] = max(state["most"], state["begun"] - state["drawn"])
        return np.zeros((height, width, 3), np.uint8)

    shape, finest = PyramidShape(BLOCK * 3, BLOCK * 4), 0
    for at, _ in pyramid_tiles(shape, read, lambda at, tile: b"", workers=2):
        if at.level == 0:
            finest += 1
            state["drawn"] = finest // (BLOCK // TILE) ** 2
    assert state["most"] <= AHEAD * 2 + 1


def test_a_failing_read_ends_the_pyramid():
    def read(x, y, width, height):
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(pyramid_tiles(PyramidShape(5000, 5000), read, lambda at, tile: b"", workers=2))


def test_halving_rounds_to_nearest():
    assert halve(np.array([[[1], [2]], [[2], [2]]], np.uint8)).item() == 2  # 1.75
    assert halve(np.array([[[1], [1]], [[1], [2]]], np.uint8)).item() == 1  # 1.25
