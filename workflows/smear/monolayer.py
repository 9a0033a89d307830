"""Which squares of a slide are monolayer: red cells beside each other, neither heaped up nor far apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import RED, BlockTable, SmearCells

__all__ = [
    "EMPTY",
    "MONOLAYER",
    "STATES",
    "THICK",
    "THIN",
    "MonolayerSettings",
    "areas_of",
    "judge_blocks",
    "overlaps_neighbour",
]

STATES = ("monolayer", "too_thick", "too_thin", "no_red_cells")
"""What a block can be, in the order of its codes."""
MONOLAYER, THICK, THIN, EMPTY = range(len(STATES))


@dataclass(frozen=True)
class MonolayerSettings:
    """What counts as monolayer; our own choice, as no guideline gives numbers."""

    most_stained: float = 0.70
    """Where more is stained, cells lie on one another."""
    least_stained: float = 0.06
    """Where less is stained, the film runs out: large cells gather there and red cells lose their pallor."""
    most_overlapping: float = 0.5
    """Share of red cells that may overlap a neighbour."""
    overlap: float = 0.80
    """Two cells overlap when they are nearer than this share of the sum of their radii."""
    least_explained: float = 0.5
    """Share of the stain that found cells must explain; less where a heap could not be resolved."""
    fewest_red: int = 3
    """With fewer red cells a block says nothing."""


def judge_blocks(cells: SmearCells, blocks: BlockTable, *, settings: MonolayerSettings) -> NDArray[np.uint8]:
    """Return the state of each block, an index into `STATES`: (B,)."""
    red = cells.kind == RED
    count = np.bincount(cells.block[red], minlength=len(blocks))
    overlaps = overlaps_neighbour(cells, share=settings.overlap)[red]
    overlapping = np.bincount(cells.block[red], weights=overlaps, minlength=len(blocks))
    found_um2 = np.bincount(cells.block, weights=cells.area_um2.astype(np.float64), minlength=len(blocks))
    stained_mm2 = blocks.stained * blocks.area_mm2
    state = np.full(len(blocks), MONOLAYER, np.uint8)
    heaped = overlapping > settings.most_overlapping * count
    unexplained = found_um2 / 1e6 < settings.least_explained * stained_mm2
    state[heaped | unexplained | (blocks.stained > settings.most_stained)] = THICK
    state[blocks.stained < settings.least_stained] = THIN
    state[(count < settings.fewest_red) & (state != THICK)] = EMPTY
    return state


def overlaps_neighbour(cells: SmearCells, *, share: float) -> NDArray[np.bool_]:
    """Tell which red cells lie nearer to another than ``share`` of the sum of their radii: (N,)."""
    from scipy.spatial import cKDTree

    overlapping = np.zeros(len(cells), bool)
    radius = cells.diameter_um / 2
    for image in np.unique(cells.image):
        rows = np.flatnonzero((cells.image == image) & (cells.kind == RED))
        if len(rows) < 2:
            continue
        places = np.stack([cells.x[rows], cells.y[rows]], axis=1) * cells.mpp[rows, None].astype(np.float64)
        reach = 2 * float(radius[rows].max()) * share
        pairs = cKDTree(places).query_pairs(reach, output_type="ndarray")
        first, second = rows[pairs[:, 0]], rows[pairs[:, 1]]
        away = np.hypot(*(places[pairs[:, 0]] - places[pairs[:, 1]]).T)
        near = away < share * (radius[first] + radius[second])
        overlapping[first[near]] = True
        overlapping[second[near]] = True
    return overlapping


def areas_of(states: NDArray[np.uint8], blocks: BlockTable) -> Mapping[str, float]:
    """Return the area of each state, mm2."""
    return {name: float(blocks.area_mm2[states == number].sum()) for number, name in enumerate(STATES)}
