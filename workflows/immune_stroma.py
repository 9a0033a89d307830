"""The stroma inside a tumour and what lymphocytes cover of it, measured field by field."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..quantify import AssessedRegion, Interval, bootstrap_index_interval, lymphocyte_area_um2
from .immune_regions import NEST_RIM_UM, Ground
from .slides.immune_rule import LYMPHOCYTE

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FieldSums", "StromaFields", "count_in", "measure_stroma"]

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Whole = NDArray[np.int64]

FIELD_UM = 500.0
"""Side of a field, um: near to a high-power field, as in the other bootstraps."""
FINE_UM = 4.0
"""Nests and stroma are drawn no coarser than this, um per px."""
NEST_GAP_UM = 16.0
"""Nuclei of a nest less than twice this apart have no stroma between them, um: two tumour cells. Like the
rim a whole number of fine pixels, so that rounding makes nests neither larger nor smaller."""
FIELDS_READ = 8
"""Fields in a row whose cells are read together: squares of 4 mm."""
FEWEST_FIELDS = 10
"""With fewer fields there is no interval from drawing them anew: it would be a list of their values."""
OUTLINE_REACH_UM = 25.0
"""A nucleus with its rim whose centre is this far outside a field covers nothing in it, um."""


@dataclass(frozen=True, eq=False)
class FieldSums:
    """What was measured of each field that holds some of a region."""

    parts: Whole
    """(F,) cells, or um2 that cells cover."""
    areas: Whole
    """(F,) um2 of the region."""

    def interval(self, unit: float) -> Interval | None:
        """Return the interval of sum of parts over sum of areas, times ``unit``, fields drawn anew."""
        if np.count_nonzero(self.areas) < FEWEST_FIELDS:
            return None
        inside = np.minimum(self.parts, self.areas)
        made = bootstrap_index_interval(inside, self.areas)
        return None if made is None else made.times(unit / 100)


@dataclass(frozen=True, eq=False)
class StromaFields:
    """Stroma of the tumour, by field."""

    stroma_um2: NDArray[np.float64]
    """(F,) area of assessed stroma."""
    covered_um2: NDArray[np.float64]
    """(F,) area of it under lymphocytes and plasma cells with their rims."""
    lymphocytes: int
    """Lymphocytes and plasma cells with their centre in it."""

    @property
    def interval(self) -> Interval | None:
        """Interval of the percentage covered."""
        covered, stroma = (np.rint(each).astype(np.int64) for each in (self.covered_um2, self.stroma_um2))
        return FieldSums(covered, stroma).interval(100.0)


def _field_of(points_um: Points, ground: Ground) -> NDArray[np.intp]:
    """Return the field, counted row by row, of each point on the raster: (N,)."""
    side, wide = _field_px(ground), _fields(ground)[1]
    place = np.floor((points_um - ground.assessed.origin_um) / ground.mpp).astype(np.intp) // side
    return np.asarray(place[:, 1] * wide + place[:, 0])


def count_in(points_um: Points, mask: Mask, ground: Ground) -> FieldSums:
    """Count points in a mask of the ground's raster, and its area, by field."""
    inside = points_um[ground.part(mask).contains(points_um)]
    number = int(np.prod(_fields(ground)))
    rows, columns = np.nonzero(mask)
    side = _field_px(ground)
    fields = rows // side * _fields(ground)[1] + columns // side
    areas = np.bincount(fields, minlength=number) * ground.mpp**2
    parts = np.bincount(_field_of(inside, ground), minlength=number)
    held = areas > 0
    return FieldSums(parts[held].astype(np.int64), np.rint(areas[held]).astype(np.int64))


def measure_stroma(cells: Path, ground: Ground, *, nests_um: Points, mpp: float) -> StromaFields:
    """Measure stroma and lymphocytes inside the border of the tumour.

    Stroma is assessed tissue within the border that belongs to no nest: farther than 8 um from the nuclei
    of a nest, not in a gap of less than 32 um between them, and no strip of less than 12 um.

    Parameters
    ----------
    cells : Path
        Judged ``cells.parquet`` of an H&E slide; excluded cells cover nothing.
    ground : Ground
        Assessed tissue and tumour.
    nests_um : (N, 2) array
        Nuclei of nests, um.
    mpp : float
        um per level-0 px.

    Notes
    -----
    One field at a time is drawn, at 4 um per px or finer for the stroma and 0.5 um for the lymphocytes;
    outlines are read for squares of 4 mm, so memory does not grow with the slide but for the nuclei's places.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(nests_um) if len(nests_um) else None
    stroma, covered, count = [], [], 0
    for square in _squares(ground):
        outlines = _Outlines.read(cells, square, mpp=mpp)
        for field in square.fields:
            part = stroma_of(ground, field, tree)
            if not part.mask.any():
                continue
            near = outlines.near(part)
            stroma.append(part.area_um2)
            covered.append(lymphocyte_area_um2(near.rings(), stroma=part))
            count += int(part.contains(near.centres).sum())
    return StromaFields(np.array(stroma), np.array(covered), count)


def stroma_of(ground: Ground, field: tuple[int, int], tree: Any) -> AssessedRegion:
    """Return the stroma of the field in a row and column, on a finer raster than the ground's.

    ``tree`` is the scipy.spatial.cKDTree of the nests' nuclei, um, or None.
    """
    from scipy.ndimage import binary_opening

    side, fine = _field_px(ground), int(np.ceil(ground.mpp / FINE_UM))
    room = int(np.ceil(2 * NEST_GAP_UM / ground.mpp))  # beyond it nothing changes a pixel of the field
    sizes = ground.tumour.shape
    first = [number * side - room for number in field]
    last = [min(size, (number + 1) * side) + room for number, size in zip(field, sizes, strict=True)]
    window = tuple(
        slice(max(0, start), min(size, stop)) for start, stop, size in zip(first, last, sizes, strict=True)
    )
    beyond = [
        (place.start - start, stop - place.stop)
        for place, start, stop in zip(window, first, last, strict=True)
    ]
    within = np.pad(ground.tumour[window] & ground.assessed.mask[window], beyond)
    mask, pixel = within.repeat(fine, axis=0).repeat(fine, axis=1), ground.mpp / fine
    left, top = (
        start + place * ground.mpp
        for start, place in zip(ground.assessed.origin_um, first[::-1], strict=True)
    )
    if tree is not None and mask.any():
        mask &= ~_nests(mask.shape, pixel, (left, top), tree)
        mask = binary_opening(mask, np.ones((3, 3), np.bool_))
    edge, shift = room * fine, room * ground.mpp
    inner = np.ascontiguousarray(mask[edge:-edge, edge:-edge])
    return AssessedRegion(inner, pixel, (left + shift, top + shift))


def _nests(shape: tuple[int, ...], pixel: float, corner: tuple[float, float], tree: Any) -> Mask:
    """Return what belongs to nests: within 16 um of a nucleus, shrunk to 8 um beyond the outermost."""
    from scipy.ndimage import distance_transform_edt

    down, across = (
        start + (np.arange(size) + 0.5) * pixel for start, size in zip(corner[::-1], shape, strict=True)
    )
    places = np.stack(np.meshgrid(across, down), axis=-1)
    distance, _ = tree.query(places.reshape(-1, 2), distance_upper_bound=NEST_GAP_UM)
    grown = np.isfinite(distance).reshape(shape)
    if grown.all():
        return np.ones(shape, np.bool_)
    return np.asarray((distance_transform_edt(grown) - 0.5) * pixel >= NEST_GAP_UM - NEST_RIM_UM)


@dataclass(frozen=True)
class _Square:
    """Neighbouring fields whose cells are read together."""

    fields: list[tuple[int, int]]
    """Row and column of those with tumour."""
    left: float
    top: float
    right: float
    bottom: float
    """um."""


def _squares(ground: Ground) -> Iterator[_Square]:
    """Yield the squares that hold tumour."""
    side, (high, wide) = _field_px(ground), _fields(ground)
    um = side * ground.mpp
    x, y = ground.assessed.origin_um
    for top in range(0, high, FIELDS_READ):
        for left in range(0, wide, FIELDS_READ):
            fields = [
                (row, column)
                for row in range(top, min(high, top + FIELDS_READ))
                for column in range(left, min(wide, left + FIELDS_READ))
                if ground.tumour[row * side : (row + 1) * side, column * side : (column + 1) * side].any()
            ]
            if fields:
                ends = left + FIELDS_READ, top + FIELDS_READ
                yield _Square(fields, x + left * um, y + top * um, x + ends[0] * um, y + ends[1] * um)


@dataclass(frozen=True, eq=False)
class _Outlines:
    """Outlines of lymphocytes and plasma cells."""

    centres: Points
    """(N, 2) um."""
    shapes: NDArray[np.object_]
    """(N,) polygons, level-0 px."""
    mpp: float

    @classmethod
    def read(cls, cells: Path, square: _Square, *, mpp: float) -> _Outlines:
        """Read those of a square and of what reaches into it."""
        import pyarrow.parquet as pq
        import shapely

        reach = OUTLINE_REACH_UM
        bounds = {
            "x": ((square.left - reach) / mpp, (square.right + reach) / mpp),
            "y": ((square.top - reach) / mpp, (square.bottom + reach) / mpp),
        }
        wanted: list[tuple[str, str, Any]] = [("label", "==", LYMPHOCYTE.name), ("excluded", "==", "")]
        for axis, (low, high) in bounds.items():
            wanted += [(axis, ">=", low), (axis, "<=", high)]
        table: pa.Table = pq.read_table(cells, columns=["x", "y", "geometry"], filters=wanted)
        centres = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1) * mpp
        return cls(centres, shapely.from_wkb(table["geometry"].to_numpy()), mpp)

    def near(self, part: AssessedRegion) -> _Outlines:
        """Return those that may cover some of a field."""
        low = np.asarray(part.origin_um) - OUTLINE_REACH_UM
        high = low + np.array(part.mask.shape[::-1]) * part.mpp + 2 * OUTLINE_REACH_UM
        rows = ((self.centres >= low) & (self.centres <= high)).all(axis=1)
        return _Outlines(self.centres[rows], self.shapes[rows], self.mpp)

    def rings(self) -> NDArray[np.float64]:
        """Return the vertices (N, V, 2), um; the last of an outline is repeated where others have more."""
        import shapely

        if not len(self.shapes):
            return np.zeros((0, 3, 2))
        corners, owner = shapely.get_coordinates(shapely.get_exterior_ring(self.shapes), return_index=True)
        counts = np.bincount(owner, minlength=len(self.shapes)) - 1  # the last one closes the ring
        starts = np.cumsum(counts + 1) - counts - 1
        place = starts[:, None] + np.minimum(np.arange(counts.max()), counts[:, None] - 1)
        return np.asarray(corners[place] * self.mpp)


def _field_px(ground: Ground) -> int:
    """Side of a field, px of the ground's raster."""
    return max(1, round(FIELD_UM / ground.mpp))


def _fields(ground: Ground) -> tuple[int, int]:
    """Rows and columns of fields."""
    side = _field_px(ground)
    high, wide = (-(-size // side) for size in ground.assessed.mask.shape)
    return high, wide
