"""A user's own labelled images: a CSV file that names images, annotations, scales and cases."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError, SlidelabError, SlideNotFoundError
from .image import LabelledImage
from .split import PARTS

if TYPE_CHECKING:
    from ..annotated import Annotation

__all__ = ["LABEL_ALIASES", "read_manifest"]

REQUIRED = ("image", "annotation", "mpp")
OPTIONAL = ("case", "set", "marked", "region", "part")
MARKED = {"": "all", "all": "all", "tumour": "tumour", "tumor": "tumour"}
LABEL_ALIASES = {
    "": "Nucleus",
    "nucleus": "Nucleus",
    "nuclei": "Nucleus",
    "cell": "Nucleus",
    "positive": "Positive",
    "pos": "Positive",
    "+": "Positive",
    "tumour: positive": "Positive",
    "tumor: positive": "Positive",
    "negative": "Negative",
    "neg": "Negative",
    "-": "Negative",
    "tumour: negative": "Negative",
    "tumor: negative": "Negative",
    "tumour": "Tumour",
    "tumor": "Tumour",
    "epithelial": "Epithelial",
    "epithelium": "Epithelial",
    "inflammatory": "Inflammatory",
    "immune cells": "Inflammatory",
    "lymphocyte": "Lymphocyte",
    "lymphocytes": "Lymphocyte",
    "til": "Lymphocyte",
    "stromal": "Stromal",
    "stroma": "Stromal",
    "other": "Other",
    "others": "Other",
}
"""Labels of annotation files, in small letters, and slidelab's words for them; others stay as they are.

``Positive``, ``Negative`` and ``Tumour`` say that a nucleus is one of tumour."""


def read_manifest(path: Path) -> list[LabelledImage]:
    """Read a list of labelled images.

    ==============  =====================================================================================
    ``image``       the image, any format that `open_slide` reads
    ``annotation``  its nuclei, any format that `read_annotation` reads: points, outlines or a mask
    ``mpp``         um per px of the image
    ``case``        patient or slide, never divided between parts; by default the image is a case
    ``set``         where it comes from; by default the manifest's name; `` + `` joins several
    ``marked``      ``all`` nuclei were marked (default), or only those of ``tumour``
    ``region``      mask image, 255 where nuclei were marked; outside nothing is known
    ``part``        ``training``, ``tuning`` or ``validation``; by default the digest of the case decides
    ==============  =====================================================================================

    Parameters
    ----------
    path : Path
        CSV file in UTF-8, separated by comma, semicolon or tab, with a header. Paths in it are relative to
        its folder.

    Returns
    -------
    list of LabelledImage
        In the file's order.

    Raises
    ------
    SlideNotFoundError
        If there is no such file.
    InvalidTableError
        If a line is wrong or a case would be divided; names the line.

    Notes
    -----
    A box says where a nucleus is and not what shape it has: it is taken as a point.
    """
    images = []
    for line, row in _rows(path):
        try:
            images.append(_read_image(row, path=path))
        except SlidelabError as error:
            raise InvalidTableError(f"{path.name}, line {line}: {error.what}", error.advice) from error
    if not images:
        raise InvalidTableError(f"{path.name} lists no images", "Add a line per image.")
    _refuse_leaks(images, path.name)
    return images


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells of each image."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SlideNotFoundError(f"cannot read the manifest {path}: {error}", "Give a CSV file.") from error
    lines = text.splitlines()
    header = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=max(",;\t", key=header.count))
    names = [name.strip().lower() for name in next(reader, [])]
    _check_header(names, path.name)
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(names):
            raise InvalidTableError(
                f"{path.name}, line {reader.line_num}: {len(cells)} cells under {len(names)} columns",
                "Put cells that hold the separator in double quotes.",
            )
        row = dict.fromkeys((*REQUIRED, *OPTIONAL), "")
        yield reader.line_num, row | {name: cell.strip() for name, cell in zip(names, cells, strict=False)}


def _check_header(names: list[str], where: str) -> None:
    """Refuse headers that lack a column, and columns that nothing would heed."""
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InvalidTableError(
            f"{where}, line 1: no column {', '.join(missing)}", f"The header names {', '.join(REQUIRED)}."
        )
    strange = [name for name in names if name not in (*REQUIRED, *OPTIONAL)]
    if strange or len(set(names)) < len(names):
        raise InvalidTableError(
            f"{where}, line 1: unknown or repeated columns ({', '.join(strange) or ', '.join(names)})",
            f"Columns are {', '.join((*REQUIRED, *OPTIONAL))}.",
        )


def _read_image(row: dict[str, str], *, path: Path) -> LabelledImage:
    """Make the image of one line."""
    from ...wsi import open_slide
    from ..annotated import read_annotation

    image = _file(row, "image", folder=path.parent)
    marks = _file(row, "annotation", folder=path.parent)
    mpp = _resolution(row["mpp"])
    with open_slide(image, mpp=mpp) as slide:
        size = (slide.width, slide.height)
    annotation = read_annotation(marks, image_size=size, image_name=image.name, mpp=mpp)
    return LabelledImage(
        row["set"] or path.stem,
        image.stem,
        row["case"] or row["image"],
        image,
        mpp,
        x=annotation.x,
        y=annotation.y,
        labels=np.array([_label(label) for label in annotation.labels], dtype=np.str_),
        marked=_choice(row, "marked", MARKED),
        scale_stated=True,
        region=_file(row, "region", folder=path.parent) if row["region"] else None,
        part=_choice(row, "part", {part: part for part in PARTS}) if row["part"] else None,
        **_outlines(annotation, size),
    )


def _file(row: dict[str, str], column: str, *, folder: Path) -> Path:
    """Return the path in a cell."""
    if not row[column]:
        raise InvalidTableError(f"no {column}", f"Fill the column {column}.")
    path = folder / Path(row[column]).expanduser()
    if not path.exists():
        raise InvalidTableError(
            f"{column}: no file at {path}", "Paths are relative to the folder of the manifest."
        )
    return path


def _resolution(cell: str) -> float:
    """Return um per px, also with a decimal comma."""
    try:
        mpp = float(cell.replace(",", "."))
    except ValueError:
        mpp = np.nan
    if not 0 < mpp < np.inf:
        raise InvalidTableError(f"mpp: {cell!r} is no scale", "Give um per px of the image, such as 0.25.")
    return mpp


def _choice(row: dict[str, str], column: str, known: dict[str, str]) -> str:
    """Return one of the words that a column allows."""
    if row[column].lower() not in known:
        raise InvalidTableError(
            f"{column}: {row[column]!r}", f"Choose from {', '.join(word for word in known if word)}."
        )
    return known[row[column].lower()]


def _label(label: str) -> str:
    """Return slidelab's word for a label."""
    return LABEL_ALIASES.get(label.strip().lower(), label.strip())


def _outlines(annotation: Annotation, size: tuple[int, int]) -> dict[str, Any]:
    """Return which nuclei have an outline, and how to draw them; nothing where none has."""
    drawn = np.array([outline is not None and not _is_box(outline) for outline in annotation.outlines], bool)
    if not drawn.any():
        return {}
    ids = np.where(drawn, np.arange(1, len(annotation) + 1), 0).astype(np.int32)
    return {"instance_ids": ids, "load_instances": partial(annotation.rasterise, *size)}


def _is_box(outline: NDArray[np.float64]) -> bool:
    """Tell whether an outline is an upright rectangle, as no nucleus is."""
    return len(outline) == 4 and all(len(np.unique(column)) == 2 for column in outline.T)


def _refuse_leaks(images: list[LabelledImage], where: str) -> None:
    """Refuse images listed twice, and cases that would be divided between parts."""
    files = [image.path.resolve() for image in images]
    for number, image in enumerate(images):
        if files[number] in files[:number]:
            raise InvalidTableError(f"{where}: {image.name} is listed twice", "List every image once.")
    for case in dict.fromkeys(image.case for image in images):
        sets = {image.set_name for image in images if image.case == case}
        parts = {image.part for image in images if image.case == case}
        # Sets are split one by one, so a case of two sets needs its part stated on every line.
        if len(parts - {None}) > 1 or (len(sets) > 1 and None in parts):
            raise InvalidTableError(
                f"{where}: case {case} would be divided between parts",
                "Give all images of a case the same part, or one set and no part.",
            )
