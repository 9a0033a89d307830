"""Optical density and linear unmixing (Beer-Lambert), in base-10 units throughout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["density_to_rgb", "rgb_to_density", "separate_density", "unmixing_matrix"]

FloatArray = NDArray[np.float32]

CHUNK = 1 << 15
"""Pixels worked on at once: index and values stay in a core's cache."""


def rgb_to_density(image: NDArray[np.uint8], background: tuple[float, float, float]) -> FloatArray:
    """Convert pixels to optical density, ``max(0, -log10(max(I, 1) / I0))`` per channel.

    Parameters
    ----------
    image : (..., 3) uint8 array
        sRGB pixels.
    background : (red, green, blue)
        White point I0: what clear glass reads, 1-255.

    Returns
    -------
    (..., 3) float32 array
        Optical density, base 10 (QuPath's definition and unit).

    Examples
    --------
    >>> import numpy as np
    >>> pixel = np.array([[150, 110, 70]], np.uint8)
    >>> [round(float(density), 4) for density in rgb_to_density(pixel, (255, 255, 255))[0]]
    [0.2304, 0.3651, 0.5614]
    """
    tables = density_tables(background)
    density = np.empty(image.shape, np.float32)
    for channel in range(3):
        density[..., channel] = tables[channel][image[..., channel]]
    return density


def density_tables(background: tuple[float, float, float]) -> FloatArray:
    """Return the optical density of each of the 256 values, per channel: (3, 256) float32."""
    values = np.maximum(np.arange(256, dtype=np.float64), 1.0)
    white = np.asarray(background, np.float64).reshape(3, 1)
    return np.maximum(0.0, -np.log10(values[None] / white)).astype(np.float32)


def separate_density(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], *, background: tuple[float, float, float]
) -> FloatArray:
    """Return the concentrations ``density @ matrix`` of an image, those below 0 cut to 0.

    Parameters
    ----------
    image : (..., 3) uint8 array
        sRGB pixels.
    matrix : (3, n) float array
        From `unmixing_matrix`: one column per stain that is wanted.
    background : (red, green, blue)
        White point, 1-255.

    Returns
    -------
    (n, ...) float32 array
        Optical density (base 10) of each stain.

    Notes
    -----
    A pixel's result depends on that pixel alone, so it is the same for every tiling. The three
    logarithms and the matrix are folded into one table per channel and stain.
    """
    # (n, 3, 256): what a channel's value adds to a stain.
    tables = (density_tables(background) * matrix.T[:, :, None]).astype(np.float32)
    pixels = image.reshape(-1, 3)
    found = np.empty((len(tables), len(pixels)), np.float32)
    places, part = np.empty((3, CHUNK), np.intp), np.empty(CHUNK, np.float32)
    for start in range(0, len(pixels), CHUNK):
        chunk = pixels[start : start + CHUNK]
        size = len(chunk)
        for channel in range(3):
            places[channel, :size] = chunk[:, channel]
        for table, plane in zip(tables, found[:, start : start + CHUNK], strict=True):
            np.take(table[0], places[0, :size], out=plane, mode="clip")
            for channel in (1, 2):
                np.take(table[channel], places[channel, :size], out=part[:size], mode="clip")
                plane += part[:size]
            np.maximum(plane, 0.0, out=plane)
    return found.reshape(len(tables), *image.shape[:-1])


def density_to_rgb(
    density: NDArray[np.floating], background: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Convert optical density (..., 3), base 10, back to uint8 pixels under a white point."""
    white = np.asarray(background, np.float64)
    return np.clip(np.rint(white * 10.0 ** -np.asarray(density, np.float64)), 0, 255).astype(np.uint8)


def unmixing_matrix(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix that turns densities into stain concentrations.

    Parameters
    ----------
    vectors : (2, 3) or (3, 3) float array
        One stain per row, optical density of red, green and blue; scaled to unit length here. Two rows
        are completed by their cross product, the residual that belongs to neither (QuPath's way).

    Returns
    -------
    (3, 3) float array
        ``concentrations = density @ matrix``; columns in the order of the rows, residual last.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the vectors are linearly dependent.
    """
    rows = np.asarray(vectors, np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if len(rows) == 2:
        residual = np.cross(rows[0], rows[1])
        rows = np.vstack([rows, residual / np.linalg.norm(residual)])
    return np.linalg.inv(rows)
