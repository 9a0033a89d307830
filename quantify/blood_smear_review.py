"""Which results of a blood count and its smear ask for a manual review, and what makes a smear positive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from ..errors import InvalidTableError
from .blood_smear_cutoffs import PositiveRule, ReviewRule, blood_smear_cutoffs
from .blood_smear_morphology import Morphology, graded_changes
from .score import Score, Status


@dataclass(frozen=True, slots=True)
class BloodCount:
    """What the analyser and the request say; None where it is not known."""

    wbc: float | None = None
    """White cells, 10⁹/L."""
    counts_nrbc: bool = False
    """Whether the analyser counts nucleated red cells as white cells."""
    rbc: float | None = None
    """Red cells, 10¹²/L."""
    platelets: float | None = None
    """10⁹/L"""
    haemoglobin: float | None = None
    """g/dL"""
    haemoglobin_upper: float | None = None
    """Upper limit of the laboratory for this patient, g/dL."""
    mcv: float | None = None
    """fL"""
    rdw: float | None = None
    """%"""
    mchc: float | None = None
    """g/dL"""
    mchc_upper: float | None = None
    """Upper limit of the laboratory, g/dL."""
    suspects: bool | None = None
    """Whether the analyser suspects blasts, immature or atypical cells."""
    age: float | None = None
    """Years."""
    is_neonate: bool = False
    hours: float | None = None
    """Between taking the sample and the count."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value >= 0):
                raise InvalidTableError(f"{name} of {value}", "Give a number of 0 or more, or nothing.")


@dataclass(frozen=True, slots=True)
class FiredRule:
    """A criterion that is met."""

    id: str
    words: str
    value: float
    """The measure that met it."""


@dataclass(frozen=True, slots=True)
class Review:
    """Criteria for manual review of a first-time sample."""

    fired: tuple[FiredRule, ...]
    unchecked: tuple[str, ...]
    """Ids of criteria whose measure is missing: they are not known to be unmet."""


def review_criteria(
    blood: BloodCount,
    *,
    absolute: Mapping[str, float] | None = None,
    nrbc: int | None = None,
    has_suspect_cells: bool | None = None,
    is_incomplete: bool = False,
) -> Review:
    """Check the criteria of the International Consensus Group.

    Parameters
    ----------
    blood : BloodCount
        White cells already corrected for nucleated red cells.
    absolute : mapping of str to float, optional
        Absolute counts by class, 10⁹/L: "neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil".
    nrbc : int, optional
        Nucleated red cells seen.
    has_suspect_cells : bool, optional
        Whether blasts, immature or atypical cells were seen on the smear.
    is_incomplete : bool
        Whether the differential rests on too few cells.

    Returns
    -------
    Review
        At an unknown age the rules for adults hold, whose limits are the narrower; an unknown time is taken
        for fresh.
    """
    values = _measures(
        blood,
        absolute=absolute or {},
        nrbc=nrbc,
        has_suspect_cells=has_suspect_cells,
        is_incomplete=is_incomplete,
    )
    rules = [rule for rule in blood_smear_cutoffs().rules if _applies(rule, blood)]
    fired = []
    for rule in rules:
        value = values.get(rule.value)
        if value is not None and rule.bound.is_passed(value):
            fired.append(FiredRule(rule.id, rule.words, float(value)))
    return Review(tuple(fired), tuple(rule.id for rule in rules if values.get(rule.value) is None))


def positive_findings(
    white: Mapping[str, int],
    *,
    nrbc: int | None = None,
    morphology: Morphology | None = None,
    has_parasites: bool | None = None,
    has_clumps: bool | None = None,
) -> tuple[FiredRule, ...]:
    """Return what makes a smear positive.

    Parameters
    ----------
    white : mapping of str to int
        White cells seen, by class; all of them make the 100.
    nrbc : int, optional
        Nucleated red cells seen.
    morphology : Morphology, optional
        Grades of changes; from 2+ on they count.
    has_parasites, has_clumps : bool, optional
        Whether parasites or clumped platelets were seen.
    """
    seen = {**white, "nrbc": nrbc or 0}
    total = sum(white.values())
    fired = [
        FiredRule(rule.id, rule.words, float(seen.get(rule.id, 0)))
        for rule in blood_smear_cutoffs().positive_cells
        if _is_positive(rule, seen.get(rule.id, 0), total=total)
    ]
    if morphology is not None:
        cutoffs = blood_smear_cutoffs()
        for name, grade in graded_changes(morphology).items():
            counts_here = cutoffs.features[name].of != "neutrophils" or name in cutoffs.toxic
            if grade >= cutoffs.positive_grade and counts_here:
                fired.append(FiredRule(name, f"{name[:1].upper()}{name[1:]}, {grade}+", float(grade)))
    fired += [FiredRule("parasites", "Parasites", 1.0)] if has_parasites else []
    return (*fired, FiredRule("clumps", "Clumped platelets", 1.0)) if has_clumps else tuple(fired)


def criterion_scores(fired: tuple[FiredRule, ...], *, name: str, source: str) -> tuple[Score, ...]:
    """Return met criteria as scores, so that a report lists them with their values."""
    return tuple(
        Score(
            name=f"{name}: {rule.words}",
            value=rule.value,
            unit="",
            numerator=0,
            denominator=0,
            interval=None,
            status=Status.OK,
            category="met",
            rule=f"smear.{rule.id.replace(' ', '-')}/1 ({source})",
        )
        for rule in fired
    )


def _measures(
    blood: BloodCount,
    *,
    absolute: Mapping[str, float],
    nrbc: int | None,
    has_suspect_cells: bool | None,
    is_incomplete: bool,
) -> dict[str, float | Fraction | None]:
    """Return every measure that a rule can ask for."""
    known = [flag for flag in (blood.suspects, has_suspect_cells) if flag is not None]
    return {
        **{name: getattr(blood, name) for name in ("wbc", "platelets", "haemoglobin", "mcv", "rdw", "mchc")},
        "haemoglobin_excess": _excess(blood.haemoglobin, blood.haemoglobin_upper),
        "mchc_excess": _excess(blood.mchc, blood.mchc_upper),
        **{name: absolute.get(name) for name in _FIVE},
        "nrbc": nrbc,
        "suspect": float(any(known)) if known else None,
        "incomplete": float(is_incomplete),
        "neonate": float(blood.is_neonate),
    }


_FIVE = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")


def _excess(value: float | None, upper: float | None) -> Fraction | None:
    """Return how far a value lies over its upper limit, in exact decimals as they are written."""
    if value is None or upper is None:
        return None
    return Fraction(repr(float(value))) - Fraction(repr(float(upper)))


def _applies(rule: ReviewRule, blood: BloodCount) -> bool:
    """Whether a rule is meant for this patient and sample."""
    if blood.age is None:
        fits = rule.before_age is None
    else:
        fits = (rule.before_age is None or blood.age < rule.before_age) and (
            rule.from_age is None or blood.age >= rule.from_age
        )
    is_fresh = rule.within_hours is None or blood.hours is None or blood.hours < rule.within_hours
    return fits and is_fresh


def _is_positive(rule: PositiveRule, seen: int, *, total: int) -> bool:
    """Whether so many cells make a smear positive."""
    if rule.bound is None:
        return rule.seen is not None and seen >= rule.seen
    return total > 0 and rule.bound.is_passed(Fraction(100 * seen, total))
