"""Whose membrane a line between two cells is.

Neighbours lie closer together than a microscope resolves: a line between them shows on the rings of both,
whoever made it. What tells is the rest of each cell. One that is as dark elsewhere as its neighbour shares
their line. One that is half as dark elsewhere, or less, shows its neighbour's, and keeps of the line what it
shows elsewhere. No density enters, only ratios of densities: nothing here knows what counts as stained.

What a cell is left with may show that it lent its neighbours nothing, so all is weighed twice, always from
the rings as they were read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .membrane_ring import BEYOND_UM

__all__ = ["METHOD", "own_membranes", "sharing_reach_um"]

Doubles = NDArray[np.float64]
Whole = NDArray[np.intp]

METHOD = "shared-membranes-1"
"""Name and version of the method; a change of the numbers changes it."""
TOUCH_UM = 2 * BEYOND_UM
"""Outlines of cells that share a line lie at most so far apart, um: both look for it beyond their own."""
NONE_OF_IT = 0.5
"""A cell this dark elsewhere, as a share of its neighbour, owns nothing of their line. Between half and all
the share that it owns rises evenly: no cell changes its kind by a hair."""
ALL_OF_IT = 1.0
"""A cell as dark elsewhere as its neighbour owns the line as well."""
ROUNDS = 2
"""So often is it weighed: the second time by what neighbours kept the first time."""

CELLS_AT_ONCE = 256
"""So many look for their neighbours together: what they touch stays in the processor's cache."""


@dataclass(frozen=True)
class _Borders:
    """Where the outlines of N cells with V vertices run beside another's."""

    other: Whole
    """Row of the cell across the border: (N, V); -1 for glass, stroma or a gap between cells."""
    vertex: Whole
    """Nearest vertex of that cell: (N, V)."""

    @property
    def is_shared(self) -> NDArray[np.bool_]:
        """Where there is a neighbour: (N, V)."""
        return self.other >= 0

    def across(self, rings: Doubles) -> Doubles:
        """Return the density that the neighbour reads at the same place, 0 without one: (N, V)."""
        return np.where(self.is_shared, rings[self.other, self.vertex], 0.0)

    def elsewhere(self, rings: Doubles) -> Doubles:
        """Return how dark a cell is, on average, where it does not face this neighbour: (N, V).

        The whole ring's mean where it faces no other place. Added up in the order of the ray, counted from
        each one's own, so a ring that is turned gives the same.
        """
        total, number = np.zeros_like(rings), np.zeros(rings.shape, np.int64)
        for shift in range(1, rings.shape[1]):
            apart = np.roll(self.other, shift, axis=1) != self.other
            total += np.where(apart, np.roll(rings, shift, axis=1), 0.0)
            number += apart
        return np.where(number > 0, total / np.maximum(number, 1), _mean(rings)[:, None])


def sharing_reach_um(farthest_um: float) -> float:
    """Return how far the centre of a cell can lie whose ring or outline changes another's share, um.

    Parameters
    ----------
    farthest_um : float
        Farthest that an outline lies from its cell's centre, um.
    """
    return ROUNDS * (2 * farthest_um + TOUCH_UM)


def own_membranes(
    rings: ArrayLike,
    *,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    cells: NDArray[np.float64],
    mpp: float,
) -> NDArray[np.float32]:
    """Leave each cell what is its own of the lines that it shares with its neighbours.

    Parameters
    ----------
    rings : (N, V) float array
        Densities from `read_membranes`, OD.
    x, y : (N,) float64 arrays
        Centres, px, on a grid of a power of two such as 1/64, so that differences are exact.
    cells : (N, V, 2) float64 array
        Outlines of the cells, px, on the same grid.
    mpp : float
        um per px.

    Returns
    -------
    (N, V) float32 array
        OD. Towards a neighbour that is darker elsewhere, a cell keeps its reading in part, and for the rest
        no more than its own mean elsewhere. Where the neighbour sees a line that the cell itself missed, a
        cell with an even ring has it too. Away from neighbours nothing changes.

    Raises
    ------
    InvalidTableError
        If the arrays do not fit together.
    SettingsError
        If ``mpp`` is not positive and finite.

    Notes
    -----
    Depends on cells whose centre is within `sharing_reach_um` alone, and not on their order. A cell without
    stain that darker ones surround on all sides looks like them, and keeps what it shows: from a line alone
    nobody could tell. Gaps of a membrane that face a stained neighbour close for the same reason.
    """
    read, cells = np.asarray(rings, np.float64), np.asarray(cells, np.float64)
    if cells.shape != (*read.shape, 2) or read.shape[:1] != np.shape(x) or np.shape(x) != np.shape(y):
        raise InvalidTableError(
            f"{len(x)} centres with rings of shape {read.shape} and outlines of shape {cells.shape}",
            "Give each cell one density for each vertex of its outline.",
        )
    if not 0 < mpp < np.inf:
        raise SettingsError(f"membranes at {mpp} um per px", "Give the image's um per px.")
    if len(read) < 2:
        return read.astype(np.float32)
    borders = _find_borders(np.stack([x, y], axis=1).astype(np.float64), cells, touch=TOUCH_UM / mpp)
    return _attribute(read, borders).astype(np.float32)


def _attribute(read: Doubles, borders: _Borders) -> Doubles:
    """Return what each cell owns: (N, V)."""
    seen_across = np.maximum(read, borders.across(read))
    own = read
    for _ in range(ROUNDS):
        elsewhere, mean = borders.elsewhere(own), _mean(own)
        share = np.where(borders.is_shared, _share(elsewhere, mean[borders.other]), 1.0)
        # How evenly dark a cell is elsewhere, against the darker half of its ring: whether it has gaps.
        even = np.where(borders.is_shared, _share(elsewhere, _darker_half(own)[:, None]), 0.0)
        line = read + even * (seen_across - read)
        own = np.where(share >= 1.0, line, share * line + (1.0 - share) * np.minimum(read, elsewhere))
    return own


def _share(dark: Doubles, against: Doubles) -> Doubles:
    """Return 0 for up to half as dark, 1 for as dark or if nothing is held against it, evenly between."""
    ratio = np.where(against > 0, dark / np.where(against > 0, against, 1.0), ALL_OF_IT)
    return np.clip((ratio - NONE_OF_IT) / (ALL_OF_IT - NONE_OF_IT), 0.0, 1.0)


def _mean(rings: Doubles) -> Doubles:
    """Return the mean of each ring: (N,)."""
    return np.asarray(rings.sum(axis=1) / rings.shape[1])


def _darker_half(rings: Doubles) -> Doubles:
    """Return the mean of the darker half of each ring, its line as far as it has one: (N,)."""
    return _mean(np.ascontiguousarray(np.sort(rings, axis=1)[:, rings.shape[1] // 2 :]))


def _find_borders(centres: Doubles, cells: Doubles, *, touch: float) -> _Borders:
    """Find the nearest other outline beside each vertex, as long as it is not farther than ``touch``, px."""
    extents = np.sqrt(_square(cells - centres[:, None]).max(axis=1))
    owners, others = _near_pairs(centres, extents, touch=touch)
    other = np.full(cells.shape[:2], -1, np.intp)
    vertex = np.zeros(cells.shape[:2], np.intp)
    for start in range(0, len(cells), CELLS_AT_ONCE):
        part = slice(*np.searchsorted(owners, [start, start + CELLS_AT_ONCE]))
        owner, across = owners[part], others[part]
        # Only vertices that another cell's farthest vertex can reach are held against all of its vertices.
        within = (extents[across] + touch)[:, None]
        pair, ray = np.nonzero(_square(cells[owner] - centres[across][:, None]) <= within * within)
        owner, across = owner[pair], across[pair]
        gaps = _square(cells[owner, ray][:, None] - cells[across])
        nearest = gaps.argmin(axis=1)
        gap = np.take_along_axis(gaps, nearest[:, None], axis=1)[:, 0]
        close = np.flatnonzero(gap <= touch * touch)
        away = centres[across[close]] - centres[owner[close]]
        # The nearest comes last and stays; of equals the one to the right, then below, whatever their order.
        order = close[np.lexsort((away[:, 1], away[:, 0], -gap[close]))]
        other[owner[order], ray[order]] = across[order]
        vertex[owner[order], ray[order]] = nearest[order]
    return _Borders(other, vertex)


def _near_pairs(centres: Doubles, extents: Doubles, *, touch: float) -> tuple[Whole, Whole]:
    """Return all pairs of cells, both ways round, whose outlines can touch, by the first of the two."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(centres).query_pairs(2.0 * float(extents.max()) + touch + 1.0, output_type="ndarray")
    owners, others = np.concatenate([pairs, pairs[:, ::-1]]).T
    most = extents[owners] + extents[others] + touch
    near = np.flatnonzero(_square(centres[owners] - centres[others]) <= most * most)
    near = near[np.argsort(owners[near], kind="stable")]
    return owners[near], others[near]


def _square(vectors: Doubles) -> Doubles:
    """Return squared lengths; of products and a sum alone, which round the same everywhere in an array."""
    return np.asarray(vectors[..., 0] * vectors[..., 0] + vectors[..., 1] * vectors[..., 1])
