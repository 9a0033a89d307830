"""How alike slides look after normalisation, and how much of each one's structure is left."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["likeness", "normalised_median_intensity", "structure_kept"]

WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue in lightness (ITU-R BT.601)."""
SIGMA_PX = 1.5
"""Width of the window in which two images are compared, px (Wang 2004)."""
WINDOW_PX = 7
"""Side of the window in which lightness is correlated, px."""
FAINT = 4.0
"""Standard deviation of lightness below which a window shows nothing, grey levels."""


def normalised_median_intensity(pixels: NDArray[np.uint8]) -> float:
    """Return the median intensity over its 95th percentile, of stained pixels.

    Parameters
    ----------
    pixels : (N, 3) uint8 array
        Pixels of tissue or of nuclei, the same kind for all slides that are compared.

    Returns
    -------
    float
        0-1; NaN without pixels. Its standard deviation over slides falls as they grow alike.
    """
    intensity = pixels.reshape(-1, 3).mean(axis=1)
    if len(intensity) == 0:
        return float("nan")
    return float(np.median(intensity) / max(float(np.percentile(intensity, 95)), 1e-9))


def likeness(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Return the structural similarity (SSIM) of two images' lightness.

    Parameters
    ----------
    before, after : (H, W, 3) uint8 array
        The same field before and after, at least 11 px wide and high.

    Returns
    -------
    float
        1 for equal structure, contrast and lightness. Gaussian windows of 1.5 px, K 0.01 and 0.03.
    """
    from skimage.metrics import structural_similarity

    compare: Any = structural_similarity
    light = [image.astype(np.float64) @ np.array(WEIGHTS) for image in (before, after)]
    return float(
        compare(*light, data_range=255.0, gaussian_weights=True, sigma=SIGMA_PX, use_sample_covariance=False)
    )


def structure_kept(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Return how well lightness follows that of the source, place by place, whatever its gain and offset.

    Parameters
    ----------
    before, after : (..., H, W, 3) uint8 array
        Fields before and after, at least 7 px wide and high.

    Returns
    -------
    float
        Mean correlation of lightness in windows of 7 px, weighted by their contrast before: 1 where light and
        dark stand as they stood, 0 where they have nothing to do with it. 1 where there is nothing to see.
    """
    from scipy.ndimage import uniform_filter

    light = [image.astype(np.float64) @ np.array(WEIGHTS) for image in (before, after)]
    size = (0,) * (light[0].ndim - 2) + (WINDOW_PX, WINDOW_PX)
    near: Any = uniform_filter
    means = [near(each, size) for each in light]
    first, second = (
        np.maximum(near(each * each, size) - mean * mean, 0.0)
        for each, mean in zip(light, means, strict=True)
    )
    both = near(light[0] * light[1], size) - means[0] * means[1]
    weight = np.where(first > FAINT**2, np.sqrt(first), 0.0)
    if weight.sum() == 0:
        return 1.0
    correlation = both / np.sqrt(np.maximum(first, 1e-9) * np.maximum(second, 1e-9))
    return float(np.average(correlation, weights=weight))
