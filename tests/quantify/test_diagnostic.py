"""Sensitivity, specificity and ROC area against worked examples."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError
from slidelab.quantify import roc_area, sensitivity_specificity

ILL, WELL = [0.9, 0.8, 0.4], [0.7, 0.3, 0.2, 0.1]


def test_roc_area_worked_example() -> None:
    # pairs won: 4 + 4 + 3 of 12
    area = roc_area(ILL, WELL)
    assert area is not None
    assert area.value == pytest.approx(11 / 12)


def test_delong_variance_worked_example() -> None:
    # V10 = 1, 1, 3/4: s² = 1/48, over 3; V01 = 2/3, 1, 1, 1: s² = 1/36, over 4; 2/144
    area = roc_area(ILL, WELL)
    assert area is not None
    assert area.variance == pytest.approx(0.013889, abs=5e-7)
    assert area.interval is not None
    # 11/12 - 1.959964 * .117851 = .686; the upper end is cut at 1
    assert area.interval.low == pytest.approx(0.686, abs=5e-4)
    assert area.interval.high == 1


def test_logit_interval_stays_inside_without_cutting() -> None:
    area = roc_area(ILL, WELL)
    assert area is not None
    assert area.logit_interval is not None
    middle, half = log(11), 1.959964 * sqrt(2 / 144) / (11 / 144)
    assert area.logit_interval.low == pytest.approx(1 / (1 + exp(half - middle)), abs=1e-6)
    assert area.logit_interval.high == pytest.approx(1 / (1 + exp(-half - middle)), abs=1e-6)
    assert area.logit_interval.high < 1


def test_roc_area_counts_ties_half() -> None:
    area = roc_area([1, 1], [1, 1, 0, 2])
    # each ill case: two ties (1), one win, one loss: 2/4
    assert area is not None
    assert area.value == 0.5


def test_roc_area_needs_both_classes() -> None:
    assert roc_area([], [1.0]) is None
    assert roc_area([1.0], []) is None


def test_roc_area_of_one_case_has_no_interval() -> None:
    area = roc_area([1.0], [0.0, 2.0])
    assert area is not None
    assert (area.value, area.variance, area.interval) == (0.5, None, None)


def test_perfect_separation_has_no_logit_interval() -> None:
    area = roc_area([2, 3], [0, 1])
    assert area is not None
    assert (area.value, area.variance, area.logit_interval) == (1.0, 0.0, None)


@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=15), st.lists(st.integers(0, 6), min_size=2, max_size=15)
)
def test_roc_area_equals_the_full_table_of_pairs(ill: list[int], well: list[int]) -> None:
    difference = np.subtract.outer(np.array(ill), np.array(well))
    psi = (difference > 0) + 0.5 * (difference == 0)
    variance = psi.mean(axis=1).var(ddof=1) / len(ill) + psi.mean(axis=0).var(ddof=1) / len(well)
    area, mirrored = roc_area(ill, well), roc_area(well, ill)
    assert area is not None
    assert mirrored is not None
    assert area.value == pytest.approx(psi.mean())
    assert area.variance == pytest.approx(variance, abs=1e-12)
    assert mirrored.value == pytest.approx(1 - area.value)


def test_roc_area_refuses_nan() -> None:
    with pytest.raises(InvalidTableError):
        roc_area([float("nan")], [1.0])


def test_sensitivity_worked_example() -> None:
    truth = np.ones(120, dtype=bool)
    called = np.arange(120) < 96
    share = sensitivity_specificity(truth, called).sensitivity
    assert share.value == pytest.approx(0.8)
    assert share.interval is not None
    assert (round(share.interval.low, 3), round(share.interval.high, 3)) == (0.720, 0.862)


def test_specificity_of_200_of_200() -> None:
    accuracy = sensitivity_specificity(np.zeros(200, dtype=bool), np.zeros(200, dtype=bool))
    share = accuracy.specificity
    assert (share.value, share.numerator, share.denominator) == (1.0, 200, 200)
    assert share.interval is not None
    assert (round(share.interval.low, 3), share.interval.high) == (0.981, 1.0)
    # nobody is ill: no sensitivity rather than 0
    assert (accuracy.sensitivity.value, accuracy.sensitivity.interval) == (None, None)


def test_sensitivity_and_specificity_are_not_swapped() -> None:
    accuracy = sensitivity_specificity([True, True, True, False, False], [True, False, True, True, False])
    assert (accuracy.sensitivity.value, accuracy.specificity.value) == (2 / 3, 1 / 2)


def test_sensitivity_refuses_scores_and_unequal_lists() -> None:
    with pytest.raises(InvalidTableError):
        sensitivity_specificity([True, False], [0.7, 0.2])
    with pytest.raises(InvalidTableError):
        sensitivity_specificity([True, False], [True])
