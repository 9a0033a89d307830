"""Whether a slide's pixels can be read at all, and whether they look like a stained slide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import SlidelabError, UnreadableSlideError
from .reader import Level, Reader
from .region import Region

if TYPE_CHECKING:
    from .slide import Slide

__all__ = ["FLUORESCENCE", "look_at_pixels", "probe", "spread"]

MOST_PIXELS = 4_000_000
"""Greatest coarsest level that is looked at whole, px; of larger ones a grid of windows is."""

SAMPLES_PER_AXIS = 6
SAMPLE_SIZE = 128

DARK = 40
"""Brightest of R, G, B below which a pixel is black; bright-field glass is above 150, ink seldom below 40."""

DARK_SHARE = 0.5
"""Share of black pixels that makes a background, not a stain."""

FLUORESCENCE = "looks like fluorescence (dark background): not a bright-field stain"


def probe(reader: Reader) -> tuple[str, ...]:
    """Read a handful of pixels across a slide that was just opened.

    Some files open and fail only where pixels are decoded. Costs a few tiles.

    Returns
    -------
    tuple of str
        A line for each place that cannot be read.

    Raises
    ------
    UnreadableSlideError
        If none of the places can be read.
    """
    levels = reader.facts.levels
    places = [(0, *place) for place in spread(levels[0], per_axis=2)]
    if len(levels) > 1:
        places.append((len(levels) - 1, 0, 0))
    errors = []
    for level, x, y in places:
        try:
            reader.read_level(level, Region(x, y, 1, 1))
        except UnreadableSlideError as error:
            errors.append(error)
    if len(errors) == len(places):
        raise UnreadableSlideError(
            f"no pixels can be read: {errors[0]}",
            "copy the slide again; if that does not help, scan it again",
        )
    return tuple(dict.fromkeys(str(error) for error in errors))


def spread(level: Level, *, per_axis: int) -> Iterator[tuple[int, int]]:
    """Yield a grid of places (x, y), px of ``level``, from its first pixel to its last."""
    xs = np.unique(np.linspace(0, level.width - 1, per_axis).round().astype(int))
    ys = np.unique(np.linspace(0, level.height - 1, per_axis).round().astype(int))
    return ((int(x), int(y)) for y in ys for x in xs)


def look_at_pixels(slide: Slide) -> tuple[str, ...]:
    """Return what a low-resolution look finds wrong, one line each."""
    try:
        pixels = _sample(slide)
    except SlidelabError as error:
        return (f"some pixels cannot be read: {error}",)
    is_dark = pixels.max(axis=-1) < DARK
    return (FLUORESCENCE,) if float(is_dark.mean()) > DARK_SHARE else ()


def _sample(slide: Slide) -> NDArray[np.uint8]:
    """Return pixels (n, 3) of a coarse level, or of a grid of small windows where it is large."""
    level = len(slide.levels) - 1
    while level > 0 and slide.levels[level].width * slide.levels[level].height < SAMPLE_SIZE**2:
        level -= 1
    stored = slide.levels[level]
    if stored.width * stored.height <= MOST_PIXELS:
        return slide.read_level(level, Region(0, 0, stored.width, stored.height)).reshape(-1, 3)
    corners = Level(max(1, stored.width - SAMPLE_SIZE), max(1, stored.height - SAMPLE_SIZE), 1.0)
    windows = [Region(x, y, SAMPLE_SIZE, SAMPLE_SIZE) for x, y in spread(corners, per_axis=SAMPLES_PER_AXIS)]
    return np.concatenate([slide.read_level(level, window).reshape(-1, 3) for window in windows])
