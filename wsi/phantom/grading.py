"""Deals a marker out to the nuclei of a chunk, so that the slide as a whole meets its shares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import TUMOUR
from .coats import Coats
from .sites import pick_evenly
from .texture import Array

GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, eq=False)
class Roll:
    """What is known of the n nuclei of a chunk when the marker is dealt out."""

    kind: NDArray[np.uint8]
    "Class of each nucleus, an index into ``CLASSES``."
    odds: Array
    "(tumour nuclei,) probability of each tumour nucleus to be positive."
    patch: Array
    "(n,) value of a smooth random field, mean 0 and standard deviation 1: neighbours are alike."
    tumour: float
    "Expected tumour nuclei in all chunks before this one."
    positive: float
    "Expected positive tumour nuclei in all chunks before this one."

    @property
    def is_tumour(self) -> NDArray[np.bool_]:
        """Tell which nuclei are of tumour."""
        return np.asarray(self.kind == TUMOUR)

    @property
    def positives_before(self) -> int:
        """Positive tumour nuclei in all chunks before."""
        return math.floor(self.positive + 0.5)

    @property
    def negatives_before(self) -> int:
        """Other tumour nuclei in all chunks before."""
        return math.floor(self.tumour + 0.5) - self.positives_before


@dataclass(frozen=True, eq=False)
class Expression:
    """How the n nuclei of a chunk express the marker."""

    positive: NDArray[np.bool_]
    grade: NDArray[np.uint8]
    "Class of the expression; its meaning is the kind's own."
    coats: Coats


def mark_evenly(roll: Roll) -> Expression:
    """Return which tumour nuclei are positive, in no pattern finer than their odds; nothing else stains."""
    positive = np.zeros(len(roll.kind), dtype=bool)
    positive[roll.is_tumour] = pick_evenly(roll.odds, start=roll.positive)
    return Expression(positive, positive.astype(np.uint8), Coats.none(len(positive)))


def mark_in_patches(rng: np.random.Generator, roll: Roll, *, noise: float) -> NDArray[np.bool_]:
    """Pick as many tumour nuclei as ``mark_evenly``, but neighbours together, (n,).

    ``noise`` is the standard deviation of chance against that of the patches.
    """
    chosen = np.zeros(len(roll.kind), dtype=bool)
    rows = np.flatnonzero(roll.is_tumour)
    count = int(pick_evenly(roll.odds, start=roll.positive).sum())
    odds = np.clip(roll.odds, 1e-6, 1.0 - 1e-6)
    rank = np.log(odds / (1.0 - odds)) + 1.5 * (roll.patch[rows] + noise * rng.standard_normal(len(rows)))
    chosen[rows[np.argsort(-rank, kind="stable")[:count]]] = True
    return chosen


def deal(rank: Array, shares: tuple[float, ...], *, before: int) -> NDArray[np.intp]:
    """Give each item a class, the first class to the highest ranks.

    Parameters
    ----------
    rank : (n,) array
        Order in which classes are given out.
    shares : tuple of float
        Share of each class, of sum 1.
    before : int
        Items dealt before these. Any run of items holds its expected numbers, within two or so: the
        golden ratio's multiples spread evenly.

    Returns
    -------
    (n,) int array
        Index into ``shares``.
    """
    point = ((before + np.arange(len(rank)) + 0.5) * GOLDEN) % 1.0
    upper = np.cumsum(shares) / math.fsum(shares)
    classes = np.searchsorted(upper[:-1], point, side="right")
    dealt = np.empty(len(rank), dtype=np.intp)
    dealt[np.argsort(-rank, kind="stable")] = np.sort(classes)
    return dealt
