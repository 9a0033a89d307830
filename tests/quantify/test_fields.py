"""Counting nuclei by square field."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import count_by_field


def test_count_by_field_has_half_open_squares() -> None:
    x = [0.0, 499.9, 500.0, 10.0, -0.1]
    y = [0.0, 0.0, 0.0, 500.0, 0.0]
    fields = count_by_field(x, y, [True, False, True, True, False])
    # row 0: column -1 (0/1), 0 (1/2), 1 (1/1); row 1: column 0 (1/1)
    assert fields.totals.tolist() == [1, 2, 1, 1]
    assert fields.positives.tolist() == [0, 1, 1, 1]


@given(st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_count_by_field_counts_each_nucleus_once_in_any_order(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y, positive = random.normal(0, 900, n), random.normal(0, 900, n), random.random(n) < 0.3
    order = random.permutation(n)
    fields, shuffled = count_by_field(x, y, positive), count_by_field(x[order], y[order], positive[order])
    assert fields.totals.sum() == n
    assert fields.positives.sum() == positive.sum()
    assert (fields.totals > 0).all()
    assert fields.totals.tolist() == shuffled.totals.tolist()
    assert fields.positives.tolist() == shuffled.positives.tolist()


def test_count_by_field_refuses_bad_columns() -> None:
    with pytest.raises(InvalidTableError):
        count_by_field([1.0, 2.0], [1.0], [True, False])
    with pytest.raises(InvalidTableError):
        count_by_field([float("nan")], [1.0], [True])
    with pytest.raises(InvalidTableError):
        count_by_field([1.0], [1.0], [0.7])
    with pytest.raises(SettingsError):
        count_by_field([1.0], [1.0], [True], side_um=0)
