"""How well signet-ring cells are found: recall over false detections, as the DigestPath challenge measured.

A cell is found if the centre of a detection lies in its box; detections choose in the order of their scores,
each takes the free box whose centre is nearest, and no box is taken twice. Where cells lie crowded some were
not marked, so detections without a box count as false only in crops that hold no such cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError
from ...models import CellTable
from ...models.labelled.signet import SignetCrop
from ...quantify import Interval, bootstrap_by_patient

__all__ = ["CropScores", "FrocPoint", "SignetAccuracy", "match_boxes", "measure_signet", "score_crop"]

MISSED = 0.0
"""Score of a cell that no detection found."""
RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False detections per crop at which recall is read."""


@dataclass(frozen=True)
class CropScores:
    """One crop: what was found of what is there."""

    patient: str
    """Who it is from."""
    holds_none: bool
    """Whether every detection in it is false."""
    boxes: NDArray[np.float64] = field(repr=False)
    """Score of the detection that found each marked cell, 0 where none did: (B,)."""
    detections: NDArray[np.float64] = field(repr=False)
    """Scores of all detections: (N,)."""


@dataclass(frozen=True)
class FrocPoint:
    """Recall where a number of false detections is allowed, or a threshold set."""

    false_per_crop: float
    """False detections per crop that holds none."""
    recall: float
    """Share of marked cells that were found."""
    threshold: float
    """Detections above it count."""
    recall_interval: Interval | None
    """95 %, by patient."""
    false_interval: Interval | None = None
    """95 %, by patient; absent where the number is given."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""

        def ends(interval: Interval | None) -> list[float] | None:
            return None if interval is None else [interval.low, interval.high]

        return {
            "false_per_crop": self.false_per_crop,
            "recall": self.recall,
            "threshold": self.threshold,
            "recall_interval": ends(self.recall_interval),
            "false_interval": ends(self.false_interval),
        }


@dataclass(frozen=True)
class SignetAccuracy:
    """A detector on crops with and without signet-ring cells."""

    crops_with: int
    """Crops with marked cells."""
    crops_without: int
    """Crops that hold none."""
    patients_with: int
    patients_without: int
    cells: int
    """Marked cells."""
    curve: tuple[FrocPoint, ...]
    """At `RATES`."""
    working: FrocPoint | None
    """At the detector's own threshold; None without one."""
    found_per_cell: float | None
    """Detections at that threshold per marked cell, in crops with marked cells: how many more it finds than
    were marked."""
    clean_share: float | None
    """Share of crops without cells in which nothing is found at that threshold."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "crops_with": self.crops_with,
            "crops_without": self.crops_without,
            "patients_with": self.patients_with,
            "patients_without": self.patients_without,
            "cells": self.cells,
            "curve": [point.to_json() for point in self.curve],
            "working": None if self.working is None else self.working.to_json(),
            "found_per_cell": self.found_per_cell,
            "clean_share": self.clean_share,
        }


def match_boxes(
    points: NDArray[np.float64], scores: NDArray[np.float64], boxes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give each box the best free detection whose centre lies in it.

    The matching at a threshold is the part of this one that lies above it, as detections choose in the order
    of their scores.

    Parameters
    ----------
    points : (N, 2) float array
        Centres x, y of detections, px.
    scores : (N,) float array
        Above 0; of equal ones the earlier chooses first.
    boxes : (B, 4) float array
        Left, top, right, bottom, px; the border belongs to the box.

    Returns
    -------
    (B,) float array
        Score of the detection that took the box, 0 where none did.
    """
    taken = np.full(len(boxes), MISSED)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    for row in np.argsort(-scores, kind="stable"):
        x, y = points[row]
        inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
        free = np.flatnonzero(inside & (taken == MISSED))
        if len(free):
            away = np.hypot(*(middles[free] - points[row]).T)
            taken[free[away.argmin()]] = scores[row]
    return taken


def score_crop(cells: CellTable, crop: SignetCrop) -> CropScores:
    """Put what was found (px of the crop) beside what was marked."""
    scores = cells.probability.astype(np.float64)
    # Small crops are enlarged with white to multiples of the stride: nothing there is of the crop.
    inside = (cells.x >= 0) & (cells.x < crop.size[0]) & (cells.y >= 0) & (cells.y < crop.size[1])
    points = np.column_stack([cells.x, cells.y])[inside]
    return CropScores(
        crop.patient, crop.holds_none, match_boxes(points, scores[inside], crop.boxes), scores[inside]
    )


def measure_signet(crops: Sequence[CropScores], *, threshold: float | None = None) -> SignetAccuracy:
    """Return recall over false detections, with intervals that draw whole patients.

    Parameters
    ----------
    crops : sequence of CropScores
        From `score_crop`, down to scores well below the threshold.
    threshold : float, optional
        The detector's own.

    Raises
    ------
    InvalidTableError
        If no cell is marked, or no crop is known to hold none.
    """
    table = _Table(crops)
    rows = np.arange(len(crops))
    if table.recall(rows, 0.0) is None or not table.empty.any():
        raise InvalidTableError(
            "recall over false detections needs marked cells and crops that hold none",
            "Choose another part of the set.",
        )
    curve = tuple(table.at_rate(rate) for rate in RATES)
    with_cells = [crop for crop in crops if len(crop.boxes)]
    cells = sum(len(crop.boxes) for crop in with_cells)
    found = clean = None
    if threshold is not None:
        found = float(sum((crop.detections >= threshold).sum() for crop in with_cells) / cells)
        empty = [crop.detections for crop in crops if crop.holds_none]
        clean = float(np.mean([not (scores >= threshold).any() for scores in empty]))
    return SignetAccuracy(
        crops_with=len(with_cells),
        crops_without=int(table.empty.sum()),
        patients_with=len({crop.patient for crop in with_cells}),
        patients_without=len({crop.patient for crop in crops if crop.holds_none}),
        cells=cells,
        curve=curve,
        working=None if threshold is None else table.at_threshold(threshold),
        found_per_cell=found,
        clean_share=clean,
    )


class _Table:
    """Scores of all crops, to be read for any choice of crops."""

    def __init__(self, crops: Iterable[CropScores]) -> None:
        self.crops = list(crops)
        self.patients = [crop.patient for crop in self.crops]
        self.empty = np.array([crop.holds_none for crop in self.crops], bool)

    def recall(self, rows: NDArray[np.intp], threshold: float) -> float | None:
        """Share of marked cells of some crops that were found above a threshold."""
        scores = [self.crops[row].boxes for row in rows]
        every = np.concatenate(scores) if scores else np.empty(0)
        return float((every > threshold).mean()) if len(every) else None

    def false_per_crop(self, rows: NDArray[np.intp], threshold: float) -> float | None:
        """False detections above a threshold per crop that holds none."""
        empty = rows[self.empty[rows]]
        if not len(empty):
            return None
        return float(np.mean([(self.crops[row].detections > threshold).sum() for row in empty]))

    def threshold(self, rows: NDArray[np.intp], rate: float) -> float | None:
        """The lowest threshold above which no more false detections lie than allowed."""
        empty = rows[self.empty[rows]]
        if not len(empty):
            return None
        scores = np.sort(np.concatenate([self.crops[row].detections for row in empty]))[::-1]
        allowed = int(rate * len(empty))
        return float(scores[allowed]) if len(scores) > allowed else 0.0

    def at_rate(self, rate: float) -> FrocPoint:
        """Recall where so many false detections are allowed."""

        def statistic(rows: NDArray[np.intp]) -> float | None:
            threshold = self.threshold(rows, rate)
            return None if threshold is None else self.recall(rows, threshold)

        everything = np.arange(len(self.crops))
        threshold = self.threshold(everything, rate)
        return FrocPoint(
            rate,
            statistic(everything) or 0.0,
            threshold or 0.0,
            bootstrap_by_patient(statistic, self.patients),
        )

    def at_threshold(self, threshold: float) -> FrocPoint:
        """Recall and false detections at a threshold that was set before."""
        below = float(np.nextafter(threshold, 0.0))  # the threshold itself counts

        def of(measure: Callable[[NDArray[np.intp], float], float | None]) -> tuple[float, Interval | None]:
            value = measure(np.arange(len(self.crops)), below) or 0.0
            return value, bootstrap_by_patient(lambda rows: measure(rows, below), self.patients)

        recall, recall_interval = of(self.recall)
        rate, false_interval = of(self.false_per_crop)
        return FrocPoint(rate, recall, threshold, recall_interval, false_interval)
