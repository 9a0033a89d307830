"""Clusters of cells: those that neighbour each other, directly or through other cells of the cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import SettingsError
from .fields import check_cells
from .her2_cutoffs import her2_cutoffs


def largest_cluster(
    x_um: ArrayLike, y_um: ArrayLike, *, mask: ArrayLike, reach_um: float | None = None
) -> int:
    """Return the number of cells in the largest cluster.

    Parameters
    ----------
    x_um, y_um : (N,) array
        Centres of cells, um.
    mask : (N,) array of bool
        Which cells take part.
    reach_um : float, optional
        Two cells are neighbours if their centres lie at most this far apart, um. By default that of the
        packaged HER2 cut-offs: about one tumour cell and a half.

    Returns
    -------
    int
        0 if no cell takes part. A cell without neighbours is a cluster of 1.

    Raises
    ------
    InvalidTableError
        If the columns differ in length, hold NaN, or ``mask`` is not true/false.
    SettingsError
        If the reach is not positive.

    Notes
    -----
    Time n log n for n cells that take part, as long as each has few neighbours.
    """
    x, y, chosen = check_cells(x_um, y_um, mask)
    reach = her2_cutoffs().cluster_reach_um if reach_um is None else reach_um
    if not 0 < reach < np.inf:
        raise SettingsError(f"a cluster's reach of {reach} um", "Use a positive length, 25 um say.")
    if not chosen.any():
        return 0
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    points = np.stack([x[chosen], y[chosen]], axis=1)
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    _, cluster = connected_components(links, directed=False)
    return int(np.bincount(cluster).max())
