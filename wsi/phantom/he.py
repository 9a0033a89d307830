"""Hematoxylin and eosin: blue nuclei, pink cytoplasm and collagen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cells import LYMPHOCYTE, STROMA
from .grading import Expression, Roll, mark_evenly
from .scene import Scene
from .sites import Sites
from .texture import Floats


class HePainter:
    """Stains of an H&E slide."""

    stains: tuple[str, ...] = ("hematoxylin", "eosin")
    marker: str | None = None
    covering: tuple[float, ...] = (0.9, 0.65)
    classes: int = 3
    gap_um: float = 0.0
    has_coats: bool = False

    def recast(self, rng: np.random.Generator, sites: Sites) -> Sites:
        """Return the places as they are."""
        return sites

    def express(self, rng: np.random.Generator, roll: Roll) -> Expression:
        """Return what the odds say: nothing, without a marker."""
        return mark_evenly(roll)

    def draw_amounts(
        self, rng: np.random.Generator, kind: NDArray[np.uint8], expression: Expression
    ) -> NDArray[np.float64]:
        """Draw hematoxylin and eosin of each nucleus, mean OD, (n, 2); no marker is shown."""
        n = len(kind)
        mean = np.select([kind == LYMPHOCYTE, kind == STROMA], [0.98, 0.72], 0.68)
        blue = np.clip(rng.normal(mean, 0.13, n), 0.40, 1.3)
        return np.column_stack((blue, np.clip(rng.normal(0.10, 0.03, n), 0.02, 0.2)))

    def ground(self, scene: Scene) -> list[Floats]:
        """Return cytoplasm, purplish pink and granular, and collagen in wavy strands."""
        solid = scene.tissue * (1.0 - 0.8 * scene.rim)
        solid *= 1.0 + 0.08 * scene.slow
        stroma = 1.0 - scene.nest
        cytoplasm = 1.0 + 0.22 * scene.tone + 0.16 * scene.mottle + 0.12 * scene.grain
        strand = np.clip(0.74 + 0.42 * scene.fibre + 0.38 * scene.cloud, 0.04, 1.7)
        blue = scene.nest * (0.125 * cytoplasm) + stroma * 0.05 * strand
        pink = scene.nest * (0.24 * cytoplasm - 0.09 * scene.border)
        pink += stroma * strand * (0.36 + 0.03 * scene.grain)
        return [np.maximum(part * solid, 0.0) for part in (blue, pink)]
