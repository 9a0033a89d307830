"""HER2 in-situ hybridisation: its groups, and what they mean beside an immunohistochemical score."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from ..errors import InvalidTableError
from .her2_cutoffs import her2_cutoffs


@dataclass(frozen=True, slots=True)
class Ish:
    """An in-situ hybridisation that somebody counted."""

    copies: float
    """Mean HER2 copies per cell."""
    ratio: float | None = None
    """HER2 / CEP17; None for a single probe."""
    cells: int = 20
    """Counted nuclei."""
    is_recounted: bool = False
    """Whether these are the numbers of a blinded recount."""

    def __post_init__(self) -> None:
        numbers = (self.copies, 0.0 if self.ratio is None else self.ratio, self.cells)
        if not all(isfinite(number) and number >= 0 for number in numbers):
            raise InvalidTableError(
                f"{self.copies} copies, ratio {self.ratio} in {self.cells} cells",
                "Give numbers of 0 or more.",
            )


class IshCall(StrEnum):
    """What an in-situ hybridisation says."""

    POSITIVE = "amplified"
    NEGATIVE = "not amplified"
    RECOUNT_FIRST = "recount first"
    DUAL_PROBE_NEEDED = "dual probe needed"
    TOO_FEW_CELLS = "too few cells"

    @property
    def is_decided(self) -> bool:
        """Whether nothing else has to be done first."""
        return self in (IshCall.POSITIVE, IshCall.NEGATIVE)


def ish_group(ratio: float, copies: float) -> int:
    """Return the ASCO/CAP group, 1-5, of a dual-probe result: HER2/CEP17 ratio and HER2 copies per cell."""
    limits = her2_cutoffs().ish
    if ratio >= limits.ratio:
        return 1 if copies >= limits.copies_equivocal else 2
    if copies >= limits.copies_positive:
        return 3
    return 4 if copies >= limits.copies_equivocal else 5


def read_ish(ish: Ish, ihc_score: int) -> IshCall:
    """Return what an in-situ hybridisation says of a breast cancer with the given score.

    Parameters
    ----------
    ish : Ish
        Dual or single probe.
    ihc_score : int
        0-3, by immunohistochemistry of the same specimen.

    Returns
    -------
    IshCall
        Groups 1 and 5 stand alone. Group 3 is positive with 2+ or 3+, groups 2 and 4 with 3+ only. With 2+,
        groups 2 and 3 are undecided until a blinded recount.
    """
    limits = her2_cutoffs().ish
    if ish.cells < limits.cells:
        return IshCall.TOO_FEW_CELLS
    if ish.ratio is None:
        if limits.copies_equivocal <= ish.copies < limits.copies_positive:
            return IshCall.DUAL_PROBE_NEEDED
        return IshCall.POSITIVE if ish.copies >= limits.copies_positive else IshCall.NEGATIVE
    group = ish_group(ish.ratio, ish.copies)
    if ihc_score == 2 and group in limits.recount_groups and not ish.is_recounted:
        return IshCall.RECOUNT_FIRST
    least_score = {1: 0, 2: 3, 3: 2, 4: 3, 5: 4}[
        group
    ]  # the least IHC score with which the group is positive
    return IshCall.POSITIVE if ihc_score >= least_score else IshCall.NEGATIVE
