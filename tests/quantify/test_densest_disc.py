"""The densest disc: against brute force, on borders, on lattices, and whatever the order."""

from __future__ import annotations

from itertools import combinations
from math import hypot, pi, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import densest_disc
from slidelab.quantify.densest_disc import TOLERANCE_UM

RADIUS = 1000 * sqrt(0.1 / pi)
UNIT_MM2 = pi * 1e-4
"""Area of a disc with a radius of 10 um."""


def brute_force(points: NDArray[np.float64], radius: float) -> int:
    """Return the most points in any disc: one with two points on its border, or one around a point."""
    centres = [tuple(point) for point in points]
    for (ax, ay), (bx, by) in combinations(points.tolist(), 2):
        apart = hypot(bx - ax, by - ay)
        if 0 < apart <= 2 * radius:
            height = sqrt(max(0.0, radius**2 - apart**2 / 4)) / apart
            middle = ((ax + bx) / 2, (ay + by) / 2)
            for sign in (1, -1):
                step = (-sign * height * (by - ay), sign * height * (bx - ax))
                centres.append((middle[0] + step[0], middle[1] + step[1]))
    distances = np.linalg.norm(np.array(centres)[:, None] - points[None], axis=2)
    return int((distances <= radius + 1e-9).sum(axis=1).max())


def held(points: NDArray[np.float64], x: float, y: float, radius: float) -> int:
    """Return the points that a disc holds."""
    return int((np.hypot(*(points - (x, y)).T) <= radius + TOLERANCE_UM).sum())


@pytest.mark.parametrize("seed", range(25))
def test_is_exact(seed: int) -> None:
    random = np.random.default_rng(seed)
    count, side = int(random.integers(1, 70)), float(random.choice([200, 800, 3000]))
    points = random.random((count, 2)) * side + random.normal(size=2) * 1e5
    disc = densest_disc(points)
    assert disc is not None
    assert disc.is_exact
    assert disc.count == disc.upper_bound == brute_force(points, RADIUS)
    assert held(points, disc.x_um, disc.y_um, disc.radius_um) == disc.count


def test_is_exact_where_points_lie_on_a_grid() -> None:
    # whole numbers make three and more points lie on one circle of radius 10 or 5
    for seed in range(15):
        random = np.random.default_rng(seed)
        points = random.integers(0, 30, size=(40, 2)).astype(np.float64)
        disc = densest_disc(points, area_mm2=UNIT_MM2)
        assert disc is not None
        assert disc.count == brute_force(points, 10.0)


def test_points_on_the_border_count() -> None:
    angles = np.linspace(0, 2 * pi, 12, endpoint=False)
    circle = 10 * np.stack([np.cos(angles), np.sin(angles)], axis=1) + 37.5
    disc = densest_disc(circle, area_mm2=UNIT_MM2)
    assert disc is not None
    assert (disc.count, disc.is_exact) == (12, True)
    wider = densest_disc(circle * 1.001, area_mm2=UNIT_MM2)
    assert wider is not None
    assert wider.count < 12


@pytest.mark.parametrize(("apart", "count"), [(19.999, 2), (20.0, 2), (20.01, 1)])
def test_two_points_a_diameter_apart_share_a_disc(apart: float, count: int) -> None:
    disc = densest_disc([[0, 0], [apart, 0]], area_mm2=UNIT_MM2)
    assert disc is not None
    assert disc.count == count


def test_the_centre_need_not_be_a_point() -> None:
    ring = [[9.5, 0], [-9.5, 0], [0, 9.5], [0, -9.5]]
    disc = densest_disc(ring, area_mm2=UNIT_MM2)
    assert disc is not None
    assert disc.count == 4
    assert hypot(disc.x_um, disc.y_um) < 1


def test_points_at_one_place_all_count() -> None:
    disc = densest_disc(np.full((1000, 2), 5.0))
    assert disc is not None
    assert (disc.count, disc.is_exact) == (1000, True)


def test_order_does_not_matter() -> None:
    random = np.random.default_rng(7)
    points = random.random((300, 2)) * 2000
    assert densest_disc(points) == densest_disc(random.permutation(points))


def test_finds_the_crowd_among_many() -> None:
    random = np.random.default_rng(1)
    crowd = np.array([7000.0, 3000.0]) + random.normal(size=(600, 2)) * 60
    disc = densest_disc(np.concatenate([random.random((20_000, 2)) * 10_000, crowd]), area_mm2=0.785)
    assert disc is not None
    assert disc.is_exact
    assert hypot(disc.x_um - 7000, disc.y_um - 3000) < 500
    assert disc.count > 600


def test_a_search_cut_short_says_by_how_much_it_may_err() -> None:
    points = np.random.default_rng(3).random((400, 2)) * 3000
    exact, short = densest_disc(points), densest_disc(points, most_cells=1)
    assert exact is not None
    assert short is not None
    assert short.count <= exact.count <= short.upper_bound
    assert not short.is_exact
    assert held(points, short.x_um, short.y_um, RADIUS) == short.count


def test_no_points_make_no_disc() -> None:
    assert densest_disc([]) is None
    assert densest_disc(np.empty((0, 2))) is None


def test_wrong_input_is_refused() -> None:
    for points in ([1, 2, 3], [[1, 2, 3]], [[1, float("nan")]]):
        with pytest.raises(InvalidTableError):
            densest_disc(points)
    for area in (0, -1, float("inf")):
        with pytest.raises(SettingsError):
            densest_disc([[0, 0]], area_mm2=area)
    with pytest.raises(SettingsError):
        densest_disc([[0, 0]], most_cells=0)
