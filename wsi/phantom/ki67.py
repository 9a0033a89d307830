"""Ki-67 immunohistochemistry: brown nuclei among blue ones on a pale ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cells import LYMPHOCYTE, STROMA
from .scene import Scene
from .texture import Floats

POSITIVE_DAB = (0.28, 1.27)  # weakest and strongest positive nucleus, mean OD
NEGATIVE_DAB = 0.08  # most unspecific DAB of a negative nucleus, mean OD


class Ki67Painter:
    """Stains of a Ki-67 slide: hematoxylin, DAB, and a faint neutral ground that unstained protein shows."""

    stains: tuple[str, ...] = ("hematoxylin", "dab", "ground")
    marker: str | None = "dab"
    covering: tuple[float, ...] = (0.85, 0.5, 0.5)

    def draw_amounts(
        self, rng: np.random.Generator, kind: NDArray[np.uint8], positive: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Draw hematoxylin and DAB of each nucleus, mean OD, (n, 3)."""
        n = len(kind)
        low, high = POSITIVE_DAB
        strong = low + (high - low) * rng.beta(1.5, 1.5, n)
        weak = NEGATIVE_DAB * rng.beta(0.9, 3.0, n)
        blue = np.clip(rng.normal(0.47, 0.10, n), 0.30, 0.75)
        blue = np.where(kind == LYMPHOCYTE, blue * 1.25, np.where(kind == STROMA, blue * 1.05, blue))
        # DAB lies over the counterstain and keeps some of it out
        blue = np.where(positive, blue * 0.62, blue)
        return np.column_stack((blue, np.where(positive, strong, weak), np.zeros(n)))

    def ground(self, scene: Scene) -> list[Floats]:
        """Return the pale ground: cytoplasm with a little counterstain, stroma in faint strands."""
        solid = scene.tissue * (1.0 - 0.7 * scene.rim)
        solid *= 1.0 + 0.10 * scene.slow
        stroma = 1.0 - scene.nest
        gap = np.clip(0.62 + 0.22 * scene.fibre + 0.36 * scene.cloud + 0.16 * scene.mottle, 0.08, 1.3)
        cytoplasm = 1.0 + 0.30 * scene.tone + 0.22 * scene.mottle + 0.12 * scene.grain
        blue = scene.nest * (0.050 * cytoplasm + 0.008 * scene.cloud) + stroma * 0.045 * gap
        neutral = scene.nest * (0.060 * cytoplasm + 0.035 * scene.border)
        neutral += stroma * gap * (0.085 + 0.02 * scene.grain)
        brown = 0.010 + 0.007 * scene.cloud
        return [np.maximum(part * solid, 0.0) for part in (blue, brown, neutral)]
