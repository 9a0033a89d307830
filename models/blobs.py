"""Seeds of nuclei: the peaks of a blob filter over several scales, one to a nucleus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .nuclei_settings import UnmixedNucleiSettings

__all__ = ["DOG_RATIO", "find_seeds", "smooth"]

Floats = NDArray[np.float32]

DOG_RATIO = 1.1225
"""Each Gaussian of the difference is this factor from the scale sought."""


def smooth(image: Floats, sigma: float) -> Floats:
    """Gaussian blur by direct convolution: every pixel the same sum wherever the image begins."""
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=4.0), np.float32)


def find_seeds(
    nuclear: Floats, *, mpp: float, settings: UnmixedNucleiSettings
) -> tuple[NDArray[np.int64], Floats]:
    """Find one pixel in each nucleus: the peaks of the blob response over scales.

    Parameters
    ----------
    nuclear : (H, W) float32 array
        Density of any nuclear stain; even height and width.
    mpp : float
        um per px.
    settings : UnmixedNucleiSettings
        Scales, threshold and least distance.

    Returns
    -------
    seeds : (N, 2) int array
        Row and column, px, in raster order.
    response : (N,) float32 array
        Blob response, OD.
    """
    from scipy import ndimage

    height, width = nuclear.shape
    half = nuclear.reshape(height // 2, 2, width // 2, 2)
    coarse = (half[:, 0, :, 0] + half[:, 0, :, 1] + half[:, 1, :, 0] + half[:, 1, :, 1]) * np.float32(0.25)
    response = np.full(coarse.shape, -np.inf, np.float32)
    scale = np.zeros(coarse.shape, np.uint8)
    for number, scale_um in enumerate(settings.scales_um):
        sigma = scale_um / (2.0 * mpp)
        # A difference of Gaussians stands in for -sigma^2 Laplacian of Gaussian, scaled to the same gain.
        answer = smooth(coarse, sigma / DOG_RATIO) - smooth(coarse, sigma * DOG_RATIO)
        answer *= np.float32(2.0 / (DOG_RATIO**2 - DOG_RATIO**-2))
        scale[answer > response] = number
        np.maximum(response, answer, out=response)
    radius = settings.least_distance_um / (2.0 * mpp)
    highest = ndimage.maximum_filter(response, footprint=disc(radius), mode="nearest")
    rows, columns = np.nonzero((response == highest) & (response >= settings.blob_threshold))
    peaks, values = np.stack([rows, columns], axis=1).astype(np.int64), response[rows, columns]
    claims = np.array(settings.scales_um) * (settings.claim / (2.0 * mpp))
    claim = np.maximum(radius, claims[scale[rows, columns]])
    keep = strongest(peaks, values, claim, joins=_Joins(smooth(coarse, 0.8 / (2.0 * mpp)), mpp, settings))
    return peaks[keep] * 2, values[keep]


@dataclass(frozen=True)
class _Joins:
    """Tells which pairs of peaks lie in one nucleus: near to each other, with no lighter gap between."""

    density: Floats
    mpp: float
    settings: UnmixedNucleiSettings

    @property
    def reach(self) -> float:
        """Greatest distance of a pair, px of the coarse grid."""
        return self.settings.join_within_um / (2.0 * self.mpp)

    def __call__(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Judge pairs of peaks, (P, 2) each: (P,)."""
        apart = second - first
        near = (apart[:, 0] ** 2 + apart[:, 1] ** 2) <= self.reach**2
        ends = [self.density[peaks[:, 0], peaks[:, 1]] for peaks in (first, second)]
        paler, lowest = np.minimum(*ends), np.minimum(*ends)
        for share in np.linspace(0.2, 0.8, 7):
            # Nearest pixels at whole-number offsets from the first peak: the same wherever the tile begins.
            step = np.rint(apart * share).astype(np.int64)
            lowest = np.minimum(lowest, self.density[first[:, 0] + step[:, 0], first[:, 1] + step[:, 1]])
        return np.asarray(near & (lowest >= self.settings.gap * paler))


def disc(radius: float) -> NDArray[np.bool_]:
    """Return a filled disc as a footprint."""
    reach = int(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(rows**2 + columns**2 <= radius**2)


def strongest(
    peaks: NDArray[np.int64], values: Floats, claims: NDArray[np.float64], *, joins: _Joins
) -> NDArray[np.bool_]:
    """Keep the peaks that lie within no stronger peak's claim and share no nucleus with a stronger one.

    Each is judged against all others, kept or not, so the rule stays local; of equal peaks the first in
    raster order is the stronger.

    Parameters
    ----------
    peaks : (N, 2) int array
        Row and column in raster order.
    values : (N,) float32 array
        Strength.
    claims : (N,) float array
        Radius that each peak claims, px.
    joins : callable
        Tells which pairs share a nucleus.

    Returns
    -------
    (N,) bool array
        True for the peaks to keep.
    """
    from scipy.spatial import cKDTree

    keep = np.ones(len(peaks), bool)
    if len(peaks) < 2:
        return keep
    reach = max(float(claims.max()), joins.reach)
    pairs = np.sort(cKDTree(peaks).query_pairs(reach, output_type="ndarray"), axis=1)
    first, second = pairs[:, 0], pairs[:, 1]
    swap = values[second] > values[first]
    winner, loser = np.where(swap, second, first), np.where(swap, first, second)
    apart = ((peaks[first] - peaks[second]) ** 2).sum(axis=1)
    keep[loser[(apart <= claims[winner] ** 2) | joins(peaks[first], peaks[second])]] = False
    return keep
