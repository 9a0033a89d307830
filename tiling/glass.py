"""What the empty glass of a slide looks like: its white point, shading and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .morphology import sample_pixels

__all__ = [
    "NO_GLASS",
    "Glass",
    "estimate_glass",
    "is_featureless",
    "luminance",
    "optical_density",
    "smooth_density",
]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

MIN_LUMINANCE = 150
"""Grey level; an illuminated empty field is never darker (216 to 253 in the scanners seen)."""
MAX_SATURATION = 0.15
"""(max - min) / max over R, G, B; a yellowed lamp reaches 0.1, pale eosin starts above 0.15."""
FLAT_WINDOW_PX = 5
"""Side of the window in which the range of grey levels is taken."""
FLAT_RANGE = (4, 16)
"""Grey levels; clean JPEG-coded glass stays within 4 over five pixels of 8 um, tissue exceeds 16."""
MAX_EDGE_NOISE = 0.01
"""OD per pixel; glass reached 0.007, smooth pale tissue starts at 0.012 in the fields of view seen."""
PEAK_BIN = 2
"""Grey levels per bin of the histogram in which the glass is sought."""
PEAK_SHARE = 0.1
"""A peak of the histogram counts as glass from this share of the highest peak on."""
SPREAD_OD = 0.03
"""OD; glass lies this close to the fitted white surface."""
MAX_SHADING_OD = 0.1
"""OD; lamp fall-off over a slide stays below it."""
BLOCKS = 6
"""The image is cut into 6 x 6 blocks to see how far the glass spreads."""
BLOCKS_FOR_ORDER = ((24, 6), (12, 3), (0, 1))
"""(blocks with glass, coefficients): a quadratic, a linear, a constant white surface."""
FIT_ROUNDS = 6
"""Rounds of fit and re-selection; the selection is stable after four on all slides seen."""
MIN_SHARE = 0.004
"""Share of the image; less is a few holes in tissue and no basis for a white point."""
MIN_PIXELS = 12
"""The same for small fields of view."""
ASSUMED_WHITE = 245.0
"""Grey level taken for the white point where no glass is in view (usual for bright-field scanners)."""
MAX_SAMPLES = 200_000
"""Pixels used for the fit; more do not change its third digit."""
FEATURE_BLOCK_PX = 9
"""Side of the blocks whose means are compared where no clean glass is found."""
FEATURE_BLOCKS = 9
"""Fewer blocks say nothing about an image."""
FEATURE_GREY = 1.0
"""Grey levels; block means of pure noise spread less, those of the palest tissue seen by 1.4 to 1.8."""
NOISE_FACTOR = 5.0
"""Robust standard deviations above the median of glass: exceeded by one glass pixel in 10^5."""
MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution per median absolute deviation."""
SMOOTH = np.array([0.25, 0.5, 0.25])
"""Weights of the three-pixel smoothing used for every measure of chroma and gradient."""


@dataclass(frozen=True)
class Glass:
    """White point, shading and noise of empty glass."""

    found: bool
    """False: no glass in view; the other fields are assumptions."""
    white: tuple[float, float, float]
    """Median colour of the glass, 0-255."""
    surface: tuple[float, ...]
    """Shading, OD: coefficients of (1, u, v, uu, uv, vv), u and v from -1 to 1 over the image."""
    limits: tuple[float, float]
    """Least and greatest shading among the glass seen, OD; nothing is extrapolated beyond."""
    chroma_noise: float
    """Chroma that glass does not exceed, OD."""
    edge_noise: float
    """Gradient that glass does not exceed, OD per pixel."""

    def shading(self, shape: tuple[int, int], *, rows: tuple[int, int]) -> Floats:
        """Return the shading of some rows of an image.

        Parameters
        ----------
        shape : (int, int)
            Height and width of the whole image.
        rows : (int, int)
            First row and the row after the last; rows outside the image repeat its border.

        Returns
        -------
        (rows, W) float32 array
            OD by which the glass is brighter (positive) or darker than ``white``.
        """
        row = np.clip(np.arange(*rows), 0, shape[0] - 1)
        v, u = np.meshgrid(_unit(row, shape[0]), _unit(np.arange(shape[1]), shape[1]), indexing="ij")
        total = sum(c * term for c, term in zip(self.surface, _terms(u, v), strict=True))
        return np.clip(total, *self.limits).astype(np.float32)


NO_GLASS = Glass(False, (ASSUMED_WHITE,) * 3, (0.0,) * 6, (0.0, 0.0), 0.0, 0.0)


def optical_density(image: NDArray[np.uint8], *, white: tuple[float, float, float]) -> Floats:
    """Convert pixels to optical density above a white point.

    Parameters
    ----------
    image : (..., 3) uint8 array
        sRGB pixels.
    white : (float, float, float)
        Colour of empty glass, 0-255.

    Returns
    -------
    (..., 3) float32 array
        ``log10((white + 1) / (value + 1))``; negative where brighter than the glass.
    """
    levels = np.log10(np.arange(256, dtype=np.float64) + 1)
    tables = [(np.log10(w + 1) - levels).astype(np.float32) for w in white]
    return np.stack([table[image[..., c]] for c, table in enumerate(tables)], axis=-1)


def smooth_density(image: NDArray[np.uint8], *, white: tuple[float, float, float]) -> Floats:
    """Return :func:`optical_density` smoothed over three pixels in both directions, (H, W, 3) float32."""
    from scipy import ndimage

    density = optical_density(image, white=white)
    smooth: Floats = ndimage.correlate1d(ndimage.correlate1d(density, SMOOTH, 0), SMOOTH, 1)
    return smooth


def luminance(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean of R, G and B of each pixel, rounded down, without a float copy."""
    total = image[..., 0].astype(np.uint16)
    total += image[..., 1]
    total += image[..., 2]
    return (total // 3).astype(np.uint8)


def estimate_glass(image: NDArray[np.uint8]) -> Glass:
    """Find the empty glass of an overview: its white point, shading and noise.

    Glass is bright, nearly colourless and flat. The brightest marked peak of such pixels gives the
    white point, so that smooth pale tissue beside it is not taken for glass.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Overview at about 8 um per pixel, sRGB.

    Returns
    -------
    Glass
        With ``found`` False where the field is covered with tissue.
    """
    candidates = _flat_and_bright(image)
    if candidates.sum() < max(MIN_PIXELS, MIN_SHARE * candidates.size):
        return NO_GLASS
    rows, columns = sample_pixels(candidates, max_count=MAX_SAMPLES)
    colours = image[rows, columns].astype(np.float64)
    level = np.log10(colours.mean(axis=1) + 1)
    peak = np.log10(_brightest_peak(luminance(image)[candidates]) + 1)
    u, v = _unit(columns, image.shape[1]), _unit(rows, image.shape[0])
    surface, near = _fit_surface(level, u=u, v=v, peak=peak)
    red, green, blue = (float(x) for x in np.median(colours[near], axis=0))
    surface[0] -= np.log10((red + green + blue) / 3 + 1)
    fitted = np.stack(_terms(u[near], v[near]), axis=1) @ surface
    white = (red, green, blue)
    chroma, edge = _noise(image, rows=rows[near], columns=columns[near], white=white)
    if edge > MAX_EDGE_NOISE:
        return NO_GLASS
    limits = (float(fitted.min()), float(fitted.max()))
    return Glass(True, white, tuple(float(c) for c in surface), limits, chroma, edge)


def is_featureless(image: NDArray[np.uint8]) -> bool:
    """Tell whether an image without clean glass is nothing but noise around one bright colour.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Overview, sRGB.

    Returns
    -------
    bool
        True for a blank field taken with a very noisy camera; pale tissue differs from place to place.
    """
    rows, columns = (size // FEATURE_BLOCK_PX for size in image.shape[:2])
    colour = image.reshape(-1, 3).mean(axis=0)
    is_bright = colour.mean() >= MIN_LUMINANCE and np.ptp(colour) <= MAX_SATURATION * colour.max()
    if not is_bright or rows * columns < FEATURE_BLOCKS:
        return False
    part = image[: rows * FEATURE_BLOCK_PX, : columns * FEATURE_BLOCK_PX]
    blocks = part.reshape(rows, FEATURE_BLOCK_PX, columns, FEATURE_BLOCK_PX, 3).mean(axis=(1, 3))
    return bool((blocks.std(axis=(0, 1)) <= FEATURE_GREY).all())


def _flat_and_bright(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the pixels that may be glass: bright, colourless, flat, and scanned at all."""
    from scipy import ndimage

    grey, top, bottom = luminance(image), image.max(axis=2), image.min(axis=2)
    bright: NDArray[np.bool_] = (grey >= MIN_LUMINANCE) & ((top - bottom) <= MAX_SATURATION * top)
    if not bright.any():
        return bright
    spread = ndimage.maximum_filter(grey, FLAT_WINDOW_PX) - ndimage.minimum_filter(grey, FLAT_WINDOW_PX)
    scanned = bright & ~((bottom == 255) & (spread == 0))
    if scanned.mean() >= MIN_SHARE:
        bright = scanned
    usual = 2.0 * float(np.quantile(spread[bright], 0.1))
    flat: NDArray[np.bool_] = spread <= np.clip(usual, *FLAT_RANGE)
    return bright & flat


def _brightest_peak(values: NDArray[np.uint8]) -> float:
    """Return the grey level of the brightest marked peak of a histogram."""
    counts = np.bincount(values // PEAK_BIN, minlength=256 // PEAK_BIN).astype(np.float64)
    smooth = np.convolve(np.pad(counts, 2), [0.25, 0.5, 0.25], mode="valid")
    middle = smooth[1:-1]
    is_peak = (middle >= smooth[:-2]) & (middle > smooth[2:]) & (middle >= PEAK_SHARE * middle.max())
    return float((np.flatnonzero(is_peak)[-1] + 0.5) * PEAK_BIN)


def _fit_surface(level: Doubles, *, u: Doubles, v: Doubles, peak: float) -> tuple[Doubles, NDArray[np.bool_]]:
    """Fit a smooth surface to log intensities near a peak; return it and the samples that follow it."""
    terms = np.stack(_terms(u, v), axis=1)
    allowed = np.abs(level - peak) <= MAX_SHADING_OD
    near = np.abs(level - peak) <= SPREAD_OD
    surface = np.zeros(6)
    for _ in range(FIT_ROUNDS):
        order = _order(u[near], v[near])
        surface = np.zeros(6)
        surface[:order] = np.linalg.lstsq(terms[near, :order], level[near], rcond=None)[0]
        near = allowed & (np.abs(level - terms @ surface) <= SPREAD_OD)
    return surface, near


def _order(u: Doubles, v: Doubles) -> int:
    """Return how many coefficients the spread of the glass over the image can carry."""
    column = np.minimum((u + 1) / 2 * BLOCKS, BLOCKS - 1).astype(np.intp)
    row = np.minimum((v + 1) / 2 * BLOCKS, BLOCKS - 1).astype(np.intp)
    counts = np.bincount(row * BLOCKS + column, minlength=BLOCKS * BLOCKS)
    occupied = int((counts >= 0.1 * u.size / BLOCKS**2).sum())
    return next(order for blocks, order in BLOCKS_FOR_ORDER if occupied >= blocks)


def _noise(
    image: NDArray[np.uint8], *, rows: Indices, columns: Indices, white: tuple[float, float, float]
) -> tuple[float, float]:
    """Return the chroma and the gradient that glass does not exceed, both OD."""
    height, width = image.shape[:2]
    offsets = np.arange(-1, 2)
    near_rows = np.clip(rows[:, None, None] + offsets[:, None], 0, height - 1)
    near_columns = np.clip(columns[:, None, None] + offsets, 0, width - 1)
    density = optical_density(image[near_rows, near_columns], white=white).astype(np.float64)
    smooth = np.einsum("nijc,i,j->nc", density, SMOOTH, SMOOTH)
    chroma = np.sqrt(((smooth - smooth.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))
    grey, slope = density.mean(axis=3), np.array([-0.5, 0.0, 0.5])
    edge = np.hypot(
        np.einsum("nij,i,j->n", grey, slope, SMOOTH), np.einsum("nij,i,j->n", grey, SMOOTH, slope)
    )
    return _upper_bound(chroma), _upper_bound(edge)


def _upper_bound(values: Doubles) -> float:
    """Return the median plus ``NOISE_FACTOR`` robust standard deviations."""
    middle = float(np.median(values))
    return middle + NOISE_FACTOR * MAD_TO_SIGMA * float(np.median(np.abs(values - middle)))


def _unit(index: Indices, size: int) -> Doubles:
    """Return pixel positions on a scale from -1 to 1."""
    return (2.0 * index + 1.0) / size - 1.0


def _terms(u: Doubles, v: Doubles) -> tuple[Doubles, ...]:
    """Return the terms of a quadratic surface."""
    return (np.ones_like(u), u, v, u * u, u * v, v * v)
