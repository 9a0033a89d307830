"""Reads tiled TIFF (Aperio SVS, generic and OME pyramids) straight from the file's own tiles.

Several times faster than OpenSlide and bit for bit the same. Only layouts without overlaps or offsets between
tiles come here; any property that is not fully understood sends the file to OpenSlide instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import UnreadableSlideError
from ..reader import SlideFacts
from ..region import Region
from .file_bytes import FileBytes
from .openslide_reader import OpenSlideReader
from .tiff_directory import TiffImage
from .tile_codec import DamagedTileError, TileCodec
from .tile_shelf import ShelvedTile, TileShelf

__all__ = ["NativeTiffReader"]


class NativeTiffReader:
    """A slide whose pixels are decoded from the tiles of a TIFF file.

    Parameters
    ----------
    path : Path
        TIFF file.
    images : sequence of TiffImage
        One understood image per level, finest first.
    facts : SlideFacts
        What the slide says about itself; ``levels`` in the same order.
    companion : OpenSlideReader or None
        Where OpenSlide opens the file too: reads the associated images. Closed with this reader.
    """

    def __init__(
        self,
        path: Path,
        *,
        images: Sequence[TiffImage],
        facts: SlideFacts,
        companion: OpenSlideReader | None = None,
    ) -> None:
        self.facts = facts
        self._path = path
        self._companion = companion
        trust_jfif = facts.vendor == "ome-tiff"
        self._codecs = tuple(TileCodec(image, trust_jfif=trust_jfif) for image in images)
        self._shelf = TileShelf()
        self._file = FileBytes(path)

    def read_level(self, level: int, window: Region) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 pixels of ``window``, px of ``level``, wholly inside it."""
        out = np.empty((window.height, window.width, 3), np.uint8)
        image = self._codecs[level].image
        lines = out.reshape(window.height, -1)  # whole lines copy faster than pixels of three bytes
        for part in _cut(image, window):
            tile = self._tile(level, part)
            if tile is None:
                out[part.target] = 255
            elif image.samples == 1:
                out[part.target] = tile.pixels[part.inside]
            else:
                (rows, columns), (top, left) = part.target, part.inside
                pixels = tile.pixels.reshape(image.tile_height, -1)
                lines[rows, columns.start * 3 : columns.stop * 3] = pixels[
                    top, left.start * 3 : left.stop * 3
                ]
            if tile is not None:
                self._shelf.give_back(tile)
        return out

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Return an associated image, (H, W, 3) uint8."""
        if self._companion is None:
            raise KeyError(name)
        return self._companion.read_associated(name)

    def close(self) -> None:
        """Let go of the file."""
        self._shelf.clear()
        self._file.close()
        if self._companion is not None:
            self._companion.close()

    def forget(self) -> None:
        """Drop decoded leftovers of earlier windows; for benchmarks."""
        self._shelf.clear()

    def _tile(self, level: int, part: _TilePart) -> ShelvedTile | None:
        """Return the decoded tile, or None where the scanner stored none."""
        key = (level, part.number)
        kept = self._shelf.borrow(key, part.pixels)
        if kept is not None:
            return kept
        codec = self._codecs[level]
        count = int(codec.image.counts[part.number])
        if count == 0:
            return None
        tile = self._shelf.new(key, shape=codec.shape, unused=part.unused)
        try:
            codec.decode(self._file.read(int(codec.image.offsets[part.number]), count), tile.pixels)
        except (DamagedTileError, OSError) as error:
            self._shelf.give_back(tile, keep=False)
            raise self._damaged(level, part, error) from error
        return tile

    def _damaged(self, level: int, part: _TilePart, error: Exception) -> UnreadableSlideError:
        """Return the error that names a damaged tile by its level-0 region."""
        image, scale = self._codecs[level].image, self.facts.levels[level].downsample
        row, column = divmod(part.number, image.columns)
        left, right = column * image.tile_width, min((column + 1) * image.tile_width, image.width)
        top, bottom = row * image.tile_height, min((row + 1) * image.tile_height, image.height)
        return UnreadableSlideError(
            f"{self._path.name}: the tile of level {level} at level-0 "
            f"x {left * scale:.0f}..{right * scale:.0f}, y {top * scale:.0f}..{bottom * scale:.0f} "
            f"is damaged: {error}",
            "leave this area out, or scan or copy the slide again",
        )


class _TilePart(NamedTuple):
    """A tile and the part of it that a window needs."""

    number: int
    """Row by row from the upper left."""
    inside: tuple[slice, slice]
    """The part, within the tile."""
    target: tuple[slice, slice]
    """Its place in the window."""
    pixels: int
    unused: int
    """Pixels of the tile, inside the level, that the window does not need."""


def _cut(image: TiffImage, window: Region) -> Iterator[_TilePart]:
    """Yield the tiles that a window needs, row by row."""
    wide, high = image.tile_width, image.tile_height
    for row in range(window.y // high, (window.bottom - 1) // high + 1):
        top = row * high
        bottom = min(top + high, image.height)
        y0, y1 = max(top, window.y), min(bottom, window.bottom)
        for column in range(window.x // wide, (window.right - 1) // wide + 1):
            left = column * wide
            right = min(left + wide, image.width)
            x0, x1 = max(left, window.x), min(right, window.right)
            pixels = (y1 - y0) * (x1 - x0)
            yield _TilePart(
                row * image.columns + column,
                (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)),
                (slice(y0 - window.y, y1 - window.y), slice(x0 - window.x, x1 - window.x)),
                pixels,
                (bottom - top) * (right - left) - pixels,
            )
