"""Readers of blood-smear fields whose red cells, white cells and platelets were boxed: BCCD and draaslan.

Many cells carry no box: in BCCD those that the border cuts or that overlap, in draaslan the platelets. What
is stained and lies in no box is therefore unknown, and nothing is learnt from it; see `known_ground`.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .image import LabelledImage

__all__ = ["SMEAR_KINDS", "SmearField", "known_ground", "read_bccd", "read_draaslan", "read_smear_fields"]

SMEAR_KINDS = ("RBC", "WBC", "Platelet")
"""Kinds of object on a smear, in the order that networks tell them."""
RED_CELL_UM = 7.5
"""Diameter that a scale was judged by: neither collection states one."""
BOX_NAMES = {"RBC": "RBC", "WBC": "WBC", "Platelets": "Platelet"}
LARGEST_DIRT_UM2 = 6.0
"""A stained spot without a box of up to this size is no cell in collections whose platelets are boxed."""
MARGIN_UM = 0.5
"""What lies nearer to unboxed stain is unknown too."""


@dataclass(frozen=True)
class SmearSet:
    """What is known of one collection."""

    mpp: float
    """um per px: `RED_CELL_UM` over the median of the fields' median red cell that no border cuts."""
    kinds: tuple[str, ...]
    """Kinds that were boxed."""
    block: int
    """Images of neighbouring numbers come from one smear: so many make a case."""


SETS = {
    "bccd": SmearSet(0.0722, SMEAR_KINDS, block=20),
    "draaslan-rbc-wbc": SmearSet(0.1394, SMEAR_KINDS[:2], block=10),
}


@dataclass(frozen=True)
class SmearField:
    """One field of view with its boxes."""

    set_name: str
    name: str
    case: str
    """Block of neighbouring images."""
    path: Path
    mpp: float
    """um per px, judged from the red cells."""
    kinds: tuple[str, ...]
    """Kinds that were boxed."""
    labels: NDArray[np.str_] = field(repr=False)
    """Of `SMEAR_KINDS`: (N,)."""
    boxes: NDArray[np.float64] = field(repr=False)
    """Left, top, right, bottom, px: (N, 4)."""

    @property
    def ellipses(self) -> NDArray[np.float64]:
        """Centre x, y and half width and height of the ellipse that fills each box, px: (N, 4)."""
        low, high = self.boxes[:, :2], self.boxes[:, 2:]
        return np.concatenate([(low + high) / 2, (high - low) / 2], axis=1)


def read_smear_fields(place: Path) -> Iterator[SmearField]:
    """Read the fields of one collection with their boxes; a box given twice counts once.

    Parameters
    ----------
    place : Path
        Folder ``bccd`` or ``draaslan-rbc-wbc`` with ``boxes.csv`` and ``images/``.
    """
    known = SETS[place.name]
    rows: dict[str, dict[tuple[str, ...], None]] = defaultdict(dict)
    with (place / "boxes.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            rows[row["file"]][(row["class"], row["xmin"], row["ymin"], row["xmax"], row["ymax"])] = None
    for path in sorted((place / "images").iterdir(), key=lambda each: (_number(each), each.name)):
        boxed = list(rows.get(path.name, ()))
        boxes = np.array([[float(value) for value in box[1:]] for box in boxed], np.float64).reshape(-1, 4)
        whole = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        labels = np.array([BOX_NAMES[box[0]] for box in boxed], dtype=np.str_)
        yield SmearField(
            place.name,
            path.stem,
            f"{place.name}-{_number(path) // known.block:02d}",
            path,
            known.mpp,
            known.kinds,
            labels=labels[whole],
            boxes=boxes[whole],
        )


def read_bccd(place: Path) -> Iterator[LabelledImage]:
    """Read BCCD (MIT): 640 x 480 px, 100x oil; boxes of red cells, white cells and platelets."""
    yield from map(_labelled, read_smear_fields(place))


def read_draaslan(place: Path) -> Iterator[LabelledImage]:
    """Read draaslan's fields (MIT): 256 x 256 px; boxes of red and white cells, also of cut ones."""
    yield from map(_labelled, read_smear_fields(place))


def known_ground(
    pixels: NDArray[np.uint8], ellipses: NDArray[np.float64], *, mpp: float, dirt_is_boxed: bool
) -> NDArray[np.bool_]:
    """Tell where it is known what a field shows: in the boxes' ellipses and on the unstained ground.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
        The field.
    ellipses : (N, 4) float array
        Centre x, y, half width, half height of each boxed cell, px.
    mpp : float
        um per px.
    dirt_is_boxed : bool
        Whether small spots without a box are surely no platelets.

    Returns
    -------
    (H, W) bool array
        The ground is lighter in green than Otsu's threshold of the field; pale centres of cells are none.
    """
    from scipy import ndimage
    from skimage import filters

    green = ndimage.gaussian_filter(pixels[..., 1].astype(np.float32), 0.15 / mpp)
    otsu: Any = filters.threshold_otsu
    stained = ndimage.binary_fill_holes(green < float(otsu(green)))
    boxed = _inside(ellipses, stained.shape)
    odd = stained & ~boxed
    if dirt_is_boxed:
        parts, _ = ndimage.label(stained)
        touches_box = np.zeros(int(parts.max()) + 1, bool)
        touches_box[np.unique(parts[boxed])] = True
        is_small = np.bincount(parts.ravel()) * mpp**2 <= LARGEST_DIRT_UM2
        odd &= ~(is_small & ~touches_box)[parts]
    near = ndimage.distance_transform_edt(~odd) <= MARGIN_UM / mpp if odd.any() else odd
    return np.asarray(boxed | ~near)


def _labelled(smear: SmearField) -> LabelledImage:
    """Turn a field into an image to learn from."""
    ellipses = smear.ellipses
    return LabelledImage(
        smear.set_name,
        smear.name,
        smear.case,
        smear.path,
        smear.mpp,
        x=ellipses[:, 0],
        y=ellipses[:, 1],
        labels=smear.labels,
        instance_ids=np.arange(1, len(ellipses) + 1, dtype=np.int32),
        ellipses=ellipses,
        load_known=partial(_load_known, smear),
        shape_scored=False,
    )


def _load_known(smear: SmearField) -> NDArray[np.bool_]:
    """Read the field and tell where it is known."""
    from PIL import Image

    with Image.open(smear.path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    return known_ground(pixels, smear.ellipses, mpp=smear.mpp, dirt_is_boxed="Platelet" in smear.kinds)


def _inside(ellipses: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mark what lies in any ellipse."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, bool)
    for x, y, across, down in ellipses:
        inside |= ((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 <= 1
    return inside


def _number(path: Path) -> int:
    """Return the number in a file's name."""
    return int(re.findall(r"\d+", path.stem)[-1])
