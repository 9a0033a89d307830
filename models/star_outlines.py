"""Star-convex outlines: rays from a seed to the nucleus' edge, and what is measured inside them.

Nothing here depends on where an image begins: rays are sampled at offsets from whole-number seeds, neighbours
limit each other by a minimum, and sums over a cell have one fixed order.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .nuclei_settings import UnmixedNucleiSettings

__all__ = ["mean_inside", "polygon_area", "polygon_centroid", "ray_directions", "trace_radii"]

Floats = NDArray[np.float32]

RAYS = 32
"""Vertices of an outline."""
STEP_UM = 0.25
"""Distance between samples along a ray."""


@lru_cache(maxsize=1)
def ray_directions() -> NDArray[np.float64]:
    """Unit vectors x, y of the rays: (RAYS, 2)."""
    angles = np.arange(RAYS) * (2.0 * np.pi / RAYS)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def sample(image: Floats, seeds: NDArray[np.int64], offsets: NDArray[np.float64]) -> Floats:
    """Sample bilinearly at fixed offsets from whole-number seeds.

    Parameters
    ----------
    image : (H, W) float32 array
        What to sample; beyond its borders the border value.
    seeds : (N, 2) int array
        Row and column.
    offsets : (K, 2) float array
        x and y from the seed's centre, px; the same for all seeds.

    Returns
    -------
    (N, K) float32 array
        Values. Weights come from the offsets alone, so they do not change with the seed's position.
    """
    height, width = image.shape
    whole = np.floor(offsets).astype(np.int64)
    part = (offsets - whole).astype(np.float32)
    flat = image.ravel()
    x0 = np.clip(seeds[:, 1, None] + whole[:, 0], 0, width - 1)
    x1 = np.clip(seeds[:, 1, None] + whole[:, 0] + 1, 0, width - 1)
    y0 = np.clip(seeds[:, 0, None] + whole[:, 1], 0, height - 1) * width
    y1 = np.clip(seeds[:, 0, None] + whole[:, 1] + 1, 0, height - 1) * width
    right, low = part[:, 0], part[:, 1]
    values = flat[y0 + x0] * ((1 - right) * (1 - low))
    values += flat[y0 + x1] * (right * (1 - low))
    values += flat[y1 + x0] * ((1 - right) * low)
    values += flat[y1 + x1] * (right * low)
    return np.asarray(values)


def trace_radii(
    nuclear: Floats, seeds: NDArray[np.int64], *, mpp: float, settings: UnmixedNucleiSettings
) -> tuple[Floats, Floats]:
    """Measure how far each nucleus reaches along each ray.

    The edge is where the density first falls half-way from the nucleus' core to its surroundings; a ray
    never crosses the middle between two seeds, nor a valley deeper than a quarter of that contrast.

    Returns
    -------
    radii : (N, RAYS) float32 array
        px.
    contrast : (N,) float32 array
        Fall of density from the core that three quarters of the rays see at least, OD.
    """
    steps = round(settings.largest_radius_um / STEP_UM) + 1
    distances = np.arange(steps) * (STEP_UM / mpp)
    offsets = (ray_directions()[:, None] * distances[None, :, None]).reshape(-1, 2)
    profiles = sample(nuclear, seeds, offsets).reshape(len(seeds), RAYS, steps)
    core_steps = int(1.5 / STEP_UM) + 1
    core = row_mean(profiles[:, :, :core_steps])
    # The middle of the rays' lowest points: neither one clear gap nor one dark neighbour decides.
    lowest = profiles.min(axis=2)
    around = np.median(lowest, axis=1)
    threshold = around + (core - around) * np.float32(0.5)
    below = profiles < threshold[:, None, None]
    below[:, :, -1] = True
    edge = below.argmax(axis=2)
    edge = np.maximum(edge, 1)
    outer = np.take_along_axis(profiles, edge[..., None], axis=2)[..., 0]
    inner = np.take_along_axis(profiles, edge[..., None] - 1, axis=2)[..., 0]
    fall = np.maximum(inner - outer, np.float32(1e-6))
    fraction = np.clip((inner - threshold[:, None]) / fall, 0, 1)
    radii = (edge - 1 + fraction) * np.float32(STEP_UM / mpp)
    radii = np.minimum(radii, neighbour_limits(seeds, reach=2 * settings.largest_radius_um / mpp))
    # What three quarters of the rays exceed: a bulge of the tissue's edge falls on one side only.
    falls = np.partition(core[:, None] - lowest, RAYS // 4, axis=1)[:, RAYS // 4]
    return _round_off(radii), falls


def neighbour_limits(seeds: NDArray[np.int64], *, reach: float) -> Floats:
    """Return how far each ray may go before it is nearer to another seed: (N, RAYS) px."""
    from scipy.spatial import cKDTree

    limits = np.full((len(seeds), RAYS), np.inf, np.float32)
    if len(seeds) < 2:
        return limits
    pairs = cKDTree(seeds).query_pairs(reach, output_type="ndarray")
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    away = (seeds[pairs[:, 1]] - seeds[pairs[:, 0]])[:, ::-1]
    directions = ray_directions()
    along = away[:, :1] * directions[:, 0] + away[:, 1:] * directions[:, 1]
    squared = (away[:, :1] ** 2 + away[:, 1:] ** 2).astype(np.float64)
    with np.errstate(divide="ignore"):
        middle = np.where(along > 0, squared / (2.0 * along), np.inf).astype(np.float32)
    order = np.argsort(pairs[:, 0], kind="stable")
    owners, starts = np.unique(pairs[order, 0], return_index=True)
    if len(owners):
        limits[owners] = np.minimum.reduceat(middle[order], starts, axis=0)
    return limits


def _round_off(radii: Floats) -> Floats:
    """Remove single spikes: median of each ray and its two neighbours, then their mean."""
    left, right = np.roll(radii, 1, axis=1), np.roll(radii, -1, axis=1)
    middle = np.maximum(np.minimum(left, right), np.minimum(np.maximum(left, right), radii))
    left, right = np.roll(middle, 1, axis=1), np.roll(middle, -1, axis=1)
    return np.asarray((left + middle + right) * np.float32(1 / 3))


def polygon_area(radii: Floats) -> Floats:
    """Area of star-convex polygons with equally spaced rays, px2: (N,)."""
    following = np.roll(radii, -1, axis=1)
    gain = np.float32(0.5 * RAYS * np.sin(2 * np.pi / RAYS))
    return np.asarray(row_mean(radii * following) * gain, np.float32)


def row_mean(values: NDArray[Any]) -> Any:
    """Mean over all but the first axis, always summed in the same order.

    A reduction over several axes is free to reorder, and does so when there is a single row; over the
    last axis of a contiguous array it is not, and a cell's sum must not depend on the other cells.
    """
    return np.ascontiguousarray(values).reshape(len(values), prod(values.shape[1:])).mean(axis=1)


def polygon_centroid(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centroid x, y of polygons (N, V, 2) given relative to a point inside: (N, 2)."""
    following = np.roll(offsets, -1, axis=1)
    cross = offsets[..., 0] * following[..., 1] - offsets[..., 1] * following[..., 0]
    total = np.maximum(row_mean(cross), 1e-9)
    moments = [row_mean((offsets[..., axis] + following[..., axis]) * cross) for axis in (0, 1)]
    return np.asarray(np.stack(moments, axis=1) / (3.0 * total[:, None]), np.float64)


def mean_inside(plane: Floats, seeds: NDArray[np.int64], radii: Floats, *, phase: float = 0.5) -> Floats:
    """Mean of a density inside each outline, by polar sampling weighted with area: (N,).

    Ten rings per ray, nearest pixel: within 0.01 OD of counting the pixels of the filled polygon. Rays start
    ``phase`` px right of and below the upper left corner of the seed's pixel: 0.5 is its middle.
    """
    rings = 10
    share = (np.arange(rings, dtype=np.float32) + 0.5) / rings
    directions = ray_directions().astype(np.float32)
    reach = radii[:, :, None] * share
    height, width = plane.shape
    start = np.float32(phase)
    columns = seeds[:, 1, None, None] + np.floor(reach * directions[:, 0, None] + start).astype(np.int64)
    rows = seeds[:, 0, None, None] + np.floor(reach * directions[:, 1, None] + start).astype(np.int64)
    values = plane.ravel()[np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)]
    weights = share * radii[:, :, None] ** 2
    total = np.maximum(row_mean(weights), np.float32(1e-6))
    return np.asarray(row_mean(values * weights) / total, np.float32)
