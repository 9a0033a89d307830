"""Area of a union of outlines, by raster: against geometry, and the same however it is cut up."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import slidelab.quantify.outline_area as outline_area
from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import AssessedRegion, fill_polygons, union_area_um2

ANGLES = np.linspace(0, 2 * np.pi, 64, endpoint=False)
CIRCLE = np.stack((np.cos(ANGLES), np.sin(ANGLES)), axis=-1)


def discs(centres, radius):
    return np.asarray(centres, float)[:, None, :] + radius * CIRCLE


def stars(seed, count=80, *, side=120.0):
    """Star-convex outlines with deep notches, overlapping one another."""
    random = np.random.default_rng(seed)
    radius = random.uniform(1.0, 7.0, (count, 32, 1))
    return random.uniform(0, side, (count, 1, 2)) + radius * CIRCLE[::2]


def test_2500_discs_cover_an_eighth_of_a_square_millimetre():
    # nuclei of 4 um with a rim of 2 um: discs of 8 um; 2500 x pi x 16 = 125 664 um2
    column, row = np.meshgrid(np.arange(50) * 20 + 10, np.arange(50) * 25 + 10)
    random = np.random.default_rng(1)
    centres = np.stack((column.ravel(), row.ravel()), axis=-1) + random.uniform(-1, 1, (2500, 2))
    stroma = AssessedRegion(np.ones((1250, 1000), bool), 1.0)
    covered = union_area_um2(discs(centres, 2.0), dilation_um=2.0, inside=stroma)
    assert covered == pytest.approx(2500 * np.pi * 16, rel=0.002)
    assert round(covered / 1e6, 4) == pytest.approx(0.1257, abs=0.0002)
    assert stroma.area_um2 == 1.25e6


@pytest.mark.parametrize("rim", [0.0, 2.0, 5.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_union_is_that_of_exact_geometry(seed, rim):
    outlines = stars(seed)
    exact = shapely.union_all(shapely.buffer(shapely.polygons(outlines), rim, quad_segs=32)).area
    assert union_area_um2(outlines, dilation_um=rim, pixel_um=0.1) == pytest.approx(exact, rel=0.006)


@pytest.mark.parametrize("turn", [0.5, 1.0, 2.0, 3.0])
def test_a_grown_corner_holds_the_area_of_a_round_one(turn):
    # a triangle whose tip turns by ``turn``, askew to the raster
    arms = 0.3 + np.array([[0.0], [1.0], [-1.0]]) * (np.pi - turn) / 2
    tip = 40 * np.hstack((np.cos(arms), np.sin(arms))) * np.array([[0.0], [1.0], [1.0]])
    exact = shapely.polygons(tip).buffer(3.0, quad_segs=64).area
    assert union_area_um2(tip[None], dilation_um=3.0, pixel_um=0.05) == pytest.approx(exact, rel=0.002)


def test_overlap_counts_once_and_identical_outlines_do_not_cancel():
    one = discs([[20, 20]], 5.0)
    twice = np.concatenate((one, one[:, ::-1]))
    assert union_area_um2(twice) == union_area_um2(one)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([64, 100, 1024]), st.integers(1, 50))
def test_neither_order_nor_tiles_nor_chunks_matter(seed, tile, chunk):
    outlines = stars(seed, 30) - 40  # some of them left of and above the origin
    whole = union_area_um2(outlines, dilation_um=2.0)
    order = np.random.default_rng(seed).permutation(len(outlines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outline_area, "_TILE", tile)
        patch.setattr(outline_area, "_CHUNK", chunk)
        assert union_area_um2(outlines[order], dilation_um=2.0) == whole


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 3), st.floats(0.1, 3))
def test_a_wider_rim_covers_no_less(seed, rim, more):
    outlines = stars(seed, 10)
    assert union_area_um2(outlines, dilation_um=rim) <= union_area_um2(outlines, dilation_um=rim + more)


def test_only_what_lies_in_the_region_counts():
    mask = np.zeros((10, 10), bool)
    mask[:, 5:] = True
    half = AssessedRegion(mask, 4.0, origin_um=(80.0, 80.0))
    disc = discs([[100, 100]], 8.0)  # its middle on the border of the mask's halves
    covered = union_area_um2(disc, inside=half, pixel_um=0.25)
    assert covered == pytest.approx(np.pi * 64 / 2, rel=0.01)
    assert union_area_um2(disc + 500, inside=half) == 0


@pytest.mark.parametrize("mpp", [0.7, 1.0, 3.3])
def test_a_covered_region_is_covered_whole_whatever_its_pixels(mpp):
    random = np.random.default_rng(5)
    region = AssessedRegion(random.random((31, 47)) > 0.4, mpp)
    sheet = np.array([[[-10, -10], [500, -10], [500, 500], [-10, 500]]], float)
    assert union_area_um2(sheet, inside=region) == pytest.approx(region.area_um2)


def test_repeated_vertices_change_nothing():
    triangle = np.array([[[0, 0], [20, 0], [5, 15]]], float)
    padded = triangle[:, [0, 0, 1, 1, 1, 2, 2]]
    assert union_area_um2(padded, dilation_um=2.0) == union_area_um2(triangle, dilation_um=2.0)


def test_no_outlines_cover_nothing_and_a_line_has_no_area():
    assert union_area_um2(np.zeros((0, 32, 2)), dilation_um=2.0) == 0
    assert union_area_um2([[[0, 0], [5, 5], [9, 9]]], dilation_um=2.0) == 0


@pytest.mark.parametrize("outlines", [np.zeros((3, 2)), [[[0, 0], [1, 1]]], [[[0, 0], [1, np.nan], [2, 0]]]])
def test_what_is_no_outline_is_refused(outlines):
    with pytest.raises(InvalidTableError):
        union_area_um2(outlines)


@pytest.mark.parametrize("options", [{"dilation_um": -1}, {"pixel_um": 0}])
def test_senseless_settings_are_refused(options):
    with pytest.raises(SettingsError):
        union_area_um2(discs([[0, 0]], 4.0), **options)


def test_polygons_are_filled_with_their_holes_left_out():
    square = np.array([[0, 0], [40, 0], [40, 40], [0, 40]], float)
    hole = np.array([[10, 10], [10, 30], [30, 30], [30, 10]], float)
    mask = fill_polygons([square, square + 20], shape=(40, 40), mpp=2.0, holes_um=[hole])
    assert mask.sum() * 4 == 1600 + 1600 - 400 - 400 + 100 - 100  # the hole takes 20 x 20 of both
    assert mask[0, 0]
    assert not mask[10, 10]
    assert mask[25, 25]
    assert not mask[0, 39]
