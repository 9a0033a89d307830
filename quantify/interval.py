"""Confidence intervals: Wilson for counts, normal for weighted means, bootstrap for clustered data."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from operator import index
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .score import Interval

BOOTSTRAP_DRAWS = 2000
BOOTSTRAP_SEED = 2011
_CHUNK = 4_000_000  # resampled fields held at once: 32 MB


def normal_quantile(level: float) -> float:
    """Return z such that a normal variable lies within ±z with probability ``level``; 1.959964 for 0.95."""
    if not 0 < level < 1:
        raise SettingsError(
            f"confidence level {level} is not between 0 and 1", "Use 0.95 for a 95 % interval."
        )
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson_interval(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share.

    Parameters
    ----------
    successes, trials : int
        Counts, 0 <= successes <= trials and trials >= 1.
    level : float
        Confidence level, 0-1.

    Returns
    -------
    Interval
        As shares of 1, always inside 0-1 and always holding ``successes / trials``.

    Raises
    ------
    InvalidTableError
        If the counts are no share; of 0 trials nothing can be said.

    Notes
    -----
    It treats every trial as independent. Nuclei cluster, so for cells it is too narrow: offer
    ``bootstrap_index_interval`` beside it.

    References
    ----------
    .. [1] Wilson EB, Probable inference, the law of succession, and statistical inference, J Am Stat Assoc
       1927, 22:209.
    """
    k, n = index(successes), index(trials)
    if not 0 <= k <= n or n == 0:
        raise InvalidTableError(
            f"{k} of {n} is no share", "Handle an empty denominator before asking for this."
        )
    z, p = normal_quantile(level), k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # the ends are exact at 0 and n; elsewhere rounding must not push the share out of its interval
    low = 0.0 if k == 0 else max(0.0, min(centre - half, p))
    high = 1.0 if k == n else min(1.0, max(centre + half, p))
    return Interval(low, high, level=level, method="Wilson")


def bootstrap_index_interval(
    positives_per_field: ArrayLike,
    totals_per_field: ArrayLike,
    *,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
    level: float = 0.95,
) -> Interval | None:
    """Return a percentile interval of the pooled index by drawing whole fields with replacement.

    Nuclei of one field resemble each other, so fields, not nuclei, are the independent units.

    Parameters
    ----------
    positives_per_field, totals_per_field : (F,) array of int
        Positive nuclei and all tumour nuclei of each field. Fields without nuclei are left out.
    draws : int
        Number of resamples.
    seed : int
        Of the random draws; the same seed gives the same interval.
    level : float
        Confidence level, 0-1.

    Returns
    -------
    Interval or None
        In percent. None with fewer than two fields that hold nuclei: there is nothing to resample.

    Raises
    ------
    InvalidTableError
        If the counts are not whole numbers with 0 <= positive <= total.

    Notes
    -----
    The order of the fields does not matter. Memory is bounded; time is draws x fields.
    """
    positives, totals = check_fields(positives_per_field, totals_per_field)
    tails = _tails(draws, level)
    held = totals > 0
    positives, totals = positives[held], totals[held]
    if totals.size < 2:
        return None
    order = np.lexsort((positives, totals))  # one canonical order, whatever order workers finished in
    positives, totals = positives[order], totals[order]
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK // totals.size)
    ratios = []
    for start in range(0, draws, rows):
        drawn = random.integers(totals.size, size=(min(rows, draws - start), totals.size))
        ratios.append(positives[drawn].sum(axis=1) / totals[drawn].sum(axis=1))
    low, high = 100 * np.quantile(np.concatenate(ratios), tails)
    return Interval(float(low), float(high), level=level, method=f"bootstrap of {totals.size} fields")


def bootstrap_by_patient(
    statistic: Callable[[NDArray[np.intp]], float | None],
    patients: ArrayLike,
    *,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
    level: float = 0.95,
) -> Interval | None:
    """Return a percentile interval of any statistic by drawing whole patients with replacement.

    Parameters
    ----------
    statistic : callable
        Takes (n,) row numbers, repeated as drawn, and returns their statistic or None if undefined.
    patients : (N,) array
        Patient of each row; slides or patches of one patient stay together.
    draws, seed, level
        As in ``bootstrap_index_interval``.

    Returns
    -------
    Interval or None
        In the statistic's unit. None with one patient, or if over half of the draws are undefined.
    """
    tails = _tails(draws, level)
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    if names.size < 2:
        return None
    rows = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    random = np.random.default_rng(seed)
    drawn = (random.integers(names.size, size=names.size) for _ in range(draws))
    values = [statistic(np.concatenate([rows[patient] for patient in sample])) for sample in drawn]
    defined = [value for value in values if value is not None]
    if len(defined) < (draws + 1) // 2:
        return None
    low, high = np.quantile(defined, tails)
    method = f"bootstrap of {names.size} patients, {len(defined)} of {draws} draws defined"
    return Interval(float(low), float(high), level=level, method=method)


def check_fields(positives: ArrayLike, totals: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the counts per field as whole numbers, or say why they are none."""
    positive, total = np.asarray(positives), np.asarray(totals)
    sound = positive.ndim == 1 and positive.shape == total.shape
    if sound and positive.size:
        sound = positive.dtype.kind in "iu" and total.dtype.kind in "iu"
        sound = sound and bool(np.all((positive >= 0) & (positive <= total)))
    if not sound:
        raise InvalidTableError(
            f"fields with shapes {positive.shape} and {total.shape} are not counts of positive among all",
            "Give two lists of whole numbers of one length, with 0 <= positive <= total in each field.",
        )
    return positive.astype(np.int64), total.astype(np.int64)


def _tails(draws: int, level: float) -> tuple[float, float]:
    """Return the two quantiles that bound a percentile interval, after checking the settings."""
    normal_quantile(level)
    if draws < 1:
        raise SettingsError(f"{draws} bootstrap draws", "Use at least 1; 2000 is usual.")
    return (1 - level) / 2, (1 + level) / 2
