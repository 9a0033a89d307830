"""Average precision: how well a detector's confidence ranks its right points above its wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .matching import _pairs_within, _positions


@dataclass(frozen=True, slots=True)
class ScoredPoints:
    """What was detected and what was annotated in one image."""

    predicted_um: ArrayLike = field(repr=False)
    """Detected points, um: (N, 2)."""
    scores: ArrayLike = field(repr=False)
    """The detector's confidence in each: (N,), higher is surer."""
    annotated_um: ArrayLike = field(repr=False)
    """Annotated points, um: (M, 2)."""


def average_precision(images: Sequence[ScoredPoints], *, radius_um: float) -> float | None:
    """Return the area under the interpolated curve of precision against recall, all images pooled.

    Within an image the points are matched one to one by falling score: each takes the nearest annotated
    point within the radius that is still free.

    Parameters
    ----------
    images : sequence of ScoredPoints
        Detected and annotated points of each image.
    radius_um : float
        Largest distance of a pair, um, itself allowed.

    Returns
    -------
    float or None
        0-1; None without annotated points.

    Raises
    ------
    InvalidTableError
        If points are no (N, 2) tables of finite numbers, or scores are not one number per point.
    SettingsError
        If ``radius_um`` is not positive and finite.

    Notes
    -----
    Precision at a recall is the best precision at that recall or a higher one, for every recall reached and
    not at eleven steps. Points of equal score enter the curve together; among them the one given first
    chooses first.

    References
    ----------
    .. [1] Ryu J et al., OCELOT: overlapped cell on tissue dataset for histopathology, CVPR 2023 (matching).
    .. [2] Everingham M et al., The PASCAL visual object classes challenge: a retrospective, Int J Comput Vis
       2015, 111:98 (the curve).
    """
    if not 0 < radius_um < np.inf:
        raise SettingsError(
            f"a matching radius of {radius_um} um", "Use a positive radius; 3 um suits nuclei."
        )
    annotated_total = 0
    hits, scores = [np.empty(0, dtype=bool)], [np.empty(0)]
    for image in images:
        predicted, annotated = _positions(image.predicted_um), _positions(image.annotated_um)
        score = _scores(image.scores, count=len(predicted))
        order = np.argsort(-score, kind="stable")
        annotated_total += len(annotated)
        hits.append(_greedy_hits(predicted[order], annotated, radius=radius_um))
        scores.append(score[order])
    if annotated_total == 0:
        return None
    return _area(np.concatenate(hits), np.concatenate(scores), annotated_total=annotated_total)


def _scores(values: ArrayLike, *, count: int) -> NDArray[np.float64]:
    """Return the scores, checked against the number of points."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.size == 0 == count:
        return np.empty(0)
    if scores.shape != (count,) or np.isnan(scores).any():
        raise InvalidTableError(
            f"scores of shape {scores.shape} for {count} points", "Give one number per detected point."
        )
    return scores


def _greedy_hits(
    predicted: NDArray[np.float64], annotated: NDArray[np.float64], *, radius: float
) -> NDArray[np.bool_]:
    """Tell which points, given surest first, get a partner when each takes the nearest one still free.

    All points that nobody surer can disturb are settled in one round, so few rounds do.
    """
    hit = np.zeros(len(predicted), dtype=bool)
    row, column, distance = _pairs_within(predicted, annotated, radius)
    nearest_first = np.lexsort((column, distance, row))
    row, column = row[nearest_first], column[nearest_first]
    while row.size:
        asking, first = np.unique(row, return_index=True)
        wanted = column[first]
        surest = np.full(len(annotated), len(predicted), dtype=np.intp)
        np.minimum.at(surest, column, row)
        settled = surest[wanted] == asking
        hit[asking[settled]] = True
        taken = np.zeros(len(annotated), dtype=bool)
        taken[wanted[settled]] = True
        open_pairs = ~taken[column] & ~hit[row]
        row, column = row[open_pairs], column[open_pairs]
    return hit


def _area(hits: NDArray[np.bool_], scores: NDArray[np.float64], *, annotated_total: int) -> float:
    """Return the area under the interpolated curve."""
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    last_of_score = np.append(scores[1:] != scores[:-1], True)[: scores.size]
    true_positives = np.cumsum(hits[order])[last_of_score]
    detected = np.flatnonzero(last_of_score) + 1
    recall = true_positives / annotated_total
    precision = np.maximum.accumulate((true_positives / detected)[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
