"""Reads around damaged tiles: white in their place, and a record of where that was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import UnreadableSlideError
from .reader import Reader, SlideFacts
from .region import Region

__all__ = ["SalvagingReader"]

SMALLEST_PX = 256
"""A window that cannot be read is halved down to this side, px of its level: the size of a usual tile."""


class SalvagingReader:
    """A reader that gives white where another one fails.

    For looking at a whole slide, never for counting on it: whoever reads through it must report `damage`.

    Parameters
    ----------
    reader : Reader
        The reader that may fail.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._damage: set[Region] = set()

    @property
    def facts(self) -> SlideFacts:
        """What the file says about itself."""
        return self._reader.facts

    @property
    def damage(self) -> tuple[Region, ...]:
        """Windows that could not be read so far, level-0 px, sorted by row then column."""
        return tuple(
            sorted(self._damage, key=lambda region: (region.y, region.x, region.height, region.width))
        )

    def read_level(self, level: int, window: Region) -> NDArray[np.uint8]:
        """Return the pixels of a window of a level; white where they cannot be read."""
        try:
            return self._reader.read_level(level, window)
        except UnreadableSlideError:
            pass
        out = np.full((window.height, window.width, 3), 255, np.uint8)
        if max(window.width, window.height) <= SMALLEST_PX:
            self._note(level, window)
            return out
        for part in _halves(window):
            top, left = part.y - window.y, part.x - window.x
            out[top : top + part.height, left : left + part.width] = self.read_level(level, part)
        return out

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Return an associated image; these are not salvaged."""
        return self._reader.read_associated(name)

    def close(self) -> None:
        """Let go of the file."""
        self._reader.close()

    def _note(self, level: int, window: Region) -> None:
        """Remember a window in level-0 px, rounded outwards."""
        scale = self.facts.levels[level].downsample
        x, y = int(window.x * scale), int(window.y * scale)
        right, bottom = int(np.ceil(window.right * scale)), int(np.ceil(window.bottom * scale))
        self._damage.add(Region(x, y, right - x, bottom - y))


def _halves(window: Region) -> tuple[Region, Region]:
    """Cut a window across its longer side at a multiple of the smallest side, so that cuts coincide."""
    if window.width >= window.height:
        at = _cut(window.x, window.right)
        first = Region(window.x, window.y, at - window.x, window.height)
        return first, Region(at, window.y, window.right - at, window.height)
    at = _cut(window.y, window.bottom)
    first = Region(window.x, window.y, window.width, at - window.y)
    return first, Region(window.x, at, window.width, window.bottom - at)


def _cut(start: int, stop: int) -> int:
    """Return the multiple of the smallest side nearest to the middle, or the middle if none is inside."""
    middle = (start + stop) // 2
    at = round(middle / SMALLEST_PX) * SMALLEST_PX
    return at if start < at < stop else middle
