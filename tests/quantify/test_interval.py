"""Wilson and bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import slidelab.quantify.interval as interval_module
from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import bootstrap_by_patient, bootstrap_index_interval, wilson_interval


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # z² = 3.841459; 120/500: centre (.24 + .003841)/1.007683 = .241983, half .037345
        (120, 500, 20.46, 27.93),
        (25, 500, 3.41, 7.28),
        (150, 500, 26.15, 34.16),
        (0, 100, 0.0, 3.70),  # high = z²/n / (1 + z²/n) = .0384146 / 1.0384146
        (96, 120, 72.0, 86.2),
        (200, 200, 98.1, 100.0),
    ],
)
def test_wilson_interval_has_the_worked_ends(k: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(k, n).times(100)
    places = 0.05 if n in (120, 200) else 0.005
    assert interval.low == pytest.approx(low, abs=places)
    assert interval.high == pytest.approx(high, abs=places)


@given(st.integers(1, 10**7), st.data())
def test_wilson_interval_holds_the_share_and_stays_in_range(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    interval = wilson_interval(k, n)
    assert 0 <= interval.low <= k / n <= interval.high <= 1


@given(st.integers(1, 10**5), st.data())
def test_wilson_interval_rises_with_the_count(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n - 1))
    lower, upper = wilson_interval(k, n), wilson_interval(k + 1, n)
    assert lower.low < upper.low
    assert lower.high < upper.high


@given(st.integers(1, 1000), st.data())
def test_wilson_interval_mirrors(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    a, b = wilson_interval(k, n), wilson_interval(n - k, n)
    assert a.low == pytest.approx(1 - b.high, abs=1e-12)


@given(st.integers(1, 1000), st.data())
def test_wilson_interval_narrows_with_more_of_the_same(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    few, many = wilson_interval(k, n), wilson_interval(10 * k, 10 * n)
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize(("k", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_what_is_no_share(k: int, n: int) -> None:
    with pytest.raises(InvalidTableError):
        wilson_interval(k, n)


def test_wilson_interval_refuses_a_level_outside_0_to_1() -> None:
    with pytest.raises(SettingsError):
        wilson_interval(1, 2, level=95)


def test_bootstrap_is_reproducible_and_blind_to_field_order() -> None:
    positives, totals = np.arange(60) % 17, np.arange(60) + 40
    order = np.random.default_rng(0).permutation(60)
    first = bootstrap_index_interval(positives, totals)
    assert first == bootstrap_index_interval(positives, totals)
    assert first == bootstrap_index_interval(positives[order], totals[order])
    assert first != bootstrap_index_interval(positives, totals, seed=1)


def test_bootstrap_does_not_depend_on_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    positives, totals = np.arange(50), np.full(50, 60)
    whole = bootstrap_index_interval(positives, totals, draws=300)
    monkeypatch.setattr(interval_module, "_CHUNK", 170)
    assert bootstrap_index_interval(positives, totals, draws=300) == whole


def test_bootstrap_of_equal_fields_has_no_width() -> None:
    interval = bootstrap_index_interval([20] * 8, [100] * 8)
    assert interval is not None
    assert interval.low == interval.high == pytest.approx(20)


def test_bootstrap_is_wider_than_wilson_where_nuclei_cluster() -> None:
    # half of the fields at 10 %, half at 50 %: 20 fields of 100, pooled 600/2000 = 30 %
    interval = bootstrap_index_interval([10, 50] * 10, [100] * 20)
    wilson = wilson_interval(600, 2000).times(100)
    assert interval is not None
    assert interval.low < wilson.low < 30 < wilson.high < interval.high
    # a draw holds Binomial(20, 1/2) hot fields, within 6 and 14 for 95 %: 10 + 40 * 6 / 20 = 22, and 38
    assert (interval.low, interval.high) == pytest.approx((22, 38), abs=2)


def test_bootstrap_leaves_empty_fields_out() -> None:
    full = bootstrap_index_interval([10, 40, 6], [100, 100, 100])
    assert bootstrap_index_interval([10, 0, 40, 6, 0], [100, 0, 100, 100, 0]) == full


@pytest.mark.parametrize("totals", [[], [100], [100, 0], [0, 0]])
def test_bootstrap_needs_two_fields(totals: list[int]) -> None:
    assert bootstrap_index_interval([0] * len(totals), totals) is None


@pytest.mark.parametrize(
    ("positives", "totals"), [([5], [4]), ([-1], [4]), ([1, 2], [4]), ([0.5, 1.0], [4.0, 4.0])]
)
def test_bootstrap_refuses_what_are_no_counts(positives: list[float], totals: list[float]) -> None:
    with pytest.raises(InvalidTableError):
        bootstrap_index_interval(positives, totals)


def test_bootstrap_refuses_no_draws() -> None:
    with pytest.raises(SettingsError):
        bootstrap_index_interval([1, 2], [3, 4], draws=0)


def test_patient_bootstrap_keeps_a_patients_rows_together() -> None:
    patients = np.array(["a", "b", "a", "c", "b", "a"])

    def share_of_split_patients(rows: np.ndarray) -> float:
        names, counts = np.unique(patients[rows], return_counts=True)
        size = {"a": 3, "b": 2, "c": 1}
        return float(any(count % size[name] for name, count in zip(names, counts, strict=True)))

    interval = bootstrap_by_patient(share_of_split_patients, patients, draws=200)
    assert interval is not None
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_patient_bootstrap_is_wider_than_one_by_row_for_repeated_rows() -> None:
    values = np.repeat([1.0, 5.0, 2.0, 8.0, 3.0, 6.0], 10)

    def mean(rows: np.ndarray) -> float:
        return float(values[rows].mean())

    by_patient = bootstrap_by_patient(mean, np.repeat(np.arange(6), 10))
    by_row = bootstrap_by_patient(mean, np.arange(60))
    assert by_patient is not None
    assert by_row is not None
    assert by_patient.high - by_patient.low > 2 * (by_row.high - by_row.low)


def test_patient_bootstrap_gives_up_where_the_statistic_is_mostly_undefined() -> None:
    assert bootstrap_by_patient(lambda rows: None, [1, 2, 3], draws=20) is None
    assert bootstrap_by_patient(lambda rows: 1.0, [1, 1, 1], draws=20) is None
