"""Glands of one class that lie close together are a lesion: an outline with class, area and confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...tiling.morphology import label_pieces
from ..slides.outline import outline_mask
from .class_maps import SlideMaps
from .classes import LESION_CLASSES, ShownClass
from .glands import GlandTable

if TYPE_CHECKING:
    import shapely

__all__ = ["JOIN_UM", "Lesion", "find_lesions"]

JOIN_UM = 100.0
"""Glands of a class closer than this are one lesion, um: the stroma between two crypts is narrower."""
STEP = 2
"""Lesions are joined on cells twice as wide as those of the gland map."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Lesion:
    """Glands of one class that lie close together."""

    name: str
    """Fragment and number, such as A1; the severest of a fragment first, then the largest."""
    kind: ShownClass
    fragment: int
    """Number of the fragment, from 1."""
    area_mm2: float
    """Area of its glands, mm2."""
    glands: int
    confidence: float
    """Mean probability of its class, weighted by area, 0-1."""
    probability: tuple[float, ...]
    """The same of every class, in the order of `LESION_CLASSES`."""
    outline: shapely.MultiPolygon
    """Around the glands and the stroma between them, level-0 px; empty for normal glands."""
    centre: tuple[float, float]
    """Middle of its most telling gland, level-0 px: a large one of high confidence."""


def find_lesions(glands: GlandTable, maps: SlideMaps, fragments: Sequence[str]) -> tuple[Lesion, ...]:
    """Join the certain glands of each class.

    Parameters
    ----------
    glands : GlandTable
        The glands.
    maps : SlideMaps
        For the size of their cells.
    fragments : sequence of str
        Names of the fragments, from number 1.

    Returns
    -------
    tuple of Lesion
        Normal glands too, which have no outline. By fragment; within it the severest class first, then the
        largest area.
    """
    found: list[dict[str, Any]] = []
    for number, kind in enumerate(LESION_CLASSES):
        chosen = glands.is_certain & (glands.kind == number) & (glands.fragment > 0)
        if chosen.any():
            found += _of_class(glands, maps, chosen=chosen, kind=kind)
    severity = {each.key: place for place, each in enumerate(LESION_CLASSES)}
    found.sort(key=lambda each: (each["fragment"], -severity[each["kind"].key], -each["area_mm2"]))
    counts: dict[int, int] = {}
    lesions = []
    for each in found:
        counts[each["fragment"]] = counts.get(each["fragment"], 0) + 1
        lesions.append(Lesion(name=f"{fragments[each['fragment'] - 1]}{counts[each['fragment']]}", **each))
    return tuple(lesions)


def _of_class(glands: GlandTable, maps: SlideMaps, *, chosen: Mask, kind: ShownClass) -> list[dict[str, Any]]:
    """Return the lesions of a class, without their names."""
    from scipy import ndimage

    mask = np.concatenate([[False], chosen])[glands.labels]
    height, width = (-(-side // STEP) for side in mask.shape)
    mask = np.pad(mask, ((0, height * STEP - mask.shape[0]), (0, width * STEP - mask.shape[1])))
    coarse: Mask = np.asarray(mask.reshape(height, STEP, width, STEP).any((1, 3)))
    reach = JOIN_UM / 2 / (maps.mpp * STEP)
    joined, closed = _joined(coarse, reach=reach)
    boxes = ndimage.find_objects(joined)
    rows = np.flatnonzero(chosen)
    # A gland lies in one piece as a whole; its own pixel says in which, its centroid may lie beside it.
    piece = _piece_of(glands, rows, joined)
    groups = np.unique(np.stack([glands.fragment[rows], piece], 1), axis=0, return_inverse=True)
    made = []
    for number, (fragment, name) in enumerate(groups[0]):
        members = rows[groups[1].ravel() == number]
        share = glands.area_mm2[members] / glands.area_mm2[members].sum()
        probability = share @ glands.probability[members]
        has_outline = kind is not LESION_CLASSES[0]
        place = (boxes[name - 1], int(name)) if has_outline else None
        best = members[int(np.argmax(glands.area_mm2[members] * glands.confidence[members]))]
        made.append(
            {
                "kind": kind,
                "fragment": int(fragment),
                "area_mm2": float(glands.area_mm2[members].sum()),
                "glands": len(members),
                "confidence": float(probability[LESION_CLASSES.index(kind)]),
                "probability": tuple(float(value) for value in probability),
                "outline": _outline(joined, closed, place, downsample=maps.downsample * STEP),
                "centre": (
                    float(glands.x[best]) * maps.downsample,
                    float(glands.y[best]) * maps.downsample,
                ),
            }
        )
    return made


def _joined(mask: Mask, *, reach: float) -> tuple[NDArray[np.int32], Mask]:
    """Number what is closer than twice ``reach``; returns that, and the mask with such gaps filled."""
    from scipy import ndimage

    margin = int(np.ceil(reach)) + 1
    padded = np.pad(mask, margin)
    grown = ndimage.distance_transform_edt(~padded) <= reach
    filled = ndimage.distance_transform_edt(grown) > reach
    inner = (slice(margin, -margin),) * 2
    return label_pieces(grown)[0][inner], (filled | padded)[inner]


def _piece_of(glands: GlandTable, rows: NDArray[np.intp], joined: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return in which joined piece each gland lies."""
    piece = np.zeros(len(glands) + 1, np.int32)
    for start in range(0, glands.labels.shape[0], 512):
        band = glands.labels[start : start + 512]
        inside = np.nonzero(band)
        piece[band[inside]] = joined[(inside[0] + start) // STEP, inside[1] // STEP]
    return piece[rows + 1]


def _outline(
    joined: NDArray[np.int32], closed: Mask, place: tuple[Any, int] | None, *, downsample: float
) -> shapely.MultiPolygon:
    """Return the outline of a joined piece, by box and number, with its gaps filled: level-0 px."""
    import shapely

    if place is None:
        return shapely.MultiPolygon()
    box, name = place
    outline = outline_mask(closed[box] & (joined[box] == name), downsample=downsample)
    corner = np.array([box[1].start, box[0].start]) * downsample
    moved: shapely.MultiPolygon = shapely.transform(outline, lambda xy: xy + corner)
    return moved
