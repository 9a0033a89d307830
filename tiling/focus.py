"""Where tissue is out of focus: how much of its contrast is left in the finest detail.

Two measures per window, both free of the amount of stain. The curvature of the optical density over its
slope falls as the lens loses detail, whatever the tissue. The curvature over the coarse contrast falls even
more and holds where camera noise, which is not blurred, fills up the fine detail.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..wsi import Plane, Slide
from .morphology import drop_pieces, grow

__all__ = ["Detail", "FocusSettings", "blurred_cells", "find_blur", "judge_focus", "measure_detail"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

BIN_PX = 4
"""Plane px; coarse contrast is that between means of 4 x 4 px, and windows are made of whole bins."""
GREY_DENSITY = (-np.log10((np.arange(256) + 1) / 256) / 3).astype(np.float32)
"""Optical density of each grey level, a third of it; the white point does not matter to differences."""
CELLS_AROUND = 2
"""Cells around the tissue that are measured too: glass that shows the noise."""
WHITE_NOISE_CURVATURE = 20.0
"""Expected squared curvature of white noise of variance 1 (weights 4, -1, -1, -1, -1)."""
WHITE_NOISE_SLOPE = 2.0
"""Expected squared slope of the same noise (mean of two squared differences)."""


@dataclass(frozen=True)
class FocusSettings:
    """How blur is told from smooth tissue."""

    mpp: float = 1.0
    """um per pixel; fine enough for the texture of chromatin, a sixteenth of the cost of 40x."""
    max_mpp: float = 2.0
    """um per pixel; coarser slides do not show what focus would change, and are not judged."""
    window_um: float = 64.0
    """um; side of the windows judged as one, some tens of nuclei; they overlap by half."""
    min_contrast: float = 0.02
    """OD; standard deviation of coarse contrast from which a window can be judged; mucin has less."""
    min_curvature_to_slope: float = 1.15
    """Below: blurred. A Gaussian of 2 um leaves at most 1.0 in 19 sets of images, sharp ones have 2 to 7."""
    min_curvature_to_contrast: float = 0.045
    """Below: blurred. A Gaussian of 2 um leaves 0.01 to 0.1, sharp images have 0.2 to 20."""
    flat_contrast: float = 0.004
    """OD; windows with less are glass, and show the noise of the camera."""
    min_flat_windows: int = 8
    """Windows of glass needed to estimate the noise; with fewer none is assumed."""
    min_cells: int = 8
    """Cells (quarters of a window) that must hang together: a lone window is too small to trust."""
    margin_um: float = 16.0
    """um; a blurred area is widened by this: blur fades in, and a little sharpness outweighs much blur."""
    tile_cells: int = 32
    """Cells along the side of what is read at once (1 mm); changes memory and speed, not the result."""


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
        return Detail(*(_blocks_of_four(getattr(self, f.name)) for f in fields(self)))


def find_blur(
    slide: Slide, tissue: Mask, *, hidden: Mask, downsample: float, settings: FocusSettings
) -> tuple[Mask, bool]:
    """Find tissue that is out of focus.

    Parameters
    ----------
    slide : Slide
        Open slide.
    tissue : (h, w) bool array
        Tissue mask.
    hidden : (h, w) bool array
        Ink and dirt, whose borders are no measure of focus; cells with any of it are not judged.
    downsample : float
        Level-0 px per mask px.
    settings : FocusSettings
        Resolution, window and thresholds.

    Returns
    -------
    blurred : (h, w) bool array
        On the pixels of ``tissue``; False wherever there is too little structure to judge.
    was_judged : bool
        False if the slide is too coarse.
    """
    if slide.mpp > settings.max_mpp or not tissue.any():
        return np.zeros(tissue.shape, bool), slide.mpp <= settings.max_mpp
    plane = slide.plane(max(settings.mpp, slide.mpp))
    side = max(1, round(settings.window_um / 2 / (slide.mpp * downsample)))
    clear = ~_cells_with(hidden, side)
    occupied = _cells_with(tissue, side) & clear
    step = side * downsample / plane.downsample
    wanted = grow(occupied, radius=CELLS_AROUND) & clear
    cells = measure_detail(plane, wanted, step=step, settings=settings)
    blurred = blurred_cells(cells, occupied, settings=settings)
    wide = np.repeat(np.repeat(blurred, side, axis=0), side, axis=1)[: tissue.shape[0], : tissue.shape[1]]
    margin = round(settings.margin_um / (slide.mpp * downsample))
    return grow(wide, radius=margin) & tissue & ~hidden, True


def blurred_cells(cells: Detail, occupied: Mask, *, settings: FocusSettings) -> Mask:
    """Tell which cells are blurred: those in any blurred window of 2 x 2 cells.

    A window is sharp as soon as a tenth of it is, so the union of blurred windows reaches the border of a
    blurred area, and goes no further.

    Parameters
    ----------
    cells : Detail
        Sums over cells.
    occupied : (rows, columns) bool array
        Cells with tissue.
    settings : FocusSettings
        Thresholds.

    Returns
    -------
    (rows, columns) bool array
        Blurred cells with tissue.
    """
    windows = cells.windows()
    has_tissue = _blocks_of_four(occupied.astype(np.float64)) > 0
    smooth = judge_focus(windows, settings=settings) & has_tissue
    blurred: Mask = _blocks_of_four(smooth.astype(np.float64))[1:-1, 1:-1] > 0
    unjudged = (
        _blocks_of_four((windows.contrast < settings.min_contrast**2).astype(np.float64))[1:-1, 1:-1] == 4
    )
    blurred |= _enclosed(blurred, unjudged)
    return drop_pieces(blurred & occupied, min_px=min(settings.min_cells, int(occupied.sum())))


def judge_focus(windows: Detail, *, settings: FocusSettings) -> Mask:
    """Tell which windows are blurred.

    Parameters
    ----------
    windows : Detail
        Sums over windows.
    settings : FocusSettings
        Thresholds.

    Returns
    -------
    (rows, columns) bool array
        True where there is structure, and no fine detail in it beyond the noise of the glass.
    """
    pixels, contrast = np.maximum(windows.pixels, 1.0), windows.contrast
    flat = (windows.pixels > 0) & (contrast < settings.flat_contrast**2)
    noise = 0.0
    if int(flat.sum()) >= settings.min_flat_windows:
        noise = float(np.median((windows.curvature / pixels)[flat])) / WHITE_NOISE_CURVATURE
    curvature = windows.curvature / pixels - WHITE_NOISE_CURVATURE * noise
    slope = windows.slope / pixels - WHITE_NOISE_SLOPE * noise
    is_smooth = curvature < settings.min_curvature_to_slope * slope
    is_smooth |= curvature < settings.min_curvature_to_contrast * contrast
    blurred: Mask = (contrast >= settings.min_contrast**2) & is_smooth
    return blurred


def measure_detail(plane: Plane, wanted: Mask, *, step: float, settings: FocusSettings) -> Detail:
    """Measure slope, curvature and contrast in the cells of a plane.

    Parameters
    ----------
    plane : Plane
        Slide at about 1 um per pixel.
    wanted : (rows, columns) bool array
        Cells to measure.
    step : float
        Side of a cell, plane px; borders are rounded to whole bins.
    settings : FocusSettings
        How much is read at once.

    Returns
    -------
    Detail
        Sums over cells; they do not depend on how much is read at once.
    """
    rows = _borders(wanted.shape[0], step, plane.height)
    columns = _borders(wanted.shape[1], step, plane.width)
    sums = {f.name: np.zeros(wanted.shape) for f in fields(Detail)}
    size = settings.tile_cells
    for i in range(0, wanted.shape[0], size):
        for j in range(0, wanted.shape[1], size):
            inner = (slice(i, i + size), slice(j, j + size))
            if wanted[inner].any():
                tile = {name: array[inner] for name, array in sums.items()}
                _measure_tile(plane, rows[i : i + size + 1], columns[j : j + size + 1], tile)
    return Detail(**{name: np.where(wanted, array, 0.0) for name, array in sums.items()})


def _blocks_of_four(values: Doubles) -> Doubles:
    """Return the sums over all blocks of 2 x 2, one row and column more than before."""
    wide = np.pad(values, 1)
    return wide[:-1, :-1] + wide[:-1, 1:] + wide[1:, :-1] + wide[1:, 1:]


def _cells_with(tissue: Mask, side: int) -> Mask:
    """Return which cells of ``side`` x ``side`` mask pixels hold tissue."""
    height, width = tissue.shape
    padded = np.pad(tissue, ((0, -height % side), (0, -width % side)))
    blocks: Mask = padded.reshape(padded.shape[0] // side, side, -1, side).any(axis=(1, 3))
    return blocks


def _enclosed(blurred: Mask, unjudged: Mask) -> Mask:
    """Return the cells without structure that have blurred ones on most sides."""
    from scipy import ndimage

    neighbours = ndimage.correlate(blurred.astype(np.int32), np.ones((3, 3), np.int32), mode="constant")
    enclosed: Mask = unjudged & (neighbours >= 5)
    return enclosed


def _borders(count: int, step: float, size: int) -> NDArray[np.intp]:
    """Return the borders of cells, plane px, on whole bins and inside the plane."""
    borders = BIN_PX * np.rint(np.arange(count + 1) * step / BIN_PX)
    return np.minimum(borders, size // BIN_PX * BIN_PX).astype(np.intp)


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
    return {
        "slope": _bin_sums((right * right + below * below) / np.float32(2)),
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
    return down[:, 0::4] + down[:, 1::4] + down[:, 2::4] + down[:, 3::4]


def _cell_sums(bins: Floats, starts: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Doubles:
    """Return sums of bins over cells that begin at given rows and columns."""
    return np.add.reduceat(np.add.reduceat(bins.astype(np.float64), starts[0], axis=0), starts[1], axis=1)
