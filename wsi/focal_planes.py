"""Slides scanned at several focal planes, read as one: of each small block the plane that is in focus.

Planes come as one file each (``slide_z0.svs``, ``slide_z1.svs`` ...), as a folder of such files, or as the
Z of an OME-TIFF. What is read depends on the place alone, bit for bit, never on the window that was asked
for: sharpness is measured in blocks of a fixed grid, each from its own pixels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError, UnsupportedSlideError
from .formats import open_reader
from .formats.ome import is_ome, read_ome
from .formats.sniff import content_of
from .formats.tiff_directory import TiffDirectory, read_directory
from .formats.tiff_slide import open_ome
from .reader import Reader, SlideFacts
from .region import Region
from .slide import Slide, open_slide

__all__ = ["Blend", "FocalReader", "FocalSlide", "find_planes", "open_focal", "stack_name"]

Blend = Literal["extended", "best", "middle"]
"""``extended``: the sharpest plane with soft passages; ``best``: the sharpest plane of each block alone;
``middle``: the plane in the middle, as if there were no others."""

PLANE_NAME = re.compile(
    r"^(?P<stack>.*?)[-_ .]?(?:z|plane|focus|layer)[-_ ]?(?P<number>[+-]?\d+)$", re.IGNORECASE
)
"""File names of planes: ``slide_z3``, ``slide-plane2``, ``z0``."""
BLOCK_PX = 64
"""Side of the blocks of level 0, px: some nuclei wide at 40x, a cell at 20x."""
LEAST_BLOCK_PX = 16
"""Of coarser levels."""
POWER = 6
"""How much the sharpest plane outweighs the others where planes are blended."""
NOISE = 2.0
"""Mean squared difference of neighbours, grey levels, of camera noise: glass has no plane of its own."""

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def stack_name(path: str | Path) -> str | None:
    """Return the name of the stack that a file is a plane of, None for a file of another name."""
    file = Path(path)
    found = PLANE_NAME.match(file.stem)
    return (found["stack"] or file.parent.name) if found else None


def find_planes(path: str | Path) -> tuple[Path, ...]:
    """Return all planes of the slide that a file or folder stands for, from the lowest on.

    Parameters
    ----------
    path : str or Path
        A file, which may be one plane of several beside it; or a folder that holds the planes of one slide.

    Returns
    -------
    tuple of Path
        One path for a slide of one plane, an OME-TIFF included.

    Raises
    ------
    SettingsError
        If a folder holds no planes, or those of several slides.
    """
    place = Path(path)
    if place.is_dir():
        stacks = {stack_name(file) for file in place.iterdir() if file.is_file() and stack_name(file)}
        if len(stacks) != 1:
            raise SettingsError(
                f"{place} holds the planes of {len(stacks)} slides", "Name files such as slide_z0, slide_z1."
            )
        place = next(file for file in sorted(place.iterdir()) if stack_name(file))
    found = PLANE_NAME.match(place.stem)
    if found is None:
        return (place,)
    planes = {}
    for file in place.parent.iterdir():
        other = PLANE_NAME.match(file.stem)
        if other and other["stack"] == found["stack"] and file.suffix == place.suffix and file.is_file():
            planes[int(other["number"])] = file
    return tuple(planes[number] for number in sorted(planes)) or (place,)


def open_focal(
    path: str | Path, *, mpp: float | None = None, salvage: bool = False, blend: Blend = "extended"
) -> Slide:
    """Open a slide with all its focal planes; one of a single plane opens as with `open_slide`.

    Parameters
    ----------
    path : str or Path
        A file, one plane of several beside it, a folder of planes, or an OME-TIFF.
    mpp, salvage
        As for `open_slide`.
    blend : {"extended", "best", "middle"}
        How planes become one image.

    Returns
    -------
    Slide
        Open; its pixels are the composite at every level.

    Raises
    ------
    UnsupportedSlideError
        If the planes differ in size.
    SlidelabError
        As `open_slide`.
    """
    if blend not in get_args(Blend):
        raise SettingsError(f"planes blended by {blend!r}", f"Choose from {', '.join(get_args(Blend))}.")
    planes = find_planes(path)
    if len(planes) == 1 and _ome_depth(planes[0]) < 2:
        return open_slide(planes[0], mpp=mpp, salvage=salvage)
    return FocalSlide(Path(path), mpp=mpp, salvage=salvage, blend=blend)


class FocalSlide(Slide):
    """A slide of several focal planes; made by `open_focal`. Pickles as its path and settings."""

    def __init__(
        self, path: Path, *, mpp: float | None = None, salvage: bool = False, blend: Blend = "extended"
    ) -> None:
        self.blend: Blend = blend
        super().__init__(path, mpp=mpp, salvage=salvage)

    def _open(self, path: Path) -> Reader:
        """Return the reader of all planes."""
        reader = FocalReader(_open_planes(path), blend=self.blend)
        self.plane_count = len(reader.planes)
        return reader

    def __reduce__(self) -> tuple[Callable[..., Slide], tuple[Any, ...]]:
        return (_reopen, (self.path, self._mpp_override, self._salvage, self.blend))


class FocalReader:
    """Reads several planes as one.

    Parameters
    ----------
    planes : sequence of Reader
        From the lowest on; two or more of one size.
    blend : Blend
        How they become one image.

    Raises
    ------
    UnsupportedSlideError
        If the planes differ in size.
    """

    def __init__(self, planes: Iterable[Reader], *, blend: Blend = "extended") -> None:
        self.planes = tuple(planes)
        self.blend = blend
        middle = self.planes[len(self.planes) // 2].facts
        if any(plane.facts.levels != middle.levels for plane in self.planes):
            self.close()
            raise UnsupportedSlideError(
                "the focal planes of the slide differ in size", "export all planes alike, or give one of them"
            )
        files = tuple(dict.fromkeys(file for plane in self.planes for file in plane.facts.files))
        self.facts: SlideFacts = replace(
            middle,
            reader=f"{middle.reader}, {len(self.planes)} focal planes",
            files=files,
            problems=tuple(dict.fromkeys(line for plane in self.planes for line in plane.facts.problems)),
        )

    def read_level(self, level: int, window: Region) -> Pixels:
        """Return (H, W, 3) uint8 pixels of a window, px of the level, wholly inside it."""
        if self.blend == "middle":
            return self.planes[len(self.planes) // 2].read_level(level, window)
        stored = self.facts.levels[level]
        side = max(LEAST_BLOCK_PX, round(BLOCK_PX / stored.downsample))
        spans = [
            (max(0, first // side - 1), min(-(-size // side), -(-end // side) + 1))
            for first, end, size in (
                (window.y, window.bottom, stored.height),
                (window.x, window.right, stored.width),
            )
        ]
        (top, bottom), (left, right) = spans
        x, y = left * side, top * side
        area = Region(x, y, min(right * side, stored.width) - x, min(bottom * side, stored.height) - y)
        images = [plane.read_level(level, area) for plane in self.planes]
        sharp = np.stack([_sharpness(image, side) for image in images])
        inner = (slice(window.y - y, window.bottom - y), slice(window.x - x, window.right - x))
        if self.blend == "best":
            chosen = _nearest(_best(sharp), side, images[0].shape[:2])[inner]
            out = np.empty((window.height, window.width, 3), np.uint8)
            for number, image in enumerate(images):
                own = chosen == number
                out[own] = image[inner][own]
            return out
        total = np.zeros((window.height, window.width, 3), np.float32)
        for weight, image in zip(_weights(sharp), images, strict=True):
            total += _smooth(weight, side, images[0].shape[:2])[inner][..., None] * image[inner]
        return np.asarray(np.clip(np.rint(total), 0, 255), np.uint8)

    def read_associated(self, name: str) -> Pixels:
        """Return an associated image of the middle plane."""
        return self.planes[len(self.planes) // 2].read_associated(name)

    def close(self) -> None:
        """Let go of all planes."""
        for plane in self.planes:
            plane.close()


def _sharpness(image: Pixels, side: int) -> Floats:
    """Return the mean squared difference of neighbours in the green of each block, from its own pixels."""
    grey = image[..., 1].astype(np.float32)
    height, width = grey.shape
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    total = np.zeros((len(rows), len(columns)), np.float32)
    for axis in (0, 1):
        step = np.square(np.diff(grey, axis=axis, append=np.take(grey, [-1], axis=axis)))
        edge: list[Any] = [slice(None), slice(None)]
        edge[axis] = slice(side - 1, None, side)
        step[tuple(edge)] = 0.0  # what lies across a border belongs to neither block
        total += np.add.reduceat(np.add.reduceat(step, rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff(np.append(rows, height)), np.diff(np.append(columns, width)))
    return np.asarray(total / counts.astype(np.float32), np.float32)


def _best(sharp: Floats) -> NDArray[np.intp]:
    """Return the sharpest plane of each block; on glass, and at a tie, the one nearest to the middle."""
    count = len(sharp)
    order = np.argsort(np.abs(np.arange(count) - count // 2), kind="stable")
    chosen = order[sharp[order].argmax(axis=0)]
    return np.where(sharp.max(axis=0) > NOISE, chosen, count // 2)


def _weights(sharp: Floats) -> Floats:
    """Return the share of each plane in each block: (planes, rows, columns), of sum 1."""
    raised = (sharp / np.maximum(sharp.max(axis=0), np.float32(1e-6))) ** POWER
    flat = sharp.max(axis=0) <= NOISE
    raised[:, flat] = 0.0
    raised[len(sharp) // 2, flat] = 1.0
    return np.asarray(raised / raised.sum(axis=0), np.float32)


def _nearest(blocks: NDArray[np.intp], side: int, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the value of its block at each pixel."""
    rows, columns = (np.arange(size) // side for size in shape)
    return np.asarray(blocks[np.ix_(rows, columns)])


def _smooth(blocks: Floats, side: int, shape: tuple[int, ...]) -> Floats:
    """Return values between the middles of blocks, linear in rows and columns."""
    found = blocks
    for axis, size in enumerate(shape):
        place = (np.arange(size) % side + np.float32(0.5)) / np.float32(side) - np.float32(0.5)
        own = np.arange(size) // side
        other = np.clip(own + np.where(place < 0, -1, 1), 0, found.shape[axis] - 1)
        share = np.abs(place).astype(np.float32).reshape([-1 if k == axis else 1 for k in (0, 1)])
        found = np.take(found, own, axis=axis) * (1 - share) + np.take(found, other, axis=axis) * share
    return found


def _open_planes(path: Path) -> list[Reader]:
    """Open the planes of a slide, or none at all."""
    files = find_planes(path)
    opened: list[Reader] = []
    try:
        if len(files) > 1:
            opened.extend(map(open_reader, files))
        else:
            opened.extend(_open_ome_planes(files[0]))
    except BaseException:
        for reader in opened:
            reader.close()
        raise
    return opened


def _ome_depth(path: Path) -> int:
    """Return how many planes an OME-TIFF has; 1 for any other file."""
    if not path.is_file() or content_of(path) != "TIFF":
        return 1
    description = _first_description(path)
    found = re.search(r'\bSizeZ="(\d+)"', description) if is_ome(description) else None
    return int(found[1]) if found else 1


def _first_description(path: Path) -> str:
    """Return the description of a TIFF file's first image; empty where that cannot be read."""
    from ..errors import SlidelabError

    try:
        return read_directory(path).images[0].description
    except SlidelabError:
        return ""  # some scanners bend the format, and none of those write OME-XML


def _open_ome_planes(path: Path) -> list[Reader]:
    """Open each Z of an OME-TIFF as a slide of its own."""
    directory: TiffDirectory = read_directory(path)
    directory.check_chain()
    directory.check_tiles()
    directory.check_extent()
    description = directory.images[0].description
    single = re.sub(r'\bSizeZ="\d+"', 'SizeZ="1"', description, count=1)
    image = read_ome(single, name=path.name)
    return [open_ome(directory, replace(image, ifd=ifd)) for ifd in _plane_numbers(description)]


def _plane_numbers(description: str) -> list[int]:
    """Return the number of the TIFF image of each Z, from the lowest on."""
    pixels = next(each for each in ElementTree.fromstring(description.encode()).iter() if _is(each, "Pixels"))
    depth = int(pixels.get("SizeZ", "1"))
    data = [each for each in pixels if _is(each, "TiffData")]
    if len(data) < 2:
        first = int(data[0].get("IFD", "0")) if data else 0
        return [first + number for number in range(depth)]
    numbers = {int(each.get("FirstZ", "0")): int(each.get("IFD", "0")) for each in data}
    return [numbers[number] for number in sorted(numbers)]


def _is(element: ElementTree.Element, name: str) -> bool:
    """Whether an element has a name, whatever its namespace."""
    return element.tag.rpartition("}")[2] == name


def _reopen(path: Path, mpp: float | None, salvage: bool, blend: Blend) -> Slide:
    """Unpickle."""
    return FocalSlide(path, mpp=mpp, salvage=salvage, blend=blend)
