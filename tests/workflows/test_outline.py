"""Outlines of masks and circles lie where the pixels lie."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from slidelab.errors import RegionError
from slidelab.workflows.slides.outline import Circle, outline_mask


def test_a_rectangle_keeps_its_place_in_level_0_pixels():
    mask = np.zeros((20, 30), bool)
    mask[5:15, 10:25] = True
    outline = outline_mask(mask, downsample=8.0)
    assert outline.bounds == pytest.approx((80, 40, 200, 120), abs=4)
    assert outline.area == pytest.approx(150 * 64, rel=0.02)


def test_a_hole_and_an_island_in_it_stay_apart():
    mask = np.zeros((60, 60), bool)
    mask[5:55, 5:55] = True
    mask[15:45, 15:45] = False
    mask[25:35, 25:35] = True
    outline = outline_mask(mask, downsample=2.0)
    assert len(outline.geoms) == 2
    assert sorted(len(part.interiors) for part in outline.geoms) == [0, 1]
    assert outline.area == pytest.approx(mask.sum() * 4, rel=0.02)
    assert outline.contains(shapely.Point(60, 60))
    assert not outline.contains(shapely.Point(40, 60))


def test_tissue_at_the_edge_of_the_mask_is_closed():
    outline = outline_mask(np.ones((10, 12), bool), downsample=1.0)
    assert outline.is_valid
    assert outline.area == pytest.approx(120, rel=0.02)


def test_noise_gives_valid_polygons_of_the_same_area():
    mask = np.random.default_rng(0).random((80, 80)) < 0.6
    outline = outline_mask(mask, downsample=4.0)
    assert outline.is_valid
    assert outline.area == pytest.approx(mask.sum() * 16, rel=0.15)


def test_an_empty_mask_has_no_outline():
    assert outline_mask(np.zeros((4, 4), bool), downsample=1.0).is_empty


def test_a_mask_must_be_flat():
    with pytest.raises(RegionError, match="3 dimensions"):
        outline_mask(np.zeros((4, 4, 3), bool), downsample=1.0)


def test_a_circle_has_its_radius_and_centre():
    polygon = Circle(100, 50, 20).polygon()
    assert (polygon.centroid.x, polygon.centroid.y) == pytest.approx((100, 50))
    assert polygon.area == pytest.approx(np.pi * 400, rel=0.005)
