"""Agreement between readers or methods: kappa, intraclass correlation, concordance, Bland-Altman."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError

_LANDIS_KOCH = ((0.20, "slight"), (0.40, "fair"), (0.60, "moderate"), (0.80, "substantial"))
_ROUNDING = 1e-12


def confusion_table(
    first: Sequence[object], second: Sequence[object], *, categories: Sequence[object]
) -> NDArray[np.int64]:
    """Count the pairs of two readers' categories.

    Parameters
    ----------
    first, second : (N,) sequence
        Category of each case by each reader.
    categories : (K,) sequence
        All categories in order; one that nobody used keeps its place.

    Returns
    -------
    (K, K) int64 array
        Rows: first reader; columns: second.

    Raises
    ------
    InvalidTableError
        If the readers saw different numbers of cases, or named an unknown category.
    """
    places = {category: place for place, category in enumerate(categories)}
    unknown = [name for name in (*first, *second) if name not in places]
    if len(first) != len(second) or unknown:
        raise InvalidTableError(
            f"{len(first)} and {len(second)} readings, of unknown category: {unknown[:3]}",
            "Give one reading per case and reader, and list every category.",
        )
    table = np.zeros((len(categories), len(categories)), dtype=np.int64)
    np.add.at(table, ([places[name] for name in first], [places[name] for name in second]), 1)
    return table


def cohen_kappa(table: ArrayLike, *, weights: Literal["linear", "quadratic"] | None = None) -> float | None:
    """Return Cohen's kappa, the agreement beyond chance of two readers.

    Parameters
    ----------
    table : (K, K) array of int
        Counts by first and second reader; see ``confusion_table``.
    weights : "linear", "quadratic" or None
        How much a disagreement by several steps weighs, for ordered categories: linear by steps, quadratic by
        their square. None: every disagreement weighs the same.

    Returns
    -------
    float or None
        1 - sum(w O) / sum(w E); 1 is full agreement. None where it is undefined: no cases, or both readers
        put all in one category, so that chance alone explains everything.

    Raises
    ------
    InvalidTableError
        If the table is not square or holds negative counts.
    SettingsError
        If ``weights`` is unknown.
    """
    observed = np.asarray(table, dtype=np.float64)
    if observed.ndim != 2 or observed.shape[0] != observed.shape[1] or not (observed >= 0).all():
        raise InvalidTableError(f"a table of shape {observed.shape} for kappa", "Give K x K counts.")
    steps = np.abs(np.subtract.outer(np.arange(len(observed)), np.arange(len(observed))))
    powers = {None: 0, "linear": 1, "quadratic": 2}
    if weights not in powers:
        raise SettingsError(f"kappa weights {weights!r}", "Choose linear, quadratic or None.")
    # dividing by (k - 1) to that power would cancel out
    weight = np.where(steps > 0, np.power(steps, powers[weights]), 0)
    total = observed.sum()
    by_chance = float((weight * np.outer(observed.sum(axis=1), observed.sum(axis=0))).sum())
    return 1 - float((weight * observed).sum() * total) / by_chance if by_chance else None


def kappa_in_words(kappa: float) -> str:
    """Return the words of Landis and Koch (Biometrics 1977, 33:159) for a kappa."""
    if kappa < 0:
        return "poor"
    return next((word for end, word in _LANDIS_KOCH if kappa <= end), "almost perfect")


def intraclass_correlation(
    ratings: ArrayLike, *, form: Literal["ICC(2,1)", "ICC(3,1)"] = "ICC(2,1)"
) -> float | None:
    """Return the intraclass correlation of single ratings on a continuous scale.

    Parameters
    ----------
    ratings : (N, K) array
        One row per case, one column per reader, any one unit; no gaps.
    form : "ICC(2,1)" or "ICC(3,1)"
        Two-way random, absolute agreement: readers stand for all readers and their offsets count. Or two-way
        mixed, consistency: these readers only, offsets forgiven.

    Returns
    -------
    float or None
        At most 1. None where nothing varies.

    Raises
    ------
    InvalidTableError
        With under two cases or readers, or with gaps.

    References
    ----------
    .. [1] Shrout PE, Fleiss JL, Intraclass correlations: uses in assessing rater reliability, Psychol Bull
       1979, 86:420.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise InvalidTableError(
            f"ratings of shape {table.shape}", "Give 2+ cases (rows), 2+ readers, no gaps."
        )
    if form not in ("ICC(2,1)", "ICC(3,1)"):
        raise SettingsError(f"intraclass correlation {form!r}", "Choose ICC(2,1) or ICC(3,1).")
    n, k = table.shape
    case, reader = table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    between_cases = k * float(((case - table.mean()) ** 2).sum()) / (n - 1)
    between_readers = n * float(((reader - table.mean()) ** 2).sum()) / (k - 1)
    residual = float(((table - case - reader + table.mean()) ** 2).sum()) / ((n - 1) * (k - 1))
    offsets = k * (between_readers - residual) / n if form == "ICC(2,1)" else 0.0
    whole = between_cases + (k - 1) * residual + offsets
    nothing = (_ROUNDING * float(np.abs(table).max())) ** 2  # what rounding leaves of a variance of zero
    return (between_cases - residual) / whole if whole > nothing else None


def concordance(x: ArrayLike, y: ArrayLike) -> float | None:
    """Return Lin's concordance correlation of two methods, 2 s_xy / (s_x² + s_y² + (mean x - mean y)²).

    Variances are divided by n, as Lin did. None without cases, or where all values are the same.
    """
    first, second = _paired(x, y)
    if first.size == 0 or np.ptp(np.concatenate((first, second))) == 0:
        return None
    dx, dy = first - first.mean(), second - second.mean()
    whole = (dx * dx).mean() + (dy * dy).mean() + (first.mean() - second.mean()) ** 2
    return float(2 * (dx * dy).mean() / whole)


@dataclass(frozen=True, slots=True)
class BlandAltman:
    """Difference of a method from a reference, in the unit of both."""

    bias: float
    """Mean of method minus reference."""
    deviation: float
    """Standard deviation of the differences (n - 1)."""
    low: float
    """Lower limit of agreement: bias - 1.96 deviations."""
    high: float
    pairs: int


def bland_altman(reference: ArrayLike, method: ArrayLike) -> BlandAltman | None:
    """Return bias and 95 % limits of agreement of a method against a reference; None under two pairs."""
    first, second = _paired(reference, method)
    if first.size < 2:
        return None
    difference = second - first
    bias, deviation = float(difference.mean()), float(difference.std(ddof=1))
    return BlandAltman(bias, deviation, bias - 1.96 * deviation, bias + 1.96 * deviation, pairs=first.size)


def mean_absolute_error(reference: ArrayLike, method: ArrayLike) -> float | None:
    """Return the mean absolute difference of a method from a reference, in their unit; None without pairs."""
    first, second = _paired(reference, method)
    return float(np.abs(second - first).mean()) if first.size else None


def _paired(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two lists of finite numbers of one length."""
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    finite = bool(np.isfinite(first).all() and np.isfinite(second).all())
    if first.ndim != 1 or first.shape != second.shape or not finite:
        raise InvalidTableError(
            f"values of shapes {first.shape} and {second.shape} to compare", "Give one finite pair per case."
        )
    return first, second
