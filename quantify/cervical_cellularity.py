"""How many squamous cells a cervical preparation holds, estimated from fields or from analysed areas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import InvalidTableError, SettingsError
from .cervical_cutoffs import cervical_cutoffs
from .count_interval import checked_counts, mean_count_interval, poisson_interval, spread_of_total
from .score import Interval


@dataclass(frozen=True, slots=True)
class CellEstimate:
    """Estimated squamous cells of a whole preparation."""

    value: float
    interval: Interval
    """Of the number of cells; what fields and chance explain, not the detector's own error."""
    counted: int
    """Cells that were really counted."""
    is_enough: bool = True
    """False for fewer fields than an estimate needs."""


def preparation_area_mm2(preparation: str, *, smear_mm2: float | None = None) -> float | None:
    """Return the area that cells lie on: of the disc, or as measured on a conventional smear (None: unknown).

    Raises
    ------
    SettingsError
        If the area of a preparation with a disc of fixed size is given, or an area is not positive.
    """
    fixed = cervical_cutoffs().preparation(preparation).area_mm2
    if smear_mm2 is None:
        return fixed
    if fixed is not None or not 0 < smear_mm2 < np.inf:
        raise SettingsError(
            f"an area of {smear_mm2} mm² for {preparation}",
            "Give a positive one for conventional smears only.",
        )
    return smear_mm2


def squamous_cells_by_fields(
    counts: ArrayLike, *, preparation: str, field_mm2: float, smear_mm2: float | None = None
) -> CellEstimate:
    """Estimate the squamous cells of a preparation from fields: mean count x preparation area / field area.

    Parameters
    ----------
    counts : (F,) array of int
        Well preserved squamous cells of each field; 10 fields or more along a diameter through the centre.
    preparation : str
        Its id.
    field_mm2 : float
        Area of a field, for example ``microscope_field_mm2(22, objective=40)``.
    smear_mm2 : float, optional
        Area of cells on a conventional smear, which has no fixed size.

    Returns
    -------
    CellEstimate
        Not enough with fewer fields than 10.

    Raises
    ------
    SettingsError
        If an area is missing or makes no sense.
    """
    area = preparation_area_mm2(preparation, smear_mm2=smear_mm2)
    if area is None or not 0 < field_mm2 <= area:
        raise SettingsError(
            f"fields of {field_mm2} mm² on a {preparation} preparation of {area} mm²",
            "Give the area of a field, and of a conventional smear its own area too.",
        )
    numbers = checked_counts(counts)
    factor = area / field_mm2
    return CellEstimate(
        value=float(numbers.mean()) * factor,
        interval=mean_count_interval(numbers).times(factor),
        counted=int(numbers.sum()),
        is_enough=numbers.size >= cervical_cutoffs().adequacy.fields,
    )


def squamous_cells_by_area(
    counts: ArrayLike, areas_mm2: ArrayLike, *, preparation: str, smear_mm2: float | None = None
) -> CellEstimate:
    """Estimate the squamous cells of a preparation from the analysed parts of its slide.

    Parameters
    ----------
    counts, areas_mm2 : (B,) array
        Squamous cells, and analysed area in mm², of B blocks; empty blocks belong to them.
    preparation, smear_mm2
        See ``squamous_cells_by_fields``. A conventional smear without an area is taken as it was counted.

    Returns
    -------
    CellEstimate
        All cells scaled from the analysed area to the preparation; never scaled down, for where more than the
        disc was analysed all cells were counted. The interval is the wider of a ratio estimator's over the
        blocks and the exact Poisson one.

    Raises
    ------
    InvalidTableError
        If the columns differ in length, or no area was analysed.
    """
    numbers, areas = checked_counts(counts), np.asarray(areas_mm2, dtype=np.float64)
    sound = areas.shape == numbers.shape and bool(np.isfinite(areas).all()) and bool((areas >= 0).all())
    analysed = float(areas.sum()) if sound else 0.0
    if analysed <= 0:
        raise InvalidTableError(
            "counts of cells without analysed areas", "Give each block its area, mm²; it may be 0 of some."
        )
    area = preparation_area_mm2(preparation, smear_mm2=smear_mm2)
    total = int(numbers.sum())
    scale = 1.0 if area is None else max(1.0, area / analysed)
    reach = spread_of_total(numbers - areas * (total / analysed))
    chance = poisson_interval(total)
    low, high = max(0.0, min(chance.low, total - reach)), max(chance.high, total + reach)
    method = f"ratio estimator or exact Poisson, {numbers.size} blocks"
    return CellEstimate(total * scale, Interval(low * scale, high * scale, method=method), total)


def cells_per_field(cells: float, *, preparation: str, field_mm2: float) -> float:
    """Return the mean count per field that stands for so many cells on the whole preparation."""
    area = preparation_area_mm2(preparation)
    if area is None:
        raise SettingsError(f"{preparation} has no fixed area", "Only discs of fixed size have such a count.")
    return cells * field_mm2 / area


def count_for_adequacy(cells_by_kind: Mapping[str, int]) -> tuple[int, int]:
    """Return the mature squamous cells, and the cells of the transformation zone, of a count by kind.

    Endocervical and metaplastic cells never replace squamous ones; kinds of neither sort count for nothing.
    """
    limits = cervical_cutoffs().adequacy
    squamous = sum(cells_by_kind.get(kind, 0) for kind in limits.squamous_kinds)
    return squamous, sum(cells_by_kind.get(kind, 0) for kind in limits.transformation_zone_kinds)
