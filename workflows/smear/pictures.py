"""Pictures of a smear's report: single cells, fields with outlines, the map of a slide's monolayer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...wsi import Slide, open_slide
from .cells import PLATELET, RED, WHITE
from .exports import COLORS, class_names
from .findings import CUT, UNCLASSIFIED, Findings
from .monolayer import EMPTY, MONOLAYER, STATES, THICK, THIN
from .plan import SmearImage, SmearPlan

__all__ = ["CUT", "GalleryCell", "draw_cell", "draw_fields", "draw_monolayer", "pick_gallery"]

CELL_UM = {WHITE: 24.0, RED: 14.0, PLATELET: 10.0}
"""Side of the picture of a cell, um, by kind."""
CELL_PX = 112
"""px of it."""
WHITE_SHOWN = 240
"""White cells in the gallery; more are drawn evenly from each class."""
RED_SHOWN = 8
"""Red cells of each shape."""
PLATELETS_SHOWN = 12
FIELDS_SHOWN = 4
FIELD_PX = 900
FIELD_UM = 90.0
"""Longest side of a field shown of a slide, um."""
MAP_PX = 1200
STATE_COLORS = {MONOLAYER: (26, 138, 74), THICK: (176, 42, 48), THIN: (196, 140, 20), EMPTY: (120, 130, 140)}

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class GalleryCell:
    """A cell of the gallery."""

    row: int
    """In the table of cells."""
    group: str
    """Its class."""
    probability: float
    field: str
    """Name of the image."""
    x: float
    """px of the image."""
    y: float
    """px"""


def pick_gallery(plan: SmearPlan, findings: Findings) -> list[GalleryCell]:
    """Choose the cells to show: unclassified white cells first, then each class, the surest first."""
    cells, names = findings.cells, class_names(findings)
    counted = findings.excluded == ""
    white = np.flatnonzero((cells.kind == WHITE) & counted & ~cells.cut)
    groups = [UNCLASSIFIED, *findings.white_classes] if findings.white_classes else ["WBC"]
    chosen: list[tuple[str, NDArray[np.intp]]] = []
    for group in groups:
        rows = white[names[white] == group]
        most = max(8, WHITE_SHOWN * len(rows) // max(1, len(white)))
        chosen.append((group, _evenly(_surest(rows, findings.certainty), most)))
    shapes = [name for name in findings.red_classes if name != "normal"]
    red = np.flatnonzero((cells.kind == RED) & counted & (findings.label != ""))
    chosen += [
        (name, _surest(red[findings.label[red] == name], findings.certainty)[:RED_SHOWN]) for name in shapes
    ]
    platelets = np.flatnonzero((cells.kind == PLATELET) & counted & ~cells.cut)
    chosen.append(("Platelet", _evenly(_surest(platelets, cells.probability), PLATELETS_SHOWN)))
    gallery = []
    for group, rows in chosen:
        for row in rows.tolist():
            sure = findings.certainty[row] if findings.certainty[row] else cells.probability[row]
            field = plan.images[int(cells.image[row])].name
            gallery.append(
                GalleryCell(row, group, float(sure), field, float(cells.x[row]), float(cells.y[row]))
            )
    return gallery


def _surest(rows: NDArray[np.intp], certainty: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return rows by falling certainty."""
    return np.asarray(rows[np.argsort(-certainty[rows], kind="stable")])


def _evenly(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return at most so many rows, from the first to the last."""
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))])


def draw_cell(plan: SmearPlan, findings: Findings, cell: GalleryCell) -> bytes:
    """Return the picture of a cell as JPEG."""
    kind = int(findings.cells.kind[cell.row])
    image = plan.images[int(findings.cells.image[cell.row])]
    plane = _slide(image).plane(CELL_UM[kind] / CELL_PX)
    left, top = (round(at / plane.downsample - CELL_PX / 2) for at in (cell.x, cell.y))
    return _jpeg(plane.read(left, top, CELL_PX, CELL_PX))


def draw_fields(plan: SmearPlan, findings: Findings) -> list[tuple[str, bytes]]:
    """Return some fields with the outlines of their cells, name and JPEG."""
    windows = _slide_windows(plan, findings) if plan.is_slide else _field_windows(plan)
    return [(name, _draw_window(plan, findings, image, window)) for name, image, window in windows]


def _field_windows(plan: SmearPlan) -> list[tuple[str, int, tuple[float, float, float, float]]]:
    """Return fields spread evenly over a folder, whole."""
    shown = np.unique(np.linspace(0, len(plan.images) - 1, FIELDS_SHOWN).round().astype(int))
    return [
        (plan.images[at].name, at, (0.0, 0.0, plan.images[at].width, plan.images[at].height))
        for at in shown.tolist()
    ]


def _slide_windows(
    plan: SmearPlan, findings: Findings
) -> list[tuple[str, int, tuple[float, float, float, float]]]:
    """Return windows around white cells of the monolayer, spread evenly."""
    cells, mpp = findings.cells, plan.images[0].mpp
    rows = _evenly(np.flatnonzero((cells.kind == WHITE) & (findings.excluded == "")), FIELDS_SHOWN)
    across = FIELD_UM / mpp
    down = 0.75 * across
    windows = []
    for x, y in zip(cells.x[rows].tolist(), cells.y[rows].tolist(), strict=True):
        name = f"{x * mpp / 1000:.2f} mm from the left, {y * mpp / 1000:.2f} mm from the top"
        left, top = (
            min(max(at - side / 2, 0.0), max(size - side, 0.0))
            for at, side, size in ((x, across, plan.images[0].width), (y, down, plan.images[0].height))
        )
        windows.append((name, 0, (left, top, across, down)))
    return windows


def _draw_window(
    plan: SmearPlan, findings: Findings, number: int, window: tuple[float, float, float, float]
) -> bytes:
    """Draw a window of an image with outlines in the colours of the classes."""
    from PIL import Image as Pictures
    from PIL import ImageDraw

    image = plan.images[number]
    left, top, width, height = window
    plane = _slide(image).plane(max(width, height) * image.mpp / FIELD_PX)
    scale = plane.downsample
    pixels = plane.read(
        *(round(each / scale) for each in (left, top)),
        *(max(1, round(each / scale)) for each in (width, height)),
    )
    picture = Pictures.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    cells, names = findings.cells, class_names(findings)
    near = (
        (cells.image == number)
        & (np.abs(cells.x - left - width / 2) < width)
        & (np.abs(cells.y - top - height / 2) < height)
    )
    for row in np.flatnonzero(near).tolist():
        ring = [(float(x), float(y)) for x, y in (cells.outline[row] - (left, top)) / scale]
        color = "#8a949e" if findings.excluded[row] else COLORS.get(str(names[row]), COLORS["WBC"])
        draw.line([*ring, ring[0]], fill=color, width=2 if cells.kind[row] == RED else 3)
    return _jpeg(np.asarray(picture))


def draw_monolayer(plan: SmearPlan, findings: Findings) -> bytes | None:
    """Draw a slide with its blocks in the colours of their states, as JPEG; None for fields."""
    if not plan.is_slide:
        return None
    from PIL import Image as Pictures

    image = plan.images[0]
    plane = _slide(image).plane(max(image.mpp, max(image.width, image.height) * image.mpp / MAP_PX))
    pixels = plane.read(0, 0, plane.width, plane.height).astype(np.float32)
    across = -(-image.grid.width // plan.block_px)
    side = plan.block_px * image.downsample / plane.downsample
    for number, state in zip(findings.blocks.number.tolist(), findings.states.tolist(), strict=True):
        row, column = divmod(number, across)
        part = pixels[
            round(row * side) : max(round(row * side) + 1, round((row + 1) * side) - 1),
            round(column * side) : max(round(column * side) + 1, round((column + 1) * side) - 1),
        ]
        part[:] = 0.55 * part + 0.45 * np.array(STATE_COLORS[state], np.float32)
    return _jpeg(np.asarray(Pictures.fromarray(np.rint(pixels).astype(np.uint8))))


def state_legend() -> list[dict[str, Any]]:
    """Return name and colour of each state of a block."""
    names = ("monolayer: counted", "too thick", "too thin", "no red cells")
    colors = ["#{:02x}{:02x}{:02x}".format(*STATE_COLORS[number]) for number in range(len(STATES))]
    return [{"name": name, "color": color} for name, color in zip(names, colors, strict=True)]


def groups_of(gallery: Sequence[GalleryCell]) -> list[str]:
    """Return the groups of a gallery in their order."""
    return list(dict.fromkeys(cell.group for cell in gallery))


@lru_cache(maxsize=4)
def _open(path: str, mpp: float, fingerprint: str) -> Slide:
    """Keep the last images open."""
    return open_slide(path, mpp=mpp, salvage=True)


def _slide(image: SmearImage) -> Slide:
    """Return an open image; pictures may show damage as white, no count comes from here."""
    return _open(str(image.path), image.mpp, image.fingerprint)


def _jpeg(pixels: Image) -> bytes:
    """Return pixels as JPEG, the same for the same pixels."""
    from PIL import Image as Pictures

    stream = io.BytesIO()
    Pictures.fromarray(pixels).save(stream, "JPEG", quality=88)
    return stream.getvalue()
