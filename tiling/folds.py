"""Folds: long bands far darker than the rest of the same tissue, and of the same hue.

Two layers double the optical density. So do crowded nuclei and keratin, hence the detector is conservative:
a band must be an outlier among all directions and places of the slide's tissue. Folds are missed that are
narrow (below 40 um), lie in tissue of very uneven density (as in most immunohistochemistry), or in a small
field of view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .glass import optical_density, smooth_density
from .morphology import close_gaps, keep_touching, label_pieces, sample_pixels, shrink
from .overview import bands

__all__ = ["FoldSettings", "find_folds"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

MAD_TO_SIGMA = 1.4826
UM2_PER_MM2 = 1e6
FRAME_PX = 3
"""Pixels at the border of the image that are left out."""
MAX_SAMPLES = 400_000
"""Pixels from which the usual density and hue are taken."""
LOCAL_UM = 8.0
"""um; standard deviation of the average that draws the border of a fold."""


@dataclass(frozen=True)
class FoldSettings:
    """How folds are told from dense tissue."""

    min_tissue_mm2: float = 1.0
    """mm2; in less tissue it is not known what is usual, and no fold is called."""
    line_um: float = 160.0
    """um; density is averaged along lines of this length: longer than nests and vessels are dark."""
    band_um: float = 24.0
    """um; and across this width, that of a narrow fold."""
    angles: int = 12
    """Directions tried; at 15 degrees apart the lines lose 1 % of a straight fold."""
    seed_sigma: float = 4.5
    """Robust standard deviations above the median of the tissue, somewhere in a fold."""
    grow_sigma: float = 2.5
    """The same, everywhere in a fold."""
    seed_ratio: float = 1.4
    """Density over the median, somewhere in a fold; two layers make 2, less the blur of the averaging."""
    max_ratio: float = 3.5
    """Mean density of a band over the median: a fold has two or three layers, a vessel in fat ten times its
    surroundings."""
    trim_ratio: float = 1.2
    """Local density over the median at the border of a fold."""
    max_half_width_um: float = 70.0
    """um; wider dark areas are dense tissue."""
    min_length_um: float = 150.0
    """um; area over width."""
    min_slenderness: float = 1.5
    """Length over width."""
    min_likeness: float = 0.97
    """Cosine between the hue of a fold and that of the tissue; another hue is another tissue or ink."""


def find_folds(
    image: NDArray[np.uint8],
    tissue: Mask,
    *,
    white: tuple[float, float, float],
    mpp: float,
    settings: FoldSettings,
) -> Mask:
    """Find folds of the tissue.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Overview, sRGB.
    tissue : (H, W) bool array
        Tissue without ink, bubbles and debris.
    white : (float, float, float)
        White point, 0-255.
    mpp : float
        um per pixel.
    settings : FoldSettings
        Sizes and thresholds.

    Returns
    -------
    (H, W) bool array
        Folded tissue.
    """
    tissue = _without_frame(tissue)
    if tissue.sum() * mpp**2 < settings.min_tissue_mm2 * UM2_PER_MM2:
        return np.zeros(tissue.shape, bool)
    core = sample_pixels(shrink(tissue, radius=2), max_count=MAX_SAMPLES)
    if core[0].size == 0:
        return np.zeros(tissue.shape, bool)
    grey = np.zeros(tissue.shape, np.float32)
    for own, wide, inner in bands(image.shape[0], halo=1):
        grey[own] = np.maximum(smooth_density(image[wide], white=white)[inner].mean(axis=2), 0) * tissue[own]
    dark = _darkest_line(grey, tissue, mpp=mpp, settings=settings)
    usual = float(np.median(dark[core]))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(dark[core] - usual)))
    seeds = tissue & (dark > max(usual + settings.seed_sigma * sigma, settings.seed_ratio * usual))
    if not seeds.any():
        return seeds
    may_be_fold = tissue & (dark > usual + settings.grow_sigma * sigma)
    may_be_fold &= _is_dark(grey, tissue, least=settings.trim_ratio * usual, mpp=mpp)
    labels, sizes = label_pieces(keep_touching(close_gaps(may_be_fold, radius=1) & tissue, seeds=seeds))
    hue = np.log10((np.array(white) + 1) / (np.median(image[core], axis=0) + 1))
    keep = _long(labels, sizes, mpp=mpp, settings=settings)
    keep &= _alike(image, labels, white=white, usual=np.maximum(hue, 0), settings=settings)
    return keep[labels]


def _without_frame(tissue: Mask) -> Mask:
    """Return a mask without the outermost pixels: exported fields of view may have a dark frame."""
    inner = np.zeros_like(tissue)
    inside = slice(FRAME_PX, -FRAME_PX)
    inner[inside, inside] = tissue[inside, inside]
    return inner


def _is_dark(grey: Floats, tissue: Mask, *, least: float, mpp: float) -> Mask:
    """Tell which pixels have at least some mean density of tissue around them."""
    from scipy import ndimage

    sigma = LOCAL_UM / mpp
    result = np.zeros(grey.shape, bool)
    for own, wide, inner in bands(grey.shape[0], halo=math.ceil(4 * sigma) + 1):
        weight = ndimage.gaussian_filter(tissue[wide].astype(np.float32), sigma)
        mean = ndimage.gaussian_filter(grey[wide], sigma) / np.maximum(weight, np.float32(0.3))
        result[own] = (mean > least)[inner]
    return result


def _darkest_line(grey: Floats, tissue: Mask, *, mpp: float, settings: FoldSettings) -> Floats:
    """Return the greatest mean density over all directions of a short band through each pixel."""
    half_length = max(1, round(settings.line_um / mpp / 2))
    half_width = max(0, round((settings.band_um / mpp - 1) / 2))
    darkest = np.zeros(grey.shape, np.float32)
    for own, wide, inner in bands(grey.shape[0], halo=half_length + half_width + 1):
        for angle in np.arange(settings.angles) * np.pi / settings.angles:
            along, across = (np.sin(angle), np.cos(angle)), (-np.cos(angle), np.sin(angle))
            total, weight = (
                _sum_along(_sum_along(values, along, half_length), across, half_width)[inner]
                for values in (grey[wide], tissue[wide].astype(np.float32))
            )
            enough = weight > 0.7 * (2 * half_length + 1) * (2 * half_width + 1)
            mean = np.where(enough, total / np.maximum(weight, 1), 0)
            np.maximum(darkest[own], mean, out=darkest[own])
    return darkest


def _sum_along(image: Floats, step: tuple[float, float], reach: int) -> Floats:
    """Return sums of the pixels at -reach ... reach steps; zero is assumed beyond the image."""
    total = np.zeros_like(image)
    height, width = image.shape
    for k in range(-reach, reach + 1):
        dy, dx = round(k * step[0]), round(k * step[1])
        target = (slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx)))
        source = (slice(max(0, dy), height - max(0, -dy)), slice(max(0, dx), width - max(0, -dx)))
        total[target] += image[source]
    return total


def _long(labels: NDArray[np.int32], sizes: NDArray[np.int64], *, mpp: float, settings: FoldSettings) -> Mask:
    """Tell which pieces are long and narrow."""
    from scipy import ndimage

    keep = np.zeros(sizes.size, bool)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        piece = np.pad(labels[box] == number, 1)
        half_width = mpp * float(ndimage.distance_transform_edt(piece).max())
        length = float(sizes[number]) * mpp**2 / (2 * half_width)
        is_narrow = half_width <= min(settings.max_half_width_um, length / settings.min_slenderness / 2)
        keep[number] = is_narrow and length >= settings.min_length_um
    return keep


def _alike(
    image: NDArray[np.uint8],
    labels: NDArray[np.int32],
    *,
    white: tuple[float, float, float],
    usual: NDArray[np.float64],
    settings: FoldSettings,
) -> Mask:
    """Tell which pieces have the hue of the tissue, and the density of a few layers of it."""
    inside = np.flatnonzero(labels)
    number = labels.flat[inside]
    density = optical_density(image.reshape(-1, 3)[inside], white=white)
    size = int(labels.max()) + 1
    count = np.maximum(np.bincount(number, minlength=size), 1)
    sums = [np.bincount(number, weights=density[:, c], minlength=size) for c in range(3)]
    colour = np.stack(sums, axis=1) / count[:, None]
    lengths = np.linalg.norm(colour, axis=1) * np.linalg.norm(usual)
    alike: Mask = colour @ usual >= settings.min_likeness * lengths
    few_layers: Mask = colour.mean(axis=1) <= settings.max_ratio * float(usual.mean())
    return alike & few_layers
