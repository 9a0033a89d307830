"""Counts by square field: what a bootstrap resamples, since neighbouring nuclei resemble each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError

FIELD_SIDE_UM = 500.0
"""Side of a square field, um: about one high-power field (0.25 mm²)."""


@dataclass(frozen=True, slots=True)
class FieldCounts:
    """Positive and all tumour nuclei of each field that holds any, ordered by row, then column."""

    positives: NDArray[np.int64]
    """(F,)"""
    totals: NDArray[np.int64]
    """(F,)"""


def count_by_field(
    x_um: ArrayLike, y_um: ArrayLike, positive: ArrayLike, *, side_um: float = FIELD_SIDE_UM
) -> FieldCounts:
    """Count nuclei in the squares of a regular grid that starts at the origin.

    Parameters
    ----------
    x_um, y_um : (N,) array
        Nuclei, um.
    positive : (N,) array of bool
        Whether each is stained.
    side_um : float
        Side of a field, um.

    Returns
    -------
    FieldCounts
        Only fields with nuclei; squares are half open, so each nucleus is in exactly one.

    Raises
    ------
    InvalidTableError
        If the columns differ in length, hold NaN, or ``positive`` is not true/false.
    SettingsError
        If ``side_um`` is not positive.
    """
    x, y, stained = check_cells(x_um, y_um, positive)
    if not side_um > 0:
        raise SettingsError(
            f"a field side of {side_um} um", f"Use a positive length, {FIELD_SIDE_UM:g} um say."
        )
    column, row = np.floor(x / side_um), np.floor(y / side_um)
    order = np.lexsort((column, row))
    column, row, stained = column[order], row[order], stained[order]
    is_first = np.ones(x.size, dtype=bool)
    is_first[1:] = (np.diff(column) != 0) | (np.diff(row) != 0)
    field = np.cumsum(is_first) - 1
    fields = int(is_first.sum())
    return FieldCounts(np.bincount(field[stained], minlength=fields), np.bincount(field, minlength=fields))


def check_cells(
    x_um: ArrayLike, y_um: ArrayLike, positive: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return positions and stain of nuclei as arrays of one length, or say what is wrong with them."""
    x, y = np.asarray(x_um, dtype=np.float64), np.asarray(y_um, dtype=np.float64)
    stained = np.asarray(positive)
    if x.ndim != 1 or not x.shape == y.shape == stained.shape:
        raise InvalidTableError(
            f"nuclei with x {x.shape}, y {y.shape} and stain {stained.shape}",
            "Give three columns of one length.",
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidTableError(
            "nuclei with NaN or infinite positions", "Drop those rows or repair the table."
        )
    if stained.dtype != np.bool_ and not np.isin(stained, (0, 1)).all():
        raise InvalidTableError(
            f"stain of type {stained.dtype} is not true or false", "Compare the stain with a threshold first."
        )
    return x, y, stained.astype(np.bool_)
