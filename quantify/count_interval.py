"""Exact intervals of counts: Clopper-Pearson for a share, Garwood for a number, and a mean per field."""

from __future__ import annotations

from math import inf, sqrt
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError
from .interval import normal_quantile
from .score import Interval


def exact_interval(successes: int, trials: int, *, level: float = 0.95) -> Interval:
    """Return the exact binomial (Clopper-Pearson) interval of a share.

    Parameters
    ----------
    successes, trials : int
        Counts, 0 <= successes <= trials and trials >= 1.
    level : float
        Confidence level of the two-sided interval, 0-1.

    Returns
    -------
    Interval
        As shares of 1. Never too narrow for independent trials, often a little too wide.

    Raises
    ------
    InvalidTableError
        If the counts are no share.

    References
    ----------
    .. [1] Clopper CJ, Pearson ES, The use of confidence or fiducial limits illustrated in the case of the
       binomial, Biometrika 1934, 26:404.
    .. [2] Rümke CL, The statistically expected variability in differential leukocyte counting, 1979: the same
       limits as a table for blood smears.
    """
    from scipy.special import betaincinv

    normal_quantile(level)
    k, n = _checked_share(successes, trials)
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))
    return Interval(low, high, level=level, method="Clopper-Pearson")


def exact_lower_bound(successes: int, trials: int, *, confidence: float = 0.95) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a share; 0.95 after 59 of 59 at confidence 0.95."""
    from scipy.special import betaincinv

    normal_quantile(confidence)
    k, n = _checked_share(successes, trials)
    return 0.0 if k == 0 else float(betaincinv(k, n - k + 1, 1 - confidence))


def poisson_interval(count: int, *, level: float = 0.95) -> Interval:
    """Return the exact (Garwood) interval of the expected number behind a count; 0 gives 0-3.69."""
    from scipy.special import gammaincinv

    normal_quantile(level)
    k = index(count)
    if k < 0:
        raise InvalidTableError(f"a count of {k}", "Counts cannot be negative.")
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(gammaincinv(k, tail))
    return Interval(low, float(gammaincinv(k + 1, 1 - tail)), level=level, method="exact Poisson")


def mean_count_interval(counts: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return an interval of the mean count per field.

    Parameters
    ----------
    counts : (F,) array of int
        Objects in each of F >= 1 fields of one size.
    level : float
        Confidence level, 0-1.

    Returns
    -------
    Interval
        The wider end, on each side, of Student's interval (objects clump, so fields differ by more than
        chance) and of the exact Poisson one (few objects vary by chance alone, however alike the fields).
        One field gives the Poisson one.

    Raises
    ------
    InvalidTableError
        If there is no field, or a count is no whole number of 0 or more.
    """
    numbers = checked_counts(counts)
    fields, total = numbers.size, int(numbers.sum())
    chance = poisson_interval(total, level=level).times(1 / fields)
    reach = spread_of_total(numbers, level=level) / fields
    mean = total / fields
    return Interval(
        max(0.0, min(chance.low, mean - reach)),
        max(chance.high, mean + reach),
        level=level,
        method=f"Student or exact Poisson, {fields} fields",
    )


def spread_of_total(residuals: ArrayLike, *, level: float = 0.95) -> float:
    """Return half of Student's interval of a sum over fields, from what each field holds or deviates by.

    0 with fewer than two fields, which say nothing about how much fields differ.
    """
    from scipy.special import stdtrit

    each = np.asarray(residuals, dtype=np.float64)
    if each.size < 2:
        return 0.0
    quantile = float(stdtrit(each.size - 1, (1 + level) / 2))
    return quantile * sqrt(each.size * float(each.var(ddof=1)))


def checked_counts(counts: ArrayLike) -> NDArray[np.int64]:
    """Return counts per field as whole numbers, or say why they are none."""
    numbers = np.asarray(counts)
    if numbers.ndim != 1 or numbers.size == 0 or numbers.dtype.kind not in "iu" or numbers.min() < 0:
        raise InvalidTableError(
            f"{numbers.dtype} of shape {numbers.shape} are no counts per field",
            "Give one whole number of 0 or more for each field, and at least one field.",
        )
    return numbers.astype(np.int64)


def odds_interval(first: int, second: int, *, level: float = 0.95) -> Interval:
    """Return the exact interval of a ratio of two independent counts, ``first / second``; second >= 1.

    Given their sum the first count is binomial, so the ends are those of Clopper and Pearson, as odds.
    """
    share = exact_interval(first, first + second, level=level)
    high = share.high / (1 - share.high) if share.high < 1 else inf
    return Interval(share.low / (1 - share.low), high, level=level, method="Clopper-Pearson, as odds")


def _checked_share(successes: int, trials: int) -> tuple[int, int]:
    """Return two counts that make a share."""
    k, n = index(successes), index(trials)
    if not 0 <= k <= n or n == 0:
        raise InvalidTableError(
            f"{k} of {n} is no share", "Handle an empty denominator before asking for this."
        )
    return k, n
