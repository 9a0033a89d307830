"""Reads everything that OpenSlide reads: the reader of last resort for scanners, and the first for most."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image, ImageCms

from ...errors import SlidelabError, UnreadableSlideError, UnsupportedSlideError
from ..reader import SlideFacts
from ..region import Region
from ..resolution import Candidate
from .dicom import check_ends, find_series
from .pyramid import make_levels

__all__ = ["OpenSlideReader", "detect_vendor"]

BLOCK = 512
"""Side of the blocks in which levels without a whole-number factor are read, px of the level."""

COPY_AGAIN = "copy the slide with all its files from the scanner again"

REFUSALS: tuple[tuple[str, type[SlidelabError], str, str], ...] = (
    (
        "Unsupported TIFF compression",
        UnsupportedSlideError,
        "is compressed in a way that cannot be read",
        "convert it, for example: vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg",
    ),
    (
        "image flavor",
        UnsupportedSlideError,
        "is a DICOM image, but no whole-slide image",
        "give a file of a VL Whole Slide Microscopy series",
    ),
    (
        "concatenation",
        UnsupportedSlideError,
        "is one part of a DICOM concatenation",
        "join the parts into one instance before use",
    ),
    (
        "Unrecognized subblock dimension",
        UnsupportedSlideError,
        "has several planes or scenes (z-stack)",
        "export one plane as a pyramidal TIFF",
    ),
    (
        "Index.dat",
        UnreadableSlideError,
        "has a damaged companion folder",
        "copy the .mrxs file and the folder of the same name together again",
    ),
    ("JPEG", UnreadableSlideError, "has damaged or incomplete image data", COPY_AGAIN),
)
"""What OpenSlide's messages mean: part of its text, kind of error, what to say, advice."""

MICRONS_PER_UNIT = {"centimeter": 1e4, "inch": 25400.0, "cm": 1e4}


class OpenSlideReader:
    """A slide that OpenSlide opens.

    Parameters
    ----------
    path : Path
        Slide file.

    Raises
    ------
    UnreadableSlideError
        If OpenSlide refuses the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._slide = openslide.OpenSlide(str(path))
        except (openslide.OpenSlideError, OSError) as error:
            raise _refusal(path, error) from error
        self.facts = _tell(self._slide, path)
        if self.facts.vendor == "dicom":
            check_ends(self.facts.files)
        self._downsamples = self._slide.level_downsamples

    def read_level(self, level: int, window: Region) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 pixels of ``window``, px of ``level``, wholly inside it."""
        factor = self._downsamples[level]
        if level == 0 or float(factor).is_integer():
            place = (window.x * round(factor), window.y * round(factor))
            return self._read(place, level, (window.width, window.height))
        return self._read_in_blocks(level, window)

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Return an associated image, (H, W, 3) uint8."""
        handle = self._slide
        try:
            return _flatten(handle.associated_images[name])
        except openslide.OpenSlideError as error:
            self._replace(handle)
            raise UnreadableSlideError(
                f"{self._path.name}: image {name!r} is damaged: {_one_line(error)}", "leave it out"
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._slide.close()

    def _read_in_blocks(self, level: int, window: Region) -> NDArray[np.uint8]:
        """Read a level whose pixels OpenSlide cannot address exactly.

        A level pixel then lies between level-0 pixels, and OpenSlide shifts the image by the fraction. Blocks
        at fixed places keep that shift (below half a level-0 pixel) the same whichever window is asked for.
        """
        factor = self._downsamples[level]
        out = np.empty((window.height, window.width, 3), np.uint8)
        for top in range(window.y // BLOCK * BLOCK, window.bottom, BLOCK):
            for left in range(window.x // BLOCK * BLOCK, window.right, BLOCK):
                part = window.intersection(Region(left, top, BLOCK, BLOCK))
                if part is None:
                    continue
                place = (round(left * factor), round(top * factor))
                block = self._read(place, level, (part.right - left, part.bottom - top))
                out[part.y - window.y : part.bottom - window.y, part.x - window.x : part.right - window.x] = (
                    block[part.y - top :, part.x - left :]
                )
        return out

    def _read(self, place: tuple[int, int], level: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return pixels at a level-0 place, on white."""
        handle = self._slide
        try:
            return _flatten(handle.read_region(place, level, size))
        except openslide.OpenSlideError:
            # an error makes the handle useless for good, and perhaps another thread's tile was the cause
            self._replace(handle)
        try:
            with openslide.OpenSlide(str(self._path)) as fresh:
                return _flatten(fresh.read_region(place, level, size))
        except openslide.OpenSlideError as error:
            raise UnreadableSlideError(
                f"{self._path.name}: damaged at level {level}, level-0 x {place[0]}, y {place[1]}, "
                f"{size[0]} x {size[1]} px: {_one_line(error)}",
                "leave this area out, or scan or copy the slide again",
            ) from error

    def _replace(self, broken: openslide.OpenSlide) -> None:
        """Take a new handle, unless another thread did; the old one is freed by its last user."""
        with self._lock:
            if self._slide is broken:
                self._slide = openslide.OpenSlide(str(self._path))


def detect_vendor(path: Path) -> str | None:
    """Return OpenSlide's name of the format, or None where it knows none."""
    vendor: str | None = openslide.OpenSlide.detect_format(str(path))
    return vendor


def _refusal(path: Path, error: Exception) -> SlidelabError:
    """Return the error of a file that OpenSlide refuses, with advice that fits the cause."""
    text = _one_line(error).replace(str(path), path.name)
    for mark, kind, what, advice in REFUSALS:
        if mark in text:
            return kind(f"{path.name} {what} ({text})", advice)
    return UnreadableSlideError(f"{path.name} cannot be opened: {text}", COPY_AGAIN)


def _tell(slide: openslide.OpenSlide, path: Path) -> SlideFacts:
    """Collect what OpenSlide says about a slide."""
    properties = _properties(slide)
    vendor = properties.get("openslide.vendor", "unknown")
    width, height = slide.dimensions
    whole = Region(0, 0, width, height)
    return SlideFacts(
        reader="openslide",
        vendor=vendor,
        levels=make_levels(slide.level_dimensions),
        bounds=_bounds(properties, whole),
        properties=MappingProxyType(properties),
        candidates=_candidates(properties, vendor),
        objective_power=_number(properties.get("openslide.objective-power")),
        associated_names=tuple(sorted(slide.associated_images)),
        icc_profile=_profile(slide),
        files=_files_of(path, vendor),
    )


def _properties(slide: openslide.OpenSlide) -> dict[str, str]:
    """Return all metadata but those that are no text."""
    found = {}
    for name in slide.properties:
        with suppress(KeyError, UnicodeDecodeError):
            found[name] = slide.properties[name]
    return found


def _files_of(path: Path, vendor: str) -> tuple[Path, ...]:
    """Return all files that hold the slide."""
    if vendor == "dicom":
        return find_series(path)
    folder = path.with_suffix("")
    if vendor == "mirax" and folder.is_dir():
        return (path, *sorted(file for file in folder.iterdir() if file.is_file()))
    if path.suffix.lower() in (".vms", ".vmu"):
        named = (line.partition("=")[2].strip() for line in path.read_text("latin-1").splitlines())
        return (
            path,
            *sorted(
                {
                    path.parent / Path(name).name
                    for name in named
                    if name and (path.parent / Path(name).name).is_file()
                }
            ),
        )
    return (path,)


def _profile(slide: openslide.OpenSlide) -> bytes | None:
    """Return the colour profile's bytes; a damaged one counts as none, for it is never applied."""
    try:
        profile = slide.color_profile
    except (openslide.OpenSlideError, ImageCms.PyCMSError, OSError):
        return None
    return None if profile is None else profile.tobytes()


def _bounds(properties: Mapping[str, str], whole: Region) -> Region:
    """Return where the scanner put pixels; the whole plane where that is not stated."""
    values = [_number(properties.get(f"openslide.bounds-{key}")) for key in ("x", "y", "width", "height")]
    if any(value is None for value in values):
        return whole
    x, y, width, height = (int(value or 0) for value in values)
    if width < 1 or height < 1:
        return whole
    return Region(x, y, width, height).intersection(whole) or whole


def _candidates(properties: Mapping[str, str], vendor: str) -> tuple[Candidate, ...]:
    """Return every statement of the resolution, the vendor's own first."""
    name = "dicom:PixelSpacing" if vendor == "dicom" else "openslide.mpp-x"
    microns = MICRONS_PER_UNIT.get(properties.get("tiff.ResolutionUnit", ""))
    stated = [
        (name, properties.get("openslide.mpp-x"), properties.get("openslide.mpp-y"), None),
        ("aperio.MPP", properties.get("aperio.MPP"), properties.get("aperio.MPP"), None),
        ("tiff:XResolution", properties.get("tiff.XResolution"), properties.get("tiff.YResolution"), microns),
    ]
    found = []
    for source, x_text, y_text, per_unit in stated:
        x, y = _number(x_text), _number(y_text)
        if not x or not y or (source.startswith("tiff:") and per_unit is None):
            continue
        found.append(Candidate(source, per_unit / x, per_unit / y) if per_unit else Candidate(source, x, y))
    return tuple(found)


def _number(text: str | None) -> float | None:
    """Return a finite number from 0 up, also written with a decimal comma; None where it is none."""
    try:
        value = float((text or "").replace(",", "."))
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def _flatten(image: Image.Image) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 with transparent parts laid on white."""
    pixels = np.asarray(image.convert("RGBA"))
    alpha = pixels[..., 3:].astype(np.uint16)
    if alpha.min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    flat: NDArray[np.uint8] = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return flat


def _one_line(error: BaseException) -> str:
    """Return an error's text on one line."""
    return " ".join(str(error).split())
