"""Tumour budding by the international consensus of 2016: buds in a field of 0.785 mm²."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from operator import index

from ..errors import InvalidTableError
from .colorectal_cutoffs import BuddingCutoffs, colorectal_cutoffs
from .colorectal_evidence import checked_mm2
from .cutoffs import band_of
from .flags import Flag
from .rounding import round_half_up
from .score import Score, Status

BUDDING_NAME = "Tumour budding"
BUDS_UNIT = "buds"

_SAME_FIELD_MM2 = 0.001
"""An area this near to the reference field is that field: sources write it as 0.785."""


class TumourCluster(StrEnum):
    """What tumour cells that form no gland are called."""

    BUD = "bud"
    POORLY_DIFFERENTIATED = "poorly differentiated cluster"


def cluster_kind(cells: int) -> TumourCluster:
    """Return what a group of tumour cells without a gland is: a bud of 1-4 cells, or a cluster from 5."""
    count = index(cells)
    if count < 1:
        raise InvalidTableError(f"a group of {count} tumour cells", "Give 1 or more.")
    is_bud = count <= colorectal_cutoffs().budding.bud_cells_max
    return TumourCluster.BUD if is_bud else TumourCluster.POORLY_DIFFERENTIATED


def tumour_budding(buds: int, *, area_mm2: float | None = None) -> Score:
    """Return the buds of the densest field, in 0.785 mm², with their grade.

    Parameters
    ----------
    buds : int
        Counted in that field, at the invasive front.
    area_mm2 : float, optional
        Area of the field. By default, and digitally always, a disc of 0.785 mm²; a microscope's field is
        larger or smaller (see ``microscope_field_mm2`` at 20x) and its count is divided by the ratio.

    Returns
    -------
    Score
        Buds per 0.785 mm², unrounded, with the count and the area in whole um². The grade, Bd1 (0-4), Bd2
        (5-9) or Bd3 (10 and more), is that of the number rounded half up. REVIEW where the rounding decides
        it: between 4 and 5, and between 9 and 10. NOT_ASSESSABLE without a field; INSUFFICIENT and no grade
        under half a field.
    """
    cutoffs = colorectal_cutoffs().budding
    count = index(buds)
    if count < 0:
        raise InvalidTableError(f"{count} buds", "Counts cannot be negative.")
    area = cutoffs.field_mm2 if area_mm2 is None else checked_mm2(area_mm2)
    area_um2 = round(area * 1e6)
    value = count / budding_factor(area) if area_um2 else None
    is_near = value is not None and _rounding_decides(value, cutoffs)
    status = _status(area_um2, cutoffs, is_near=is_near)
    grade = band_of(cutoffs.grades, Fraction(round_half_up(value or 0)))
    flags = {
        Flag.BUDDING_NEAR_LIMIT: is_near and status.allows_category,
        Flag.BUDDING_FIELD_SMALL: status in (Status.INSUFFICIENT, Status.NOT_ASSESSABLE),
    }
    return Score(
        name=BUDDING_NAME,
        value=value,
        unit=BUDS_UNIT,
        numerator=count,
        denominator=area_um2,
        interval=None,
        status=status,
        category=grade if status.allows_category else None,
        rule=f"colorectal.budding/1 ({cutoffs.source})",
        flags=tuple(flag for flag, holds in flags.items() if holds),
    )


def budding_factor(area_mm2: float) -> float:
    """Return what a count in a field of this area is divided by: its area in fields of 0.785 mm²."""
    reference = colorectal_cutoffs().budding.field_mm2
    return 1.0 if abs(area_mm2 - reference) <= _SAME_FIELD_MM2 else area_mm2 / reference


def _rounding_decides(value: float, cutoffs: BuddingCutoffs) -> bool:
    """Whether a number rounded down would be of another grade than rounded up."""
    down = int(value)
    up = down if value == down else down + 1
    return band_of(cutoffs.grades, Fraction(down)) != band_of(cutoffs.grades, Fraction(up))


def _status(area_um2: int, cutoffs: BuddingCutoffs, *, is_near: bool) -> Status:
    """Return what the field allows."""
    if not area_um2:
        return Status.NOT_ASSESSABLE
    if area_um2 < cutoffs.insufficient_below_um2:
        return Status.INSUFFICIENT
    return Status.REVIEW if is_near else Status.OK
