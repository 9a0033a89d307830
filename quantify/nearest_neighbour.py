"""How near cells of one kind lie to those of another: distances and the G-function with edge correction."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError
from .assessed_region import AssessedRegion, check_points

RADII_UM = (10.0, 20.0, 30.0, 50.0)
"""Where G is reported, um: a project rule."""
HEADLINE_RADIUS_UM = 20.0
"""Radius of the reported G and of the area under it, um: a project rule."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Distances from the cells of one kind to the nearest of another, within one region."""

    distance_um: NDArray[np.float64]
    """(n,) to the nearest target, um; infinite without targets."""
    edge_um: NDArray[np.float64]
    """(n,) to the edge of the assessed region, um."""
    targets: int
    """Cells of the other kind in the region; of the same kind: all of them."""
    area_um2: float
    """Area of the region, um²."""
    is_same_kind: bool = False
    """Whether the distances are to other cells of the same kind, each cell itself left out."""
    outside: int = 0
    """Cells of both kinds that lie outside the region and were left out."""

    @property
    def has_target(self) -> bool:
        """Whether any distance is finite."""
        return self.targets > (1 if self.is_same_kind else 0)

    @property
    def intensity(self) -> float:
        """Targets per um²."""
        return self.targets / self.area_um2 if self.area_um2 else 0.0

    def inside(self, radius_um: float) -> int:
        """Count the cells at least a radius away from the edge."""
        return int((self.edge_um >= radius_um).sum())

    def median_um(self) -> float | None:
        """Return the median distance, um; None without cells or target."""
        if not len(self.distance_um) or not self.has_target:
            return None
        return float(np.median(self.distance_um))

    def clark_evans(self) -> float | None:
        """Return the mean distance over that of a random pattern, 1 / (2 sqrt(targets per um²)).

        Under 1: nearer than chance; over 1: farther. Without correction for the edge, which adds to it.
        """
        if not len(self.distance_um) or not self.has_target or not self.intensity:
            return None
        return float(self.distance_um.mean()) / mean_random_distance_um(self.intensity)


def find_neighbours(
    cells_um: ArrayLike, targets_um: ArrayLike | None, *, region: AssessedRegion, workers: int = -1
) -> Neighbours:
    """Measure from every cell to the nearest target and to the edge of the region.

    Parameters
    ----------
    cells_um : (n, 2) array
        Centres of the cells asked about, um.
    targets_um : (m, 2) array or None
        Centres of the other kind; None: the nearest other cell of the same kind.
    region : AssessedRegion
        Tissue that was assessed, without what was excluded. Cells outside are left out and counted.
    workers : int
        Threads of the search; -1 = all cores. The result does not depend on it.

    Returns
    -------
    Neighbours
        Without a target all distances are infinite.
    """
    cells = check_points(cells_um)
    held = cells[region.contains(cells)]
    left_out = len(cells) - len(held)
    if targets_um is None:
        targets = held
    else:
        others = check_points(targets_um)
        targets = others[region.contains(others)]
        left_out += len(others) - len(targets)
    return Neighbours(
        distance_um=nearest_distances_um(held, None if targets_um is None else targets, workers=workers),
        edge_um=region.edge_distance_um(held),
        targets=len(targets),
        area_um2=region.area_um2,
        is_same_kind=targets_um is None,
        outside=left_out,
    )


def nearest_distances_um(
    cells_um: ArrayLike, targets_um: ArrayLike | None, *, workers: int = -1
) -> NDArray[np.float64]:
    """Return (n,) distances to the nearest target, um; infinite without one. None: the other cells."""
    from scipy.spatial import cKDTree

    cells = check_points(cells_um)
    targets = cells if targets_um is None else check_points(targets_um)
    nth = 2 if targets_um is None else 1  # the nearest to a cell of its own kind is itself
    if not len(cells) or len(targets) < nth:
        return np.full(len(cells), np.inf)
    distance, _ = cKDTree(targets, balanced_tree=False).query(cells, k=[nth], workers=workers)
    return np.asarray(distance[:, 0], dtype=np.float64)


def raw_g(distance_um: ArrayLike, radii_um: ArrayLike) -> NDArray[np.float64]:
    """Return the share of cells with a target within each radius; too low near edges, for targets beyond."""
    distance = _column(distance_um)
    return np.searchsorted(np.sort(distance), _column(radii_um), side="right") / len(distance)


def border_g(distance_um: ArrayLike, edge_um: ArrayLike, *, radii_um: ArrayLike) -> NDArray[np.float64]:
    """Return the same share of the cells at least a radius away from the edge (reduced sample).

    NaN where there is no such cell. It need not rise with the radius.
    """
    distance, edge = _pairs(distance_um, edge_um)
    shares = [
        float(np.mean(distance[edge >= radius] <= radius)) if (edge >= radius).any() else np.nan
        for radius in _column(radii_um)
    ]
    return np.array(shares, dtype=np.float64)


def kaplan_meier_g(distance_um: ArrayLike, edge_um: ArrayLike, *, radii_um: ArrayLike) -> NDArray[np.float64]:
    """Return G with the edge taken as censoring (Baddeley and Gill, Ann Stat 1997, 25:263).

    A cell is followed to its target or to the edge, whichever is nearer; at the same distance the target
    counts. It uses every cell, rises with the radius and stays within 0-1.
    """
    times, surviving = _survival(*_pairs(distance_um, edge_um))
    return np.asarray(1 - np.r_[1.0, surviving][np.searchsorted(times, _column(radii_um), side="right")])


def area_under_raw_g(distance_um: ArrayLike, *, radius_um: float = HEADLINE_RADIUS_UM) -> float:
    """Return the mean of the raw G over 0 to a radius, exactly: the mean of what each distance leaves."""
    return float(np.maximum(radius_um - _column(distance_um), 0).mean()) / radius_um


def area_under_kaplan_meier_g(
    distance_um: ArrayLike, edge_um: ArrayLike, *, radius_um: float = HEADLINE_RADIUS_UM
) -> float:
    """Return the mean of the edge-corrected G over 0 to a radius, exactly: a sum over its steps."""
    times, surviving = _survival(*_pairs(distance_um, edge_um))
    steps = -np.diff(np.r_[1.0, surviving])
    return float((steps * np.maximum(radius_um - times, 0)).sum()) / radius_um


def random_g(radii_um: ArrayLike, *, intensity: float) -> NDArray[np.float64]:
    """Return G of targets placed at random (complete spatial randomness), 1 - exp(-intensity pi r²).

    ``intensity`` is in targets per um².
    """
    return np.asarray(1 - np.exp(-intensity * pi * _column(radii_um) ** 2))


def mean_random_distance_um(intensity: float) -> float:
    """Return the mean distance to targets placed at random, 1 / (2 sqrt(intensity)), um."""
    return 1 / (2 * sqrt(intensity))


def _survival(
    distance: NDArray[np.float64], edge: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances at which cells end, rising, and the share that has met no target by then."""
    ends = np.minimum(distance, edge)
    met = (distance <= edge) & np.isfinite(distance)
    times, which, ending = np.unique(ends, return_inverse=True, return_counts=True)
    at_risk = len(ends) - np.r_[0, np.cumsum(ending)[:-1]]
    events = np.bincount(which, weights=met, minlength=len(times))
    return times, np.cumprod(1 - events / at_risk)


def _pairs(distance_um: ArrayLike, edge_um: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two distances of every cell."""
    distance, edge = _column(distance_um), _column(edge_um)
    if distance.shape != edge.shape:
        raise InvalidTableError(
            f"{len(distance)} distances to a target and {len(edge)} to the edge", "Give both for every cell."
        )
    return distance, edge


def _column(values: ArrayLike) -> NDArray[np.float64]:
    """Return distances of 0 or more, at least one."""
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or not column.size or not (column >= 0).all():
        raise InvalidTableError(
            f"distances of shape {column.shape}",
            "Give one or more numbers of 0 or above; handle no cells before.",
        )
    return column
