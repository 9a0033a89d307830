"""Folds: long bands far darker than the rest of the same tissue, and of the same hue.

Two layers double the optical density. So do crowded nuclei and keratin, hence the detector is conservative:
a band must be an outlier among all directions and places of the slide's tissue. Narrow folds (below 40 um),
and folds in tissue of very uneven density, are missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .morphology import close_gaps, keep_touching, label_pieces, shrink

__all__ = ["FoldSettings", "find_folds"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

MAD_TO_SIGMA = 1.4826
MIN_CORE_PX = 500
"""Pixels of tissue needed to know what is usual."""


@dataclass(frozen=True)
class FoldSettings:
    """How folds are told from dense tissue."""

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


def find_folds(density: Floats, tissue: Mask, *, mpp: float, settings: FoldSettings) -> Mask:
    """Find folds of the tissue.

    Parameters
    ----------
    density : (H, W, 3) float32 array
        Optical density of an overview, R, G, B.
    tissue : (H, W) bool array
        Tissue without ink, bubbles and debris.
    mpp : float
        um per pixel.
    settings : FoldSettings
        Sizes and thresholds.

    Returns
    -------
    (H, W) bool array
        Folded tissue.
    """
    core = shrink(tissue, radius=2)
    if int(core.sum()) < MIN_CORE_PX:
        return np.zeros(tissue.shape, bool)
    grey = np.maximum(density.mean(axis=2), 0).astype(np.float32)
    dark = _darkest_line(grey, tissue, mpp=mpp, settings=settings)
    usual = float(np.median(dark[core]))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(dark[core] - usual)))
    seeds = tissue & (dark > max(usual + settings.seed_sigma * sigma, settings.seed_ratio * usual))
    if not seeds.any():
        return seeds
    bands = keep_touching(tissue & (dark > usual + settings.grow_sigma * sigma), seeds=seeds)
    labels, sizes = label_pieces(bands)
    keep = _long(labels, sizes, mpp=mpp, settings=settings)
    keep &= _alike(labels, density, usual=np.median(density[core], axis=0), settings=settings)
    bands = keep[labels]
    local = _local_mean(grey, tissue, sigma=8.0 / mpp)
    return close_gaps(bands & (local > settings.trim_ratio * usual), radius=1) & tissue


def _darkest_line(grey: Floats, tissue: Mask, *, mpp: float, settings: FoldSettings) -> Floats:
    """Return the greatest mean density over all directions of a short band through each pixel."""
    half_length = max(1, round(settings.line_um / mpp / 2))
    half_width = max(0, round((settings.band_um / mpp - 1) / 2))
    margin = half_length + half_width + 1
    weighted, weight = np.pad(grey * tissue, margin), np.pad(tissue.astype(np.float32), margin)
    full = (2 * half_length + 1) * (2 * half_width + 1)
    darkest = np.zeros(grey.shape, np.float32)
    for angle in np.arange(settings.angles) * np.pi / settings.angles:
        along, across = (np.sin(angle), np.cos(angle)), (-np.cos(angle), np.sin(angle))
        sums = []
        for image in (weighted, weight):
            line = _sum_along(image, along, half_length)
            sums.append(_sum_along(line, across, half_width)[margin:-margin, margin:-margin])
        enough = sums[1] > 0.7 * full
        np.maximum(darkest, np.where(enough, sums[0] / np.maximum(sums[1], 1), 0), out=darkest)
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


def _local_mean(grey: Floats, tissue: Mask, *, sigma: float) -> Floats:
    """Return the mean density of the tissue around each pixel."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(tissue.astype(np.float32), sigma)
    mean: Floats = ndimage.gaussian_filter(grey * tissue, sigma) / np.maximum(weight, np.float32(0.3))
    return mean


def _long(
    labels: NDArray[np.int32], sizes: NDArray[np.int64], *, mpp: float, settings: FoldSettings
) -> Mask:
    """Tell which pieces are long and narrow."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(labels > 0, 1))[1:-1, 1:-1]
    half_width = mpp * ndimage.maximum(depth, labels, np.arange(sizes.size))
    length = sizes * mpp**2 / np.maximum(2 * half_width, mpp)
    keep: Mask = (half_width <= settings.max_half_width_um) & (length >= settings.min_length_um)
    keep &= length >= settings.min_slenderness * 2 * half_width
    keep[0] = False
    return keep


def _alike(
    labels: NDArray[np.int32], density: Floats, *, usual: Floats, settings: FoldSettings
) -> Mask:
    """Tell which pieces have the hue of the tissue, and the density of a few layers of it."""
    from scipy import ndimage

    index = np.arange(int(labels.max()) + 1)
    colour = np.stack([ndimage.mean(density[..., c], labels, index) for c in range(3)], axis=1)
    likeness = colour @ usual / np.maximum(np.linalg.norm(colour, axis=1) * np.linalg.norm(usual), 1e-6)
    alike: Mask = likeness >= settings.min_likeness
    alike &= colour.mean(axis=1) <= settings.max_ratio * float(usual.mean())
    return alike
