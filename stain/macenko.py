"""Stain vectors from the extreme directions of the stained pixels (Macenko 2009)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .concentration import least_squares
from .h_e_profile import as_profile
from .profile import StainProfile
from .screening import screen

__all__ = ["fit_macenko", "macenko_vectors"]

LEAST_DENSITY = 0.15 / np.log(10.0)
"""OD (base 10) that every channel of a pixel must reach: Macenko's beta of 0.15 in natural units."""
EXTREME_PERCENT = 1.0
"""Percent of pixels beyond either vector (Macenko's alpha)."""
LEAST_PIXELS = 500
"""Fewer dense pixels do not tell two directions."""


def macenko_vectors(density: NDArray[np.float64], *, percent: float = EXTREME_PERCENT) -> NDArray[np.float64]:
    """Return the two directions between which the pixels lie.

    Parameters
    ----------
    density : (N, 3) float array
        Optical density of stained pixels; the unit does not matter.
    percent : float
        Percent of pixels that may lie beyond either direction.

    Returns
    -------
    (2, 3) float array
        Unit vectors, the one that absorbs more red (hematoxylin) first. NaN where the pixels have no spread.

    Notes
    -----
    Eigenvectors of the covariance, the upper two; their sign is chosen so that the first component is
    positive (StainTools; torchstain leaves it open, which may mirror the angles and exchange ends that are
    then sorted, so vectors agree).

    References
    ----------
    .. [1] Macenko et al., A method for normalizing histology slides for quantitative analysis, ISBI 2009.
    """
    if len(density) < 2:
        return np.full((2, 3), np.nan)
    values, axes = np.linalg.eigh(np.cov(density.T))
    if not values[2] > 1e-12:
        return np.full((2, 3), np.nan)
    axes = axes[:, [2, 1]]
    axes = axes * np.where(axes[0] < 0, -1.0, 1.0)
    projected = density @ axes
    angles = np.percentile(np.arctan2(projected[:, 1], projected[:, 0]), [percent, 100.0 - percent])
    first, second = (axes @ np.array([np.cos(angle), np.sin(angle)]) for angle in angles)
    return np.array([first, second] if first[0] > second[0] else [second, first])


def fit_macenko(
    pixels: NDArray[np.uint8], background: tuple[float, float, float] = (255.0, 255.0, 255.0)
) -> StainProfile:
    """Fit hematoxylin, eosin and their strengths to a sample of a slide's tissue.

    It never fails: where the sample cannot tell, the reference's vectors come back with a flag.

    Parameters
    ----------
    pixels : (..., 3) uint8 array
        Tissue pixels sampled over the whole slide; white where nothing was to be taken.
    background : (red, green, blue)
        White point of the slide.

    Returns
    -------
    StainProfile
        With ``strengths``, or with one of the flags of `slidelab.stain.FALLBACKS`.
    """
    return as_profile(
        screen(pixels, background),
        background=background,
        source="macenko",
        fit=_fit,
        concentrations=least_squares,
    )


def _fit(density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vectors of the dense pixels; NaN where there are too few."""
    dense = density[(density >= LEAST_DENSITY).all(axis=1)]
    return macenko_vectors(dense) if len(dense) >= LEAST_PIXELS else np.full((2, 3), np.nan)
