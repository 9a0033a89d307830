"""Resampling whose every output pixel depends on its own index alone.

Each axis is handled by itself. Output pixel i of ratio r covers the source interval [i r, (i + 1) r), and its
value is the mean over that interval; with r below 1 it is the linear interpolation at (i + 0.5) r - 0.5. The
weights follow from i in float64, are rounded to float32, and are always summed tap by tap in the same order,
so no window can change a pixel. Whole-number ratios are summed in integers and rounded half up once. Beyond
the edge of the source its last pixel is repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Axis", "Span", "resample"]

STRIP = 16
"""Output rows worked on at once: keeps the float buffers inside the processor's cache."""


@dataclass(frozen=True, slots=True)
class Span:
    """The source pixels that a run of output pixels needs, and how they are weighed."""

    start: int
    """First source pixel."""
    size: int
    """Number of source pixels from ``start``."""
    box: int
    """Whole-number ratio, or 0 where ``taps`` and ``weights`` are used."""
    taps: NDArray[np.intp]
    """(taps, n) source index of each tap, relative to ``start``; for a box (1, n * box)."""
    weights: NDArray[np.float32]
    """(taps, n) weight of each tap; empty for a box."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Mapping of one axis from a stored level to a plane.

    Parameters
    ----------
    ratio : float
        Source px per output px.
    size : int
        Length of the source, px.
    """

    ratio: float
    size: int

    @property
    def is_identity(self) -> bool:
        """Whether output pixels are source pixels."""
        return self.ratio == 1.0

    def outputs_within(self, sources: int) -> int:
        """Return how many output pixels need about ``sources`` source pixels, at least 1."""
        return max(1, int(sources / self.ratio))

    def weigh(self, start: int, stop: int) -> Span:
        """Return what output pixels ``start`` to ``stop`` (absolute indices) need."""
        if self.ratio.is_integer():
            box = int(self.ratio)
            taps = np.arange(start * box, stop * box, dtype=np.intp)[None]
            weights = np.empty((0, 0), np.float32)
        else:
            box = 0
            index = np.arange(start, stop, dtype=np.float64)
            taps, weights = _interpolate(index, self.ratio) if self.ratio < 1 else _overlap(index, self.ratio)
        taps = np.clip(taps, 0, self.size - 1)
        first, last = int(taps.min()), int(taps.max())
        return Span(first, last - first + 1, box, taps - first, weights)


def resample(source: NDArray[np.uint8], *, rows: Span, columns: Span, out: NDArray[np.uint8]) -> None:
    """Write the weighted means of ``source`` into ``out``.

    Parameters
    ----------
    source : (rows.size, columns.size, 3) uint8 array
        Exactly the pixels that the spans name.
    rows, columns : Span
        Weights of the output rows and columns; both boxes or both weighted.
    out : (H, W, 3) uint8 array
        Written.
    """
    if rows.box:
        _box_mean(source, rows, columns, out)
        return
    lines = source.reshape(rows.size, -1)
    height = out.shape[0]
    strip: _Strip | None = None
    for start in range(0, height, STRIP):
        stop = min(start + STRIP, height)
        if strip is None or strip.count != stop - start:
            strip = _Strip(stop - start, columns.size, out.shape[1])
        strip.shrink(lines, rows.taps[:, start:stop], rows.weights[:, start:stop], columns)
        out[start:stop] = strip.pixels()


class _Strip:
    """A few output rows and the memory they need, used again and again."""

    def __init__(self, count: int, sources: int, outputs: int) -> None:
        self.count = count
        self._gathered = np.empty((count, sources * 3), np.uint8)
        self._lines = np.empty((2, count, sources * 3), np.float32)
        # turned, so that columns are contiguous runs too: far faster than gathering single pixels
        self._turned = np.empty((sources, count * 3), np.float32)
        self._columns = np.empty((2, outputs, count * 3), np.float32)

    def shrink(
        self, lines: NDArray[np.uint8], taps: NDArray[np.intp], weights: NDArray[np.float32], columns: Span
    ) -> None:
        """Weigh rows, then columns, tap by tap in fixed order."""
        total, term = self._lines
        for number, (tap, weight) in enumerate(zip(taps, weights, strict=True)):
            into = term if number else total
            into[:] = np.take(lines, tap, axis=0, out=self._gathered, mode="clip")
            into *= weight[:, None]
            if number:
                total += term
        sources = self._turned.shape[0]
        self._turned.reshape(sources, self.count, 3)[:] = total.reshape(self.count, sources, 3).transpose(
            1, 0, 2
        )
        total, term = self._columns
        for number, (tap, weight) in enumerate(zip(columns.taps, columns.weights, strict=True)):
            into = np.take(self._turned, tap, axis=0, out=term if number else total, mode="clip")
            into *= weight[:, None]
            if number:
                total += term

    def pixels(self) -> NDArray[np.uint8]:
        """Return (rows, columns, 3) uint8, rounded half up."""
        total = self._columns[0]
        total += np.float32(0.5)
        rounded: NDArray[np.uint8] = total.astype(np.uint8).reshape(-1, self.count, 3)
        return rounded.transpose(1, 0, 2)


def _overlap(index: NDArray[np.float64], ratio: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return taps and weights of the mean over [i ratio, (i + 1) ratio)."""
    left, right = index * ratio, (index + 1.0) * ratio
    taps = np.floor(left) + np.arange(math.ceil(ratio) + 1, dtype=np.float64)[:, None]
    covered = np.minimum(taps + 1.0, right) - np.maximum(taps, left)
    weights = np.maximum(covered, 0.0) / (right - left)
    return taps.astype(np.intp), weights.astype(np.float32)


def _interpolate(index: NDArray[np.float64], ratio: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return taps and weights of linear interpolation between pixel centres."""
    place = (index + 0.5) * ratio - 0.5
    left = np.floor(place)
    share = place - left
    return np.stack([left, left + 1.0]).astype(np.intp), np.stack([1.0 - share, share]).astype(np.float32)


def _box_mean(source: NDArray[np.uint8], rows: Span, columns: Span, out: NDArray[np.uint8]) -> None:
    """Write means of boxes, summed exactly in integers and rounded half up."""
    box = rows.box
    height, width = out.shape[:2]
    beyond = (rows.taps.shape[1] - rows.size, columns.taps.shape[1] - columns.size)
    if any(beyond):
        source = np.pad(source, ((0, beyond[0]), (0, beyond[1]), (0, 0)), mode="edge")
    if box == 1:
        out[:] = source
        return
    kind = _sum_type(box)
    bands = source.reshape(height, box, width * box * 3)
    lines = np.add(bands[:, 0], bands[:, 1], dtype=kind)
    for band in range(2, box):
        lines += bands[:, band]
    samples = lines.reshape(height, width, box * 3)
    for channel in range(3):
        total = samples[..., channel] + samples[..., channel + 3]
        for column in range(2, box):
            total += samples[..., channel + 3 * column]
        total += kind(box * box // 2)
        total //= kind(box * box)
        out[..., channel] = total


def _sum_type(box: int) -> type[np.uint16] | type[np.uint32] | type[np.uint64]:
    """Return the smallest type that holds the sum of a box and its rounding term."""
    greatest = box * box * 255 + box * box // 2
    for kind in (np.uint16, np.uint32):
        if greatest <= np.iinfo(kind).max:
            return kind
    return np.uint64
