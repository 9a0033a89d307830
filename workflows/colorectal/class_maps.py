"""The landed tiles of a slide put together as OME-Zarr, chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...models.tissue_classes import COLORECTAL_CLASSES
from ...tiling import ResultStore
from ..slides.zarr_maps import channel, create_array, multiscale, space_axes, write_label
from .classes import LESION_CLASSES, UNCERTAIN
from .plan import STRIDE, GradingPlan
from .tile import SignetCells, from_table
from .tissue_reader import GLAND_STEP
from .tumour_nuclei import TumourNuclei

if TYPE_CHECKING:
    import zarr

__all__ = ["GRADES", "SlideMaps", "stitch_maps", "write_labels"]

CHUNK = 256
"""Side of a chunk of the class map, cells of 16 px; that of the gland map is four times as many cells."""
GRADES = ("none", *(each.key for each in (*LESION_CLASSES, UNCERTAIN)))
"""Values of the label image ``grade``: the class of the gland at a place."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class SlideMaps:
    """What the networks saw of a whole slide."""

    classes: Bytes
    """(K, H, W) probability of each class, 255ths; a cell is 16 px of the plan's plane wide."""
    glands: Bytes
    """(4 H, 4 W) probability of gland, 255ths."""
    signet: SignetCells
    """Signet-ring cells."""
    mpp: float
    """um per cell of ``glands``."""
    downsample: float
    """Level-0 px per cell of ``glands``."""
    nuclei: TumourNuclei | None = None
    """Epithelial nuclei near carcinoma; None: nobody looked for them."""


def stitch_maps(
    plan: GradingPlan, store: ResultStore, tiles: Sequence[int], *, root: zarr.Group
) -> SlideMaps:
    """Write the maps of the tiles as channels of an image and a second image ``glands``.

    Parameters
    ----------
    plan : GradingPlan
        Grid of the tiles.
    store : ResultStore
        Their results.
    tiles : sequence of int
        Which of them to take, each landed.
    root : zarr.Group
        Where to write.

    Returns
    -------
    SlideMaps
        The same values: 22 bytes per cell of the class map, 64 MB for a slide of 25 x 50 mm.

    Notes
    -----
    Chunks have their own fixed size, so equal maps give equal bytes however the slide was tiled.
    """
    rows, columns = plan.map_shape
    kinds = len(COLORECTAL_CLASSES)
    classes = np.zeros((kinds, rows, columns), np.uint8)
    glands = np.zeros((rows * GLAND_STEP, columns * GLAND_STEP), np.uint8)
    cells, nuclei = [], []
    for index in tiles:
        tile, part = plan.grid[index], from_table(store.read(index))
        top, left = tile.y // STRIDE, tile.x // STRIDE
        _, height, width = part.classes.shape
        classes[:, top : top + height, left : left + width] = part.classes
        fine = slice(top * GLAND_STEP, (top + height) * GLAND_STEP)
        glands[fine, left * GLAND_STEP : (left + width) * GLAND_STEP] = part.glands
        cells.append(part.signet)
        nuclei += [] if part.nuclei is None else [part.nuclei]
    um = plan.mpp * STRIDE
    _write_image(root, "classes", classes, um=um, chunk=CHUNK)
    _write_image(
        root.create_group("glands"), "glands", glands[None], um=um / GLAND_STEP, chunk=CHUNK * GLAND_STEP
    )
    signet = SignetCells.joined(cells)
    order = np.lexsort((signet.x, signet.y))
    found = TumourNuclei.joined(nuclei)
    step = STRIDE // GLAND_STEP
    return SlideMaps(
        classes,
        glands,
        signet.select(order),
        mpp=plan.mpp * step,
        downsample=plan.downsample * step,
        nuclei=found.select(np.lexsort((found.x, found.y))) if nuclei else None,
    )


def write_labels(root: zarr.Group, plan: GradingPlan, grades: Bytes) -> None:
    """Write tissue, quality and the class of each gland as label images.

    Parameters
    ----------
    root : zarr.Group
        Where the maps are.
    plan : GradingPlan
        Tissue and quality.
    grades : (4 H, 4 W) uint8 array
        Index into `GRADES`.
    """
    tissue, quality = plan.tissue, plan.quality
    names = ("background", "tissue")
    mask = tissue.mask.astype(np.uint8)
    write_label(root, "tissue", values=mask, um=tissue.downsample * plan.level0_mpp, names=names)
    um = quality.downsample * plan.level0_mpp
    write_label(root, "quality", values=quality.codes, um=um, names=quality.reasons)
    write_label(root, "grade", values=grades, um=plan.mpp * STRIDE / GLAND_STEP, names=GRADES)
    root["labels"].attrs["labels"] = ["tissue", "quality", "grade"]
    group: Any = root["labels/grade"]
    label = dict(group.attrs["image-label"])
    label["colors"] = [
        {"label-value": value + 1, "rgba": [*each.rgb, 255]}
        for value, each in enumerate((*LESION_CLASSES, UNCERTAIN))
    ]
    group.attrs["image-label"] = label


def _write_image(group: zarr.Group, name: str, values: Bytes, *, um: float, chunk: int) -> None:
    """Write an image of channels; a chunk of glass is not stored."""
    array = create_array(group, values.shape, values.dtype, chunk=chunk)
    array[:] = values
    shown = LESION_CLASSES if name == "classes" else ()
    channels = [channel(each.key, each.color.removeprefix("#").upper(), end=255.0) for each in shown]
    axes = [{"name": "c", "type": "channel"}, *space_axes()]
    attributes: dict[str, Any] = {
        "multiscales": [multiscale(name, axes=axes, um=um)],
        "omero": {
            "channels": channels or [channel("gland_probability", "FFFFFF", end=255.0)],
            "rdefs": {"model": "color"},
        },
    }
    group.attrs.put(attributes)
