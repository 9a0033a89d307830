"""Reader of DigestPath's signet-ring cells: boxes around cells, and crops that hold none.

Where cells lie crowded some were skipped, so of a crop with cells only what lies by the boxes is known. Of
the other crops everything is known: they hold none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .image import LabelledImage
from .instances import fill_polygons
from .split import part_of_cases

__all__ = ["SIGNET_LABEL", "SignetCrop", "read_signet", "read_signet_crops"]

SIGNET_LABEL = "Signet-ring"
"""What the cells are called."""
MPP = 0.25
"""um per px of the scans (40x), as the data's notes have it."""
CORNERS = 48
"""Of the polygon that stands for an ellipse."""


@dataclass(frozen=True)
class SignetCrop:
    """One crop of a slide."""

    name: str
    """Name of the image."""
    patient: str
    """Who the slide is from."""
    path: Path
    """The image file."""
    size: tuple[int, int]
    """Width and height, px."""
    part: str
    """Part of the split that the patient belongs to."""
    holds_none: bool
    """Whether there is surely no such cell in it; a crop without boxes from a slide with cells may hold some
    that were skipped."""
    boxes: NDArray[np.float64] = field(repr=False)
    """Left, top, right, bottom of each marked cell, px: (N, 4)."""


def read_signet_crops(place: Path) -> Iterator[SignetCrop]:
    """Read the crops with their boxes.

    Patients with cells and patients without are divided apart: seven have cells, and among all the others
    chance would leave one of them to measure with. A quarter of either is validation. Of the patients
    without cells another quarter is tuning, as thresholds come from those alone; patients with cells are too
    few to spare one.

    Parameters
    ----------
    place : Path
        Folder with ``annotations.json`` and ``images/``.
    """
    rows: list[dict[str, Any]] = json.loads((place / "annotations.json").read_text(encoding="utf-8"))
    with_cells = {row["patient"] for row in rows if row["kind"] == "positive"}
    parts = _divide(place.name, with_cells, {row["patient"] for row in rows} - with_cells)
    for row in rows:
        width, height = (int(length) for length in row["crop"][2:])
        yield SignetCrop(
            Path(row["image"]).stem,
            row["patient"],
            place / "images" / row["image"],
            (width, height),
            parts[row["patient"]],
            row["kind"] == "negative",
            np.array(row["boxes_xyxy"], np.float64).reshape(-1, 4),
        )


def read_signet(place: Path) -> Iterator[LabelledImage]:
    """Turn boxes into cells: the centre, and as outline the ellipse that fills the box.

    Boxes were cut at the border of the crop; a cell that was cut has no outline.
    """
    for crop in read_signet_crops(place):
        boxes = crop.boxes
        cut = (boxes <= 0).any(1) | (boxes[:, 2] >= crop.size[0]) | (boxes[:, 3] >= crop.size[1])
        yield LabelledImage(
            place.name,
            crop.name,
            crop.patient,
            crop.path,
            MPP,
            x=(boxes[:, 0] + boxes[:, 2]) / 2,
            y=(boxes[:, 1] + boxes[:, 3]) / 2,
            labels=np.full(len(boxes), SIGNET_LABEL),
            marked="all" if crop.holds_none else "some",
            scale_stated=True,
            instance_ids=np.where(cut, 0, np.arange(1, len(boxes) + 1)).astype(np.int32),
            load_instances=partial(_draw, boxes, crop.size),
            shape_scored=False,
            part=crop.part,
        )


def _divide(set_name: str, with_cells: set[str], without: set[str]) -> dict[str, str]:
    """Return the part of each patient."""
    parts = {
        case: "validation" if part == "validation" else "training"
        for cases in (with_cells, without)
        for case, part in part_of_cases(set_name, cases).items()
    }
    rest = [case for case in without if parts[case] == "training"]
    spared = part_of_cases(f"{set_name}:tuning", rest)
    return parts | {case: "tuning" for case, part in spared.items() if part == "validation"}


def _draw(boxes: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.int32]:
    """Draw the ellipses; the smaller lies on top, as a cell that hides another is whole."""
    angles = np.arange(CORNERS) * (2 * np.pi / CORNERS)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    radii = (boxes[:, None, 2:] - boxes[:, None, :2]) / 2
    order = np.argsort(-radii.prod(2)[:, 0], kind="stable")
    ellipses: Sequence[NDArray[np.float64]] = list((centres + radii * circle)[order])
    drawn = fill_polygons(ellipses, width=size[0], height=size[1])
    numbers = np.concatenate([[0], order + 1]).astype(np.int32)
    return np.asarray(numbers[drawn], np.int32)
