"""How well outlines agree with those of experts: panoptic quality, aggregated Jaccard index and Dice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError


@dataclass(frozen=True, slots=True)
class PanopticQuality:
    """Detection and outlines in one figure; values are None where neither image holds an object."""

    pq: float | None
    """Panoptic quality, DQ times SQ, 0-1."""
    dq: float | None
    """Detection quality, TP / (TP + FP / 2 + FN / 2), 0-1."""
    sq: float | None
    """Segmentation quality, mean overlap (IoU) of the pairs, 0.5-1; 0 without a pair."""
    true_positives: int
    """Pairs that overlap by more than half of their union."""
    false_positives: int
    """Predicted objects without a partner."""
    false_negatives: int
    """True objects without a partner."""


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """Every pair of a true and a predicted object that share pixels, and all areas."""

    truth: NDArray[np.intp]
    predicted: NDArray[np.intp]
    shared: NDArray[np.int64]
    truth_area: NDArray[np.int64]
    predicted_area: NDArray[np.int64]

    @property
    def union(self) -> NDArray[np.int64]:
        """Pixels of either object of each pair."""
        both = self.truth_area[self.truth] + self.predicted_area[self.predicted]
        return np.asarray(both - self.shared)

    @property
    def nothing(self) -> bool:
        """Neither image holds an object."""
        return self.truth_area.size + self.predicted_area.size == 0


def panoptic_quality(truth_labels: ArrayLike, predicted_labels: ArrayLike) -> PanopticQuality:
    """Return the panoptic quality of one image.

    Parameters
    ----------
    truth_labels, predicted_labels : (H, W) int array
        0 is background, every other number one object.

    Returns
    -------
    PanopticQuality
        Values None if both images are empty, 0 if only one is.

    Raises
    ------
    InvalidTableError
        If the images differ in shape or are no whole numbers from 0.

    Notes
    -----
    Objects pair where the overlap is more than half of the union; no object can then have two partners. To
    pool images, add up the counts, and ``sq * true_positives`` for the sum of overlaps.

    References
    ----------
    .. [1] Kirillov A et al., Panoptic segmentation, CVPR 2019, doi:10.1109/CVPR.2019.00963.
    """
    overlaps = _overlaps(truth_labels, predicted_labels)
    union = overlaps.union
    paired = 2 * overlaps.shared > union
    pairs = int(paired.sum())
    extra, missed = overlaps.predicted_area.size - pairs, overlaps.truth_area.size - pairs
    if overlaps.nothing:
        return PanopticQuality(None, None, None, 0, 0, 0)
    detection = 2 * pairs / (2 * pairs + extra + missed)
    outlines = float((overlaps.shared[paired] / union[paired]).mean()) if pairs else 0.0
    return PanopticQuality(detection * outlines, detection, outlines, pairs, extra, missed)


def aggregated_jaccard(
    truth_labels: ArrayLike, predicted_labels: ArrayLike, *, one_to_one: bool = False
) -> float | None:
    """Return the aggregated Jaccard index: all shared pixels over all united pixels, object by object.

    Parameters
    ----------
    truth_labels, predicted_labels : (H, W) int array
        0 is background, every other number one object.
    one_to_one : bool
        False: each true object takes the prediction that overlaps it best, also one taken before (AJI).
        True: no prediction is taken twice, and the sum of overlaps (IoU) is the greatest possible (AJI+).

    Returns
    -------
    float or None
        0-1; None if both images are empty.

    Raises
    ------
    InvalidTableError
        If the images differ in shape or are no whole numbers from 0.

    Notes
    -----
    Objects left without a partner count with their whole area in the union. Equal overlaps are decided by
    which object comes first in the image, never by the numbers of the objects.

    References
    ----------
    .. [1] Kumar N et al., A dataset and a technique for generalized nuclear segmentation for computational
       pathology, IEEE Trans Med Imaging 2017, 36:1550, algorithm 1.
    .. [2] Graham S et al., HoVer-Net, Med Image Anal 2019, 58:101563 (AJI+).
    """
    overlaps = _overlaps(truth_labels, predicted_labels)
    if overlaps.nothing:
        return None
    pairs = _best_one_to_one(overlaps) if one_to_one else _best_of_each(overlaps)
    alone = overlaps.truth_area.sum() - overlaps.truth_area[overlaps.truth[pairs]].sum()
    unused = np.ones(overlaps.predicted_area.size, dtype=bool)
    unused[overlaps.predicted[pairs]] = False
    united = overlaps.union[pairs].sum() + alone + overlaps.predicted_area[unused].sum()
    return float(overlaps.shared[pairs].sum() / united)


def dice_of_masks(truth_labels: ArrayLike, predicted_labels: ArrayLike) -> float | None:
    """Return Dice's coefficient of what is object and what is background (Dice1).

    Parameters
    ----------
    truth_labels, predicted_labels : (H, W) int or bool array
        0 is background.

    Returns
    -------
    float or None
        0-1; None if both images are empty.

    Raises
    ------
    InvalidTableError
        If the images differ in shape or are no whole numbers from 0.
    """
    truth, predicted = (image > 0 for image in _label_images(truth_labels, predicted_labels))
    total = int(truth.sum()) + int(predicted.sum())
    return 2 * int((truth & predicted).sum()) / total if total else None


def dice_of_objects(truth_labels: ArrayLike, predicted_labels: ArrayLike) -> float | None:
    """Return Dice's coefficient summed over all pairs of objects that share pixels (Dice2).

    Parameters
    ----------
    truth_labels, predicted_labels : (H, W) int array
        0 is background, every other number one object.

    Returns
    -------
    float or None
        0-1; 0 if nothing overlaps; None if both images are empty.

    Raises
    ------
    InvalidTableError
        If the images differ in shape or are no whole numbers from 0.

    Notes
    -----
    An object counts once for each object it meets, so splitting and merging cost; an object that meets none
    costs nothing. Published for comparison only: panoptic quality says more.

    References
    ----------
    .. [1] Vu QD et al., Methods for segmentation and classification of digital microscopy tissue images,
       Front Bioeng Biotechnol 2019, 7:53.
    """
    overlaps = _overlaps(truth_labels, predicted_labels)
    if overlaps.nothing:
        return None
    total = int((overlaps.union + overlaps.shared).sum())
    return 2 * int(overlaps.shared.sum()) / total if total else 0.0


def _label_images(truth: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both images, checked."""
    images = np.asarray(truth), np.asarray(predicted)
    for image in images:
        if image.ndim != 2 or image.dtype.kind not in "bui" or (image.size and int(image.min()) < 0):
            raise InvalidTableError(
                f"a label image of type {image.dtype} and shape {image.shape}",
                "Give (H, W) whole numbers: 0 for background, a positive number for each object.",
            )
    if images[0].shape != images[1].shape:
        raise InvalidTableError(
            f"label images of shapes {images[0].shape} and {images[1].shape} to compare",
            "Give both at the same size.",
        )
    return images


def _overlaps(truth: ArrayLike, predicted: ArrayLike) -> _Overlaps:
    """Count the shared pixels of all pairs that share any."""
    true_image, predicted_image = _label_images(truth, predicted)
    true_object, truth_area = _numbered(true_image.ravel())
    predicted_object, predicted_area = _numbered(predicted_image.ravel())
    both = (true_object >= 0) & (predicted_object >= 0)
    code = true_object[both] * max(predicted_area.size, 1) + predicted_object[both]
    codes, shared = np.unique(code, return_counts=True)
    rows, columns = np.divmod(codes, max(predicted_area.size, 1))
    return _Overlaps(rows, columns, shared.astype(np.int64), truth_area, predicted_area)


def _numbered(labels: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Number objects by their first pixel, -1 for background; return that and the areas."""
    inside = np.flatnonzero(labels)
    _, first, inverse, areas = np.unique(
        labels[inside], return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    rank = np.empty(order.size, dtype=np.intp)
    rank[order] = np.arange(order.size)
    number = np.full(labels.size, -1, dtype=np.intp)
    number[inside] = rank[inverse]
    return number, areas[order].astype(np.int64)


def _best_of_each(overlaps: _Overlaps) -> NDArray[np.intp]:
    """Return for each true object that meets any the number of its pair of greatest overlap."""
    overlap = overlaps.shared / overlaps.union
    order = np.lexsort((overlaps.predicted, -overlap, overlaps.truth))
    _, first = np.unique(overlaps.truth[order], return_index=True)
    return np.asarray(order[first])


def _best_one_to_one(overlaps: _Overlaps) -> NDArray[np.intp]:
    """Return the numbers of the pairs, no object in two, whose overlaps have the greatest sum."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    if overlaps.shared.size == 0:
        return np.empty(0, dtype=np.intp)
    true_count, predicted_count = overlaps.truth_area.size, overlaps.predicted_area.size
    rows = np.arange(true_count)
    # every true object may take an empty partner of its own; costs stay above 0, which means "no pair" here
    cost = np.concatenate((2 - overlaps.shared / overlaps.union, np.full(true_count, 2.0)))
    where = (
        np.concatenate((overlaps.truth, rows)),
        np.concatenate((overlaps.predicted, predicted_count + rows)),
    )
    taken: Any = min_weight_full_bipartite_matching(
        csr_array((cost, where), shape=(true_count, predicted_count + true_count))
    )
    partner = np.full(true_count, -1, dtype=np.intp)
    partner[taken[0]] = taken[1]
    return np.flatnonzero(partner[overlaps.truth] == overlaps.predicted)
