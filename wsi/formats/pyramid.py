"""True downsample factors of pyramid levels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..reader import Level

__all__ = ["make_levels"]


def make_levels(sizes: Sequence[tuple[int, int]]) -> tuple[Level, ...]:
    """Return the levels of a pyramid from their sizes, finest first.

    A level of 162 x 185 px of a 650 x 743 px slide is one quarter with the rest cut off, not 1 / 4.014. So
    the factor is a whole number k wherever k explains both sizes (k * size is less than k pixels from the
    size of level 0), a power of two first; and only otherwise the mean of the two ratios.

    Parameters
    ----------
    sizes : sequence of (int, int)
        Width and height of each level, px; the first is level 0.
    """
    full = sizes[0]
    return tuple(Level(width, height, _downsample(full, (width, height))) for width, height in sizes)


def _downsample(full: tuple[int, int], size: tuple[int, int]) -> float:
    """Return level-0 px per level px."""
    mean = (full[0] / size[0] + full[1] / size[1]) / 2.0
    for factor in (2 ** max(0, round(math.log2(mean))), round(mean)):
        if factor >= 1 and all(abs(f - factor * s) < factor for f, s in zip(full, size, strict=True)):
            return float(factor)
    return mean
