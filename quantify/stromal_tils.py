"""Stromal TILs: share of the stroma's area that lymphocytes and plasma cells cover."""

from __future__ import annotations

from fractions import Fraction

from numpy.typing import ArrayLike

from ..errors import InvalidTableError
from .assessed_region import AssessedRegion
from .flags import Flag
from .immune_cutoffs import TILS, immune_cutoffs
from .outline_area import union_area_um2
from .score import Interval, Score

TILS_NAME = "Stromal TILs"
ROUNDED_NAME = "Stromal TILs, to the nearest 5"

TIL_RIM_UM = 2.0
"""Rim around a nucleus that stands for its cytoplasm, um: a project rule."""
ROUNDING_STEP = 5
"""Pathologists round to 5 or 10 percent."""

_RULE = "stils.area/1 (International TILs Working Group: Salgado 2015; nuclei grown by 2 um: project rule)"


def stromal_tils(
    lymphocyte_um2: float | None,
    stroma_um2: float | None,
    *,
    scheme: str = "til-figure",
    interval: Interval | None = None,
) -> Score:
    """Return stromal TILs, 100 x area under lymphocytes and plasma cells / area of stroma.

    It is a ratio of areas, not a share of cells, and an average of all stroma inside the invasive border:
    no hot spots.

    Parameters
    ----------
    lymphocyte_um2 : float or None
        Area of stroma that lymphocytes and plasma cells cover, each place once, um²; see
        ``lymphocyte_area_um2``.
    stroma_um2 : float or None
        Area of assessed stroma, um²; None where the resolution is unknown.
    scheme : str
        Cut-offs that name the category, an id in the packaged file of cut-offs.
    interval : Interval or None
        In percent, from ``bootstrap_index_interval`` on areas per field. Pixels are no independent trials,
        so without fields there is no interval.

    Returns
    -------
    Score
        In percent; numerator and denominator are the areas in whole um², from which value and category
        follow exactly. NOT_ASSESSABLE without stroma or areas; INSUFFICIENT and no category under 0.1 mm²;
        REVIEW under 1 mm².

    Raises
    ------
    InvalidTableError
        If an area is negative or more is covered than there is.
    SettingsError
        If there are no such cut-offs.
    """
    cutoffs = immune_cutoffs()
    bins = cutoffs.scheme(scheme, measure=TILS)
    known = lymphocyte_um2 is not None and stroma_um2 is not None
    covered, stroma = whole_um2(lymphocyte_um2 if known else 0), whole_um2(stroma_um2 if known else 0)
    if covered > stroma:
        raise InvalidTableError(
            f"{TILS_NAME}: {covered} um2 covered of {stroma} um2 of stroma",
            "Measure both within one stroma mask; see lymphocyte_area_um2.",
        )
    status = cutoffs.status_of_area(stroma)
    is_binned = status.allows_category
    return Score(
        name=TILS_NAME,
        value=100 * covered / stroma if stroma else None,
        unit="%",
        numerator=covered,
        denominator=stroma,
        interval=interval if stroma else None,
        status=status,
        category=bins.categorise(Fraction(100 * covered, stroma)) if is_binned else None,
        rule=f"{_RULE}; {bins.rule}",
        flags=_flags(known=known, stroma=stroma, is_official=not is_binned or bins.evidence == "guideline"),
    )


def rounded_tils(score: Score) -> Score:
    """Return stromal TILs as pathologists write them, to the nearest 5 percent, halves up.

    The category stays with the exact score: a rounded value must not decide one.
    """
    value = None
    if score.value is not None:
        # floor(100 n / (5 d) + 1/2) in whole numbers
        share, whole = 100 * score.numerator, ROUNDING_STEP * score.denominator
        value = float(ROUNDING_STEP * ((2 * share + whole) // (2 * whole)))
    return Score(
        name=ROUNDED_NAME,
        value=value,
        unit="%",
        numerator=score.numerator,
        denominator=score.denominator,
        interval=None,
        status=score.status,
        category=None,
        rule=f"{_RULE}; rounded to the nearest {ROUNDING_STEP}, halves up",
    )


def lymphocyte_area_um2(
    outlines_um: ArrayLike, *, stroma: AssessedRegion | None = None, pixel_um: float = 0.5
) -> float:
    """Return the area that lymphocytes and plasma cells cover, their nuclei grown by 2 um, um².

    Parameters
    ----------
    outlines_um : (N, V, 2) array
        Outlines of their nuclei, um; see ``union_area_um2``.
    stroma : AssessedRegion or None
        Only what lies in it counts, so that the share cannot exceed 100 %.
    pixel_um : float
        Side of a raster pixel, um.
    """
    return union_area_um2(outlines_um, dilation_um=TIL_RIM_UM, pixel_um=pixel_um, inside=stroma)


def whole_um2(area_um2: float | None) -> int:
    """Return an area in whole um², the evidence that a score stores; a negative area is an error."""
    if area_um2 is None or not 0 <= area_um2 < float("inf"):
        raise InvalidTableError(f"{area_um2} um2 is no area", "Give a finite area of 0 or more.")
    return round(area_um2)


def _flags(*, known: bool, stroma: int, is_official: bool) -> tuple[Flag, ...]:
    """Return the warnings of a TIL score."""
    if not known:
        return (Flag.RESOLUTION_UNKNOWN,)
    if not stroma:
        return (Flag.NO_STROMA,)
    return () if is_official else (Flag.BINS_NOT_OFFICIAL,)
