"""Tumour-stroma ratio: how much of an invasive tumour is stroma."""

from __future__ import annotations

from dataclasses import replace
from operator import index

from ..errors import InvalidTableError
from .colorectal_cutoffs import colorectal_cutoffs
from .colorectal_evidence import checked_mm2
from .flags import Flag
from .score import Score, Status, worst_status

STROMA_NAME = "Tumour-stroma ratio"
STROMA_HIGH = "stroma-high"
STROMA_LOW = "stroma-low"
SIDES = 4


def tumour_stroma_ratio(
    stroma_mm2: float, epithelium_mm2: float, *, tumour_sides: int | None = None
) -> Score:
    """Return the share of stroma in the most stroma-rich window of the invasive tumour.

    Parameters
    ----------
    stroma_mm2, epithelium_mm2 : float
        Stroma and tumour epithelium of a window of 3.14 mm² (2 mm wide), mm², without mucin, necrosis, lumen,
        muscle and vessels.
    tumour_sides : int, optional
        On how many of its four sides there are tumour cells; fewer than four ask for a look. None = not
        checked.

    Returns
    -------
    Score
        100 stroma / (stroma + tumour epithelium), percent; counts are whole um². "stroma-high" above 50 %,
        "stroma-low" at exactly 50 % and below. NOT_ASSESSABLE without either; INSUFFICIENT and no category
        under 0.1 mm² of both together; REVIEW under 1 mm².
    """
    cutoffs = colorectal_cutoffs().stroma
    stroma = round(checked_mm2(stroma_mm2) * 1e6)
    total = stroma + round(checked_mm2(epithelium_mm2) * 1e6)
    is_high = 100 * stroma > cutoffs.high_above_percent * total
    status = cutoffs.area.status_of(total)
    score = Score(
        name=STROMA_NAME,
        value=100 * stroma / total if total else None,
        unit="%",
        numerator=stroma,
        denominator=total,
        interval=None,
        status=status,
        category=(STROMA_HIGH if is_high else STROMA_LOW) if status.allows_category else None,
        rule=f"colorectal.tumour-stroma/1 ({cutoffs.source})",
    )
    return score if _has_all_sides(tumour_sides) else _at_edge(score)


def rounded_stroma_ratio(score: Score) -> Score:
    """Return the ratio as pathologists score it, to the nearest 10 percent, halves up.

    The category stays with the exact score: a rounded value must not decide one.
    """
    step = colorectal_cutoffs().stroma.step_percent
    value = None
    if score.value is not None:
        # floor(100 n / (10 d) + 1/2) in whole numbers
        share, whole = 100 * score.numerator, step * score.denominator
        value = float(step * ((2 * share + whole) // (2 * whole)))
    return replace(
        score,
        name=f"{STROMA_NAME}, to the nearest {step}",
        value=value,
        category=None,
        rule=f"{score.rule}; rounded to the nearest {step}, halves up",
        flags=(),
    )


def _has_all_sides(tumour_sides: int | None) -> bool:
    """Whether a window has tumour cells on all its sides, as far as anybody checked."""
    if tumour_sides is None:
        return True
    if not 0 <= index(tumour_sides) <= SIDES:
        raise InvalidTableError(f"tumour on {tumour_sides} sides of a window", "Give 0 to 4.")
    return tumour_sides == SIDES


def _at_edge(score: Score) -> Score:
    """Return the score of a window at the tumour's edge: for a person to look at."""
    return replace(
        score,
        status=worst_status(score.status, Status.REVIEW),
        flags=(*score.flags, Flag.STROMA_FIELD_AT_EDGE),
    )
