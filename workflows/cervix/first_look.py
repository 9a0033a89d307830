"""Which nuclei a classifier sees: all but plainly normal ones and neutrophils, and a sample of those."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FirstLook", "look_first"]

Floats = NDArray[np.float32]

SAMPLED = 4
"""One in so many of the nuclei that need no second look gets one all the same: organisms lie beside them."""
PLACE_PX = 16
"""Which ones follows from their place, in squares so wide: neither tiles nor order matter."""


@dataclass(frozen=True)
class FirstLook:
    """What makes a nucleus plain (project rules, all on the safe side of what is called abnormal)."""

    least_um2: float = 14.0
    """Smaller ones are fragments of nuclei or lobes, um2."""
    plain_upto_um2: float = 52.0
    """1.5 times a normal intermediate nucleus: no larger one is plain, um2."""
    plain_rays_um: float = 10.0
    """A quarter of the rays may be shorter: a cell of high N:C has 3-4 um of cytoplasm."""
    alone_um: float = 12.0
    """A nucleus this near makes a group, and groups are not plain."""
    lesion_from_um2: float = 22.0
    """Nuclei of lesions are no smaller, 0.65 of a normal intermediate one, um2."""
    neutrophil_upto_um2: float = 32.0
    """A lobe or a whole nucleus; those of high-grade cells are larger."""
    neutrophil_rays_um: float = 9.0
    """Three quarters of a neutrophil's rays are shorter."""


def look_first(
    x: NDArray[np.float64], y: NDArray[np.float64], *, area_um2: Floats, rays_um: Floats, mpp: float
) -> NDArray[np.bool_]:
    """Tell which nuclei the classifier shall see.

    Parameters
    ----------
    x, y : (N,) array
        Centres, px of a plane of ``mpp``, in the frame of the whole slide.
    area_um2 : (N,) array
        Areas of the nuclei.
    rays_um : (N, R) array
        From `trace_cells`.
    mpp : float
        um per px.

    Returns
    -------
    (N,) bool array
    """
    from scipy.spatial import cKDTree

    rules = FirstLook()
    if not len(x):
        return np.zeros(0, bool)
    far = np.sort(np.minimum(rays_um, np.float32(1e3)), axis=1)
    short, long = far[:, far.shape[1] // 4], far[:, 3 * far.shape[1] // 4]
    is_lobe = (area_um2 <= rules.neutrophil_upto_um2) & (long < rules.neutrophil_rays_um)
    # Only nuclei of cells make a group: a neutrophil beside an intermediate cell does not.
    places = np.stack([x, y], axis=1) * mpp
    others = ~is_lobe & (area_um2 >= rules.least_um2)
    alone = np.ones(len(x), bool)
    if others.any():
        near = cKDTree(places[others]).query_ball_point(places, rules.alone_um, return_length=True)
        alone = near - others <= 0
    is_plain = (area_um2 <= rules.plain_upto_um2) & (short >= rules.plain_rays_um) & alone
    is_small = area_um2 < rules.least_um2
    is_none = is_plain | is_lobe | (area_um2 < rules.lesion_from_um2)
    return np.asarray((~is_none | _is_sampled(x, y)) & ~is_small)


def _is_sampled(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Choose about one place in `SAMPLED` by a hash of the square that it lies in."""
    column, row = (np.floor(each / PLACE_PX).astype(np.int64) for each in (x, y))
    mixed = (column * 73856093) ^ (row * 19349663)
    return np.asarray((mixed ^ (mixed >> 13)) % SAMPLED == 0)
