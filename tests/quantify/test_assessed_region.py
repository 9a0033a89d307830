"""The assessed region: its area, what lies in it, how far its edge is."""

from __future__ import annotations

import numpy as np
import pytest

from slidelab.errors import InvalidTableError
from slidelab.quantify import AssessedRegion


def test_distance_to_the_end_of_the_mask_is_exact():
    region = AssessedRegion(np.ones((20, 30), bool), 2.0, origin_um=(100.0, 50.0))
    points = [[100.5, 60.0], [130.0, 70.0], [159.0, 52.5], [160.0, 60.0], [99.9, 60.0]]
    # the region spans x 100-160, y 50-90
    assert region.edge_distance_um(points) == pytest.approx([0.5, 20.0, 1.0, 0.0, 0.0])


def test_the_edge_is_that_of_the_mask_not_of_its_bounding_box():
    mask = np.ones((50, 50), bool)
    mask[20:22, 20:22] = False  # an excluded fold in the middle
    region = AssessedRegion(mask, 1.0)
    assert region.edge_distance_um([[25.0, 21.0]]) == pytest.approx([3.0])
    assert region.edge_distance_um([[25.0, 25.0]]) == pytest.approx([np.hypot(3, 3)])


def test_distance_to_a_ragged_edge_is_that_of_a_full_search():
    random = np.random.default_rng(3)
    mask = np.ones((60, 60), bool)
    mask[random.integers(0, 60, 40), random.integers(0, 60, 40)] = False
    region = AssessedRegion(mask, 1.0)
    points = random.uniform(0, 60, (500, 2))
    row, column = np.nonzero(~np.pad(mask, 1))
    row, column = row - 1, column - 1
    dx = np.maximum(np.maximum(column - points[:, :1], points[:, :1] - column - 1), 0)
    dy = np.maximum(np.maximum(row - points[:, 1:], points[:, 1:] - row - 1), 0)
    exact = np.where(region.contains(points), np.hypot(dx, dy).min(axis=1), 0)
    assert region.edge_distance_um(points) == pytest.approx(exact, abs=0.25)
    assert np.mean(np.abs(region.edge_distance_um(points) - exact) < 1e-9) > 0.98


def test_area_and_membership():
    mask = np.zeros((4, 4), bool)
    mask[1, 2] = True
    region = AssessedRegion(mask, 5.0)
    assert region.area_um2 == 25
    assert region.contains([[10, 5], [14.9, 9.9], [15, 5], [-1, 5], [7, 7]]).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert region.contains([]).tolist() == []
    assert region.edge_distance_um([]).tolist() == []


@pytest.mark.parametrize("mask", [np.ones((3, 3)), np.ones(3, bool)])
def test_what_is_no_mask_is_refused(mask):
    with pytest.raises(InvalidTableError):
        AssessedRegion(mask, 1.0)


@pytest.mark.parametrize("points", [[[1, 2, 3]], [[np.nan, 1]], [1, 2]])
def test_what_are_no_points_is_refused(points):
    with pytest.raises(InvalidTableError):
        AssessedRegion(np.ones((3, 3), bool), 1.0).contains(points)
