"""Area that outlines cover together, grown by a rim, on a fine raster: millions of cells, no object per cell.

Every outline is painted as the +1 and -1 where a raster's rows enter and leave it; summed along a row this
gives how many outlines cover each pixel, so a union is what is covered at least once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .assessed_region import AssessedRegion

_TILE = 1024  # raster px per side painted at once: 16 MB
_CHUNK = 20_000  # outlines whose edges are held at once
_CORNER = 1.2  # a corner of the area of a round one reaches at most this many rims out


def union_area_um2(
    outlines_um: ArrayLike,
    *,
    dilation_um: float = 0.0,
    pixel_um: float = 0.5,
    inside: AssessedRegion | None = None,
) -> float:
    """Return the area that outlines cover, each place once.

    Parameters
    ----------
    outlines_um : (N, V, 2) array
        Vertices x, y of each outline in order, um, not closed; either direction, not crossing itself. A
        vertex may be repeated, so that outlines of fewer vertices fit in.
    dilation_um : float
        Rim by which each outline is grown, um.
    pixel_um : float
        Side of a raster pixel, um; a pixel counts when its centre is covered. With ``inside`` it is made
        smaller where needed so that whole pixels fill a pixel of the region.
    inside : AssessedRegion or None
        Only what is covered within this region counts; None: everything.

    Returns
    -------
    float
        um².

    Raises
    ------
    InvalidTableError
        If the outlines are not (N, V, 2) finite numbers.
    SettingsError
        If ``dilation_um`` is negative or ``pixel_um`` not positive.

    Notes
    -----
    Grown corners are cut such that each holds exactly the area of a round one. The result does not depend on
    the order of the outlines or on the tiles that they are painted in. Time grows with N times the vertices;
    memory is that of the outlines and one tile. A single disc of 8 um is off by about 1 % at 0.5 um per px,
    to either side; over many cells that cancels.
    """
    rings = _check_rings(outlines_um)
    if not dilation_um >= 0 or not pixel_um > 0:
        raise SettingsError(
            f"a dilation of {dilation_um} um on pixels of {pixel_um} um", "Use 2 and 0.5, for example."
        )
    repeat = 1 if inside is None else ceil(inside.mpp / pixel_um - 1e-9)
    side = pixel_um if inside is None else inside.mpp / repeat
    origin = (0.0, 0.0) if inside is None else inside.origin_um
    rings = (rings - np.asarray(origin)) / side
    covered = 0
    for column, row, members in _tiles(rings, reach=_CORNER * dilation_um / side):
        corner = np.array([column * _TILE, row * _TILE])
        allowed = True if inside is None else _tile_mask(inside.mask, corner, repeat=repeat)
        if np.any(allowed):
            winding = np.zeros((_TILE, _TILE + 1))
            for start in range(0, len(members), _CHUNK):
                grown = grow_rings(rings[members[start : start + _CHUNK]], dilation_um / side)
                _paint(winding, *_edges(grown), corner=corner)
            covered += int(np.count_nonzero((np.cumsum(winding, axis=1)[:, :-1] > 0.5) & allowed))
    return covered * side * side


def fill_polygons(
    polygons_um: Sequence[ArrayLike],
    *,
    shape: tuple[int, int],
    mpp: float,
    holes_um: Sequence[ArrayLike] = (),
) -> NDArray[np.bool_]:
    """Return the raster of hand-drawn polygons.

    Parameters
    ----------
    polygons_um : sequence of (V, 2) array
        Vertices x, y in order, um from the raster's upper-left corner; either direction.
    shape : (int, int)
        Rows and columns of the raster.
    mpp : float
        um per raster px.
    holes_um : sequence of (V, 2) array
        What is cut out of them.

    Returns
    -------
    (h, w) bool array
        True where a pixel's centre lies in a polygon and in no hole.
    """
    filled = [np.zeros((shape[0], shape[1] + 1)) for _ in range(2)]
    for winding, polygons in zip(filled, (polygons_um, holes_um), strict=True):
        for polygon in polygons:
            ring = _check_rings(np.asarray(polygon, dtype=np.float64)[None] / mpp)
            _paint(winding, *_edges(ring), corner=np.zeros(2, dtype=np.int64))
    is_in, is_hole = (np.cumsum(winding, axis=1)[:, :-1] > 0.5 for winding in filled)
    return np.asarray(is_in & ~is_hole)


def fill_outlines(
    outlines_um: Sequence[ArrayLike], *, shape: tuple[int, int], mpp: float
) -> NDArray[np.bool_]:
    """Return the raster of many outlines: True where a pixel's centre lies in any, (h, w) bool.

    Parameters
    ----------
    outlines_um : sequence of (V, 2) array
        Vertices x, y in order, um from the raster's upper-left corner; numbers of vertices may differ.
    shape : (int, int)
        Rows and columns of the raster.
    mpp : float
        um per raster px.
    """
    winding = np.zeros((shape[0], shape[1] + 1))
    by_vertices: dict[int, list[ArrayLike]] = {}
    for outline in outlines_um:
        by_vertices.setdefault(len(np.asarray(outline)), []).append(outline)
    for group in by_vertices.values():
        rings = _check_rings(np.asarray(group, dtype=np.float64) / mpp)
        _paint(winding, *_edges(rings), corner=np.zeros(2, dtype=np.int64))
    return np.asarray(np.cumsum(winding, axis=1)[:, :-1] > 0.5)


def grow_rings(rings: NDArray[np.float64], rim: float) -> NDArray[np.float64]:
    """Return outlines grown by a rim, in the unit of both.

    Parameters
    ----------
    rings : (N, V, 2) array
        Outlines that turn from x to y (positive area), as ``_check_rings`` leaves them.
    rim : float
        How far to grow.

    Returns
    -------
    (N, 4 V, 2) float64 array
        The outline plus one strip along each edge and one wedge at each outward corner, as one closed path.
        All parts turn the same way, so no place is left out or cancelled, however the parts overlap.
    """
    if rim == 0:
        return rings
    edge = np.roll(rings, -1, axis=1) - rings
    length = np.hypot(edge[..., 0], edge[..., 1])
    outward = np.stack((edge[..., 1], -edge[..., 0]), axis=-1) / np.where(length > 0, length, 1)[..., None]
    outward = _carried_on(outward, length > 0)
    before = np.roll(outward, 1, axis=1)
    cross = before[..., 0] * outward[..., 1] - before[..., 1] * outward[..., 0]
    turn = np.arctan2(cross, (before * outward).sum(axis=-1))
    # Three triangles that together hold the area of the round wedge; inward corners go back to the vertex.
    third = np.where(turn > 0, turn / 3, 0.0)
    reach = np.where(turn > 0, rim * (np.sqrt(1 + 3 / np.sinc(third / np.pi)) - 1), 0.0)[..., None]
    corners = (
        rings + rim * before,
        rings + reach * _turned(before, third),
        rings + reach * _turned(before, 2 * third),
        rings + rim * outward,
    )
    return np.stack(corners, axis=2).reshape(len(rings), -1, 2)


def _turned(vectors: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn vectors from x towards y."""
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = vectors[..., 0], vectors[..., 1]
    return np.stack((x * cosine - y * sine, x * sine + y * cosine), axis=-1)


def _carried_on(normals: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give edges of no length, at repeated vertices, the direction of the edge before."""
    if known.all():
        return normals
    vertices = known.shape[1]
    last = np.maximum.accumulate(np.where(np.tile(known, 2), np.arange(2 * vertices), 0), axis=1)
    return np.take_along_axis(normals, (last[:, vertices:] % vertices)[..., None], axis=1)


def _check_rings(outlines: ArrayLike) -> NDArray[np.float64]:
    """Return outlines of one direction, without those of no area."""
    rings = np.asarray(outlines, dtype=np.float64)
    if rings.size == 0:
        return np.zeros((0, 3, 2))
    if rings.ndim != 3 or rings.shape[2] != 2 or rings.shape[1] < 3 or not np.isfinite(rings).all():
        raise InvalidTableError(
            f"outlines of shape {rings.shape}",
            "Give finite vertices x, y of 3 or more per outline: (N, V, 2).",
        )
    following = np.roll(rings - rings[:, :1], -1, axis=1)  # from a vertex of its own: no rounding far away
    here = rings - rings[:, :1]
    doubled = (here[..., 0] * following[..., 1] - here[..., 1] * following[..., 0]).sum(axis=1)
    turned = np.where((doubled < 0)[:, None, None], rings[:, ::-1], rings)
    return np.asarray(turned[doubled != 0])


def _tiles(rings: NDArray[np.float64], *, reach: float) -> Iterator[tuple[int, int, NDArray[np.intp]]]:
    """Yield column and row of each tile that outlines touch, with their rows in ``rings``."""
    if len(rings) == 0:
        return
    first = np.floor((rings.min(axis=1) - reach) / _TILE).astype(np.int64)
    across = np.floor((rings.max(axis=1) + reach) / _TILE).astype(np.int64) - first + 1
    copies = across.prod(axis=1)
    owner = np.repeat(np.arange(len(rings)), copies)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(copies) - copies, copies)
    column = first[owner, 0] + number % across[owner, 0]
    row = first[owner, 1] + number // across[owner, 0]
    order = np.lexsort((owner, column, row))
    column, row, owner = column[order], row[order], owner[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(column) != 0) | (np.diff(row) != 0)])
    for start, end in zip(starts, np.r_[starts[1:], len(owner)], strict=True):
        yield int(column[start]), int(row[start]), owner[start:end]


def _tile_mask(mask: NDArray[np.bool_], corner: NDArray[np.int64], *, repeat: int) -> NDArray[np.bool_]:
    """Return a tile of the region on the fine raster; beyond the mask nothing is allowed."""
    column, row = ((corner[axis] + np.arange(_TILE)) // repeat for axis in (0, 1))
    has_column = (column >= 0) & (column < mask.shape[1])
    has_row = (row >= 0) & (row < mask.shape[0])
    allowed = np.zeros((_TILE, _TILE), dtype=np.bool_)
    allowed[np.ix_(has_row, has_column)] = mask[np.ix_(row[has_row], column[has_column])]
    return allowed


def _edges(rings: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the (E, 2) starts and ends of all edges."""
    return rings.reshape(-1, 2), np.roll(rings, -1, axis=1).reshape(-1, 2)


def _paint(
    winding: NDArray[np.float64],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    *,
    corner: NDArray[np.int64],
) -> None:
    """Add +1 where a row of pixel centres enters along an edge and -1 where it leaves.

    Both ends of an edge are given in px of the whole raster and rounded alike in neighbouring edges, so each
    closed path adds up to nothing along every row, and equal pixels come out of every tile.
    """
    height, width = winding.shape[0], winding.shape[1] - 1
    top, bottom = (np.ceil(ends - 0.5).astype(np.int64) for ends in (start[:, 1], end[:, 1]))
    first = np.clip(np.minimum(top, bottom) - corner[1], 0, height)
    count = np.clip(np.maximum(top, bottom) - corner[1], 0, height) - first
    edge = np.repeat(np.arange(len(count)), count)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    x0, y0 = start[edge].T
    x1, y1 = end[edge].T
    crossing = x0 + (row + corner[1] + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
    column = np.clip(np.ceil(crossing - 0.5).astype(np.int64) - corner[0], 0, width)
    sign = np.where(top > bottom, 1.0, -1.0)[edge]
    added = np.bincount(row * (width + 1) + column, weights=sign, minlength=winding.size)
    winding += added.reshape(winding.shape)
