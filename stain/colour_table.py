"""A function of colour as one table over all 16.7 million colours: exact, and as fast as memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["ColourTable"]

COLOURS = 1 << 24
CHUNK = 1 << 15
"""Pixels looked up at once: their places in the table stay in a core's cache."""
KNOWN = np.uint32(0xFF000000)
"""Set in the spare byte of a colour that was worked out."""


class ColourTable:
    """What a function makes of each colour of 8 bits per channel, worked out when a colour is first met.

    Parameters
    ----------
    recolour : callable
        From colours (N, 3) float64, whole numbers 0-255, to colours (N, 3), of which the whole numbers
        nearest to them within 0-255 are kept. It must look at each row alone.

    Notes
    -----
    At most 64 MB; a slide has about a million colours. Each is worked out once and only looked up from then
    on, so the result is the function's own, rounded, and does not depend on how an image is cut into tiles.
    May be used from any number of threads: two that meet a colour at once write the same four bytes.
    """

    def __init__(self, recolour: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
        self._recolour = recolour
        # Red, green, blue and a spare byte, read as one number: lookups of 4 bytes are the fastest.
        self._table = np.zeros(COLOURS, "<u4")

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image, (..., 3) uint8, in its new colours."""
        pixels = image.reshape(-1, 3)
        found = np.empty(pixels.shape, np.uint8)
        padded, places = np.zeros((CHUNK, 4), np.uint8), np.empty(CHUNK, np.intp)
        values = np.empty(CHUNK, "<u4")
        for start in range(0, len(pixels), CHUNK):
            chunk = pixels[start : start + CHUNK]
            size = len(chunk)
            for channel in range(3):
                padded[:size, channel] = chunk[:, channel]
            places[:size] = padded.view("<u4")[:size, 0]
            self._look_up(places[:size], values[:size])
            colours = values.view(np.uint8).reshape(-1, 4)
            for channel in range(3):
                found[start : start + CHUNK, channel] = colours[:size, channel]
        return found.reshape(image.shape)

    def _look_up(self, places: NDArray[np.intp], values: NDArray[np.uint32]) -> None:
        """Fill in the new colours at places of the table, working out those that are not yet known."""
        np.take(self._table, places, out=values, mode="clip")  # mode "raise" would take a detour
        new = values < KNOWN
        if new.any():
            self._learn(np.unique(places[new]))
            np.take(self._table, places, out=values, mode="clip")

    def _learn(self, places: NDArray[np.intp]) -> None:
        """Work out the colours at places of the table."""
        colours = np.stack([places & 255, places >> 8 & 255, places >> 16]).astype(np.float64).T
        red, green, blue = np.clip(np.rint(self._recolour(colours)), 0.0, 255.0).astype(np.uint32).T
        self._table[places] = red | green << 8 | blue << 16 | KNOWN  # whole numbers land at once
