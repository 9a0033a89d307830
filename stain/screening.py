"""Which pixels of a sample can tell a slide's H&E colours, and what is wrong with a sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .density import rgb_to_density
from .profile import EOSIN_VECTOR, HEMATOXYLIN_VECTOR

__all__ = ["FALLBACKS", "StainedPixels", "can_normalise", "screen"]

FALLBACKS = frozenset(
    {"STAIN_ABSENT", "STAIN_PALE", "STAIN_SINGLE", "STAIN_NOT_H_E", "STAIN_ODD", "NORMALISED_UNLIKE"}
)
"""Flags with which a slide's pixels are left as they are."""

LEAST_PIXELS = 2_000
"""Fewer stained pixels than this cannot support a fit."""
LEAST_SHARE = 0.01
"""Least share of the sample that must be stained."""
MOST_PIXELS = 150_000
"""Pixels that a fit looks at: more do not move a 99th percentile by a hundredth of its value."""
STAINED_DENSITY = 0.05
"""Mean density over the channels from which a pixel is tissue and no glass, OD."""
SMALLEST_VALUE = 8
"""Grey level; a darker channel carries no direction: its density is mostly noise."""
STRAY_DEG = 25.0
"""A colour further than this from every mixture of hematoxylin and eosin is ink or pigment.

In 22 fields of H&E of eleven sources at most 1.8 % of stained pixels are; DAB is nearer, see below."""
MOST_STRAY = 0.2
"""With a larger share of such pixels the sample is not of an H&E slide."""
BROWN_DENSITY = 0.15
"""Mean density over the channels from which a pixel's colour is judged, OD."""
BROWN_RATIO = 1.05
"""Blue absorbed over green absorbed from which a pixel is brown: eosin absorbs green most, DAB blue."""
MOST_BROWN = 0.02
"""Share of brown pixels from which a slide was stained with DAB; 80 fields of H&E have 0 to 0.016."""
FEW_STRAY = 0.01
"""From this share on it is said that some were left out."""


@dataclass(frozen=True)
class StainedPixels:
    """The pixels of a sample that carry stain."""

    rgb: NDArray[np.uint8]
    """(N, 3) their colours."""
    density: NDArray[np.float64]
    """(N, 3) their optical density, base 10."""
    flags: tuple[str, ...]
    """What stands against a fit, or what was left out; see `FALLBACKS`."""


def screen(pixels: NDArray[np.uint8], background: tuple[float, float, float]) -> StainedPixels:
    """Pick the pixels that carry stain, and say what is wrong with the sample.

    Parameters
    ----------
    pixels : (..., 3) uint8 array
        Sample of the slide's tissue; white where nothing was to be taken.
    background : (red, green, blue)
        White point.

    Returns
    -------
    StainedPixels
        Every n-th of the stained pixels so that at most ``MOST_PIXELS`` remain. Flags: ``STAIN_ABSENT``,
        ``STAIN_ODD`` (much ink or another dye), ``STAIN_NOT_H_E`` (brown), ``INK_LEFT_OUT``.
    """
    rgb = pixels.reshape(-1, 3)
    density = rgb_to_density(rgb, background)
    stained = (density.mean(axis=1) > STAINED_DENSITY) & (rgb.min(axis=1) > SMALLEST_VALUE)
    # White stands for what was not sampled, and does not make the slide pale.
    sampled = len(rgb) - int((rgb == 255).all(axis=1).sum())
    places = np.flatnonzero(stained)
    if len(places) < max(LEAST_PIXELS, LEAST_SHARE * sampled):
        return StainedPixels(rgb[:0], np.empty((0, 3)), ("STAIN_ABSENT",))
    places = places[:: -(-len(places) // MOST_PIXELS)]
    rgb, values = rgb[places], density[places].astype(np.float64)
    stray = _distance_to_mixtures(values) > STRAY_DEG
    if stray.mean() > MOST_STRAY:
        return StainedPixels(rgb, values, ("STAIN_ODD",))
    flags = ("INK_LEFT_OUT",) if stray.mean() > FEW_STRAY else ()
    rgb, values = rgb[~stray], values[~stray]
    if _is_brown(values).mean() > MOST_BROWN:
        flags = (*flags, "STAIN_NOT_H_E")
    return StainedPixels(rgb, values, flags)


def can_normalise(flags: Iterable[str]) -> bool:
    """Tell whether none of the flags says to leave the pixels alone."""
    return not FALLBACKS & set(flags)


def _is_brown(density: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell the pixels that are brown, as DAB is, and not faint."""
    browner = density[:, 2] > BROWN_RATIO * density[:, 1]
    return np.asarray(browner & (density.mean(axis=1) > BROWN_DENSITY))


def _distance_to_mixtures(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle of each pixel to the nearest mixture of hematoxylin and eosin, degrees."""
    share = np.linspace(-0.3, 1.3, 17)[:, None]  # a little beyond both: slides differ
    ends = np.array([HEMATOXYLIN_VECTOR, EOSIN_VECTOR])
    mixtures = (1 - share) * ends[0] + share * ends[1]
    mixtures /= np.linalg.norm(mixtures, axis=1, keepdims=True)
    cosine = (density @ mixtures.T).max(axis=1) / np.maximum(np.linalg.norm(density, axis=1), 1e-9)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
