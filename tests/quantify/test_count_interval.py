"""Exact intervals of counts hold what they promise."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import exact_interval, exact_lower_bound
from slidelab.quantify.count_interval import mean_count_interval, odds_interval, poisson_interval


@pytest.mark.parametrize(
    ("cells", "of", "low", "high"),
    [(5, 100, 1.64, 11.28), (10, 200, 2.42, 9.00), (0, 100, 0, 3.62), (100, 100, 96.38, 100)],
)
def test_exact_interval_is_the_table_of_ruemke(cells, of, low, high):
    interval = exact_interval(cells, of).times(100)
    assert (round(interval.low, 2), round(interval.high, 2)) == (low, high)
    assert interval.method == "Clopper-Pearson"


@given(st.integers(1, 400), st.data())
def test_exact_interval_holds_the_share_and_mirrors(trials, data):
    k = data.draw(st.integers(0, trials))
    interval, mirrored = exact_interval(k, trials), exact_interval(trials - k, trials)
    assert interval.low <= k / trials <= interval.high
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-9)


def test_exact_interval_solves_the_binomial_tails():
    from scipy.stats import binom

    interval = exact_interval(7, 40)
    assert binom.sf(6, 40, interval.low) == pytest.approx(0.025)
    assert binom.cdf(7, 40, interval.high) == pytest.approx(0.025)


@pytest.mark.parametrize("kept", [1, 10, 59, 200])
def test_lower_bound_without_a_miss_is_the_root_of_the_error(kept):
    assert exact_lower_bound(kept, kept) == pytest.approx(0.05 ** (1 / kept))


def test_lower_bound_is_one_sided_and_0_without_a_success():
    assert exact_lower_bound(95, 100) == pytest.approx(exact_interval(95, 100, level=0.9).low)
    assert exact_lower_bound(0, 5) == 0
    assert exact_lower_bound(5, 5, confidence=0.5) == pytest.approx(0.5 ** (1 / 5))


@pytest.mark.parametrize(("k", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_no_share_no_interval(k, n):
    with pytest.raises(InvalidTableError):
        exact_interval(k, n)
    with pytest.raises(InvalidTableError):
        exact_lower_bound(k, n)


def test_level_must_be_a_probability():
    with pytest.raises(SettingsError):
        exact_interval(1, 2, level=1)


def test_poisson_interval_of_nothing_ends_where_nothing_is_unlikely():
    interval = poisson_interval(0)
    assert interval.low == 0
    assert exp(-interval.high) == pytest.approx(0.025)
    assert round(poisson_interval(10).low, 3) == 4.795
    assert round(poisson_interval(10).high, 3) == 18.390


def test_mean_of_clumped_fields_is_less_sure_than_of_even_ones():
    even, clumped = mean_count_interval([5] * 10), mean_count_interval([0] * 5 + [10] * 5)
    assert clumped.low < even.low < 5 < even.high < clumped.high
    assert even.low == pytest.approx(poisson_interval(50).low / 10)


def test_mean_of_empty_fields_may_still_be_above_0():
    interval = mean_count_interval([0] * 10)
    assert (interval.low, round(interval.high, 3)) == (0, 0.369)


def test_mean_of_one_field_knows_chance_only():
    assert mean_count_interval([4]).high == pytest.approx(poisson_interval(4).high)


def test_mean_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        rate = random.gamma(4, 1, size=12)  # clumping: fields differ by more than chance
        interval = mean_count_interval(random.poisson(rate))
        held += interval.low <= 4 <= interval.high
    assert held / 300 >= 0.92


@pytest.mark.parametrize("counts", [[], [1.5], [-1], [[1, 2]]])
def test_no_counts_no_mean(counts):
    with pytest.raises(InvalidTableError):
        mean_count_interval(counts)


def test_odds_interval_holds_the_ratio():
    interval = odds_interval(60, 1000)
    assert interval.low < 0.06 < interval.high
    assert interval.high / interval.low < 1.8
