"""Object Dice and Hausdorff distance: worked examples, empty images, and no meaning in an object's number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slidelab.errors import InvalidTableError
from slidelab.quantify import object_dice, object_hausdorff


def line(*spans: tuple[int, int], length: int = 25) -> np.ndarray:
    """One row of pixels; span i (first and last pixel) is object i + 1."""
    labels = np.zeros((1, length), np.int32)
    for number, (first, last) in enumerate(spans, start=1):
        labels[0, first : last + 1] = number
    return labels


TRUTH = line((0, 9), (12, 21))
PREDICTED = line((0, 7), (12, 17), (18, 21))
EMPTY = line()


def test_worked_example_of_25_pixels() -> None:
    # truth: 16/18 and 12/16, equal areas; predictions of 8, 6 and 4 px: 16/18, 12/16, 8/14
    truth_side = (16 / 18 + 12 / 16) / 2
    predicted_side = (8 * 16 / 18 + 6 * 12 / 16 + 4 * 8 / 14) / 18
    assert object_dice(TRUTH, PREDICTED) == pytest.approx((truth_side + predicted_side) / 2)
    # farthest apart: 9-7, 21-17; and 7-9, 17-21, 18-12
    assert object_hausdorff(TRUTH, PREDICTED) == pytest.approx(
        ((2 + 4) / 2 + (8 * 2 + 6 * 4 + 4 * 6) / 18) / 2
    )


def test_equal_images_agree_wholly() -> None:
    assert object_dice(TRUTH, TRUTH) == 1.0
    assert object_hausdorff(TRUTH, TRUTH) == 0.0


def test_an_object_that_meets_none_counts_as_zero_and_by_its_nearest() -> None:
    assert object_dice(line((0, 4)), line((10, 14))) == 0.0
    assert object_hausdorff(line((0, 4)), line((10, 14))) == 10.0


def test_empty_images() -> None:
    assert object_dice(EMPTY, EMPTY) is None
    assert object_dice(TRUTH, EMPTY) == 0.0
    assert object_dice(EMPTY, TRUTH) == 0.0
    assert object_hausdorff(TRUTH, EMPTY) is None


def test_images_of_other_shapes_are_refused() -> None:
    with pytest.raises(InvalidTableError):
        object_dice(TRUTH, line(length=24))


small = arrays(np.int32, (6, 7), elements=st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(small, small)
def test_numbers_of_objects_mean_nothing_and_sides_may_be_swapped(one: np.ndarray, other: np.ndarray) -> None:
    renamed = np.array([0, 9, 40, 17])[one]
    for measure in (object_dice, object_hausdorff):
        assert measure(one, other) == pytest.approx(measure(other, one))
    assert object_hausdorff(one, one) in (None, 0.0)
    if len(np.unique(other)) == 2:  # with one partner there is no choice between equal ones
        assert object_dice(renamed, other) == pytest.approx(object_dice(one, other))
