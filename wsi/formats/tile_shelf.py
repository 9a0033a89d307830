"""Memory for decoded tiles, and the tiles of which a window used only a part."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ShelvedTile", "TileShelf"]

MOST_BYTES = 32 << 20
"""Memory for leftovers of one slide, as much as OpenSlide takes for its cache."""

MOST_SPARE = 32
"""Empty buffers kept for the next tiles: fresh memory costs a third as much as decoding a JPEG tile."""

Key = tuple[int, int]


@dataclass(slots=True, eq=False)
class ShelvedTile:
    """A decoded tile on loan."""

    key: Key
    pixels: NDArray[np.uint8]
    """(tile height, tile width, samples) uint8."""
    unused: int
    """Pixels that no window has asked for yet."""
    readers: int = 1
    """Windows that are copying from it right now."""
    is_kept: bool = False
    """Whether it waits for another window."""


class TileShelf:
    """Hands out buffers for tiles, and keeps a tile that straddles windows until its other pixels are wanted.

    This is no cache of what was read: a tile that a window used whole is never kept, and a kept one is
    dropped as soon as each of its pixels was handed out once. So a pass over a slide decodes every tile once,
    whatever the window size, and a second pass decodes every tile again. Thread-safe; every borrowed or new
    tile must be given back.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, ShelvedTile] = OrderedDict()
        self._spare: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def borrow(self, key: Key, pixels: int) -> ShelvedTile | None:
        """Return the tile ``key`` if it is kept, and note that ``pixels`` more of it are used."""
        with self._lock:
            tile = self._kept.get(key)
            if tile is None:
                return None
            tile.readers += 1
            tile.unused -= pixels
            if tile.unused <= 0:
                self._drop(tile)
            else:
                self._kept.move_to_end(key)
            return tile

    def new(self, key: Key, *, shape: tuple[int, int, int], unused: int) -> ShelvedTile:
        """Return a tile with a buffer to decode into; its content is arbitrary."""
        with self._lock:
            for place, buffer in enumerate(self._spare):
                if buffer.shape == shape:
                    return ShelvedTile(key, self._spare.pop(place), unused)
        return ShelvedTile(key, np.empty(shape, np.uint8), unused)

    def give_back(self, tile: ShelvedTile, *, keep: bool = True) -> None:
        """End a loan; with ``keep``, the tile waits on the shelf while it has unused pixels."""
        with self._lock:
            tile.readers -= 1
            if keep and tile.unused > 0 and tile.key not in self._kept:
                self._kept[tile.key] = tile
                tile.is_kept = True
                self._bytes += tile.pixels.nbytes
                while self._bytes > self._most_bytes:
                    self._drop(next(iter(self._kept.values())))
            self._recycle(tile)

    def clear(self) -> None:
        """Drop everything that is kept."""
        with self._lock:
            for tile in tuple(self._kept.values()):
                self._drop(tile)
            self._spare.clear()

    def _drop(self, tile: ShelvedTile) -> None:
        """Take a tile off the shelf; those who still copy from it may finish."""
        del self._kept[tile.key]
        tile.is_kept = False
        self._bytes -= tile.pixels.nbytes
        self._recycle(tile)

    def _recycle(self, tile: ShelvedTile) -> None:
        """Keep the buffer of a tile that nobody needs any more."""
        if tile.readers == 0 and not tile.is_kept and len(self._spare) < MOST_SPARE:
            self._spare.append(tile.pixels)
