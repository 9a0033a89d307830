"""HER2 immunohistochemistry: brown membranes, from a faint touch to a closed thick ring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cells import TUMOUR
from .coats import draw_coats
from .counterstain import DabPainter, draw_blue
from .grading import Expression, Roll, deal, mark_in_patches
from .texture import Array

MEMBRANES = ("NO", "IF", "IM", "CW", "CI")
"""Classes of membrane by grade: none, incomplete faint or stronger, complete weak or intense."""

# Least and greatest density and completeness of each class. Densities keep off the borders at 0.2, 0.4
# and 0.6, and more so off those below them: a lens takes some off a line this thin.
MEMBRANE_LOW = (0.0, 0.30, 0.58, 0.30, 0.90)
MEMBRANE_HIGH = (0.0, 0.36, 1.00, 0.53, 1.40)
COVER_LOW = (0.0, 0.30, 0.30, 0.95, 0.95)
COVER_HIGH = (0.0, 0.75, 0.75, 1.00, 1.00)
NOISE = 0.8  # chance in a cell's class against that of its patch
FAINT_CYTOPLASM = 0.08  # share of cells that have some, which is no membrane
SPREAD_UM = (3.4, 4.3)


class Her2Painter(DabPainter):
    """Stains of a HER2 slide."""

    covering: tuple[float, ...] = (0.85, 0.0, 0.5)
    gap_um: float = 2.4
    has_coats: bool = True

    def __init__(self, mix: tuple[float, ...]) -> None:
        """Take the shares of CI, CW, IM, IF and NO."""
        self._rest = mix[1:] if sum(mix[1:]) > 0.0 else (0.0, 0.0, 0.0, 1.0)

    def express(self, rng: np.random.Generator, roll: Roll) -> Expression:
        """Deal out the classes of membrane to the tumour cells, and draw the membranes."""
        positive = mark_in_patches(rng, roll, noise=NOISE)
        rest = roll.is_tumour & ~positive
        rank = roll.patch[rest] + NOISE * rng.standard_normal(int(rest.sum()))
        grade = np.zeros(len(positive), dtype=np.uint8)
        grade[rest] = 3 - deal(rank, self._rest, before=roll.negatives_before)
        grade[positive] = MEMBRANES.index("CI")
        n, tumour = len(grade), roll.kind == TUMOUR

        def between(low: tuple[float, ...], high: tuple[float, ...]) -> Array:
            return np.asarray(rng.uniform(np.array(low)[grade], np.array(high)[grade]))

        membrane, cover = between(MEMBRANE_LOW, MEMBRANE_HIGH), between(COVER_LOW, COVER_HIGH)
        hazy = (rng.uniform(size=n) < FAINT_CYTOPLASM) & tumour
        cytoplasm = np.where(hazy, rng.uniform(0.08, 0.14, n), tumour * 0.035 * membrane)
        coats = draw_coats(
            rng,
            spread=np.where(tumour, rng.uniform(*SPREAD_UM, n), 0.0),
            body=np.where(tumour, rng.uniform(0.05, 0.075, n), 0.0),
            cytoplasm=cytoplasm,
            membrane=membrane,
            cover=cover,
        )
        return Expression(positive, grade, coats)

    def draw_amounts(
        self, rng: np.random.Generator, kind: NDArray[np.uint8], expression: Expression
    ) -> Array:
        """Draw hematoxylin and the little DAB of each nucleus, mean OD, (n, 3)."""
        n = len(kind)
        return np.column_stack((draw_blue(rng, kind), 0.04 * rng.beta(0.9, 3.0, n), np.zeros(n)))
