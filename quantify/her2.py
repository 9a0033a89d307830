"""HER2 immunohistochemistry: from membrane classes of tumour cells to 0-3+, and the label beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .assembly import assemble, share_score, with_flags
from .clusters import largest_cluster
from .flags import Flag
from .her2_cutoffs import her2_cutoffs
from .her2_ish import Ish, IshCall, read_ish
from .membrane import MembraneClass, MembraneJudgement
from .score import Score, SlideResult, Status

Specimen = Literal["breast", "gastric resection", "gastric biopsy"]
SPECIMENS: tuple[Specimen, ...] = ("breast", "gastric resection", "gastric biopsy")

CATEGORIES = ("0 (negative)", "1+ (negative)", "2+ (equivocal)", "3+ (positive)")
"""By score, 0-3."""

MARKER = "HER2"
_ISH_FLAGS = {
    IshCall.RECOUNT_FIRST: Flag.HER2_ISH_RECOUNT_FIRST,
    IshCall.DUAL_PROBE_NEEDED: Flag.HER2_DUAL_PROBE_NEEDED,
    IshCall.TOO_FEW_CELLS: Flag.HER2_ISH_TOO_FEW_CELLS,
}


@dataclass(frozen=True, slots=True)
class Her2Counts:
    """Invasive tumour cells by what their membrane shows; each cell in one class."""

    complete_intense: int = 0
    complete_weak: int = 0
    """Complete, weak or moderate."""
    incomplete_moderate: int = 0
    """Incomplete, moderate or intense."""
    incomplete_faint: int = 0
    none: int = 0
    """No membrane stain, or cytoplasm only."""
    incomplete_intense: int = 0
    """Those of ``incomplete_moderate`` that are intense; only the gastric rules tell them apart."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, index(getattr(self, name)))
        smallest = min(getattr(self, name) for name in self.__slots__)
        if smallest < 0 or self.incomplete_intense > self.incomplete_moderate:
            raise InvalidTableError(f"{self} are no counts", "Give whole numbers, 0 or more.")

    @property
    def total(self) -> int:
        """All assessed invasive tumour cells."""
        return self.stained + self.none

    @property
    def stained(self) -> int:
        """Cells with any membrane stain."""
        return self.complete_intense + self.complete_weak + self.incomplete_moderate + self.incomplete_faint

    @property
    def intense(self) -> int:
        """Cells with intense stain, complete or not."""
        return self.complete_intense + self.incomplete_intense

    @property
    def moderate(self) -> int:
        """Cells of gastric strength 2+: weak to moderate and complete, or moderate and incomplete."""
        return self.complete_weak + self.incomplete_moderate - self.incomplete_intense


@dataclass(frozen=True, slots=True)
class BiopsyClusters:
    """Cells in the largest cluster of at least each strength, in a gastric biopsy."""

    intense: int = 0
    moderate: int = 0
    """Moderate or stronger."""
    faint: int = 0
    """Any stain."""


@dataclass(frozen=True, slots=True)
class Her2Call:
    """A score by immunohistochemistry and what is unusual about it."""

    score: int
    """0-3."""
    flags: tuple[Flag, ...] = ()

    @property
    def category(self) -> str:
        """The score as reported, such as "2+ (equivocal)"."""
        return CATEGORIES[self.score]


def count_membranes(judgement: MembraneJudgement, counted: ArrayLike | None = None) -> Her2Counts:
    """Count judged cells by class.

    Parameters
    ----------
    judgement : MembraneJudgement
        Of N cells.
    counted : (N,) array of bool, optional
        Which cells are assessed invasive tumour cells; all by default.

    Returns
    -------
    Her2Counts
    """
    chosen = np.ones(judgement.classes.shape, dtype=np.bool_) if counted is None else np.asarray(counted)
    if chosen.dtype != np.bool_ or chosen.shape != judgement.classes.shape:
        raise InvalidTableError(
            "a choice of cells that does not fit them", "Give one true or false per cell."
        )
    classes = judgement.classes[chosen]
    tally = np.bincount(classes, minlength=len(MembraneClass)).tolist()
    intense = (classes == MembraneClass.IM) & (judgement.levels[chosen] == 3)
    return Her2Counts(
        complete_intense=tally[MembraneClass.CI],
        complete_weak=tally[MembraneClass.CW],
        incomplete_moderate=tally[MembraneClass.IM],
        incomplete_faint=tally[MembraneClass.IF],
        none=tally[MembraneClass.NO],
        incomplete_intense=int(intense.sum()),
    )


def breast_score(counts: Her2Counts) -> Her2Call:
    """Return the score of a breast cancer by ASCO/CAP 2018, affirmed 2023; the first rule that fits decides.

    Notes
    -----
    Three rules are the project's: complete stain that passes 10 % only with both strengths together is 2+
    (mixed); all incomplete and complete stain together decides on 1+; and complete intense stain in less than
    1 % of the cells is taken for false, flagged and left to a person, where the guideline says "any".
    """
    cutoffs = her2_cutoffs()
    total, passes = counts.total, cutoffs.breast.is_passed
    intense, weak = counts.complete_intense, counts.complete_weak
    if passes(intense, total):
        return Her2Call(3)
    few_intense = total > 0 and 100 * intense >= cutoffs.few_intense_percent * total
    ordinary = passes(weak, total) or few_intense
    unusual = passes(counts.incomplete_moderate, total)
    mixed = passes(intense + weak, total) and not passes(weak, total)
    if ordinary or unusual or mixed:
        found = {Flag.HER2_UNUSUAL_PATTERN: unusual, Flag.HER2_MIXED_PATTERN: mixed}
        return Her2Call(2, tuple(flag for flag, holds in found.items() if holds))
    flags = (Flag.HER2_FEW_INTENSE_CELLS,) if intense else ()
    return Her2Call(1 if passes(counts.stained, total) else 0, flags)


def gastric_resection_score(counts: Her2Counts) -> Her2Call:
    """Return the score of a gastric resection: 10 % or more of a strength, complete, basolateral or lateral.

    Stronger cells count towards weaker strengths; where only together they reach 10 %, the score is flagged
    as mixed.
    """
    passes, total = her2_cutoffs().gastric.is_passed, counts.total
    strengths = (counts.intense, counts.moderate, counts.incomplete_faint)
    for score, upto in ((3, 1), (2, 2), (1, 3)):
        if passes(sum(strengths[:upto]), total):
            is_mixed = score == 2 and not passes(counts.moderate, total)
            return Her2Call(score, (Flag.HER2_MIXED_PATTERN,) if is_mixed else ())
    return Her2Call(0)


def gastric_biopsy_score(clusters: BiopsyClusters) -> Her2Call:
    """Return the score of a gastric biopsy: the greatest strength with a cluster of 5 cells or more."""
    enough = her2_cutoffs().cluster_cells
    sizes = {3: clusters.intense, 2: clusters.moderate, 1: clusters.faint}
    return Her2Call(next((score for score, size in sizes.items() if size >= enough), 0))


def gastric_levels(judgement: MembraneJudgement) -> NDArray[np.int8]:
    """Return the gastric strength of each cell, 0-3: complete stain is 2 at least, faint part stain is 1."""
    is_complete = judgement.classes >= MembraneClass.CW
    return np.where(is_complete, np.maximum(judgement.levels, 2), judgement.levels).astype(np.int8)


def biopsy_clusters(
    x_um: ArrayLike, y_um: ArrayLike, *, levels: ArrayLike, reach_um: float | None = None
) -> BiopsyClusters:
    """Find the largest cluster of at least each strength among the tumour cells of a gastric biopsy.

    Parameters
    ----------
    x_um, y_um : (N,) array
        Centres of the tumour cells, um.
    levels : (N,) array of int
        Their strengths, 0-3, from ``gastric_levels``.
    reach_um : float, optional
        See ``largest_cluster``.
    """
    strength = np.asarray(levels)
    sizes = [largest_cluster(x_um, y_um, mask=strength >= least, reach_um=reach_um) for least in (3, 2, 1)]
    return BiopsyClusters(*sizes)


def her2_label(score: int, stained: int, *, ish: IshCall | None = None) -> str:
    """Return the label of a breast cancer beside its score: terms of trials, not ASCO/CAP categories.

    Parameters
    ----------
    score : int
        0-3, by immunohistochemistry.
    stained : int
        Cells with any membrane stain.
    ish : IshCall or None
        From ``read_ish``.

    Returns
    -------
    str
        "HER2-positive", "HER2-low" (1+, or 2+ not amplified), "HER2-ultralow" (0 with three stained cells or
        more), "HER2-null" (0 without any), "HER2 0" (0 with one or two, which may be false) or "equivocal"
        (2+ undecided).
    """
    if score == 3 or ish is IshCall.POSITIVE:
        return "HER2-positive"
    if score == 2 and ish is not IshCall.NEGATIVE:
        return "equivocal"
    if score > 0:
        return "HER2-low"
    if stained == 0:
        return "HER2-null"
    return "HER2-ultralow" if stained >= her2_cutoffs().ultralow_from else "HER2 0"


def score_her2(
    counts: Her2Counts,
    *,
    specimen: Specimen = "breast",
    clusters: BiopsyClusters | None = None,
    ish: Ish | None = None,
    excluded: Mapping[str, int] | None = None,
    areas_mm2: Mapping[str, float] | None = None,
    flags: Sequence[str] = (),
) -> SlideResult:
    """Assemble what is reported of a slide: the score first, then the label and the share of each class.

    Parameters
    ----------
    counts : Her2Counts
        From ``count_membranes``.
    specimen : {"breast", "gastric resection", "gastric biopsy"}
        Which rules hold.
    clusters : BiopsyClusters or None
        From ``biopsy_clusters``; needed for gastric biopsies, which are not scored by percentage.
    ish : Ish or None
        In-situ hybridisation of a breast cancer.
    excluded : mapping of str to int
        Cells left out, by reason.
    areas_mm2 : mapping of str to float
        Areas in mm²; a positive "missing" is tissue that could not be read.
    flags : sequence of str
        Warnings about the slide, passed through.

    Returns
    -------
    SlideResult
        The headline's value is the percentage of tumour cells with complete intense membrane stain (gastric:
        intense stain, complete or not), its category the score. The second score is the percentage with any
        membrane stain; its category is the label, for breast only. Under 100 tumour cells (gastric biopsies:
        50) INSUFFICIENT and no category; REVIEW under 500 (200), and for unusual patterns.

    Raises
    ------
    SettingsError
        If a gastric biopsy comes without clusters, or a gastric specimen with in-situ hybridisation, which is
        read by rules of its own.
    """
    call, rule = _call(counts, specimen, clusters=clusters)
    if ish is not None and specimen != "breast":
        raise SettingsError(
            f"in-situ hybridisation of a {specimen}", "Only the rules for breast are known here."
        )
    cutoffs = her2_cutoffs()
    limits = cutoffs.biopsy_count if specimen == "gastric biopsy" else cutoffs.count
    status = limits.status_of(counts.total)
    ish_call = None if ish is None else read_ish(ish, call.score)
    headline = _headline(counts, specimen, rule=rule, status=status)
    label = _share(counts.stained, counts, name="any membrane stain", status=status)
    if status.allows_category:
        decided = ish_call is not None and ish_call.is_decided
        asks_ish = call.score == 2 and not decided
        headline = replace(headline, category=call.category)
        headline = with_flags(headline, *call.flags, *((Flag.HER2_REFLEX_ISH,) if asks_ish else ()))
        label = _labelled(label, call, ish=ish_call) if specimen == "breast" else label
    notes = set(headline.flags) | set(label.flags)
    return assemble(
        MARKER,
        (headline, label, *_class_shares(counts, status=status)),
        is_for_review=bool(notes - {Flag.HER2_REFLEX_ISH}),
        excluded=excluded,
        areas_mm2=areas_mm2,
        flags=flags,
    )


def _call(counts: Her2Counts, specimen: str, *, clusters: BiopsyClusters | None) -> tuple[Her2Call, str]:
    """Return the score of a specimen and the rule that made it."""
    cutoffs = her2_cutoffs()
    if specimen == "breast":
        return breast_score(counts), f"her2.breast/1 ({cutoffs.breast.source})"
    if specimen == "gastric resection":
        return gastric_resection_score(counts), f"her2.gastric-resection/1 ({cutoffs.gastric.source})"
    if specimen != "gastric biopsy":
        raise SettingsError(f"no HER2 rules for {specimen!r}", f"Choose from {', '.join(SPECIMENS)}.")
    if clusters is None:
        raise SettingsError("a gastric biopsy without clusters", "Find them with biopsy_clusters.")
    return gastric_biopsy_score(clusters), f"her2.gastric-biopsy/1 ({cutoffs.cluster_source})"


def _headline(counts: Her2Counts, specimen: str, *, rule: str, status: Status) -> Score:
    """Return the share of the cells that a 3+ rests on."""
    if specimen == "breast":
        score = _share(counts.complete_intense, counts, name="complete intense membrane stain", status=status)
    else:
        score = _share(counts.intense, counts, name="intense membrane stain", status=status)
    return replace(score, rule=rule)


def _labelled(score: Score, call: Her2Call, *, ish: IshCall | None) -> Score:
    """Return the share of stained cells with the label as its category."""
    category = her2_label(call.score, score.numerator, ish=ish)
    labelled = replace(score, category=category)
    if category == "HER2 0":
        labelled = with_flags(labelled, Flag.HER2_FEW_STAINED_CELLS)
    return with_flags(labelled, _ISH_FLAGS[ish]) if ish in _ISH_FLAGS else labelled


def _class_shares(counts: Her2Counts, *, status: Status) -> tuple[Score, ...]:
    """Return the share of each class that is no headline."""
    shares = {
        "complete weak to moderate membrane stain": counts.complete_weak,
        "incomplete moderate to intense membrane stain": counts.incomplete_moderate,
        "incomplete faint membrane stain": counts.incomplete_faint,
        "no membrane stain": counts.none,
    }
    return tuple(_share(cells, counts, name=name, status=status) for name, cells in shares.items())


def _share(cells: int, counts: Her2Counts, *, name: str, status: Status) -> Score:
    """Return a share of all tumour cells."""
    rule = "her2.share/1 (share of assessed invasive tumour cells)"
    return share_score(cells, counts.total, name=f"{MARKER} {name}", rule=rule, status=status)
