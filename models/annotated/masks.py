"""Outlines from masks: a number per nucleus, or just inside and outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError
from ..labelled.instances import components
from .shapes import Vertices, largest

__all__ = ["TIFF_ENDINGS", "number_objects", "read_mask", "trace_outline", "trace_outlines"]

TIFF_ENDINGS = (".tif", ".tiff")
MASK_ADVICE = "Save one channel of whole numbers: 0 for background, a number of its own for each nucleus."


def read_mask(path: Path) -> NDArray[np.int32]:
    """Read a mask image as an instance map, (H, W), objects numbered from 1 by rising value.

    With a single value beside 0 it is taken as a mask of inside and outside, and its connected parts
    (4-neighbours) are the objects.
    """
    image = _pixels(path)
    if image.ndim == 3 and 1 in (image.shape[0], image.shape[2]):
        image = image.squeeze(axis=2 if image.shape[2] == 1 else 0)
    if image.ndim != 2:
        raise InvalidTableError(f"a mask of shape {image.shape}, not one channel", MASK_ADVICE)
    if image.dtype.kind == "f" and np.isfinite(image).all() and (image == np.rint(image)).all():
        image = image.astype(np.int64)
    numbered = number_objects(image)
    return components(numbered > 0, least_px=1) if numbered.max(initial=0) == 1 else numbered


def _pixels(path: Path) -> NDArray[Any]:
    """Read the pixels as they are stored; palettes give their indices."""
    if path.suffix.lower() in TIFF_ENDINGS:
        import tifffile

        try:
            return np.asarray(tifffile.imread(path))
        except Exception as error:  # its codecs raise what they like on damage
            raise InvalidTableError(
                f"no readable TIFF ({type(error).__name__})", "Save the mask again as TIFF or PNG."
            ) from error
    from PIL import Image

    try:
        with Image.open(path) as opened:
            return np.asarray(opened)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidTableError(
            f"no readable image ({type(error).__name__})", "Save the mask again as PNG or TIFF."
        ) from error


def number_objects(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Return the same objects numbered from 1 by rising value, without gaps: (H, W)."""
    if labels.ndim != 2 or labels.dtype.kind not in "bui" or (labels.size and int(labels.min()) < 0):
        raise InvalidTableError(
            f"a label image of type {labels.dtype} and shape {labels.shape}, or with negative numbers",
            MASK_ADVICE,
        )
    inside = np.flatnonzero(labels)
    _, number = np.unique(labels.ravel()[inside], return_inverse=True)
    numbered = np.zeros(labels.shape, np.int32)
    numbered.ravel()[inside] = number + 1
    return numbered


def trace_outlines(instances: NDArray[np.int32]) -> list[Vertices]:
    """Return the outline of each object of a gapless instance map, (V, 2) x, y px each."""
    from scipy import ndimage

    return [
        trace_outline(instances[place] == number) + np.array([place[1].start, place[0].start])
        for number, place in enumerate(ndimage.find_objects(instances), 1)
    ]


def trace_outline(mask: NDArray[np.bool_]) -> Vertices:
    """Return the outline of a mask's largest part (8-neighbours), without holes: (V, 2) x, y px.

    It runs half-way between pixel centres: filling it gives back the part, pixel for pixel.
    """
    from skimage import measure

    trace: Any = measure.find_contours  # skimage is typed in part only
    rims = trace(np.pad(mask, 1).astype(np.float32), 0.5, fully_connected="high")
    return largest([rim[:-1, ::-1] - 0.5 for rim in rims])
