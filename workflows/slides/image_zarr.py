"""Writes a pyramid as OME-Zarr 0.4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .pyramid import TILE, PyramidShape, TileAddress

if TYPE_CHECKING:
    import zarr

__all__ = ["ZarrLevels", "make_ome_zarr"]

NGFF_VERSION = "0.4"
"""The version that QuPath, napari and TIAToolbox read."""


@dataclass(frozen=True)
class ZarrLevels:
    """The open arrays of a pyramid, finest first."""

    shape: PyramidShape
    arrays: tuple[zarr.Array[Any], ...]

    def encode(self, at: TileAddress, tile: NDArray[np.uint8]) -> bytes:
        """Write one tile, which is one chunk of its array; nothing is left to keep."""
        width, height = self.shape.sizes[at.level]
        y, x = at.row * TILE, at.column * TILE
        bottom, right = min(y + TILE, height), min(x + TILE, width)
        inside = np.moveaxis(tile[: bottom - y, : right - x], 2, 0)
        self.arrays[at.level][:, y:bottom, x:right] = np.ascontiguousarray(inside)
        return b""

    def write(self, tiles: Iterator[tuple[TileAddress, bytes]]) -> None:
        """Draw all tiles, each of which is written as it is encoded."""
        for _ in tiles:
            pass


def make_ome_zarr(path: Path, shape: PyramidShape, *, mpp: float, name: str) -> ZarrLevels:
    """Make the folder of an image and its empty arrays.

    Parameters
    ----------
    path : Path
        Folder to make.
    shape : PyramidShape
        Sizes of the levels.
    mpp : float
        um per pixel of level 0.
    name : str
        Name of the image in its metadata.

    Returns
    -------
    ZarrLevels
        Arrays (3, height, width) uint8 of red, green and blue, white where nothing is written; lossless.
    """
    import zarr

    root = zarr.open_group(path, mode="w", zarr_format=2)
    codec: dict[str, Any] = {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 0, "blocksize": 0}
    arrays = tuple(
        root.create_array(
            str(level),
            shape=(3, height, width),
            dtype=np.uint8,
            chunks=(3, TILE, TILE),
            compressors=codec,
            chunk_key_encoding={"name": "v2", "separator": "/"},
            fill_value=255,
        )
        for level, (width, height) in enumerate(shape.sizes)
    )
    root.attrs.put(_attributes(shape, mpp=mpp, name=name))
    return ZarrLevels(shape, arrays)


def _attributes(shape: PyramidShape, *, mpp: float, name: str) -> dict[str, Any]:
    """Return the metadata: axes, the pixel size of each level, and three colours."""
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": axis, "type": "space", "unit": "micrometer"} for axis in ("y", "x")]
    datasets = []
    for level in range(len(shape.sizes)):
        um = mpp * 2**level
        scale = {"type": "scale", "scale": [1.0, um, um]}
        half = {"type": "translation", "translation": [0.0, um / 2, um / 2]}
        datasets.append({"path": str(level), "coordinateTransformations": [scale, half]})
    window = {"min": 0.0, "max": 255.0, "start": 0.0, "end": 255.0}
    channels = [
        {"label": label, "color": color, "active": True, "window": window}
        for label, color in (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))
    ]
    return {
        "multiscales": [
            {"version": NGFF_VERSION, "name": name, "axes": axes, "datasets": datasets, "type": "mean"}
        ],
        "omero": {"channels": channels, "rdefs": {"model": "color"}, "version": NGFF_VERSION},
    }
