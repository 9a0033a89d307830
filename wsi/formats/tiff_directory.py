"""The table of contents of a TIFF file: sizes, tile addresses and tags, no pixels.

Classic TIFF and BigTIFF of either byte order. Only what is needed to find and decode tiles is read, strictly:
an address beyond the end of the file means that the file was cut short, and is said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import UnreadableSlideError
from ..resolution import Candidate
from .tiff_tags import Tags, TiffCutError, TiffFormatError, read_tags

__all__ = ["TiffDirectory", "TiffImage", "read_directory"]

MICRONS_PER_UNIT = {2: 25400.0, 3: 10000.0}
"""um per inch and per centimetre, by ResolutionUnit."""

LARGEST_TILE = 1 << 14
"""px; scanners use 64 to 4096."""

REDUCED_IMAGE = 1
"""Bit of NewSubfileType that marks a level of a pyramid."""


@dataclass(frozen=True)
class TiffImage:
    """One image of a TIFF file."""

    width: int
    height: int
    tile_width: int
    """px; 0 where the image is in strips."""
    tile_height: int
    offsets: NDArray[np.int64]
    """Where each tile or strip starts, bytes from the start of the file."""
    counts: NDArray[np.int64]
    """Bytes of each tile or strip; 0 = not stored."""
    compression: int
    photometric: int
    samples: int
    bits: tuple[int, ...]
    predictor: int
    is_planar: bool
    fill_order: int
    orientation: int
    is_reduced: bool
    jpeg_tables: bytes
    """Shared JPEG tables, from FFD8 to FFD9; empty where there are none."""
    description: str
    candidate: Candidate | None
    """um per pixel by the resolution tags."""
    icc_profile: bytes = b""
    sub_images: tuple[TiffImage, ...] = ()
    """Levels hung below this image (SubIFDs)."""

    @property
    def is_tiled(self) -> bool:
        """Whether the image is stored in tiles."""
        return self.tile_width > 0 and self.tile_height > 0

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.width // self.tile_width)

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.height // self.tile_height)


@dataclass(frozen=True)
class TiffDirectory:
    """All images of a TIFF file, in the order of the file."""

    path: Path
    size: int
    """Bytes in the file."""
    images: tuple[TiffImage, ...]
    is_open_ended: bool = False
    """Whether the last image points to a further one that is not there."""

    def check_extent(self) -> None:
        """Raise UnreadableSlideError if the file ends before its last tile does."""
        beyond = total = end = 0
        for image in _walk(self.images):
            stored = min(image.offsets.size, image.counts.size)
            offsets, counts = image.offsets[:stored], image.counts[:stored]
            ends = (offsets + counts)[counts > 0]
            beyond += int((ends > self.size).sum())
            total += ends.size
            end = max(end, int(ends.max(initial=0)))
        if beyond:
            raise _cut(self.path, f"{beyond} of {total} tiles or strips are missing; {end} bytes are needed")

    def check_tiles(self) -> None:
        """Raise UnreadableSlideError for tiles of a nonsensical size, which would take all memory."""
        for image in _walk(self.images):
            if max(image.tile_width, image.tile_height) > LARGEST_TILE:
                raise UnreadableSlideError(
                    f"{self.path.name} is a damaged TIFF file: its tiles would be {image.tile_width} x "
                    f"{image.tile_height} px",
                    "copy it from the scanner again",
                )

    def check_chain(self) -> None:
        """Raise UnreadableSlideError if the list of images leads beyond the end of the file."""
        if self.is_open_ended:
            raise _cut(self.path, f"after {len(self.images)} images its list of images breaks off")


def read_directory(path: Path) -> TiffDirectory:
    """Read the table of contents of a TIFF file.

    Raises
    ------
    UnreadableSlideError
        If the directory is damaged or lies beyond the end of the file.
    """
    try:
        file = read_tags(path)
        images = tuple(_describe(tags) for tags in file.images)
        if images[0].width < 1 or images[0].height < 1:
            raise TiffFormatError("its first image has no size")
    except TiffCutError as error:
        raise _cut(path, str(error)) from error
    except (TiffFormatError, OSError) as error:
        raise UnreadableSlideError(
            f"{path.name} is a damaged TIFF file: {error}", "copy it from the scanner again"
        ) from error
    return TiffDirectory(path, file.size, images, file.is_open_ended)


def _cut(path: Path, detail: str) -> UnreadableSlideError:
    """Return the error of a file that ends too early."""
    return UnreadableSlideError(
        f"{path.name} is cut short at {path.stat().st_size} bytes: {detail}",
        "copy it from the scanner again; the transfer did not finish",
    )


def _walk(images: Iterable[TiffImage]) -> Iterator[TiffImage]:
    """Yield images and what hangs below them."""
    for image in images:
        yield image
        yield from image.sub_images


def _describe(tags: Tags) -> TiffImage:
    """Turn tags into an image."""
    is_tiled = 322 in tags and 323 in tags
    offsets = tags.numbers(324 if 324 in tags else 273)
    counts = tags.numbers(325 if 325 in tags else 279)
    return TiffImage(
        width=tags.number(256),
        height=tags.number(257),
        tile_width=tags.number(322) if is_tiled else 0,
        tile_height=tags.number(323) if is_tiled else 0,
        offsets=offsets,
        counts=counts,
        compression=tags.number(259, default=1),
        photometric=tags.number(262),
        samples=tags.number(277, default=1),
        bits=tuple(int(bit) for bit in tags.numbers(258)) or (1,),
        predictor=tags.number(317, default=1),
        is_planar=tags.number(284, default=1) == 2,
        fill_order=tags.number(266, default=1),
        orientation=tags.number(274, default=1),
        is_reduced=bool(tags.number(254) & REDUCED_IMAGE),
        jpeg_tables=tags.raw(347),
        description=tags.text(270),
        candidate=_candidate(tags),
        icc_profile=tags.raw(34675),
        sub_images=tuple(_describe(sub) for sub in tags.below),
    )


def _candidate(tags: Tags) -> Candidate | None:
    """Return um per pixel by XResolution, YResolution and ResolutionUnit."""
    microns = MICRONS_PER_UNIT.get(tags.number(296, default=2))
    x, y = tags.ratio(282), tags.ratio(283)
    if microns is None or x <= 0 or y <= 0:
        return None
    return Candidate("tiff:XResolution", microns / x, microns / y)
