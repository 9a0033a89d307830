"""What every annotation format comes down to: names and vertices, checked as they come in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError

__all__ = ["Shapes", "box", "choose_image", "largest", "shape_centroids", "shoelace", "vertices"]

Vertices = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shapes:
    """Marked objects of one image as a file gives them."""

    labels: list[str] = field(default_factory=list)
    """Class of each object, empty where the file names none."""
    places: list[Vertices] = field(default_factory=list)
    """x, y px of each object's vertices, (V, 2); one or two vertices are a point."""
    image_size: tuple[int, int] | None = None
    """Width and height of the image, px, where the file states them."""

    def add(self, label: str, place: Vertices) -> None:
        """Append one object."""
        self.labels.append(label)
        self.places.append(place)


def vertices(numbers: Any, where: str) -> Vertices:
    """Return (V, 2) finite vertices, without a repeated last one; ``where`` names the object in errors."""
    try:
        table = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTableError(
            f"{where} has coordinates that are no numbers", "Give x and y for every vertex."
        ) from error
    if table.ndim == 2 and table.shape[1] == 3:
        table = table[:, :2]  # GeoJSON allows a height
    if table.ndim != 2 or table.shape[1] != 2 or not len(table) or not np.isfinite(table).all():
        raise InvalidTableError(
            f"{where} has coordinates of shape {table.shape}, or not finite",
            "Give finite x and y for every vertex.",
        )
    closed = len(table) > 1 and bool((table[0] == table[-1]).all())
    return table[:-1] if closed else table


def box(left: Any, top: Any, *, right: Any, bottom: Any, where: str) -> Vertices:
    """Return the four corners of a box."""
    corners = vertices([(left, top), (right, top), (right, bottom), (left, bottom)], where)
    if not (corners[0] < corners[2]).all():
        raise InvalidTableError(
            f"{where} is a box from ({left}, {top}) to ({right}, {bottom})",
            "Give the upper left corner before the lower right one.",
        )
    return corners


def shoelace(polygon: Vertices) -> float:
    """Return the area inside a polygon, px2."""
    x, y = (polygon - polygon[0]).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def largest(parts: Sequence[Vertices]) -> Vertices:
    """Return the part of greatest area, of equal ones the first."""
    return max(parts, key=shoelace)


def shape_centroids(places: Sequence[Vertices]) -> Vertices:
    """Return the centroid x, y of each polygon's area, or of its vertices if it encloses none: (N, 2) px."""
    if not places:
        return np.empty((0, 2))
    counts = np.array([len(place) for place in places])
    starts = np.cumsum(counts) - counts
    every = np.concatenate(places)
    first = every[starts]
    near = every - np.repeat(first, counts, axis=0)  # small numbers keep their digits
    after = np.arange(1, len(every) + 1)
    after[starts + counts - 1] = starts
    following = near[after]
    cross = near[:, 0] * following[:, 1] - near[:, 1] * following[:, 0]
    area = np.add.reduceat(cross, starts)
    moment = np.add.reduceat((near + following) * cross[:, None], starts)
    middle = np.add.reduceat(near, starts) / counts[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        centroid = moment / (3 * area[:, None])
    low, high = np.minimum.reduceat(near, starts), np.maximum.reduceat(near, starts)
    # an outline that crosses itself may have its "centroid" far away
    sound = ((centroid >= low) & (centroid <= high)).all(axis=1)
    return np.asarray(first + np.where(sound[:, None], centroid, middle))


def choose_image(names: Sequence[str], wanted: str | None) -> int:
    """Return which of the images that a file describes is meant: by name, else by name without extension."""
    if wanted is None and len(names) == 1:
        return 0
    if wanted is None:
        example = f", such as {names[0]!r}" if names else ""
        raise InvalidTableError(
            f"it describes {len(names)} images", f"Say which one is meant with its name{example}."
        )
    for shorten in (str, _base_name, _stem):
        found = [number for number, name in enumerate(names) if shorten(name) == shorten(wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InvalidTableError(
                f"it describes {len(found)} images named {shorten(wanted)!r}", "Give each its own name."
            )
    known = ", ".join(repr(name) for name in names[:3])
    raise InvalidTableError(
        f"it does not describe the image {wanted!r}, but {len(names)} others ({known} ...)",
        "Use the image's name as the file has it.",
    )


def _base_name(name: str) -> str:
    """Return the file name without its folders, of any system."""
    return re.split(r"[/\\]", name)[-1]


def _stem(name: str) -> str:
    """Return the file name without folders and extension."""
    return PurePosixPath(_base_name(name)).stem
