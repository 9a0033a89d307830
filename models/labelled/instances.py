"""Instance maps: one whole number per nucleus, 0 for what is none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["centroids", "components", "fill_polygons", "read_grey"]


def read_grey(path: Path) -> NDArray[np.int32]:
    """Read a one-channel image of 8, 16 or 32 bit: (H, W)."""
    from PIL import Image

    with Image.open(path) as opened:
        return np.asarray(opened, np.int32)


def centroids(instances: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[Any]]:
    """Return the numbers that occur and the centroid x, y (px) of each: three times (N,)."""
    flat = instances.ravel()
    count = np.bincount(flat)
    rows, columns = (np.arange(size) + 0.5 for size in instances.shape)
    x = np.bincount(flat, weights=np.broadcast_to(columns, instances.shape).ravel())
    y = np.bincount(flat, weights=np.broadcast_to(rows[:, None], instances.shape).ravel())
    ids = np.flatnonzero(count)
    ids = ids[ids > 0]
    return ids.astype(np.int32), x[ids] / count[ids], y[ids] / count[ids]


def components(mask: NDArray[np.bool_], *, least_px: int) -> NDArray[np.int32]:
    """Number the connected parts (4-neighbours) of a mask; parts under ``least_px`` are dropped."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    small = np.bincount(labels.ravel()) < least_px
    small[0] = True
    numbers = np.cumsum(~small) * ~small
    return np.asarray(numbers[labels], np.int32)


def fill_polygons(polygons: Sequence[ArrayLike], *, width: int, height: int) -> NDArray[np.int32]:
    """Draw polygons (V, 2) of x, y px into an instance map: number 1 is the first; later ones lie on top."""
    from skimage import draw

    fill: Any = draw.polygon
    canvas = np.zeros((height, width), np.int32)
    for number, vertices in enumerate(polygons, 1):
        outline = np.asarray(vertices, np.float64)
        if len(outline) >= 3:
            rows, columns = fill(outline[:, 1] - 0.5, outline[:, 0] - 0.5, canvas.shape)
            canvas[rows, columns] = number
    return canvas
