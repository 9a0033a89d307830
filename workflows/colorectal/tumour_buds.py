"""Candidate tumour buds: small groups of epithelial nuclei beside the glands of a carcinoma; experimental."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import pi

import numpy as np
from numpy.typing import NDArray

from ...quantify import DensestDisc, TumourCluster, cluster_kind, colorectal_cutoffs, densest_disc
from ...quantify.densest_disc import TOLERANCE_UM
from .class_maps import SlideMaps
from .classes import LESION_CLASSES
from .glands import GlandTable
from .tumour_nuclei import TumourNuclei

__all__ = ["BudCandidates", "disc_outline", "find_buds", "group_nuclei"]

LINK_UM = 25.0
"""Nuclei with centres closer than this belong to cells that touch: tumour cells are 15-25 um wide."""
CLEAR_UM = 20.0
"""A group with a nucleus closer than this to a gland is part of it: the border of the gland map, of cells of
5 um, is no sharper than the width of a cell."""
FRONT_UM = 500.0
"""Groups farther than this from the carcinoma's glands are left out, um: the radius of the counted field."""
BAND_ROWS = 1024
"""Rows of the gland map whose distances are measured at once."""
CARCINOMA = len(LESION_CLASSES) - 1
CORNERS = 64
"""Of the outline of a round field."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class BudCandidates:
    """Groups of tumour nuclei off the glands, one row each, top to bottom."""

    x: Floats
    """(N,) middle, level-0 px."""
    y: Floats
    """(N,) middle, level-0 px."""
    cells: NDArray[np.int64]
    """(N,) nuclei of each."""
    level0_mpp: float
    """um per level-0 px."""
    disc: DensestDisc | None = None
    """The field of 0.785 mm2 with most candidate buds, um; None without any."""
    clusters_in_disc: int = 0
    """Larger groups in that field."""
    tissue_mm2: float = 0.0
    """Assessed tissue in that field, mm2."""

    def __len__(self) -> int:
        return len(self.x)

    @property
    def is_bud(self) -> Mask:
        """(N,) whether a group is a bud, 1-4 nuclei, or a larger cluster."""
        sizes = np.unique(self.cells)
        small = [size for size in sizes if cluster_kind(int(size)) is TumourCluster.BUD]
        return np.asarray(np.isin(self.cells, small))


def find_buds(
    glands: GlandTable, maps: SlideMaps, *, tissue: Mask, everywhere: bool = False
) -> BudCandidates:
    """Group tumour nuclei and keep the groups that lie clear of all glands, near those of a carcinoma.

    Parameters
    ----------
    glands : GlandTable
        The glands of the slide.
    maps : SlideMaps
        With epithelial nuclei, those in glands too: they tell what hangs together with a gland.
    tissue : (H, W) bool array
        Assessed tissue on the cells of the gland map; nuclei elsewhere are left out.
    everywhere : bool
        Keep groups far from carcinoma too: to count false ones on tissue without any.

    Returns
    -------
    BudCandidates
        None without certain glands of carcinoma, unless ``everywhere``.

    Notes
    -----
    A candidate needs one sure nucleus; its size counts all that look epithelial. Buds within the tumour and
    at its outer border are not told apart: which border is the outer one is not measured.
    """
    nuclei = TumourNuclei.joined([] if maps.nuclei is None else [maps.nuclei])
    rows, columns = _cells_of(nuclei, maps, shape=glands.labels.shape)
    nuclei_on = tissue[rows, columns]
    nuclei, rows, columns = nuclei.select(nuclei_on), rows[nuclei_on], columns[nuclei_on]
    um = maps.mpp / maps.downsample
    points = np.stack([nuclei.x, nuclei.y], 1) * um
    group = group_nuclei(points, link_um=LINK_UM)
    count = int(group.max(initial=-1)) + 1
    is_tumour = np.concatenate([[False], glands.is_certain & (glands.kind == CARCINOMA)])[glands.labels]
    touches = _within(glands.labels > 0, rows, columns, reach=CLEAR_UM / maps.mpp)
    at_front = _within(is_tumour, rows, columns, reach=FRONT_UM / maps.mpp) | everywhere
    chosen = ~_any_of(group, touches, count) & _any_of(group, at_front, count)
    chosen &= _any_of(group, nuclei.sure, count)
    cells = np.bincount(group, minlength=count)
    x, y = (np.bincount(group, values, minlength=count) / np.maximum(cells, 1) for values in points.T / um)
    order = np.flatnonzero(chosen)
    order = order[np.lexsort((x[order], y[order]))]
    found = BudCandidates(x[order], y[order], cells[order], um)
    return _with_disc(found, maps, tissue=tissue)


def group_nuclei(points_um: Floats, *, link_um: float) -> NDArray[np.int64]:
    """Return the group of each point (N, 2), um: points closer than ``link_um`` are of one, chains too."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    count = len(points_um)
    if not count:
        return np.empty(0, np.int64)
    pairs = cKDTree(points_um).query_pairs(link_um, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def disc_outline(disc: DensestDisc, *, mpp: float) -> Floats:
    """Return a field as a polygon (V, 2), level-0 px; ``mpp`` is um per level-0 px."""
    angle = np.arange(CORNERS) * (2 * pi / CORNERS)
    x, y = disc.x_um + disc.radius_um * np.cos(angle), disc.y_um + disc.radius_um * np.sin(angle)
    return np.stack([x, y], 1) / mpp


def _with_disc(found: BudCandidates, maps: SlideMaps, *, tissue: Mask) -> BudCandidates:
    """Find the field with most buds, and what else lies in it."""
    um = maps.mpp / maps.downsample
    points = np.stack([found.x, found.y], 1) * um
    is_bud = found.is_bud
    disc = densest_disc(points[is_bud], area_mm2=colorectal_cutoffs().budding.field_mm2)
    if disc is None:
        return found
    disc = _centred(disc, points[is_bud])
    others = points[~is_bud] - (disc.x_um, disc.y_um)
    clusters = int((np.hypot(*others.T) <= disc.radius_um).sum())
    reach, middle = disc.radius_um / maps.mpp, (disc.y_um / maps.mpp, disc.x_um / maps.mpp)
    rows, columns = (
        np.arange(max(0, int(at - reach)), min(size, int(at + reach) + 2))
        for at, size in zip(middle, tissue.shape, strict=True)
    )
    inside = (rows[:, None] + 0.5 - middle[0]) ** 2 + (columns + 0.5 - middle[1]) ** 2 <= reach**2
    covered = int((inside & tissue[rows[:, None], columns]).sum())
    area = covered * (maps.mpp / 1000) ** 2
    return replace(found, disc=disc, clusters_in_disc=clusters, tissue_mm2=area)


def _centred(disc: DensestDisc, points: Floats) -> DensestDisc:
    """Move a field onto the middle of its points where it still holds them all: many fields hold as many."""
    held = np.hypot(*(points - (disc.x_um, disc.y_um)).T) <= disc.radius_um + TOLERANCE_UM
    x, y = points[held].mean(0)
    count = int((np.hypot(*(points - (x, y)).T) <= disc.radius_um).sum())
    return replace(disc, x_um=float(x), y_um=float(y)) if count == disc.count else disc


def _cells_of(
    nuclei: TumourNuclei, maps: SlideMaps, *, shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return row and column of the gland map under each nucleus."""
    rows, columns = (
        (values / maps.downsample).astype(np.intp).clip(0, size - 1)
        for values, size in zip((nuclei.y, nuclei.x), shape, strict=True)
    )
    return rows, columns


def _within(mask: Mask, rows: NDArray[np.intp], columns: NDArray[np.intp], *, reach: float) -> Mask:
    """Tell which cells lie within a distance of a mask, all in cells; in bands, so that memory is bounded."""
    from scipy import ndimage

    near = np.zeros(len(rows), bool)
    margin = int(np.ceil(reach))
    for top in range(0, mask.shape[0], BAND_ROWS):
        own = (rows >= top) & (rows < top + BAND_ROWS)
        first = max(0, top - margin)
        part = mask[first : top + BAND_ROWS + margin]
        if own.any() and part.any():
            distance = ndimage.distance_transform_edt(~part)
            near[own] = distance[rows[own] - first, columns[own]] <= reach
    return near


def _any_of(group: NDArray[np.int64], holds: Mask, count: int) -> Mask:
    """Tell for which groups something holds of one of their members."""
    return np.asarray(np.bincount(group[holds], minlength=count) > 0)
