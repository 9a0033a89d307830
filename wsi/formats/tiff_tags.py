"""The lists of tags in a TIFF file, classic or BigTIFF, as the TIFF 6.0 specification lays them out."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .file_bytes import FileBytes

__all__ = ["MAGIC", "Tags", "TagsOfFile", "TiffCutError", "TiffFormatError", "read_tags"]

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First four bytes of little and big endian TIFF and BigTIFF."""

KINDS = {
    1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4",
    11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8",
}  # fmt: skip
"""numpy type of each TIFF field type."""

RATIONALS = (5, 10)
"""Field types made of two numbers."""

NEEDED = frozenset((
    254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 279,
    282, 283, 284, 296, 317, 322, 323, 324, 325, 330, 347, 34675,
))  # fmt: skip
"""Tags that are read; the others may be as strange as they like."""

SUB_IMAGES = 330
MOST_IMAGES = 4096
"""Guards against a list that runs in a circle of nonsense."""


class TiffFormatError(ValueError):
    """The bytes are no TIFF directory."""


class TiffCutError(TiffFormatError):
    """The directory leads beyond the end of the file."""


@dataclass(frozen=True)
class Tags:
    """The tags of one image."""

    values: Mapping[int, NDArray[np.generic]]
    below: tuple[Tags, ...] = ()
    """Tags of the images hung below this one."""

    def __contains__(self, tag: int) -> bool:
        return tag in self.values

    def numbers(self, tag: int) -> NDArray[np.int64]:
        """Return all numbers of a tag; none where it is absent."""
        return self.values[tag].astype(np.int64) if tag in self.values else np.empty(0, np.int64)

    def number(self, tag: int, *, default: int = 0) -> int:
        """Return the first number of a tag."""
        found = self.numbers(tag)
        return int(found[0]) if found.size else default

    def raw(self, tag: int) -> bytes:
        """Return a tag's bytes."""
        return self.values[tag].tobytes() if tag in self.values else b""

    def text(self, tag: int) -> str:
        """Return a tag's text."""
        return self.raw(tag).partition(b"\0")[0].decode("utf-8", "replace")

    def ratio(self, tag: int) -> float:
        """Return a rational; 0 where it is absent or no number."""
        found = self.values.get(tag)
        if found is None or found.size < 2:
            return 0.0
        numerator, denominator = (float(part) for part in found[:2].astype(np.float64))
        return numerator / denominator if denominator else 0.0


@dataclass(frozen=True)
class TagsOfFile:
    """The tags of all images of a file."""

    size: int
    images: tuple[Tags, ...]
    is_open_ended: bool


def read_tags(path: Path) -> TagsOfFile:
    """Read the tags of all images of a TIFF file.

    Raises
    ------
    TiffCutError
        If the first image's list, or a value that a list points to, lies beyond the end of the file.
    TiffFormatError
        If the bytes make no TIFF directory.
    """
    file = FileBytes(path)
    try:
        return _Parser(file, path.stat().st_size).parse()
    finally:
        file.close()


@dataclass
class _Parser:
    """Reads one file."""

    file: FileBytes
    size: int
    order: str = "<"
    is_big: bool = False
    seen: set[int] = field(default_factory=set)

    def parse(self) -> TagsOfFile:
        """Follow the chain of images."""
        head = self._bytes(0, 8)
        if head[:4] not in MAGIC:
            raise TiffFormatError("it does not start like one")
        self.order = "<" if head[:2] == b"II" else ">"
        self.is_big = b"+" in head[:4]
        place = self._number(8, "Q") if self.is_big else self._number(4, "I")
        images: list[Tags] = []
        while place:
            if images and place + 2 > self.size:
                return TagsOfFile(self.size, tuple(images), is_open_ended=True)
            tags, place = self._image(place)
            images.append(tags)
        if not images:
            raise TiffFormatError("it holds no image")
        return TagsOfFile(self.size, tuple(images), is_open_ended=False)

    def _image(self, place: int) -> tuple[Tags, int]:
        """Return the tags at a place and the place of the next image, 0 after the last."""
        if place in self.seen or len(self.seen) >= MOST_IMAGES:
            raise TiffFormatError("its list of images runs in a circle")
        self.seen.add(place)
        count = self._number(place, "Q" if self.is_big else "H")
        start = place + (8 if self.is_big else 2)
        width = 20 if self.is_big else 12
        entries = self._bytes(start, count * width)
        values = {}
        for entry in range(0, len(entries), width):
            tag, kind = struct.unpack_from(f"{self.order}HH", entries, entry)
            if tag in NEEDED and kind in KINDS:
                values[tag] = self._value(entries[entry : entry + width], start + entry, kind)
        below = self._below(values.pop(SUB_IMAGES, None))
        return Tags(values, below), self._number(start + count * width, "Q" if self.is_big else "I")

    def _below(self, places: NDArray[np.generic] | None) -> tuple[Tags, ...]:
        """Return the tags of the images hung below one."""
        if places is None:
            return ()
        return tuple(self._image(int(place))[0] for place in places.astype(np.int64))

    def _value(self, entry: bytes, place: int, kind: int) -> NDArray[np.generic]:
        """Return the value of a tag, from the entry itself if it fits in there."""
        (count,) = struct.unpack_from(f"{self.order}{'Q' if self.is_big else 'I'}", entry, 4)
        dtype = np.dtype(f"{self.order}{KINDS[kind]}")
        parts = count * (2 if kind in RATIONALS else 1)
        inside = place + (12 if self.is_big else 8)
        room = 8 if self.is_big else 4
        if parts * dtype.itemsize > room:
            inside = self._number(inside, "Q" if self.is_big else "I")
        return np.frombuffer(self._bytes(inside, parts * dtype.itemsize), dtype)

    def _number(self, place: int, kind: str) -> int:
        """Return a whole number at a place."""
        size = struct.calcsize(kind)
        return int(struct.unpack(f"{self.order}{kind}", self._bytes(place, size))[0])

    def _bytes(self, place: int, count: int) -> bytes:
        """Return bytes that must be there."""
        if place + count > self.size:
            raise TiffCutError(f"its table of contents leads to byte {place + count}")
        return self.file.read(place, count)
