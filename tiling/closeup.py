"""Closer looks at a slide, summed up on the pixels of a coarser raster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..wsi import Plane, Slide
from .detail import cells_with, measure_detail
from .glass import optical_density

__all__ = ["is_textured", "share_of_pixels"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rule = Callable[[Floats], Mask]

TILE = 256
"""Raster pixels along the side of what is looked at at once; no effect on the result."""
HALO_PX = 4
"""Plane px read around it: more than any rule reaches."""
CELL_UM = 32.0
"""um; side of the places at which texture is probed."""
PROBE_MPP = 1.0
"""um per pixel of a probe."""
MAX_MPP = 2.0
"""um per pixel; coarser slides do not show texture."""
MAX_PROBES = 64
"""Places probed, evenly spread."""
TEXTURE_OD2 = 5e-4
"""OD squared; curvature at 1 um per pixel. Glass has 1e-6 to 6e-5, the smoothest tissue seen 2e-3."""


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


def is_textured(slide: Slide, place: Mask, *, downsample: float) -> bool:
    """Tell whether a place that looks flat on the overview has the texture of tissue at 1 um per pixel.

    Parameters
    ----------
    slide : Slide
        Open slide.
    place : (h, w) bool array
        Where to look, on a raster.
    downsample : float
        Level-0 px per raster px.

    Returns
    -------
    bool
        True if most of some 64 probes of 32 um x 32 um are textured; False also where the slide is too coarse
        to tell, or the place too small for a probe.
    """
    side = max(1, round(CELL_UM / (slide.mpp * downsample)))
    whole = ~cells_with(~place, side)[: place.shape[0] // side, : place.shape[1] // side]
    index = np.flatnonzero(whole)
    if slide.mpp > MAX_MPP or index.size == 0:
        return False
    probes = np.zeros(whole.shape, bool)
    probes.flat[index[:: -(-index.size // MAX_PROBES)]] = True
    plane = slide.plane(max(PROBE_MPP, slide.mpp))
    detail = measure_detail(plane, probes, step=side * downsample / plane.downsample, tile_cells=1)
    curvature = detail.curvature[probes] / np.maximum(detail.pixels[probes], 1.0)
    return bool(np.median(curvature) > TEXTURE_OD2)


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
    borders: NDArray[np.intp] = np.rint(np.arange(count + 1) * max(ratio, 1.0)).astype(np.intp)
    return borders


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
