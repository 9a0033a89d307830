"""Shape of nuclei from their outlines."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError

__all__ = ["elongations"]


def elongations(outlines: ArrayLike) -> NDArray[np.float32]:
    """Return how many times longer than broad each outline is.

    Parameters
    ----------
    outlines : (N, V, 2) float array
        Vertices x, y in order, not closed, in any unit.

    Returns
    -------
    (N,) float32 array
        Long over short axis of the ellipse with the same second moments of area, 1 or more; 1 for outlines
        without area.
    """
    rings = np.asarray(outlines, np.float64)
    if rings.ndim != 3 or rings.shape[1] < 3 or rings.shape[2] != 2:
        raise InvalidTableError(
            f"outlines have shape {rings.shape}", "Give (cells, corners, 2) with at least three corners."
        )
    # From a corner: exact on a grid, so that the place of an outline cannot change its last digits.
    x0, y0 = np.moveaxis(rings - rings[:, :1], 2, 0)
    x1, y1 = np.roll(x0, -1, axis=1), np.roll(y0, -1, axis=1)
    cross = x0 * y1 - x1 * y0  # twice the signed area of each triangle with the corner
    area = cross.sum(axis=1) / 2.0
    whole = np.where(area == 0.0, 1.0, area)
    middle_x, middle_y = (
        (cross * (first + second)).sum(axis=1) / (6.0 * whole) for first, second in ((x0, x1), (y0, y1))
    )
    xx = (cross * (x0 * x0 + x0 * x1 + x1 * x1)).sum(axis=1) / (12.0 * whole) - middle_x * middle_x
    yy = (cross * (y0 * y0 + y0 * y1 + y1 * y1)).sum(axis=1) / (12.0 * whole) - middle_y * middle_y
    mixed = (cross * (x0 * (2.0 * y0 + y1) + x1 * (y0 + 2.0 * y1))).sum(axis=1) / (24.0 * whole)
    xy = mixed - middle_x * middle_y
    half, spread = (xx + yy) / 2.0, np.sqrt(((xx - yy) / 2.0) ** 2 + xy * xy)
    least = half - spread
    sound = (area != 0.0) & (least > 0.0)
    ratio = np.sqrt((half + spread) / np.where(sound, least, 1.0))
    return np.where(sound, np.maximum(ratio, 1.0), 1.0).astype(np.float32)
