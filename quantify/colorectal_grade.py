"""WHO grade of a colorectal adenocarcinoma: how much of the tumour forms glands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ..errors import InvalidTableError
from .assembly import with_flags
from .colorectal_cutoffs import colorectal_cutoffs
from .colorectal_evidence import checked_mm2
from .flags import Flag
from .score import Score, Status, worst_status

LOW_GRADE = "low grade"
HIGH_GRADE = "high grade"


@dataclass(frozen=True, slots=True)
class GlandFormation:
    """How much of a tumour, or of one window of it, forms glands."""

    gland_forming_mm2: float
    """Tumour epithelium that forms glands, mm²."""
    tumour_mm2: float
    """All viable tumour epithelium, mm²: no mucin, necrosis or lumen, and nothing of the invasive front, for
    buds and poorly differentiated clusters are not graded."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, checked_mm2(getattr(self, name)))
        if self.gland_forming_um2 > self.tumour_um2:
            raise InvalidTableError(
                f"{self.gland_forming_mm2} mm2 of glands in {self.tumour_mm2} mm2 of tumour",
                "Count gland-forming tumour within the tumour epithelium.",
            )

    @property
    def gland_forming_um2(self) -> int:
        """In whole um²."""
        return round(self.gland_forming_mm2 * 1e6)

    @property
    def tumour_um2(self) -> int:
        """In whole um²."""
        return round(self.tumour_mm2 * 1e6)

    @property
    def share(self) -> Fraction:
        """The exact share, 0-1, of an area that is not empty."""
        return Fraction(self.gland_forming_um2, self.tumour_um2)


def grade_adenocarcinoma(
    whole: GlandFormation, *, windows: Sequence[GlandFormation] = ()
) -> tuple[Score, ...]:
    """Return the WHO grade of the least differentiated window, which decides, and of the whole tumour.

    Parameters
    ----------
    whole : GlandFormation
        Of the whole tumour.
    windows : sequence of GlandFormation
        Of windows of 4 mm² that cover it. One with less than 0.1 mm² of tumour epithelium is passed over.

    Returns
    -------
    tuple of Score
        The lowest window, if any holds enough tumour, then the whole tumour. In percent, whole um² as counts;
        "low grade" from exactly 50 %, else "high grade". NOT_ASSESSABLE without tumour epithelium,
        INSUFFICIENT and no grade under 0.1 mm² of it, REVIEW under 1 mm² and where the two grades differ.
    """
    cutoffs = colorectal_cutoffs().grade
    overall = _grade_score(
        whole, name="WHO grade, whole tumour", status=cutoffs.area.status_of(whole.tumour_um2)
    )
    eligible = [window for window in windows if window.tumour_um2 >= cutoffs.window_floor_um2]
    if not eligible or not overall.status.allows_category:
        return (overall,)
    # of windows with one share the larger is the better founded
    least = min(eligible, key=lambda window: (window.share, -window.tumour_um2))
    lowest = _grade_score(
        least, name=f"WHO grade, lowest {_window_mm2():g} mm² window", status=overall.status
    )
    if lowest.category != overall.category:
        status = worst_status(lowest.status, Status.REVIEW)
        lowest = with_flags(replace(lowest, status=status), Flag.GRADE_VARIES)
    return lowest, overall


def grade_of_share(gland_forming: GlandFormation) -> str:
    """Return the grade of an area that is not empty: "low grade" from exactly 50 %."""
    is_low = 100 * gland_forming.share >= colorectal_cutoffs().grade.low_from_percent
    return LOW_GRADE if is_low else HIGH_GRADE


def _grade_score(part: GlandFormation, *, name: str, status: Status) -> Score:
    """Return the gland-forming share of a part of the tumour with its grade."""
    return Score(
        name=name,
        value=100 * part.gland_forming_um2 / part.tumour_um2 if part.tumour_um2 else None,
        unit="%",
        numerator=part.gland_forming_um2,
        denominator=part.tumour_um2,
        interval=None,
        status=status,
        category=grade_of_share(part) if status.allows_category else None,
        rule=f"colorectal.grade/1 ({colorectal_cutoffs().grade.source})",
    )


def _window_mm2() -> float:
    """Return the area of a window, mm²."""
    return colorectal_cutoffs().grade.window_um2 / 1e6
