"""Where an overview shows something other than empty glass: colour, darkness and texture.

Grey darkness alone is weak evidence, since dust, smears, the edge of the coverslip and uneven light are
grey. Colour comes from stain; texture comes from the walls of fat and other faint tissue. The three add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .glass import SMOOTH, Glass, optical_density
from .morphology import grow
from .overview import bands

__all__ = ["Evidence", "gather_evidence"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

ENOUGH_CHROMA = 0.03
"""OD; colour that is tissue on its own. Pale haematoxylin reaches 0.03, dirt on glass stays at 0.02."""
ENOUGH_DARKNESS = 0.3
"""OD; neutral density that is tissue on its own. Dust and smears out of focus stay below 0.15."""
ENOUGH_EDGES = 0.2
"""Share of edge pixels that is tissue on its own; fat has 0.25 to 0.5 at 8 um, clean glass below 0.01."""
LEAST_EDGE = 0.003
"""OD per pixel; floor of the gradient that counts as an edge, above the steps of 8-bit glass."""
STRONG_CHROMA = 0.045
"""OD; such pixels are left out of the texture, so that their outline does not spread over the glass."""
STRONG_DARKNESS = 0.1
"""OD; the same for dust and for the lines of a coverslip's edge."""
STRONG_REACH_PX = 2
"""Pixels around strong ones that their outline may blur into."""
RINGING_REACH_PX = 8
"""Pixels around strong ones where JPEG blocks of an overview ring."""
RINGING_EDGE = 0.008
"""OD per pixel; gradient that counts as an edge there, above that of ringing (up to 0.007)."""
EDGE_REACH_PX = 1
"""Pixels; texture counts this close to an edge, so that its window does not spread it over the glass."""
LEAST_TEXTURE_AREA = 0.3
"""Share of the texture window that must be left to judge; less is filled up with "no edge"."""
TEXTURE_UM = 72.0
"""um; side of the box, applied twice, over which edges are counted: a few fat cells."""
LEAST_HUE = 0.15
"""Chroma over darkness; stains have 0.25 to 0.9, dust and black ink up to 0.12."""
CHROMA_STEP = 0.001
"""OD per grey level of the chroma image."""


@dataclass(frozen=True)
class Evidence:
    """What was seen in each pixel of an overview."""

    stained: Mask
    """(H, W) colour, darkness and texture together suffice."""
    textured: Mask
    """(H, W) texture alone suffices: fat and other pale tissue, but also dirt."""
    chroma: NDArray[np.uint8]
    """(H, W) distance from grey in units of ``CHROMA_STEP`` OD; 0 where it is small for the darkness."""


def gather_evidence(image: NDArray[np.uint8], *, glass: Glass, mpp: float) -> Evidence:
    """Weigh each pixel of an overview against the empty glass.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Overview, sRGB.
    glass : Glass
        White point, shading and noise.
    mpp : float
        Resolution of ``image``, um per pixel.

    Returns
    -------
    Evidence
        Depends on each pixel's surroundings only, not on the bands in which it is worked out.
    """
    shape = image.shape[:2]
    window = max(3, 2 * round(TEXTURE_UM / mpp / 2) + 1)
    result = Evidence(np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape, np.uint8))
    for own, wide, inner in bands(shape[0], halo=window + RINGING_REACH_PX + 2):
        shading = glass.shading((shape[0], shape[1]), rows=(wide.start, wide.stop))
        density = optical_density(image[wide], white=glass.white) + shading[..., None]
        band = _weigh(density, glass=glass, window=window)
        for whole, part in zip(_arrays(result), _arrays(band), strict=True):
            whole[own] = part[inner]
    return result


def _arrays(evidence: Evidence) -> tuple[NDArray[np.generic], ...]:
    """Return the three rasters of an evidence."""
    return evidence.stained, evidence.textured, evidence.chroma


def _weigh(density: Floats, *, glass: Glass, window: int) -> Evidence:
    """Return the evidence of one band of optical density."""
    from scipy import ndimage

    soft = ndimage.correlate1d(ndimage.correlate1d(density, SMOOTH, 0), SMOOTH, 1)
    darkness = np.maximum(soft.mean(axis=2), 0)
    chroma = np.sqrt(((soft - soft.mean(axis=2, keepdims=True)) ** 2).sum(axis=2))
    chroma[darkness == 0] = 0
    enough = max(ENOUGH_CHROMA, glass.chroma_noise)
    strong = (chroma > enough * STRONG_CHROMA / ENOUGH_CHROMA) | (darkness > STRONG_DARKNESS)
    slope = _gradient(np.maximum(density.mean(axis=2), 0))
    rings = grow(strong, radius=RINGING_REACH_PX)
    edges = slope > np.where(rings, RINGING_EDGE, max(LEAST_EDGE, glass.edge_noise)).astype(np.float32)
    share = _edge_share(edges, strong, window)
    stained = chroma / enough + darkness / ENOUGH_DARKNESS + share / ENOUGH_EDGES > 1
    hued = np.where(chroma >= LEAST_HUE * darkness, chroma, 0)
    levels = np.minimum(hued / CHROMA_STEP, 255).astype(np.uint8)
    return Evidence(stained, share > ENOUGH_EDGES, levels)


def _gradient(grey: Floats) -> Floats:
    """Return the length of the smoothed gradient, OD per pixel."""
    from scipy import ndimage

    slope = np.array([-0.5, 0.0, 0.5])
    down = ndimage.correlate1d(ndimage.correlate1d(grey, slope, 0), SMOOTH, 1)
    across = ndimage.correlate1d(ndimage.correlate1d(grey, slope, 1), SMOOTH, 0)
    length: Floats = np.hypot(down, across).astype(np.float32, copy=False)
    return length


def _edge_share(edges: Mask, strong: Mask, window: int) -> Floats:
    """Return the share of edge pixels around each pixel; strong pixels and their outline have none."""
    from scipy import ndimage

    near = ndimage.binary_dilation(strong, np.ones((3, 3), bool), iterations=STRONG_REACH_PX)
    counted = _double_box(edges & ~near, window)
    judged = _double_box(~near, window)
    share: Floats = (counted / np.maximum(judged, np.float32(LEAST_TEXTURE_AREA))).astype(
        np.float32, copy=False
    )
    beside_edges = ndimage.binary_dilation(edges, np.ones((3, 3), bool), iterations=EDGE_REACH_PX)
    share[near | ~beside_edges] = 0
    return share


def _double_box(mask: Mask, window: int) -> Floats:
    """Return a mask averaged twice over a box; counted in integers, hence exact everywhere."""
    from scipy import ndimage

    ones = np.ones(window, np.int32)
    total = mask.astype(np.int32)
    for axis in (0, 1, 0, 1):
        total = ndimage.correlate1d(total, ones, axis)
    return (total / float(window) ** 4).astype(np.float32)
