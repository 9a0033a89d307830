"""Readers of cervical cells: crops of the comparison detector, Herlev, fields of CRIC, circled LBC fields."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .cytology_cells import LabelledCell
from .cytology_scale import SCALED_SIDE, lightness, original_side
from .split import part_of_cases

__all__ = ["ABNORMAL", "read_cdetector", "read_circled", "read_cric", "read_herlev"]

ABNORMAL = "abnormal"
"""Of a cell that was marked as ASC-US or worse, without a grade."""
CDETECTOR_MPP = 0.5
"""Not stated; neutrophils and intermediate nuclei suggest 0.4-0.55."""
CDETECTOR_CLASSES = {
    "asc_us": "ASC-US",
    "asc_h": "ASC-H",
    "lsil": "LSIL",
    "hsil": "HSIL",
    "scc": "SCC",
    "agc": "AGC",
    "trichomonas": "Trichomonas",
    "candida": "Candida",
    "flora": "Flora",
    "herpes": "Herpes",
    "actinomyces": "Actinomyces",
}
HERLEV_MPP = 0.201
"""Stated, of the pictures before they were scaled."""
HERLEV_LABELS = {
    "normal_superficiel": ("NILM", "normal superficial"),
    "normal_intermediate": ("NILM", "normal intermediate"),
    "normal_columnar": ("NILM", "normal columnar"),
    "light_dysplastic": ("LSIL", "light dysplasia"),
    "moderate_dysplastic": ("HSIL", "moderate dysplasia"),
    "severe_dysplastic": ("HSIL", "severe dysplasia"),
    "carcinoma_in_situ": ("HSIL", "carcinoma in situ"),
}
CRIC_MPP = 0.23
"""Of the fields of published size, 1376 px wide; nuclei of about 33 px fit it."""
CRIC_SHRUNK = {1280: CRIC_MPP / 0.930}
"""um per px of a field by its width where it was stored smaller."""
CRIC_LABELS = {"Negative for intraepithelial lesion": "NILM"}
CIRCLED_MPP = 0.35
"""Not stated; neutrophils suggest 0.3-0.4."""
DARK_UM, APART_UM = 2.0, 14.0
"""Nuclei without a circle are looked for as dark spots of this size, this far apart, um."""
DARKEST_SHARE = 0.02
"""Share of a field's pixels that are dark enough to be a nucleus."""
CLEAR_UM = 30.0
"""Nothing nearer to a circle, or to the field's rim, is taken for normal."""


def read_cdetector(folder: Path) -> Iterator[LabelledCell]:
    """Read the reference crops of the comparison detector (Liang et al., Neurocomputing 2021).

    Slides are not known: crops are divided one by one, within each class, so training and validation share
    slides.
    """
    rows = _rows(folder / "manifest.csv")
    files = defaultdict(list)
    for row in rows:
        files[row["class"]].append(row["file"])
    parts: dict[str, str] = {}
    for members in files.values():
        parts |= part_of_cases("cdetector-11class", members)
    for row in rows:
        yield LabelledCell(
            "cdetector-11class",
            row["file"],
            row["file"],
            parts[row["file"]],
            folder / row["file"],
            CDETECTOR_MPP,
            CDETECTOR_CLASSES[row["class"]],
            scale_stated=False,
        )


def read_herlev(folder: Path) -> Iterator[LabelledCell]:
    """Read Herlev's single cells (Jantzen et al., NiSIS 2005), divided by photograph.

    All were scaled to one size; `original_side` finds the scale again. Dysplasia is named as the Bethesda
    System does: light is LSIL, moderate, severe and carcinoma in situ are HSIL.
    """
    from PIL import Image

    rows = _rows(folder / "manifest.csv")
    parts = part_of_cases("herlev-200", [_photograph(row) for row in rows])
    for row in rows:
        label, detail = HERLEV_LABELS[row["class"]]
        left, top, right, bottom = (int(row[f"content_{end}"]) for end in ("x0", "y0", "x1", "y1"))
        with Image.open(folder / row["file"]) as opened:
            grey = lightness(opened)[top + 1 : bottom - 1, left + 1 : right - 1]
        side = original_side(grey, nucleus_px=float(row["nucleus_px"]))
        yield LabelledCell(
            "herlev-200",
            row["file"],
            _photograph(row),
            parts[_photograph(row)],
            folder / row["file"],
            HERLEV_MPP * side.px / SCALED_SIDE,
            label,
            detail=detail,
            box=(left, top, right, bottom),
            mask=folder / row["mask"],
            scale_stated=False,
        )


def read_cric(folder: Path) -> Iterator[LabelledCell]:
    """Read the labelled nuclei of CRIC's fields (Rezende et al., Sci Data 2021), divided by field."""
    rows = _rows(folder / "cells.csv")
    parts = part_of_cases("cric-fields", [row["file"] for row in rows])
    width_of = {row["file"]: int(row["width"]) for row in _rows(folder / "images.csv")}
    for row in rows:
        name = row["file"]
        path = folder / name
        yield LabelledCell(
            "cric-fields",
            f"{name}#{row['cell_id']}",
            name,
            parts[name],
            path if path.exists() else folder / "images" / name,
            CRIC_SHRUNK.get(width_of.get(name, 0), CRIC_MPP),
            CRIC_LABELS.get(row["bethesda"], row["bethesda"]),
            centre=(float(row["nucleus_x"]), float(row["nucleus_y"])),
        )


def read_circled(folder: Path) -> Iterator[LabelledCell]:
    """Read liquid-based fields whose clearest abnormal cells were circled, divided by field.

    Circled cells are ``abnormal``; dark spots far from every circle are taken for ``NILM``, assumed: nobody
    named them, neutrophils and debris are among them, and a few may be abnormal. All fields seem to be of
    one slide.
    """
    rows = _rows(folder / "boxes.csv")
    files = sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".jpg")
    parts = part_of_cases("lbc-circled-fields", files)
    for name in files:
        boxes = np.array(
            [
                [float(row[end]) for end in ("xmin", "ymin", "xmax", "ymax")]
                for row in rows
                if row["file"] == name
            ]
        ).reshape(-1, 4)
        places = [(box, ABNORMAL) for box in ((boxes[:, :2] + boxes[:, 2:]) / 2)]
        places += [(spot, "NILM") for spot in _dark_spots(folder / name, boxes)]
        for (x, y), label in places:
            yield LabelledCell(
                "lbc-circled-fields",
                f"{name}#{x:.0f},{y:.0f}",
                name,
                parts[name],
                folder / name,
                CIRCLED_MPP,
                label,
                centre=(float(x), float(y)),
                scale_stated=False,
                assumed=label != ABNORMAL,
            )


def _dark_spots(path: Path, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centres of a field's dark spots that lie far from all boxes: (N, 2) x, y."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter, maximum_filter

    with Image.open(path) as opened:
        red = np.asarray(opened.convert("RGB"), np.float64)[..., 0]
    dark = gaussian_filter(255.0 - red, DARK_UM / CIRCLED_MPP / 2)
    peak = dark == maximum_filter(dark, size=2 * int(APART_UM / CIRCLED_MPP / 2) + 1)
    peak &= dark > np.quantile(dark, 1 - DARKEST_SHARE)
    y, x = np.nonzero(peak)
    clear = CLEAR_UM / CIRCLED_MPP
    kept = (np.minimum(x, dark.shape[1] - x) > clear) & (np.minimum(y, dark.shape[0] - y) > clear)
    for left, top, right, bottom in boxes:
        kept &= (x < left - clear) | (x > right + clear) | (y < top - clear) | (y > bottom + clear)
    return np.stack([x[kept] + 0.5, y[kept] + 0.5], 1)


def _photograph(row: dict[str, str]) -> str:
    """Return the photograph that a cell of Herlev was cut from: the first number of its name."""
    return Path(row["file"]).stem.split("-")[0]


def _rows(path: Path) -> Iterable[dict[str, str]]:
    """Return the rows of a table."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
