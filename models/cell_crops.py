"""Squares of pixels around cells: what a `CellClassifier` looks at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidTableError

__all__ = ["crops_around", "framed_box", "lay_on_glass"]

Pixels = NDArray[np.uint8]

GLASS_QUANTILE = 0.95
"""Of each channel: taken for the unstained ground of a picture."""
RIM_PX = 5
"""Width of the soft rim of a picture that is laid on other ground."""


def crops_around(image: Pixels, centres: NDArray[np.floating], side: int, *, fill: int = 255) -> Pixels:
    """Cut a square around each centre.

    A crop begins on a whole pixel, the one that brings its middle nearest to the centre, so its pixels are
    those of the image and the same whichever part of the slide the image is.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Pixels at the classifier's resolution.
    centres : (N, 2) array
        x, y in px of the image; the first pixel's centre is 0.5, 0.5.
    side : int
        Of the squares, px.
    fill : int
        Grey level of what lies outside the image.

    Returns
    -------
    (N, side, side, 3) uint8 array

    Raises
    ------
    InvalidTableError
        If the image or the centres have another shape, or a centre is no number.
    """
    places = np.asarray(centres, np.float64)
    if places.size == 0:
        places = places.reshape(0, 2)
    if image.ndim != 3 or image.shape[2] != 3 or places.ndim != 2 or places.shape[1] != 2:
        raise InvalidTableError(
            f"an image of shape {image.shape} and centres of shape {places.shape}",
            "Give (H, W, 3) pixels and (N, 2) centres.",
        )
    if not np.isfinite(places).all():
        raise InvalidTableError("a centre that is no number", "Leave cells without a position out.")
    crops = np.full((len(places), side, side, 3), fill, np.uint8)
    # Half a pixel upwards is decided alike everywhere: rounding to even would depend on the origin.
    starts = np.floor(places - side / 2 + 0.5).astype(np.int64)
    height, width = image.shape[:2]
    for crop, (left, top) in zip(crops, starts.tolist(), strict=True):
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + side, width), min(top + side, height)
        if x0 < x1 and y0 < y1:
            crop[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return crops


def framed_box(image: Pixels, side: int) -> Pixels:
    """Return the middle square of a picture of one cell or group; one that is smaller lies on glass.

    A picture that was cut tightly has no surroundings. Its own glass goes on beyond it, so that neither
    padding nor frame tells pictures of one collection from those of another.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        The picture at the classifier's resolution.
    side : int
        Of the square, px.

    Returns
    -------
    (side, side, 3) uint8 array
    """
    height, width = image.shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    inner = image[top : top + side, left : left + side]
    place = ((side - inner.shape[1]) // 2, (side - inner.shape[0]) // 2)
    return lay_on_glass(inner, place, side)


def lay_on_glass(image: Pixels, place: tuple[int, int], side: int, *, ground: Pixels | None = None) -> Pixels:
    """Lay a picture into a square, as a transparent layer with a soft rim.

    Optical densities over the picture's own glass are blended, so glass meets glass without a seam.

    Parameters
    ----------
    image : (h, w, 3) uint8 array
        The picture; not larger than the square.
    place : (int, int)
        Its left and top in the square, px.
    side : int
        Of the square, px.
    ground : (side, side, 3) uint8 array, optional
        What lies beyond it, on glass of its own; empty glass of the picture by default.
    """
    height, width = image.shape[:2]
    rows, columns = (
        np.minimum(np.arange(length) + 1, np.arange(length)[::-1] + 1).clip(0, RIM_PX) / RIM_PX
        for length in (height, width)
    )
    box = (slice(place[1], place[1] + height), slice(place[0], place[0] + width))
    share = np.zeros((side, side, 1))
    share[box] = np.outer(rows, columns)[..., None]
    if (height, width) == (side, side):
        return np.ascontiguousarray(image)
    glass = _glass(image)
    density = np.zeros((side, side, 3))
    density[box] = _density(image, glass)
    density *= share
    if ground is not None:
        glass = _glass(ground)
        density += (1 - share) * _density(ground, glass)
    return np.clip(np.rint(glass * np.exp(-density)), 0, 255).astype(np.uint8)


def _glass(image: Pixels) -> NDArray[np.float64]:
    """Return the grey levels of what is unstained in a picture: (3,)."""
    return np.maximum(np.quantile(image.reshape(-1, 3), GLASS_QUANTILE, axis=0), 1.0)


def _density(image: Pixels, glass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return densities over glass, natural logarithms."""
    return np.asarray(np.log(glass) - np.log(np.maximum(image, 1)), np.float64)
