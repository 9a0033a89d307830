"""Clumped platelets, and platelets around white cells: either makes any number of platelets wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import PLATELET, WHITE, SmearCells

__all__ = ["ClumpSettings", "Clumping", "find_clumps"]


@dataclass(frozen=True)
class ClumpSettings:
    """What counts as a clump; our own choice."""

    gap_um: float = 1.5
    """Platelets with less between their outlines hang together."""
    fewest: int = 5
    """So many that hang together are a clump."""
    rosette: int = 4
    """So many platelets at the border of one white cell are satellitism."""


@dataclass(frozen=True)
class Clumping:
    """What was found."""

    in_clump: NDArray[np.bool_]
    """Platelets of clumps: (N,)."""
    clumps: int
    rosettes: int
    """White cells with platelets around them."""


def find_clumps(cells: SmearCells, *, settings: ClumpSettings) -> Clumping:
    """Find platelets that hang together, and white cells that platelets surround."""
    in_clump = np.zeros(len(cells), bool)
    clumps = rosettes = 0
    for image in np.unique(cells.image):
        here = cells.image == image
        platelets = np.flatnonzero(here & (cells.kind == PLATELET))
        groups = _groups(cells, platelets, gap_um=settings.gap_um)
        sizes = np.bincount(groups)
        in_clump[platelets[sizes[groups] >= settings.fewest]] = True
        clumps += int((sizes >= settings.fewest).sum())
        whites = np.flatnonzero(here & (cells.kind == WHITE))
        rosettes += int((_around(cells, whites, platelets, settings.gap_um) >= settings.rosette).sum())
    return Clumping(in_clump, clumps, rosettes)


def _places(cells: SmearCells, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return centroids, um."""
    return np.stack([cells.x[rows], cells.y[rows]], axis=1) * cells.mpp[rows, None].astype(np.float64)


def _groups(cells: SmearCells, rows: NDArray[np.intp], *, gap_um: float) -> NDArray[np.intp]:
    """Number the groups of platelets that hang together: (rows,)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if len(rows) < 2:
        return np.zeros(len(rows), np.intp)
    places, radius = _places(cells, rows), cells.diameter_um[rows] / 2
    pairs = cKDTree(places).query_pairs(2 * float(radius.max()) + gap_um, output_type="ndarray")
    away = np.hypot(*(places[pairs[:, 0]] - places[pairs[:, 1]]).T)
    near = pairs[away < radius[pairs[:, 0]] + radius[pairs[:, 1]] + gap_um]
    graph = coo_matrix((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(rows), len(rows)))
    return np.asarray(connected_components(graph, directed=False)[1], np.intp)


def _around(
    cells: SmearCells, whites: NDArray[np.intp], platelets: NDArray[np.intp], gap_um: float
) -> NDArray[np.intp]:
    """Count the platelets at the border of each white cell, inside or outside."""
    if not len(whites) or not len(platelets):
        return np.zeros(len(whites), np.intp)
    away = np.hypot(*(_places(cells, whites)[:, None] - _places(cells, platelets)[None]).T).T
    reach = cells.diameter_um[whites][:, None] / 2 + cells.diameter_um[platelets][None] / 2
    return np.asarray((np.abs(away - reach) < gap_um).sum(1))
