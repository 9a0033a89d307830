"""Closer looks at a slide, summed up on the pixels of a coarser raster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..wsi import Plane, Slide
from .glass import optical_density

__all__ = ["share_of_pixels"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rule = Callable[[Floats], Mask]

TILE = 256
"""Raster pixels along the side of what is looked at at once; no effect on the result."""
HALO_PX = 4
"""Plane px read around it: more than any rule reaches."""


def share_of_pixels(
    slide: Slide,
    tissue: Mask,
    *,
    downsample: float,
    white: tuple[float, float, float],
    rules: Sequence[Rule],
) -> list[Floats]:
    """Return which share of each raster pixel obeys each rule, seen at twice the raster's resolution.

    Parameters
    ----------
    slide : Slide
        Open slide.
    tissue : (h, w) bool array
        Tissue on the raster; elsewhere nothing is read, and the share is 0.
    downsample : float
        Level-0 px per raster px.
    white : (float, float, float)
        White point, 0-255.
    rules : sequence of callable
        From optical density (H, W, 3) to bool (H, W); may look up to ``HALO_PX`` pixels around.

    Returns
    -------
    list of (h, w) float32 array
        One for each rule, 0 to 1.
    """
    plane = slide.plane(max(slide.mpp, slide.mpp * downsample / 2))
    rows = _borders(tissue.shape[0], downsample / plane.downsample)
    columns = _borders(tissue.shape[1], downsample / plane.downsample)
    shares = [np.zeros(tissue.shape, np.float32) for _ in rules]
    for inner in _tiles_with(tissue):
        tile_rows, tile_columns = (
            rows[inner[0].start : inner[0].stop + 1],
            columns[inner[1].start : inner[1].stop + 1],
        )
        density = _read(plane, tile_rows, tile_columns, white)
        for share, rule in zip(shares, rules, strict=True):
            marked = rule(density)[HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
            share[inner] = _mean_over(marked, tile_rows, tile_columns)
    return [share * tissue for share in shares]


def _tiles_with(tissue: Mask) -> Iterator[tuple[slice, slice]]:
    """Yield the tiles of a raster that hold tissue."""
    height, width = tissue.shape
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            inner = (slice(top, min(top + TILE, height)), slice(left, min(left + TILE, width)))
            if tissue[inner].any():
                yield inner


def _borders(count: int, ratio: float) -> NDArray[np.intp]:
    """Return where raster pixels begin, in plane px; every one holds at least one plane pixel."""
    return np.rint(np.arange(count + 1) * max(ratio, 1.0)).astype(np.intp)


def _read(
    plane: Plane, rows: NDArray[np.intp], columns: NDArray[np.intp], white: tuple[float, float, float]
) -> Floats:
    """Read optical density between some borders, with the halo."""
    top, left = int(rows[0]) - HALO_PX, int(columns[0]) - HALO_PX
    height, width = int(rows[-1]) + HALO_PX - top, int(columns[-1]) + HALO_PX - left
    return optical_density(plane.read(left, top, width, height), white=white)


def _mean_over(marked: Mask, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
    """Return the share of marked pixels between neighbouring borders."""
    counts = np.add.reduceat(marked.astype(np.int32), rows[:-1] - rows[0], axis=0)
    counts = np.add.reduceat(counts, columns[:-1] - columns[0], axis=1)
    share: Floats = (counts / np.outer(np.diff(rows), np.diff(columns))).astype(np.float32)
    return share
