"""Tumour budding as a machine finds it: candidates, of which a known number is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite

from ..errors import InvalidTableError
from .assembly import with_flags
from .flags import Flag
from .score import Score, Status, worst_status
from .tumour_budding import BUDDING_NAME, tumour_budding

CANDIDATES_NAME = f"{BUDDING_NAME}: candidates in the densest field"
FALSE_NAME = f"{BUDDING_NAME}: false candidates to expect in such a field"
CLUSTERS_NAME = f"{BUDDING_NAME}: candidate clusters of 5 and more cells in that field"
TOO_MANY_FALSE = 5.0
"""With so many false ones to expect nothing is counted (project rule): alone they make Bd2 of no bud."""
FEWEST_FOUND = 0.9
"""Nor where less of all buds can be found (project rule): of ten, Bd3, eight would be Bd2."""


@dataclass(frozen=True, slots=True)
class BuddingEvidence:
    """The field with most buds at the invasive front."""

    buds: int
    area_mm2: float | None = None
    """None = the disc of 0.785 mm²."""
    clusters: int | None = None
    """Poorly differentiated clusters in it, five cells and more; None = not counted."""
    false_buds: float | None = 0.0
    """How many of the buds in such a field are none, as far as that was measured: 0 where a person counted;
    None = not known."""
    false_limit: float | None = None
    """Upper 95 % limit of that, where it was measured."""
    found_share: float | None = 1.0
    """Share of all buds that can be found, 0-1: 1 where a person counted; None = not known."""

    def __post_init__(self) -> None:
        share = self.found_share
        for false in (self.false_buds, self.false_limit):
            if false is not None and not (isfinite(false) and false >= 0):
                raise InvalidTableError(f"{false} false buds", "Give a number from 0, or None if not known.")
        if share is not None and not 0 <= share <= 1:
            raise InvalidTableError(f"a share of {share} of all buds", "Give 0 to 1, or None if not known.")

    @property
    def is_counted(self) -> bool:
        """Whether what was found may be taken for a count."""
        if self.false_buds is None or self.found_share is None:
            return False
        most = max(self.false_buds, self.false_limit or 0.0)
        return most < TOO_MANY_FALSE and self.found_share >= FEWEST_FOUND


def budding_scores(evidence: BuddingEvidence) -> tuple[Score, ...]:
    """Return tumour budding, and how far what was found can be relied on.

    Parameters
    ----------
    evidence : BuddingEvidence
        The field with most buds.

    Returns
    -------
    tuple of Score
        ``tumour_budding`` where a person counted. Otherwise that, and the candidates, the false ones to
        expect and the larger clusters as scores of their own, which are for REVIEW. Unless fewer than 5 false
        buds are to expect in such a field, up to the limit of their number, and nine tenths of all buds are
        found, budding is NOT_ASSESSABLE, without a number: the candidates say where to look. Else the count
        keeps its grade only if it would be the same without the false ones.

    Notes
    -----
    False candidates are a mean over fields. In the densest of many fields there are more.
    """
    counted = tumour_budding(evidence.buds, area_mm2=evidence.area_mm2)
    if evidence.false_buds == 0 and evidence.found_share == 1:
        return counted, *_clusters(counted, evidence)
    false = evidence.false_buds
    shown = replace(
        counted,
        name=CANDIDATES_NAME,
        value=float(evidence.buds),
        unit="candidates",
        category=None,
        status=Status.REVIEW,
        rule="colorectal.bud-candidates/1 (groups found by a network; project rule)",
        flags=(),
    )
    expected = replace(
        shown, name=FALSE_NAME, value=false, status=Status.NOT_ASSESSABLE if false is None else Status.REVIEW
    )
    return _weighed(counted, evidence), shown, expected, *_clusters(shown, evidence)


def _weighed(counted: Score, evidence: BuddingEvidence) -> Score:
    """Return the count as far as its false buds allow one."""
    false = evidence.false_buds or 0.0
    if not evidence.is_counted or counted.value is None:
        empty = replace(
            counted,
            value=None,
            numerator=0,
            denominator=0,
            category=None,
            status=Status.NOT_ASSESSABLE,
            flags=(),
        )
        return with_flags(empty, Flag.BUDDING_NOT_COUNTED)
    left = max(0, round(evidence.buds - false))
    is_same = tumour_budding(left, area_mm2=evidence.area_mm2).category == counted.category
    status = worst_status(counted.status, Status.REVIEW)
    kept = replace(counted, status=status, category=counted.category if is_same else None)
    return with_flags(kept, Flag.BUDDING_HOLDS_FALSE)


def _clusters(like: Score, evidence: BuddingEvidence) -> tuple[Score, ...]:
    """Return the larger clusters of the field, where they were counted."""
    if evidence.clusters is None:
        return ()
    told = replace(
        like,
        name=CLUSTERS_NAME,
        value=float(evidence.clusters),
        unit="clusters",
        numerator=evidence.clusters,
        category=None,
        status=Status.REVIEW,
        flags=(),
    )
    return (told,)
