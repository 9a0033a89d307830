"""Whole cells around nuclei on cytology slides: how far cytoplasm reaches, and which neighbour ends it.

Two steps. `trace_cells` looks at pixels: from each nucleus rays run outwards until stain ends at glass. It
depends on the surroundings of that nucleus alone, so it may run tile by tile. `bound_cells` needs no pixels:
it cuts the rays half-way to other nuclei, and tells how much of a cell's border was really seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .star_outlines import RAYS, polygon_area, ray_directions, row_mean, sample

__all__ = [
    "METHOD",
    "OPEN",
    "CellBodies",
    "CytoplasmSettings",
    "bound_cells",
    "red_density",
    "refine_nuclei",
    "trace_cells",
]

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

METHOD = "cytoplasm-rays/1"
"""Name and version: raised whenever the same pixels would give other cells."""
OPEN = np.float32(np.inf)
"""Length of a ray that met no glass within its reach."""
FOLD = 2
"""Pixels each way that are averaged before rays are cast: noise of single pixels ends no cell."""


@dataclass(frozen=True)
class CytoplasmSettings:
    """What counts as cytoplasm."""

    reach_um: float = 34.0
    """Farthest that a cell's border lies from its nucleus' centre, um: superficial cells are 40-60 wide."""
    step_um: float = 0.5
    """Distance of samples along a ray, um."""
    least_od: float = 0.03
    """Optical density over the glass, of the densest colour, from which a place is stained."""
    gap_um: float = 1.5
    """Shorter unstained stretches end no cell, um."""
    clear_um: float = 12.0
    """Widest clear zone between a nucleus and its cytoplasm, um: that of a koilocyte."""
    edge_share: float = 0.45
    """The border lies where the density has fallen to this share of the cytoplasm's own."""

    def __post_init__(self) -> None:
        """Refuse settings without sense."""
        sizes = (self.reach_um, self.step_um, self.least_od, self.gap_um, self.clear_um)
        if not all(0 < each < np.inf for each in sizes) or not 0 < self.edge_share < 1:
            raise SettingsError(f"cytoplasm measured with {self}", "Give positive sizes and a share below 1.")

    def reach_px(self, mpp: float) -> int:
        """How far from a nucleus' centre anything can change its rays, px."""
        return int(np.ceil(self.reach_um / mpp)) + 2 * FOLD


@dataclass(frozen=True)
class CellBodies:
    """Whole cells, one per nucleus."""

    radii: Floats
    """(N, RAYS) distance of the cell's border from the nucleus' centre, um."""
    area_um2: Floats
    """(N,) area of the cell, the nucleus included; NaN where too little of its border was seen."""
    closed: Floats
    """(N,) share of the border that is glass, 0-1; the rest ends at a neighbour or out of reach."""


def red_density(image: Image, white: ArrayLike) -> Floats:
    """Return the optical density of the red channel, (H, W): nuclear stain takes red, eosin does not.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        sRGB.
    white : (3,) array
        Colour of empty glass, 0-255.
    """
    return np.asarray(_tables(white)[0][image[..., 0]])


def trace_cells(
    image: Image,
    x: ArrayLike,
    y: ArrayLike,
    *,
    nuclear_um2: ArrayLike,
    white: ArrayLike,
    mpp: float,
    settings: CytoplasmSettings | None = None,
) -> Floats:
    """Measure how far stain reaches from each nucleus.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Pixels; it must begin on even plane px, so that pairs of pixels are the same from every window.
    x, y : (N,) array
        Centres of nuclei, px.
    nuclear_um2 : (N,) array
        Their areas; what lies within them says nothing of the cytoplasm's density.
    white : (3,) array
        Colour of empty glass, 0-255.
    mpp : float
        um per px.
    settings : CytoplasmSettings, optional
        What counts as cytoplasm.

    Returns
    -------
    (N, RAYS) float32 array
        um from the centre, along rays of even angles from the x axis on; `OPEN` where no glass was met. A row
        depends on the pixels within ``settings.reach_px(mpp)`` of its centre alone.
    """
    settings = settings or CytoplasmSettings()
    centres = np.stack([np.asarray(y, np.float64), np.asarray(x, np.float64)], axis=1)
    if not len(centres):
        return np.empty((0, RAYS), np.float32)
    density = _folded(image, white)
    pitch = mpp * FOLD
    steps = round(settings.reach_um / settings.step_um) + 1
    distance = np.arange(steps) * (settings.step_um / pitch)
    offsets = (ray_directions()[:, None] * distance[None, :, None]).reshape(-1, 2)
    seeds = np.floor(centres / FOLD).astype(np.int64)
    radius = np.sqrt(np.asarray(nuclear_um2, np.float32) / np.float32(np.pi))
    rays = np.empty((len(seeds), RAYS), np.float32)
    for start in range(0, len(seeds), 256):  # bounds memory; each nucleus is worked on by itself
        part = slice(start, start + 256)
        profiles = sample(density, seeds[part], offsets).reshape(-1, RAYS, steps)
        rays[part] = _borders(profiles, radius[part], settings)
    return rays


def refine_nuclei(
    red: Floats, x: ArrayLike, y: ArrayLike, *, radii: ArrayLike, mpp: float
) -> tuple[Floats, Floats, Floats]:
    """Move the borders of nuclei to where their density has fallen half-way to the cytoplasm's.

    Parameters
    ----------
    red : (H, W) float32 array
        From `red_density`.
    x, y : (N,) array
        Centres, px.
    radii : (N, RAYS) array
        Distance of the found border from the centre, px.
    mpp : float
        um per px.

    Returns
    -------
    radii : (N, RAYS) float32 array
        px; at most 40 % away from those given. A nucleus that hardly stands out keeps its border.
    contrast : (N,) float32 array
        How much denser its core is than what lies around it, OD.
    steepness : (N,) float32 array
        Greatest share of that contrast by which the density falls over 1 um, the middle of all rays: 0.5 and
        more of a nucleus in focus, less the farther out of focus it is.
    """
    given = np.asarray(radii, np.float32)
    centres = np.stack([np.asarray(y, np.float64), np.asarray(x, np.float64)], axis=1)
    contrast, steepness = np.zeros((2, len(given)), np.float32)
    if not len(given):
        return given, contrast, steepness
    mean = np.round(row_mean(given) * 4) / np.float32(4)  # px; quarters, so that few sets of offsets are made
    seeds = np.floor(centres).astype(np.int64)
    found = given.copy()
    for size in np.unique(mean):
        rows = np.flatnonzero(mean == size)
        steps = int(np.ceil(SEEN_TIMES * float(size) / NUCLEAR_STEP)) + 1
        distance = np.arange(steps) * NUCLEAR_STEP
        offsets = (ray_directions()[:, None] * distance[None, :, None]).reshape(-1, 2)
        profiles = sample(red, seeds[rows], offsets).reshape(-1, RAYS, steps)
        found[rows], contrast[rows] = _half_height(profiles, distance.astype(np.float32), given[rows])
        steepness[rows] = _steepness(profiles, contrast[rows], over=1.0 / (mpp * NUCLEAR_STEP))
    return found, contrast, steepness


def bound_cells(
    x_um: ArrayLike, y_um: ArrayLike, *, nuclear_um2: ArrayLike, rays: ArrayLike, limits: ArrayLike
) -> CellBodies:
    """Cut cells half-way to their neighbours and measure them.

    Parameters
    ----------
    x_um, y_um : (N,) array
        Centres of all nuclei of the slide, um.
    nuclear_um2 : (N,) array
        Areas of the nuclei; no cell is smaller than its nucleus.
    rays : (N, RAYS) array
        From `trace_cells`.
    limits : (N,) array of bool
        Nuclei that end the cells of others. Neutrophils lie on cells and must not.

    Returns
    -------
    CellBodies
        Neither the order of the rows nor a tile matters. Two nuclei in one cell share it: each has half.
    """
    places = np.stack([np.asarray(x_um, np.float64), np.asarray(y_um, np.float64)], axis=1)
    far, nuclei = np.asarray(rays, np.float32), np.asarray(nuclear_um2, np.float32)
    ends = np.asarray(limits)
    if far.shape != (len(places), RAYS) or nuclei.shape != (len(places),) or ends.shape != nuclei.shape:
        raise InvalidTableError(
            f"{len(places)} nuclei with rays of shape {far.shape}", "Give a row of rays for each nucleus."
        )
    reach = CytoplasmSettings().reach_um
    ways = _half_way(places, ends.astype(bool), reach=2 * reach)
    radii = np.minimum(np.minimum(far, ways), np.float32(reach))
    closed = row_mean((far <= ways).astype(np.float32)) if len(far) else np.empty(0, np.float32)
    closed = np.asarray(closed, np.float32)
    inner = np.sqrt(nuclei / np.float32(np.pi))[:, None]
    radii = np.maximum(radii, inner)
    area = np.maximum(polygon_area(radii), nuclei) if len(far) else np.empty(0, np.float32)
    return CellBodies(radii, np.where(closed >= LEAST_CLOSED, area, np.float32(np.nan)), closed)


BESIDE = np.float32(1.1)
"""Beyond so many radii of a nucleus, and a little blur, begins what tells the cytoplasm's density."""
BLUR_UM = 0.5
BESIDE_UM = 2.5
"""Beyond this from a nucleus' border its own blur is over, um."""
FAINT_TIMES = np.float32(2.0)
"""Cytoplasm around a clear zone has more than so many times the least density, the zone itself less."""
RING_SHARE = 0.6
"""Share of the sides on which cytoplasm has to follow."""
NUCLEAR_STEP = 0.5
"""Distance of samples across a nucleus' border, px."""
SEEN_TIMES = 1.9
"""Nuclei are looked at out to so many of their mean radii."""
MOST_MOVED = 0.4
"""A border moves by no more than this share of its radius."""
LEAST_FALL = 0.08
"""Nuclei that stand out by less than this optical density keep their borders."""
LEAST_CLOSED = 0.5
"""With less of its border seen, a cell in a clump has no area, and no N:C ratio."""


def _tables(white: ArrayLike) -> list[Floats]:
    """Return the optical density of each grey level in each channel."""
    levels = np.arange(256, dtype=np.float64) + 1
    return [
        np.maximum(np.log10((float(glass) + 1) / levels), 0.0).astype(np.float32)
        for glass in np.asarray(white, np.float64)
    ]


def _folded(image: Image, white: ArrayLike) -> Floats:
    """Return the density of the densest colour, averaged over pairs of pixels each way."""
    tables = _tables(white)
    dense = tables[0][image[..., 0]]
    for channel in (1, 2):
        np.maximum(dense, tables[channel][image[..., channel]], out=dense)
    height, width = (side // FOLD * FOLD for side in dense.shape)
    pairs = dense[:height:2, :width] + dense[1:height:2, :width]
    return np.asarray((pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25))


def _borders(profiles: Floats, radius: Floats, settings: CytoplasmSettings) -> Floats:
    """Return where stain ends along each ray, um, and `OPEN` where it does not: (n, RAYS)."""
    steps = profiles.shape[2]
    least = np.float32(settings.least_od)
    clear = profiles < least
    run = max(1, round(settings.gap_um / settings.step_um))
    # The first place from which on a whole gap is clear.
    total = np.concatenate([np.zeros((*clear.shape[:2], 1), np.int32), clear.cumsum(axis=2)], axis=2)
    gaps = (total[:, :, run:] - total[:, :, :-run]) == run
    gaps &= ~_clear_zone(gaps, profiles >= FAINT_TIMES * least, radius, settings)
    is_open = ~gaps.any(axis=2)
    first = np.where(is_open, steps - 1, gaps.argmax(axis=2))
    # The cytoplasm's own density: the middle of what lies between nucleus and glass.
    place = np.arange(steps)
    inside = place < first[:, :, None]
    beyond = place * np.float32(settings.step_um) > radius[:, None, None] * BESIDE + np.float32(BLUR_UM)
    level = _middle(profiles, inside & beyond & ~clear & (place < first[:, :, None] - 1))
    edge = np.maximum(level * np.float32(settings.edge_share), least)
    dense = inside & (profiles >= edge[:, None, None])
    last = np.where(dense.any(axis=2), steps - 1 - dense[:, :, ::-1].argmax(axis=2), 0)
    here = np.take_along_axis(profiles, last[..., None], axis=2)[..., 0]
    after = np.take_along_axis(profiles, np.minimum(last + 1, steps - 1)[..., None], axis=2)[..., 0]
    part = np.clip((here - edge[:, None]) / np.maximum(here - after, np.float32(1e-6)), 0, 1)
    border = (last + part).astype(np.float32) * np.float32(settings.step_um)
    return _without_spikes(np.where(is_open, OPEN, border))


def _half_height(profiles: Floats, distance: Floats, given: Floats) -> tuple[Floats, Floats]:
    """Return where density has fallen half-way from a nucleus' core to its surroundings, and by how much."""
    core = _middle(profiles, distance < np.float32(0.6) * given[:, :, None])
    around = _middle(profiles, (distance > np.float32(1.35) * given[:, :, None]))
    half = (core + around) * np.float32(0.5)
    outer = (profiles < half[:, None, None]) & (distance >= np.float32(1 - MOST_MOVED) * given[:, :, None])
    is_seen = outer.any(axis=2)
    at = np.maximum(outer.argmax(axis=2), 1)
    here = np.take_along_axis(profiles, at[..., None], axis=2)[..., 0]
    before = np.take_along_axis(profiles, at[..., None] - 1, axis=2)[..., 0]
    part = np.clip((before - half[:, None]) / np.maximum(before - here, np.float32(1e-6)), 0, 1)
    border = (at - 1 + part).astype(np.float32) * np.float32(NUCLEAR_STEP)
    border = np.where(is_seen, border, given * np.float32(1 + MOST_MOVED))
    border = np.clip(border, given * np.float32(1 - MOST_MOVED), given * np.float32(1 + MOST_MOVED))
    stands_out = (core - around) >= np.float32(LEAST_FALL)
    found = np.where(stands_out[:, None], _without_spikes(border), given).astype(np.float32)
    return found, np.asarray(core - around, np.float32)


def _steepness(profiles: Floats, contrast: Floats, *, over: float) -> Floats:
    """Return the greatest fall over so many samples, as a share of the contrast: the middle of all rays."""
    step = max(1, min(round(over), profiles.shape[2] - 1))
    falls = (profiles[:, :, :-step] - profiles[:, :, step:]).max(axis=2)
    falls = np.sort(falls, axis=1)[:, RAYS // 2]
    return np.asarray(falls / np.maximum(contrast, np.float32(1e-3)), np.float32)


def _without_spikes(radii: Floats) -> Floats:
    """Return the median of each ray and its two neighbours."""
    left, right = np.roll(radii, 1, axis=1), np.roll(radii, -1, axis=1)
    return np.asarray(np.maximum(np.minimum(left, right), np.minimum(np.maximum(left, right), radii)))


def _clear_zone(
    gaps: NDArray[np.bool_], plain: NDArray[np.bool_], radius: Floats, settings: CytoplasmSettings
) -> NDArray[np.bool_]:
    """Return which gaps are a koilocyte's clear zone: beside the nucleus, cytoplasm around most of it."""
    place = np.arange(gaps.shape[2])
    step = settings.step_um
    first = np.where(gaps.any(axis=2), gaps.argmax(axis=2), gaps.shape[2])
    plain = plain[:, :, : gaps.shape[2]] & (place * step > radius[:, None, None] + np.float32(BESIDE_UM))
    beside = ~(plain & (place < first[:, :, None])).any(axis=2)
    reach = first[:, :, None] + round(settings.clear_um / step)
    after = plain & (place > first[:, :, None]) & (place <= reach)
    is_ring = beside & after.any(axis=2)
    ring = is_ring & (is_ring.mean(axis=1) >= RING_SHARE)[:, None]
    resumes = np.where(ring, after.argmax(axis=2), 0)
    return np.asarray(place < resumes[:, :, None])


def _middle(profiles: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return the median of the chosen samples of each nucleus; 0 without any."""
    flat = np.where(inside, profiles, np.float32(np.nan)).reshape(len(profiles), -1)
    flat.sort(axis=1)  # NaN last
    count = inside.reshape(len(profiles), -1).sum(axis=1)
    at = np.maximum(count - 1, 0) // 2
    found = np.take_along_axis(flat, at[:, None], axis=1)[:, 0]
    return np.where(count > 0, found, np.float32(0))


def _half_way(places: NDArray[np.float64], ends: NDArray[np.bool_], *, reach: float) -> Floats:
    """Return how far each ray may go before it is nearer to another nucleus, um: (N, RAYS)."""
    from scipy.spatial import cKDTree

    ways = np.full((len(places), RAYS), np.inf, np.float32)
    others = np.flatnonzero(ends)
    if len(places) < 2 or not len(others):
        return ways
    tree, directions = cKDTree(places[others]), ray_directions()
    for start in range(0, len(places), 4096):  # bounds memory
        rows = np.arange(start, min(start + 4096, len(places)))
        near = tree.query_ball_point(places[rows], reach)
        owner = np.repeat(rows, [len(each) for each in near])
        other = others[np.concatenate([np.asarray(each, np.intp) for each in near])] if len(owner) else owner
        keep = other != owner
        owner, other = owner[keep], other[keep]
        if not len(owner):
            continue
        away = places[other] - places[owner]
        along = away[:, :1] * directions[:, 0] + away[:, 1:] * directions[:, 1]
        squared = away[:, :1] ** 2 + away[:, 1:] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            middle = np.where(along > 0, squared / (2.0 * along), np.inf).astype(np.float32)
        cells, first = np.unique(owner, return_index=True)
        ways[cells] = np.minimum.reduceat(middle, first, axis=0)
    return ways
