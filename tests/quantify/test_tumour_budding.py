"""Tumour budding: grades, fields of microscopes, rounding, and what is a bud."""

from __future__ import annotations

from decimal import Decimal

import pytest

from slidelab.errors import InvalidTableError
from slidelab.quantify import (
    Flag,
    Status,
    TumourCluster,
    budding_factor,
    cluster_kind,
    colorectal_cutoffs,
    microscope_field_mm2,
    round_half_up,
    tumour_budding,
)


@pytest.mark.parametrize(
    ("buds", "grade"),
    [(0, "Bd1"), (4, "Bd1"), (5, "Bd2"), (9, "Bd2"), (10, "Bd3"), (11, "Bd3"), (400, "Bd3")],
)
@pytest.mark.parametrize("area_mm2", [None, 0.785, 0.7854])
def test_grades_of_the_reference_field(buds: int, grade: str, area_mm2: float | None) -> None:
    score = tumour_budding(buds, area_mm2=area_mm2)
    assert (score.category, score.value, score.numerator) == (grade, buds, buds)
    assert (score.status, score.flags) == (Status.OK, ())  # nothing was rounded


def test_worked_example_of_a_wider_field() -> None:
    score = tumour_budding(12, area_mm2=microscope_field_mm2(22, objective=20))
    assert score.value == pytest.approx(9.917, abs=0.001)  # kept raw
    assert round_half_up(score.value or 0, places=2) == Decimal("9.92")
    assert score.shown == "9.92 buds"
    assert score.category == "Bd3"
    assert (score.status, score.flags) == (Status.REVIEW, (Flag.BUDDING_NEAR_LIMIT,))


@pytest.mark.parametrize(
    ("field_number", "factor"),
    [
        (18, 0.810),
        (19, 0.903),
        (20, 1.000),
        (21, 1.103),
        (22, 1.210),
        (23, 1.323),
        (24, 1.440),
        (25, 1.563),
        (26, 1.690),
    ],
)
def test_factors_of_microscopes_are_the_published_ones(field_number: int, factor: float) -> None:
    area = microscope_field_mm2(field_number, objective=20)
    assert budding_factor(area) == pytest.approx(factor, abs=0.00051)  # 1.3225 for 23


@pytest.mark.parametrize(
    ("buds", "factor", "grade", "is_near"),
    [
        (9, 2.0, "Bd2", True),  # 4.5 rounds up
        (8, 2.0, "Bd1", False),  # 4 exactly
        (10, 2.0, "Bd2", False),  # 5 exactly
        (19, 2.0, "Bd3", True),  # 9.5
        (18, 2.0, "Bd2", False),
        (449, 100.0, "Bd1", True),  # 4.49
        (451, 100.0, "Bd2", True),
        (949, 100.0, "Bd2", True),
        (551, 100.0, "Bd2", False),
        (1001, 100.0, "Bd3", False),
        (399, 100.0, "Bd1", False),
    ],
)
def test_rounding_is_half_up_and_told_where_it_decides(
    buds: int, factor: float, grade: str, is_near: bool
) -> None:
    score = tumour_budding(buds, area_mm2=factor * colorectal_cutoffs().budding.field_mm2)
    assert score.category == grade
    assert (Flag.BUDDING_NEAR_LIMIT in score.flags) is is_near
    assert score.status is (Status.REVIEW if is_near else Status.OK)


def test_the_field_is_a_disc_of_half_a_millimetre() -> None:
    cutoffs = colorectal_cutoffs().budding
    assert round_half_up(cutoffs.field_mm2, places=3) == Decimal("0.785")
    assert cutoffs.field_mm2 == pytest.approx(microscope_field_mm2(20, objective=20))
    assert cutoffs.scan_fields == 10


@pytest.mark.parametrize(
    ("area_mm2", "status"),
    [(0.0, Status.NOT_ASSESSABLE), (0.389, Status.INSUFFICIENT), (0.39, Status.OK)],
)
def test_a_field_of_less_than_half_is_not_graded(area_mm2: float, status: Status) -> None:
    score = tumour_budding(20, area_mm2=area_mm2)
    assert score.status is status
    assert (score.category is not None) is status.allows_category
    assert (Flag.BUDDING_FIELD_SMALL in score.flags) is not status.allows_category


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (1, TumourCluster.BUD),
        (4, TumourCluster.BUD),
        (5, TumourCluster.POORLY_DIFFERENTIATED),
        (50, TumourCluster.POORLY_DIFFERENTIATED),
    ],
)
def test_a_bud_has_four_cells_at_most(cells: int, kind: TumourCluster) -> None:
    assert cluster_kind(cells) is kind


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(InvalidTableError):
        tumour_budding(-1)
    with pytest.raises(InvalidTableError):
        tumour_budding(1, area_mm2=-0.1)
    with pytest.raises(InvalidTableError):
        cluster_kind(0)
