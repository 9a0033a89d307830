"""What nearness chance alone would give: the same cells with their kinds shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SettingsError
from .assessed_region import AssessedRegion, check_points
from .interval import BOOTSTRAP_SEED
from .nearest_neighbour import RADII_UM, kaplan_meier_g, nearest_distances_um, raw_g
from .score import Interval

LABELLING_RUNS = 199
"""Shuffles: with the fifth from either end as bounds, exactly 95 % (a project rule)."""


@dataclass(frozen=True, slots=True, eq=False)
class LabellingEnvelope:
    """G of shuffled kinds, for comparison with the G that was found."""

    radii_um: NDArray[np.float64]
    """(R,) um."""
    low: NDArray[np.float64]
    """(R,) lower bound of G."""
    high: NDArray[np.float64]
    """(R,)"""
    mean: NDArray[np.float64]
    """(R,) mean G of the runs."""
    estimator: str
    """``kaplan-meier`` or ``raw``: compare with that G only."""
    runs: int
    seed: int
    level: float

    def interval(self, radius_um: float) -> Interval:
        """Return the bounds at one of the radii; the G that was found may well lie outside."""
        at = int(np.flatnonzero(self.radii_um == radius_um)[0])
        method = f"random labelling, {self.runs} runs, seed {self.seed}"
        return Interval(float(self.low[at]), float(self.high[at]), level=self.level, method=method)


def random_labelling(
    cells_um: ArrayLike,
    targets_um: ArrayLike,
    *,
    region: AssessedRegion,
    estimator: Literal["kaplan-meier", "raw"] = "kaplan-meier",
    radii_um: ArrayLike = RADII_UM,
    runs: int = LABELLING_RUNS,
    seed: int = BOOTSTRAP_SEED,
) -> LabellingEnvelope | None:
    """Return bounds of G when the kinds of the cells are shuffled and their places kept.

    Parameters
    ----------
    cells_um, targets_um : (n, 2) and (m, 2) array
        Centres of the two kinds, um; those outside the region are left out.
    region : AssessedRegion
        Tissue that was assessed.
    estimator : "kaplan-meier" or "raw"
        Which G to compute.
    radii_um : (R,) array
        Where, um.
    runs : int
        Shuffles, at least 39 for bounds at 95 %.
    seed : int
        Of the shuffles; the same seed gives the same bounds, in whatever order cells are given.

    Returns
    -------
    LabellingEnvelope or None
        None without cells of both kinds in the region.

    Notes
    -----
    The bounds are the k-th lowest and k-th highest of the runs with k = (runs + 1) x 2.5 %, each radius for
    itself. Time is that of ``runs`` neighbour searches.
    """
    if runs < 39 or estimator not in ("kaplan-meier", "raw"):
        raise SettingsError(f"{runs} runs of {estimator!r}", "Use 199 runs of kaplan-meier or raw.")
    cells, targets = (
        points[region.contains(points)] for points in (check_points(cells_um), check_points(targets_um))
    )
    if not len(cells) or not len(targets):
        return None
    places = np.concatenate((cells, targets))
    places = places[np.lexsort(places.T)]
    edges = region.edge_distance_um(places)
    radii = np.asarray(radii_um, dtype=np.float64)
    random = np.random.default_rng(seed)
    found = np.empty((runs, len(radii)))
    for run in range(runs):
        order = random.permutation(len(places))
        some, others = order[: len(cells)], order[len(cells) :]
        distance = nearest_distances_um(places[some], places[others])
        found[run] = (
            raw_g(distance, radii)
            if estimator == "raw"
            else kaplan_meier_g(distance, edges[some], radii_um=radii)
        )
    found.sort(axis=0)
    rank = (runs + 1) // 40
    return LabellingEnvelope(
        radii_um=radii,
        low=found[rank - 1],
        high=found[runs - rank],
        mean=found.mean(axis=0),
        estimator=estimator,
        runs=runs,
        seed=seed,
        level=1 - 2 * rank / (runs + 1),
    )
