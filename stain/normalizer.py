"""Fits what turns a slide into a target's look: once per slide, guarded, never failing on a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from .h_e_profile import LEAST_SEPARATION_DEG, REFERENCE
from .macenko import fit_macenko
from .profile import StainProfile, angle_deg
from .reinhard import REINHARD_REFERENCE, ColourStatistics, fit_reinhard
from .screening import can_normalise
from .transfer import (
    BY_NETWORK,
    ColourNormalizer,
    ColourTransfer,
    SlideColours,
    StainTransfer,
    Unchanged,
    is_alike,
)
from .vahadane import fit_vahadane

__all__ = [
    "MOST_GAIN",
    "check_profile",
    "fit_colours",
    "fit_normalizer",
    "make_normalizer",
    "method_of",
    "read_colours",
]

MOST_GAIN = 4.0
"""A stain or channel is never strengthened more than this: noise would become tissue."""

LIKENESS_PIXELS = 200_000
"""Pixels that are compared before and after."""

_FITS: Mapping[str, Callable[[NDArray[np.uint8], tuple[float, float, float]], SlideColours]] = {
    "reinhard": fit_reinhard,
    "macenko": fit_macenko,
    "vahadane": fit_vahadane,
    "cyclegan": fit_macenko,
    "distilled": fit_macenko,
}


def fit_colours(
    pixels: NDArray[np.uint8], method: str, *, background: tuple[float, float, float] = (255.0, 255.0, 255.0)
) -> SlideColours:
    """Measure a slide's colours in the way of a method.

    Parameters
    ----------
    pixels : (..., 3) uint8 array
        Tissue pixels sampled over the whole slide; white where nothing was to be taken.
    method : str
        ``reinhard``, ``macenko`` or ``vahadane``; ``cyclegan`` and ``distilled`` begin with what ``macenko``
        measures.
    background : (red, green, blue)
        White point, what clear glass reads.

    Raises
    ------
    SettingsError
        If the method has no such name.
    """
    if method not in _FITS:
        raise SettingsError(f"no colours are fitted by {method!r}", f"Choose one of {', '.join(_FITS)}.")
    return _FITS[method](pixels, background)


def fit_normalizer(
    pixels: NDArray[np.uint8],
    method: str,
    *,
    target: SlideColours | None = None,
    background: tuple[float, float, float] = (255.0, 255.0, 255.0),
) -> ColourNormalizer:
    """Fit what turns a slide into a target's look.

    Parameters
    ----------
    pixels : (..., 3) uint8 array
        Tissue pixels sampled over the whole slide; white where nothing was to be taken.
    method : str
        One of `METHODS` that needs no network.
    target : StainProfile or ColourStatistics, optional
        Colours of another slide, from `fit_colours`; by default the published reference.
    background : (red, green, blue)
        White point of the slide.

    Returns
    -------
    ColourNormalizer
        With a flag of `FALLBACKS`, and leaving pixels as they are, where the slide's colours cannot be told
        or the result would not look like the slide. It never fails on a sample.
    """
    if method == "none":
        return Unchanged()
    colours = fit_colours(pixels, method, background=background)
    return make_normalizer(colours, target, method=method, pixels=pixels)


def make_normalizer(
    source: SlideColours,
    target: SlideColours | None = None,
    *,
    method: str | None = None,
    pixels: NDArray[np.uint8] | None = None,
) -> ColourNormalizer:
    """Make a normalizer of colours that were fitted before, such as read from a file.

    Parameters
    ----------
    source : StainProfile or ColourStatistics
        The slide's colours.
    target : StainProfile or ColourStatistics, optional
        Colours to aim at; by default the published reference.
    method : str, optional
        What was asked for, where colours that could not be told no longer say it.
    pixels : (..., 3) uint8 array, optional
        Pixels of the slide, to see whether the result still looks like it.

    Raises
    ------
    SettingsError
        If source and target are of different kinds, or the target's colours could not be told.
    """
    method = method or method_of(source)
    if method in BY_NETWORK:
        raise SettingsError(
            f"{method} needs a network", "Choose the normalizer in workflows, which load networks."
        )
    if target is not None and not can_normalise(target.flags):
        raise SettingsError(
            f"the target's colours could not be told: {', '.join(target.flags)}",
            "Choose a target with both stains, or the published one.",
        )
    aim = _of_kind(target, type(source))
    if not can_normalise(source.flags):
        return Unchanged(source, source.flags, method)
    made: ColourTransfer | StainTransfer
    if isinstance(source, ColourStatistics):
        made = ColourTransfer(source, aim or REINHARD_REFERENCE, source.flags)
    else:
        made = StainTransfer(check_profile(source), check_profile(aim or REFERENCE), source.flags)
    if max(made.gains) > MOST_GAIN:
        return Unchanged(source, (*source.flags, "STAIN_PALE"), method)
    if pixels is not None and not _is_alike(made, pixels, background=source.background):
        return Unchanged(source, (*source.flags, "NORMALISED_UNLIKE"), method)
    return made


def read_colours(value: Mapping[str, Any]) -> SlideColours:
    """Read colours from what their ``to_json`` gave, or from what a normalizer's gave.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    inner = value.get("slide", value) if isinstance(value, Mapping) else None
    if not isinstance(inner, Mapping):
        raise SettingsError("this is no stain profile", "Use a profile that an earlier run has written.")
    value = inner
    if "mean" in value:
        return ColourStatistics.from_json(value)
    return StainProfile.from_json(value)


def method_of(colours: SlideColours) -> str:
    """Return the method that measured a slide's colours."""
    return "reinhard" if isinstance(colours, ColourStatistics) else colours.source


def _of_kind(target: SlideColours | None, kind: type[Any]) -> Any:
    """Return the target if it was measured for this kind of method."""
    if target is not None and not isinstance(target, kind):
        raise SettingsError(
            f"the target's colours were measured by {method_of(target)}",
            "Give an image as the target, or the profile of a slide normalised by the same method.",
        )
    return target


def check_profile(profile: StainProfile) -> StainProfile:
    """Return a profile if it can be computed with; files may have been edited by hand.

    Raises
    ------
    SettingsError
        If it holds impossible numbers.
    """
    numbers = np.array([profile.background, profile.hematoxylin, profile.chromogen], np.float64)
    white = numbers[0]
    if not np.isfinite(numbers).all() or not 1 <= white.min() <= white.max() <= 255:
        raise SettingsError("impossible numbers in a stain profile", "Use it as slidelab wrote it.")
    if min(np.abs(numbers[1:]).sum(axis=1)) == 0 or angle_deg(numbers[1], numbers[2]) < LEAST_SEPARATION_DEG:
        raise SettingsError("a stain profile with one stain only", "Use it as slidelab wrote it.")
    return profile


def _is_alike(
    normalizer: ColourNormalizer, pixels: NDArray[np.uint8], *, background: tuple[float, float, float]
) -> bool:
    """Tell whether what was lighter than its surroundings still is, over a sample of pixels."""
    rgb = pixels.reshape(-1, 3)
    rgb = rgb[:: max(1, len(rgb) // LIKENESS_PIXELS)]
    return is_alike(rgb, normalizer.recolour(rgb.astype(np.float64)), background=background)
