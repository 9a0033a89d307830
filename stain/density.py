"""Optical density and linear unmixing (Beer-Lambert), in base-10 units throughout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["density_to_rgb", "rgb_to_density", "unmixing_matrix"]

FloatArray = NDArray[np.float32]


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
    >>> rgb_to_density(pixel, (255, 255, 255)).round(4).tolist()
    [[0.23039999604225159, 0.36509999632835388, 0.5614000558853149]]
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
