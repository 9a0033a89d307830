"""The most suspicious objects of a cervical slide, in the order in which a person should see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError
from .cervical_calls import CallTable
from .cervical_cutoffs import NILM, CervicalCutoffs, cervical_cutoffs

DOUBTFUL = 0.1
"""Suspicion from which an object called an organism is shown among the cells as well (project rule): the call
may be wrong, and the object a high-grade cell."""
RISK_OBJECTS = 10
"""Worst objects that make the risk of a slide: one false call weighs less than several true ones."""


def suspicion(probabilities: ArrayLike, *, codes: Sequence[str]) -> NDArray[np.float64]:
    """Return how suspicious each object is: the probability of ASC-US or worse, weighted by severity.

    Parameters
    ----------
    probabilities : (N, K) array
        Of each object and class, calibrated, each row summing to 1 at most.
    codes : sequence of K str
        The classes; NILM and findings weigh nothing, the others their rank over the highest one.

    Returns
    -------
    (N,) array
        0-1: the sum of probability x rank / 6.

    Raises
    ------
    InvalidTableError
        If probabilities are none, or do not fit the classes.
    """
    chance = np.asarray(probabilities, dtype=np.float64)
    if chance.ndim != 2 or chance.shape[1] != len(codes):
        raise InvalidTableError(
            f"probabilities of shape {chance.shape} for {len(codes)} classes", "Give a column for each class."
        )
    if not ((chance >= 0) & (chance.sum(axis=1, keepdims=True) <= 1 + 1e-4)).all():
        raise InvalidTableError(
            "probabilities below 0, or above 1 together", "Give the classifier's calibrated probabilities."
        )
    limits = cervical_cutoffs()
    highest = max(each.rank for each in limits.classes.values())
    ranks = [0 if code in limits.findings else limits.tbs_class(code).rank for code in codes]
    return np.asarray(np.minimum(chance @ (np.array(ranks, dtype=np.float64) / highest), 1.0))


def rank_gallery(
    calls: CallTable, suspicions: ArrayLike, *, cutoffs: CervicalCutoffs | None = None
) -> tuple[int, ...]:
    """Return the rows of a slide's gallery, the most suspicious first, then organisms.

    Parameters
    ----------
    calls : CallTable
        All objects, accepted or not; excluded ones are left out.
    suspicions : (N,) array
        From ``suspicion``.
    cutoffs : CervicalCutoffs, optional
        Those of the package by default.

    Returns
    -------
    tuple of int
        At most 30 cells and groups, of which none shows the place of one before it (50 um). The best objects
        of each class are always among them, even below its threshold: as many as make a result, so that a
        person can judge each class by its best calls and mild cells are not crowded out. What was called an
        organism is among them if it may as well be a lesion (`DOUBTFUL`). Then up to 5 further ones of each
        organism, the most probable first.

    Notes
    -----
    Ties are broken by place, so the order of the table does not matter.
    """
    limits = cutoffs or cervical_cutoffs()
    score = np.asarray(suspicions, dtype=np.float64)
    if score.shape != calls.x_um.shape or not np.isfinite(score).all():
        raise InvalidTableError("suspicions that do not fit the objects", "Give one number for each object.")
    rows = [row for row in range(len(calls.codes)) if not calls.excluded[row]]
    rows.sort(key=lambda row: (-score[row], calls.y_um[row], calls.x_um[row], calls.codes[row]))
    cells = [row for row in rows if calls.codes[row] not in limits.findings]
    chosen = _best_of_classes(cells, calls, cutoffs=limits)[: limits.gallery.tiles]
    doubtful = {row for row in rows if score[row] >= DOUBTFUL}.union(cells)
    for row in (row for row in rows if row in doubtful):
        if len(chosen) >= limits.gallery.tiles:
            break
        if row not in chosen and not _is_near(row, chosen, calls, reach_um=limits.gallery.apart_um):
            chosen.append(row)
    order = {row: place for place, row in enumerate(rows)}
    left = [row for row in rows if row not in chosen]
    return (*sorted(chosen, key=order.__getitem__), *_organisms(left, calls, cutoffs=limits))


def slide_risk(suspicions: ArrayLike) -> float:
    """Return the risk by which a worklist is ordered: 1 - the product of (1 - s) over the 10 worst objects.

    0 without objects. It never falls when an object is added or becomes more suspicious. It is no
    probability of disease: what it means, only a calibration can say.
    """
    score = np.sort(np.asarray(suspicions, dtype=np.float64))[-RISK_OBJECTS:]
    if not ((score >= 0) & (score <= 1)).all():
        raise InvalidTableError("suspicions outside 0-1", "Use those of the function suspicion.")
    return float(1 - np.prod(1 - score))


def worklist_order(ranks: Sequence[float | None], risks: Sequence[float | None]) -> tuple[int, ...]:
    """Return the order in which slides should be read: unassessed ones, then by rank, then by risk.

    Parameters
    ----------
    ranks : sequence of float or None
        Of each slide's headline; None where it could not be assessed.
    risks : sequence of float or None
        From ``slide_risk``; None where there is none.
    """
    if len(ranks) != len(risks):
        raise InvalidTableError(f"{len(ranks)} ranks and {len(risks)} risks", "Give both for each slide.")
    worst = float("inf")
    keys = [
        (worst if rank is None else rank, worst if risk is None else risk)
        for rank, risk in zip(ranks, risks, strict=True)
    ]
    return tuple(sorted(range(len(keys)), key=lambda slide: (-keys[slide][0], -keys[slide][1], slide)))


def _best_of_classes(rows: Sequence[int], calls: CallTable, *, cutoffs: CervicalCutoffs) -> list[int]:
    """Return the most probable objects of each abnormal class: first one of each, then up to its count.

    The most severe class comes first; no object lies in the picture of a more probable one of its class.
    """
    best: dict[str, list[int]] = {}
    for row in sorted(rows, key=lambda row: -calls.probability[row]):  # ties stay in the order of suspicion
        code = cutoffs.tbs_class(calls.codes[row]).code
        chosen = best.setdefault(code, [])
        full = code == NILM or len(chosen) >= cutoffs.classes[code].calls
        if not full and not _is_near(row, chosen, calls, reach_um=cutoffs.gallery.apart_um):
            chosen.append(row)
    found = [code for code, chosen in best.items() if chosen]
    severe = sorted(found, key=lambda each: (-cutoffs.classes[each].rank, each))
    return [best[code][0] for code in severe] + [row for code in severe for row in best[code][1:]]


def _is_near(row: int, chosen: Sequence[int], calls: CallTable, *, reach_um: float) -> bool:
    """Whether an object lies in the picture of another one."""
    apart = np.hypot(calls.x_um[list(chosen)] - calls.x_um[row], calls.y_um[list(chosen)] - calls.y_um[row])
    return bool((apart < reach_um).any())


def _organisms(rows: Sequence[int], calls: CallTable, *, cutoffs: CervicalCutoffs) -> tuple[int, ...]:
    """Return the most probable objects of each reported organism."""
    shown: list[int] = []
    for code, finding in cutoffs.findings.items():
        if finding.kind == "organism" and finding.reported:
            members = [row for row in rows if calls.codes[row] == code]
            members.sort(key=lambda row: (-calls.probability[row], calls.y_um[row], calls.x_um[row]))
            shown += members[: cutoffs.gallery.tiles_per_organism]
    return tuple(shown)
