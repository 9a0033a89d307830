"""Annotations as rows: tables of points or boxes, and Pascal VOC's XML of boxes."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError
from .shapes import Shapes, box, choose_image

__all__ = ["read_points", "read_voc"]

LARGEST_XML = 16 * 2**20
"""Bytes: far more than any image's boxes need."""

Find = Callable[[Sequence[str]], int | None]

X_NAMES = ("x", "xpx", "centroidx", "centroidxpx", "centerx", "centrex", "cx", "pointx")
X_UM_NAMES = ("xum", "centroidxum")
BOX_NAMES = (("xmin", "x1", "left"), ("ymin", "y1", "top"), ("xmax", "x2", "right"), ("ymax", "y2", "bottom"))
LABEL_NAMES = ("class", "classification", "label", "category", "type", "name")
IMAGE_NAMES = ("image", "imagename", "file", "filename", "imagefile")


def read_points(content: bytes, *, image_name: str | None, mpp: float | None) -> Shapes:
    """Read a table of points (x, y, class) or boxes (xmin, ymin, xmax, ymax, class), with header or without.

    Commas, semicolons, tabs or spaces part the columns; unless commas do, they may be decimal marks.
    """
    rows, decimal_comma = _rows(_decode(content))
    if not rows:
        raise InvalidTableError("it is empty", "Give one row per nucleus: x, y and its class.")
    header, first = _header(rows[0], decimal_comma)
    body = rows[first:]
    ragged = [number for number, row in enumerate(body, first + 1) if len(row) < len(header)]
    if ragged:
        raise InvalidTableError(
            f"row {ragged[0]} has fewer than {len(header)} columns", "Give every row the same columns."
        )
    numbers = np.arange(first + 1, len(rows) + 1)  # as an editor shows them, less empty lines

    def find(names: Sequence[str]) -> int | None:
        return next((header.index(name) for name in names if name in header), None)

    body, numbers = _of_image(body, numbers, column=find(IMAGE_NAMES), image_name=image_name)

    def read(column: int) -> NDArray[np.float64]:
        return _numbers([row[column] for row in body], numbers, decimal_comma=decimal_comma)

    label = find(LABEL_NAMES)
    labels = [row[label] for row in body] if label is not None else [""] * len(body)
    corners = [find(names) for names in BOX_NAMES]
    if None not in corners:
        edges = np.column_stack([read(column) for column in corners if column is not None])
        places = [
            box(left, top, right=right, bottom=bottom, where=f"row {number}")
            for number, (left, top, right, bottom) in zip(numbers, edges.tolist(), strict=True)
        ]
        return Shapes(labels, places)
    columns, scale = _position_columns(find, header, mpp)
    points = np.column_stack([read(column) for column in columns]) / scale
    return Shapes(labels, list(points.reshape(-1, 1, 2)))


def _decode(content: bytes) -> str:
    """Return the text, also as spreadsheets save it."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _rows(text: str) -> tuple[list[list[str]], bool]:
    """Part the text into trimmed cells; also tell whether commas can be decimal marks."""
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = next((mark for mark in "\t;," if lines and mark in lines[0]), None)
    if delimiter is None:
        return [line.split() for line in lines], True
    cells = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in cells], delimiter != ","


def _header(row: Sequence[str], decimal_comma: bool) -> tuple[list[str], int]:
    """Return the columns' plain names and the number of the first row of data."""
    try:
        [_number(cell, decimal_comma) for cell in row[:2]]
    except ValueError:
        # casefold makes the micro sign a Greek mu
        names = [re.sub("[^a-z0-9]", "", cell.casefold().replace("\u03bc", "u")) for cell in row]
        return names, 1
    if len(row) not in (2, 3):
        raise InvalidTableError(
            f"{len(row)} columns without a header", "Name the columns in a first row: x, y, class."
        )
    return ["x", "y", "class"][: len(row)], 0


def _of_image(
    rows: list[list[str]], numbers: NDArray[np.intp], *, column: int | None, image_name: str | None
) -> tuple[list[list[str]], NDArray[np.intp]]:
    """Keep the rows of one image, if the table says which image each row is of."""
    if column is None or not rows:
        return rows, numbers
    names = [row[column] for row in rows]
    different = list(dict.fromkeys(names))
    chosen = different[choose_image(different, image_name)]
    kept = np.flatnonzero([name == chosen for name in names])
    return [rows[number] for number in kept.tolist()], numbers[kept]


def _position_columns(find: Find, header: Sequence[str], mpp: float | None) -> tuple[tuple[int, int], float]:
    """Return the columns of x and y and how many of their units a pixel has."""
    for names, in_um in ((X_NAMES, False), (X_UM_NAMES, True)):
        x, y = find(names), find([name.replace("x", "y", 1) for name in names])
        if x is None or y is None:
            continue
        if in_um and mpp is None:
            raise InvalidTableError(
                "its positions are in um", "Give the image's um per pixel (mpp) to turn them into pixels."
            )
        return (x, y), (mpp if in_um and mpp is not None else 1.0)
    raise InvalidTableError(
        f"no columns x and y among {', '.join(header)}", "Name the columns in the first row: x, y, class."
    )


def _numbers(cells: Sequence[str], numbers: NDArray[np.intp], *, decimal_comma: bool) -> NDArray[np.float64]:
    """Turn a column's cells into finite numbers, or name the first row that has none."""
    values: list[float] = []
    for cell, number in zip(cells, numbers.tolist(), strict=True):
        try:
            values.append(_number(cell, decimal_comma))
        except ValueError as error:
            raise InvalidTableError(
                f"{cell!r} in row {number} is no finite number", "Give a number with a decimal point."
            ) from error
    return np.array(values, dtype=np.float64)


def _number(cell: str, decimal_comma: bool) -> float:
    """Return a finite number or raise ValueError."""
    value = float(cell.replace(",", ".") if decimal_comma else cell)
    if not np.isfinite(value):
        raise ValueError(cell)
    return value


def read_voc(content: bytes) -> Shapes:
    """Read a Pascal VOC file: corners as continuous px, as the labelling programs of today write them."""
    root = _parse_xml(content)
    if root.tag != "annotation":
        raise InvalidTableError(
            f"XML with the root {root.tag!r}", "Export Pascal VOC, whose root is 'annotation'."
        )
    size = (int(float(root.findtext("size/width") or 0)), int(float(root.findtext("size/height") or 0)))
    shapes = Shapes(image_size=size if min(size) > 0 else None)
    for number, drawn in enumerate(root.iterfind("object"), 1):
        edges = [drawn.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
        if any(edge is None for edge in edges):
            raise InvalidTableError(f"object {number} has no box", "Give xmin, ymin, xmax and ymax.")
        left, top, right, bottom = (float(edge or "nan") for edge in edges)
        place = box(left, top, right=right, bottom=bottom, where=f"object {number}")
        shapes.add((drawn.findtext("name") or "").strip(), place)
    return shapes


def _parse_xml(content: bytes) -> Any:
    """Parse XML that declares no document type: with none, no entity can be defined, expanded or fetched."""
    from xml.etree.ElementTree import TreeBuilder
    from xml.parsers import expat

    if len(content) > LARGEST_XML:
        raise InvalidTableError(
            f"XML of {len(content) / 2**20:.0f} MiB", f"Give at most {LARGEST_XML // 2**20} MiB per image."
        )

    def refuse(*_: object) -> None:
        raise InvalidTableError("XML that declares a document type", "Remove the DOCTYPE from the file.")

    tree = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise InvalidTableError(f"no sound XML ({error})", "Export the file again.") from error
    return tree.close()
