"""Where tissue is out of focus: how much of its contrast is left in the finest detail.

Two measures per window, both free of the amount of stain. The curvature of the optical density over its
slope falls as the lens loses detail, whatever the tissue. The curvature over the coarse contrast falls even
more and holds where camera noise, which is not blurred, fills up the fine detail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..wsi import Slide
from .detail import Detail, blocks_of_four, cells_with, measure_detail
from .morphology import drop_pieces, grow

__all__ = ["FocusSettings", "blurred_cells", "find_blur", "judge_focus"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_PART = 0.3
"""Share of a window's pixels that must have been measured; the rest lies outside the slide or under ink."""
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
    min_contrast: float = 0.014
    """OD; standard deviation of coarse contrast from which a window can be judged; mucin has less."""
    min_curvature_to_slope: float = 1.15
    """Below: blurred. A Gaussian of 2 um leaves at most 1.0 in 19 sets of images, sharp ones have 2 to 7."""
    min_curvature_to_contrast: float = 0.045
    """Below: blurred. A Gaussian of 2 um leaves 0.01 to 0.1, sharp images have 0.2 to 20."""
    flat_contrast: float = 0.004
    """OD; windows with less are glass, and show the noise of the camera."""
    min_flat_windows: int = 8
    """Windows of glass needed to estimate the noise; with fewer none is assumed."""
    max_noise_od: float = 0.005
    """OD; no scanner's noise exceeds it at 1 um (0.001 is usual), hence more is not noise."""
    min_cells: int = 8
    """Cells (quarters of a window) that must hang together: a lone window is too small to trust."""
    margin_um: float = 16.0
    """um; a blurred area is widened by this: blur fades in, and a little sharpness outweighs much blur."""
    tile_cells: int = 32
    """Cells along the side of what is read at once (1 mm); changes memory and speed, not the result."""


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
        Ink, dirt and bubbles, whose borders are no measure of focus; cells with any are not judged.
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
    clear = ~cells_with(hidden, side)
    occupied = cells_with(tissue, side) & clear
    step = side * downsample / plane.downsample
    wanted = grow(occupied, radius=CELLS_AROUND) & clear
    cells = measure_detail(plane, wanted, step=step, tile_cells=settings.tile_cells)
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
    has_tissue = blocks_of_four(occupied.astype(np.float64)) > 0
    smooth = judge_focus(windows, settings=settings) & has_tissue
    blurred: Mask = blocks_of_four(smooth.astype(np.float64))[1:-1, 1:-1] > 0
    unjudged = (
        blocks_of_four((windows.contrast < settings.min_contrast**2).astype(np.float64))[1:-1, 1:-1] == 4
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
    is_whole = windows.pixels >= LEAST_PART * max(1.0, float(windows.pixels.max()))
    flat = is_whole & (contrast < settings.flat_contrast**2)
    noise = 0.0
    if int(flat.sum()) >= settings.min_flat_windows:
        measured = float(np.median((windows.curvature / pixels)[flat])) / WHITE_NOISE_CURVATURE
        noise = min(measured, settings.max_noise_od**2)
    curvature = windows.curvature / pixels - WHITE_NOISE_CURVATURE * noise
    slope = windows.slope / pixels - WHITE_NOISE_SLOPE * noise
    is_smooth: Mask = curvature < settings.min_curvature_to_slope * slope
    is_smooth = is_smooth | (curvature < settings.min_curvature_to_contrast * contrast)
    blurred: Mask = is_whole & (contrast >= settings.min_contrast**2) & is_smooth
    return blurred


def _enclosed(blurred: Mask, unjudged: Mask) -> Mask:
    """Return the cells without structure that have blurred ones on most sides."""
    from scipy import ndimage

    neighbours = ndimage.correlate(blurred.astype(np.int32), np.ones((3, 3), np.int32), mode="constant")
    enclosed: Mask = unjudged & (neighbours >= 5)
    return enclosed
