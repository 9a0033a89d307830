"""The pieces of a biopsy: tissue that belongs together, named A, B, C ... as one reads a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ...tiling import QualityMap, TissueMask
from ...tiling.morphology import count_labels, grow, label_pieces
from ..slides.outline import outline_mask

if TYPE_CHECKING:
    import shapely

__all__ = ["Fragment", "FragmentMap", "SpecimenKind", "find_fragments", "name_fragments"]

SpecimenKind = Literal["biopsy", "resection"]

FRAGMENT_GAP_UM = 150.0
"""Pieces of tissue closer than this are one fragment: cracks of drying, no two biopsies lie so near."""
FRAGMENT_LEAST_MM2 = 0.02
"""Smaller pieces are crumbs and count with the nearest fragment: 140 um x 140 um."""
SEARCH_STEP = 4
"""To find the nearest fragment, every fourth of its pixels each way is looked at."""

Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Fragment:
    """One piece of tissue."""

    name: str
    """A, B, C ..."""
    tissue_mm2: float
    """Its area without artefacts, mm2."""
    outline: shapely.MultiPolygon
    """Level-0 px."""


@dataclass(frozen=True)
class FragmentMap:
    """Which place of the slide belongs to which fragment."""

    fragments: tuple[Fragment, ...]
    labels: Labels
    """(h, w) number of the fragment, from 1; 0 on glass. On the raster of the tissue mask."""
    downsample: float
    """Level-0 px per px of ``labels``."""

    def at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int32]:
        """Return the number of the fragment under points in level-0 px, 0 where there is none."""
        rows, columns = ((values / self.downsample).astype(np.intp) for values in (y, x))
        height, width = self.labels.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        found = np.zeros(len(x), np.int32)
        found[inside] = self.labels[rows[inside], columns[inside]]
        return found


def find_fragments(tissue: TissueMask, quality: QualityMap, *, kind: SpecimenKind) -> FragmentMap:
    """Join pieces of tissue to fragments.

    Parameters
    ----------
    tissue : TissueMask
        Where tissue is.
    quality : QualityMap
        What of it can be assessed.
    kind : {"biopsy", "resection"}
        All tissue of a resection is one fragment.

    Returns
    -------
    FragmentMap
        In reading order; none without tissue.
    """
    mask = tissue.mask
    if kind == "resection" or not mask.any():
        labels = mask.astype(np.int32)
    else:
        near = grow(mask, radius=round(FRAGMENT_GAP_UM / 2 / tissue.mpp))
        labels = np.where(mask, label_pieces(near)[0], 0).astype(np.int32)
        labels = _with_crumbs(labels, least_px=FRAGMENT_LEAST_MM2 * 1e6 / tissue.mpp**2)
        labels = _in_reading_order(labels)
    count = int(labels.max(initial=0))
    assessed = count_labels(labels, size=count + 1, where=quality.assessable(tissue))
    outlines = _outlines(labels, downsample=tissue.downsample)
    px_mm2 = (tissue.mpp / 1000) ** 2
    found = [
        Fragment(name, float(area) * px_mm2, outline)
        for name, area, outline in zip(name_fragments(count), assessed[1:], outlines, strict=True)
    ]
    return FragmentMap(tuple(found), labels, tissue.downsample)


def name_fragments(count: int) -> list[str]:
    """Return A ... Z, AA, AB ... as a spreadsheet names its columns."""
    names = []
    for number in range(1, count + 1):
        letters = ""
        while number:
            number, rest = divmod(number - 1, 26)
            letters = chr(ord("A") + rest) + letters
        names.append(letters)
    return names


def _with_crumbs(labels: Labels, *, least_px: float) -> Labels:
    """Give crumbs to the nearest fragment; where all are crumbs, each stays what it is."""
    from scipy.spatial import KDTree

    sizes = count_labels(labels, size=int(labels.max()) + 1)
    large = sizes >= least_px
    large[0] = False
    if not large.any() or large[sizes > 0][1:].all():
        return labels
    coarse = labels[::SEARCH_STEP, ::SEARCH_STEP]
    rows, columns = np.nonzero(large[coarse])
    rows, columns = rows * SEARCH_STEP, columns * SEARCH_STEP
    crumb_rows, crumb_columns = np.nonzero(~large[labels] & (labels > 0))
    _, nearest = KDTree(np.stack([rows, columns], 1)).query(np.stack([crumb_rows, crumb_columns], 1))
    joined = labels.copy()
    joined[crumb_rows, crumb_columns] = labels[rows[nearest], columns[nearest]]
    return joined


def _in_reading_order(labels: Labels) -> Labels:
    """Number fragments from 1: rows of fragments from top to bottom, within a row from left to right."""
    from scipy import ndimage

    boxes = {number + 1: box for number, box in enumerate(ndimage.find_objects(labels)) if box is not None}
    middle = {number: tuple((side.start + side.stop) / 2 for side in box) for number, box in boxes.items()}
    order: list[int] = []
    waiting = sorted(boxes, key=lambda number: (middle[number], number))
    while waiting:
        # Whatever has its middle beside the topmost fragment stands in its row.
        bottom = boxes[waiting[0]][0].stop
        row = [number for number in waiting if middle[number][0] < bottom]
        order += sorted(row, key=lambda number: (middle[number][1], number))
        waiting = [number for number in waiting if number not in row]
    renamed = np.zeros(int(labels.max()) + 1, np.int32)
    renamed[order] = np.arange(1, len(order) + 1)
    return renamed[labels]


def _outlines(labels: Labels, *, downsample: float) -> Sequence[shapely.MultiPolygon]:
    """Return the outline of each fragment, level-0 px."""
    import shapely
    from scipy import ndimage

    found = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        outline = outline_mask(labels[box] == number, downsample=downsample)
        corner = np.array([box[1].start, box[0].start]) * downsample
        found.append(shapely.transform(outline, lambda xy, corner=corner: xy + corner))
    return found
