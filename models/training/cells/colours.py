"""Colours and cameras of cell crops, varied: what a laboratory or scanner does must not tell a class."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

__all__ = ["Style", "mean_style", "restain", "style_of", "vary_camera", "vary_colours"]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

GLASS_QUANTILE = 0.95
"""Of each channel: taken for the unstained ground."""
DARKEST_GLASS = 150.0
"""A crop without ground is not taken for one under a dark lamp."""
STAINED = 0.08
"""Mean optical density from which a pixel is stained."""
LIMITS = (0.5, 2.0)
"""Least and greatest factor of a channel's density when a style is taken over."""
BLURRED, STORED, NOISED = 0.4, 0.5, 0.3
"""Shares of crops that are blurred, stored as JPEG, and made noisy."""
SOFTEST = 1.4
"""Greatest spread of a blur, px."""
WORST_QUALITY = 40
"""Of JPEG."""
LOUDEST = 5.0
"""Greatest standard deviation of noise, grey levels."""


class Style(NamedTuple):
    """How a collection looks."""

    glass: Floats
    """Grey levels of the unstained ground: (3,)."""
    density: Floats
    """Mean optical density of what is stained: (3,)."""


def style_of(image: Pixels) -> Style:
    """Return the style of one image (H, W, 3)."""
    glass = np.maximum(np.quantile(image.reshape(-1, 3), GLASS_QUANTILE, axis=0), DARKEST_GLASS)
    density = _densities(image, glass.astype(np.float32)).reshape(-1, 3)
    stained = density[density.mean(1) > STAINED]
    mean = stained.mean(0) if len(stained) else np.full(3, STAINED)
    return Style(glass.astype(np.float32), np.maximum(mean, 0.02).astype(np.float32))


def mean_style(styles: Sequence[Style]) -> Style:
    """Return the median style of a collection."""
    return Style(
        np.median([one.glass for one in styles], axis=0).astype(np.float32),
        np.median([one.density for one in styles], axis=0).astype(np.float32),
    )


def restain(image: Pixels, own: Style, wanted: Style, *, amount: float) -> Pixels:
    """Give an image of one collection the look of another; differences within a collection stay.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Pixels.
    own, wanted : Style
        Of the two collections.
    amount : float
        0 leaves the image as it is, 1 takes the other look over wholly.
    """
    factor = np.clip(wanted.density / own.density, *LIMITS) ** amount
    glass = own.glass ** (1 - amount) * wanted.glass**amount
    return _from_densities(_densities(image, own.glass) * factor, glass)


def vary_colours(image: Pixels, random: np.random.Generator, *, strength: float) -> Pixels:
    """Vary the strength of all stains, of each channel, and the lamp."""
    if not strength:
        return image
    both = np.exp(strength * random.normal(0, 0.15))
    each = np.exp(strength * random.normal(0, 0.10, 3))
    lamp = 255.0 * np.exp(strength * random.normal(0, 0.02, 3) - abs(random.normal(0, 0.03)))
    white = np.full(3, 255.0, np.float32)
    return _from_densities(
        _densities(image, white) * (both * each).astype(np.float32), np.minimum(lamp, 255.0)
    )


def vary_camera(image: Pixels, random: np.random.Generator) -> Pixels:
    """Blur, add noise and store as JPEG, each now and then."""
    if random.random() < BLURRED:
        picture = Image.fromarray(image)
        image = np.asarray(picture.filter(ImageFilter.GaussianBlur(random.uniform(0.3, SOFTEST))))
    if random.random() < NOISED:
        noise = random.normal(0, random.uniform(0, LOUDEST), image.shape)
        image = np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
    if random.random() < STORED:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=int(random.integers(WORST_QUALITY, 96)))
        image = np.asarray(Image.open(stream))
    return np.ascontiguousarray(image)


def _densities(image: Pixels, glass: Floats) -> Floats:
    """Return optical densities over the ground, natural logarithms, negative where lighter than it."""
    table = -np.log(np.maximum(np.arange(256, dtype=np.float32), 1.0))
    return np.asarray(table[image] + np.log(glass), np.float32)


def _from_densities(densities: Floats, glass: NDArray[np.floating]) -> Pixels:
    """Return pixels of densities over a ground."""
    levels = np.exp(-densities) * np.asarray(glass, np.float32)
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)
