"""What all immunohistochemistry shares: blue nuclei and a pale ground that unstained protein shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .cells import LYMPHOCYTE, MACROPHAGE, STROMA
from .grading import Expression, Roll, mark_evenly
from .scene import Scene
from .sites import Sites
from .texture import Array, Floats


class DabPainter:
    """What painters of DAB slides share: stains, ground, and a marker in tumour nuclei alone.

    The stains are hematoxylin, DAB, and a faint neutral ground that unstained protein shows.
    """

    stains: tuple[str, ...] = ("hematoxylin", "dab", "ground")
    marker: str | None = "dab"
    covering: tuple[float, ...] = (0.85, 0.5, 0.5)
    classes: int = 3
    gap_um: float = 0.0
    has_coats: bool = False

    def recast(self, rng: np.random.Generator, sites: Sites) -> Sites:
        """Return the places as they are."""
        return sites

    def express(self, rng: np.random.Generator, roll: Roll) -> Expression:
        """Deal positivity out evenly among the tumour nuclei."""
        return mark_evenly(roll)

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


def draw_blue(rng: np.random.Generator, kind: NDArray[np.uint8]) -> Array:
    """Draw the counterstain of nuclei without marker, mean OD, (n,)."""
    blue = np.clip(rng.normal(0.47, 0.10, len(kind)), 0.30, 0.75)
    blue = np.where(kind == LYMPHOCYTE, blue * 1.25, np.where(kind == STROMA, blue * 1.05, blue))
    return np.asarray(np.where(kind == MACROPHAGE, blue * 0.72, blue))
