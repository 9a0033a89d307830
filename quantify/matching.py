"""Detected against annotated points: one-to-one matches within a radius, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError

_DENSE_PAIRS = 4096  # knots up to this many pairs are solved as a full table, which is faster there


@dataclass(frozen=True, slots=True)
class Matches:
    """Pairs of detected and annotated points, no point in two pairs."""

    detected: NDArray[np.intp]
    """(M,) rows of the detected points, rising."""
    annotated: NDArray[np.intp]
    """(M,) rows of their partners."""
    distance_um: NDArray[np.float64]
    """(M,) um"""
    detected_total: int
    annotated_total: int

    @property
    def true_positives(self) -> int:
        """Detected points with a partner."""
        return len(self.detected)

    @property
    def false_positives(self) -> int:
        """Detected points without a partner; the second hit on one nucleus is one of these."""
        return self.detected_total - self.true_positives

    @property
    def false_negatives(self) -> int:
        """Annotated points without a partner."""
        return self.annotated_total - self.true_positives

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP); None if nothing was detected."""
        return self.true_positives / self.detected_total if self.detected_total else None

    @property
    def recall(self) -> float | None:
        """TP / (TP + FN); None if nothing was annotated."""
        return self.true_positives / self.annotated_total if self.annotated_total else None

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None if nothing was detected or annotated."""
        points = self.detected_total + self.annotated_total
        return 2 * self.true_positives / points if points else None


def match_points(detected_um: ArrayLike, annotated_um: ArrayLike, *, radius_um: float) -> Matches:
    """Match points one to one: as many pairs as possible, then the least total distance.

    Pairs farther apart than the radius are forbidden before the assignment. Forbidding them afterwards, or
    taking the nearest pair first, can lose matches.

    Parameters
    ----------
    detected_um, annotated_um : (N, 2) and (M, 2) array
        Positions, um.
    radius_um : float
        Largest distance of a pair, um, itself allowed. Usual: 3 for dense nuclei, 5 for small cells, 7.5 for
        mitoses.

    Returns
    -------
    Matches

    Raises
    ------
    InvalidTableError
        If positions are no (N, 2) tables of finite numbers.
    SettingsError
        If ``radius_um`` is not positive and finite.

    Notes
    -----
    The number of pairs and their total distance are unique; where several assignments share both, which of
    them is returned may depend on the order of the points. Only pairs within the radius are ever formed, and
    knots of points that compete with each other are solved one by one, so time and memory grow with the
    number of such pairs.
    """
    detected, annotated = _positions(detected_um), _positions(annotated_um)
    if not 0 < radius_um < np.inf:
        raise SettingsError(
            f"a matching radius of {radius_um} um", "Use a positive radius; 3 um suits nuclei."
        )
    row, column, distance = _pairs_within(detected, annotated, radius_um)
    chosen = _assign(row, column, distance, shape=(len(detected), len(annotated)))
    chosen = chosen[np.argsort(row[chosen])]
    return Matches(row[chosen], column[chosen], distance[chosen], len(detected), len(annotated))


def _positions(points: ArrayLike) -> NDArray[np.float64]:
    """Return (N, 2) finite positions; an empty list counts as no points."""
    table = np.asarray(points, dtype=np.float64)
    if table.size == 0:
        return np.empty((0, 2))
    if table.ndim != 2 or table.shape[1] != 2 or not np.isfinite(table).all():
        raise InvalidTableError(
            f"points of shape {table.shape} to match", "Give finite x and y, one row per point."
        )
    return table


def _pairs_within(
    detected: NDArray[np.float64], annotated: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return all pairs no farther apart than the radius: rows, columns, distances."""
    from scipy.spatial import cKDTree

    near = cKDTree(detected).sparse_distance_matrix(
        cKDTree(annotated), radius * (1 + 1e-9), output_type="ndarray"
    )
    row, column = near["i"].astype(np.intp), near["j"].astype(np.intp)
    distance = np.hypot(*(detected[row] - annotated[column]).T)
    allowed = distance <= radius
    order = np.lexsort((column[allowed], row[allowed]))
    return row[allowed][order], column[allowed][order], distance[allowed][order]


def _assign(
    row: NDArray[np.intp], column: NDArray[np.intp], distance: NDArray[np.float64], *, shape: tuple[int, int]
) -> NDArray[np.intp]:
    """Return the numbers of the chosen pairs, solving each knot of connected pairs alone."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if row.size == 0:
        return np.empty(0, dtype=np.intp)
    nodes = sum(shape)
    graph = coo_array((np.ones(row.size, dtype=np.int8), (row, shape[0] + column)), shape=(nodes, nodes))
    _, knot_of_node = connected_components(graph, directed=False)
    knot = knot_of_node[row]
    order = np.argsort(knot, kind="stable")
    starts = np.flatnonzero(np.diff(knot[order], prepend=-1))
    sizes = np.diff(starts, append=row.size)
    chosen = [order[starts[sizes == 1]]]  # undisputed pairs: nearly all of them in practice
    for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        pairs = order[start : start + size]
        chosen.append(pairs[_solve_knot(row[pairs], column[pairs], distance[pairs])])
    return np.concatenate(chosen)


def _solve_knot(
    row: NDArray[np.intp], column: NDArray[np.intp], distance: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return the numbers of the pairs that match the most points at the least distance."""
    rows, r = np.unique(row, return_inverse=True)
    columns, c = np.unique(column, return_inverse=True)
    # one pair more must be worth more than any distance that it could cost
    forbidden = float(distance.max()) * (min(rows.size, columns.size) + 1) + 1
    solve = _solve_dense if rows.size * columns.size <= _DENSE_PAIRS else _solve_sparse
    partner = solve(r, c, distance, shape=(rows.size, columns.size), forbidden=forbidden)
    return np.flatnonzero(partner[r] == c)


def _solve_dense(
    row: NDArray[np.intp],
    column: NDArray[np.intp],
    distance: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    forbidden: float,
) -> NDArray[np.intp]:
    """Return each row's column, -1 for none, from a full table of costs."""
    from scipy.optimize import linear_sum_assignment

    cost: NDArray[np.float64] = np.full(shape, forbidden)
    cost[row, column] = distance
    taken: Any = linear_sum_assignment(cost)
    partner = np.full(shape[0], -1, dtype=np.intp)
    partner[taken[0]] = taken[1]  # forbidden ones drop out later: they are no pair of the knot
    return partner


def _solve_sparse(
    row: NDArray[np.intp],
    column: NDArray[np.intp],
    distance: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    forbidden: float,
) -> NDArray[np.intp]:
    """Return each row's column, from allowed pairs only; a row may take an empty column of its own."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    rows = np.arange(shape[0])
    # the solver takes zeros for missing pairs; one more for all changes nothing, as every row takes just one
    cost = np.concatenate((distance, np.full(shape[0], forbidden))) + 1
    where = (np.concatenate((row, rows)), np.concatenate((column, shape[1] + rows)))
    taken: Any = min_weight_full_bipartite_matching(
        csr_array((cost, where), shape=(shape[0], shape[1] + shape[0]))
    )
    partner = np.full(shape[0], -1, dtype=np.intp)
    partner[taken[0]] = taken[1]
    return partner
