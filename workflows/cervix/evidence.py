"""From measured cells to what the rules are asked: calls, adequacy, risk, gallery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...quantify import (
    AdequacyEvidence,
    CallTable,
    CellEstimate,
    CervicalCutoffs,
    CervicalEvidence,
    Flag,
    cervical_cutoffs,
    count_calls,
    count_for_adequacy,
    rank_gallery,
    slide_risk,
    squamous_cells_by_area,
    suspicion,
)
from ...quantify.cervical_cutoffs import NILM
from .call_reader import CallReader
from .cells import KINDS, REASONS, ScreenedCells
from .plan import ScreeningPlan, ScreeningSettings

__all__ = ["Findings", "examine", "likeliest", "sound_chances"]

UNKNOWN = "unknown"
"""Why a call does not count: the classifier says that it is of none of its classes, or not sure."""
SHOWN = ("", "out_of_focus", "thick")
"""Where a named nucleus may lie to be shown; only where nothing spoils it does its call count."""
SECTION = "tissue section"
"""Why a slide is rejected whose nuclei lie as in one."""
LEAST_SIZE = 0.65
"""R from which a nucleus may be a lesion's (project rule): all abnormal classes have nuclei of 1 and more."""
BLOCK_UM = 1000.0
"""Side of the blocks over which squamous cells are counted, um; smaller on small slides."""
LEAST_BLOCKS = 16
"""Wanted at least, for the spread between blocks gives the interval."""


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found on a slide."""

    cells: ScreenedCells
    rows: NDArray[np.intp]
    """Rows of ``cells`` that were named and can be seen (`SHOWN`): the rows of ``calls``."""
    calls: CallTable
    suspicions: NDArray[np.float64]
    """Of each call, 0-1."""
    gallery: tuple[int, ...]
    """Rows of ``calls``, the most suspicious first, then organisms."""
    evidence: CervicalEvidence
    risk: float
    """By which a worklist is ordered, 0-1."""

    @property
    def doubts(self) -> tuple[Flag, ...]:
        """Whether this may be no cytology slide at all."""
        specimen = self.evidence.specimen
        is_section = specimen is not None and specimen.rejected == SECTION
        return (Flag.CYTOLOGY_LIKE_A_SECTION,) if is_section else ()

    @property
    def unknown(self) -> int:
        """Calls that are other or unknown."""
        return sum(reason == UNKNOWN for reason in self.calls.excluded)


def examine(
    plan: ScreeningPlan,
    cells: ScreenedCells,
    *,
    calls: CallReader,
    settings: ScreeningSettings,
    cutoffs: CervicalCutoffs | None = None,
) -> Findings:
    """Apply the rules of cells: which calls are accepted, how many cells there are, what a person should see.

    Parameters
    ----------
    plan : ScreeningPlan
        Of the slide.
    cells : ScreenedCells
        All its cells.
    calls : CallReader
        For the names of its classes.
    settings : ScreeningSettings
        Preparation, age and what the laboratory accepts.
    cutoffs : CervicalCutoffs, optional
        With a laboratory's thresholds; those of the package by default.
    """
    seen = [REASONS.index(name) for name in SHOWN]
    rows = np.flatnonzero(cells.looked & np.isin(cells.reason, seen))
    chance = sound_chances(cells.chance[rows], cells.size[rows], codes=calls.codes)
    best = likeliest(chance, codes=calls.codes)
    codes = [calls.codes[number] for number in best]
    table = {
        "x_um": cells.x_um[rows],
        "y_um": cells.y_um[rows],
        "codes": np.array(codes, dtype=object),
        "probability": np.clip(chance[np.arange(len(rows)), best], 0.0, 1.0),
        "cells": cells.group_cells[rows].astype(np.int64),
    }
    spoilt = np.array(REASONS)[cells.reason[rows]]
    why = np.where((spoilt == "") & cells.unknown[rows], UNKNOWN, spoilt)
    counted = CallTable.of(**table, excluded=why)
    suspicions = suspicion(chance, codes=calls.codes) if len(rows) else np.empty(0)
    # What the classifier does not know, or what lies out of focus or in a thick group, may be the very cell
    # to look at: the gallery shows it and the risk counts it all the same.
    gallery = rank_gallery(CallTable.of(**table), suspicions, cutoffs=cutoffs) if len(rows) else ()
    evidence = CervicalEvidence(
        calls=count_calls(counted, cutoffs=cutoffs),
        judged=int((cells.reason == 0).sum()),
        specimen=_specimen(plan, cells, settings),
        age=settings.age,
    )
    return Findings(cells, rows, counted, suspicions, gallery, evidence, slide_risk(suspicions))


def sound_chances(
    chance: NDArray[np.floating], size: NDArray[np.floating], *, codes: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return probabilities in which no nucleus smaller than normal ones is a lesion's.

    Parameters
    ----------
    chance : (N, K) array
        Of the classifier.
    size : (N,) array
        R of each nucleus.
    codes : tuple of str
        Of the classes.

    Returns
    -------
    (N, K) array
        Rows of small nuclei, lobes of neutrophils most of them, give what they had for lesions to NILM.
    """
    found = np.asarray(chance, np.float64).copy()
    normal = codes.index(NILM)
    limits = cervical_cutoffs()
    lesions = np.flatnonzero([k != normal and code not in limits.findings for k, code in enumerate(codes)])
    small = np.flatnonzero(size < LEAST_SIZE)
    moved = found[np.ix_(small, lesions)].sum(axis=1)
    found[small, normal] += moved
    found[np.ix_(small, lesions)] = 0.0
    return found


def likeliest(chance: NDArray[np.float64], *, codes: tuple[str, ...]) -> NDArray[np.intp]:
    """Return the class of each object: the likeliest; of organisms only one that may be accepted.

    What might be an organism, but is not likely enough to be one, must not hide what else it might be.
    """
    limits = cervical_cutoffs()
    findings = np.array([code in limits.findings for code in codes])
    shown = np.where(findings & (chance < float(limits.finding_threshold)), -1.0, chance)
    return np.asarray(shown.argmax(axis=1), np.intp)


def _specimen(plan: ScreeningPlan, cells: ScreenedCells, settings: ScreeningSettings) -> AdequacyEvidence:
    """Return what was measured of the specimen."""
    kinds = {name: int(cells.of_kind(name).sum()) for name in KINDS}
    hidden, covered = plan.obscured()
    return AdequacyEvidence(
        preparation=settings.preparation,
        squamous=_squamous(plan, cells, settings.preparation),
        obscured=(hidden, covered) if covered else None,
        transformation_zone_cells=count_for_adequacy(kinds)[1],
        lower_count=settings.lower_count,
        rejected=SECTION if cells.are_like_a_section(plan.areas_mm2()["assessed"]) else None,
    )


def _squamous(plan: ScreeningPlan, cells: ScreenedCells, preparation: str) -> CellEstimate | None:
    """Estimate the squamous cells of the whole preparation from the blocks of the scanned area."""
    x0, y0 = (edge * plan.level0_mpp for edge in plan.origin)
    width, height = _scanned_um(plan)
    side = min(BLOCK_UM, float(np.sqrt(width * height / LEAST_BLOCKS)))
    edges = [np.append(np.arange(0.0, length, side), length) for length in (width, height)]
    mature = cells.of_kind("superficial") | cells.of_kind("intermediate")
    counts, _, _ = np.histogram2d(cells.x_um[mature] - x0, cells.y_um[mature] - y0, bins=edges)
    areas = np.outer(np.diff(edges[0]), np.diff(edges[1])) / 1e6
    unseen = min(plan.unseen_mm2, 0.99 * float(areas.sum()))
    areas *= 1 - unseen / float(areas.sum())
    return squamous_cells_by_area(counts.ravel().astype(np.int64), areas.ravel(), preparation=preparation)


def _scanned_um(plan: ScreeningPlan) -> tuple[float, float]:
    """Return width and height of what was scanned, um."""
    width = plan.grid.width * plan.mpp - plan.origin[0] * plan.level0_mpp
    return width, plan.scanned_mm2 * 1e6 / width
