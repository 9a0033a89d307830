"""Pictures of a screening report: the whole slide with its gallery's places, and a crop of each object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..report.pictures import INK, jpeg, photo_figure, png, scale_bar
from .classes import class_color
from .evidence import Findings

if TYPE_CHECKING:
    from ...wsi import Slide

__all__ = ["CROP_UM", "draw_object", "draw_places"]

OVERVIEW_PX = 1600
"""Longest side of the overview, px."""
CROP_UM = 80.0
"""Side of an object's crop, um: two or three squamous cells."""
CROP_PX = 240
"""Side of the picture, px."""
BAR_UM = 20.0
"""Length of the bar in each crop, um."""


def draw_places(slide: Slide, found: Findings) -> bytes:
    """Draw the whole slide with the numbers of the gallery's objects in the colours of their classes.

    Returns
    -------
    bytes
        A PNG file; equal findings give equal bytes.
    """
    plane = slide.plane(max(slide.mpp, slide.mpp * max(slide.width, slide.height) / OVERVIEW_PX))
    image = plane.read(0, 0, plane.width, plane.height)
    height, width = image.shape[:2]
    zoom = OVERVIEW_PX / max(height, width)
    figure, axes = photo_figure(width * zoom, height * zoom)
    axes.imshow(image, extent=(0, width, height, 0), interpolation="antialiased", aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0))
    size = max(height, width) / 90
    for rank, row in reversed(list(enumerate(found.gallery, start=1))):
        cell = int(found.rows[row])
        x = float(found.cells.nuclei.x[cell]) / plane.downsample
        y = float(found.cells.nuclei.y[cell]) / plane.downsample
        color = class_color(found.calls.codes[row])
        axes.plot([x], [y], marker="o", markersize=13, markerfacecolor="none", markeredgecolor=color, mew=2.2)
        axes.text(
            x + size * 0.8,
            y - size * 0.6,
            str(rank),
            color=color,
            fontsize=15,
            fontweight="bold",
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.2},
        )
    scale_bar(axes, width=width, height=height, um_per_unit=plane.mpp, in_mm=True)
    return png(figure)


def draw_object(slide: Slide, x: float, y: float) -> bytes:
    """Cut the surroundings of an object, given in level-0 px: a JPEG file with a bar of 20 um."""
    from PIL import Image

    plane = slide.plane(max(slide.mpp, CROP_UM / CROP_PX))
    side = round(CROP_UM / plane.mpp)
    left, top = (int(np.floor(place / plane.downsample - side / 2 + 0.5)) for place in (x, y))
    crop = plane.read(left, top, side, side)
    large = Image.fromarray(crop).resize((CROP_PX, CROP_PX), Image.Resampling.BICUBIC)
    return jpeg(_with_bar(np.asarray(large).copy()))


def _with_bar(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw a bar of 20 um into the lower right corner."""
    side = image.shape[0]
    length = round(BAR_UM / CROP_UM * side)
    bottom, right = side - 10, side - 10
    image[bottom - 6 : bottom + 2, right - length - 2 : right + 2] = 255
    red, green, blue = (int(INK[k : k + 2], 16) for k in (1, 3, 5))
    image[bottom - 4 : bottom, right - length : right] = (red, green, blue)
    return image
