"""Semi-real slides: pictures of cells laid on real fields at their own scale, at known places.

Stain adds up as light passes through: a picture's optical density over its own glass is added to that of the
field, so a planted cell has no frame and takes on the field's light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError

__all__ = ["PlantedGroup", "at_mpp", "plant"]

Image = NDArray[np.uint8]

GLASS_PERCENTILE = 95.0
"""The lightest pixels of a picture are its glass."""
FEATHER_PX = 8
"""Stain fades in over so many px from a picture's edge."""
TRIES = 400
"""Places that are looked at for each picture; the emptiest is taken."""
APART_PX = 24
"""Room between planted pictures, px."""


@dataclass(frozen=True)
class PlantedGroup:
    """Where a picture was laid."""

    code: str
    """Its class."""
    left: int
    """Of the picture, px of the slide."""
    top: int
    width: int
    height: int

    def holds(self, x: float, y: float, *, margin: float = 0.0) -> bool:
        """Tell whether a place, px of the slide, lies in the picture or so near to it."""
        inside_x = self.left - margin <= x < self.left + self.width + margin
        return inside_x and self.top - margin <= y < self.top + self.height + margin


def plant(
    field: Image, pictures: Sequence[tuple[str, Image]], *, seed: int
) -> tuple[Image, tuple[PlantedGroup, ...]]:
    """Lay pictures on a field, each where the field is emptiest among many places.

    Parameters
    ----------
    field : (H, W, 3) uint8 array
        A real field, or several side by side.
    pictures : sequence of (str, (h, w, 3) uint8 array)
        Class and picture, at the field's resolution.
    seed : int
        Of the places.

    Returns
    -------
    image : (H, W, 3) uint8 array
    groups : tuple of PlantedGroup
        In the order of the pictures.

    Raises
    ------
    SettingsError
        If a picture is larger than the field, or there is no room left.
    """
    rng = np.random.default_rng(seed)
    out = field.astype(np.float64)
    stained = np.pad((field.min(axis=2) < _glass(field).min() - 25).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    groups: list[PlantedGroup] = []
    for code, picture in pictures:
        height, width = picture.shape[:2]
        place = _emptiest(stained, (height, width), groups, rng)
        group = PlantedGroup(code, place[1], place[0], width, height)
        groups.append(group)
        density = np.log10((_glass(picture) + 1) / (picture.astype(np.float64) + 1)).clip(0)
        density *= _feather(height, width)[..., None]
        part = (slice(group.top, group.top + height), slice(group.left, group.left + width))
        out[part] = (out[part] + 1) * 10**-density - 1
    return np.asarray(np.clip(np.rint(out), 0, 255), np.uint8), tuple(groups)


def at_mpp(image: Image, *, mpp: float, wanted: float) -> Image:
    """Return an image at another resolution: means of pixels when coarser, interpolated when finer."""
    from PIL import Image as Pictures

    ratio = mpp / wanted
    if abs(ratio - 1) < 1e-3:
        return image
    height, width = (max(1, round(side * ratio)) for side in image.shape[:2])
    method = Pictures.Resampling.BOX if ratio < 1 else Pictures.Resampling.BICUBIC
    return np.asarray(Pictures.fromarray(image).resize((width, height), method))


def _glass(image: Image) -> NDArray[np.float64]:
    """Return the colour of the glass of an image."""
    return np.asarray(np.percentile(image.reshape(-1, 3), GLASS_PERCENTILE, axis=0), np.float64)


def _feather(height: int, width: int) -> NDArray[np.float64]:
    """Return weights that rise from the edges inwards."""
    sides = [
        np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5) / min(FEATHER_PX, length / 4)
        for length in (height, width)
    ]
    rise = [np.clip(side, 0, 1) for side in sides]
    return np.outer(rise[0], rise[1])


def _emptiest(
    stained: NDArray[np.int64],
    size: tuple[int, int],
    groups: Sequence[PlantedGroup],
    rng: np.random.Generator,
) -> tuple[int, int]:
    """Return top and left of the place with the least stain that no other picture has."""
    room = [stained.shape[k] - 1 - size[k] for k in (0, 1)]
    if min(room) < 0:
        raise SettingsError(f"a picture of {size} px on a smaller field", "Give larger fields.")
    best, least = None, np.inf
    for _ in range(TRIES):
        top, left = (int(rng.integers(0, side + 1)) for side in room)
        bottom, right = top + size[0], left + size[1]
        if any(
            left < each.left + each.width + APART_PX
            and right > each.left - APART_PX
            and top < each.top + each.height + APART_PX
            and bottom > each.top - APART_PX
            for each in groups
        ):
            continue
        held = float(
            stained[bottom, right] - stained[top, right] - stained[bottom, left] + stained[top, left]
        )
        if held < least:
            best, least = (top, left), held
    if best is None:
        raise SettingsError("no room for another picture", "Plant fewer, or give larger fields.")
    return best
