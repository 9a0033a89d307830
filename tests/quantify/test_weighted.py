"""Mean of fields and weighted global index."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError
from slidelab.quantify import (
    Flag,
    Status,
    mean_of_fields_index,
    pooled_index,
    weighted_index,
    weighted_standard_error,
)

AREAS = [0.5, 0.3, 0.1, 0.1]


def test_mean_of_fields_differs_from_pooled() -> None:
    # (10 + 20 + 40 + 6) / 4 = 19.0 %, pooled 19.2 %
    score = mean_of_fields_index([10, 40, 40, 6], [100, 200, 100, 100])
    assert (score.value, score.category) == (19.0, None)
    assert (score.numerator, score.denominator) == (96, 500)


def test_weighted_index_worked_example() -> None:
    # .5 * 2 + .3 * 10 + .1 * 30 + .1 * 60 = 1 + 3 + 3 + 6 = 13.0 %
    score = weighted_index([2, 10, 30, 60], [100] * 4, weights=AREAS)
    assert score.value == 13.0
    # unweighted: 102 / 400
    assert pooled_index([2, 10, 30, 60], [100] * 4).value == 25.5
    # 400 nuclei: a person should look
    assert (score.status, score.category) == (Status.REVIEW, "intermediate")


def test_weighted_standard_error_worked_example() -> None:
    # sqrt((.25*.0196 + .09*.09 + .01*.21 + .01*.24) / 100) = sqrt(.000175) = .01323
    error = weighted_standard_error([2, 10, 30, 60], [100] * 4, weights=AREAS)
    assert error == pytest.approx(1.32, abs=0.005)
    interval = weighted_index([2, 10, 30, 60], [100] * 4, weights=AREAS).interval
    assert interval is not None
    assert interval.low == pytest.approx(13 - 1.959964 * 1.3229, abs=1e-3)
    assert interval.high == pytest.approx(13 + 1.959964 * 1.3229, abs=1e-3)


def test_weighted_interval_is_cut_to_0_and_100() -> None:
    low = weighted_index([1, 0], [300, 300], weights=[0.5, 0.5]).interval
    high = weighted_index([299, 300], [300, 300], weights=[0.5, 0.5]).interval
    assert low is not None
    assert high is not None
    assert (low.low, high.high) == (0.0, 100.0)


def test_weighted_category_is_exact_where_floats_are_not() -> None:
    # .1 * 50 % + .9 * 0 = 5 % exactly, though the float .1 lies above a tenth
    score = weighted_index([350, 0], [700, 700], weights=[0.1, 0.9])
    assert (score.value, score.category) == (5.0, "low")
    assert weighted_index([351, 0], [700, 700], weights=[0.1, 0.9]).category == "intermediate"
    # .7 * 300/7 % + .3 * 0 = 30 % exactly, though the float .7 lies below seven tenths
    assert weighted_index([300, 0], [700, 700], weights=[0.7, 0.3]).category == "high"


def test_weights_of_thirds_are_accepted() -> None:
    score = weighted_index([10, 20, 30], [200] * 3, weights=[1 / 3] * 3)
    assert score.value == 10.0


def test_category_with_area_but_without_nuclei_cannot_be_assessed() -> None:
    score = weighted_index([10, 0], [500, 0], weights=[0.9, 0.1])
    assert (score.status, score.value, score.category) == (Status.NOT_ASSESSABLE, None, None)
    assert weighted_standard_error([10, 0], [500, 0], weights=[0.9, 0.1]) is None


def test_category_without_area_and_nuclei_does_no_harm() -> None:
    score = weighted_index([10, 0], [500, 0], weights=[1.0, 0.0])
    assert (score.value, score.category) == (2.0, "low")


def test_empty_fields_are_left_out_of_the_mean_and_flagged() -> None:
    score = mean_of_fields_index([10, 0, 30], [100, 0, 100])
    assert (score.value, score.flags) == (20.0, (Flag.EMPTY_FIELDS_LEFT_OUT,))


@pytest.mark.parametrize("totals", [[], [0, 0]])
def test_mean_of_no_fields_is_not_assessable(totals: list[int]) -> None:
    score = mean_of_fields_index([0] * len(totals), totals)
    assert (score.status, score.value) == (Status.NOT_ASSESSABLE, None)


@pytest.mark.parametrize("weights", [[0.5, 0.4], [0.5], [1.5, -0.5], [float("nan"), 1.0], [0.0, 0.0]])
def test_weighted_index_refuses_bad_weights(weights: list[float]) -> None:
    with pytest.raises(InvalidTableError):
        weighted_index([1, 2], [300, 300], weights=weights)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=12))
def test_mean_equals_pooled_where_all_fields_count_alike(positives: list[int]) -> None:
    totals = [100] * len(positives)
    mean = mean_of_fields_index(positives, totals)
    assert mean.value == pytest.approx(pooled_index(positives, totals).value)
    assert mean.interval is not None
    assert 0 <= mean.interval.low <= mean.interval.high <= 100
