"""Shapes in binary rasters: closing, holes, and the connected pieces."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "close_gaps",
    "count_labels",
    "drop_pieces",
    "fill_holes",
    "grow",
    "keep_touching",
    "label_pieces",
    "open_gaps",
    "sample_pixels",
    "shrink",
]

Mask = NDArray[np.bool_]

ROWS_AT_ONCE = 512


def close_gaps(mask: Mask, *, radius: int) -> Mask:
    """Close gaps narrower than twice a radius.

    Parameters
    ----------
    mask : (H, W) bool array
        Raster.
    radius : int
        Radius of an octagon, px. The raster counts as continued beyond its border.

    Returns
    -------
    (H, W) bool array
        ``mask`` and the gaps.
    """
    if radius < 1:
        return mask
    grown = grow(np.pad(mask, radius, mode="edge"), radius=radius)
    return shrink(grown, radius=radius)[radius:-radius, radius:-radius]


def open_gaps(mask: Mask, *, radius: int) -> Mask:
    """Remove what is narrower than twice a radius; the raster counts as continued beyond its border."""
    if radius < 1:
        return mask
    return grow(shrink(mask, radius=radius), radius=radius)


def grow(mask: Mask, *, radius: int) -> Mask:
    """Grow a mask by an octagon of ``radius`` pixels; a radius of 0 changes nothing."""
    from scipy import ndimage

    for structure, rounds in _octagon(radius):
        mask = ndimage.binary_dilation(mask, structure, iterations=rounds)
    return mask


def shrink(mask: Mask, *, radius: int) -> Mask:
    """Shrink a mask by an octagon of ``radius`` pixels, though not at the border of the raster."""
    from scipy import ndimage

    for structure, rounds in _octagon(radius):
        mask = ndimage.binary_erosion(mask, structure, iterations=rounds, border_value=1)
    return mask


def keep_touching(mask: Mask, *, seeds: Mask) -> Mask:
    """Return the pieces of a mask that hold at least one seed."""
    labels, sizes = label_pieces(mask)
    touched = np.zeros(sizes.size, bool)
    touched[np.unique(labels[seeds & mask])] = True
    touched[0] = False
    return touched[labels]


def sample_pixels(mask: Mask, *, max_count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of some True pixels, evenly spread: about ``max_count`` at most, or all."""
    step = max(1, math.ceil(math.sqrt(int(mask.sum()) / max_count)))
    rows, columns = np.nonzero(mask[::step, ::step])
    return rows * step, columns * step


def _octagon(radius: int) -> list[tuple[Mask, int]]:
    """Return a cross and a square, with the rounds of each that together make an octagon."""
    from scipy import ndimage

    rounds = ((1, radius - radius // 2), (2, radius // 2))
    return [(ndimage.generate_binary_structure(2, kind), count) for kind, count in rounds if count]


def fill_holes(mask: Mask, *, max_px: float) -> Mask:
    """Fill holes of at most ``max_px`` pixels, those cut by the border of the raster too."""
    if not mask.any():
        return mask
    labels, sizes = label_pieces(~mask)
    small = sizes <= max_px
    small[0] = False
    return mask | small[labels]


def drop_pieces(mask: Mask, *, min_px: float) -> Mask:
    """Remove pieces of fewer than ``min_px`` pixels."""
    labels, sizes = label_pieces(mask)
    large = sizes >= min_px
    large[0] = False
    return large[labels]


def label_pieces(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the connected pieces (sides and corners touch), and count their pixels.

    Parameters
    ----------
    mask : (H, W) bool array
        Raster.

    Returns
    -------
    labels : (H, W) int32 array
        0 outside, 1 ... n in the pieces, in the order of their first pixel.
    sizes : (n + 1,) int64 array
        Pixels of each label, the outside first.
    """
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3), bool), output=np.int32)
    return labels, count_labels(labels, size=count + 1)


def count_labels(labels: NDArray[np.int32], *, size: int, where: Mask | None = None) -> NDArray[np.int64]:
    """Return how many pixels each label 0 ... size - 1 has, or has where a mask is True."""
    counts = np.zeros(size, np.int64)
    for top in range(0, labels.shape[0], ROWS_AT_ONCE):  # bincount copies what it counts to 64 bits
        rows = slice(top, top + ROWS_AT_ONCE)
        part = labels[rows].ravel() if where is None else labels[rows][where[rows]]
        counts += np.bincount(part, minlength=size)
    return counts
