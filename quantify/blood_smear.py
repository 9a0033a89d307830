"""Blood smears: white-cell differential with exact intervals, nucleated red cells, the slide's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import isfinite
from operator import index
from types import MappingProxyType

from ..errors import InvalidTableError
from .assembly import assemble
from .blood_smear_cutoffs import blood_smear_cutoffs
from .blood_smear_morphology import Morphology, score_morphology
from .blood_smear_platelets import (
    GIGA_UNIT,
    PlateletFields,
    platelet_estimate,
    platelet_ratio,
    platelets_per_field,
)
from .blood_smear_review import (
    BloodCount,
    FiredRule,
    Review,
    criterion_scores,
    positive_findings,
    review_criteria,
)
from .count_interval import exact_interval, odds_interval
from .flags import Flag
from .score import Score, SlideResult, Status

MARKER = "Blood smear"
FIVE_PARTS = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
OTHER_WHITE_CELLS = (
    "blast",
    "promyelocyte",
    "myelocyte",
    "metamyelocyte",
    "atypical_lymphocyte",
    "plasma_cell",
    "unclassified",
)
SUSPECT_CELLS = ("blast", "promyelocyte", "myelocyte", "metamyelocyte", "atypical_lymphocyte")
"""Immature and atypical cells."""
NRBC_UNIT = "per 100 WBC"


@dataclass(frozen=True, slots=True)
class WhiteCells:
    """White cells of the monolayer by class."""

    counts: Mapping[str, int]
    """By class of ``FIVE_PARTS`` (bands are neutrophils) and ``OTHER_WHITE_CELLS``; nucleated ones only."""
    nrbc: int | None = None
    """Nucleated red cells seen beside them, not among the 100; None where nobody looked."""
    smudge: int = 0
    """Smudge cells, counted apart."""
    smudge_as_lymphocytes: bool = False
    """Whether they count as lymphocytes, as some do in chronic lymphocytic leukaemia."""
    nrbc_beside: int | None = None
    """White cells that the nucleated red cells were counted beside; None: those of ``counts``."""
    tells_suspects: bool = True
    """Whether whoever counted would have told immature and atypical cells; a network that knows five classes
    would not, and their absence then says nothing."""

    def __post_init__(self) -> None:
        known = (*FIVE_PARTS, *OTHER_WHITE_CELLS)
        counts = {name: index(number) for name, number in self.counts.items()}
        if not set(counts) <= set(known):
            raise InvalidTableError(
                f"white cells of the classes {sorted(set(counts) - set(known))}",
                f"Choose from {', '.join(known)}.",
            )
        if min((*counts.values(), self.nrbc or 0, self.smudge, self.nrbc_beside or 0)) < 0:
            raise InvalidTableError("negative counts of white cells", "Give 0 or more.")
        object.__setattr__(self, "counts", MappingProxyType(counts))

    @property
    def classified(self) -> Mapping[str, int]:
        """All classes with what counts towards the 100."""
        more = self.smudge if self.smudge_as_lymphocytes else 0
        names = (*FIVE_PARTS, *(name for name in OTHER_WHITE_CELLS if self.counts.get(name, 0)))
        return {name: self.counts.get(name, 0) + (more if name == "lymphocyte" else 0) for name in names}

    @property
    def total(self) -> int:
        """Nucleated white cells of the differential."""
        return sum(self.classified.values())

    @property
    def nrbc_per_100(self) -> Fraction | None:
        """Nucleated red cells per 100 white cells, exact; None without white cells or without a look."""
        beside = self.beside_nrbc
        return Fraction(100 * self.nrbc, beside) if self.nrbc is not None and beside else None

    @property
    def beside_nrbc(self) -> int:
        """White cells that the nucleated red cells were counted beside."""
        return self.total if self.nrbc_beside is None else self.nrbc_beside

    @property
    def has_suspect_cells(self) -> bool:
        """Whether immature or atypical cells were seen."""
        return any(self.counts.get(name, 0) for name in SUSPECT_CELLS)


@dataclass(frozen=True, slots=True)
class SmearEvidence:
    """Everything that a smear's result rests on; None where nobody looked."""

    white: WhiteCells
    platelets: PlateletFields | None = None
    platelets_beside_red_cells: tuple[int, int] | None = None
    """Platelets and red cells of the same fields, for the ratio method."""
    morphology: Morphology | None = None
    parasites: bool | None = None
    blood: BloodCount = field(default_factory=BloodCount)


def differential_status(cells: int, *, wbc: float | None = None) -> Status:
    """Return what a number of white cells allows: 100 are needed, 50 where WBC is under 1 x 10⁹/L.

    Such a differential of 50-99 cells is for REVIEW.
    """
    limits = blood_smear_cutoffs().differential
    if cells == 0:
        return Status.NOT_ASSESSABLE
    if cells >= limits.cells:
        return Status.OK
    has_few = wbc is not None and wbc < limits.few_leucocytes_below
    return Status.REVIEW if has_few and cells >= limits.few_leucocytes_cells else Status.INSUFFICIENT


def corrected_wbc(
    wbc: float, nrbc_per_100: float | Fraction, *, counts_nrbc: bool, above: int | None = None
) -> float:
    """Return the white-cell count without nucleated red cells: WBC x 100 / (100 + NRBC).

    Parameters
    ----------
    wbc : float
        By the analyser, 10⁹/L.
    nrbc_per_100 : float
        Nucleated red cells per 100 white cells.
    counts_nrbc : bool
        Whether the analyser counts them as white cells; otherwise nothing is corrected.
    above : int, optional
        Correct only above so many; 5 by default, and laboratories differ (1, 10).
    """
    least = blood_smear_cutoffs().nrbc_correct_above if above is None else above
    if not (isfinite(wbc) and wbc >= 0 and nrbc_per_100 >= 0):
        raise InvalidTableError(f"WBC {wbc} with {nrbc_per_100} NRBC", "Give numbers of 0 or more.")
    return wbc * 100 / (100 + float(nrbc_per_100)) if counts_nrbc and nrbc_per_100 > least else wbc


def differential_scores(white: WhiteCells, *, wbc: float | None = None) -> tuple[Score, ...]:
    """Return the percentage of each class with its exact binomial interval (Rümke).

    Parameters
    ----------
    white : WhiteCells
        From the smear.
    wbc : float, optional
        Corrected white-cell count, 10⁹/L.
    """
    status, source = differential_status(white.total, wbc=wbc), blood_smear_cutoffs().differential.source
    return tuple(
        Score(
            name=_title(name),
            value=100 * cells / white.total if white.total else None,
            unit="%",
            numerator=cells,
            denominator=white.total,
            interval=exact_interval(cells, white.total).times(100) if white.total else None,
            status=status,
            category=None,
            rule=f"smear.differential/1 ({source})",
        )
        for name, cells in white.classified.items()
    )


def absolute_scores(white: WhiteCells, *, wbc: float) -> tuple[Score, ...]:
    """Return the absolute count of each class, share x corrected white-cell count, 10⁹/L.

    The interval is that of the share; the analyser's own error is not in it.
    """
    return tuple(
        replace(
            share,
            name=f"{share.name}, absolute",
            value=None if share.value is None else share.numerator * wbc / share.denominator,
            unit=GIGA_UNIT,
            interval=None if share.interval is None else share.interval.times(wbc / 100),
            rule="smear.absolute/1 (share x corrected WBC)",
        )
        for share in differential_scores(white, wbc=wbc)
    )


def nrbc_score(white: WhiteCells) -> Score:
    """Return nucleated red cells per 100 white cells; any are flagged."""
    per_100, n = white.nrbc_per_100, white.beside_nrbc
    status = differential_status(n) if per_100 is not None else Status.NOT_ASSESSABLE
    interval = None if per_100 is None else odds_interval(white.nrbc or 0, n).times(100)
    return Score(
        name="Nucleated red cells",
        value=None if per_100 is None else float(per_100),
        unit=NRBC_UNIT,
        numerator=white.nrbc or 0,
        denominator=n,
        interval=interval,
        status=status,
        category=None,
        rule="smear.nrbc/1 (per 100 white cells, not among them)",
        flags=(Flag.SMEAR_NRBC,) if white.nrbc else (),
    )


def score_smear(
    evidence: SmearEvidence,
    *,
    excluded: Mapping[str, int] | None = None,
    areas_mm2: Mapping[str, float] | None = None,
    flags: Sequence[str] = (),
) -> SlideResult:
    """Assemble what is reported of a smear.

    Parameters
    ----------
    evidence : SmearEvidence
        Of the smear.
    excluded : mapping of str to int
        Cells left out, by reason.
    areas_mm2 : mapping of str to float
        Areas in mm²; a positive "missing" could not be read.
    flags : sequence of str
        Warnings about the slide, passed through.

    Returns
    -------
    SlideResult
        The headline's value is the number of classified white cells, its category "smear positive", "manual
        review" or "no criterion met"; then differential, absolute counts, nucleated red cells, platelets,
        changes, and the criteria that are met. REVIEW where any is.
    """
    white, blood = evidence.white, evidence.blood
    wbc = _corrected(evidence)
    review = _review(evidence, wbc=wbc)
    positive = _positive(evidence)
    scores = [_headline(white, wbc=wbc, review=review, positive=positive)]
    scores += differential_scores(white, wbc=wbc)
    scores += [nrbc_score(white)] if white.nrbc is not None else []
    if wbc is not None and blood.wbc is not None:
        scores += [_wbc_score(wbc, was=blood.wbc), *absolute_scores(white, wbc=wbc)]
    scores += [] if evidence.platelets is None else _platelet_scores(evidence.platelets, evidence)
    scores += _ratio_scores(evidence)
    scores += [] if evidence.morphology is None else score_morphology(evidence.morphology)
    source = blood_smear_cutoffs().review_source
    scores += criterion_scores(positive, name="Positive smear", source=source)
    scores += criterion_scores(review.fired, name="Manual review", source=source)
    notes = _notes(evidence, wbc=wbc, review=review, positive=positive)
    return assemble(
        MARKER,
        scores,
        is_for_review=bool(review.fired or positive)
        or bool(_ASK_A_PERSON & {flag for score in scores for flag in score.flags}),
        excluded=excluded,
        areas_mm2=areas_mm2,
        flags=(*flags, *notes),
    )


_ASK_A_PERSON = frozenset(
    {Flag.SMEAR_PLATELET_CLUMPS, Flag.SMEAR_PLATELETS_DISAGREE, Flag.SMEAR_SCHISTOCYTES}
)


def _headline(
    white: WhiteCells, *, wbc: float | None, review: Review, positive: tuple[FiredRule, ...]
) -> Score:
    """Return the number of classified cells with what follows from the criteria."""
    status = differential_status(white.total, wbc=wbc)
    category = "smear positive" if positive else "manual review" if review.fired else "no criterion met"
    return Score(
        name="White cells classified",
        value=float(white.total) if white.total else None,
        unit="cells",
        numerator=white.total,
        denominator=blood_smear_cutoffs().differential.cells,
        interval=None,
        status=status,
        category=category if status.allows_category else None,
        rule=f"smear.result/1 ({blood_smear_cutoffs().review_source}); denominator = cells needed",
    )


def _corrected(evidence: SmearEvidence) -> float | None:
    """Return the white-cell count without nucleated red cells, if there is one."""
    blood, per_100 = evidence.blood, evidence.white.nrbc_per_100
    if blood.wbc is None or per_100 is None:
        return blood.wbc
    return corrected_wbc(blood.wbc, per_100, counts_nrbc=blood.counts_nrbc)


def _wbc_score(wbc: float, *, was: float) -> Score:
    """Return the white-cell count that absolute counts rest on."""
    return Score(
        name="White cells, corrected" if wbc != was else "White cells",
        value=wbc,
        unit=GIGA_UNIT,
        numerator=0,
        denominator=0,
        interval=None,
        status=Status.OK,
        category=None,
        rule=f"smear.wbc/1 ({blood_smear_cutoffs().nrbc_source})",
        flags=(Flag.SMEAR_WBC_CORRECTED,) if wbc != was else (),
    )


def _platelet_scores(fields: PlateletFields, evidence: SmearEvidence) -> list[Score]:
    """Return platelets per field and their estimate."""
    return [platelets_per_field(fields), platelet_estimate(fields, analyser=evidence.blood.platelets)]


def _ratio_scores(evidence: SmearEvidence) -> list[Score]:
    """Return the platelets by the ratio method, where both counts are there."""
    seen, rbc = evidence.platelets_beside_red_cells, evidence.blood.rbc
    if seen is None or rbc is None or rbc <= 0:
        return []
    is_suppressed = evidence.platelets is not None and evidence.platelets.is_suppressed
    return [platelet_ratio(seen[0], seen[1], rbc=rbc, is_suppressed=is_suppressed)]


def _review(evidence: SmearEvidence, *, wbc: float | None) -> Review:
    """Check the criteria for review."""
    white, total = evidence.white, evidence.white.total
    is_complete = differential_status(total, wbc=wbc).allows_category
    absolute = {}
    if wbc is not None and is_complete:
        absolute = {name: white.classified[name] * wbc / total for name in FIVE_PARTS}
    return review_criteria(
        replace(evidence.blood, wbc=wbc),
        absolute=absolute,
        nrbc=white.nrbc,
        has_suspect_cells=_suspects(white),
        is_incomplete=not is_complete,
    )


def _suspects(white: WhiteCells) -> bool | None:
    """Return whether suspect cells were seen; None where nobody would have told them."""
    if white.has_suspect_cells:
        return True
    return False if white.total and white.tells_suspects else None


def _positive(evidence: SmearEvidence) -> tuple[FiredRule, ...]:
    """Return what makes the smear positive."""
    fields = evidence.platelets
    return positive_findings(
        evidence.white.classified,
        nrbc=evidence.white.nrbc,
        morphology=evidence.morphology,
        has_parasites=evidence.parasites,
        has_clumps=None if fields is None else fields.is_suppressed,
    )


def _notes(
    evidence: SmearEvidence, *, wbc: float | None, review: Review, positive: tuple[FiredRule, ...]
) -> list[Flag]:
    """Return the warnings about the whole smear."""
    white, limits = evidence.white, blood_smear_cutoffs().differential
    found = {
        Flag.SMEAR_POSITIVE: bool(positive),
        Flag.SMEAR_REVIEW_CRITERIA: bool(review.fired),
        Flag.SMEAR_CRITERIA_UNCHECKED: bool(review.unchecked),
        Flag.SMEAR_TOO_FEW_CELLS: not differential_status(white.total, wbc=wbc).allows_category,
        Flag.SMEAR_FEW_LEUCOCYTES: differential_status(white.total, wbc=wbc) is Status.REVIEW,
        Flag.SMEAR_UNDER_200: limits.cells <= white.total < limits.preferred_cells,
        Flag.SMEAR_SMUDGE_CELLS: white.smudge > 0 and not white.smudge_as_lymphocytes,
        Flag.SMEAR_SMUDGE_AS_LYMPHOCYTES: white.smudge > 0 and white.smudge_as_lymphocytes,
    }
    return [flag for flag, holds in found.items() if holds]


def _title(name: str) -> str:
    """Return the name of a class for a report."""
    return f"{name.replace('_', ' ').capitalize()}s" if name != "unclassified" else "Unclassified white cells"
