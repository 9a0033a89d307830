"""Paints the cells around nuclei into stain maps: cytoplasm, and a membrane just inside each border."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .borders import cell_radii
from .cells import VERTICES, Cells
from .nuclei import Frame, at_angle, batches, frame, lay
from .texture import Floats, Grid

THICKNESS_UM = 0.9  # of a membrane at half its height: the line that a section of 4 um makes of it
EDGE_UM = 0.4  # over which it rises from nothing
BODY_EDGE_UM = 1.0
GAP_EDGE_UM = 0.9  # over which a membrane fades out
GRANULES = 0.05  # unevenness of a membrane, share of its density; at most twice that
CLUMPS = 0.14  # unevenness of a stained cytoplasm


@dataclass(frozen=True, eq=False)
class _Layers:
    """What cells add to a window, each (h, w)."""

    membrane: Floats
    cytoplasm: Floats
    body: Floats


def paint_coats(maps: list[Floats], cells: Cells, *, grid: Grid, mottle: Floats, grain: Floats) -> None:
    """Lay the cells over hematoxylin, DAB and ground of a window, in place.

    Parameters
    ----------
    maps : list of (h, w) float32 arrays
        Optical density of hematoxylin, DAB and ground.
    cells : Cells
        All nuclei that reach into the window with their cells, and the neighbours of those.
    grid : Grid
        The window.
    mottle, grain : (h, w) float32 arrays
        Textures that make cytoplasm and membranes uneven.

    Notes
    -----
    Where cells carry the marker, they hide the little that the ground has of it: a membrane is as dense
    as its cell's table says, whatever lies beneath.
    """
    blank = np.zeros((grid.height, grid.width), dtype=np.float32)
    layers = _Layers(blank, blank.copy(), blank.copy())
    radii = cell_radii(cells)
    drawn = np.flatnonzero(cells.coats.spread > 0.0)
    cells, radii = cells.take(drawn), radii[drawn]
    for rows in batches(radii.max(axis=1, initial=0.0), grid.mpp):
        _add(layers, cells.take(rows), radii[rows], grid)
    _, dab, ground = maps
    np.maximum(ground, layers.body, out=ground)
    uneven = 1.0 + CLUMPS * np.clip(0.8 * mottle + 0.6 * grain, -2.5, 2.5)
    np.maximum(dab, layers.cytoplasm * uneven, out=dab)
    np.maximum(
        dab, layers.membrane * (1.0 + GRANULES * np.clip(0.7 * mottle + 0.7 * grain, -2.0, 2.0)), out=dab
    )


def _add(layers: _Layers, cells: Cells, radii: Floats, grid: Grid) -> None:
    """Add some cells of like size to the layers."""
    coats, part = cells.coats, frame(cells.x, cells.y, reach=radii.max(axis=1), grid=grid)
    border = at_angle(radii, part)
    depth = (border - part.distance) * at_angle(_slant(radii), part)
    body = _step(depth / BODY_EDGE_UM)
    lay(layers.body, part, body * coats.body[:, None, None], combine=np.maximum)
    if coats.cytoplasm_od.any():
        # the nucleus takes most of the section's thickness where it lies
        free = 1.0 - 0.65 * _step((at_angle(cells.radii, part) - part.distance) / BODY_EDGE_UM)
        lay(layers.cytoplasm, part, body * free * coats.cytoplasm_od[:, None, None], combine=np.maximum)
    if coats.membrane_od.any():
        ring = _step(depth / EDGE_UM + 0.5) * _step((THICKNESS_UM - depth) / EDGE_UM + 0.5)
        ring *= _covered(cells, part) * coats.membrane_od[:, None, None]
        lay(layers.membrane, part, ring, combine=np.maximum)


def _slant(radii: Floats) -> Floats:
    """Return the cosine between a border's rays and its normals: it turns depths on rays into true ones."""
    slope = (np.roll(radii, -1, axis=1) - np.roll(radii, 1, axis=1)) * np.float32(VERTICES / (4.0 * math.pi))
    return np.asarray(1.0 / np.hypot(1.0, slope / radii), dtype=np.float32)


def _covered(cells: Cells, part: Frame) -> Floats:
    """Return 1 where the direction holds membrane and 0 within its gaps, (n, p, p)."""
    covered = np.ones_like(part.distance)
    turn = np.float32(2.0 * math.pi)
    for k in range(cells.coats.gaps.shape[1]):
        middle, half = cells.coats.gaps[:, k].T[:, :, None, None]
        if half.any():
            away = np.abs((part.angle - middle + 0.5 * turn) % turn - 0.5 * turn)
            inside = (half - away) * part.distance * np.float32(1.0 / GAP_EDGE_UM) + 0.5
            covered = np.minimum(covered, np.where(half > 0.0, 1.0 - _step(inside), 1.0))
    return covered


def _step(value: Floats) -> Floats:
    """Return a smooth step from 0 at 0 to 1 at 1."""
    value = np.clip(value, 0.0, 1.0)
    return np.asarray(value * value * (3.0 - 2.0 * value), dtype=np.float32)
