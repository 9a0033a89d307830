"""Places where nuclei can be: a shaken lattice inside nests and stroma, drawn chunk by chunk."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .cells import LYMPHOCYTE, STROMA, TUMOUR, draw_diameters
from .field import Field
from .texture import Array, Floats, stream

Address = tuple[int, int]  # row and column of a chunk

CHUNK_UM = 400.0
SPACING_UM = {TUMOUR: 13.8, STROMA: 15.5}  # of the hexagonal lattice that the places are shaken from
SHAKE = 0.62  # greatest shift off the lattice, in spacings
PUSHES = 4  # steps of pushing apart, which leave some nuclei touching
EDGE_UM = 6.0  # between the middle of a nucleus and the edge of an empty space
NEST_EDGE_UM = 4.0  # ... of its nest
TISSUE_EDGE_UM = 11.0  # ... of the tissue


@dataclass(frozen=True, eq=False)
class Sites:
    """Places of one chunk where a nucleus can be, in random order."""

    x: Array
    y: Array
    diameter: Array
    kind: NDArray[np.uint8]
    rise: Floats
    "Local change of the log odds of positivity."

    @classmethod
    def none(cls) -> Sites:
        """Return no sites."""
        empty = np.zeros(0)
        return cls(empty, empty, empty, np.zeros(0, np.uint8), np.zeros(0, np.float32))

    def within(self, left: float, top: float, right: float, bottom: float) -> Sites:
        """Return the sites in a rectangle, um."""
        return self.take((self.x >= left) & (self.x < right) & (self.y >= top) & (self.y < bottom))

    def take(self, rows: NDArray[np.bool_]) -> Sites:
        """Return some of the sites."""
        return Sites(self.x[rows], self.y[rows], self.diameter[rows], self.kind[rows], self.rise[rows])


def draw_sites(field: Field, address: Address, *, seed: int) -> Sites:
    """Draw the places of one chunk where a tumour or stroma nucleus can be, in random order."""
    row, column = address
    left, top = column * CHUNK_UM, row * CHUNK_UM
    if not field.box_holds_tissue(left, top, left + CHUNK_UM, top + CHUNK_UM):
        return Sites.none()
    rng = stream(seed, 10, row, column)
    tumour_x, tumour_y = _shaken_lattice(rng, left, top, spacing=SPACING_UM[TUMOUR])
    stroma_x, stroma_y = _shaken_lattice(rng, left, top, spacing=SPACING_UM[STROMA])
    x, y = np.concatenate((tumour_x, stroma_x)), np.concatenate((tumour_y, stroma_y))
    wanted = np.repeat((TUMOUR, STROMA), (len(tumour_x), len(stroma_x)))
    nest = field.nest_depth(x, y)
    fits = np.where(wanted == TUMOUR, nest > NEST_EDGE_UM, nest < -NEST_EDGE_UM)
    fits &= (field.tissue_depth(x, y) > TISSUE_EDGE_UM) & (field.lumen_depth(x, y) < -EDGE_UM)
    fits &= rng.uniform(size=len(x)) > field.vacancy(x, y)
    lymphoid = rng.uniform(size=len(x)) < np.clip(0.25 + 0.35 * field.crowding.at(x, y), 0.05, 0.9)
    kind = np.where((wanted == STROMA) & lymphoid, LYMPHOCYTE, wanted).astype(np.uint8)
    diameter = draw_diameters(rng, kind)
    order = rng.permutation(len(x))
    order = order[fits[order]]
    x, y = x[order], y[order]
    return Sites(x, y, diameter[order], kind[order], field.rise(x, y).astype(np.float32))


def _shaken_lattice(
    rng: np.random.Generator, left: float, top: float, *, spacing: float
) -> tuple[Array, Array]:
    """Return the nodes of a hexagonal lattice that lie in a chunk, each shifted at random."""
    pitch = spacing * math.sqrt(0.75)
    rows = np.arange(math.ceil(top / pitch), math.ceil((top + CHUNK_UM) / pitch))
    columns = np.arange(math.floor(left / spacing) - 1, math.ceil((left + CHUNK_UM) / spacing) + 1)
    i, j = np.meshgrid(columns, rows)
    x, y = (i + 0.5 * (j % 2)) * spacing, j * pitch
    own = (x >= left) & (x < left + CHUNK_UM)
    x, y = x[own], y[own]
    shift = spacing * SHAKE * np.sqrt(rng.uniform(size=len(x)))
    turn = rng.uniform(0.0, 2.0 * math.pi, len(x))
    return x + shift * np.cos(turn), y + shift * np.sin(turn)


def push_apart(place: Array, radius: Array) -> Array:
    """Return places (n, 2) after discs of given radii have pushed one another off a few times."""
    for _ in range(PUSHES if len(place) > 1 else 0):
        pairs = cKDTree(place).query_pairs(2.0 * float(radius.max()), output_type="ndarray")
        first, second = pairs.T
        way = place[second] - place[first]
        distance = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-6)
        overlap = np.maximum(radius[first] + radius[second] - distance, 0.0)
        push = way * (0.45 * overlap / distance)[:, None]
        move = [
            np.bincount(second, push[:, k], len(place)) - np.bincount(first, push[:, k], len(place))
            for k in (0, 1)
        ]
        place = place + np.clip(np.column_stack(move), -3.0, 3.0)
    return place


def pick_evenly(share: Array, *, start: float = 0.0) -> NDArray[np.bool_]:
    """Pick items with given probabilities so that any run of them holds its expected number, within one.

    Parameters
    ----------
    share : (n,) array
        Probability of each item, 0 to 1. The order should be random.
    start : float
        Sum of the probabilities of all items before the first.
    """
    running = start + np.concatenate(([0.0], np.cumsum(share)))
    return np.asarray(np.diff(np.floor(running + 0.5)) > 0.5)
