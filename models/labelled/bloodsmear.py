"""Readers of blood cells with a class: white cells of Zheng, of KRD and of BCCD, red cells of Chula."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from ..cell_classes import RBC_CLASSES, WBC_CLASSES
from .cytology_cells import LabelledCell
from .smear_fields import read_bccd, read_smear_fields
from .split import part_of_cases, split_images

__all__ = ["read_bccd_types", "read_chula", "read_krd", "read_zheng"]

ZHENG_MPP = {"dataset1": 0.19, "dataset2": 0.10}
"""Not stated. Dataset 2 by its red cells (75 px); dataset 1, where red cells are ghosts, by its neutrophils
(65-75 px), which measure 12-14 um."""
CHULA_MPP = 0.19
"""By the bar that is printed into some images: 8 um are 42 px."""
KRD_MPP = 0.094
"""Not stated; by the red cells, of 80 px."""


def read_zheng(folder: Path) -> Iterator[LabelledCell]:
    """Read Zheng's white cells (Micron 2018), one per picture, divided within each source and class.

    The authors named the cells themselves; patients are not stated.
    """
    rows = _rows(folder / "manifest.csv")
    groups = defaultdict(list)
    for row in rows:
        groups[Path(row["file"]).parts[0], row["class"]].append(row["file"])
    parts: dict[str, str] = {}
    for members in groups.values():
        parts |= part_of_cases("wbc-seg-zheng", members)
    for row in rows:
        yield LabelledCell(
            "wbc-seg-zheng",
            row["file"],
            row["file"],
            parts[row["file"]],
            folder / row["file"],
            ZHENG_MPP[Path(row["file"]).parts[0]],
            row["class"],
            centre=_centre_of_mask(folder / row["mask"]),
            mask=folder / row["mask"],
            scale_stated=False,
        )


def read_krd(folder: Path) -> Iterator[LabelledCell]:
    """Read KRD-WBC (Taha et al. 2023): fields with one white cell each."""
    rows = _rows(folder / "labels.csv")
    parts = part_of_cases("krd-wbc", [row["image"] for row in rows])
    for row in rows:
        mask = (folder / "masks" / row["image"]).with_suffix(".png")
        yield LabelledCell(
            "krd-wbc",
            row["image"],
            row["image"],
            parts[row["image"]],
            folder / "images" / row["image"],
            KRD_MPP,
            row["class"],
            centre=_centre_of_mask(mask),
            scale_stated=False,
        )


def read_bccd_types(folder: Path) -> Iterator[LabelledCell]:
    """Read the white cells of BCCD whose field has one boxed white cell and one type.

    The types come from another list than the boxes, and some are wrong. Fields are divided as for detection.
    """
    types = {
        row["file"]: row["wbc_type_from_kaggle_labels"].strip().lower()
        for row in _rows(folder / "images.csv")
    }
    divided = split_images(list(read_bccd(folder)))
    parts = {image.name: part for part, members in divided.items() for image in members}
    for field in read_smear_fields(folder):
        white = field.boxes[field.labels == "WBC"]
        label = types.get(field.path.name, "")
        if len(white) != 1 or label not in WBC_CLASSES:
            continue
        left, top, right, bottom = white[0].tolist()
        yield LabelledCell(
            "bccd",
            field.name,
            field.case,
            parts[field.name],
            field.path,
            field.mpp,
            label,
            centre=((left + right) / 2, (top + bottom) / 2),
            scale_stated=False,
        )


def read_chula(folder: Path) -> Iterator[LabelledCell]:
    """Read the red cells of Chula RBC-12 (Naruenatthanaset et al. 2021), divided by field.

    A field that is no JPEG, as its name says, is left out: readers of slides refuse it.
    """
    rows = [row for row in _rows(folder / "points.csv") if _is_jpeg(folder / "images" / row["image"])]
    parts = part_of_cases("chula-rbc12", [row["image"] for row in rows])
    for number, row in enumerate(rows):
        yield LabelledCell(
            "chula-rbc12",
            f"{row['image']}#{number}",
            row["image"],
            parts[row["image"]],
            folder / "images" / row["image"],
            CHULA_MPP,
            RBC_CLASSES[int(row["type"])],
            centre=(float(row["x"]), float(row["y"])),
            scale_stated=False,
        )


@cache
def _is_jpeg(path: Path) -> bool:
    """Tell whether a file begins as JPEG does."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\xff\xd8"


def _centre_of_mask(path: Path) -> tuple[float, float]:
    """Return the middle of what is drawn, px."""
    from PIL import Image

    with Image.open(path) as opened:
        y, x = np.nonzero(np.asarray(opened))
    if not x.size:
        with Image.open(path) as opened:
            return opened.width / 2, opened.height / 2
    return float(x.mean()) + 0.5, float(y.mean()) + 0.5


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
