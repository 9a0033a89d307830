"""A slide at one resolution in other colours: what networks look at where pixels are normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...stain import Normalizer
from ...wsi import Plane

__all__ = ["NormalisedPlane"]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class NormalisedPlane:
    """A plane whose pixels are normalised when they are read.

    Parameters
    ----------
    source : Plane
        The slide as scanned.
    normalizer : Normalizer
        Fitted once to the slide.

    Notes
    -----
    A pixel's value depends on its own place only, as that of the source does: what a normalizer that looks
    around needs beyond a window (its ``halo``) is read and cut off again. Beyond the slide all is white.
    """

    source: Plane
    normalizer: Normalizer

    @property
    def mpp(self) -> float:
        """Resolution, um per px."""
        return self.source.mpp

    @property
    def downsample(self) -> float:
        """Level-0 px per px."""
        return self.source.downsample

    @property
    def width(self) -> int:
        """Size in x, px."""
        return self.source.width

    @property
    def height(self) -> int:
        """Size in y, px."""
        return self.source.height

    def read(self, x: int, y: int, width: int, height: int) -> Pixels:
        """Return any window (height, width, 3) in its new colours."""
        return self.read_both(x, y, width, height)[1]

    def read_both(self, x: int, y: int, width: int, height: int) -> tuple[Pixels, Pixels]:
        """Return any window as scanned, to measure on, and in its new colours, to look at."""
        halo = self.normalizer.halo
        wide = self.source.read(x - halo, y - halo, width + 2 * halo, height + 2 * halo)
        inner = np.s_[halo : halo + height, halo : halo + width]
        return wide[inner], self.normalizer.apply(wide)[inner]
