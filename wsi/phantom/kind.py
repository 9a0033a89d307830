"""What a kind of phantom must tell its painters, and the list of kinds."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .he import HePainter
from .ki67 import Ki67Painter
from .scene import Scene
from .texture import Floats


class Painter(Protocol):
    """Stains of one kind of slide: how much of each lies where."""

    stains: tuple[str, ...]
    "Names, as in the scanners' tables; the first is the nuclear counterstain."
    marker: str | None
    "The stain that tells positive nuclei from negative ones; None where nothing does."
    covering: tuple[float, ...]
    "Share of the ground's stain that a nucleus takes the place of, by stain."

    def draw_amounts(
        self, rng: np.random.Generator, kind: NDArray[np.uint8], positive: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Draw the mean optical density of each nucleus by stain, (n, stains)."""
        ...

    def ground(self, scene: Scene) -> list[Floats]:
        """Return the optical density of cytoplasm and stroma by stain, each (h, w)."""
        ...


_PAINTERS: dict[str, Painter] = {"ki67": Ki67Painter(), "he": HePainter()}


def painter_of(kind: str) -> Painter:
    """Return the painter of a kind in ``KINDS``."""
    return _PAINTERS[kind]
