"""How strongly a nucleus or a membrane is stained: none, weak, moderate or strong, from its DAB density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError

GREATEST_OD = 2.5
"""Densities above cannot be told apart in 8-bit images, so no threshold may lie there."""
_DECIMALS = 6
"""Densities are compared to a millionth, so that 0.7 passes 0.7 as float32 and as 70 hundredths alike."""


@dataclass(frozen=True, slots=True)
class IntensityBins:
    """Least DAB densities of the three strengths of stain, OD (base 10).

    The start values are a project rule (the weak, moderate and strong defaults of a widely used tool). They
    depend on antibody, stainer and scanner: calibrate them per laboratory with control slides.
    """

    weak: float = 0.2
    """Least density of any stain: weak in a nucleus, faint in a membrane."""
    moderate: float = 0.4
    strong: float = 0.6
    """Least density of strong (intense) stain."""

    def __post_init__(self) -> None:
        if not 0 < self.weak < self.moderate < self.strong <= GREATEST_OD:
            raise SettingsError(
                f"intensity thresholds {self.weak}, {self.moderate}, {self.strong} OD do not rise to 2.5",
                "Give three rising optical densities (base 10), such as 0.2, 0.4 and 0.6.",
            )

    @property
    def edges(self) -> tuple[float, float, float]:
        """The three thresholds, rising."""
        return (self.weak, self.moderate, self.strong)


START_BINS = IntensityBins()
"""0.2, 0.4 and 0.6 OD."""


def intensity_levels(od: ArrayLike, *, bins: IntensityBins = START_BINS) -> NDArray[np.int8]:
    """Return the strength of each density: 0 none, 1 weak, 2 moderate, 3 strong.

    Parameters
    ----------
    od : (N,) array
        DAB optical densities (base 10).
    bins : IntensityBins
        A density equal to a threshold has reached it.

    Returns
    -------
    (N,) int8 array

    Raises
    ------
    InvalidTableError
        If a density is not finite.
    """
    return np.searchsorted(bins.edges, settled_od(od), side="right").astype(np.int8)


def intensity_counts(
    od: ArrayLike, positive: ArrayLike | None = None, *, bins: IntensityBins = START_BINS
) -> tuple[int, int, int, int]:
    """Count tumour nuclei by strength of stain.

    Parameters
    ----------
    od : (N,) array
        Mean DAB optical density (base 10) of each nucleus.
    positive : (N,) array of bool, optional
        Which nuclei another judge, such as a network, calls stained. It then decides between stained and
        unstained alone: its positives count as weak at least, its negatives as unstained whatever their
        density.
    bins : IntensityBins
        Thresholds.

    Returns
    -------
    tuple of int
        Unstained, weak, moderate, strong: what H-score and Allred start from.

    Raises
    ------
    InvalidTableError
        If a density is not finite, or ``positive`` does not hold a true/false for each nucleus.
    """
    levels = intensity_levels(od, bins=bins)
    if positive is not None:
        stained = np.asarray(positive)
        if stained.shape != levels.shape or (stained.dtype != np.bool_ and stained.size):
            raise InvalidTableError(
                f"{levels.size} nuclei, and stained or not as {stained.dtype} of shape {stained.shape}",
                "Give one true or false per nucleus.",
            )
        levels = np.where(stained, np.maximum(levels, 1), 0).astype(np.int8)
    none, weak, moderate, strong = np.bincount(levels, minlength=4).tolist()
    return (none, weak, moderate, strong)


def settled_od(od: ArrayLike, *, dimensions: int = 1) -> NDArray[np.float64]:
    """Return densities as float64, the same whatever precision they were stored in."""
    density = np.asarray(od, dtype=np.float64)
    if density.ndim != dimensions or not np.isfinite(density).all():
        raise InvalidTableError(
            f"optical densities of shape {density.shape}, or some that are not finite",
            "Drop cells that were not measured.",
        )
    return density.round(_DECIMALS)
