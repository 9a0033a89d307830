"""Fields of view for the report: drawn at random with a fixed seed, cut from the slide, cells outlined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...wsi import Slide
from ..slides.cell_file import read_square
from ..slides.cell_rule import CellClass, Role
from ..slides.outline import Circle
from .content import FieldPicture
from .pictures import Crop, CropCells, draw_crop_pair

__all__ = ["FIELD_SEED", "cut_field", "draw_fields"]

FIELD_SEED = 67
"""Seed of the draw: the same slide shows the same fields, and nobody has picked them."""
FIELD_COUNT = 6
"""Fields shown."""
FIELD_SIDE_UM = 200.0
"""Side of a field, um: single nuclei are plain to see in half a page's width."""
CANDIDATES = 500
"""Nuclei tried as centres before fewer fields are shown."""
RIM_UM = 20.0
"""A nucleus whose centre is this near outside a field may still show its rim in it, um."""
FINEST_MPP = 0.25
"""Pictures are read no finer than this, um per px."""


def draw_fields(x_um: NDArray[np.float64], y_um: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Draw nuclei at random as the centres of fields that do not overlap.

    Parameters
    ----------
    x_um, y_um : (N,) float array
        Counted nuclei, um.

    Returns
    -------
    list of (x, y)
        Up to six centres, um, from top to bottom.
    """
    random = np.random.default_rng(FIELD_SEED)
    chosen: list[tuple[float, float]] = []
    for index in random.permutation(len(x_um))[:CANDIDATES]:
        x, y = float(x_um[index]), float(y_um[index])
        if all(max(abs(x - other[0]), abs(y - other[1])) >= FIELD_SIDE_UM for other in chosen):
            chosen.append((x, y))
        if len(chosen) == FIELD_COUNT:
            break
    return sorted(chosen, key=lambda centre: (centre[1], centre[0]))


def cut_field(
    slide: Slide,
    cells: Path,
    centre: tuple[float, float],
    *,
    classes: Sequence[CellClass],
    side_um: float = FIELD_SIDE_UM,
    ring: Circle | None = None,
) -> FieldPicture:
    """Cut a square field out of the slide, bare and with its cells outlined.

    Parameters
    ----------
    slide : Slide
        The open slide.
    cells : Path
        Its judged cells, ``cells.parquet``.
    centre : (x, y)
        Level-0 px.
    classes : sequence of CellClass
        What the cells may be.
    side_um : float
        Side of the field, um.
    ring : Circle, optional
        Drawn into the outlined half, level-0 px.
    """
    plane = slide.plane(max(FINEST_MPP, slide.mpp, side_um / 1000))
    side = round(side_um / plane.mpp)
    left, top = (round(value / plane.downsample - side / 2) for value in centre)
    scale = plane.downsample
    window = Window(left * scale, top * scale, side * scale)
    shown, inside = _cells_in(window, cells, classes=classes, margin=RIM_UM / slide.mpp)
    roles = {each.name: each.role for each in classes}
    members = zip(shown.labels, shown.excluded, inside, strict=True)
    counted = [roles[label] for label, reason, is_inside in members if is_inside and not reason]
    positive, negative = counted.count(Role.POSITIVE), counted.count(Role.NEGATIVE)
    crop = Crop(plane.read(left, top, side, side), window.x, window.y, scale, plane.mpp)
    return FieldPicture(
        data=draw_crop_pair(crop, shown, ring=ring),
        x_mm=centre[0] * slide.mpp / 1000,
        y_mm=centre[1] * slide.mpp / 1000,
        side_um=side * plane.mpp,
        positive=positive,
        counted=positive + negative,
    )


@dataclass(frozen=True, slots=True)
class Window:
    """A square of level-0 px."""

    x: float
    y: float
    side: float

    def holds(
        self, x: NDArray[np.float64], y: NDArray[np.float64], *, margin: float = 0.0
    ) -> NDArray[np.bool_]:
        """Tell which points lie in the square, or within ``margin`` px of it."""
        half = self.side / 2
        across, down = x - self.x - half, y - self.y - half
        return np.asarray(np.maximum(np.abs(across), np.abs(down)) <= half + margin)


def _cells_in(
    window: Window, cells: Path, *, classes: Sequence[CellClass], margin: float
) -> tuple[CropCells, list[bool]]:
    """Return the cells to be seen in a window, and which of them have their centre inside."""
    import shapely

    box = (window.x - margin, window.y - margin, window.side + 2 * margin)
    table = read_square(cells, *box, columns=("x", "y", "label", "excluded", "geometry"))
    outlines = shapely.from_wkb(table["geometry"].to_numpy())
    inside = window.holds(table["x"].to_numpy(), table["y"].to_numpy())
    labels, excluded = (table[name].to_pylist() for name in ("label", "excluded"))
    return CropCells(outlines, labels, excluded, classes), inside.tolist()
