"""How the index moves with the stain threshold: a curve from counts that add up over blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError


def count_by_threshold(dab_od: ArrayLike, *, thresholds: ArrayLike) -> NDArray[np.int64]:
    """Count nuclei between neighbouring thresholds; counts of blocks may be added.

    Parameters
    ----------
    dab_od : (N,) array
        Mean DAB optical density of each tumour nucleus, log10 units.
    thresholds : (T,) array
        Rising thresholds, log10 units.

    Returns
    -------
    (T + 1,) int64 array
        Element t counts the nuclei that pass exactly t thresholds; passing means density >= threshold.

    Raises
    ------
    InvalidTableError
        If a density is NaN.
    SettingsError
        If the thresholds do not rise.
    """
    density, steps = np.asarray(dab_od, dtype=np.float64), np.asarray(thresholds, dtype=np.float64)
    if steps.ndim != 1 or steps.size == 0 or not (np.diff(steps) > 0).all() or np.isnan(steps).any():
        raise SettingsError(f"{steps.size} stain thresholds that do not rise", "Sort them and drop doubles.")
    if density.ndim != 1 or np.isnan(density).any():
        raise InvalidTableError(
            "optical densities that are NaN or no list", "Drop nuclei that were not measured."
        )
    passed = np.searchsorted(steps, density, side="right")
    return np.bincount(passed, minlength=steps.size + 1).astype(np.int64)


def index_curve(counts: ArrayLike) -> NDArray[np.float64] | None:
    """Turn counts between thresholds into the index at each threshold.

    Parameters
    ----------
    counts : (T + 1,) array of int
        From ``count_by_threshold``, summed over all blocks.

    Returns
    -------
    (T,) float64 array or None
        Labelling index in percent, never rising. None where there is no nucleus.
    """
    tally = np.asarray(counts, dtype=np.int64)
    total = int(tally.sum())
    if total == 0:
        return None
    return 100 * np.cumsum(tally[::-1])[::-1][1:] / total


def index_by_threshold(dab_od: ArrayLike, thresholds: ArrayLike) -> NDArray[np.float64] | None:
    """Return the labelling index that each threshold would give.

    Parameters
    ----------
    dab_od : (N,) array
        Mean DAB optical density of each tumour nucleus, log10 units.
    thresholds : (T,) array
        Rising thresholds, log10 units; a nucleus is positive if its density is at least the threshold.

    Returns
    -------
    (T,) float64 array or None
        Percent. None where there is no nucleus. Same as ``index_curve`` of ``count_by_threshold``.
    """
    return index_curve(count_by_threshold(dab_od, thresholds=thresholds))
