"""The whole slide as one small image, and rasters on its pixel grid."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidTableError
from ..wsi import Region, Slide
from .store import atomic_file

__all__ = ["Overview", "bands", "coverage", "lookup", "read_overview", "read_raster", "write_raster"]

STRIP_ROWS = 256
"""Plane rows read at once: bounds what the reader decodes, without an effect on the pixels."""
BAND_ROWS = 512
"""Rows of an overview worked on at once, so that no float copy of it exists; no effect on the result."""
RASTER_ADVICE = "delete it and run the slide again"


@dataclass(frozen=True)
class Overview:
    """A slide seen at a few um per pixel."""

    image: NDArray[np.uint8]
    """(H, W, 3) sRGB."""
    downsample: float
    """Level-0 px per pixel."""
    mpp: float
    """um per pixel."""


def read_overview(slide: Slide, *, mpp: float) -> Overview:
    """Read a whole slide at low resolution, strip by strip.

    Parameters
    ----------
    slide : Slide
        Open slide.
    mpp : float
        Wanted um per pixel; a slide that is coarser is read at its own resolution.

    Returns
    -------
    Overview
        3 bytes per pixel: 30 MB for 25 mm x 25 mm at 8 um.
    """
    plane = slide.plane(max(mpp, slide.mpp))
    image = np.empty((plane.height, plane.width, 3), np.uint8)
    for top in range(0, plane.height, STRIP_ROWS):
        rows = min(STRIP_ROWS, plane.height - top)
        image[top : top + rows] = plane.read(0, top, plane.width, rows)
    return Overview(image, plane.downsample, plane.mpp)


def bands(height: int, *, halo: int) -> Iterator[tuple[slice, slice, slice]]:
    """Cut rows into bands with a halo, so that each row is worked on once with its surroundings.

    Parameters
    ----------
    height : int
        Number of rows.
    halo : int
        Rows needed above and below; fewer at the border of the image.

    Yields
    ------
    own, wide, inner : slice
        The band's rows; the same with halo; and the band's rows within the wide ones.
    """
    for top in range(0, height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, height)
        first, last = max(top - halo, 0), min(bottom + halo, height)
        yield slice(top, bottom), slice(first, last), slice(top - first, bottom - first)


def lookup(
    raster: NDArray[np.generic],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    downsample: float,
    outside: int,
) -> NDArray[Any]:
    """Return the raster's value under points given in level-0 px, ``outside`` beyond the raster."""
    column = np.floor(np.asarray(x, np.float64) / downsample)
    row = np.floor(np.asarray(y, np.float64) / downsample)
    height, width = raster.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    result = np.full(inside.shape, outside, raster.dtype)
    result[inside] = raster[row[inside].astype(np.intp), column[inside].astype(np.intp)]
    return result


def coverage(mask: NDArray[np.bool_], region: Region, *, downsample: float) -> float:
    """Return the share of a region's area (level-0 px) that lies on True pixels; exact to the border."""
    rows = _overlap(region.y / downsample, region.bottom / downsample, mask.shape[0])
    columns = _overlap(region.x / downsample, region.right / downsample, mask.shape[1])
    if rows[1].size == 0 or columns[1].size == 0:
        return 0.0
    part = mask[rows[0] : rows[0] + rows[1].size, columns[0] : columns[0] + columns[1].size]
    area = float(rows[1] @ part.astype(np.float64) @ columns[1])
    return min(1.0, area * downsample**2 / (region.width * region.height))


def _overlap(start: float, stop: float, size: int) -> tuple[int, NDArray[np.float64]]:
    """Return the first pixel under an interval and how much of each pixel the interval covers."""
    first, last = max(0, int(np.floor(start))), min(size, int(np.ceil(stop)))
    left = np.arange(first, max(first, last), dtype=np.float64)
    return first, np.minimum(left + 1, stop) - np.maximum(left, start)


def write_raster(path: Path, *, values: NDArray[np.uint8], facts: Mapping[str, Any]) -> None:
    """Write a raster and plain JSON facts to one ``.npz``; the same input gives the same bytes."""
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    with atomic_file(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, values=values, facts=np.frombuffer(text.encode(), np.uint8))


def read_raster(path: Path, *, kind: str) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Read what :func:`write_raster` wrote, if its fact ``kind`` is as wanted.

    Raises
    ------
    InvalidTableError
        If the file is damaged or something else.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            values, facts = archive["values"], json.loads(archive["facts"].tobytes())
    except (ValueError, TypeError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise InvalidTableError(f"{path} is no raster file", RASTER_ADVICE) from error
    if not isinstance(facts, dict) or facts.get("kind") != kind:
        raise InvalidTableError(f"{path} holds no {kind} raster", RASTER_ADVICE)
    return values, facts
