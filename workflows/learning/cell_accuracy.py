"""Cell classifiers held against labelled cells: temperature, reject rule, and the figures that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...models.labelled.cytology_cells import LabelledCell
from ...quantify import (
    Interval,
    bootstrap_by_patient,
    cohen_kappa,
    confusion_table,
    roc_area,
    wilson_interval,
)

if TYPE_CHECKING:
    from ...models.cell_classifier import CellClassifier

__all__ = [
    "CellFigure",
    "best_temperature",
    "crops_of_cells",
    "group_area",
    "macro_f1",
    "order_kappa",
    "reject_threshold",
    "share_right",
]

Floats = NDArray[np.floating]
Labels = NDArray[np.intp]

COLDEST, HOTTEST = 0.2, 5.0
"""Temperatures that are tried, from and to."""
RIGHT_REJECTED = 0.05
"""Share of the right calls on tuning cells that the reject rule may turn away."""


@dataclass(frozen=True)
class CellFigure:
    """One measured figure."""

    value: float | None
    interval: Interval | None
    cells: int
    """Cells that it rests on."""


def crops_of_cells(classifier: CellClassifier, cells: Sequence[LabelledCell]) -> NDArray[np.uint8]:
    """Return the crops that a classifier is shown of labelled cells: (N, side, side, 3)."""
    from ...models.training.cells.samples import load_cells, plain_crop

    side = classifier.side
    crops = [plain_crop(sample, side) for sample in load_cells(cells, mpp=classifier.mpp, side=side)]
    return np.stack(crops) if crops else np.zeros((0, side, side, 3), np.uint8)


def best_temperature(logits: Floats, truth: Labels) -> float:
    """Return the temperature under which the true classes are likeliest (Guo et al., ICML 2017).

    Parameters
    ----------
    logits : (N, K) array
        Of tuning cells, never of what is measured.
    truth : (N,) int array
        Their classes.

    Returns
    -------
    float
        1 where there are no cells.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    if not len(truth):
        return 1.0

    def surprise(log_temperature: float) -> float:
        said = log_softmax(np.asarray(logits, np.float64) / np.exp(log_temperature), axis=1)
        return -float(said[np.arange(len(truth)), truth].mean())

    ends = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    return round(float(np.exp(minimize_scalar(surprise, bounds=ends, method="bounded").x)), 4)


def reject_threshold(probabilities: Floats, truth: Labels) -> float:
    """Return the probability below which a call is turned away: that of the least sure 5 % of right calls.

    Parameters
    ----------
    probabilities : (N, K) array
        Calibrated, of tuning cells.
    truth : (N,) int array
        Their classes.
    """
    right = probabilities.argmax(1) == truth if len(truth) else np.zeros(0, bool)
    if not right.any():
        return 0.0
    return round(float(np.quantile(probabilities.max(1)[right], RIGHT_REJECTED)), 4)


def share_right(truth: Labels, called: Labels) -> CellFigure:
    """Return the share of calls that are right, with Wilson's interval."""
    if not len(truth):
        return CellFigure(None, None, 0)
    right = int((truth == called).sum())
    return CellFigure(right / len(truth), wilson_interval(right, len(truth)), len(truth))


def macro_f1(truth: Labels, called: Labels, cases: Sequence[str]) -> CellFigure:
    """Return the mean F1 over the classes that occur, with the interval of 2,000 draws of cases."""

    def mean(rows: Labels) -> float | None:
        scores = []
        for number in np.unique(truth[rows]):
            is_it, named = truth[rows] == number, called[rows] == number
            scores.append(2 * (is_it & named).sum() / (is_it.sum() + named.sum()))
        return float(np.mean(scores)) if scores else None

    return _drawn(mean, cases)


def order_kappa(truth: Labels, called: Labels, cases: Sequence[str], *, order: Sequence[int]) -> CellFigure:
    """Return the quadratic kappa along an order, of cells that experts and network place in it."""
    rank = {number: place for place, number in enumerate(order)}
    inside = np.array([one in rank and other in rank for one, other in zip(truth, called, strict=True)], bool)
    first, second = ([rank[int(one)] for one in column[inside]] for column in (truth, called))

    def kappa(rows: Labels) -> float | None:
        table = confusion_table(
            [first[row] for row in rows], [second[row] for row in rows], categories=list(range(len(order)))
        )
        return cohen_kappa(table, weights="quadratic")

    return _drawn(kappa, [case for case, kept in zip(cases, inside, strict=True) if kept])


def group_area(probabilities: Floats, is_ill: NDArray[np.bool_], *, group: Sequence[int]) -> CellFigure:
    """Return the area under the ROC curve of a group's probability, with DeLong's interval.

    Parameters
    ----------
    probabilities : (N, K) array
        Of the classes.
    is_ill : (N,) bool array
        Which cells belong to the group.
    group : sequence of int
        Its classes.
    """
    score = probabilities[:, list(group)].sum(1)
    found = roc_area(score[is_ill], score[~is_ill])
    if found is None:
        return CellFigure(None, None, len(is_ill))
    return CellFigure(found.value, found.logit_interval or found.interval, len(is_ill))


def _drawn(statistic: Callable[[Labels], float | None], cases: Sequence[str]) -> CellFigure:
    """Return a figure with the bootstrap interval over cases."""
    if not cases:
        return CellFigure(None, None, 0)
    everything = np.arange(len(cases))
    interval = bootstrap_by_patient(statistic, list(cases)) if len(set(cases)) > 1 else None
    return CellFigure(statistic(everything), interval, len(cases))
