"""Paints nuclei into stain maps and measures them there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .cells import VERTICES, Cells
from .texture import Array, Floats, Grid, Textures, at_resolution

BATCH_PIXELS = 600_000  # of nuclear patches painted at once: bounds memory at fine resolutions


@dataclass(frozen=True, eq=False)
class Chromatin:
    """Textures of the inside of nuclei, at one slide's resolution."""

    fine: Floats
    coarse: Floats
    texel_px: float
    "Slide px per texel, to place the cut-outs at the same tissue in any resolution."

    @classmethod
    def at(cls, textures: Textures, mpp: float) -> Chromatin:
        """Resample the textures to pixels of ``mpp``."""
        fine = at_resolution(textures.grain, mpp)
        return cls(fine, at_resolution(textures.mottle, mpp), fine.shape[0] / textures.grain.shape[0])


@dataclass(frozen=True, eq=False)
class Frame:
    """Small windows around the middles of some nuclei, each of the same size."""

    rows: NDArray[np.intp]
    "(n, p) rows in the window's maps."
    columns: NDArray[np.intp]
    "(n, p) columns in the window's maps."
    across: Floats
    "(n, 1, p) way from the middle along x, um."
    down: Floats
    "(n, p, 1) way from the middle along y, um."
    distance: Floats
    "(n, p, p) distance from the middle, um."

    @cached_property
    def angle(self) -> Floats:
        """Direction as seen from the middle, (n, p, p), radians from -pi to pi."""
        return np.arctan2(self.down, self.across)


@dataclass(frozen=True, eq=False)
class Patches:
    """The frame of some nuclei, and their inside."""

    frame: Frame
    inside: NDArray[np.bool_]
    "(n, p, p) True where the pixel's centre lies inside the outline."


def paint_nuclei(
    maps: list[Floats], cells: Cells, *, grid: Grid, chromatin: Chromatin, covering: tuple[float, ...]
) -> Floats:
    """Add nuclei to the stain maps of a window, in place, and measure them there.

    Parameters
    ----------
    maps : list of (h, w) float32 arrays
        Optical density of each stain; cytoplasm and stroma on entry.
    cells : Cells
        All nuclei that reach into the window.
    grid : Grid
        The window.
    chromatin : Chromatin
        Textures at the window's resolution.
    covering : tuple of float
        Share of the ground that nuclei take the place of, by stain.

    Returns
    -------
    (n, stains) float32 array
        Mean of each map inside each outline, all neighbours included; true only for nuclei that lie
        wholly inside the window.
    """
    cover = np.zeros((grid.height, grid.width), dtype=np.float32)
    nuclei = [np.zeros_like(cover) for _ in maps]
    cut: list[tuple[NDArray[np.intp], Patches]] = []
    for rows in batches(cells.reach, grid.mpp):
        batch = cells.take(rows)
        patches, alpha, density = _cut(batch, grid, chromatin)
        cut.append((rows, patches))
        lay(cover, patches.frame, alpha, combine=np.maximum)
        for stain, layer in enumerate(nuclei):
            if batch.amounts[:, stain].any():
                lay(layer, patches.frame, density * batch.amounts[:, stain, None, None], combine=np.add)
    for ground, layer, share in zip(maps, nuclei, covering, strict=True):
        ground *= 1.0 - np.float32(share) * cover
        ground += layer
    means = np.zeros((len(cells), len(maps)), dtype=np.float32)
    for rows, patches in cut:
        means[rows] = _means(maps, patches, grid)
    return means


def _means(maps: list[Floats], patches: Patches, grid: Grid) -> Floats:
    """Return the mean of each map inside each outline, (n, stains)."""
    y = np.clip(patches.frame.rows, 0, grid.height - 1)[:, :, None]
    x = np.clip(patches.frame.columns, 0, grid.width - 1)[:, None, :]
    place = (y * grid.width + x)[patches.inside]
    owner = np.flatnonzero(patches.inside) // patches.inside[0].size
    count = np.bincount(owner)
    sums = [np.bincount(owner, layer.ravel()[place]) for layer in maps]
    return np.asarray(np.column_stack(sums) / count[:, None], dtype=np.float32)


def batches(reach: Floats, mpp: float) -> list[NDArray[np.intp]]:
    """Return row numbers in groups of like reach (um), none too large for memory."""
    if not len(reach):
        return []
    side = _side(reach, mpp)
    order = np.argsort(side, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(side[order])) + 1)
    found: list[NDArray[np.intp]] = []
    for group in groups:
        size = max(1, BATCH_PIXELS // int(side[group[0]]) ** 2)
        found.extend(group[k : k + size] for k in range(0, len(group), size))
    return found


def _side(reach: Floats, mpp: float) -> NDArray[np.intp]:
    """Return the side of the patch that holds a nucleus with its soft edge, px, in steps of 16."""
    side = 2.0 * (reach + 1.5) / mpp + 2.0
    return np.asarray(np.ceil(side / 16.0) * 16, dtype=np.intp)


def _cut(cells: Cells, grid: Grid, chromatin: Chromatin) -> tuple[Patches, Floats, Floats]:
    """Return patches, the share of each pixel covered, and relative stain of mean 1 inside the outline."""
    part = frame(cells.x, cells.y, reach=cells.reach, grid=grid)
    side = part.rows.shape[1]
    outline = at_angle(cells.radii, part)
    edge = outline - part.distance
    inside = edge > 0.0
    inside[~inside.any(axis=(1, 2)), side // 2, side // 2] = True  # never empty, even at coarse resolution
    alpha = np.clip(0.5 + edge * (0.5 / cells.softness)[:, None, None], 0.0, 1.0)
    alpha = alpha * alpha * (3.0 - 2.0 * alpha)
    profile = _profile(cells, part, relative=np.asarray(part.distance / outline, dtype=np.float32))
    profile *= 1.0 + _chromatin(cells, chromatin, side)
    density = np.asarray(np.maximum(profile, 0.15) * alpha, dtype=np.float32)
    mean = np.where(inside, density, 0.0).sum(axis=(1, 2)) / inside.sum(axis=(1, 2))
    density /= mean[:, None, None]
    return Patches(part, inside), np.asarray(alpha, dtype=np.float32), density


def frame(x: Array, y: Array, *, reach: Floats, grid: Grid) -> Frame:
    """Return windows around middles (um) that hold all within the largest reach (um)."""
    side = int(_side(reach, grid.mpp).max())
    centre_x, centre_y = x / grid.mpp - grid.x, y / grid.mpp - grid.y
    step = np.arange(side)
    columns = np.floor(centre_x).astype(np.intp)[:, None] - side // 2 + step
    rows = np.floor(centre_y).astype(np.intp)[:, None] - side // 2 + step
    across = ((columns + 0.5 - centre_x[:, None]) * grid.mpp).astype(np.float32)[:, None, :]
    down = ((rows + 0.5 - centre_y[:, None]) * grid.mpp).astype(np.float32)[:, :, None]
    return Frame(rows, columns, across, down, np.sqrt(across * across + down * down))


def at_angle(radii: Floats, part: Frame) -> Floats:
    """Return a quantity given at even angles, (n, VERTICES), in each pixel's direction, (n, p, p)."""
    turn = part.angle * np.float32(VERTICES / (2.0 * math.pi))
    turn += np.float32(VERTICES)  # half a turn to one and a half
    before = turn.astype(np.int32)
    turn -= before
    table = np.concatenate((radii, radii, radii[:, :2]), axis=1)  # twice round: no modulo per pixel
    before += (np.arange(len(radii), dtype=np.int32) * table.shape[1])[:, None, None]
    outline = table.ravel()[before]
    before += 1
    turn *= table.ravel()[before] - outline
    outline += turn
    return outline


def _profile(cells: Cells, part: Frame, *, relative: Floats) -> Floats:
    """Return stain from the middle to the rim, and nucleoli."""
    profile = 1.0 + cells.relief[:, 1, None, None] * (relative * relative - 0.5)
    size = cells.radii.mean(axis=1)[:, None]
    for k in range(cells.nucleoli.shape[1]):
        x, y, strength = cells.nucleoli[:, k].T[:, :, None]
        if strength.any():
            # a Gaussian spot of sigma 0.6 um, as product of a row and a column
            column = np.exp(-np.square((part.across[:, 0] - x * size) / 0.6))
            row = np.exp(-np.square((part.down[:, :, 0] - y * size) / 0.6))
            profile += (strength * row)[:, :, None] * column[:, None, :]
    return np.asarray(profile, dtype=np.float32)


def _chromatin(cells: Cells, chromatin: Chromatin, side: int) -> Floats:
    """Return clumps of chromatin, cut out of the textures at each nucleus' own place."""
    period = chromatin.fine.shape[0]
    start = np.floor(cells.shift * chromatin.texel_px).astype(np.intp)
    step = np.arange(side) - side // 2
    x = ((start[:, :1] + step) % period)[:, None, :]
    y = ((start[:, 1:] + step) % period)[:, :, None]
    clumps = chromatin.fine[y, x]
    clumps += 0.8 * chromatin.coarse[y, x]
    clumps *= cells.relief[:, 0, None, None]
    return np.asarray(clumps, dtype=np.float32)


def lay(target: Floats, part: Frame, values: Floats, *, combine: np.ufunc) -> None:
    """Combine patches with a map where they overlap it."""
    height, width = target.shape
    top, left = part.rows[:, 0], part.columns[:, 0]
    side = values.shape[1]
    for k in range(len(values)):
        y, x = int(top[k]), int(left[k])
        y0, x0 = max(0, -y), max(0, -x)
        y1, x1 = min(side, height - y), min(side, width - x)
        if y0 < y1 and x0 < x1:
            under = target[y + y0 : y + y1, x + x0 : x + x1]
            combine(under, values[k, y0:y1, x0:x1], out=under)
