"""How well glands were outlined, as the GlaS challenge scored it: Dice and Hausdorff distance by object."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError


def object_dice(truth_labels: ArrayLike, predicted_labels: ArrayLike) -> float | None:
    """Return the object-level Dice coefficient of the GlaS challenge.

    Parameters
    ----------
    truth_labels, predicted_labels : (H, W) int array
        0 is background, every other number one object.

    Returns
    -------
    float or None
        0-1: the mean of two area-weighted means, of each true object's Dice with the prediction that
        overlaps it most and the other way round. None if both images are empty.

    Raises
    ------
    InvalidTableError
        If the images differ in shape.

    References
    ----------
    .. [1] Sirinukunwattana K et al., Gland segmentation in colon histology images: the GlaS challenge
       contest, Med Image Anal 2017, 35:489, section 4.
    """
    truth, predicted = _pair(truth_labels, predicted_labels)
    shared, true_area, predicted_area = _table(truth, predicted)
    if not true_area.size + predicted_area.size:
        return None
    dice = 2 * shared / np.add.outer(true_area, predicted_area)
    sides = [_best_dice(dice, shared, true_area), _best_dice(dice.T, shared.T, predicted_area)]
    return float(np.mean(sides))


def object_hausdorff(truth_labels: ArrayLike, predicted_labels: ArrayLike) -> float | None:
    """Return the object-level Hausdorff distance of the GlaS challenge.

    Parameters
    ----------
    truth_labels, predicted_labels : (H, W) int array
        0 is background, every other number one object.

    Returns
    -------
    float or None
        px, the mean of two area-weighted means as in `object_dice`; an object that overlaps none is held
        against the nearest one by that distance. None if either image is empty.

    Raises
    ------
    InvalidTableError
        If the images differ in shape.
    """
    truth, predicted = _pair(truth_labels, predicted_labels)
    shared, true_area, predicted_area = _table(truth, predicted)
    if not true_area.size or not predicted_area.size:
        return None
    true_points, predicted_points = _borders(truth), _borders(predicted)
    sides = [
        _weighted_distance(true_points, predicted_points, shared, true_area),
        _weighted_distance(predicted_points, true_points, shared.T, predicted_area),
    ]
    return float(np.mean(sides))


def _pair(truth: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return both images with objects numbered from 1 without gaps."""
    images = np.asarray(truth), np.asarray(predicted)
    if images[0].ndim != 2 or images[0].shape != images[1].shape:
        raise InvalidTableError(
            f"label images of shapes {images[0].shape} and {images[1].shape} to compare",
            "Give both (H, W) at the same size.",
        )
    first, second = (_numbered(image) for image in images)
    return first, second


def _numbered(image: NDArray[np.generic]) -> NDArray[np.int64]:
    """Number objects from 1 without gaps."""
    names, inverse = np.unique(image, return_inverse=True)
    numbers = np.cumsum(names != 0) * (names != 0)
    return np.asarray(numbers[inverse].reshape(image.shape), np.int64)


def _table(
    truth: NDArray[np.int64], predicted: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the shared pixels of every true (rows) and predicted object, and both lists of areas."""
    rows, columns = int(truth.max(initial=0)) + 1, int(predicted.max(initial=0)) + 1
    table = np.bincount((truth * columns + predicted).ravel(), minlength=rows * columns)
    table = table.reshape(rows, columns)
    return table[1:, 1:], table.sum(1)[1:], table.sum(0)[1:]


def _best_dice(dice: NDArray[np.float64], shared: NDArray[np.int64], area: NDArray[np.int64]) -> float:
    """Return the area-weighted mean Dice of each object with the one that it shares most pixels with."""
    if not area.size or not shared.shape[1]:
        return 0.0
    best = dice[np.arange(len(area)), shared.argmax(1)]
    return float((best * area).sum() / area.sum())


def _borders(labels: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Return the border pixels of each object, (N, 2); Hausdorff distances are found between borders."""
    padded = np.pad(labels, 1)
    centre = padded[1:-1, 1:-1]
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    edge = (centre > 0) & np.any([side != centre for side in around], axis=0)
    places = np.argwhere(edge)
    owner = labels[edge]
    order = np.argsort(owner, kind="stable")
    return np.split(places[order], np.cumsum(np.bincount(owner, minlength=labels.max() + 1)[1:])[:-1])


def _weighted_distance(
    own: list[NDArray[np.intp]],
    others: list[NDArray[np.intp]],
    shared: NDArray[np.int64],
    area: NDArray[np.int64],
) -> float:
    """Return the area-weighted mean distance of each object to its partner."""
    distances = []
    for number, points in enumerate(own):
        if shared[number].any():
            distances.append(_hausdorff(points, others[int(shared[number].argmax())]))
        else:
            distances.append(min(_hausdorff(points, other) for other in others))
    return float((np.array(distances) * area).sum() / area.sum())


def _hausdorff(first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
    """Return the greatest distance from a point of either list to the nearest of the other, px."""
    from scipy.spatial import cKDTree

    there = cKDTree(second).query(first)[0].max()
    back = cKDTree(first).query(second)[0].max()
    return float(max(there, back))
