"""Where cells end: nuclei grown outwards, half-way to their neighbours at most."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .cells import VERTICES, Cells
from .texture import Array, Floats

MAX_SPREAD_UM = 5.0  # farthest that any cell reaches beyond its nucleus
NEIGHBOUR_UM = 32.0  # nuclei farther apart than that never meet
CELL_UM = 16.0  # farthest that a cell reaches from its nucleus' middle
CLEARANCE_UM = 0.12  # between a cell and the line half-way to its neighbour
LEAST_UM = 1.5  # of a cell's radius, where nuclei lie on top of one another


def cell_radii(cells: Cells) -> Floats:
    """Return the distance of each cell's border from its nucleus' middle, (n, VERTICES), um.

    Between two nuclei runs a straight line, half-way between their outlines and across the direction in
    which they are farthest apart; neither cell crosses it. A border depends on the nuclei within
    ``NEIGHBOUR_UM`` alone.
    """
    free = cells.radii + cells.coats.spread[:, None]
    border = np.minimum(free, _limits(cells)) if len(cells) > 1 else free
    for _ in range(2):  # round the corners off, always inwards: cells must not meet
        soft = 0.5 * border + 0.25 * (np.roll(border, 1, axis=1) + np.roll(border, -1, axis=1))
        border = np.minimum(border, soft)
    return np.asarray(np.maximum(border, LEAST_UM), dtype=np.float32)


def _limits(cells: Cells) -> Array:
    """Return how far each ray may go until it meets the line to a neighbour, (n, VERTICES), um."""
    ways = _directions()
    spokes = cells.radii[:, :, None].astype(np.float64) * ways
    extents = np.stack([(spokes * way).sum(axis=2).max(axis=1) for way in ways], axis=1)
    place = np.column_stack((cells.x, cells.y))
    first, second = cKDTree(place).query_pairs(NEIGHBOUR_UM, output_type="ndarray").T
    far = place[second] - place[first]
    gaps = (far[:, None, :] * ways).sum(axis=2) - extents[first] - extents[second][:, _opposite()]
    axis = gaps.argmax(axis=1)
    gap = np.take_along_axis(gaps, axis[:, None], axis=1)[:, 0]
    close = gap < 2.0 * MAX_SPREAD_UM
    first, second, axis, gap = first[close], second[close], axis[close], gap[close]
    limits = np.full((len(cells), VERTICES), np.inf)
    for owner, way in ((first, axis), (second, _opposite()[axis])):
        line = extents[owner, way] + gap / 2.0 - CLEARANCE_UM
        along = (ways[None, :, :] * ways[way][:, None, :]).sum(axis=2)
        reach = np.where(along > 0.02, line[:, None] / np.maximum(along, 0.02), np.inf)
        np.minimum.at(limits, owner, reach)
    return limits


def _directions() -> Array:
    """Return the unit vectors that outlines are given along, (VERTICES, 2)."""
    angle = np.arange(VERTICES) * (2.0 * math.pi / VERTICES)
    return np.column_stack((np.cos(angle), np.sin(angle)))


def _opposite() -> NDArray[np.intp]:
    """Return the number of the opposite of each direction."""
    return (np.arange(VERTICES) + VERTICES // 2) % VERTICES
