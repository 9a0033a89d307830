"""Streams a painted slide into a pyramidal tiled TIFF; no level is ever held whole in memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .scanner import Scanner

Pixels = NDArray[np.uint8]

TILE = 512
FACTOR = 4  # between levels, as Aperio and Ventana files have it
BLOCK = TILE * FACTOR  # level-0 px that one tile of the next level shows
SMALLEST_LEVEL = 1024  # no further level once the longer side is down to that
HEADER_BYTES = 16  # of BigTIFF; a classic header leaves the second half unused
CLASSIC_LIMIT = 2**32 - 2**20
_RATIONAL = 5
_FIELD_FORMATS = {3: "H", 4: "I", _RATIONAL: "I", 16: "Q"}  # TIFF field type -> struct


@dataclass(frozen=True)
class TileCodec:
    """How tiles are compressed."""

    compression: str
    '"jpeg" or "none".'
    quality: int
    "JPEG quality."
    subsampling: tuple[int, int]
    "Chroma subsampling, horizontal and vertical."

    @classmethod
    def of(cls, scanner: Scanner, compression: str) -> TileCodec:
        """Return the codec that a scanner uses."""
        return cls(compression, scanner.jpeg_quality, scanner.jpeg_subsampling)

    def encode(self, tile: Pixels) -> bytes:
        """Return one tile as stored."""
        if self.compression == "none":
            return np.ascontiguousarray(tile).tobytes()
        import imagecodecs

        across, down = self.subsampling
        encoded = imagecodecs.jpeg8_encode(
            np.ascontiguousarray(tile),
            level=self.quality,
            colorspace="RGB",
            outcolorspace="YCBCR",
            subsampling=(across, down),
        )
        return bytes(encoded)


def reduce(pixels: Pixels) -> Pixels:
    """Return the mean of each ``FACTOR`` x ``FACTOR`` block of pixels, rounded."""
    tall = sum(
        (pixels[k::FACTOR].astype(np.uint16) for k in range(1, FACTOR)), pixels[::FACTOR].astype(np.uint16)
    )
    total = sum((tall[:, k::FACTOR] for k in range(1, FACTOR)), tall[:, ::FACTOR])
    return ((total + FACTOR * FACTOR // 2) // (FACTOR * FACTOR)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class EncodedBlock:
    """``BLOCK`` x ``BLOCK`` px of level 0 as stored, and what the coarser levels need of them."""

    tiles: tuple[bytes, ...]
    "Level-0 tiles, row by row."
    overview_tile: bytes
    "The one tile of level 1."
    overview: Pixels
    "(TILE / FACTOR, TILE / FACTOR, 3) pixels of level 2."
    shared: bool
    "True where other blocks are the same, so that the tiles are stored once."


def encode_block(pixels: Pixels, codec: TileCodec, *, shared: bool = False) -> EncodedBlock:
    """Encode one block of level-0 pixels, (BLOCK, BLOCK, 3)."""
    corners = [(y, x) for y in range(0, BLOCK, TILE) for x in range(0, BLOCK, TILE)]
    tiles = tuple(codec.encode(pixels[y : y + TILE, x : x + TILE]) for y, x in corners)
    overview = reduce(pixels)
    return EncodedBlock(tiles, codec.encode(overview), reduce(overview), shared)


@dataclass(eq=False)
class _Level:
    """Size of one level and where its tiles lie in the file."""

    width: int
    height: int
    offsets: NDArray[np.uint64] = field(init=False)
    sizes: NDArray[np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        count = self.across * self.down
        self.offsets, self.sizes = np.zeros(count, np.uint64), np.zeros(count, np.uint64)

    @property
    def across(self) -> int:
        return -(-self.width // TILE)

    @property
    def down(self) -> int:
        return -(-self.height // TILE)


def level_sizes(width: int, height: int) -> list[tuple[int, int]]:
    """Return width and height of all levels, finest first."""
    sizes = [(width, height)]
    while max(sizes[-1]) > SMALLEST_LEVEL:
        sizes.append((max(1, sizes[-1][0] // FACTOR), max(1, sizes[-1][1] // FACTOR)))
    return sizes


@dataclass(frozen=True)
class SlidePlan:
    """What a slide's directories say."""

    width: int
    height: int
    mpp: float
    codec: TileCodec
    background: tuple[int, int, int]
    "RGB that fills tiles beyond the slide's edge."
    text: str
    "ImageDescription."


class PyramidWriter:
    """Writes blocks of level 0, given row by row, and all coarser levels, into one TIFF.

    Memory holds one row of tiles per coarse level. Tiles of all levels are interleaved in the file
    in the order in which they become ready; the directories come last. The file is a BigTIFF where
    it needs to be, a classic TIFF otherwise.
    """

    def __init__(self, file: BinaryIO, plan: SlidePlan) -> None:
        self._file, self._mpp, self._codec, self._text = file, plan.mpp, plan.codec, plan.text
        self._levels = [_Level(*level) for level in level_sizes(plan.width, plan.height)]
        self._shared: dict[bytes, int] = {}
        self._end = HEADER_BYTES
        file.write(bytes(HEADER_BYTES))
        self._bands = [
            _Band(k, level.across, plan.background) for k, level in enumerate(self._levels) if k >= 2
        ]

    def write_block(self, row: int, column: int, block: EncodedBlock) -> None:
        """Write the block at a row and column of the grid of blocks; rows must come in order."""
        for k, tile in enumerate(block.tiles):
            self._place(0, (row * FACTOR + k // FACTOR, column * FACTOR + k % FACTOR), tile, block.shared)
        if len(self._levels) > 1:
            self._place(1, (row, column), block.overview_tile, block.shared)
        if self._bands:
            self._bands[0].put(row, column, block.overview, self._finish_row)

    def close(self) -> None:
        """Complete the coarse levels, then write directories and header."""
        for band in self._bands:
            band.flush(self._finish_row)
        self._write_directories()

    def _place(self, level: int, at: tuple[int, int], tile: bytes, shared: bool = False) -> None:
        record, (row, column) = self._levels[level], at
        if row >= record.down or column >= record.across:
            return  # a block may hang over the slide's edge
        offset = self._shared.get(tile) if shared else None
        if offset is None:
            offset = self._append(tile)
            if shared:
                self._shared[tile] = offset
        index = row * record.across + column
        record.offsets[index], record.sizes[index] = offset, len(tile)

    def _append(self, data: bytes) -> int:
        offset = self._end
        padding = len(data) % 2  # TIFF wants even offsets
        self._file.write(data + bytes(padding))
        self._end += len(data) + padding
        return offset

    def _finish_row(self, level: int, row: int, band: Pixels) -> None:
        """Write one row of tiles of a coarse level and hand it, reduced, to the next level."""
        for column in range(self._levels[level].across):
            tile = band[:, column * TILE : (column + 1) * TILE]
            self._place(level, (row, column), self._codec.encode(tile))
            if level + 1 < len(self._levels):
                self._bands[level - 1].put(row, column, reduce(tile), self._finish_row)

    def _write_directories(self) -> None:
        arrays = sum(16 * len(level.offsets) + 512 for level in self._levels)
        big = self._end + arrays > CLASSIC_LIMIT
        following = 0
        for index in reversed(range(len(self._levels))):  # last first: each knows where the next one lies
            following = self._write_directory(index, following, big=big)
        self._file.seek(0)
        if big:
            self._file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, following))
        else:
            self._file.write(struct.pack("<2sHI", b"II", 42, following))

    def _write_directory(self, index: int, following: int, *, big: bool) -> int:
        """Write one level's directory and the arrays it points to; return where it starts."""
        count, word = ("Q", "Q") if big else ("H", "I")
        entries = []
        for tag, kind, values in self._tags(index, big=big):
            number, data = _packed(kind, values)
            if len(data) > struct.calcsize(word):
                data = struct.pack("<" + word, self._append(data))
            entries.append(
                struct.pack(f"<HH{word}", tag, kind, number) + data.ljust(struct.calcsize(word), b"\0")
            )
        head, tail = struct.pack("<" + count, len(entries)), struct.pack("<" + word, following)
        return self._append(head + b"".join(entries) + tail)

    def _tags(self, index: int, *, big: bool) -> list[tuple[int, int, list[int] | str]]:
        """Return tag, type and values of all fields, in the order of the tags."""
        level, base = self._levels[index], self._levels[0]
        per_cm = [
            Fraction(10000.0 / (self._mpp * b / a)).limit_denominator(10000)
            for a, b in ((level.width, base.width), (level.height, base.height))
        ]
        jpeg = self._codec.compression == "jpeg"
        tags: list[tuple[int, int, list[int] | str]] = [
            (254, 4, [int(index > 0)]),  # NewSubfileType: reduced image
            (256, 4, [level.width]),
            (257, 4, [level.height]),
            (258, 3, [8, 8, 8]),  # BitsPerSample
            (259, 3, [7 if jpeg else 1]),  # Compression
            (262, 3, [6 if jpeg else 2]),  # PhotometricInterpretation: YCbCr or RGB
            (270, 2, self._text),  # ImageDescription
            (277, 3, [3]),  # SamplesPerPixel
            (282, 5, [per_cm[0].numerator, per_cm[0].denominator]),  # XResolution
            (283, 5, [per_cm[1].numerator, per_cm[1].denominator]),  # YResolution
            (284, 3, [1]),  # PlanarConfiguration: interleaved
            (296, 3, [3]),  # ResolutionUnit: centimetre
            (305, 2, "slidelab phantom"),  # Software
            (322, 3, [TILE]),
            (323, 3, [TILE]),
            (324, 16 if big else 4, level.offsets.tolist()),
            (325, 4, level.sizes.tolist()),
        ]
        if jpeg:
            tags.append((530, 3, list(self._codec.subsampling)))  # YCbCrSubSampling
        return tags


def _packed(kind: int, values: list[int] | str) -> tuple[int, bytes]:
    """Return the number of values of a field and its bytes."""
    if isinstance(values, str):
        data = values.encode("ascii", "replace") + b"\0"
        return len(data), data
    data = struct.pack(f"<{len(values)}{_FIELD_FORMATS[kind]}", *values)
    return len(values) // (2 if kind == _RATIONAL else 1), data


class _Band:
    """One row of tiles of a coarse level, filled by reduced blocks of the level below."""

    def __init__(self, level: int, across: int, background: tuple[int, int, int]) -> None:
        self._level, self._background = level, np.array(background, dtype=np.uint8)
        self._pixels = np.full((TILE, across * TILE, 3), self._background)
        self._row: int | None = None

    def put(self, row: int, column: int, part: Pixels, finish: Callable[[int, int, Pixels], None]) -> None:
        """Take the reduced tile at a row and column of the level below; a new row finishes the one before."""
        own = row // FACTOR
        if self._row is not None and own != self._row:
            self.flush(finish)
        self._row = own
        step = TILE // FACTOR
        y, x = (row % FACTOR) * step, column * step
        room = self._pixels[y : y + step, x : x + step]
        room[:] = part[:, : room.shape[1]]

    def flush(self, finish: Callable[[int, int, Pixels], None]) -> None:
        """Hand over the row of tiles collected so far."""
        if self._row is not None:
            finish(self._level, self._row, self._pixels)
            self._row = None
            self._pixels[:] = self._background
