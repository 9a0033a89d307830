"""Pixels of a slide of any size, block by block, as the tiles of an image pyramid."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "TILE", "PyramidShape", "TileAddress", "pyramid_tiles"]

Pixels = NDArray[np.uint8]

TILE = 512
"""Side of a tile, px."""
IN_BLOCK = 3
"""Levels of which a block holds whole tiles."""
BLOCK = TILE << (IN_BLOCK - 1)
"""Side of what is worked on at once, px of level 0: 2048, one tile of the third level."""
SMALLEST = 1024
"""No further level once the longer side is down to this, px."""
AHEAD = 2
"""Blocks per worker that may be under way: bounds memory."""


@dataclass(frozen=True, order=True)
class TileAddress:
    """Which tile of a pyramid."""

    level: int
    row: int
    column: int


@dataclass(frozen=True)
class PyramidShape:
    """Sizes of a pyramid whose levels halve."""

    width: int
    """px of level 0."""
    height: int
    """px of level 0."""

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each level, finest first; halves are rounded up."""
        sizes = [(self.width, self.height)]
        while max(sizes[-1]) > SMALLEST:
            width, height = sizes[-1]
            sizes.append((-(-width // 2), -(-height // 2)))
        return tuple(sizes)

    def tiles(self, level: int) -> tuple[int, int]:
        """Return the rows and columns of tiles of a level."""
        width, height = self.sizes[level]
        return -(-height // TILE), -(-width // TILE)

    def holds(self, at: TileAddress) -> bool:
        """Tell whether there is such a tile."""
        if at.level >= len(self.sizes):
            return False
        rows, columns = self.tiles(at.level)
        return at.row < rows and at.column < columns

    @property
    def blocks(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        return -(-self.height // BLOCK), -(-self.width // BLOCK)


Read = Callable[[int, int, int, int], Pixels]
Encode = Callable[[TileAddress, Pixels], bytes]


def pyramid_tiles(
    shape: PyramidShape,
    read: Read,
    encode: Encode,
    *,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[TileAddress, bytes]]:
    """Yield every tile of a pyramid once, as encoded.

    Parameters
    ----------
    shape : PyramidShape
        Sizes.
    read : callable
        ``read(x, y, width, height)`` returns pixels of level 0; called by worker threads.
    encode : callable
        From a tile's address and its (512, 512, 3) pixels to what is kept of it. Beyond the image's edge
        its last row and column are repeated. Called by worker threads for the three finest levels.
    workers : int
        Threads.
    progress : callable, optional
        Called with blocks done and total, in the calling thread.

    Notes
    -----
    A coarser pixel is the rounded mean of the four below it. Blocks come row by row; memory holds a few
    blocks per worker and one row of tiles per level from the fourth on: 300 bytes per pixel of the slide's
    width. The tiles do not depend on ``workers``.
    """
    rows, columns = shape.blocks
    bands = [_Band(level, shape.tiles(level)[1]) for level in range(IN_BLOCK, len(shape.sizes))]

    def work(row: int, column: int) -> tuple[list[tuple[TileAddress, bytes]], Pixels]:
        return _block_tiles(shape, _read_block(shape, read, row, column), (row, column), encode=encode)

    places = [(row, column) for row in range(rows) for column in range(columns)]
    for done, ((row, column), (tiles, rest)) in enumerate(_in_order(work, places, workers=workers), start=1):
        yield from tiles
        if bands:
            yield from _put(bands, (row, column), rest, encode=encode)
        if progress is not None:
            progress(done, len(places))
    for number, band in enumerate(bands):
        yield from _finish(bands, number, band, encode=encode)


def halve(pixels: Pixels) -> Pixels:
    """Return the rounded mean of each 2 x 2 pixels."""
    tall = pixels[0::2].astype(np.uint16) + pixels[1::2]
    return ((tall[:, 0::2] + tall[:, 1::2] + 2) >> 2).astype(np.uint8)


def _in_order(
    work: Callable[[int, int], tuple[list[tuple[TileAddress, bytes]], Pixels]],
    places: Iterable[tuple[int, int]],
    *,
    workers: int,
) -> Iterator[tuple[tuple[int, int], tuple[list[tuple[TileAddress, bytes]], Pixels]]]:
    """Yield places and results in the given order, with few of them under way at any time."""
    flying: deque[tuple[tuple[int, int], Future[tuple[list[tuple[TileAddress, bytes]], Pixels]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for place in places:
                flying.append((place, pool.submit(work, *place)))
                if len(flying) >= AHEAD * workers:
                    first, future = flying.popleft()
                    yield first, future.result()
            while flying:
                first, future = flying.popleft()
                yield first, future.result()
        finally:
            for _, future in flying:
                future.cancel()


def _read_block(shape: PyramidShape, read: Read, row: int, column: int) -> Pixels:
    """Return one block; beyond the image its edge is repeated."""
    x, y = column * BLOCK, row * BLOCK
    width, height = min(BLOCK, shape.width - x), min(BLOCK, shape.height - y)
    pixels = read(x, y, width, height)
    if pixels.shape[:2] == (BLOCK, BLOCK):
        return pixels
    return np.pad(pixels, ((0, BLOCK - height), (0, BLOCK - width), (0, 0)), mode="edge")


def _block_tiles(
    shape: PyramidShape, pixels: Pixels, place: tuple[int, int], *, encode: Encode
) -> tuple[list[tuple[TileAddress, bytes]], Pixels]:
    """Return the encoded tiles of a block, and its pixels at the level for which it is less than a tile."""
    found = []
    for level in range(IN_BLOCK):
        across = len(pixels) // TILE
        for index in range(across * across):
            down, right = divmod(index, across)
            at = TileAddress(level, place[0] * across + down, place[1] * across + right)
            if shape.holds(at):
                tile = pixels[down * TILE : (down + 1) * TILE, right * TILE : (right + 1) * TILE]
                found.append((at, encode(at, np.ascontiguousarray(tile))))
        pixels = halve(pixels)
    return found, pixels


class _Band:
    """One row of tiles of a coarse level, filled by halved tiles of the level below."""

    def __init__(self, level: int, across: int) -> None:
        self.level, self.across = level, across
        self.pixels = np.full((TILE, across * TILE, 3), 255, np.uint8)
        self.row: int | None = None


def _put(
    bands: list[_Band], place: tuple[int, int], part: Pixels, *, encode: Encode
) -> Iterator[tuple[TileAddress, bytes]]:
    """Put the half-size part at a row and column of the level below the first band."""
    band, half = bands[0], TILE // 2
    own = place[0] // 2
    if band.row is not None and band.row != own:
        yield from _finish(bands, 0, band, encode=encode)
    band.row = own
    y, x = (place[0] % 2) * half, place[1] * half
    room = band.pixels[y : y + half, x : x + half]
    room[:] = part[:, : room.shape[1]]


def _finish(
    bands: list[_Band], number: int, band: _Band, *, encode: Encode
) -> Iterator[tuple[TileAddress, bytes]]:
    """Yield the tiles of a band and hand them, halved, to the next."""
    if band.row is None:
        return
    row, band.row = band.row, None
    for column in range(band.across):
        tile = np.ascontiguousarray(band.pixels[:, column * TILE : (column + 1) * TILE])
        at = TileAddress(band.level, row, column)
        yield at, encode(at, tile)
        if number + 1 < len(bands):
            yield from _put(bands[number + 1 :], (row, column), halve(tile), encode=encode)
    band.pixels[:] = 255
