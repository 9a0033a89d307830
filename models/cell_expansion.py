"""Cells from nuclei: outlines pushed outwards, up to half-way to the neighbours.

For membrane and cytoplasmic markers, where the nucleus is found and the cell is not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SettingsError

__all__ = ["expand_outlines"]

Doubles = NDArray[np.float64]

GRID = 64.0
"""Vertices move by whole multiples of 1/64 px, so sums with tile origins stay exact."""
DIRECTIONS = 64
"""Directions in which the gap between two nuclei is measured: the line is at most 3 degrees off."""
CLEARANCE_PX = 1 / 64
"""Cells end this far before the line to their neighbour: rounding must not carry them over."""


def expand_outlines(x: ArrayLike, y: ArrayLike, outlines: ArrayLike, *, by_um: float, mpp: float) -> Doubles:
    """Push outlines of nuclei outwards to stand for cells.

    Each vertex moves away from the nucleus' centre along its own ray. Between two nuclei runs a straight
    line, half-way between their borders and across the direction in which they are farthest apart; no ray
    crosses it, so cells of nuclei that do not overlap do not overlap either. Where nuclei do overlap
    nothing shrinks.

    Parameters
    ----------
    x, y : (N,) float array
        Centres, px.
    outlines : (N, V, 2) float array
        Vertices x, y, px; star-convex as seen from the centre.
    by_um : float
        How far, um; QuPath's default for cell detection is 5.
    mpp : float
        um per px.

    Returns
    -------
    (N, V, 2) float64 array
        Outlines of cells, which contain those of the nuclei. An outline depends on the nuclei within
        twice ``by_um`` alone, never on their order or on where the image begins.

    Raises
    ------
    SettingsError
        If ``by_um`` is negative, or one of the two is not finite.
    """
    if not (0 <= by_um < np.inf and 0 < mpp < np.inf):
        raise SettingsError(f"expansion by {by_um} um at {mpp} um per px", "Give finite sizes from 0 up.")
    nuclei = np.asarray(outlines, np.float64)
    centres = np.stack([np.asarray(x, np.float64), np.asarray(y, np.float64)], axis=1)
    if not len(centres) or by_um == 0:
        return nuclei.copy()
    spokes = nuclei - centres[:, None]
    lengths = np.hypot(spokes[..., 0], spokes[..., 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        rays = np.where(lengths[..., None] > 0, spokes / lengths[..., None], 0.0)
    by = by_um / mpp
    room = np.minimum(by, _limits(centres, spokes, rays, by=by) - lengths)
    push = rays * np.maximum(room, 0.0)[..., None]
    return np.asarray(nuclei + np.round(push * GRID) / GRID)


def _limits(centres: Doubles, spokes: Doubles, rays: Doubles, *, by: float) -> Doubles:
    """Return how far from its centre each ray may go, px: (N, V)."""
    limits = np.full(rays.shape[:2], np.inf)
    extents = np.stack([_along(spokes, direction).max(axis=1) for direction in _directions()], axis=1)
    first, second = _near_pairs(centres, reach=2.0 * (float(extents.max()) + by + CLEARANCE_PX))
    axis, gap = _widest_gap(centres[second] - centres[first], extents[first], extents[second])
    close = gap < 2.0 * (by + CLEARANCE_PX)  # beyond, the line is out of reach of either
    first, second, axis, gap = first[close], second[close], axis[close], gap[close]
    if not len(first):
        return limits
    opposite = _opposite(axis)
    owners = np.concatenate([first, second])
    directions = np.concatenate([axis, opposite])
    lines = extents[owners, directions] + np.concatenate([gap, gap]) / 2.0 - CLEARANCE_PX
    along = _along(rays[owners], _directions()[directions][:, None])
    # A ray that runs along the line or away from it never meets it.
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.where(along > 0, lines[:, None] / along, np.inf)
    order = np.argsort(owners, kind="stable")
    cells, starts = np.unique(owners[order], return_index=True)
    limits[cells] = np.minimum.reduceat(far[order], starts, axis=0)
    return limits


def _near_pairs(centres: Doubles, *, reach: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all pairs of near nuclei, the left (of equals the upper) first, whatever their order."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(centres).query_pairs(reach, output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    (x0, y0), (x1, y1) = centres[first].T, centres[second].T
    swap = (x1 < x0) | ((x1 == x0) & (y1 < y0))
    return np.where(swap, second, first), np.where(swap, first, second)


def _widest_gap(away: Doubles, extents: Doubles, others: Doubles) -> tuple[NDArray[np.intp], Doubles]:
    """Return in which of the directions two nuclei are farthest apart, and by how much, px; < 0 overlaps."""
    directions = _directions()
    gaps = _along(away[:, None], directions) - extents - others[:, _opposite(np.arange(DIRECTIONS))]
    axis = gaps.argmax(axis=1)
    return axis, np.take_along_axis(gaps, axis[:, None], axis=1)[:, 0]


def _along(vectors: Doubles, directions: Doubles) -> Doubles:
    """Return the length of vectors along directions.

    Not as a matrix product: its last digit depends on how many rows there are, and thereby on the tiling.
    """
    return np.asarray(vectors[..., 0] * directions[..., 0] + vectors[..., 1] * directions[..., 1])


def _opposite(directions: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the numbers of the opposite directions."""
    return np.asarray((directions + DIRECTIONS // 2) % DIRECTIONS)


@lru_cache(maxsize=1)
def _directions() -> Doubles:
    """Unit vectors x, y: (DIRECTIONS, 2)."""
    angles = np.arange(DIRECTIONS) * (2.0 * np.pi / DIRECTIONS)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)
