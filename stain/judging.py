"""How alike slides look after normalisation, and how much of each one's structure is left."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["likeness", "normalised_median_intensity"]

WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue in lightness (ITU-R BT.601)."""
SIGMA_PX = 1.5
"""Width of the window in which two images are compared, px (Wang 2004)."""


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
