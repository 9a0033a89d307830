"""Reads plain images (PNG, JPEG, BMP, WebP, untiled TIFF) as slides of one level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ...errors import UnreadableSlideError, UnsupportedSlideError
from ..reader import GREY_PROBLEM, Level, SlideFacts
from ..region import Region
from ..resolution import Candidate
from .tiff_directory import TiffDirectory, TiffImage

__all__ = ["PlainReader", "open_plain_image", "open_plain_tiff"]

MOST_PIXELS = 400_000_000
"""Largest image that is held whole in memory: 1.2 GB."""

COLOUR_MODES = ("RGB", "RGBA", "P", "PA", "L", "LA", "1")
"""Pillow's 8-bit modes that are pictures on a screen."""

TILE_IT = "convert it to a tiled pyramid, for example: vips tiffsave IN OUT.tif --tile --pyramid"


class PlainReader:
    """An image decoded whole.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
        The image.
    facts : SlideFacts
        What is known of it.
    """

    def __init__(self, pixels: NDArray[np.uint8], facts: SlideFacts) -> None:
        self.facts = facts
        self._pixels = pixels

    def read_level(self, level: int, window: Region) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 pixels of ``window``."""
        return self._pixels[window.y : window.bottom, window.x : window.right].copy()

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Plain images have none."""
        raise KeyError(name)

    def close(self) -> None:
        """Let go of the pixels."""
        self._pixels = np.empty((0, 0, 3), np.uint8)


def open_plain_image(path: Path, *, content: str) -> PlainReader:
    """Open a PNG, JPEG, BMP or WebP image.

    Raises
    ------
    UnreadableSlideError
        If it is damaged or cut short.
    UnsupportedSlideError
        If it is too large, or not an 8-bit picture (16 bit, floating point, CMYK).
    """
    try:
        with Image.open(path) as image:
            if image.mode not in COLOUR_MODES:
                raise UnsupportedSlideError(
                    f"{path.name} has {image.mode} pixels, not 8-bit RGB", "save it as 8-bit RGB"
                )
            stated = image.info.get("dpi")
            channels = 1 if image.mode in ("L", "LA", "1") else 3
            profile = image.info.get("icc_profile")
            pixels = _on_white(image)
    except Image.DecompressionBombError as error:
        raise UnsupportedSlideError(
            f"{path.name} is too large for a plain image: {error}", TILE_IT
        ) from error
    except UnsupportedSlideError:
        raise
    except Exception as error:  # Pillow meets damaged files with exceptions of any type
        raise UnreadableSlideError(
            f"{path.name} is a damaged {content} image: {' '.join(str(error).split())}",
            "copy or save it again",
        ) from error
    source = f"{content.lower()}:density"
    facts = _facts(path, pixels, channels=channels, candidate=_from_density(stated, source))
    return PlainReader(pixels, replace(facts, icc_profile=profile, compression=content))


def open_plain_tiff(directory: TiffDirectory, *, number: int = 0) -> PlainReader:
    """Open an image of an untiled TIFF file, the first unless told otherwise.

    Raises
    ------
    UnreadableSlideError
        If it is damaged.
    UnsupportedSlideError
        If it is too large to be held whole, or not 8-bit RGB or grey.
    """
    path, image = directory.path, directory.images[number]
    _check_plain_tiff(path, image)
    try:
        with tifffile.TiffFile(path) as file:
            pixels = np.asarray(file.pages[number].asarray())
    except Exception as error:  # tifffile and its codecs have exceptions of any type
        raise UnreadableSlideError(
            f"{path.name} is a damaged TIFF image: {' '.join(str(error).split())}", "copy or save it again"
        ) from error
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if image.is_planar and pixels.shape[0] == 3:
        pixels = pixels.transpose(1, 2, 0)
    facts = _facts(path, pixels, channels=image.samples, candidate=image.candidate)
    facts = replace(facts, icc_profile=image.icc_profile or None, compression="untiled TIFF")
    return PlainReader(np.ascontiguousarray(pixels), facts)


def _check_plain_tiff(path: Path, image: TiffImage) -> None:
    """Complain about untiled TIFF images that are no pictures."""
    if set(image.bits) != {8}:
        raise UnsupportedSlideError(
            f"{path.name} has {max(image.bits)} bits per sample, not 8", "export the slide as 8-bit RGB"
        )
    if image.samples not in (1, 3) or image.photometric not in (1, 2, 6):
        raise UnsupportedSlideError(
            f"{path.name} is an untiled TIFF of {image.samples} samples per pixel (colour code "
            f"{image.photometric}), not RGB",
            "save it as RGB without an alpha channel",
        )
    if image.width * image.height > MOST_PIXELS:
        raise UnsupportedSlideError(
            f"{path.name} has {image.width} x {image.height} px in one piece, without tiles", TILE_IT
        )


def _on_white(image: Image.Image) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 with transparent parts laid on white."""
    if "A" not in image.mode and "transparency" not in image.info:
        return np.asarray(image.convert("RGB"))
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image.convert("RGBA"))
    return np.asarray(canvas.convert("RGB"))


def _from_density(stated: tuple[float, float] | None, source: str) -> Candidate | None:
    """Return um per pixel by dots per inch."""
    if stated is None or min(stated) <= 0:
        return None
    return Candidate(source, 25400.0 / float(stated[0]), 25400.0 / float(stated[1]))


def _facts(
    path: Path, pixels: NDArray[np.uint8], *, channels: int, candidate: Candidate | None
) -> SlideFacts:
    """Return what is known of a plain image."""
    height, width = pixels.shape[:2]
    properties: Mapping[str, str] = MappingProxyType({})
    return SlideFacts(
        reader="plain",
        vendor="plain",
        levels=(Level(width, height, 1.0),),
        bounds=Region(0, 0, width, height),
        properties=properties,
        candidates=() if candidate is None else (candidate,),
        channels=channels,
        compression="whole",
        files=(path,),
        problems=(GREY_PROBLEM,) if channels == 1 else (),
    )
