"""Ki-67 immunohistochemistry: brown nuclei among blue ones on a pale ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .counterstain import DabPainter, draw_blue
from .grading import Expression
from .texture import Array

POSITIVE_DAB = (0.28, 1.27)  # weakest and strongest positive nucleus, mean OD
NEGATIVE_DAB = 0.08  # most unspecific DAB of a negative nucleus, mean OD


class Ki67Painter(DabPainter):
    """Stains of a Ki-67 slide."""

    def draw_amounts(
        self, rng: np.random.Generator, kind: NDArray[np.uint8], expression: Expression
    ) -> Array:
        """Draw hematoxylin and DAB of each nucleus, mean OD, (n, 3)."""
        n, positive = len(kind), expression.positive
        low, high = POSITIVE_DAB
        strong = low + (high - low) * rng.beta(1.5, 1.5, n)
        weak = NEGATIVE_DAB * rng.beta(0.9, 3.0, n)
        blue = draw_blue(rng, kind)
        # DAB lies over the counterstain and keeps some of it out
        blue = np.where(positive, blue * 0.62, blue)
        return np.column_stack((blue, np.where(positive, strong, weak), np.zeros(n)))
