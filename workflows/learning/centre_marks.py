"""Moves marks that were set by hand to the middle of the nuclei that they mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ...models import CellTable, LabelledImage
from ...quantify import match_points

__all__ = ["centre_marks"]


def centre_marks(
    images: Sequence[LabelledImage], find: Callable[[LabelledImage], CellTable], *, within_um: float
) -> list[LabelledImage]:
    """Move each mark to the centroid of the nucleus that a detector finds nearby; others stay where they are.

    Only for learning: what is measured is measured against the marks as the experts set them.

    Parameters
    ----------
    images : sequence of LabelledImage
        Those with outlines are returned as they are.
    find : callable
        Returns the nuclei of an image, in its px.
    within_um : float
        How far a mark may be moved, um; marks and nuclei are matched one to one.
    """
    return [
        _centred(image, find(image), within_um=within_um) if _is_marked(image) else image for image in images
    ]


def _is_marked(image: LabelledImage) -> bool:
    """Tell an image with marks alone from one with outlines."""
    return image.load_instances is None and len(image.x) > 0


def _centred(image: LabelledImage, cells: CellTable, *, within_um: float) -> LabelledImage:
    """Return the image with its marks moved."""
    found = np.column_stack([cells.x, cells.y])
    marks = np.column_stack([image.x, image.y])
    matches = match_points(found * image.mpp, marks * image.mpp, radius_um=within_um)
    marks[matches.annotated] = found[matches.detected]
    return replace(image, x=marks[:, 0], y=marks[:, 1])
