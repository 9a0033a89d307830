"""The reference look of H&E, and whether the vectors fitted to a slide can be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .profile import StainProfile, angle_deg
from .screening import StainedPixels, can_normalise

__all__ = ["REFERENCE", "as_profile"]

Floats = NDArray[np.float64]

REFERENCE = StainProfile(
    background=(255.0, 255.0, 255.0),
    hematoxylin=(0.5626, 0.7201, 0.4062),
    chromogen=(0.2159, 0.8012, 0.5581),
    source="reference H&E",
    strengths=(1.9705 / np.log(10.0), 1.0308 / np.log(10.0)),
    middles=(0.18, 0.40),
)
"""Vectors and strengths that go with Macenko 2009 in torchstain and its ancestors, in base 10.

Only the white point differs, 255 for their 240: glass comes out white. The middles are ours: medians over the
fields that nothing is measured on (``scripts/accuracy_stain.py --middles``)."""

LARGEST_TURN_DEG = (22.0, 35.0)
"""How far fitted hematoxylin and eosin may lie from the reference.

In 70 fields of H&E from 13 collections they lie up to 15 and 29 degrees from it: cameras differ that much."""
LEAST_SEPARATION_DEG = 5.0
"""Vectors closer than this cannot be told apart: the condition number of the pair is above 23."""
STRENGTH_PERCENTILE = 99.0
"""Percentile of the concentrations that stands for a stain's strength."""
MIDDLES = (0.02, 0.9)
"""A median outside of these shares of the strength is taken for the nearer: its odds are divided by."""


def as_profile(
    found: StainedPixels,
    *,
    background: tuple[float, float, float],
    source: str,
    fit: Callable[[Floats], Floats],
    concentrations: Callable[[Floats, Floats], Floats],
) -> StainProfile:
    """Fit vectors to screened pixels and measure their strengths.

    Parameters
    ----------
    found : StainedPixels
        What `screen` let through.
    background : (red, green, blue)
        White point of the slide.
    source : str
        Name of the method.
    fit : callable
        From densities (N, 3) to unit vectors (2, 3), hematoxylin first; NaN where they do not tell.
    concentrations : callable
        From densities and vectors to concentrations (N, 2).

    Returns
    -------
    StainProfile
        The slide's, or the reference's vectors without strengths and with a flag that says why.
    """
    fallback = replace(REFERENCE, background=background, strengths=None)
    if not can_normalise(found.flags):
        return replace(fallback, flags=found.flags)
    vectors = fit(found.density)
    doubt = _doubt(vectors)
    if doubt:
        return replace(fallback, flags=(*found.flags, doubt))
    vectors = vectors.round(6)  # what is used is what a file keeps
    amounts = concentrations(found.density, vectors)
    first, second = (float(value) for value in np.percentile(amounts, STRENGTH_PERCENTILE, axis=0).round(6))
    if min(first, second) <= 0:
        return replace(fallback, flags=(*found.flags, "STAIN_SINGLE"))
    (h_red, h_green, h_blue), (e_red, e_green, e_blue) = vectors.tolist()
    return StainProfile(
        background=background,
        hematoxylin=(h_red, h_green, h_blue),
        chromogen=(e_red, e_green, e_blue),
        source=source,
        flags=found.flags,
        strengths=(first, second),
        middles=_middles(amounts, (first, second)),
    )


def _middles(amounts: Floats, strengths: tuple[float, float]) -> tuple[float, float]:
    """Return the median of either stain's amounts as a share of its strength."""
    shares = np.clip(np.median(amounts, axis=0) / np.array(strengths), *MIDDLES).round(6)
    first, second = shares.tolist()
    return first, second


def _doubt(vectors: Floats) -> str | None:
    """Return the flag that says why fitted vectors cannot be believed."""
    if not np.isfinite(vectors).all() or angle_deg(*vectors) < LEAST_SEPARATION_DEG:
        return "STAIN_SINGLE"
    known = (REFERENCE.hematoxylin, REFERENCE.chromogen)
    turns = [angle_deg(found, reference) for found, reference in zip(vectors, known, strict=True)]
    far = any(turn > most for turn, most in zip(turns, LARGEST_TURN_DEG, strict=True))
    return "STAIN_NOT_H_E" if far else None
