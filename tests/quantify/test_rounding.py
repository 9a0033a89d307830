"""Display rounds half up, in decimals as people read them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError
from slidelab.quantify import round_half_up, round_to_step, show_value


@pytest.mark.parametrize(
    ("value", "places", "expected"),
    [
        (0.5, 0, "1"),  # round() gives 0
        (2.5, 0, "3"),  # round() gives 2
        (12.5, 0, "13"),
        (1.15, 1, "1.2"),  # its binary value lies below 1.15
        (2.675, 2, "2.68"),
        (0.05, 1, "0.1"),
        (7, 0, "7"),
        (0.685, 2, "0.69"),
    ],
)
def test_round_half_up_rounds_halves_up(value: float, places: int, expected: str) -> None:
    assert str(round_half_up(value, places=places)) == expected


@given(st.integers(1, 100_000), st.data())
def test_percentages_of_counts_round_as_exact_fractions_do(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    exact = Fraction(100 * k, n)
    tenths = (exact * 10 + Fraction(1, 2)).__floor__()  # half up on the exact fraction
    assert round_half_up(100 * k / n, places=1) == Decimal(tenths) / 10


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_round_half_up_refuses_what_is_no_number(value: float) -> None:
    with pytest.raises(InvalidTableError):
        round_half_up(value)


@pytest.mark.parametrize(("value", "expected"), [(12.5, 15), (12.4, 10), (2.5, 5), (0.0, 0), (97.5, 100)])
def test_round_to_step_finds_the_nearest_five(value: float, expected: int) -> None:
    assert round_to_step(value, step=5) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (24.0, "%", "24"),
        (14.5, "%", "15"),
        (5.25, "%", "5.3"),
        (0.9, "%", "0.9"),
        (9.95, "%", "10.0"),  # decided on the unrounded value
        (10.0, "%", "10"),
        (0.0, "%", "0.0"),
        (12.5, "CPS", "13"),
        (1234.5, "cells/mm²", "1235"),
        (85.25, "µm", "85.3"),
        (0.685, "kappa", "0.69"),
    ],
)
def test_show_value_follows_the_unit(value: float, unit: str, expected: str) -> None:
    assert show_value(value, unit) == expected


def test_rounding_up_is_the_decimal_module_rule() -> None:
    assert round_half_up(1.005, places=2) == Decimal("1.005").quantize(Decimal("0.01"), ROUND_HALF_UP)
