"""The windows of a tile that are worth reading: boxes around its tissue, cut where that saves work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .grid import Tile

__all__ = ["halves", "tissue_windows"]

CELL_PX = 32
"""Windows are made of squares about so wide, px."""
GAIN = 0.95
"""A box is cut in two only where the parts, each with its margin, are less than this share of it."""

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom; half open."""


def tissue_windows(tile: Tile, mask: Mask, *, scale: float, stride: int = 1) -> list[Tile]:
    """Return the parts of a tile that hold its tissue.

    Glass is left out. Nothing on glass is ever kept, so with a margin as wide as the detector's reach this
    changes no result.

    Parameters
    ----------
    tile : Tile
        The tile.
    mask : (h, w) bool array
        True on tissue, over the whole plane.
    scale : float
        Plane px per mask px.
    stride : int
        Corners lie on multiples of this, counted from the core's corner, px.

    Returns
    -------
    list of Tile
        Disjoint parts of the core, with the tile's number and margin; none where it holds no tissue.
    """
    cell = -(-CELL_PX // stride) * stride
    holds = _occupied(mask, (tile.y, tile.y + tile.height), (tile.x, tile.x + tile.width), cell, scale)
    windows = []
    for left, top, right, bottom in _cut(holds, (0, 0, *holds.shape[::-1]), margin=2 * tile.halo / cell):
        width, height = min(right * cell, tile.width), min(bottom * cell, tile.height)
        windows.append(
            replace(
                tile,
                x=tile.x + left * cell,
                y=tile.y + top * cell,
                width=width - left * cell,
                height=height - top * cell,
            )
        )
    return windows


def halves(window: Tile, *, stride: int = 1) -> tuple[Tile, Tile] | None:
    """Cut a window in two across its longer side, on a multiple of the stride.

    Parameters
    ----------
    window : Tile
        A tile or a part of one.
    stride : int
        The cut lies on a multiple of this, counted from the window's corner, px.

    Returns
    -------
    (Tile, Tile) or None
        None if it is too small to be cut.
    """
    wide = window.width >= window.height
    at = max(window.width, window.height) // 2 // stride * stride
    if at < max(stride, CELL_PX):
        return None
    if wide:
        return replace(window, width=at), replace(window, x=window.x + at, width=window.width - at)
    return replace(window, height=at), replace(window, y=window.y + at, height=window.height - at)


def _occupied(mask: Mask, rows: tuple[int, int], columns: tuple[int, int], cell: int, scale: float) -> Mask:
    """Tell which squares of a core touch mask pixels that are set."""
    firsts, ends = [], []
    for (start, stop), size in zip((rows, columns), mask.shape, strict=True):
        edges = np.append(np.arange(start, stop, cell), stop)
        firsts.append(np.clip((edges[:-1] / scale).astype(int), 0, size))
        ends.append(np.clip(((edges[1:] - 1) / scale).astype(int) + 1, 0, size))
    total = np.pad(mask.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    top, bottom = firsts[0][:, None], ends[0][:, None]
    left, right = firsts[1][None], ends[1][None]
    return np.asarray(total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left] > 0)


def _cut(holds: Mask, box: Box, *, margin: float) -> list[Box]:
    """Shrink a box to what it holds, and cut it in two, again and again, while that makes less work."""
    whole = _shrink(holds, box)
    if whole is None:
        return []
    left, top, right, bottom = whole
    halves = [((left, top, at, bottom), (at, top, right, bottom)) for at in range(left + 1, right)]
    halves += [((left, top, right, at), (left, at, right, bottom)) for at in range(top + 1, bottom)]
    parts = [[part for part in (_shrink(holds, half) for half in pair) if part] for pair in halves]
    costs = [sum(_work(part, margin) for part in pair) for pair in parts]
    if not costs or min(costs) >= GAIN * _work(whole, margin):
        return [whole]
    best = parts[int(np.argmin(costs))]
    return [piece for part in best for piece in _cut(holds, part, margin=margin)]


def _shrink(holds: Mask, box: Box) -> Box | None:
    """Return the smallest box around what a box holds, None if that is nothing."""
    left, top, right, bottom = box
    part = holds[top:bottom, left:right]
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    if not len(rows):
        return None
    return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1


def _work(box: Box, margin: float) -> float:
    """Return the area that has to be read for a box."""
    left, top, right, bottom = box
    return (right - left + margin) * (bottom - top + margin)
