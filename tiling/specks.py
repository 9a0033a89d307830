"""Debris and air bubbles: opaque specks, and dark rims that close around something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .glass import optical_density
from .morphology import close_gaps, grow, label_pieces, sample_pixels, shrink
from .overview import bands

__all__ = ["BubbleSettings", "DebrisSettings", "find_bubbles", "find_debris", "is_opaque"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

MAX_SAMPLES = 100_000
"""Pixels from which the usual hue of the tissue is taken."""
STAINED_OD = 0.05
"""OD; paler pixels have no hue to speak of."""


@dataclass(frozen=True)
class DebrisSettings:
    """How dirt is told from pigment and dense stain."""

    opaque_od: float = 0.65
    """OD in the most transparent colour; stains let one colour pass, dirt none."""
    rim_od: float = 0.35
    """OD in the most transparent colour at the border of dirt."""
    min_um2: float = 400.0
    """um2; smaller specks are pigment, or a nucleus black with DAB."""
    min_share: float = 0.25
    """Share of a map pixel that dirt must cover."""
    common_share: float = 0.005
    """Share of the tissue; where more is opaque in small specks, black is a stain (nuclei dense with DAB)."""
    min_um2_if_common: float = 5000.0
    """um2; smallest dirt then: more than any clump of such nuclei."""


@dataclass(frozen=True)
class BubbleSettings:
    """How the rim of an air bubble is told from tissue."""

    rim_od: float = 0.4
    """OD; refraction makes the rim nearly black, also over pale tissue."""
    rim_um: float = 60.0
    """um; greatest width of a rim."""
    max_chroma: float = 0.7
    """Chroma over density of the rim, as a share of that of the tissue: black over stain pales its hue."""
    neutral_chroma: tuple[float, float] = (0.15, 0.4)
    """Chroma over density that passes as colourless in any tissue, and that in none."""
    opaque_od: float = 0.35
    """OD in the most transparent colour, from which a rim may have any hue."""
    diameter_um: tuple[float, float] = (80.0, 3000.0)
    """um; smaller rings are vessels and follicles."""
    min_roundness: float = 0.8
    """Area of the bubble over that of the circle around its farthest points."""
    max_rim_share: float = 0.8
    """Share of the disc that the rim covers; more is a blot."""


def is_opaque(density: Floats, *, settings: DebrisSettings) -> Mask:
    """Tell which pixels (4 um) are dirt: opaque for all colours over 12 um, and their border.

    Parameters
    ----------
    density : (H, W, 3) float32 array
        Optical density, R, G, B.
    settings : DebrisSettings
        Thresholds.

    Returns
    -------
    (H, W) bool array
        Depends on 3 pixels around each pixel.
    """
    from scipy import ndimage

    square = np.ones((3, 3), bool)
    least = density.min(axis=2)
    opaque: Mask = least > settings.opaque_od
    if not opaque.any():
        return opaque
    core = ndimage.binary_opening(opaque, square)
    border: Mask = ndimage.binary_dilation(core, square, iterations=2) & (least > settings.rim_od)
    return border


def find_debris(share: Floats, tissue: Mask, *, mpp: float, settings: DebrisSettings) -> Mask:
    """Find dirt.

    Parameters
    ----------
    share : (H, W) float32 array
        Share of each pixel's area that is opaque.
    tissue : (H, W) bool array
        Tissue.
    mpp : float
        um per pixel.
    settings : DebrisSettings
        Least area.

    Returns
    -------
    (H, W) bool array
        Pixels of which dirt covers a part, in specks of at least ``min_um2``.
    """
    labels, sizes = label_pieces(share > 0)
    amount = np.bincount(labels.ravel(), weights=share.ravel(), minlength=sizes.size) * mpp**2
    in_small = float(amount[amount < settings.min_um2_if_common].sum())
    is_common = in_small > settings.common_share * float(tissue.sum()) * mpp**2
    enough: Mask = amount >= (settings.min_um2_if_common if is_common else settings.min_um2)
    enough[0] = False
    return enough[labels] & (share >= settings.min_share)


def find_bubbles(
    image: NDArray[np.uint8],
    tissue: Mask,
    *,
    white: tuple[float, float, float],
    mpp: float,
    settings: BubbleSettings,
) -> Mask:
    """Find air bubbles by their dark rims.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Overview, sRGB.
    tissue : (H, W) bool array
        Tissue; its usual hue is the standard.
    white : (float, float, float)
        White point, 0-255.
    mpp : float
        um per pixel.
    settings : BubbleSettings
        Sizes and thresholds.

    Returns
    -------
    (H, W) bool array
        Round areas inside closed dark colourless rims, and the rims.
    """
    from scipy import ndimage

    sample = image[sample_pixels(tissue, max_count=MAX_SAMPLES)]
    grey, chroma = _grey_and_chroma(optical_density(sample, white=white))
    stained = chroma[grey > STAINED_OD]
    usual = float(np.median(stained)) if stained.size else 0.0
    limit = float(np.clip(settings.max_chroma * usual, *settings.neutral_chroma))
    rim = np.zeros(tissue.shape, bool)
    for own, _, _ in bands(image.shape[0], halo=0):
        density = optical_density(image[own], white=white)
        grey, chroma = _grey_and_chroma(density)
        is_black = (chroma < limit) | (density.min(axis=2) > settings.opaque_od)
        rim[own] = is_black & (grey > settings.rim_od)
    if not rim.any():
        return rim
    rim = close_gaps(rim, radius=1)
    labels, sizes = label_pieces(rim)
    result = np.zeros(rim.shape, bool)
    boxes = ndimage.find_objects(labels)
    for number in np.flatnonzero(sizes * mpp >= np.pi * settings.diameter_um[0]):
        if number == 0:
            continue
        box = boxes[number - 1]
        disc = _without_spurs(ndimage.binary_fill_holes(np.pad(labels[box] == number, 1))[1:-1, 1:-1])
        if _is_bubble(disc, int((disc & rim[box]).sum()), mpp=mpp, settings=settings):
            result[box] |= disc
    return result


def _grey_and_chroma(density: Floats) -> tuple[Floats, Floats]:
    """Return the mean density, and the distance from grey over it."""
    grey = density.mean(axis=-1)
    distance = np.sqrt(((density - grey[..., None]) ** 2).sum(axis=-1))
    return grey, distance / np.maximum(grey, np.float32(0.02))


def _without_spurs(disc: Mask) -> Mask:
    """Return the largest piece that is more than five pixels wide everywhere: no nuclei beside a rim."""
    labels, sizes = label_pieces(grow(shrink(np.pad(disc, 3), radius=2), radius=2)[3:-3, 3:-3])
    sizes[0] = 0
    largest: Mask = labels == int(sizes.argmax()) if sizes.any() else np.zeros(disc.shape, bool)
    return largest


def _is_bubble(disc: Mask, rim_px: int, *, mpp: float, settings: BubbleSettings) -> bool:
    """Tell whether a filled rim is round, of the right size, and mostly not rim."""
    area = int(disc.sum())
    if area == 0:
        return False
    rows, columns = np.flatnonzero(disc.any(axis=1)), np.flatnonzero(disc.any(axis=0))
    diameter_px = int(max(np.ptp(rows), np.ptp(columns))) + 1
    is_sized = settings.diameter_um[0] <= diameter_px * mpp <= settings.diameter_um[1]
    is_round = area >= settings.min_roundness * np.pi / 4 * diameter_px**2
    is_thin = (
        rim_px * mpp <= np.pi * diameter_px * settings.rim_um and rim_px <= settings.max_rim_share * area
    )
    return is_sized and is_round and is_thin
