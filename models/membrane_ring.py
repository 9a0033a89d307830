"""Stain of the membrane around each cell, read along rays from its nucleus.

A membrane is thinner than the blur of the microscope, and a cell's outline is a guess. So no fixed band is
averaged: along each ray the innermost ridge of density is sought, the rays of a cell tell each other where
its membrane runs, and there the highest density is read. Where the membrane has a gap, that place shows none.

Nothing depends on where an image begins: filters have fixed weights of three pixels, rays are followed
from a place relative to a whole pixel, and sums have one fixed order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidTableError, SettingsError

__all__ = ["METHOD", "MembraneRings", "read_membranes", "ring_reach_um"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

METHOD = "membrane-ring-1"
"""Name and version of the method; a change of the numbers changes it."""
STEP_UM = 1 / 3
"""Distance between samples along a ray, um: the highest of them is 1 % below the ridge at most."""
INSIDE_UM = 1.0
"""Rays begin so far inside the nucleus, um: its pale rim is the inner foot of a ridge that hugs it."""
BEYOND_UM = 1.0
"""Rays end so far beyond the cell's outline, um: a shared membrane need not lie half-way between nuclei."""
WINDOW_UM = 1.25
"""The highest density within this distance of where the membrane runs is the membrane's, um."""
FIRST_OUTSIDE = round(INSIDE_UM / STEP_UM)
"""The sample on the nucleus' outline."""
PIXEL_VARIANCE = 1 / 4
"""Blur that sampling itself adds, px2: 1/12 by the area of a pixel and 1/6 by linear interpolation.

It is the same for every scanner, so it is undone, to first order; the blur of the optics is not known and
stays."""
LEAST_RISE = 0.03
"""A ridge rises at least this far above both its feet, OD; smaller ones are noise."""
LEAST_SHARE = 0.25
"""... and at least by this share of its height; smaller ones are unevenness of a stain."""
NEAR_RAYS = 2
"""A ray asks so many rays on either side where the membrane runs: 22 degrees."""
FEWEST_NEAR = 2
"""So many of these five rays must show a ridge; else the whole cell is asked."""
FEWEST_OF_CELL = 6
"""So many rays of a cell must show a ridge; else its outline is believed."""


CELLS_AT_ONCE = 256
"""So many are read together: what they touch stays in the processor's cache."""


@dataclass(frozen=True)
class MembraneRings:
    """Density of the membrane and of the cytoplasm of N cells."""

    membrane_od: Floats
    """Highest density where the membrane runs, OD: (N, V), one value for each vertex of the outline."""
    cytoplasm_od: Floats
    """Mean density between nucleus and membrane, OD: (N,)."""


@dataclass(frozen=True)
class _Rays:
    """The rays of N cells, V each, in pixels."""

    corner: NDArray[np.int64]
    """Whole pixel x, y at which the coordinates of a cell's rays begin: (2, N, 1)."""
    start: Floats
    """First sample x, y, from the corner, px: (2, N, V)."""
    step: Floats
    """From one sample to the next, px: (2, N, V)."""
    border: Floats
    """Number of the sample on the cell's outline, with its fraction: (N, V)."""
    tilt: NDArray[np.int64]
    """Which of the four directions of `_smooth_along` runs along the outline: (N, V)."""

    @property
    def end(self) -> Floats:
        """Number of the last sample, with its fraction: (N, V)."""
        return self.border + np.float32(BEYOND_UM / STEP_UM)

    def part(self, cells: slice) -> _Rays:
        """Return the rays of some cells."""
        return _Rays(
            self.corner[:, cells],
            self.start[:, cells],
            self.step[:, cells],
            self.border[cells],
            self.tilt[cells],
        )


@dataclass(frozen=True)
class _Layers:
    """An image smoothed in four directions, with a margin that holds every ray."""

    layers: Floats
    """(4, H + 2 margin, W + 2 margin) OD."""
    margin: int
    """px."""
    sharpening: float
    """Share of a ridge's bend, from one sample to the next, that pixels took of its height."""

    @classmethod
    def of(cls, image: Floats, rays: _Rays, *, mpp: float) -> _Layers:
        """Smooth an image; its border pixels count on in the margin."""
        first = rays.corner + rays.start
        last = first + rays.step * np.maximum(rays.end, 0)
        size = np.array(image.shape[::-1]).reshape(2, 1, 1)
        over = max(float((-np.minimum(first, last)).max()), float((np.maximum(first, last) - size).max()))
        margin = max(0, int(np.ceil(over))) + 3  # rounding, and the neighbours of a pixel
        # A blur of variance v takes v / 2 of the second derivative; samples lie a step apart.
        sharpening = PIXEL_VARIANCE / 2 * (mpp / STEP_UM) ** 2
        return cls(_smooth_along(np.pad(image, margin + 1, mode="edge")), margin, sharpening)


def ring_reach_um(mpp: float) -> float:
    """Return how far beyond a cell's outline a pixel can be that changes its ring, um."""
    return BEYOND_UM + STEP_UM + 2 * mpp


def read_membranes(
    dab: Floats,
    *,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    nuclei: NDArray[np.float64],
    cells: NDArray[np.float64],
    mpp: float,
) -> MembraneRings:
    """Read the density of each cell's membrane in every direction.

    Parameters
    ----------
    dab : (H, W) float32 array
        Density of the membrane's stain, OD (base 10).
    x, y : (N,) float64 arrays
        Centres of the nuclei, px.
    nuclei : (N, V, 2) float64 array
        Outlines of the nuclei, px.
    cells : (N, V, 2) float64 array
        Outlines of the cells, px, from `expand_outlines`: vertex k on the ray of vertex k of the nucleus.
    mpp : float
        um per px.

    Returns
    -------
    MembraneRings
        Value k of a ring belongs to vertex k of the cell's outline.

    Raises
    ------
    InvalidTableError
        If the arrays do not fit together.
    SettingsError
        If ``mpp`` is not positive and finite.

    Notes
    -----
    What pixels take of a thin membrane's height is given back, what the optics take is not, since nobody
    knows it: thresholds refer to densities as a slide shows them. Of a lone membrane 0.8 um thick at 0.5 um
    per px and an OD of 0.6, a quarter is lost under a lens with a blur of sigma 0.2 um, two fifths at 0.3 and
    nearly three quarters at 0.7; more of darker ones, since light is blurred and not density. Two membranes
    side by side lose less. Where a cell without stain touches a stained one, it shows that one's membrane.

    Beyond the image its border pixels count on. Cells are right whose outline lies `ring_reach_um` inside.
    """
    nuclei, cells = np.asarray(nuclei, np.float64), np.asarray(cells, np.float64)
    if nuclei.shape != cells.shape or nuclei.shape[:1] != np.shape(x) or np.shape(x) != np.shape(y):
        raise InvalidTableError(
            f"{len(x)} centres with outlines of shape {nuclei.shape} and {cells.shape}",
            "Give one nucleus and one cell for each centre, with the same number of vertices.",
        )
    if not 0 < mpp < np.inf:
        raise SettingsError(f"membranes at {mpp} um per px", "Give the image's um per px.")
    count, vertices = nuclei.shape[:2]
    if not count:
        return MembraneRings(np.empty((0, vertices), np.float32), np.empty(0, np.float32))
    rays = _cast_rays(np.stack([x, y], axis=1), nuclei, cells, mpp=mpp)
    image = _Layers.of(np.asarray(dab, np.float32), rays, mpp=mpp)
    parts = [
        _read_cells(image, rays.part(slice(start, start + CELLS_AT_ONCE)))
        for start in range(0, count, CELLS_AT_ONCE)
    ]
    return MembraneRings(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _read_cells(image: _Layers, rays: _Rays) -> tuple[Floats, Floats]:
    """Return ring and cytoplasm of some cells."""
    profiles = _follow(image, rays)
    middle = _agree(_find_ridges(profiles), rays.border)
    return _highest(_sharpen(profiles, image.sharpening), middle), _mean_short_of(profiles, middle)


def _cast_rays(centres: Doubles, nuclei: Doubles, cells: Doubles, *, mpp: float) -> _Rays:
    """Lay a ray from the rim of each nucleus through each vertex."""
    spokes = cells - centres[:, None]
    outer, inner = _length(spokes), _length(nuclei - centres[:, None])
    directions = spokes / np.maximum(outer, 1e-9)[..., None]
    corners = np.floor(centres - 0.5)  # pixel i has its centre at i + 0.5
    begin = np.maximum(inner - INSIDE_UM / mpp, 0.0)
    starts = (centres - 0.5 - corners)[:, None] + directions * begin[..., None]
    return _Rays(
        corner=corners.T[..., None].astype(np.int64),
        start=np.moveaxis(starts, 2, 0).astype(np.float32),
        step=np.moveaxis(directions * (STEP_UM / mpp), 2, 0).astype(np.float32),
        border=((outer - begin) * (mpp / STEP_UM)).astype(np.float32),
        tilt=_tilt(np.roll(cells, -1, axis=1) - np.roll(cells, 1, axis=1)),
    )


def _length(vectors: Doubles) -> Doubles:
    """Return lengths; of sums and roots alone, which round the same in every place of an array."""
    return np.asarray(np.sqrt(vectors[..., 0] * vectors[..., 0] + vectors[..., 1] * vectors[..., 1]))


def _tilt(along: Doubles) -> NDArray[np.int64]:
    """Return the nearest of four directions: 0 across, 1 down, 2 falling to the right, 3 to the left."""
    across, down = np.abs(along[..., 0]), np.abs(along[..., 1])
    slanted = np.where(along[..., 0] * along[..., 1] > 0, 2, 3)
    flat = np.sqrt(2.0) - 1.0  # tangent of 22.5 degrees
    return np.where(down <= flat * across, 0, np.where(across <= flat * down, 1, slanted)).astype(np.int64)


def _follow(image: _Layers, rays: _Rays) -> Floats:
    """Sample the density along rays, bilinearly: (S, N, V) OD; NaN beyond a ray's end."""
    _, height, width = image.layers.shape
    corner = rays.corner + image.margin
    origin = corner[1] * width + corner[0] + rays.tilt * (height * width)
    # The same place in four views is a pixel and its neighbours to the right, below and beyond.
    flat = image.layers.ravel()
    views = (flat, flat[1:], flat[width:], flat[width + 1 :])
    end = rays.end
    profiles = np.empty((int(end.max()) + 1, *end.shape), np.float32)
    for number, profile in enumerate(profiles):
        step = np.minimum(np.float32(number), end)
        column, right = _part(rays.start[0] + rays.step[0] * step)
        row, low = _part(rays.start[1] + rays.step[1] * step)
        row *= width
        row += column
        row += origin
        corners = [view.take(row) for view in views]
        upper = corners[0] + (corners[1] - corners[0]) * right
        lower = corners[2] + (corners[3] - corners[2]) * right
        profile[:] = np.where(number > end, np.float32(np.nan), upper + (lower - upper) * low)
    return profiles


def _part(places: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Split coordinates into whole pixel and the rest."""
    whole = np.floor(places)
    places -= whole
    return whole.astype(np.int64), places


def _smooth_along(image: Floats) -> Floats:
    """Average three pixels in a row, a quarter, a half and a quarter, in four directions.

    Along a membrane this halves the noise and keeps its height; an average across would flatten it.

    Returns
    -------
    (4, H - 2, W - 2) float32 array
        Across, down, falling to the right, falling to the left.
    """
    height, width = image.shape
    layers = np.empty((4, height - 2, width - 2), np.float32)
    middle = image[1:-1, 1:-1] * np.float32(0.5)
    for layer, (down, right) in zip(layers, ((0, 1), (1, 0), (1, 1), (1, -1)), strict=True):
        before = image[1 - down : height - 1 - down, 1 - right : width - 1 - right]
        after = image[1 + down : height - 1 + down, 1 + right : width - 1 + right]
        np.add(before, after, out=layer)
        layer *= np.float32(0.25)
        layer += middle
    return layers


def _find_ridges(profiles: Floats) -> Floats:
    """Find the innermost pronounced ridge of each ray outside its nucleus: (N, V) sample, infinite if none.

    A ridge is the highest sample since the last foot once the density has fallen again.
    """
    ridge = np.full(profiles.shape[1:], np.inf, np.float32)
    foot, top = profiles[0].copy(), profiles[0].copy()
    place = np.zeros(profiles.shape[1:], np.float32)
    for number, value in enumerate(profiles[1:], start=1):
        need = np.maximum(np.float32(LEAST_RISE), top * np.float32(LEAST_SHARE))
        fallen = top - value >= need  # never beyond a ray's end, which is NaN
        found = fallen & (top - foot >= need) & (place >= FIRST_OUTSIDE) & np.isinf(ridge)
        ridge = np.where(found, place, ridge)
        anew = fallen | (value < foot)
        foot = np.where(anew, value, foot)
        anew |= value > top
        top = np.where(anew, value, top)
        place = np.where(anew, np.float32(number), place)
    return ridge


def _agree(ridges: Floats, border: Floats) -> Floats:
    """Return where the membrane runs on each ray: (N, V) sample.

    The median of the ridges on the ray and those beside it; where they show too few, the median distance
    from nucleus to ridge of the whole cell, but not beyond its outline; else its outline.
    """
    shifts = range(-NEAR_RAYS, NEAR_RAYS + 1)
    near = np.sort(np.stack([np.roll(ridges, shift, axis=1) for shift in shifts], axis=2), axis=2)
    of_cell = np.sort(ridges, axis=1)
    middles, numbers = [], []
    for found in (near, of_cell):
        number = np.isfinite(found).sum(axis=-1, keepdims=True)
        middles.append(np.take_along_axis(found, np.maximum(number - 1, 0) // 2, axis=-1)[..., 0])
        numbers.append(number[..., 0])
    outline = np.where(numbers[1] >= FEWEST_OF_CELL, middles[1], np.inf)[:, None]
    guess = np.minimum(border, outline)
    # A ray may end where those beside it still have far to go.
    near_by = np.minimum(middles[0], border + np.float32(BEYOND_UM / STEP_UM))
    return np.asarray(np.where(numbers[0] >= FEWEST_NEAR, near_by, guess), np.float32)


def _sharpen(profiles: Floats, strength: float) -> Floats:
    """Give ridges back what pixels took of their height, as far as they bend: (S, N, V)."""
    sharp = profiles.copy()
    bend = profiles[1:-1] - profiles[:-2]
    bend -= profiles[2:] - profiles[1:-1]
    sharp[1:-1] += np.where(np.isnan(bend), np.float32(0), bend * np.float32(strength))
    return sharp


def _highest(profiles: Floats, middle: Floats) -> Floats:
    """Return the highest density outside the nucleus and near each ray's place: (N, V)."""
    window = np.float32(WINDOW_UM / STEP_UM)
    highest = np.full(middle.shape, -np.inf, np.float32)
    for number in range(FIRST_OUTSIDE, len(profiles)):
        value = np.fmax(highest, profiles[number])
        highest = np.where(np.abs(np.float32(number) - middle) <= window, value, highest)
    # No sample is near where a nucleus reaches beyond its cell, which is no cell.
    return np.where(np.isfinite(highest), highest, np.float32(0))


def _mean_short_of(profiles: Floats, middle: Floats) -> Floats:
    """Return the mean density between nucleus and membrane: (N,).

    In a cell without room, the lowest density at the nucleus' rim: least of the membrane shows there.
    """
    last = middle - np.float32(WINDOW_UM / STEP_UM)
    total, number = np.zeros(middle.shape, np.float32), np.zeros(middle.shape, np.float32)
    for sample in range(FIRST_OUTSIDE, len(profiles)):
        short = np.float32(sample) < last
        if not short.any():
            break
        total += np.where(short, profiles[sample], np.float32(0))
        number += short
    sums, numbers = total.sum(axis=1), number.sum(axis=1)
    rim = np.nan_to_num(profiles[FIRST_OUTSIDE]).min(axis=1)
    return np.asarray(np.where(numbers > 0, sums / np.maximum(numbers, 1), rim), np.float32)
