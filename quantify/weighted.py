"""Ki-67 index of several fields or area categories: plain mean and weighted global."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isfinite, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError
from .cutoffs import ki67_cutoffs
from .flags import Flag
from .interval import check_fields, normal_quantile
from .ki67 import categorised
from .score import Interval, Score, Status

_MEAN_RULE = "ki67.mean-of-fields/1 (arithmetic mean of field indices)"
_WEIGHTED_RULE = "ki67.weighted-global/1 (IKWG: Leung 2016)"
_WEIGHT_TOLERANCE = 1e-6  # area shares come from divisions and need not add up to 1 to the last bit


def mean_of_fields_index(positives: ArrayLike, totals: ArrayLike) -> Score:
    """Return the mean of the fields' indices; equals the pooled index only when all fields count alike.

    Parameters
    ----------
    positives, totals : (F,) array of int
        Positive and all tumour nuclei of each field. Fields without nuclei are left out and flagged.

    Returns
    -------
    Score
        In percent, without category: the cut-offs are made for the pooled index.
    """
    positive, total = check_fields(positives, totals)
    held = total > 0
    score = _weighted(
        _parts(positive[held], total[held], [Fraction(1, int(held.sum()) or 1)] * int(held.sum())),
        name="Ki-67 labelling index, mean of fields",
        rule=_MEAN_RULE,
    )
    return score if held.all() else replace(score, flags=(Flag.EMPTY_FIELDS_LEFT_OUT,))


def weighted_index(
    positives: ArrayLike, totals: ArrayLike, *, weights: Sequence[float], scheme: str = "ikwg-2021"
) -> Score:
    """Return the weighted global index, sum of w_k 100 P_k / n_k over categories of tumour area.

    Parameters
    ----------
    positives, totals : (K,) array of int
        Positive and all tumour nuclei counted for each category (negligible, low, medium, high).
    weights : sequence of float
        Share of the tumour area in each category; they add up to 1.
    scheme : str
        Cut-offs that name the category.

    Returns
    -------
    Score
        In percent, with the interval value ± 1.96 SE cut to 0-100 and SE as in
        ``weighted_standard_error``. NOT_ASSESSABLE if a category with a share has no nuclei.

    Raises
    ------
    InvalidTableError
        If counts and weights do not fit, or the weights do not add up to 1.
    """
    parts = _weighted_parts(positives, totals, weights)
    score = _weighted(parts, name="Ki-67 labelling index, weighted global", rule=_WEIGHTED_RULE)
    return categorised(score, ki67_cutoffs().scheme(scheme), percent=_weighted_mean(parts))


def weighted_standard_error(
    positives: ArrayLike, totals: ArrayLike, *, weights: Sequence[float]
) -> float | None:
    """Return the standard error of ``weighted_index`` in percent: 100 sqrt(sum of w_k² p_k (1 - p_k) / n_k).

    None where a category with a share of the area has no nuclei.
    """
    return _standard_error(_weighted_parts(positives, totals, weights))


@dataclass(frozen=True, slots=True)
class _Part:
    """Counts of one field or area category, and its exact share."""

    positive: int
    total: int
    weight: Fraction

    @property
    def share(self) -> Fraction:
        """Exact share of positive nuclei."""
        return Fraction(self.positive, self.total)


def _weighted_parts(positives: ArrayLike, totals: ArrayLike, weights: Sequence[float]) -> list[_Part]:
    """Check the weights and make them exact, so that an index right on a cut-off falls on the right side."""
    positive, total = check_fields(positives, totals)
    shares = [float(weight) for weight in weights]
    if len(shares) != total.size or not all(isfinite(share) and share >= 0 for share in shares):
        raise InvalidTableError(
            f"weights {shares} for {total.size} categories", "Give one share 0-1 for each."
        )
    exact = [Fraction(repr(share)) for share in shares]
    whole = sum(exact, Fraction(0))
    if abs(whole - 1) > _WEIGHT_TOLERANCE:
        raise InvalidTableError(
            f"weights {shares} add up to {float(whole):g}", "Shares of the area add up to 1."
        )
    return _parts(positive, total, [weight / whole for weight in exact])


def _parts(positive: NDArray[np.int64], total: NDArray[np.int64], weights: Sequence[Fraction]) -> list[_Part]:
    """Join counts and shares as exact numbers."""
    counts = zip(positive.tolist(), total.tolist(), weights, strict=True)
    return [_Part(k, n, weight) for k, n, weight in counts]


def _weighted_mean(parts: list[_Part]) -> Fraction | None:
    """Return the exact weighted index in percent; None if a part with a share has no nuclei."""
    used = [part for part in parts if part.weight]
    if not used or any(part.total == 0 for part in used):
        return None
    return sum((100 * part.weight * part.share for part in used), Fraction(0))


def _standard_error(parts: list[_Part]) -> float | None:
    """Return the standard error of ``_weighted_mean`` in percent, parts being independent."""
    if _weighted_mean(parts) is None:
        return None
    used = [part for part in parts if part.weight]
    return 100 * sqrt(sum(part.weight**2 * part.share * (1 - part.share) / part.total for part in used))


def _weighted(parts: list[_Part], *, name: str, rule: str) -> Score:
    """Score a weighted mean with its normal interval, cut to 0-100."""
    total = sum(part.total for part in parts)
    score = Score(
        name=name,
        value=None,
        unit="%",
        numerator=sum(part.positive for part in parts),
        denominator=total,
        interval=None,
        status=Status.NOT_ASSESSABLE,
        category=None,
        rule=rule,
    )
    percent, error = _weighted_mean(parts), _standard_error(parts)
    if percent is None or error is None:
        return score
    value, reach = float(percent), normal_quantile(0.95) * error
    interval = Interval(max(0.0, value - reach), min(100.0, value + reach), method="normal, weighted")
    return replace(score, value=value, interval=interval, status=ki67_cutoffs().status_of(total))
