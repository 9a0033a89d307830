"""ER and PR immunohistochemistry: brown nuclei of three strengths among blue ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .coats import Coats
from .counterstain import DabPainter, draw_blue
from .grading import Expression, Roll, deal, mark_evenly
from .texture import Array

# Least and greatest mean DAB density inside a nucleus' outline, for negative, weak, moderate and strong
# nuclei. The bins they lie in begin at 0.2, 0.4 and 0.6: far enough from those that what a neighbour adds
# where nuclei overlap carries none across.
DAB_LOW = (0.0, 0.25, 0.45, 0.68)
DAB_HIGH = (0.06, 0.33, 0.53, 1.20)
NOISE = 1.5  # chance in a nucleus' strength against that of its patch


class ReceptorPainter(DabPainter):
    """Stains of an ER or PR slide."""

    gap_um: float = 2.0

    def __init__(self, mix: tuple[float, float, float]) -> None:
        """Take the shares of weak, moderate and strong among positive nuclei."""
        self._mix = mix

    def express(self, rng: np.random.Generator, roll: Roll) -> Expression:
        """Deal out positivity, and strengths among the positive nuclei."""
        positive = mark_evenly(roll).positive
        rank = roll.patch[positive] + NOISE * rng.standard_normal(int(positive.sum()))
        grade = np.zeros(len(positive), dtype=np.uint8)
        grade[positive] = 3 - deal(rank, self._mix[::-1], before=roll.positives_before)
        return Expression(positive, grade, Coats.none(len(positive)))

    def draw_amounts(
        self, rng: np.random.Generator, kind: NDArray[np.uint8], expression: Expression
    ) -> Array:
        """Draw hematoxylin and DAB of each nucleus, mean OD, (n, 3)."""
        n, grade = len(kind), expression.grade
        low, high = np.array(DAB_LOW)[grade], np.array(DAB_HIGH)[grade]
        skew = np.where(grade == 0, rng.beta(0.9, 3.0, n), rng.beta(1.5, 1.5, n))
        # DAB lies over the counterstain and keeps some of it out
        blue = draw_blue(rng, kind) * np.array((1.0, 0.75, 0.66, 0.6))[grade]
        return np.column_stack((blue, low + (high - low) * skew, np.zeros(n)))
