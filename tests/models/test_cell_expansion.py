"""Cells grow from nuclei, contain them, and stop half-way to their neighbours."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import SettingsError
from slidelab.models.cell_expansion import expand_outlines

ANGLES = np.arange(32) * np.pi / 16
RAYS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)
MPP, BY = 0.5, 5.0
ROUNDING = 1 / 64


def outlines_of(centres, radii):
    """Star-convex outlines: radii (N,) or (N, 32)."""
    centres = np.asarray(centres, float)
    spokes = np.broadcast_to(np.asarray(radii, float).reshape(len(centres), -1), (len(centres), 32))
    return centres[:, None] + spokes[..., None] * RAYS


def ellipses(centres, *, long, short, turn):
    """Ellipses, sampled along the rays."""
    return outlines_of(
        centres,
        [
            1 / np.sqrt((np.cos(ANGLES - angle) / a) ** 2 + (np.sin(ANGLES - angle) / b) ** 2)
            for a, b, angle in zip(long, short, turn, strict=True)
        ],
    )


def grow(centres, outlines, by_um=BY):
    centres = np.asarray(centres, float)
    return expand_outlines(centres[:, 0], centres[:, 1], outlines, by_um=by_um, mpp=MPP)


def crowd(seed, count=60, side=160.0):
    """Nuclei of all sizes and shapes, some of them on one another."""
    random = np.random.default_rng(seed)
    centres = np.round(random.uniform(0, side, (count, 2)) * 64) / 64
    wave = 1 + 0.25 * np.sin(2 * ANGLES + random.uniform(0, 7, (count, 1)))
    return centres, outlines_of(centres, random.uniform(3, 11, (count, 1)) * wave)


def polygons(outlines):
    return shapely.polygons(outlines)


def test_a_lone_nucleus_grows_by_exactly_that_much_in_every_direction():
    centres = [(40.5, 60.25)]
    cells = grow(centres, outlines_of(centres, [8.0]))
    np.testing.assert_allclose(np.linalg.norm(cells[0] - centres[0], axis=1), 8.0 + BY / MPP, atol=ROUNDING)


def test_no_growth_leaves_the_nuclei():
    centres, nuclei = crowd(1)
    np.testing.assert_array_equal(grow(centres, nuclei, by_um=0.0), nuclei)
    assert expand_outlines([], [], np.empty((0, 32, 2)), by_um=5, mpp=0.5).shape == (0, 32, 2)


@pytest.mark.parametrize("apart", [14.5, 18.0, 25.0, 34.0])
@pytest.mark.parametrize("turn", [0.0, 0.3, np.pi / 4, 2.0])
def test_cells_of_two_discs_meet_half_way_between_their_borders(apart, turn):
    toward = np.array([np.cos(turn), np.sin(turn)])
    centres = np.array([[50.0, 50.0], [50.0, 50.0] + apart * toward])
    nuclei = outlines_of(centres, [9.0, 5.0])
    cells = grow(centres, nuclei)
    first, second = polygons(cells)
    assert first.intersection(second).area < 1e-9
    middle = min(9.0 + (apart - 14.0) / 2, 9.0 + BY / MPP)
    line = shapely.LineString([centres[0], centres[0] + 60 * toward])
    assert first.intersection(line).length == pytest.approx(middle, abs=0.1)
    assert first.area > polygons(nuclei)[0].area


def test_a_big_nucleus_keeps_its_room_beside_a_small_one():
    centres = [(50.0, 50.0), (66.5, 50.0)]  # the middle of the centres lies inside the big one
    nuclei = outlines_of(centres, [12.0, 4.0])
    cells = polygons(grow(centres, nuclei))
    assert cells[1].intersection(polygons(nuclei)[0]).area < 1e-9
    assert cells[0].intersection(cells[1]).area < 1e-9


def test_long_nuclei_side_by_side_do_not_grow_into_each_other():
    centres = np.array([(50.0, 50.0), (58.0, 57.0)])  # neither above nor beside: the line is not across
    nuclei = ellipses(centres, long=[14, 14], short=[3, 3], turn=[0.0, 0.0])
    assert not polygons(nuclei)[0].intersects(polygons(nuclei)[1])
    cells = polygons(grow(centres, nuclei))
    assert cells[0].intersection(cells[1]).area < 1e-9


def test_a_third_nucleus_far_away_changes_nothing():
    centres, nuclei = crowd(3, count=12, side=60)
    far = np.vstack([centres, [[4000.0, 4000.0]]])
    together = grow(far, np.concatenate([nuclei, outlines_of([[4000.0, 4000.0]], [30.0])]))
    np.testing.assert_array_equal(together[:-1], grow(centres, nuclei))


def test_cells_of_nuclei_that_do_not_overlap_do_not_overlap():
    random = np.random.default_rng(5)
    grid = np.mgrid[0:200:16, 0:200:16].reshape(2, -1).T
    centres = np.round((grid + random.uniform(-2, 2, grid.shape)) * 64) / 64
    cells = polygons(grow(centres, outlines_of(centres, random.uniform(3, 5.9, len(grid)))))
    left, right = shapely.STRtree(cells).query(cells, predicate="intersects")
    assert (left == right).all()
    near = shapely.STRtree(cells).query(cells, predicate="dwithin", distance=0.5)
    assert near.shape[1] > 3 * len(cells)  # and yet they do meet


@given(seed=st.integers(0, 10_000), by_um=st.floats(0.1, 12.0))
def test_every_cell_contains_its_nucleus(seed, by_um):
    centres, nuclei = crowd(seed, count=25, side=90)
    cells = grow(centres, nuclei, by_um=by_um)
    lost = shapely.area(shapely.difference(polygons(nuclei), polygons(cells)))
    assert lost.max() < 0.2  # 32 vertices, each rounded to 1/64 px
    from_centre = np.linalg.norm(cells - centres[:, None], axis=2)
    assert (from_centre >= np.linalg.norm(nuclei - centres[:, None], axis=2) - ROUNDING).all()
    assert (from_centre <= np.linalg.norm(nuclei - centres[:, None], axis=2) + by_um / MPP + ROUNDING).all()


@given(seed=st.integers(0, 10_000))
def test_the_order_of_nuclei_does_not_matter(seed):
    centres, nuclei = crowd(seed, count=40, side=90)
    order = np.random.default_rng(seed).permutation(len(centres))
    np.testing.assert_array_equal(grow(centres[order], nuclei[order]), grow(centres, nuclei)[order])


@given(seed=st.integers(0, 10_000))
def test_a_tile_that_sees_the_neighbours_finds_the_same_cells(seed):
    centres, nuclei = crowd(seed, count=150, side=400)
    nuclei = centres[:, None] + np.round((nuclei - centres[:, None]) * 64) / 64
    whole = grow(centres, nuclei)
    reach = 2 * (11 * 1.25 + BY / MPP)
    seen = (centres[:, 0] > 128 - reach) & (centres[:, 0] < 256 + reach)
    owned = ((centres[:, 0] > 128) & (centres[:, 0] < 256))[seen]
    origin = np.array([96.0, 0.0])
    tile = grow(centres[seen] - origin, nuclei[seen] - origin) + origin
    np.testing.assert_array_equal(tile[owned], whole[seen][owned])


def test_sizes_that_make_no_sense_are_refused():
    for by_um, mpp in ((-1.0, 0.5), (np.nan, 0.5), (5.0, 0.0)):
        with pytest.raises(SettingsError, match="expansion"):
            expand_outlines([1.0], [1.0], outlines_of([(1, 1)], [5]), by_um=by_um, mpp=mpp)
