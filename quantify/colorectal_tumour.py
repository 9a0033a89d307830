"""What else is reported of a colorectal carcinoma, as far as it was measured; all of it experimental."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .assembly import with_flags
from .budding_candidates import BuddingEvidence, budding_scores
from .colorectal_grade import GlandFormation, grade_adenocarcinoma
from .colorectal_subtype import USUAL, SubtypeEvidence, colorectal_subtype, subtype_scores
from .flags import Flag
from .score import Score, Status, worst_status
from .tumour_stroma import rounded_stroma_ratio, tumour_stroma_ratio


@dataclass(frozen=True, slots=True)
class StromaEvidence:
    """The most stroma-rich window of the invasive tumour."""

    stroma_mm2: float
    epithelium_mm2: float
    tumour_sides: int | None = None
    """On how many of its four sides there is tumour; None = not checked."""


@dataclass(frozen=True, slots=True)
class GradingEvidence:
    """What was measured of a carcinoma; None = not measured."""

    whole: GlandFormation | None = None
    """Of the whole tumour."""
    windows: tuple[GlandFormation, ...] = ()
    """Of windows of 4 mm² that cover it."""
    subtype: SubtypeEvidence | None = None
    budding: BuddingEvidence | None = None
    stroma: StromaEvidence | None = None


def tumour_scores(evidence: GradingEvidence) -> tuple[Score, ...]:
    """Return grade, subtype, budding and tumour-stroma ratio of a carcinoma, each if it was measured.

    Parameters
    ----------
    evidence : GradingEvidence

    Returns
    -------
    tuple of Score
        All flagged as experimental and none better than REVIEW: nobody held them against pathologists. The
        grade is made for adenocarcinoma NOS; that of another subtype says so.
    """
    scores: list[Score] = []
    if evidence.whole is not None:
        graded = [_told(score) for score in grade_adenocarcinoma(evidence.whole, windows=evidence.windows)]
        is_usual = evidence.subtype is None or colorectal_subtype(evidence.subtype).name == USUAL
        scores += graded if is_usual else [with_flags(score, Flag.GRADE_FOR_USUAL_TYPE) for score in graded]
    if evidence.subtype is not None:
        scores += subtype_scores(evidence.subtype)
    if evidence.budding is not None:
        scores += budding_scores(evidence.budding)
    if evidence.stroma is not None:
        field = evidence.stroma
        ratio = tumour_stroma_ratio(field.stroma_mm2, field.epithelium_mm2, tumour_sides=field.tumour_sides)
        scores += [ratio, rounded_stroma_ratio(ratio)]
    return tuple(_experimental(score) for score in scores)


def _told(graded: Score) -> Score:
    """Say so where there was nothing to grade by."""
    is_empty = graded.status is Status.NOT_ASSESSABLE
    return with_flags(graded, Flag.GRADE_NOT_MEASURED) if is_empty else graded


def _experimental(score: Score) -> Score:
    """Return the score as one that a person has to confirm."""
    status = worst_status(score.status, Status.REVIEW)
    return with_flags(replace(score, status=status), Flag.COLORECTAL_EXPERIMENTAL)
