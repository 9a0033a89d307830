"""The scale of pictures that were enlarged to one size: found again in the traces that enlarging leaves.

Herlev's cells were photographed at 0.201 um per px and later scaled until the longer side was 200 px, so
sizes were lost. Linear interpolation makes an image smoother halfway between old pixels than on them: the
mean second difference along a row rises and falls with the period of the old pixels (Gallagher, CRV 2005).
That period is found in the spectrum; a side of L px and one of 200 - L leave the same trace, and which of the
two it was follows from how blurred the picture is. Pictures without a trace were shrunk, or enlarged by a
factor that JPEG hides: their side is a guess that keeps the nucleus within what nuclei measure.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["BLUR_LAW", "OriginalSide", "band_powers", "fit_blur_law", "original_side"]

Floats = NDArray[np.float64]

SCALED_SIDE = 200
"""Longer side after scaling, px."""
POINTS = 2000
"""Of the spectrum of a mean second difference."""
CLEAR_TRACE = 4.5
"""Height of a peak, in root energies of a row, from which a trace is believed: heights of pictures with a
known side are above 5.7 with a trace, below 2 without."""
LOWEST = 0.02
"""Slower changes than this, cycles per px, are the cell itself."""
JPEG_LINES = ((1 / 8, 0.012), (1 / 4, 0.010), (3 / 8, 0.010), (1 / 2, 0.004))
"""Frequencies of JPEG's blocks, and how far around them nothing is believed."""
BANDS = (0.02, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.23, 0.26, 0.29, 0.32, 0.36, 0.40, 0.45, 0.5)
"""Edges of the bands whose power tells blur, cycles per px."""
SHORTEST, LONGEST = 50.0, 150.0
"""Sides between which one trace means two, px: 10 to 30 um. The blur law was fitted to these."""
SHRUNK = 270.0
"""Taken for the side of pictures without a trace, px: five of known side that were shrunk had 230-341."""
LARGEST_NUCLEUS_PX = 150.0 / 0.201**2
"""No nucleus is taken to be larger than 150 um2 for want of a trace, original px."""
BLUR_LAW: tuple[float, ...] = (
    0.194,
    0.133,
    -0.303,
    -0.01,
    0.368,
    -0.565,
    0.586,
    0.579,
    0.534,
    0.57,
    0.274,
    -1.003,
    -1.248,
    3.767,
)
"""Weights of the bands (after the first, relative to it) and constant: the log of the original side."""


class OriginalSide(NamedTuple):
    """What is known of a picture before it was scaled."""

    px: float
    """Longer side."""
    traced: bool
    """Whether interpolation left a clear trace; else it is a guess, a third too long or too short at worst
    among pictures of known side."""


def original_side(grey: Floats, *, nucleus_px: float) -> OriginalSide:
    """Return the longer side that a picture had before it was scaled to 200 px.

    Parameters
    ----------
    grey : (H, W) array
        Its lightness without padding; the longer side is about 200 px.
    nucleus_px : float
        Area of its nucleus in the scaled picture, px.
    """
    frequency, height = _trace(grey)
    if height < CLEAR_TRACE:
        limit = SCALED_SIDE * np.sqrt(LARGEST_NUCLEUS_PX / max(nucleus_px, 1.0))
        return OriginalSide(float(min(SHRUNK, limit)), traced=False)
    sides = np.array([SCALED_SIDE * frequency, SCALED_SIDE * (1 - frequency)])
    sides = sides[sides >= SHORTEST]
    blurred = float(np.exp(np.dot([*band_powers(grey), 1.0], BLUR_LAW)))
    return OriginalSide(float(sides[np.argmin(np.abs(np.log(sides / blurred)))]), traced=True)


def _trace(grey: Floats) -> tuple[float, float]:
    """Return frequency and height of the strongest trace, rows and columns together."""
    frequencies = np.fft.rfftfreq(POINTS)
    spectrum = np.zeros(len(frequencies))
    for image in (grey, grey.T):
        change = np.abs(2 * image[:, 1:-1] - image[:, :-2] - image[:, 2:])
        level = np.log1p(change).mean(0)
        level = level - np.convolve(np.pad(level, 4, mode="edge"), np.full(9, 1 / 9), "valid")
        level = level * np.hanning(len(level))
        energy = float(np.sqrt((level**2).sum()))
        spectrum += np.abs(np.fft.rfft(level, POINTS)) / max(energy, 1e-9)
    spectrum[frequencies < LOWEST] = 0
    for line, around in JPEG_LINES:
        spectrum[np.abs(frequencies - line) < around] = 0
    best = int(np.argmax(spectrum))
    return float(frequencies[best]), float(spectrum[best])


def band_powers(grey: Floats) -> Floats:
    """Return the log10 power of each band but the first, relative to the first: (13,)."""
    points = 2 * SCALED_SIDE
    frequencies = np.fft.rfftfreq(points)
    power = np.zeros(len(frequencies))
    for image in (grey, grey.T):
        centred = (image - image.mean(1, keepdims=True)) * np.hanning(image.shape[1])
        power += (np.abs(np.fft.rfft(centred, points, axis=1)) ** 2).mean(0)
    bands = [power[(frequencies >= low) & (frequencies < high)].mean() for low, high in pairwise(BANDS)]
    logs = np.log10(np.maximum(bands, 1e-9))
    return np.asarray(logs[1:] - logs[0], np.float64)


def fit_blur_law(
    natives: Sequence[Image.Image], *, windows: int = 4000, seed: int = 0
) -> tuple[Floats, Floats]:
    """Fit `BLUR_LAW` to windows of pictures of original size, scaled as the collection was.

    Parameters
    ----------
    natives : sequence of Image
        Pictures of original size.
    windows : int
        How many are cut at random; half of them are not fitted to.
    seed : int
        Of their choice.

    Returns
    -------
    law : (14,) array
        Weights and constant.
    errors : (M,) array
        Of the log side, for the windows that were not fitted to.
    """
    random = np.random.default_rng(seed)
    rows, sides = [], []
    for _ in range(windows):
        native = natives[int(random.integers(len(natives)))]
        side, ratio = int(random.integers(int(SHORTEST), int(LONGEST))), random.uniform(0.6, 1.0)
        size = (side, int(side * ratio)) if random.random() < 0.5 else (int(side * ratio), side)
        room = [whole - part for whole, part in zip(native.size, size, strict=True)]
        if min(room) < 0:
            continue
        left, top = (int(random.integers(each + 1)) for each in room)
        factor = SCALED_SIDE / side
        scaled = native.crop((left, top, left + size[0], top + size[1])).resize(
            (int(size[0] * factor), int(size[1] * factor)), Image.Resampling.BILINEAR
        )
        rows.append([*band_powers(lightness(_through_jpeg(scaled))[1:-1, 1:-1]), 1.0])
        sides.append(np.log(side))
    table, wanted = np.array(rows), np.array(sides)
    half = len(table) // 2
    law = np.linalg.lstsq(table[:half], wanted[:half], rcond=None)[0]
    return law, table[half:] @ law - wanted[half:]


def lightness(picture: Image.Image) -> Floats:
    """Return JPEG's lightness of a picture: (H, W)."""
    return np.asarray(picture.convert("YCbCr").split()[0], np.float64)


def _through_jpeg(picture: Image.Image) -> Image.Image:
    """Return a picture as JPEG of quality 95 gives it back."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95)
    return Image.open(stream)
