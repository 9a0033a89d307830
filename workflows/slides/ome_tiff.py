"""Writes a pyramid as OME-TIFF: levels as SubIFDs, as the format's version 6 asks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .pyramid import TILE, PyramidShape, TileAddress

__all__ = ["TiffCodec", "write_ome_tiff"]


@dataclass(frozen=True)
class TiffCodec:
    """How tiles are compressed."""

    quality: int | None = 90
    """JPEG quality, 1-100, without chroma subsampling; None is lossless (zlib)."""

    def encode(self, at: TileAddress, tile: NDArray[np.uint8]) -> bytes:
        """Return one tile as stored."""
        import imagecodecs

        if self.quality is None:
            return bytes(imagecodecs.zlib_encode(tile.tobytes(), level=5))
        encoded = imagecodecs.jpeg8_encode(
            tile, level=self.quality, colorspace="RGB", outcolorspace="YCBCR", subsampling=(1, 1)
        )
        return bytes(encoded)

    @property
    def tags(self) -> dict[str, Any]:
        """What tifffile must know of it."""
        if self.quality is None:
            return {"compression": "adobe_deflate", "photometric": "rgb"}
        return {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (1, 1)}


@dataclass
class _Spool:
    """Encoded tiles of the coarser levels, in a temporary file until their turn comes."""

    file: IO[bytes]
    places: dict[TileAddress, tuple[int, int]] = field(default_factory=dict)
    end: int = 0

    def put(self, at: TileAddress, data: bytes) -> None:
        """Keep one tile."""
        self.file.write(data)
        self.places[at] = (self.end, len(data))
        self.end += len(data)

    def level(self, shape: PyramidShape, level: int) -> Iterator[bytes]:
        """Yield the tiles of a level, row by row."""
        rows, columns = shape.tiles(level)
        for row in range(rows):
            for column in range(columns):
                start, size = self.places[TileAddress(level, row, column)]
                self.file.seek(start)
                yield self.file.read(size)


def write_ome_tiff(
    path: Path,
    shape: PyramidShape,
    tiles: Iterator[tuple[TileAddress, bytes]],
    *,
    codec: TiffCodec,
    mpp: float,
    name: str,
) -> None:
    """Write all tiles of a pyramid into one BigTIFF.

    Parameters
    ----------
    path : Path
        File to write.
    shape : PyramidShape
        Sizes of the levels.
    tiles : iterator
        From `pyramid_tiles`, encoded by ``codec``.
    codec : TiffCodec
        How they are compressed.
    mpp : float
        um per pixel of level 0.
    name : str
        Name of the image in its metadata.

    Notes
    -----
    TIFF wants a level's tiles in order, and the finest level first: coarser tiles wait, encoded, in a
    temporary file beside ``path`` of about a third of its size.
    """
    import tifffile

    metadata = {
        "axes": "YXS",
        "Name": name,
        "PhysicalSizeX": mpp,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": mpp,
        "PhysicalSizeYUnit": "µm",
    }
    with (
        tempfile.TemporaryFile(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent) as file,
        tifffile.TiffWriter(path, ome=True, bigtiff=True) as writer,
    ):
        spool = _Spool(file)
        for level, (width, height) in enumerate(shape.sizes):
            scale = 1e4 / (mpp * 2**level)
            first = level == 0
            writer.write(
                _finest(shape, tiles, spool) if first else spool.level(shape, level),
                shape=(height, width, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                subfiletype=0 if first else 1,
                subifds=len(shape.sizes) - 1 if first else None,
                metadata=metadata if first else None,
                resolution=(scale, scale),
                resolutionunit="CENTIMETER",
                software="slidelab" if first else None,
                **codec.tags,
            )


def _finest(
    shape: PyramidShape, tiles: Iterator[tuple[TileAddress, bytes]], spool: _Spool
) -> Iterator[bytes]:
    """Yield the tiles of level 0 row by row; all others go to the spool."""
    rows, columns = shape.tiles(0)
    waiting: dict[tuple[int, int], bytes] = {}
    for index in range(rows * columns):
        place = divmod(index, columns)
        while place not in waiting:
            at, data = next(tiles)
            if at.level == 0:
                waiting[at.row, at.column] = data
            else:
                spool.put(at, data)
        if index == rows * columns - 1:  # nobody comes back here after the last tile
            for at, data in tiles:
                spool.put(at, data)
        yield waiting.pop(place)
