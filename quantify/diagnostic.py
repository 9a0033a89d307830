"""How well a test tells ill from well: sensitivity, specificity and the area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InvalidTableError
from .interval import normal_quantile, wilson_interval
from .score import Interval


@dataclass(frozen=True, slots=True)
class Share:
    """A share of cases with its Wilson interval, both of 1."""

    value: float | None
    """None without cases."""
    interval: Interval | None
    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Sensitivity and specificity at one threshold, which must have been fixed beforehand."""

    sensitivity: Share
    """Of the ill, the share called ill."""
    specificity: Share
    """Of the well, the share called well."""


@dataclass(frozen=True, slots=True)
class RocArea:
    """Area under the ROC curve with DeLong's variance."""

    value: float
    """0-1; 0.5 is chance."""
    variance: float | None
    """None with under two cases of a class."""
    interval: Interval | None
    """value ± 1.96 standard errors, cut to 0-1."""
    logit_interval: Interval | None
    """Made on the logit scale: better for few cases; None also where the area is 0 or 1."""


def sensitivity_specificity(truth: ArrayLike, called: ArrayLike) -> Accuracy:
    """Return sensitivity and specificity with Wilson 95 % intervals.

    Parameters
    ----------
    truth, called : (N,) array of bool
        Whether each case is ill, and whether the test calls it ill.

    Returns
    -------
    Accuracy
        A share without cases has value None.

    Raises
    ------
    InvalidTableError
        If the lists differ in length or are not true/false.
    """
    ill, positive = np.asarray(truth), np.asarray(called)
    if ill.ndim != 1 or ill.shape != positive.shape or not (_is_bool(ill) and _is_bool(positive)):
        raise InvalidTableError(
            f"truth {ill.dtype}{ill.shape} and calls {positive.dtype}{positive.shape}",
            "Give true or false for each case.",
        )
    true_positives, true_negatives = int((ill & positive).sum()), int((~ill & ~positive).sum())
    return Accuracy(_share(true_positives, int(ill.sum())), _share(true_negatives, int((~ill).sum())))


def roc_area(ill: ArrayLike, well: ArrayLike, *, level: float = 0.95) -> RocArea | None:
    """Return the area under the ROC curve: the chance that an ill case scores higher than a well one.

    Parameters
    ----------
    ill, well : (M,) and (N,) array
        Scores of the cases of each class; a tie of two counts one half.
    level : float
        Confidence level, 0-1.

    Returns
    -------
    RocArea or None
        None unless both classes have cases.

    Raises
    ------
    InvalidTableError
        If a score is NaN.

    Notes
    -----
    Time grows with (M + N) log (M + N); no M x N table is made.

    References
    ----------
    .. [1] DeLong ER, DeLong DM, Clarke-Pearson DL, Comparing the areas under two or more correlated ROC
       curves, Biometrics 1988, 44:837.
    """
    high, low = np.sort(np.asarray(ill, dtype=np.float64)), np.sort(np.asarray(well, dtype=np.float64))
    if high.ndim != 1 or low.ndim != 1 or np.isnan(high).any() or np.isnan(low).any():
        raise InvalidTableError("scores that are NaN or no lists", "Give one number per case.")
    if high.size == 0 or low.size == 0:
        return None
    beaten = (np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")) / (2 * low.size)
    beaten_by = 1 - (np.searchsorted(high, low, "left") + np.searchsorted(high, low, "right")) / (
        2 * high.size
    )
    area = float(beaten.mean())
    if min(high.size, low.size) < 2:
        return RocArea(area, None, None, None)
    variance = float(beaten.var(ddof=1) / high.size + beaten_by.var(ddof=1) / low.size)
    reach = normal_quantile(level) * sqrt(variance)
    interval = Interval(max(0.0, area - reach), min(1.0, area + reach), level=level, method="DeLong")
    return RocArea(area, variance, interval, _logit_interval(area, reach, level=level))


def _logit_interval(area: float, reach: float, *, level: float) -> Interval | None:
    """Return the interval made on the logit scale, where it cannot leave 0-1."""
    if not 0 < area < 1:
        return None
    middle, half = log(area / (1 - area)), reach / (area * (1 - area))
    low, high = (1 / (1 + exp(-end)) for end in (middle - half, middle + half))
    return Interval(low, high, level=level, method="DeLong, logit")


def _share(numerator: int, denominator: int) -> Share:
    """Return a share, without value where there is no case."""
    if denominator == 0:
        return Share(None, None, 0, 0)
    return Share(numerator / denominator, wilson_interval(numerator, denominator), numerator, denominator)


def _is_bool(column: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bool:
    """Whether a column is true/false."""
    return column.dtype == np.bool_
