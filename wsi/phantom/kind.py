"""What a kind of phantom must tell its painters, and the list of kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .grading import Expression, Roll
from .he import HePainter
from .her2 import Her2Painter
from .ki67 import Ki67Painter
from .pdl1 import PdL1Painter
from .receptor import ReceptorPainter
from .scene import Scene
from .settings import PhantomSettings
from .sites import Sites
from .texture import Floats


class Painter(Protocol):
    """Stains of one kind of slide: how much of each lies where."""

    stains: tuple[str, ...]
    "Names, as in the scanners' tables; the first is the nuclear counterstain."
    marker: str | None
    "The stain that tells positive nuclei from negative ones; None where nothing does."
    covering: tuple[float, ...]
    "Share of the ground's stain that a nucleus takes the place of, by stain."
    classes: int
    "How many of ``CLASSES`` occur, from the first."
    gap_um: float
    "Room between nuclei beyond what keeps them from touching, um."
    has_coats: bool
    "True where cells are drawn around the nuclei."

    def recast(self, rng: np.random.Generator, sites: Sites) -> Sites:
        """Return the places of a chunk with other classes of nuclei, where the kind needs them."""
        ...

    def express(self, rng: np.random.Generator, roll: Roll) -> Expression:
        """Deal the marker out to the nuclei of a chunk."""
        ...

    def draw_amounts(
        self, rng: np.random.Generator, kind: NDArray[np.uint8], expression: Expression
    ) -> NDArray[np.float64]:
        """Draw the mean optical density of each nucleus by stain, (n, stains)."""
        ...

    def ground(self, scene: Scene) -> list[Floats]:
        """Return the optical density of cytoplasm and stroma by stain, each (h, w)."""
        ...


_PAINTERS: dict[str, Callable[[PhantomSettings], Painter]] = {
    "ki67": lambda _: Ki67Painter(),
    "er": lambda settings: ReceptorPainter(settings.intensity_shares),
    "pr": lambda settings: ReceptorPainter(settings.intensity_shares),
    "her2": lambda settings: Her2Painter(settings.membrane_shares),
    "pdl1": lambda settings: PdL1Painter(settings.immune_positive_share),
    "he": lambda _: HePainter(),
}


def painter_of(settings: PhantomSettings) -> Painter:
    """Return the painter of a slide's kind."""
    return _PAINTERS[settings.kind](settings)
