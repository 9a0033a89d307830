"""Stain vectors by sparse non-negative matrix factorisation (Vahadane 2016)."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from .concentration import sparse_codes
from .h_e_profile import REFERENCE, as_profile
from .profile import StainProfile
from .screening import screen

__all__ = ["CODE_SPARSITY", "fit_vahadane", "vahadane_vectors"]

Floats = NDArray[np.float64]

VECTOR_SPARSITY = 0.1 / np.log(10.0)
"""Price of concentration while vectors are sought, OD (base 10): 0.1 in natural units, as in StainTools."""
CODE_SPARSITY = 0.01 / np.log(10.0)
"""Price of concentration once vectors are known, OD (base 10): 0.01 in natural units."""
LEAST_DENSITY = 0.1
"""Mean OD of the channels from which a pixel takes part: about a luminosity of 0.8."""
MOST_PIXELS = 50_000
"""Pixels in the factorisation."""


def vahadane_vectors(density: Floats, *, sparsity: float = VECTOR_SPARSITY) -> Floats:
    """Return the two stains ``W >= 0`` that explain the densities with little stain.

    Minimises ``|V - H W|^2 / 2 + sparsity |H|_1`` over ``H >= 0`` and unit vectors ``W >= 0``.

    Parameters
    ----------
    density : (N, 3) float array
        Optical density of stained pixels, base 10.
    sparsity : float
        Price of a unit of concentration, OD.

    Returns
    -------
    (2, 3) float array
        Unit vectors, the one that absorbs more red (hematoxylin) first. NaN without pixels.

    Notes
    -----
    For given vectors the best concentrations have a closed form, so only the four angles of the two vectors
    are left: scipy's L-BFGS-B moves them within the positive octant, from the reference's vectors on. The
    result is the same every time, which dictionary learning by alternation from a random start is not.

    References
    ----------
    .. [1] Vahadane et al., Structure-preserving color normalization and sparse stain separation for
       histological images, IEEE Trans Med Imaging 2016.
    """
    from scipy.optimize import minimize

    if len(density) == 0:
        return np.full((2, 3), np.nan)
    start = _angles(np.array([REFERENCE.hematoxylin, REFERENCE.chromogen]))
    done = minimize(
        _price,
        start.ravel(),
        args=(density, sparsity),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, np.pi / 2)] * 4,
        options={"maxiter": 200, "ftol": 1e-10, "gtol": 1e-7},
    )
    vectors = _directions(done.x.reshape(2, 2))
    return vectors[::-1] if vectors[1, 0] > vectors[0, 0] else vectors


def fit_vahadane(
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
        source="vahadane",
        fit=_fit,
        concentrations=partial(sparse_codes, sparsity=CODE_SPARSITY),
    )


def _fit(density: Floats) -> Floats:
    """Return the vectors of the denser pixels."""
    dense = density[density.mean(axis=1) >= LEAST_DENSITY]
    return vahadane_vectors(dense[:: max(1, -(-len(dense) // MOST_PIXELS))])


def _price(angles: Floats, density: Floats, sparsity: float) -> tuple[float, Floats]:
    """Return what vectors of four angles cost per pixel, and the slope along each angle."""
    pairs = angles.reshape(2, 2)
    vectors = _directions(pairs)
    if float((vectors[0] * vectors[1]).sum()) > 1.0 - 1e-9:  # no two stains: the closed form divides by it
        return float("inf"), np.zeros(4)
    codes = sparse_codes(density, vectors, sparsity=sparsity)
    rest = density - codes @ vectors
    cost = 0.5 * float((rest**2).sum()) + sparsity * float(codes.sum())
    # The codes are the best ones, so only the vectors' own change counts (envelope theorem).
    slope = -(codes.T @ rest)
    turns = np.stack([(slope * turn).sum(axis=1) for turn in _turns(pairs)], axis=1)
    return cost / len(density), turns.ravel() / len(density)


def _angles(vectors: Floats) -> Floats:
    """Return the angle around the blue axis and the angle towards it, per vector: (2, 2)."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.stack([np.arctan2(unit[:, 1], unit[:, 0]), np.arcsin(unit[:, 2])], axis=1)


def _directions(angles: Floats) -> Floats:
    """Return the unit vectors (2, 3) of angles (2, 2)."""
    around, up = angles[:, 0], angles[:, 1]
    return np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=1)


def _turns(angles: Floats) -> tuple[Floats, Floats]:
    """Return how the unit vectors move with either angle, (2, 3) each."""
    around, up = angles[:, 0], angles[:, 1]
    still = np.zeros(2)
    first = np.stack([-np.cos(up) * np.sin(around), np.cos(up) * np.cos(around), still], axis=1)
    second = np.stack([-np.sin(up) * np.cos(around), -np.sin(up) * np.sin(around), np.cos(up)], axis=1)
    return first, second
