"""Thresholds by class for a detector whose cells are counted: as many are found as were marked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .detector_accuracy import CANDIDATES, Comparison

__all__ = ["class_thresholds"]

STEP = 0.005
"""Between the thresholds that are tried."""


def class_thresholds(comparisons: Sequence[Comparison], classes: Sequence[str]) -> dict[str, float]:
    """Return the threshold of each class at which the number found is nearest to the number marked.

    The threshold of the highest F1 would find too many of one class and too few of another, and it is counts
    that are reported. Where nothing is known, a `Comparison` has neither marks nor detections. A class is
    tuned on the sets in which it is marked at all, and every set has the same say.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Detected and marked cells of tuning cases, faint ones too.
    classes : sequence of str
        Of the network, as the marks call them.

    Returns
    -------
    dict
        ``NAME_threshold`` for each class in small letters, and ``threshold``, the least of them.
    """
    found = {}
    for number, name in enumerate(classes):
        by_set: dict[str, list[Comparison]] = {}
        for one in comparisons:
            by_set.setdefault(one.image.set_name, []).append(one)
        told = [members for members in by_set.values() if any((one.labels == name).any() for one in members)]
        candidates = np.round(np.arange(CANDIDATES[0], CANDIDATES[-1], STEP), 3)
        errors = [
            np.mean([abs(np.log(_ratio(members, name, number, threshold))) for members in told] or [0.0])
            for threshold in candidates
        ]
        # Of equally good ones the middle: the first would be the least sure.
        best = np.flatnonzero(np.isclose(errors, np.min(errors)))
        found[f"{name.lower()}_threshold"] = float(candidates[best[len(best) // 2]])
    return {"threshold": min(found.values()), **found}


def _ratio(members: Sequence[Comparison], name: str, number: int, threshold: float) -> float:
    """Return found over marked cells of a class in some images; one more of each keeps it finite."""
    found = sum(int(((one.cells.labels == number) & (one.nucleus >= threshold)).sum()) for one in members)
    marked = sum(int((one.labels == name).sum()) for one in members)
    return (found + 1) / (marked + 1)
