"""A whole slide as one virtual image at one resolution, resampled the same way from every window."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ResolutionError
from .region import Region
from .resample import Axis, resample

if TYPE_CHECKING:
    from .slide import Slide

__all__ = ["Plane"]

SNAP = 0.02
"""Greatest relative difference to a whole-number ratio that is taken as that ratio."""

BLOCK = 2048
"""Greatest side of what is decoded at once, stored px: bounds memory to about 60 MB a call."""


class Plane:
    """The whole slide as one virtual image; made by :meth:`Slide.plane`.

    The plane reads from the coarsest stored level that is at least as fine as asked. A whole-number ratio is
    a box mean, any other an area-weighted mean; asked finer than level 0, it interpolates bilinearly. Weights
    follow from the absolute pixel index alone: **the value of a pixel never depends on the window in which
    it was asked for**, bit for bit. Pickles with its slide.

    Parameters
    ----------
    slide : Slide
        The slide it shows.
    mpp : float
        Wanted um per pixel.

    Attributes
    ----------
    mpp : float
        True um per pixel; differs from the wanted value by at most 2 %.
    downsample : float
        Level-0 px per plane px, the same in x and y.
    width, height : int
        px: level-0 size / downsample, rounded up. The last row and column may reach past the slide, where its
        edge is repeated.
    level : int
        Index of the stored level that it reads.

    Raises
    ------
    ResolutionError
        If the slide's resolution is not trusted or ``mpp`` is not a positive number.
    """

    def __init__(self, slide: Slide, mpp: float) -> None:
        if not math.isfinite(mpp) or mpp <= 0:
            raise ResolutionError(f"a plane of {mpp} um per pixel makes no sense", "ask for more than 0 um")
        self.slide = slide
        self._asked = mpp
        target = mpp / slide.mpp
        self.level, ratio = _choose(tuple(level.downsample for level in slide.levels), target=target)
        stored = slide.levels[self.level]
        self.downsample: float = stored.downsample * ratio
        self.mpp: float = slide.mpp * self.downsample
        self.width: int = _ceil(slide.width / self.downsample)
        self.height: int = _ceil(slide.height / self.downsample)
        self._columns = Axis(ratio, stored.width)
        self._rows = Axis(ratio, stored.height)

    def read(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Return a window of the plane.

        Parameters
        ----------
        x, y : int
            Upper left corner, plane px.
        width, height : int
            Size, plane px, at least 1; the window may lie partly or wholly outside.

        Returns
        -------
        (height, width, 3) uint8 array
            sRGB; white (255) outside the plane.

        Raises
        ------
        RegionError
            If the window is empty.
        UnreadableSlideError
            If a tile in the window is damaged.
        """
        window = Region(x, y, width, height)
        inside = window.intersection(Region(0, 0, self.width, self.height))
        if inside == window and self._is_stored(inside):
            return self.slide.read_level(self.level, inside)
        out = np.empty((height, width, 3), np.uint8)
        if inside != window:
            out[:] = 255
        if inside is not None:
            self._fill(out[inside.y - y : inside.bottom - y, inside.x - x : inside.right - x], inside)
        return out

    def _is_stored(self, window: Region) -> bool:
        """Whether the window's pixels are stored as such."""
        stored = self.slide.levels[self.level]
        return self._columns.is_identity and window.right <= stored.width and window.bottom <= stored.height

    def _fill(self, out: NDArray[np.uint8], window: Region) -> None:
        """Write ``window``, wholly inside the plane, into ``out`` block by block."""
        step_x, step_y = self._columns.outputs_within(BLOCK), self._rows.outputs_within(BLOCK)
        for top in range(0, window.height, step_y):
            for left in range(0, window.width, step_x):
                bottom, right = min(top + step_y, window.height), min(left + step_x, window.width)
                rows = self._rows.weigh(window.y + top, window.y + bottom)
                columns = self._columns.weigh(window.x + left, window.x + right)
                source = self.slide.read_level(
                    self.level, Region(columns.start, rows.start, columns.size, rows.size)
                )
                resample(source, rows=rows, columns=columns, out=out[top:bottom, left:right])

    def __reduce__(self) -> tuple[type[Plane], tuple[Slide, float]]:
        return (Plane, (self.slide, self._asked))

    def __repr__(self) -> str:
        return f"<Plane of {self.slide.path.name}: {self.width} x {self.height} px at {self.mpp:.4g} um>"


def _choose(downsamples: tuple[float, ...], *, target: float) -> tuple[int, float]:
    """Return the level to read and the ratio of plane px to its px."""
    fine_enough = [i for i, downsample in enumerate(downsamples) if downsample <= target * (1 + SNAP)]
    level = max(fine_enough, key=lambda i: downsamples[i], default=0)
    ratio = target / downsamples[level]
    whole = round(ratio)
    if whole >= 1 and abs(ratio / whole - 1) <= SNAP:
        return level, float(whole)
    return level, ratio


def _ceil(value: float) -> int:
    """Round up, forgiving the last bits of a float division."""
    return max(1, math.ceil(value - 1e-9 * max(1.0, value)))
