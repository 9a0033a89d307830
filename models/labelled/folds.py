"""Folds of patients: every patient in one fold only, every class in every fold."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...errors import InvalidTableError, SettingsError
from .colorectal import GradedImage

__all__ = ["patient_folds", "split_graded"]

TUNING_FOLDS = 8
"""One of so many parts of the patients to learn from chooses temperature and thresholds instead."""
SALT = "slidelab-folds-1"


def patient_folds(
    patients: Sequence[str], labels: Sequence[str], *, folds: int = 4, seed: int = 0, complete: bool = True
) -> dict[str, int]:
    """Return the fold of each patient, with the classes of the images spread evenly.

    Patients are dealt out one by one, those with images of the rarest class first; each goes to the fold
    that lacks most of the patient's classes. Ties are broken by a digest of name and seed, so nothing
    depends on the order of the images.

    Parameters
    ----------
    patients, labels : (N,) sequence of str
        Patient and class of each image; a patient may have images of several classes.
    folds : int
        How many.
    seed : int
        Another seed, other folds.
    complete : bool
        Whether every fold must have every class.

    Returns
    -------
    dict
        Fold, from 0, by patient.

    Raises
    ------
    InvalidTableError
        If the lists differ in length, or a class has too few patients for ``complete`` folds.
    SettingsError
        If there are fewer than two folds.
    """
    if folds < 2:
        raise SettingsError(f"{folds} folds", "Give two or more.")
    if len(patients) != len(labels):
        raise InvalidTableError(
            f"{len(patients)} patients and {len(labels)} labels", "Give one of each per image."
        )
    if not patients:
        return {}
    pairs = Counter(zip(patients, labels, strict=True))
    of_class = Counter(label for _, label in pairs)
    scarce = [label for label, count in of_class.items() if count < folds]
    if scarce and complete:
        raise InvalidTableError(
            f"{scarce[0]}: {of_class[scarce[0]]} patients for {folds} folds", "Take fewer folds."
        )
    classes = sorted(of_class, key=lambda label: (of_class[label], label))
    counts = {
        patient: np.array([pairs[patient, label] for label in classes], float) for patient in set(patients)
    }
    # Images of a class weigh by its rarity: one of few serrated adenomas is worth many carcinomas.
    weights = 1.0 / np.sum(list(counts.values()), axis=0)

    def order(patient: str) -> tuple[int, float, str]:
        has = np.flatnonzero(counts[patient])
        return int(has[0]), -float(counts[patient] @ weights), _digest(patient, seed)

    filled = np.zeros((folds, len(classes)))
    fold_of: dict[str, int] = {}
    for patient in sorted(counts, key=order):
        share = filled * weights
        load = (share * (counts[patient] > 0)).sum(1) + 1e-3 * share.sum(1)
        best = int(np.lexsort(([_digest(f"{patient}/{fold}", seed) for fold in range(folds)], load))[0])
        filled[best] += counts[patient]
        fold_of[patient] = best
    return fold_of


def _digest(text: str, seed: int) -> str:
    """Return a digest that orders names without regard to what they mean."""
    return hashlib.sha256(f"{SALT}:{seed}:{text}".encode()).hexdigest()


def split_graded(
    images: Sequence[GradedImage], *, fold: int | None = 0, folds: int = 4, seed: int = 0
) -> dict[str, list[GradedImage]]:
    """Divide graded images into the parts training, tuning and validation, by patient.

    Parameters
    ----------
    images : sequence of GradedImage
        Those with a class, of one set.
    fold : int or None
        Which fold is validation; None: none, all patients are for learning and tuning.
    folds, seed : int
        Of `patient_folds`.

    Returns
    -------
    dict
        Images by part; an eighth of the patients that are not validation is tuning.
    """
    if fold is not None and not 0 <= fold < folds:
        raise SettingsError(f"fold {fold} of {folds}", f"Choose from 0 to {folds - 1}.")
    outer = patient_folds([one.case for one in images], [one.label for one in images], folds=folds, seed=seed)
    rest = [image for image in images if fold is None or outer[image.case] != fold]
    inner = patient_folds(
        [one.case for one in rest],
        [one.label for one in rest],
        folds=TUNING_FOLDS,
        seed=seed + 1,
        complete=False,
    )
    return {
        "training": [image for image in rest if inner[image.case] != 0],
        "tuning": [image for image in rest if inner[image.case] == 0],
        "validation": [image for image in images if fold is not None and outer[image.case] == fold],
    }
