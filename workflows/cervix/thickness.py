"""Where cells lie too thick to be seen through: clumps, blood and mucus that hide squamous cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...tiling import TissueMask
from ...wsi import Slide

__all__ = ["find_thick"]

THICK_OD = 0.45
"""Mean optical density of the least dense colour from which a place hides what lies in it (project rule).

One layer of cytoplasm has 0.05-0.2, two crossing cells 0.3; a single dark nucleus is too small to count."""
THICK_UM = 24.0
"""Over so wide a neighbourhood, um."""
STRIP_ROWS = 512


def find_thick(slide: Slide, cells: TissueMask) -> NDArray[np.bool_]:
    """Mark places where every colour is dark over a neighbourhood wider than a nucleus.

    Parameters
    ----------
    slide : Slide
        Open slide.
    cells : TissueMask
        Where cells lie; its white point is the glass.

    Returns
    -------
    (h, w) bool array
        On the pixels of ``cells``.
    """
    from scipy import ndimage

    plane = slide.plane(max(cells.mpp, slide.mpp))
    white = np.asarray(cells.background, np.float64) + 1
    density = np.zeros(cells.mask.shape, np.float32)
    for top in range(0, plane.height, STRIP_ROWS):
        rows = min(STRIP_ROWS, plane.height - top)
        image = plane.read(0, top, plane.width, rows).astype(np.float32) + 1
        density[top : top + rows] = np.log10(white / image).min(axis=2)
    side = max(1, round(THICK_UM / cells.mpp))
    # Density is light lost on the way through: its mean over a place, as an eye out of focus would see it.
    dense = ndimage.uniform_filter(np.maximum(density, 0.0), side, mode="nearest") > THICK_OD
    return np.asarray(dense & cells.mask)
