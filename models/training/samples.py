"""Labelled images in memory, at the scales that training draws from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...wsi import open_slide
from ..labelled import LabelledImage
from ..labelled.image import TUMOUR_LABELS

__all__ = ["Sample", "load_samples"]


@dataclass(frozen=True)
class Sample:
    """One image at one resolution with all that is known about it."""

    source: str
    """Collection it comes from."""
    image: NDArray[np.uint8]
    """Pixels: (H, W, 3)."""
    instances: NDArray[np.int32] | None
    """Instance map of the same size, None when only points are known."""
    known: NDArray[np.bool_]
    """Where nuclei were marked: (H, W)."""
    x: NDArray[np.float64]
    """Nuclei, px: (N,)."""
    y: NDArray[np.float64]
    """Nuclei, px: (N,)."""
    ids: NDArray[np.int32]
    """Numbers in the instance map, 0 = no outline: (N,)."""
    heats: NDArray[np.int8]
    """1 if the nucleus belongs to a heat map, 0 if not, -1 if unknown: (N, heats)."""
    classes: NDArray[np.int64]
    """Index of the class, -1 if unknown: (N,)."""
    complete: tuple[bool, ...]
    """Whether all nuclei of each heat map were marked: (heats,)."""
    ellipses: NDArray[np.float64] | None = None
    """Outlines of cells that may overlap, in place of an instance map: centre x, y, half width, half height
    of each, px: (N, 4)."""


def load_samples(
    images: Iterable[LabelledImage], *, mpp: float, heats: Sequence[str], classes: Sequence[str]
) -> list[Sample]:
    """Read images through the same road as slides: `open_slide`, then a `Plane` at ``mpp``.

    Parameters
    ----------
    images : iterable of LabelledImage
        What to read.
    mpp : float
        Resolution, um per px.
    heats, classes : sequence of str
        Of the network that will be trained.
    """
    samples = []
    for image in images:
        with open_slide(image.path, mpp=image.mpp) as slide:
            plane = slide.plane(mpp)
            pixels = plane.read(0, 0, plane.width, plane.height)
            scale = 1.0 / plane.downsample
            width, height = slide.width, slide.height
        known = image.read_region(width=pixels.shape[1], height=pixels.shape[0])
        instances = None
        if image.load_instances is not None:
            native = image.load_instances()
            rows = (((np.arange(pixels.shape[0]) + 0.5) / scale).astype(int)).clip(0, height - 1)
            columns = (((np.arange(pixels.shape[1]) + 0.5) / scale).astype(int)).clip(0, width - 1)
            instances = native[
                np.ix_(rows.clip(0, native.shape[0] - 1), columns.clip(0, native.shape[1] - 1))
            ]
        samples.append(
            Sample(
                source=image.set_name,
                image=pixels,
                instances=instances,
                known=known,
                x=image.x * scale,
                y=image.y * scale,
                ids=np.zeros(len(image.x), np.int32) if image.instance_ids is None else image.instance_ids,
                heats=_heats(image, heats),
                classes=np.array([_index(classes, label) for label in image.labels], np.int64),
                complete=tuple(_is_complete(image, heat) for heat in heats),
                ellipses=None if image.ellipses is None else image.ellipses * scale,
            )
        )
    return samples


def _index(classes: Sequence[str], label: str) -> int:
    """Position of a label among the classes, -1 if it is none of them."""
    return classes.index(label) if label in classes else -1


def _heats(image: LabelledImage, heats: Sequence[str]) -> NDArray[np.int8]:
    """Tell which nuclei belong to which heat map."""
    columns = []
    for heat in heats:
        if heat == "nucleus":
            columns.append(np.ones(len(image.x), np.int8))
        elif image.tells_tumour:
            columns.append(np.isin(image.labels, TUMOUR_LABELS).astype(np.int8))
        else:
            columns.append(np.full(len(image.x), -1, np.int8))
    return np.stack(columns, 1)


def _is_complete(image: LabelledImage, heat: str) -> bool:
    """Whether what is not marked is background."""
    return image.marked == "all" if heat == "nucleus" else image.tells_tumour
