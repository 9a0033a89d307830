"""PD-L1 immunohistochemistry: patchy membranes of tumour cells, and brown lymphocytes and macrophages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .cells import LYMPHOCYTE, MACROPHAGE, STROMA, TUMOUR, draw_diameters
from .coats import Coats, draw_coats
from .counterstain import DabPainter, draw_blue
from .grading import Expression, Roll, mark_in_patches
from .sites import Sites, pick_evenly
from .texture import Array

IN_NESTS = 0.07  # share of the places in nests that a lymphocyte or a macrophage takes
MACROPHAGES_IN_NESTS = 0.3  # ... of those
MACROPHAGES_IN_STROMA = 0.22  # share of the places for stroma nuclei
NOISE = 0.6  # chance against the patch
HAZY = 0.06  # share of negative tumour cells with some DAB in the cytoplasm, which does not count

# Least and greatest by class, in the order tumour, stroma, lymphocyte, macrophage.
SPREAD_UM = ((3.4, 4.3), (0.0, 0.0), (0.9, 1.5), (2.8, 4.8))
BODY = ((0.05, 0.075), (0.0, 0.0), (0.04, 0.06), (0.03, 0.05))
MEMBRANE = ((0.30, 1.00), (0.0, 0.0), (0.40, 0.95), (0.40, 0.85))
COVER = ((0.25, 1.00), (0.0, 0.0), (0.60, 1.00), (0.70, 1.00))
CYTOPLASM = ((0.02, 0.08), (0.0, 0.0), (0.30, 0.65), (0.25, 0.55))


class PdL1Painter(DabPainter):
    """Stains of a PD-L1 slide."""

    covering: tuple[float, ...] = (0.85, 0.0, 0.5)
    classes: int = 4
    gap_um: float = 2.0
    has_coats: bool = True

    def __init__(self, immune_positive: float) -> None:
        """Take the share of immune cells that stain."""
        self._immune_positive = immune_positive

    def recast(self, rng: np.random.Generator, sites: Sites) -> Sites:
        """Give some places in nests to immune cells, and some in the stroma to macrophages."""
        n, kind = len(sites.x), sites.kind
        chance, which = rng.uniform(size=(2, n))
        entered = (kind == TUMOUR) & (chance < IN_NESTS)
        macrophage = (entered & (which < MACROPHAGES_IN_NESTS)) | (
            (kind == STROMA) & (chance < MACROPHAGES_IN_STROMA)
        )
        kind = np.where(macrophage, MACROPHAGE, np.where(entered, LYMPHOCYTE, kind)).astype(np.uint8)
        diameter = np.where(kind == sites.kind, sites.diameter, draw_diameters(rng, kind))
        return replace(sites, kind=kind, diameter=diameter)

    def express(self, rng: np.random.Generator, roll: Roll) -> Expression:
        """Deal PD-L1 out to tumour and immune cells, each in patches, and draw their coats."""
        positive = mark_in_patches(rng, roll, noise=NOISE)
        immune = np.flatnonzero((roll.kind == LYMPHOCYTE) | (roll.kind == MACROPHAGE))
        share = np.full(len(immune), self._immune_positive)
        count = int(pick_evenly(share, start=float(rng.uniform())).sum())
        rank = roll.patch[immune] + NOISE * rng.standard_normal(len(immune))
        positive[immune[np.argsort(-rank, kind="stable")[:count]]] = True
        return Expression(positive, positive.astype(np.uint8), self._coats(rng, roll.kind, positive))

    @staticmethod
    def _coats(rng: np.random.Generator, kind: NDArray[np.uint8], positive: NDArray[np.bool_]) -> Coats:
        def between(limits: tuple[tuple[float, float], ...]) -> Array:
            low, high = np.array(limits)[kind].T
            return np.asarray(low + (high - low) * rng.uniform(size=len(kind)))

        hazy = (kind == TUMOUR) & (rng.uniform(size=len(kind)) < HAZY)
        spread, body = between(SPREAD_UM), between(BODY)
        membrane, cover, cytoplasm = between(MEMBRANE), between(COVER), between(CYTOPLASM)
        haze = np.where(hazy, rng.uniform(0.08, 0.14, len(kind)), 0.0)
        return draw_coats(
            rng,
            spread=spread,
            body=body,
            cytoplasm=np.where(positive, cytoplasm, haze),
            membrane=np.where(positive, membrane, 0.0),
            cover=cover,
        )

    def draw_amounts(
        self, rng: np.random.Generator, kind: NDArray[np.uint8], expression: Expression
    ) -> Array:
        """Draw hematoxylin and the little DAB of each nucleus, mean OD, (n, 3)."""
        n = len(kind)
        return np.column_stack((draw_blue(rng, kind), 0.04 * rng.beta(0.9, 3.0, n), np.zeros(n)))
