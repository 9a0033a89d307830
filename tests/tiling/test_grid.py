"""The grid owns every point of the plane exactly once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import SettingsError
from slidelab.tiling import TileGrid

grids = st.builds(
    TileGrid,
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    core=st.integers(1, 200),
    halo=st.integers(0, 50),
)


@given(grids)
def test_cores_partition_the_plane(grid):
    owners = np.zeros((grid.height, grid.width), int)
    for tile in grid:
        owners[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] += 1
    assert (owners == 1).all()


@given(grids, st.integers(0, 2**32 - 1))
def test_every_point_has_one_owner(grid, seed):
    random = np.random.default_rng(seed)
    x, y = random.uniform(0, grid.width, 50), random.uniform(0, grid.height, 50)
    x[:10], y[:10] = np.floor(x[:10]), np.floor(y[:10])  # points on seams are the ones that could be shared
    owners = sum(tile.owns(x, y).astype(int) for tile in grid)
    assert (owners == 1).all()


def test_outer_window_adds_the_halo_on_every_side_even_beyond_the_plane():
    tile = TileGrid(1000, 700, core=512, halo=64)[3]
    assert (tile.x, tile.y, tile.width, tile.height) == (512, 512, 488, 188)
    assert tile.outer == (448, 448, 616, 316)


def test_tiles_begin_on_multiples_of_the_stride():
    for tile in TileGrid(1000, 700, core=96, halo=32, stride=32):
        assert tile.outer[0] % 32 == tile.outer[1] % 32 == 0


def test_a_core_that_breaks_the_stride_is_refused_with_advice():
    with pytest.raises(SettingsError) as caught:
        TileGrid(1000, 700, core=100, halo=32, stride=32)
    assert "multiples of 32" in caught.value.advice


def test_level0_region_of_a_tile_is_rounded_outwards():
    grid = TileGrid(1000, 700, core=512, halo=64)
    region = grid.region(grid[3], downsample=1.5)
    assert (region.x, region.y, region.right, region.bottom) == (768, 768, 1500, 1050)


def test_distance_to_seam_counts_inner_borders_only():
    grid = TileGrid(1000, 400, core=400, halo=0)
    distance = grid.distance_to_seam(np.array([0.0, 390.0, 401.0, 600.0, 1000.0]), np.full(5, 399.0))
    assert distance.tolist() == [400.0, 10.0, 1.0, 200.0, 200.0]
    assert np.isinf(TileGrid(100, 100, core=400, halo=0).distance_to_seam(np.zeros(1), np.zeros(1))).all()
