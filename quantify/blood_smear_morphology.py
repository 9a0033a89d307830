"""Changes of red cells, neutrophils and platelets on a blood smear, and their grades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from types import MappingProxyType

from ..errors import InvalidTableError
from .blood_smear_cutoffs import CELL_KINDS, blood_smear_cutoffs
from .count_interval import exact_interval
from .flags import Flag
from .score import Score, Status

GRADES = ("not graded", "1+ (few)", "2+ (moderate)", "3+ (many)")
"""By grade, 0-3."""

SCHISTOCYTES = "schistocytes"


@dataclass(frozen=True, slots=True)
class Morphology:
    """Cells that were looked at, and how many of them show each change."""

    cells: Mapping[str, int]
    """By kind: "red cells", "neutrophils", "platelets"."""
    changed: Mapping[str, int] = field(default_factory=dict)
    """By change, only those that were looked for: 0 says that there was none."""
    is_preterm: bool = False
    """A preterm newborn has more schistocytes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", MappingProxyType(dict(self.cells)))
        object.__setattr__(self, "changed", MappingProxyType(dict(self.changed)))
        if not set(self.cells) <= set(CELL_KINDS):
            raise InvalidTableError(f"cells {sorted(self.cells)}", f"Choose from {', '.join(CELL_KINDS)}.")
        for name, number in self.changed.items():
            if not 0 <= index(number) <= self.cells.get(blood_smear_cutoffs().feature(name).of, 0):
                raise InvalidTableError(f"{number} {name} among fewer cells", "Give all cells looked at.")


def grade_change(name: str, changed: int, *, cells: int) -> Score:
    """Return the share of changed cells with its grade.

    Parameters
    ----------
    name : str
        A change of the data file, such as "target cells".
    changed, cells : int
        Cells that show it, and all cells of its kind that were looked at.

    Returns
    -------
    Score
        Percent with its exact interval; the category is one of ``GRADES``, decided on whole numbers and
        flagged, since its limits were not checked against their source.
    """
    cutoffs = blood_smear_cutoffs()
    known, found, total = cutoffs.feature(name), index(changed), index(cells)
    if not 0 <= found <= total:
        raise InvalidTableError(f"{name}: {found} of {total} is no share", "Counts cannot be negative.")
    status = cutoffs.evidence[known.of].status_of(total)
    flags = [Flag.BINS_NOT_OFFICIAL] if status.allows_category else []
    flags += [Flag.SMEAR_ANALYSER_PREFERRED] if known.analyser else []
    return Score(
        name=name[:1].upper() + name[1:],
        value=100 * found / total if total else None,
        unit="%",
        numerator=found,
        denominator=total,
        interval=exact_interval(found, total).times(100) if total else None,
        status=status,
        category=GRADES[known.grade(found, total)] if status.allows_category else None,
        rule=f"smear.grade/1 (percent of {known.of}; {cutoffs.grades_source})",
        flags=tuple(flags),
    )


def schistocyte_share(schistocytes: int, *, red_cells: int, is_preterm: bool = False) -> Score:
    """Return the percentage of schistocytes; over 1 % (preterm: 5 %) is suspicious for microangiopathy.

    Returns
    -------
    Score
        INSUFFICIENT under 1000 red cells.
    """
    limits, found, total = blood_smear_cutoffs().schistocytes, index(schistocytes), index(red_cells)
    if not 0 <= found <= total:
        raise InvalidTableError(f"{found} schistocytes of {total}", "Counts cannot be negative.")
    upto = limits.normal_upto_percent_preterm if is_preterm else limits.normal_upto_percent
    is_normal = 100 * found <= upto * total
    status = Status.OK if total >= limits.red_cells else Status.INSUFFICIENT
    status = status if total else Status.NOT_ASSESSABLE
    return Score(
        name="Schistocytes, ICSH",
        value=100 * found / total if total else None,
        unit="%",
        numerator=found,
        denominator=total,
        interval=exact_interval(found, total).times(100) if total else None,
        status=status,
        category=("within normal" if is_normal else "suspicious") if status.allows_category else None,
        rule=f"smear.schistocytes/1 ({limits.source}; normal up to {upto} %)",
        flags=(Flag.SMEAR_SCHISTOCYTES,) if status.allows_category and not is_normal else (),
    )


def score_morphology(morphology: Morphology) -> tuple[Score, ...]:
    """Return the grade of every change that was looked for, in the order of the data file."""
    cutoffs = blood_smear_cutoffs()
    scores = []
    for name, known in cutoffs.features.items():
        if name in morphology.changed:
            cells = morphology.cells[known.of]
            scores.append(grade_change(name, morphology.changed[name], cells=cells))
    if SCHISTOCYTES in morphology.changed:
        scores.append(
            schistocyte_share(
                morphology.changed[SCHISTOCYTES],
                red_cells=morphology.cells["red cells"],
                is_preterm=morphology.is_preterm,
            )
        )
    return tuple(scores)


def graded_changes(morphology: Morphology) -> Mapping[str, int]:
    """Return the grade, 0-3, of every change with enough cells for one."""
    cutoffs = blood_smear_cutoffs()
    grades = {}
    for name, found in morphology.changed.items():
        known = cutoffs.feature(name)
        cells = morphology.cells[known.of]
        if cutoffs.evidence[known.of].status_of(cells).allows_category:
            grades[name] = known.grade(found, cells)
    return MappingProxyType(grades)
