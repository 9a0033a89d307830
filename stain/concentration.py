"""How much of either stain a pixel holds: by least squares, or sparse and never negative."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["least_squares", "sparse_codes"]

Floats = NDArray[np.float64]


def least_squares(density: Floats, vectors: Floats) -> Floats:
    """Return the concentrations (N, 2) that explain densities (N, 3) best; they may be negative.

    Sums are written out and not left to a matrix product, whose last bits depend on the number of pixels.
    """
    inverse: Floats = np.linalg.pinv(vectors).astype(np.float64)
    return _weighted(density, inverse)


def sparse_codes(density: Floats, vectors: Floats, *, sparsity: float) -> Floats:
    """Return the concentrations ``h >= 0`` that minimise ``|v - h W|^2 / 2 + sparsity (h1 + h2)``.

    Parameters
    ----------
    density : (N, 3) float array
        Optical density.
    vectors : (2, 3) float array
        Unit vectors whose components are not negative.
    sparsity : float
        Price of a unit of concentration, in the unit of ``density``.

    Returns
    -------
    (N, 2) float array
        The exact minimum. With two stains it has a closed form: the solution of the two equations, or, where
        that is negative in one stain, none of that stain.
    """
    overlap = float((vectors[0] * vectors[1]).sum())
    alone = _weighted(density, vectors.T) - sparsity
    both = (alone - overlap * alone[:, ::-1]) / (1.0 - overlap**2)
    # Without the other stain a pixel holds what the stain alone explains.
    other_missing = both[:, ::-1] < 0.0
    codes = np.maximum(np.where(other_missing, alone, both), 0.0)
    codes[both < 0.0] = 0.0
    return np.asarray(codes)


def _weighted(values: Floats, matrix: Floats) -> Floats:
    """Return ``values @ matrix`` with the same rounding for every number of rows."""
    columns = [
        values[:, 0] * weights[0] + values[:, 1] * weights[1] + values[:, 2] * weights[2]
        for weights in matrix.T
    ]
    return np.stack(columns).T  # stored column by column: all work on them is
