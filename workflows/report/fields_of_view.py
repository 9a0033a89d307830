"""Fields of view for the report: drawn at random with a fixed seed, cut from the slide, cells outlined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...tiling import ResultStore
from ...wsi import Slide
from ..slides.nuclear_rule import POSITIVE, NuclearRule
from ..slides.outline import Circle
from ..slides.plan import SlidePlan
from ..slides.tally import exclusions, read_window
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
    plan: SlidePlan,
    store: ResultStore,
    centre: tuple[float, float],
    *,
    rule: NuclearRule,
    side_um: float = FIELD_SIDE_UM,
    ring: Circle | None = None,
) -> FieldPicture:
    """Cut a square field out of the slide, bare and with its nuclei outlined.

    Parameters
    ----------
    slide : Slide
        The open slide.
    plan : SlidePlan
        Its plan.
    store : ResultStore
        Its landed tiles.
    centre : (x, y)
        Level-0 px.
    rule : NuclearRule
        Which nuclei count, and which are positive.
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
    cells, inside = _cells_in(window, plan, store, rule=rule)
    shown = zip(cells.labels, cells.excluded, inside, strict=True)
    counted = [label for label, reason, is_inside in shown if is_inside and not reason]
    crop = Crop(plane.read(left, top, side, side), window.x, window.y, scale, plane.mpp)
    return FieldPicture(
        data=draw_crop_pair(crop, cells, ring=ring),
        x_mm=centre[0] * plan.level0_mpp / 1000,
        y_mm=centre[1] * plan.level0_mpp / 1000,
        side_um=side * plane.mpp,
        positive=counted.count(POSITIVE),
        counted=len(counted),
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
    window: Window, plan: SlidePlan, store: ResultStore, *, rule: NuclearRule
) -> tuple[CropCells, list[bool]]:
    """Return the nuclei to be seen in a window, and which of them have their centre inside."""
    import shapely

    margin = RIM_UM / plan.level0_mpp
    outlines = [np.empty(0, object)]
    labels: list[str] = []
    excluded: list[str] = []
    inside: list[bool] = []
    reach = {"x": window.x - margin, "y": window.y - margin}
    for table in read_window(store, plan, **reach, side=window.side + 2 * margin):
        x, y = table["x"].to_numpy(), table["y"].to_numpy()
        rows = np.flatnonzero(window.holds(x, y, margin=margin))
        outlines.append(shapely.from_wkb(table["geometry"].take(rows).to_numpy(zero_copy_only=False)))
        seen = table.take(rows)
        labels.extend(rule.labels(seen).tolist())
        excluded.extend(exclusions(seen, plan.quality, rule=rule).tolist())
        inside.extend(window.holds(x[rows], y[rows]).tolist())
    return CropCells(np.concatenate(outlines), labels, excluded), inside
