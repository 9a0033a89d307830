"""From heat maps to nuclei: peaks, outlines, and which of two that overlap stays. No loop over cells."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .star_outlines import ray_directions

__all__ = ["find_peaks", "highest_near", "stronger_covers"]

Floats = NDArray[np.float32]

WINDOW = 2
"""A peak is the highest within this many grid cells to each side: two centres are never nearer."""


def find_peaks(logits: Tensor, *, threshold: float) -> tuple[Tensor, Tensor]:
    """Find the local maxima of heat maps.

    Parameters
    ----------
    logits : (B, h, w) tensor
        Heat, as logits: saturated probabilities would tie.
    threshold : float
        Least logit of a peak.

    Returns
    -------
    places : (N, 3) long tensor
        Image, row and column, in raster order.
    values : (N,) tensor
        Their logits.
    """
    places = torch.nonzero(logits > threshold)
    values = logits[places[:, 0], places[:, 1], places[:, 2]]
    # Only what passes the threshold can be a peak: a few per cent of the map.
    peak = highest_near(logits[:, None], places, reach=WINDOW)[:, 0] == values
    return places[peak], values[peak]


def highest_near(maps: Tensor, places: Tensor, *, reach: int) -> Tensor:
    """Return the greatest value of each map within ``reach`` grid cells of places, to each side.

    Parameters
    ----------
    maps : (B, C, h, w) tensor
        What to look at.
    places : (N, 3) long tensor
        Image, row and column.
    reach : int
        Half the side of the square window.

    Returns
    -------
    (N, C) tensor
    """
    height, width = maps.shape[2:]
    image, row, column = places.unbind(1)
    highest = maps[image, :, row, column]
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            near = maps[image, :, (row + down).clamp(0, height - 1), (column + right).clamp(0, width - 1)]
            highest = torch.maximum(highest, near)
    return highest


def stronger_covers(
    centres: NDArray[np.float64], radii: Floats, strength: Floats, *, share: float
) -> NDArray[np.bool_]:
    """Tell which nuclei have their centre well inside a stronger one's outline.

    The rule looks at pairs alone: whether the stronger is itself covered does not matter, so what happens to
    a nucleus never depends on more than the nuclei that touch it.

    Parameters
    ----------
    centres : (N, 2) float array
        x, y, px.
    radii : (N, V) float32 array
        Outlines, px.
    strength : (N,) float32 array
        Logits; of two equal ones the upper, then the left one is the stronger.
    share : float
        Part of the stronger's radius within which a weaker centre is covered.
    """
    from scipy.spatial import cKDTree

    covered = np.zeros(len(centres), bool)
    if len(centres) < 2:
        return covered
    pairs = cKDTree(centres).query_pairs(float(radii.max()) * share, output_type="ndarray")
    if not len(pairs):
        return covered
    first, second = pairs[:, 0], pairs[:, 1]
    order = np.lexsort((centres[:, 0], centres[:, 1], -strength.astype(np.float64)))
    rank = np.empty(len(centres), np.intp)
    rank[order] = np.arange(len(centres))
    swap = rank[first] > rank[second]
    stronger, weaker = np.where(swap, second, first), np.where(swap, first, second)
    away = centres[weaker] - centres[stronger]
    directions = ray_directions()
    ray = (away @ directions.T).argmax(1)
    covered[weaker[np.hypot(away[:, 0], away[:, 1]) < share * radii[stronger, ray]]] = True
    return covered
