"""Random crops of cells: scale, place, turn, and surroundings that tell no collection from another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...cell_crops import lay_on_glass

__all__ = ["Edges", "draw_cell_crop"]

Pixels = NDArray[np.uint8]

SMALLEST_FRAME = 0.28
"""Least side of what is left of a crop when its surroundings are exchanged, in sides."""
DEEPEST_CUT = 0.75
"""Least part of a picture that is left."""
MIRRORED = 0.4
"""Share of crops with exchanged surroundings, but no other field, that go on as their mirror image."""


class Edges(NamedTuple):
    """What becomes of the surroundings of a cell."""

    is_picture: bool
    """Whether the image ends where the cell's picture was cut."""
    exchanged: bool
    """Whether a frame is cut, at random, whatever the image has beyond it."""
    ground: Pixels | None
    """What is put beyond the frame; None = glass, or the mirror image."""


def draw_cell_crop(
    image: Pixels,
    centre: tuple[float, float],
    random: np.random.Generator,
    *,
    side: int,
    scales: tuple[float, float],
    shift: float,
    edges: Edges,
) -> Pixels:
    """Cut a random square around a cell, mirrored and turned.

    Pictures that were cut tightly have no surroundings, windows of fields have. Both get frames of any size
    and, beyond them, mirror images, plain colours or other fields: so neither a frame nor its size tells
    which collection a crop is from.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        At the working resolution.
    centre : (float, float)
        Of the cell, px.
    random : Generator
        Source of all choices.
    side : int
        Of the crop, px.
    scales : (float, float)
        px per px of the crop, drawn evenly on a log scale.
    shift : float
        Greatest distance of the cell from the middle, px.
    edges : Edges
        What becomes of the surroundings.
    """
    factor = float(np.exp(random.uniform(*np.log(scales))))
    extent = side * factor
    height, width = image.shape[:2]
    spare = [max(0.0, (size - extent) / 2) if edges.is_picture else 0.0 for size in (width, height)]
    x, y = (
        middle + random.uniform(-1, 1) * max(shift, 0.7 * room)
        for middle, room in zip(centre, spare, strict=True)
    )
    left, top = x - extent / 2, y - extent / 2
    known = (max(left, 0.0), max(top, 0.0), min(left + extent, width), min(top + extent, height))
    if edges.exchanged:
        known = _cut_frame(known, random, least=SMALLEST_FRAME * extent, is_picture=edges.is_picture)
    place = [round((known[0] - left) / factor), round((known[1] - top) / factor)]
    size = [max(1, round((known[2] - known[0]) / factor)), max(1, round((known[3] - known[1]) / factor))]
    size = [min(size[0], side - place[0]), min(size[1], side - place[1])]
    inner = np.asarray(
        Image.fromarray(image).resize((size[0], size[1]), Image.Resampling.BILINEAR, box=known)
    )
    crop = _surround(inner, (place[0], place[1]), random, side=side, edges=edges)
    turn = int(random.integers(8))
    if turn >= 4:
        crop = crop[:, ::-1]
    return np.ascontiguousarray(np.rot90(crop, turn % 4))


def _cut_frame(
    known: tuple[float, float, float, float], random: np.random.Generator, *, least: float, is_picture: bool
) -> tuple[float, float, float, float]:
    """Return a smaller part of what is known, around its middle."""
    left, top, right, bottom = known
    cut = []
    for low, high in ((left, right), (top, bottom)):
        whole = high - low
        shortest = min(whole, max(least, DEEPEST_CUT * whole) if is_picture else least)
        length = float(np.exp(random.uniform(np.log(shortest), np.log(whole))))
        middle = (low + high) / 2
        cut.append((max(low, middle - length / 2), min(high, middle + length / 2)))
    return cut[0][0], cut[1][0], cut[0][1], cut[1][1]


def _surround(
    inner: Pixels, place: tuple[int, int], random: np.random.Generator, *, side: int, edges: Edges
) -> Pixels:
    """Put what is known of a cell into a square, and something around it."""
    if inner.shape[:2] == (side, side):
        return inner
    if edges.exchanged and edges.ground is not None:
        return lay_on_glass(inner, place, side, ground=_window(edges.ground, random, side))
    if edges.exchanged and random.random() < MIRRORED:
        top, left = place[1], place[0]
        around = ((top, side - top - inner.shape[0]), (left, side - left - inner.shape[1]), (0, 0))
        return np.pad(inner, around, mode="symmetric")
    return lay_on_glass(inner, place, side)


def _window(ground: Pixels, random: np.random.Generator, side: int) -> Pixels:
    """Return a random square of another field."""
    height, width = ground.shape[:2]
    top, left = int(random.integers(height - side + 1)), int(random.integers(width - side + 1))
    return np.rot90(ground[top : top + side, left : left + side], int(random.integers(4)))
