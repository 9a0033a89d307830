"""Index against stain threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import count_by_threshold, index_by_threshold, index_curve


def test_index_by_threshold_by_hand() -> None:
    # >= .1: .1 .2 .2 .4 = 4 of 5; >= .2: 3 of 5; >= .3: 1 of 5; >= .5: none
    curve = index_by_threshold([0.05, 0.1, 0.2, 0.2, 0.4], [0.1, 0.2, 0.3, 0.5])
    assert curve is not None
    assert curve.tolist() == [80.0, 60.0, 20.0, 0.0]


@given(st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_curve_is_the_share_at_each_threshold_and_never_rises(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    density = random.integers(0, 40, n) / 32  # many on a threshold
    steps = np.arange(0, 1.5, 1 / 16)
    curve = index_by_threshold(density, steps)
    assert curve is not None
    assert curve.tolist() == pytest.approx([100 * np.mean(density >= step) for step in steps])
    assert (np.diff(curve) <= 0).all()


def test_counts_of_blocks_add_up() -> None:
    density = np.random.default_rng(3).random(1000)
    steps = np.linspace(0.05, 0.95, 19)
    parts = sum(count_by_threshold(block, thresholds=steps) for block in np.array_split(density, 7))
    assert parts.sum() == 1000
    np.testing.assert_array_equal(index_curve(parts), index_by_threshold(density, steps))


def test_no_nuclei_give_no_curve() -> None:
    assert index_by_threshold([], [0.1, 0.2]) is None


@pytest.mark.parametrize("thresholds", [[], [0.2, 0.1], [0.1, 0.1], [0.1, float("nan")], [float("nan")]])
def test_thresholds_must_rise(thresholds: list[float]) -> None:
    with pytest.raises(SettingsError):
        index_by_threshold([0.1], thresholds)


def test_unmeasured_nuclei_are_refused() -> None:
    with pytest.raises(InvalidTableError):
        index_by_threshold([0.1, float("nan")], [0.1])
