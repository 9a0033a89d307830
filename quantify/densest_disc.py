"""The disc of a given area that holds most points: where cells crowd."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

TOLERANCE_UM = 0.001
"""How much wider than asked the disc may be, um: points on its border count, whatever the rounding."""
MOST_CELLS = 500_000
"""Squares of centres looked at before the search gives up being exact."""

_FIRST_SIDES_PER_RADIUS = 2
_CHUNK = 50_000
_QUARTERS = np.array([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)])


@dataclass(frozen=True, slots=True)
class DensestDisc:
    """The disc with most points."""

    x_um: float
    """Centre, um; seldom a point itself."""
    y_um: float
    radius_um: float
    count: int
    """Points inside or on the border."""
    upper_bound: int
    """No disc holds more. Equal to ``count`` unless the search was cut short."""

    @property
    def is_exact(self) -> bool:
        """Whether no disc can hold more."""
        return self.count == self.upper_bound


def densest_disc(
    points_um: ArrayLike, *, area_mm2: float = 0.1, most_cells: int = MOST_CELLS
) -> DensestDisc | None:
    """Find the disc of an area that holds most points, centred anywhere.

    Parameters
    ----------
    points_um : (N, 2) array
        x and y, um, in any order and from any origin.
    area_mm2 : float
        Area of the disc, mm²: 0.1 for signet-ring cells, 0.785 for tumour buds.
    most_cells : int
        Bounds the work; see Notes.

    Returns
    -------
    DensestDisc or None
        None without points. Of several discs with as many points always the same one is returned.

    Raises
    ------
    InvalidTableError
        If the points are not N pairs of finite numbers.
    SettingsError
        If the area or ``most_cells`` is not positive.

    Notes
    -----
    Branch and bound. Centres are searched in squares: if h is half the diagonal of a square with middle c,
    no disc of radius r centred in it holds more than the disc (c, r + h). Squares whose bound beats the best
    disc found are quartered, until none is left. A disc may be wider by ``TOLERANCE_UM`` (1 nm), so that
    points that lie exactly on its border are inside whatever the rounding of numbers, and so that the search
    ends: the count is never lower than the true one, and a disc 1 nm wider in radius holds it.

    Points on a perfect lattice have so many equal discs that the search may reach ``most_cells``; the count
    is then one that exists, and ``upper_bound`` says how many more there could be.
    """
    if not 0 < area_mm2 < np.inf or most_cells < 1:
        raise SettingsError(
            f"a disc of {area_mm2} mm2 within {most_cells} squares", "Both must be positive, 0.1 mm2 say."
        )
    points = _checked(points_um)
    if not len(points):
        return None
    from scipy.spatial import cKDTree

    radius = 1000 * sqrt(area_mm2 / pi)
    search = _Search(cKDTree(points), radius)
    search.run(most_cells)
    x, y = search.centre
    return DensestDisc(
        float(x), float(y), radius_um=radius, count=search.count, upper_bound=max(search.count, search.bound)
    )


class _Search:
    """The best disc so far, and how to better it."""

    def __init__(self, tree: cKDTree, radius: float) -> None:
        self.tree = tree
        self.radius = radius
        self.count = 0
        self.bound = 0
        self.centre: tuple[float, float] = (np.nan, np.nan)

    def run(self, most_cells: int) -> None:
        """Search squares of centres, level by level."""
        half = self.radius / _FIRST_SIDES_PER_RADIUS / 2
        middles = _first_squares(np.asarray(self.tree.data), 2 * half)
        left = most_cells
        while len(middles):
            self._try(middles)
            bounds = self._count(middles, self.radius + hypot(half, half))
            self.bound = int(bounds.max())
            hopeful = bounds > self.count
            left -= len(middles)
            if not hopeful.any() or left <= 0:
                break
            middles, bounds = middles[hopeful], bounds[hopeful]
            middles = (middles[:, None, :] + half * _QUARTERS).reshape(-1, 2)
            half /= 2

    def _try(self, middles: NDArray[np.float64]) -> None:
        """Take the best disc centred on any of these, if it beats the best so far."""
        counts = self._count(middles, self.radius + TOLERANCE_UM)
        most = int(counts.max())
        if most > self.count:
            x, y = min(map(tuple, middles[counts == most].tolist()), key=lambda centre: centre[::-1])
            self.count, self.centre = most, (x, y)

    def _count(self, middles: NDArray[np.float64], radius: float) -> NDArray[np.int64]:
        """Return how many points lie within a distance of each middle."""
        parts = [
            self.tree.query_ball_point(middles[start : start + _CHUNK], radius, return_length=True)
            for start in range(0, len(middles), _CHUNK)
        ]
        return np.concatenate(parts).astype(np.int64)


def _first_squares(points: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """Return the middles of squares that hold every centre worth trying.

    The best disc can be moved without losing a point until its centre lies between its points, so centres
    outside the box of a point's own square and those around it, up to a radius away, are covered.
    """
    origin = points.min(axis=0)
    reach = _FIRST_SIDES_PER_RADIUS + 1
    own = np.unique(np.floor((points - origin) / side).astype(np.int64), axis=0)
    steps = np.arange(-reach, reach + 1)
    around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    squares = np.unique((own[:, None, :] + around).reshape(-1, 2), axis=0)
    middles: NDArray[np.float64] = origin + (squares + 0.5) * side
    return middles


def _checked(points_um: ArrayLike) -> NDArray[np.float64]:
    """Return the points as pairs of finite numbers, or say why they are none."""
    points = np.asarray(points_um, dtype=np.float64)
    if points.size == 0:
        return points.reshape(0, 2)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InvalidTableError(
            f"points of shape {points.shape}", "Give N pairs of finite numbers, x and y in um."
        )
    return points
