"""Average precision of boxes: how well a detector's confidence ranks its right boxes above its wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .average_precision import _area

__all__ = ["ScoredBoxes", "box_average_precision", "box_hits", "box_overlaps"]


@dataclass(frozen=True, slots=True)
class ScoredBoxes:
    """What was detected and what was annotated in one image, of one class."""

    predicted: ArrayLike = field(repr=False)
    """Left, top, right, bottom: (N, 4)."""
    scores: ArrayLike = field(repr=False)
    """The detector's confidence in each: (N,), higher is surer."""
    annotated: ArrayLike = field(repr=False)
    """(M, 4)."""


def box_overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of each box of one list with each of another: (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1) for boxes in (first, second)]
    total = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(np.divide(shared, total, out=np.zeros_like(shared), where=total > 0))


def box_hits(image: ScoredBoxes, *, least_overlap: float = 0.5) -> NDArray[np.intp]:
    """Return the annotated box that each detected one is matched with, -1 for none: (N,).

    By falling score each takes the free annotated box that it overlaps most, if by ``least_overlap`` or more.
    """
    predicted, annotated = _boxes(image.predicted), _boxes(image.annotated)
    scores = np.asarray(image.scores, np.float64).reshape(-1)
    if len(scores) != len(predicted):
        raise InvalidTableError(f"{len(scores)} scores for {len(predicted)} boxes", "Give one score per box.")
    overlaps = box_overlaps(predicted, annotated)
    matched = np.full(len(predicted), -1, np.intp)
    if not len(annotated):
        return matched
    for row in np.argsort(-scores, kind="stable"):
        best = int(overlaps[row].argmax())
        if overlaps[row, best] >= least_overlap:
            matched[row] = best
            overlaps[:, best] = -1.0
    return matched


def box_average_precision(images: Sequence[ScoredBoxes], *, least_overlap: float = 0.5) -> float | None:
    """Return the area under the interpolated curve of precision against recall, all images pooled.

    Parameters
    ----------
    images : sequence of ScoredBoxes
        Detected and annotated boxes of each image.
    least_overlap : float
        Least intersection over union of a pair, over 0 and up to 1.

    Returns
    -------
    float or None
        0-1; None without annotated boxes.

    Raises
    ------
    InvalidTableError
        If boxes are no (N, 4) tables, or scores are not one number per box.
    SettingsError
        If ``least_overlap`` is no share.

    References
    ----------
    .. [1] Everingham M et al., The PASCAL visual object classes challenge: a retrospective, Int J Comput Vis
       2015, 111:98 (the curve).
    """
    if not 0 < least_overlap <= 1:
        raise SettingsError(f"a least overlap of {least_overlap}", "Use a share over 0, such as 0.5.")
    total = sum(len(_boxes(image.annotated)) for image in images)
    if not total:
        return None
    hits = [np.empty(0, bool), *(box_hits(image, least_overlap=least_overlap) >= 0 for image in images)]
    scores = [np.empty(0), *(np.asarray(image.scores, np.float64).reshape(-1) for image in images)]
    return _area(np.concatenate(hits), np.concatenate(scores), annotated_total=total)


def _boxes(values: ArrayLike) -> NDArray[np.float64]:
    """Return boxes as a table."""
    boxes = np.asarray(values, np.float64)
    if boxes.size == 0:
        return np.empty((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InvalidTableError(f"boxes of shape {boxes.shape}", "Give left, top, right and bottom of each.")
    return boxes
