"""Which colorectal class the evidence carries, and which it only hints at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import exp

from .colorectal_cutoffs import SIGNET_RING, LesionClass, colorectal_cutoffs
from .colorectal_evidence import NOTHING, ClassEvidence, FragmentEvidence, SignetEvidence
from .flags import Flag
from .score import Status


class Standing(StrEnum):
    """How a class stands in a fragment or on a slide."""

    ABSENT = "absent"
    WEAK = "below its minimum"
    MISTAKABLE = "no more than mistakes make"
    ESTABLISHED = "enough evidence"

    @property
    def is_suspected(self) -> bool:
        """Whether something was found, but not enough to name the class."""
        return self in (Standing.WEAK, Standing.MISTAKABLE)


@dataclass(frozen=True, slots=True)
class ClassCall:
    """What the evidence of a fragment or slide comes to."""

    result: LesionClass | None
    """None without enough evidence for any class, or without enough tissue for a class at all."""
    rank: int | None
    """Of the result; where tissue or evidence is too little for one (INSUFFICIENT), of the most severe class
    that anything speaks for; None without any evidence."""
    status: Status
    flags: tuple[Flag, ...]
    possible: tuple[LesionClass, ...]
    """More severe classes than the result, seen but not established, from least to most severe."""


def call_class(evidence: FragmentEvidence) -> ClassCall:
    """Return the most severe class with enough evidence, and what is suspected beyond it.

    Parameters
    ----------
    evidence : FragmentEvidence
        Of one fragment, or of all with ``pool_fragments``.

    Returns
    -------
    ClassCall
        REVIEW where a more severe class is suspected, where the result's mean probability is low, and for
        serrated lesions, whose dysplasia has to be judged by eye. INSUFFICIENT and no class on too little
        tissue, or if whatever was found lies below its minimum. NOT_ASSESSABLE if nothing was found.

    Notes
    -----
    Evidence of one class never counts towards another, so what is called always meets its own minimum. Where
    the mistakes of the network are known, a class must also cover, together with worse ones, twice the area
    that they would make.
    Between the two classes without neoplasia the larger area decides.
    """
    standings = class_standings(evidence)
    seen = [entry for entry, standing in standings if standing is not Standing.ABSENT]
    if not seen:
        return ClassCall(None, None, status=Status.NOT_ASSESSABLE, flags=(Flag.NO_EPITHELIUM,), possible=())
    result = _result(standings, evidence)
    if not _enough_tissue(evidence):
        possible = tuple(entry for entry in seen if entry.has_minimum)
        rank = max(entry.rank for entry in seen) if result is None else result.rank
        flags = (Flag.LITTLE_TISSUE, *_possible_flags(possible))
        return ClassCall(None, rank, status=Status.INSUFFICIENT, flags=flags, possible=possible)
    if result is None:
        flags = (Flag.NO_CLASS_ESTABLISHED, *_possible_flags(tuple(seen)))
        rank = seen[-1].rank
        return ClassCall(None, rank, status=Status.INSUFFICIENT, flags=flags, possible=tuple(seen))
    order = [entry.id for entry, _ in standings]
    possible = tuple(
        entry
        for entry, standing in standings
        if standing.is_suspected and order.index(entry.id) > order.index(result.id)
    )
    doubts = _doubts(result, evidence)
    return ClassCall(
        result,
        result.rank,
        status=Status.REVIEW if possible or doubts else Status.OK,
        flags=(*_possible_flags(possible), *doubts, *_notes(result)),
        possible=possible,
    )


def class_standings(evidence: FragmentEvidence) -> tuple[tuple[LesionClass, Standing], ...]:
    """Return how each class stands, from least to most severe."""
    return tuple((entry, _standing(entry, evidence)) for entry in colorectal_cutoffs().classes)


def signet_minimum(signet: SignetEvidence, tissue_mm2: float) -> int:
    """Return how many signet-ring cells within one disc make a carcinoma.

    Parameters
    ----------
    signet : SignetEvidence
        Its ``false_per_mm2`` is what the detector finds where there are none.
    tissue_mm2 : float
        Assessed tissue, mm².

    Returns
    -------
    int
        5; more for a detector whose false cells alone would, by chance, fill some disc of so much tissue with
        5 cells on one in a hundred slides or more.

    Notes
    -----
    Project rule. False cells are taken as Poisson, and the tissue as so many separate discs as it holds. They
    gather in mucinous glands, and a disc may lie anywhere, so the figure is a least one.
    """
    cutoffs = colorectal_cutoffs()
    least = cutoffs.lesion_class(SIGNET_RING).minimum_cells or 1
    expected = (signet.false_per_mm2 or 0.0) * cutoffs.signet_disc_mm2
    discs = max(1.0, tissue_mm2 / cutoffs.signet_disc_mm2)
    return max(least, _poisson_exceeded(expected, chance=cutoffs.signet_chance / discs))


def _poisson_exceeded(mean: float, *, chance: float) -> int:
    """Return the smallest count that a Poisson variable reaches with less than this chance."""
    if mean > _LARGE_MEAN:
        return round(2 * mean)  # far beyond any quantile; exp(-mean) would vanish
    count, term, tail = 0, exp(-mean), 1.0
    while tail >= chance:
        tail -= term
        count += 1
        term *= mean / count
    return count


_LARGE_MEAN = 500.0


def _standing(entry: LesionClass, evidence: FragmentEvidence) -> Standing:
    """Return how one class stands."""
    if entry.id == SIGNET_RING:
        signet = evidence.signet
        if signet is None or not signet.cells:
            return Standing.ABSENT
        enough = signet.densest >= signet_minimum(signet, evidence.tissue_mm2)
        return Standing.ESTABLISHED if enough else Standing.WEAK
    found = evidence.classes.get(entry.id, NOTHING)
    if not found.is_present:
        return Standing.ABSENT
    if entry.has_minimum and not _reaches_minimum(entry, found):
        return Standing.WEAK
    is_clear = not entry.has_minimum or _exceeds_mistakes(entry, evidence)
    return Standing.ESTABLISHED if is_clear else Standing.MISTAKABLE


def _reaches_minimum(entry: LesionClass, found: ClassEvidence) -> bool:
    """Whether there is as much of a class as its rule asks for."""
    return (entry.minimum_glands is not None and found.glands >= entry.minimum_glands) or (
        entry.minimum_um2 is not None and found.area_um2 >= entry.minimum_um2
    )


def _exceeds_mistakes(entry: LesionClass, evidence: FragmentEvidence) -> bool:
    """Whether there is clearly more of a class, or worse, than a network's mistakes on milder tissue make.

    Project rule: a network takes a share of each class for a worse one, so on much tissue of a milder class
    some glands of the next one are always found; as many are no evidence.
    """
    worse = sum(
        evidence.classes.get(each.id, NOTHING).area_mm2
        for each in colorectal_cutoffs().gland_classes
        if each.rank >= entry.rank
    )
    expected = evidence.classes.get(entry.id, NOTHING).false_mm2
    return expected == 0 or worse >= colorectal_cutoffs().mistakes_factor * expected


def _result(
    standings: tuple[tuple[LesionClass, Standing], ...], evidence: FragmentEvidence
) -> LesionClass | None:
    """Return the most severe established class; of those without a minimum, the one with more area."""
    established = [entry for entry, standing in standings if standing is Standing.ESTABLISHED]
    lesions = [entry for entry in established if entry.has_minimum]
    if lesions:
        return lesions[-1]
    return max(established, key=lambda entry: evidence.classes.get(entry.id, NOTHING).area_um2, default=None)


def _enough_tissue(evidence: FragmentEvidence) -> bool:
    """Whether there is tissue enough for a class."""
    return round(evidence.tissue_mm2 * 1e6) >= colorectal_cutoffs().tissue.insufficient_below_um2


def _possible_flags(classes: tuple[LesionClass, ...]) -> tuple[Flag, ...]:
    """Return the flags of suspected classes, the most severe first."""
    return tuple(entry.flag for entry in reversed(classes) if entry.flag is not None)


def _doubts(result: LesionClass, evidence: FragmentEvidence) -> tuple[Flag, ...]:
    """Return why a person should look at the class itself."""
    confidence = evidence.classes.get(result.id, NOTHING).confidence
    is_low = confidence is not None and confidence < colorectal_cutoffs().confidence_review_below
    found = {Flag.LOW_CONFIDENCE: is_low, Flag.SERRATED_NOT_SUBTYPED: result.id == "serrated"}
    return tuple(flag for flag, holds in found.items() if holds)


def _notes(result: LesionClass) -> tuple[Flag, ...]:
    """Return what has to be said of a class whatever its evidence."""
    return (Flag.DEPTH_NOT_ASSESSABLE,) if result.vienna.startswith("≥") else ()
