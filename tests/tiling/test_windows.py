"""Windows of a tile: every tissue pixel is in exactly one, and glass costs nothing."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slidelab.tiling import Tile, halves, tissue_windows


def covered(windows, width, height):
    """How many windows own each pixel of the plane."""
    count = np.zeros((height, width), int)
    for window in windows:
        count[window.y : window.y + window.height, window.x : window.x + window.width] += 1
    return count


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    scale=st.sampled_from([1.0, 7.3, 16.0, 16.03]),
    stride=st.sampled_from([1, 16]),
    corner=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_every_tissue_pixel_of_a_core_lies_in_one_window(seed, share, scale, stride, corner):
    side = 512
    tile = Tile(3, 128 * corner[0], 128 * corner[1], 208, 333, halo=48)
    size = int(np.ceil(side / scale))
    mask = np.random.default_rng(seed).random((size, size)) < share
    windows = tissue_windows(tile, mask, scale=scale, stride=stride)

    count = covered(windows, 1024, 1024)
    position = (np.arange(1024) / scale).astype(int)
    inside = position < size
    tissue = np.zeros((1024, 1024), bool)
    tissue[np.ix_(inside, inside)] = mask[np.ix_(position[inside], position[inside])]
    core = np.zeros_like(tissue)
    core[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] = True
    assert count.max() <= 1
    assert not count[~core].any()
    assert (count[tissue & core] == 1).all()
    for window in windows:
        assert (window.index, window.halo) == (tile.index, tile.halo)
        assert (window.x - tile.x) % stride == 0
        assert (window.y - tile.y) % stride == 0


def test_two_specks_of_tissue_are_read_apart_and_a_full_core_in_one():
    tile = Tile(0, 0, 0, 2048, 2048, halo=128)
    mask = np.zeros((128, 128), bool)
    mask[2:6, 2:6] = mask[110:114, 110:114] = True
    windows = tissue_windows(tile, mask, scale=16.0)
    assert len(windows) == 2
    assert sum(window.outer[2] * window.outer[3] for window in windows) < 0.1 * 2304**2
    assert tissue_windows(tile, np.ones((128, 128), bool), scale=16.0) == [tile]


def test_a_core_without_tissue_has_no_window():
    assert tissue_windows(Tile(0, 0, 0, 512, 512, halo=64), np.zeros((32, 32), bool), scale=16.0) == []


@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    stride=st.sampled_from([1, 4, 16]),
    x=st.integers(0, 9),
)
def test_halves_share_a_window_on_the_stride_or_leave_it_whole(width, height, stride, x):
    window = Tile(3, 16 * x, 32, width, height, 64)
    parts = halves(window, stride=stride)
    if parts is None:
        assert max(width, height) < 2 * 32 + 2 * stride
        return
    assert sum(part.width * part.height for part in parts) == width * height
    assert all((part.x - window.x) % stride == 0 and (part.y - window.y) % stride == 0 for part in parts)
    assert all(part.halo == 64 and part.index == 3 for part in parts)
