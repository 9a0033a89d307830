"""Pixels of a slide's tissue, taken at equal steps: what stains, colours and thresholds are fitted to."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["PixelPlane", "sample_tissue"]

SAMPLE_WINDOWS = 64
"""Windows of tissue from which the stain vectors are fitted."""
SAMPLE_SIDE = 160
"""Side of such a window, px of the working plane: 64 of them hold 0.4 mm2, a thousand nuclei of a tumour."""


class PixelPlane(Protocol):
    """What pixels are read from: a slide at one resolution, as scanned or in other colours."""

    @property
    def downsample(self) -> float:
        """Level-0 px per plane px."""

    def read(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return any window (height, width, 3); white outside the slide."""


def sample_tissue(plane: PixelPlane, mask: NDArray[np.bool_], *, downsample: float) -> NDArray[np.uint8]:
    """Read pixels from windows spread evenly over the tissue.

    Parameters
    ----------
    plane : Plane or NormalisedPlane
        What to read.
    mask : (h, w) bool array
        Where to take pixels from; everything else in a window is made white.
    downsample : float
        Level-0 px per mask px.

    Returns
    -------
    (N, 160, 160, 3) uint8 array
        Up to 64 windows; none where the mask is empty. They stand at equal steps through the tissue's
        pixels in raster order, so the sample is the same every time.
    """
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return np.empty((0, SAMPLE_SIDE, SAMPLE_SIDE, 3), np.uint8)
    chosen = np.unique(np.linspace(0, len(rows) - 1, SAMPLE_WINDOWS).round().astype(int))
    windows = []
    for row, column in zip(rows[chosen], columns[chosen], strict=True):
        x = int((column + 0.5) * downsample / plane.downsample) - SAMPLE_SIDE // 2
        y = int((row + 0.5) * downsample / plane.downsample) - SAMPLE_SIDE // 2
        window = plane.read(x, y, SAMPLE_SIDE, SAMPLE_SIDE)
        places = [
            ((start + np.arange(SAMPLE_SIDE) + 0.5) * plane.downsample / downsample)
            .astype(np.int64)
            .clip(0, size - 1)
            for start, size in ((y, mask.shape[0]), (x, mask.shape[1]))
        ]
        # A window may reach over ink or glass beside the tissue: nothing there may enter a fit.
        window[~mask[np.ix_(*places)]] = 255
        windows.append(window)
    return np.stack(windows)
