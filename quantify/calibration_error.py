"""Whether probabilities keep their word: of cases called with 80 %, about 80 % should be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError

DEFAULT_BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The cases whose confidence lies in one range."""

    low: float
    """Range of confidence, 0-1; the upper end belongs to it."""
    high: float
    cases: int
    confidence: float | None
    """Mean confidence, None without cases."""
    accuracy: float | None
    """Share that was right, None without cases."""


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """How far confidence lies from what comes true."""

    expected: float | None
    """Expected calibration error (ECE): mean gap of the bins, weighted by their cases, 0-1; None without
    cases."""
    greatest: float | None
    """Gap of the worst bin."""
    bins: tuple[ReliabilityBin, ...]
    """For a reliability diagram."""


def calibration_error(
    confidence: ArrayLike, right: ArrayLike, *, bins: int = DEFAULT_BINS
) -> CalibrationError:
    """Return the expected calibration error over bins of equal width.

    Parameters
    ----------
    confidence : (N,) array
        Probability that was given to each call, 0-1.
    right : (N,) bool array
        Whether the call was right.
    bins : int
        How many bins.

    Raises
    ------
    InvalidTableError
        If the lists differ in length, or a probability is none.
    SettingsError
        With no bin.

    Notes
    -----
    With few cases per bin the error is biased upwards: a perfect forecast does not reach 0.

    References
    ----------
    .. [1] Guo C, Pleiss G, Sun Y, Weinberger KQ, On calibration of modern neural networks, ICML 2017.
    """
    if bins < 1:
        raise SettingsError(f"{bins} bins", "Use at least 1; 10 is usual.")
    given, correct = _checked(confidence, right)
    place = np.clip(np.ceil(given * bins).astype(int) - 1, 0, bins - 1)
    cases = np.bincount(place, minlength=bins)
    sums = np.bincount(place, weights=given, minlength=bins)
    hits = np.bincount(place, weights=correct, minlength=bins)
    table = tuple(
        ReliabilityBin(
            number / bins,
            (number + 1) / bins,
            int(count),
            float(sums[number] / count) if count else None,
            float(hits[number] / count) if count else None,
        )
        for number, count in enumerate(cases)
    )
    if not given.size:
        return CalibrationError(None, None, table)
    filled = cases > 0
    gaps = np.abs(sums[filled] - hits[filled]) / cases[filled]
    return CalibrationError(float((gaps * cases[filled]).sum() / given.size), float(gaps.max()), table)


def _checked(confidence: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both lists as numbers."""
    given, correct = np.asarray(confidence, np.float64), np.asarray(right)
    sound = given.ndim == 1 and given.shape == correct.shape
    sound = sound and (correct.dtype == np.bool_ or not correct.size)
    if not sound or not bool(((given >= 0) & (given <= 1)).all()):
        raise InvalidTableError(
            f"confidences {given.dtype}{given.shape} and outcomes {correct.dtype}{correct.shape}",
            "Give one probability, 0-1, and true or false for each case.",
        )
    return given, correct.astype(np.float64)
