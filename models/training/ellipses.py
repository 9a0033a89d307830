"""Outlines of cells that overlap: ellipses in boxes, cut and turned with their crop, as radii."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["ellipse_radii", "shift_ellipses", "turn_ellipses"]

Floats = NDArray[np.float32]


def shift_ellipses(
    ellipses: NDArray[np.float64] | None, chosen: NDArray[np.bool_], *, x: float, y: float
) -> NDArray[np.float64] | None:
    """Return the chosen ellipses with the origin at ``x``, ``y``; None stays None."""
    return None if ellipses is None else ellipses[chosen] - np.array([x, y, 0.0, 0.0])


def turn_ellipses(
    ellipses: NDArray[np.float64] | None, number: int, *, side: float
) -> NDArray[np.float64] | None:
    """Mirror and turn ellipses by quarters, as the square image of that side that they lie on.

    Parameters
    ----------
    ellipses : (N, 4) float array or None
        Centre x, y, half width, half height, px.
    number : int
        From 4 on mirrored left to right first; then as many quarter turns as its remainder by 4.
    side : float
        Of the image, px.
    """
    if ellipses is None:
        return None
    x, y, across, down = ellipses.T
    x = side - x if number >= 4 else x
    for _ in range(number % 4):
        x, y, across, down = y, side - x, down, across
    return np.stack([x, y, across, down], axis=1)


def ellipse_radii(
    ellipses: NDArray[np.float64], places: NDArray[np.int64], *, rays: int, side: int
) -> tuple[Floats, Floats]:
    """Return how far each ellipse reaches from a place in it, and which rays end inside the image.

    Parameters
    ----------
    ellipses : (N, 4) float array
        Centre x, y, half width, half height, px.
    places : (N, 2) int array
        Row and column of the stride-2 grid.
    rays : int
        Number of radii, from the x axis on towards y.
    side : int
        Of the image, px.

    Returns
    -------
    radii : (N, rays) float32 array
        px.
    weight : (N, rays) float32 array
        1 where the radius is known: the place lies inside, and the ray ends in the image.
    """
    angles = np.arange(rays) * (2 * np.pi / rays)
    centre, half = ellipses[:, None, :2], np.maximum(ellipses[:, None, 2:], 1e-6)
    start = places[:, None, ::-1] * 2.0 + 1.0
    direction = np.stack([np.cos(angles), np.sin(angles)], axis=1)[None]
    # In units of the half axes the ellipse is the unit circle: |away + radius * along| = 1.
    away, along = (start - centre) / half, direction / half
    square = (along**2).sum(-1)
    middle = (away * along).sum(-1)
    inside = (away**2).sum(-1) - 1.0
    radii = (-middle + np.sqrt(np.maximum(middle**2 - square * inside, 0.0))) / square
    radii = np.maximum(radii, 0.0) * (inside < 0)
    end = start + radii[..., None] * direction
    ends_inside = ((end >= 0) & (end <= side)).all(-1)
    return radii.astype(np.float32), (ends_inside & (inside < 0)).astype(np.float32)
