"""Where immune cells are counted: assessed tissue, tumour with its border, and the nests inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..quantify import AssessedRegion, TumourRegions, tumour_regions
from ..quantify.densities import MARGIN_INSIDE_UM, MARGIN_OUTSIDE_UM
from .slides.plan import SlidePlan

if TYPE_CHECKING:
    from .slides.tumour_region import TumourRegion

__all__ = ["Ground", "drawn_tumour", "found_tumour", "ground_of", "nest_nuclei"]

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

LARGEST_RASTER_PX = 12_000_000
"""Beyond this many px around the tissue the raster is made coarser: distances take 40 bytes per px."""
NEST_REACH_UM = 40.0
"""A nucleus of the tumour belongs to a nest when enough others lie this near, um: three cells."""
NEST_NEIGHBOURS = 4
"""How many others. Nuclei that the network mistook for tumour mostly stand alone."""
NEST_RIM_UM = 8.0
"""How far a nest reaches beyond the centres of its outermost nuclei, um: half a tumour cell."""
BRIDGE_UM = 96.0
"""Nests less than twice this apart belong to one tumour, and the stroma between them lies in it, um."""
SMALLEST_TUMOUR_MM2 = 0.02
"""Smaller places are no tumour but strays: some hundred nuclei."""
BAND_PX = 1_000_000
"""Px of an outline that are asked for at once."""


@dataclass(frozen=True, eq=False)
class Ground:
    """The assessed tissue of a slide and the tumour on it, on one raster."""

    assessed: AssessedRegion
    """Tissue without what was excluded; its origin is a whole number of px."""
    tumour: Mask
    """(h, w) within the border of the invasive tumour, tissue or not; all False where nothing is known."""

    @property
    def mpp(self) -> float:
        """Um per px."""
        return self.assessed.mpp

    def regions(self) -> TumourRegions:
        """Return core and invasive margin."""
        return tumour_regions(self.tumour, mpp=self.mpp, tissue=self.assessed.mask)

    def part(self, mask: Mask) -> AssessedRegion:
        """Return a mask of this raster with its place."""
        return AssessedRegion(mask, self.mpp, self.assessed.origin_um)

    def areas_mm2(self, regions: TumourRegions) -> dict[str, float]:
        """Return the areas of tumour, core and margin, assessed tissue only."""
        within = float(np.count_nonzero(self.tumour & self.assessed.mask)) * self.mpp**2 / 1e6
        named = {f"tumour_{name}": area for name, area in regions.areas_mm2.items()}
        return {"tumour_with_stroma": within, **named}


def ground_of(plan: SlidePlan, tumour: TumourRegion | None) -> Ground:
    """Return the assessed tissue of a slide, with the user's outline of the tumour if there is one."""
    assessed = _around_tissue(plan)
    mask = np.zeros(assessed.mask.shape, np.bool_)
    if tumour is not None:
        mask = drawn_tumour(assessed, tumour)
    return Ground(assessed, mask)


def drawn_tumour(assessed: AssessedRegion, tumour: TumourRegion) -> Mask:
    """Return a user's outline on the raster of the assessed tissue."""
    rows, columns = assessed.mask.shape
    mask = np.zeros((rows, columns), np.bool_)
    across = (assessed.origin_um[0] + (np.arange(columns) + 0.5) * assessed.mpp) / tumour.mpp
    band = max(1, BAND_PX // columns)
    for start in range(0, rows, band):
        stop = min(rows, start + band)
        down = (assessed.origin_um[1] + (np.arange(start, stop) + 0.5) * assessed.mpp) / tumour.mpp
        x, y = (grid.ravel() for grid in np.meshgrid(across, down))
        mask[start:stop] = tumour.covers(x, y).reshape(stop - start, columns)
    return mask


def found_tumour(assessed: AssessedRegion, nests_um: Points) -> Mask:
    """Find the tumour from the nuclei of its nests.

    Everything within 104 um of such a nucleus, shrunk by 96 um: nests less than 192 um apart grow together,
    concave borders are smoothed, and the outer border lies 8 um beyond the outermost centres. Enclosed
    places belong to it; places under 0.02 mm2 do not.

    Parameters
    ----------
    assessed : AssessedRegion
        Gives the raster.
    nests_um : (N, 2) array
        From `nest_nuclei`.

    Returns
    -------
    (h, w) bool array
    """
    from scipy.ndimage import binary_fill_holes, distance_transform_edt, label

    tumour = np.zeros(assessed.mask.shape, np.bool_)
    if not len(nests_um):
        return tumour
    # Room on all sides, or the border of the raster would cut what is grown before it is shrunk.
    room = int(np.ceil((BRIDGE_UM + NEST_RIM_UM) / assessed.mpp)) + 1
    empty = np.pad(~tumour, room, constant_values=True)
    column, row = np.floor((nests_um - assessed.origin_um) / assessed.mpp).astype(np.intp).T + room
    held = (column >= 0) & (column < empty.shape[1]) & (row >= 0) & (row < empty.shape[0])
    empty[row[held], column[held]] = False
    grown = distance_transform_edt(empty) * assessed.mpp <= BRIDGE_UM + NEST_RIM_UM
    closed = (distance_transform_edt(grown) - 0.5) * assessed.mpp >= BRIDGE_UM
    closed = binary_fill_holes(closed)[room:-room, room:-room]
    names, count = label(closed)
    sizes = np.bincount(names.ravel(), minlength=count + 1) * assessed.mpp**2 / 1e6
    kept = sizes >= SMALLEST_TUMOUR_MM2
    kept[0] = False
    return np.asarray(kept[names])


def nest_nuclei(tumour_um: Points) -> Points:
    """Return those of the tumour's nuclei (N, 2), um, that have four others within 40 um."""
    from scipy.spatial import cKDTree

    if len(tumour_um) <= NEST_NEIGHBOURS:
        return tumour_um[:0]
    # The nearest to a nucleus is itself.
    distance, _ = cKDTree(tumour_um).query(tumour_um, k=[NEST_NEIGHBOURS + 1])
    return np.asarray(tumour_um[distance[:, 0] <= NEST_REACH_UM])


def _around_tissue(plan: SlidePlan) -> AssessedRegion:
    """Return the assessed tissue, cut to where a margin around it ends, coarser where that is very large."""
    tissue: Any = plan.tissue
    clear = plan.quality.assessable(tissue)
    rows, columns = np.flatnonzero(tissue.mask.any(axis=1)), np.flatnonzero(tissue.mask.any(axis=0))
    if not len(rows):
        return AssessedRegion(np.zeros((1, 1), np.bool_), tissue.mpp)
    # A border that runs beside the tissue has a margin on it.
    room = int(np.ceil(max(MARGIN_INSIDE_UM, MARGIN_OUTSIDE_UM) / tissue.mpp)) + 1
    (top, bottom), (left, right) = (
        (max(0, int(places[0]) - room), min(size, int(places[-1]) + 1 + room))
        for places, size in zip((rows, columns), clear.shape, strict=True)
    )
    step = 1
    while (bottom - top) * (right - left) / step**2 > LARGEST_RASTER_PX:
        step += 1
    cut = clear[top:bottom, left:right]
    return AssessedRegion(
        np.ascontiguousarray(cut[step // 2 :: step, step // 2 :: step]),
        tissue.mpp * step,
        (left * tissue.mpp, top * tissue.mpp),
    )
