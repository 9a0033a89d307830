"""Felt-tip strokes and marking dye: colours that no stain has, as strokes or as specks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .glass import smooth_density
from .morphology import close_gaps, drop_pieces, keep_touching, label_pieces, open_gaps
from .overview import bands

__all__ = ["InkSettings", "find_dye", "find_strokes", "is_dye"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rule = Callable[[Floats, Floats, Floats], Mask]

UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class InkSettings:
    """How ink is told from stain."""

    stroke_um: float = 40.0
    """um; a stroke is at least this wide. Felt tips write 300 to 2000 um, stain has no such smooth areas."""
    min_area_mm2: float = 0.02
    """mm2; smallest stroke."""
    dye_density: float = 0.015
    """Share of dyed 4 um pixels within ``dye_window_um`` that marks a place; stain alone has none."""
    dye_window_um: float = 40.0
    """um; side of the window in which dyed pixels are counted."""
    min_dye_um2: float = 150.0
    """um2; least dye in one place: a few specks are no reason to leave tissue out."""
    red_share: float = 0.25
    """Most red density of red ink, as a share of its green density. Eosin begins at 0.27, so on slides with
    eosin red ink is found on glass and pale tissue only; where no eosin can be, 0.4 finds it over nuclei."""


def _is_blue(red: Floats, green: Floats, blue: Floats) -> Mask:
    """Red light is swallowed, blue passes: haematoxylin is never so dense and so pure at once."""
    return (red > 0.5) & (blue < 0.35 * red) & (green < 0.8 * red)


def _is_green(red: Floats, green: Floats, blue: Floats) -> Mask:
    """Green light passes best: no dense stain of haematoxylin, eosin, DAB or red chromogen does that."""
    return (red > 0.4) & (red - green > 0.1) & (blue - green > 0.05)


def _is_red(red: Floats, green: Floats, blue: Floats, *, share: float) -> Mask:
    """Blue is swallowed nearly as much as green: eosin and red chromogens let more blue pass, DAB less."""
    return (green > 0.45) & (blue > 0.65 * green) & (blue < 1.15 * green) & (red < share * green)


def _is_black(red: Floats, green: Floats, blue: Floats) -> Mask:
    """Dense and colourless; the densest DAB keeps a chroma of a fifth of its density."""
    return _is_neutral(red, green, blue, least=0.45, chroma=0.12)


def _may_be_blue(red: Floats, green: Floats, blue: Floats) -> Mask:
    """Blue ink over stained tissue."""
    on_pale = (red > 0.5) & (green < 0.9 * red)
    on_dense = (red > 0.75) & (green < 1.15 * red)
    return (on_pale | on_dense) & (blue < 0.5 * red)


def _may_be_green(red: Floats, green: Floats, blue: Floats) -> Mask:
    """Green ink over stained tissue."""
    return (red > 0.4) & (red - green > 0.08) & (blue - green > 0.03)


def _may_be_red(red: Floats, green: Floats, blue: Floats, *, share: float) -> Mask:
    """Red ink over stained tissue."""
    return (green > 0.4) & (blue > 0.55 * green) & (red < share * green)


def _may_be_black(red: Floats, green: Floats, blue: Floats) -> Mask:
    """Black ink over stained tissue."""
    return _is_neutral(red, green, blue, least=0.4, chroma=0.33)


def _is_neutral(red: Floats, green: Floats, blue: Floats, *, least: float, chroma: float) -> Mask:
    """Mean density above ``least``, and chroma below a share ``chroma`` of it."""
    mean = (red + green + blue) / 3
    squares = (red - mean) ** 2 + (green - mean) ** 2 + (blue - mean) ** 2
    neutral: Mask = (mean > least) & (squares < (chroma * mean) ** 2)
    return neutral


def inks(settings: InkSettings) -> tuple[tuple[Rule, Rule], ...]:
    """Return for each ink what is certainly ink, and what is ink if it hangs together with the former.

    Densities, OD, of 8 um pixels. On 16 sets of real stained images without ink, the former, opened by the
    width of a stroke, hold for no pixel.
    """
    share = settings.red_share
    return (
        (_is_blue, _may_be_blue),
        (_is_green, _may_be_green),
        (partial(_is_red, share=share), partial(_may_be_red, share=share + 0.15)),
        (_is_black, _may_be_black),
    )


def find_strokes(
    image: NDArray[np.uint8], *, white: tuple[float, float, float], mpp: float, settings: InkSettings
) -> Mask:
    """Find felt-tip strokes.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Overview, sRGB.
    white : (float, float, float)
        White point, 0-255.
    mpp : float
        um per pixel.
    settings : InkSettings
        Sizes.

    Returns
    -------
    (H, W) bool array
        Strokes of blue, green, red or black ink, also where they cross tissue.
    """
    radius = max(1, round(settings.stroke_um / 2 / mpp))
    min_px = settings.min_area_mm2 * UM2_PER_MM2 / mpp**2
    found = np.zeros(image.shape[:2], bool)
    rules = inks(settings)
    certain, possible = _classify(image, white, rules)
    for bit in range(len(rules)):
        sure = (certain >> bit & 1).astype(bool)
        if sure.sum() < min_px:
            continue
        seeds = drop_pieces(open_gaps(sure, radius=radius), min_px=min_px)
        if seeds.any():
            stroke = open_gaps((possible >> bit & 1).astype(bool), radius=radius)
            found |= close_gaps(keep_touching(stroke, seeds=seeds), radius=radius)
    return found


def _classify(
    image: NDArray[np.uint8], white: tuple[float, float, float], rules: tuple[tuple[Rule, Rule], ...]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return for each pixel which inks are certain, and which are possible, one bit for each."""
    certain, possible = np.zeros(image.shape[:2], np.uint8), np.zeros(image.shape[:2], np.uint8)
    for own, wide, inner in bands(image.shape[0], halo=1):
        density = smooth_density(image[wide], white=white)[inner]
        red, green, blue = (density[..., c] for c in range(3))
        for bit, (is_ink, may_be_ink) in enumerate(rules):
            certain[own] |= is_ink(red, green, blue).astype(np.uint8) << bit
            possible[own] |= may_be_ink(red, green, blue).astype(np.uint8) << bit
    return certain, possible


def is_dye(density: Floats) -> Mask:
    """Tell which pixels (4 um) show green-blue tissue marking dye.

    Parameters
    ----------
    density : (H, W, 3) float32 array
        Optical density, R, G, B.

    Returns
    -------
    (H, W) bool array
        Red light is swallowed, green and blue pass alike; haematoxylin swallows twice as much green as blue.
    """
    red, green, blue = (density[..., c] for c in range(3))
    teal: Mask = (red > 0.25) & (green < 0.6 * red) & (blue > 0.8 * green) & (blue < 0.85 * red)
    return teal


def find_dye(share: Floats, *, mpp: float, settings: InkSettings) -> Mask:
    """Find places where specks of marking dye lie close together.

    Parameters
    ----------
    share : (H, W) float32 array
        Share of each pixel's area that is dyed.
    mpp : float
        um per pixel.
    settings : InkSettings
        Density and amount.

    Returns
    -------
    (H, W) bool array
        Dyed places, the gaps between specks included.
    """
    from scipy import ndimage

    if not share.any():
        return np.zeros(share.shape, bool)
    side = max(1, round(settings.dye_window_um / mpp))
    weights = np.full(side, 1.0 / side)
    dense = ndimage.correlate1d(ndimage.correlate1d(share.astype(np.float64), weights, 0), weights, 1)
    places = close_gaps(dense > settings.dye_density, radius=1)
    labels, sizes = label_pieces(places)
    amount = np.bincount(labels.ravel(), weights=share.ravel(), minlength=sizes.size) * mpp**2
    enough: Mask = amount >= settings.min_dye_um2
    enough[0] = False
    return enough[labels]
