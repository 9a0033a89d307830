"""Random crops with their targets: geometry, stain augmentation in optical density, heat maps, outlines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .ellipses import ellipse_radii, shift_ellipses, turn_ellipses
from .samples import Sample

__all__ = ["Crop", "StainJitter", "draw_crop", "jitter_stain"]

Floats = NDArray[np.float32]

SIGMA = 1.25
"""Spread of a centre in the heat map, cells of the stride-2 grid (um at 0.5 um per px)."""
NEAR = 3
"""Around marks of an incompletely marked image this many grid cells are known."""
LONGEST_RAY_PX = 40
"""No nucleus' radius is longer."""
BEYOND = -1
"""Marks what lies beside a small image: where a nucleus ends there is unknown."""
GLASS = 232
"""Where all channels are lighter than this there is no nucleus, marked or not."""


RESIDUAL = (0.7, 1.3)
"""Factor of what is neither stain."""
VECTORS_VARIED = np.array([1.0, 1.0, 0.0])
"""Which vectors are turned: the two stains, while the residual keeps its direction."""


@dataclass(frozen=True)
class StainJitter:
    """How much colours are varied."""

    hematoxylin: tuple[float, float] = (0.6, 1.5)
    """Factor of the blue-violet stain."""
    second: tuple[float, float] = (0.8, 1.25)
    """Factor of DAB or eosin; what is positive must stay so."""
    hue: float = 0.045
    """Standard deviation of each stain vector's channels."""
    tint: float = 0.03
    """Standard deviation of a density added to the whole image, OD."""
    noise: float = 3.0
    """Greatest standard deviation of pixel noise, grey levels."""
    blur: float = 0.3
    """Share of crops that are blurred a little."""


HEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.07, 0.99, 0.11)
SECOND = {"H-DAB": (0.27, 0.57, 0.78), "H&E": EOSIN, "Papanicolaou": EOSIN, "Romanowsky": EOSIN}
"""Ruifrok and Johnston's stain vectors (Anal. Quant. Cytol. Histol. 23, 2001): directions to vary along. On
smears azure and eosin take the places of hematoxylin and eosin; Papanicolaou's green and orange are left to
the residual."""
SMEARS = StainJitter(hematoxylin=(0.5, 1.6), second=(0.6, 1.5), hue=0.08, tint=0.08)
JITTERS = {"Papanicolaou": SMEARS, "Romanowsky": SMEARS}
"""How much the colours of a stain are varied where it is not as usual: smears differ more than sections."""


@dataclass(frozen=True)
class Crop:
    """One training example; grids are at stride 2."""

    image: NDArray[np.uint8]
    """(S, S, 3)."""
    heat: Floats
    """Wanted heat maps: (heats, S/2, S/2)."""
    weight: Floats
    """1 where a heat map is known: (heats, S/2, S/2)."""
    places: NDArray[np.int64]
    """Rows and columns of the grid where outlines and classes are read: (N, 2)."""
    radii: Floats
    """Wanted radii, px: (N, rays)."""
    ray_weight: Floats
    """1 where a radius is known: (N, rays)."""
    classes: NDArray[np.int64]
    """Wanted classes, -1 = unknown: (N,)."""


def draw_crop(sample: Sample, random: np.random.Generator, *, side: int, rays: int) -> Crop:
    """Cut a random square around a random nucleus, turn it, and make its targets.

    Parameters
    ----------
    sample : Sample
        Where from; made larger with white when it is smaller than the crop.
    random : Generator
        Source of all choices.
    side : int
        Side of the crop, px; even.
    rays : int
        Number of radii.
    """
    image, instances, known = _fit(sample, side)
    height, width = image.shape[:2]
    if len(sample.x) and random.random() < 0.85:
        chosen = random.integers(len(sample.x))
        middle = np.array([sample.x[chosen], sample.y[chosen]]) + random.uniform(-0.4, 0.4, 2) * side
    else:
        middle = random.uniform(0, (width, height))
    left, top = np.clip((middle - side / 2).astype(int), 0, (width - side, height - side))
    window = (slice(top, top + side), slice(left, left + side))
    x, y = sample.x - left, sample.y - top
    inside = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    cut = replace(
        sample,
        image=image[window],
        instances=None if instances is None else instances[window],
        known=known[window],
        x=x[inside],
        y=y[inside],
        ids=sample.ids[inside],
        heats=sample.heats[inside],
        classes=sample.classes[inside],
        ellipses=shift_ellipses(sample.ellipses, inside, x=left, y=top),
    )
    return _targets(_turn(cut, int(random.integers(8)), side=side), random, rays=rays)


def _fit(sample: Sample, side: int) -> tuple[NDArray[np.uint8], NDArray[np.int32] | None, NDArray[np.bool_]]:
    """Enlarge a small image with white, of which nothing is known."""
    down, right = (max(0, side - size) for size in sample.image.shape[:2])
    if not down and not right:
        return sample.image, sample.instances, sample.known
    image = np.pad(sample.image, ((0, down), (0, right), (0, 0)), constant_values=255)
    known = np.pad(sample.known, ((0, down), (0, right)))
    instances = None
    if sample.instances is not None:
        instances = np.pad(sample.instances, ((0, down), (0, right)), constant_values=BEYOND)
    return image, instances, known


def _turn(cut: Sample, number: int, *, side: int) -> Sample:
    """Mirror and turn by quarters: one of the eight symmetries of the square."""
    image, instances, known, x, y = cut.image, cut.instances, cut.known, cut.x, cut.y
    ellipses = turn_ellipses(cut.ellipses, number, side=side)
    if number >= 4:
        image, known, x = image[:, ::-1], known[:, ::-1], side - x
        instances = None if instances is None else instances[:, ::-1]
    for _ in range(number % 4):
        image, known = np.rot90(image), np.rot90(known)
        instances = None if instances is None else np.rot90(instances)
        x, y = y, side - x
    image = np.ascontiguousarray(image)
    return replace(cut, image=image, instances=instances, known=known, x=x, y=y, ellipses=ellipses)


def _targets(cut: Sample, random: np.random.Generator, *, rays: int) -> Crop:
    """Turn marks into heat maps, and outlines into radii."""
    side = len(cut.image)
    grid = side // 2
    heats = cut.heats.shape[1]
    heat = np.zeros((heats, grid, grid), np.float32)
    weight = np.zeros((heats, grid, grid), np.float32)
    known = cut.known.reshape(grid, 2, grid, 2).all((1, 3))
    glass = (cut.image.reshape(grid, 2, grid, 2, 3).min((1, 3, 4)) >= GLASS) & known
    for number in range(heats):
        belongs, unsure = cut.heats[:, number] == 1, cut.heats[:, number] < 0
        heat[number] = _bumps(cut.x[belongs], cut.y[belongs], grid=grid)
        if cut.complete[number]:
            weight[number] = known
            weight[number][_discs(cut.x[unsure], cut.y[unsure], grid=grid)] = 0
        elif not unsure.any():
            weight[number] = (_discs(cut.x, cut.y, grid=grid) & known) | glass
    read = (cut.ids > 0) | (cut.classes >= 0)
    jitter = random.integers(-1, 2, (int(read.sum()), 2))
    places = np.stack([cut.y[read] // 2, cut.x[read] // 2], 1).astype(np.int64) + jitter
    places = places.clip(0, grid - 1)
    if cut.ellipses is None:
        radii, ray_weight = _radii(cut.instances, places, cut.ids[read], rays=rays)
    else:
        radii, ray_weight = ellipse_radii(cut.ellipses[read], places, rays=rays, side=side)
    return Crop(cut.image, heat, weight, places, radii, ray_weight, cut.classes[read])


def _stamp(radius: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets of a square window: rows and columns, each (K,)."""
    offsets = np.arange(-radius, radius + 1)
    rows, columns = np.meshgrid(offsets, offsets, indexing="ij")
    return rows.ravel(), columns.ravel()


def _bumps(x: NDArray[np.float64], y: NDArray[np.float64], *, grid: int) -> Floats:
    """Draw a bump of height 1 at each centre; where two overlap the higher counts."""
    drawn = np.zeros((grid, grid), np.float32)
    down, right = _stamp(4)
    rows = (y // 2).astype(int)[:, None] + down
    columns = (x // 2).astype(int)[:, None] + right
    values = np.exp(-(down**2 + right**2) / (2 * SIGMA**2)).astype(np.float32)
    values = np.broadcast_to(values, rows.shape)
    inside = (rows >= 0) & (rows < grid) & (columns >= 0) & (columns < grid)
    np.maximum.at(drawn, (rows[inside], columns[inside]), values[inside])
    return drawn


def _discs(x: NDArray[np.float64], y: NDArray[np.float64], *, grid: int) -> NDArray[np.bool_]:
    """Mark the surroundings of centres."""
    return np.asarray(_bumps(x, y, grid=grid) >= np.exp(-(NEAR**2) / (2 * SIGMA**2)))


def _radii(
    instances: NDArray[np.int32] | None, places: NDArray[np.int64], ids: NDArray[np.int32], *, rays: int
) -> tuple[Floats, Floats]:
    """Walk from grid cells' centres along rays to the nucleus' end; rays that leave the image are unknown."""
    count = len(places)
    if instances is None or not count:
        return np.zeros((count, rays), np.float32), np.zeros((count, rays), np.float32)
    side = len(instances)
    angles = np.arange(rays) * (2 * np.pi / rays)
    steps = np.arange(0, LONGEST_RAY_PX, 0.5)
    rows = (places[:, :1] * 2 + 1)[:, None] + np.floor(np.sin(angles)[:, None] * steps)[None]
    columns = (places[:, 1:] * 2 + 1)[:, None] + np.floor(np.cos(angles)[:, None] * steps)[None]
    outside = (rows < 0) | (rows >= side) | (columns < 0) | (columns >= side)
    found = instances[rows.astype(int).clip(0, side - 1), columns.astype(int).clip(0, side - 1)]
    own = (found == ids[:, None, None]) & ~outside
    ended = ~own
    ended[:, :, -1] = True
    last = ended.argmax(2)
    left = np.take_along_axis(outside | (found == BEYOND), last[..., None], 2)[..., 0]
    sound = (ids > 0) & own[:, :, 0].all(1)
    # The border lies somewhere in the last half px: in the middle of it, on average.
    radii = np.maximum(last * 0.5 - 0.25, 0.0)
    return radii.astype(np.float32), (~left & sound[:, None]).astype(np.float32)


def jitter_stain(
    images: NDArray[np.uint8], random: np.random.Generator, *, stain: str, jitter: StainJitter
) -> NDArray[np.uint8]:
    """Vary the stains, the light and the sharpness of a batch.

    Parameters
    ----------
    images : (B, H, W, 3) uint8 array
        Crops.
    random : Generator
        Source of all choices.
    stain : str
        ``H-DAB`` or ``H&E``: which second stain to vary.
    jitter : StainJitter
        How much.
    """
    from scipy.ndimage import gaussian_filter

    pairs = np.array([HEMATOXYLIN, SECOND[stain]])
    third = np.cross(pairs[0], pairs[1])
    basis = np.stack([*pairs, third / np.linalg.norm(third)])
    table = -np.log10(np.maximum(np.arange(256), 1) / 255.0)
    varied = np.empty_like(images)
    for number, image in enumerate(images):
        ranges = (jitter.hematoxylin, jitter.second, RESIDUAL)
        factors = np.array([random.uniform(*between) for between in ranges])
        turned = random.normal(0, jitter.hue, (3, 3)) * VECTORS_VARIED[:, None]
        target = basis * factors[:, None] + turned
        matrix = (np.linalg.inv(basis) @ target).astype(np.float32)
        density = table.astype(np.float32)[image] @ matrix
        light, tint = random.normal(0, jitter.tint) * 0.5, random.normal(0, jitter.tint / 2, 3)
        density += light + tint.astype(np.float32)
        if random.random() < jitter.blur:
            density = gaussian_filter(density, (*[random.uniform(0.3, 1.0)] * 2, 0))
        pixels = 255.0 * 10.0**-density
        pixels += random.normal(0, random.uniform(0, jitter.noise), pixels.shape)
        varied[number] = np.clip(np.rint(pixels), 0, 255)
    return varied
