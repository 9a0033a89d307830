"""Tumour-stroma ratio: the cut-off to the um2, rounding, floors, and windows at the edge."""

from __future__ import annotations

from decimal import Decimal

import pytest

from slidelab.errors import InvalidTableError
from slidelab.quantify import (
    Flag,
    Status,
    colorectal_cutoffs,
    round_half_up,
    rounded_stroma_ratio,
    tumour_stroma_ratio,
)


@pytest.mark.parametrize(
    ("stroma", "epithelium", "category"),
    [
        (1.5, 1.5, "stroma-low"),  # 50.0 %
        (1.503, 1.497, "stroma-high"),  # 50.1 %
        (1.500001, 1.5, "stroma-high"),
        (1.5, 1.500001, "stroma-low"),
        (0.0, 3.0, "stroma-low"),
        (3.0, 0.0, "stroma-high"),
    ],
)
def test_exactly_half_is_low(stroma: float, epithelium: float, category: str) -> None:
    score = tumour_stroma_ratio(stroma, epithelium)
    assert (score.category, score.status) == (category, Status.OK)
    assert score.value == pytest.approx(100 * stroma / (stroma + epithelium))


def test_worked_values() -> None:
    assert tumour_stroma_ratio(1.5, 1.5).value == 50
    assert tumour_stroma_ratio(1.503, 1.497).value == pytest.approx(50.1)


@pytest.mark.parametrize(
    ("stroma", "rounded"), [(0.0, 0), (0.149, 0), (0.15, 10), (1.35, 50), (1.349, 40), (1.65, 60), (3.0, 100)]
)
def test_rounding_to_tens_is_half_up_and_decides_nothing(stroma: float, rounded: int) -> None:
    exact = tumour_stroma_ratio(stroma, 3.0 - stroma)
    shown = rounded_stroma_ratio(exact)
    assert (shown.value, shown.category, shown.status) == (rounded, None, exact.status)


@pytest.mark.parametrize(
    ("total_mm2", "status"),
    [
        (0.0, Status.NOT_ASSESSABLE),
        (0.099, Status.INSUFFICIENT),
        (0.1, Status.REVIEW),
        (0.999, Status.REVIEW),
        (1.0, Status.OK),
    ],
)
def test_little_tumour_has_no_category(total_mm2: float, status: Status) -> None:
    score = tumour_stroma_ratio(total_mm2, 0.0)
    assert score.status is status
    assert (score.category is not None) is status.allows_category
    assert (rounded_stroma_ratio(score).value is None) is (total_mm2 == 0)


@pytest.mark.parametrize(("sides", "is_inside"), [(0, False), (3, False), (4, True), (None, True)])
def test_tumour_has_to_lie_on_all_four_sides(sides: int | None, is_inside: bool) -> None:
    score = tumour_stroma_ratio(1.0, 2.0, tumour_sides=sides)
    assert (Flag.STROMA_FIELD_AT_EDGE not in score.flags) is is_inside
    assert score.status is (Status.OK if is_inside else Status.REVIEW)


def test_the_window_is_two_millimetres_wide() -> None:
    assert round_half_up(colorectal_cutoffs().stroma.window_mm2, places=2) == Decimal("3.14")


def test_impossible_input_is_refused() -> None:
    for stroma, epithelium, sides in ((-1, 1, 4), (1, -1, 4), (1, float("nan"), 4), (1, 1, 5), (1, 1, -1)):
        with pytest.raises(InvalidTableError):
            tumour_stroma_ratio(stroma, epithelium, tumour_sides=sides)
