"""How much fine and coarse detail each small cell of a slide holds."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..wsi import Plane

__all__ = ["Detail", "blocks_of_four", "cells_with", "measure_detail"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

BIN_PX = 4
"""Plane px; coarse contrast is that between means of 4 x 4 px, and cells are made of whole bins."""
GREY_DENSITY = (-np.log10((np.arange(256) + 1) / 256) / 3).astype(np.float32)
"""Optical density of each grey level, a third of it; the white point does not matter to differences."""


@dataclass(frozen=True)
class Detail:
    """Sums over the pixels of each cell or window, (rows, columns); all 0 where nothing was measured."""

    pixels: Doubles
    """Number of pixels."""
    slope: Doubles
    """Squared difference of neighbouring pixels, OD squared."""
    curvature: Doubles
    """Squared difference of a pixel, times four, and its neighbours, OD squared."""
    level: Doubles
    """Mean OD of 4 x 4 px, summed over these bins."""
    squared_level: Doubles
    """Its square, summed."""

    @property
    def contrast(self) -> Doubles:
        """Variance of the means of 4 x 4 px, OD squared; 0 where nothing was measured."""
        bins = np.maximum(self.pixels, 1.0) / BIN_PX**2
        return np.maximum(self.squared_level / bins - (self.level / bins) ** 2, 0.0)

    def windows(self) -> Detail:
        """Return the sums over all windows of 2 x 2 cells, (rows + 1, columns + 1), border ones included."""
        return Detail(*(blocks_of_four(getattr(self, f.name)) for f in fields(self)))


def measure_detail(plane: Plane, wanted: Mask, *, step: float, tile_cells: int = 32) -> Detail:
    """Measure slope, curvature and contrast in the cells of a plane.

    Parameters
    ----------
    plane : Plane
        Slide at about 1 um per pixel.
    wanted : (rows, columns) bool array
        Cells to measure.
    step : float
        Side of a cell, plane px; borders are rounded to whole bins.
    tile_cells : int
        Cells along the side of what is read at once.

    Returns
    -------
    Detail
        Sums over cells; they do not depend on how much is read at once.
    """
    rows = _borders(wanted.shape[0], step, plane.height)
    columns = _borders(wanted.shape[1], step, plane.width)
    sums = {f.name: np.zeros(wanted.shape) for f in fields(Detail)}
    size = tile_cells
    for i in range(0, wanted.shape[0], size):
        for j in range(0, wanted.shape[1], size):
            inner = (slice(i, i + size), slice(j, j + size))
            if wanted[inner].any():
                tile = {name: array[inner] for name, array in sums.items()}
                _measure_tile(plane, rows[i : i + size + 1], columns[j : j + size + 1], tile)
    return Detail(**{name: np.where(wanted, array, 0.0) for name, array in sums.items()})


def blocks_of_four(values: Doubles) -> Doubles:
    """Return the sums over all blocks of 2 x 2, one row and column more than before."""
    wide = np.pad(values, 1)
    return wide[:-1, :-1] + wide[:-1, 1:] + wide[1:, :-1] + wide[1:, 1:]


def cells_with(tissue: Mask, side: int) -> Mask:
    """Return which cells of ``side`` x ``side`` mask pixels hold tissue."""
    height, width = tissue.shape
    padded = np.pad(tissue, ((0, -height % side), (0, -width % side)))
    return np.asarray(padded.reshape(padded.shape[0] // side, side, -1, side).any(axis=(1, 3)), dtype=bool)


def _borders(count: int, step: float, size: int) -> NDArray[np.intp]:
    """Return the borders of cells, plane px, on whole bins and inside the plane."""
    borders = BIN_PX * np.rint(np.arange(count + 1) * step / BIN_PX)
    inside: NDArray[np.intp] = np.minimum(borders, size // BIN_PX * BIN_PX).astype(np.intp)
    return inside


def _measure_tile(
    plane: Plane, rows: NDArray[np.intp], columns: NDArray[np.intp], out: dict[str, Doubles]
) -> None:
    """Measure the cells between some borders."""
    heights, widths = np.diff(rows), np.diff(columns)
    full_rows, full_columns = heights > 0, widths > 0
    if not (full_rows.any() and full_columns.any()):
        return
    density = _read_density(plane, (rows[0], rows[-1]), (columns[0], columns[-1]))
    starts = ((rows[:-1][full_rows] - rows[0]) // BIN_PX, (columns[:-1][full_columns] - columns[0]) // BIN_PX)
    target = np.ix_(full_rows, full_columns)
    out["pixels"][:] = np.outer(heights, widths)
    for name, bins in _bins(density).items():
        out[name][target] = _cell_sums(bins, starts)


def _bins(density: Floats) -> dict[str, Floats]:
    """Return what is summed over cells, for each bin of 4 x 4 px; ``density`` has a margin of 1 px."""
    centre = density[1:-1, 1:-1]
    right, below = density[1:-1, 2:] - centre, density[2:, 1:-1] - centre
    curvature = right + below + (density[1:-1, :-2] - centre) + (density[:-2, 1:-1] - centre)
    level = _bin_sums(centre) / np.float32(BIN_PX**2)
    slope: Floats = ((right * right + below * below) / 2).astype(np.float32, copy=False)
    return {
        "slope": _bin_sums(slope),
        "curvature": _bin_sums(curvature * curvature),
        "level": level,
        "squared_level": level * level,
    }


def _read_density(plane: Plane, rows: tuple[int, int], columns: tuple[int, int]) -> Floats:
    """Read a window with one pixel around it as mean optical density; the slide's border is repeated."""
    top, bottom = max(rows[0] - 1, 0), min(rows[1] + 1, plane.height)
    left, right = max(columns[0] - 1, 0), min(columns[1] + 1, plane.width)
    pixels = plane.read(int(left), int(top), int(right - left), int(bottom - top))
    grey = GREY_DENSITY[pixels[..., 0]] + GREY_DENSITY[pixels[..., 1]]
    grey += GREY_DENSITY[pixels[..., 2]]
    margin = ((top - rows[0] + 1, rows[1] + 1 - bottom), (left - columns[0] + 1, columns[1] + 1 - right))
    return np.pad(grey, margin, mode="edge")


def _bin_sums(values: Floats) -> Floats:
    """Return sums over 4 x 4 px, in an order that does not depend on the size of the array."""
    down = values[0::4] + values[1::4] + values[2::4] + values[3::4]
    sums: Floats = down[:, 0::4] + down[:, 1::4] + down[:, 2::4] + down[:, 3::4]
    return sums


def _cell_sums(bins: Floats, starts: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Doubles:
    """Return sums of bins over cells that begin at given rows and columns."""
    return np.add.reduceat(np.add.reduceat(bins.astype(np.float64), starts[0], axis=0), starts[1], axis=1)
