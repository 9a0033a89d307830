"""Expected calibration error: a worked example, perfect and hopeless forecasts, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import calibration_error


def test_worked_example() -> None:
    # bin 0.8-0.9: mean 0.85, half right: gap 0.35; bin 0.5-0.6: mean 0.6, right: gap 0.4
    found = calibration_error([0.82, 0.88, 0.6], [True, False, True])
    assert found.expected == pytest.approx((2 * 0.35 + 0.4) / 3)
    assert found.greatest == pytest.approx(0.4)
    assert [one.cases for one in found.bins] == [0, 0, 0, 0, 0, 1, 0, 0, 2, 0]


def test_the_upper_end_belongs_to_a_bin_and_zero_to_the_first() -> None:
    found = calibration_error([0.0, 0.5, 1.0], [False, True, True], bins=2)
    assert [one.cases for one in found.bins] == [2, 1]
    assert found.bins[0].confidence == pytest.approx(0.25)
    assert found.bins[0].accuracy == pytest.approx(0.5)


def test_forecasts_that_come_true_as_often_as_they_say_have_almost_no_error() -> None:
    random = np.random.default_rng(3)
    confidence = random.uniform(0, 1, 20000)
    right = random.uniform(0, 1, 20000) < confidence
    found = calibration_error(confidence, right).expected
    assert found is not None
    assert found < 0.02


def test_being_sure_and_wrong_is_the_greatest_error() -> None:
    assert calibration_error([1.0, 1.0], [False, False]).expected == 1.0


def test_without_cases_nothing_is_said() -> None:
    found = calibration_error([], np.array([], bool))
    assert (found.expected, found.greatest) == (None, None)
    assert len(found.bins) == 10


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(InvalidTableError):
        calibration_error([1.2], [True])
    with pytest.raises(InvalidTableError):
        calibration_error([float("nan")], [True])
    with pytest.raises(InvalidTableError):
        calibration_error([0.2, 0.3], [True])
    with pytest.raises(SettingsError):
        calibration_error([0.2], [True], bins=0)
