"""Cells with their membranes: any detector of nuclei, its outlines grown, and a ring read around each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from ...models import CellTable
from ...models.cell_expansion import expand_outlines
from ...models.membrane_ring import METHOD, read_membranes, ring_reach_um
from ...models.nucleus_shape import elongations
from ...models.shared_membranes import METHOD as SHARING
from ...models.shared_membranes import own_membranes, sharing_reach_um
from .cell_file import RING
from .tile_detector import LearnedDetector, TileDetector

__all__ = ["CellDetector", "network_of", "with_tumour_threshold"]

Floats = NDArray[np.float32]

LARGEST_EXPANSION_UM = 20.0
"""No cell's membrane is farther from its nucleus; tiles would need ever wider margins."""
NUCLEUS_RADIUS_UM = 12.0
"""Farthest that a vertex lies from its nucleus' centroid: rays of 10 um from a peak beside the centroid."""
MOST_HUNDREDTHS = 255
"""A ring's densities are stored as hundredths of OD in one byte."""


@dataclass(frozen=True)
class CellDetector:
    """Finds nuclei with another detector and measures what is its own of the membrane around each.

    The table's outlines become those of the cells, which is what is shown and exported and what the values
    of a ring belong to. Centroids, ``area_um2`` and the other measurements stay those of the nuclei.
    """

    inner: TileDetector
    """Finds the nuclei."""
    expansion_um: float = 5.0
    """How far cells reach beyond their nucleus where no neighbour limits them, um; QuPath's default."""

    def __post_init__(self) -> None:
        """Refuse expansions that cannot be meant."""
        if not 0 < self.expansion_um <= LARGEST_EXPANSION_UM:
            raise SettingsError(
                f"cells that reach {self.expansion_um} um beyond their nucleus",
                f"Choose more than 0 and at most {LARGEST_EXPANSION_UM:.0f} um; 5 is usual.",
            )

    @property
    def name(self) -> str:
        """Name of what finds the nuclei."""
        return self.inner.name

    @property
    def version(self) -> str:
        """Version of what finds the nuclei; that of the rings is among the facts."""
        return self.inner.version

    @property
    def mpp(self) -> float:
        """Working resolution, um per px."""
        return self.inner.mpp

    @property
    def stride(self) -> int:
        """Tiles begin on multiples of this many px."""
        return self.inner.stride

    @property
    def tumour_threshold(self) -> float | None:
        """Least probability of tumour."""
        return self.inner.tumour_threshold

    @property
    def tells_positive(self) -> bool:
        """Whether it measures ``positive_probability``."""
        return self.inner.tells_positive

    @property
    def probabilities(self) -> tuple[str, ...]:
        """What the inner detector fills, the cytoplasm's density, the nucleus' shape and the ring."""
        return (*self.inner.probabilities, "cytoplasm_dab_od_mean", "nucleus_elongation", RING)

    @property
    def sees_colours(self) -> bool:
        """Whether the inner detector looks at pixels."""
        return self.inner.sees_colours

    @property
    def runs_on_card(self) -> bool:
        """Whether the inner detector computes on an accelerator."""
        return self.inner.runs_on_card

    def reach_px(self, mpp: float) -> float:
        """Reach of the inner detector, or of the ring, around the farthest cell that enters the sharing.

        A nucleus limits another one's cell when their borders are less than two expansions apart; the cells
        with which a membrane is shared are those of `sharing_reach_um`.
        """
        farthest = NUCLEUS_RADIUS_UM + self.expansion_um
        neighbour = self.inner.reach_px(mpp) + 2 * farthest / mpp
        ring = (farthest + ring_reach_um(mpp)) / mpp
        return max(neighbour, ring) + sharing_reach_um(farthest) / mpp

    def fitted(
        self, images: Sequence[NDArray[np.uint8]], densities: Sequence[Floats], *, mpp: float
    ) -> CellDetector:
        """Fit the inner detector to one slide."""
        return replace(self, inner=self.inner.fitted(images, densities, mpp=mpp))

    def detect(
        self, image: NDArray[np.uint8], densities: Floats, *, mpp: float, seconds: dict[str, float]
    ) -> CellTable:
        """Find nuclei, grow them to cells, read the membranes in the second density, DAB, and share them."""
        nuclei = self.inner.detect(image, densities, mpp=mpp, seconds=seconds)
        started = time.perf_counter()
        x, y = nuclei.x, nuclei.y
        cells = expand_outlines(x, y, nuclei.outlines, by_um=self.expansion_um, mpp=mpp)
        read = read_membranes(densities[1], x=x, y=y, nuclei=nuclei.outlines, cells=cells, mpp=mpp)
        own = own_membranes(read.membrane_od, x=x, y=y, cells=cells, mpp=mpp)
        hundredths = np.rint(np.clip(own * np.float32(100), 0, MOST_HUNDREDTHS))
        found = replace(
            nuclei,
            outlines=cells,
            measurements={
                **nuclei.measurements,
                "cytoplasm_dab_od_mean": read.cytoplasm_od,
                "nucleus_elongation": elongations(nuclei.outlines),
            },
            rings=hundredths.astype(np.uint8),
        )
        seconds["membranes"] = time.perf_counter() - started
        return found

    def facts(self) -> dict[str, Any]:
        """Those of the inner detector, the expansion and the methods of the rings."""
        own = {"expansion_um": self.expansion_um, "membranes": METHOD, "sharing": SHARING}
        return {**self.inner.facts(), **own}

    def to_json(self) -> dict[str, Any]:
        """The inner detector and the settings."""
        settings = {"inner": self.inner.to_json(), "expansion_um": self.expansion_um}
        return {"kind": "cells", "settings": settings}


def network_of(detector: TileDetector) -> LearnedDetector | None:
    """Return the network that finds the nuclei, whether cells are grown around them or not."""
    inner = detector.inner if isinstance(detector, CellDetector) else detector
    return inner if isinstance(inner, LearnedDetector) else None


def with_tumour_threshold(detector: TileDetector, least: float | None) -> TileDetector:
    """Return a detector whose network takes nuclei from this probability of tumour on for tumour."""
    if isinstance(detector, CellDetector):
        return replace(detector, inner=with_tumour_threshold(detector.inner, least))
    return replace(detector, tumour_threshold=least) if isinstance(detector, LearnedDetector) else detector
