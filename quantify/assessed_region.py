"""The part of a slide that was assessed, as a raster with its place: what lies in it, how far its edge is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError


@dataclass(frozen=True, slots=True, eq=False)
class AssessedRegion:
    """Tissue that counts, without what was excluded, on a raster.

    Its edge is the border of the mask, and where the mask ends: nobody knows what lies beyond.
    """

    mask: NDArray[np.bool_]
    """(h, w); True = assessed."""
    mpp: float
    """um per mask px."""
    origin_um: tuple[float, float] = (0.0, 0.0)
    """x and y of the mask's upper-left corner, um."""

    def __post_init__(self) -> None:
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_ or not self.mpp > 0:
            raise InvalidTableError(
                f"a region of {self.mask.dtype}{self.mask.shape} at {self.mpp} um per px",
                "Give a mask of true and false with its resolution.",
            )

    @property
    def area_um2(self) -> float:
        """Area, um²."""
        return float(np.count_nonzero(self.mask)) * self.mpp**2

    def contains(self, points_um: ArrayLike) -> NDArray[np.bool_]:
        """Return (N,) whether each of the (N, 2) points lies in the region; a pixel holds its upper edges."""
        column, row = self._pixels(check_points(points_um))
        height, width = self.mask.shape
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        inside[inside] = self.mask[row[inside], column[inside]]
        return np.asarray(inside)

    def edge_distance_um(self, points_um: ArrayLike) -> NDArray[np.float64]:
        """Return how far each point is from the nearest place that was not assessed.

        Parameters
        ----------
        points_um : (N, 2) array
            x and y, um.

        Returns
        -------
        (N,) float64 array
            um; 0 for points outside the region.

        Notes
        -----
        The distance goes to the outline of the nearest excluded pixel, not to its centre. That pixel is
        sought among those nearest to the point's own pixel and to its eight neighbours; memory is some 20
        bytes per mask pixel, so a mask of 2-8 um per px is advised.
        """
        from scipy.ndimage import distance_transform_edt

        points = check_points(points_um)
        padded = np.pad(self.mask, 2)  # neighbours of edge pixels exist, and the mask's end is an edge
        nearest = distance_transform_edt(padded, return_distances=False, return_indices=True)
        inside = self.contains(points)
        place = (points[inside] - np.asarray(self.origin_um)) / self.mpp + 2
        column, row = np.floor(place).astype(np.intp).T
        best = np.full(len(place), np.inf)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                y, x = nearest[:, row + down, column + right]
                dx = np.maximum(np.maximum(x - place[:, 0], place[:, 0] - x - 1), 0)
                dy = np.maximum(np.maximum(y - place[:, 1], place[:, 1] - y - 1), 0)
                best = np.minimum(best, np.hypot(dx, dy))
        distance = np.zeros(len(points))
        distance[inside] = best * self.mpp
        return distance

    def _pixels(self, points: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the column and row of each point."""
        place = np.floor((points - np.asarray(self.origin_um)) / self.mpp).astype(np.intp)
        return place[:, 0], place[:, 1]


def check_points(points_um: ArrayLike) -> NDArray[np.float64]:
    """Return points as (N, 2) finite numbers, or say why they are none."""
    points = np.asarray(points_um, dtype=np.float64)
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InvalidTableError(
            f"points of shape {points.shape}", "Give one finite x and y per cell, in um: (N, 2)."
        )
    return points
