"""Cells that a person drew, measured on the slide like those that a detector found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError
from ...models.membrane_ring import read_membranes, ring_reach_um
from ...models.nucleus_shape import elongations
from ...stain import unmix
from ...wsi import Slide
from .cell_detector import CellDetector
from .cell_edits import DrawnCell
from .cell_file import OUTLINE_STEPS, RING, RING_VALUES, make_cell_ids, ring_column
from .cell_rule import CellClass, Role
from .plan import SlidePlan

if TYPE_CHECKING:
    import pyarrow as pa
    import shapely

__all__ = ["measure_added_cells"]

LEAST_NUCLEUS = 0.4
"""Radius of the nucleus of a drawn cell whose border is nearer than the usual expansion, share of its own."""


def measure_added_cells(
    slide: Slide,
    drawn: Sequence[DrawnCell],
    *,
    plan: SlidePlan,
    classes: Sequence[CellClass],
    further: Sequence[str] = (),
) -> pa.Table:
    """Return drawn cells as rows of the cell file, all but ``label`` and ``excluded``.

    Densities are means inside the outline, in the slide's own stain vectors and at the resolution of the
    run. Where the run measured membranes, the outline is taken for that of the cell, and the line that it
    shares with a neighbour for its own: a person drew it.

    Parameters
    ----------
    slide : Slide
        The slide.
    drawn : sequence of DrawnCell
        The cells, not none.
    plan : SlidePlan
        The slide's plan.
    classes : sequence of CellClass
        Classes of the marker.
    further : sequence of str
        Those of `cell_file.FURTHER_COLUMNS` that the run's file has.

    Raises
    ------
    InvalidTableError
        If a cell lies beside the slide.
    """
    import pyarrow as pa

    plane = slide.plane(plan.asked_mpp)
    rows = []
    for cell in drawn:
        center = _center(cell.outline)
        if not (0 <= center[0] < slide.width and 0 <= center[1] < slide.height):
            raise InvalidTableError(
                f"a drawn cell lies at {center[0]:.0f}, {center[1]:.0f}, beside the slide",
                "Check that file and slide belong together.",
            )
        rows.append({"center": center, **_measure(plane, cell, center, plan, RING in further)})
    x, y = (np.array([row["center"][axis] for row in rows]) for axis in (0, 1))
    made = make_cell_ids(plan.fingerprint, x=x, y=y).to_pylist()
    roles = [classes[cell.code].role for cell in drawn]
    told = {
        "tumour_probability": [role in (Role.POSITIVE, Role.NEGATIVE) for role in roles],
        "positive_probability": [role is Role.POSITIVE for role in roles],
        "cytoplasm_dab_od_mean": [row["cytoplasm"] for row in rows],
        "nucleus_elongation": [row["elongation"] for row in rows],
    }
    columns: dict[str, Any] = {
        "cell_id": [cell.cell_id or name for cell, name in zip(drawn, made, strict=True)],
        "x": x,
        "y": y,
        "probability": np.ones(len(rows), np.float32),
        "area_um2": np.array([row["area_um2"] for row in rows], np.float32),
        "hematoxylin_od_mean": np.array([row["means"][0] for row in rows], np.float32),
        "dab_od_mean": np.array([row["means"][1] for row in rows], np.float32),
        **{name: np.array(told[name], np.float32) for name in further if name != RING},
        "tile": _tiles(plan, x, y),
        "geometry": pa.array([row["outline"] for row in rows], pa.binary()),
    }
    if RING in further:
        columns[RING] = ring_column(np.stack([row["ring"] for row in rows]))
    return pa.table(columns)


def _measure(
    plane: Any, cell: DrawnCell, center: NDArray[np.float64], plan: SlidePlan, with_ring: bool
) -> dict[str, Any]:
    """Return area, mean densities and outline of a cell, and its membrane if asked for."""
    import shapely

    scale, mpp = plan.downsample, plan.mpp
    pad = 2 + (int(np.ceil(ring_reach_um(mpp) / mpp)) if with_ring else 0)
    left, top, right, bottom = np.array(cell.outline.bounds) / scale
    x, y = int(np.floor(left)) - pad, int(np.floor(top)) - pad
    width, height = int(np.ceil(right)) + pad - x, int(np.ceil(bottom)) + pad - y
    densities = unmix(plane.read(x, y, width, height), plan.profile)
    outline, nucleus = cell.outline, cell.outline
    rays = inner = _rays(cell.outline, center)
    if with_ring:
        inner = _nucleus(rays, center, plan)
        outline, nucleus = shapely.Polygon(rays), shapely.Polygon(inner)
    shape = shapely.transform(nucleus, lambda xy: xy / scale - (x, y))
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    inside = shapely.contains_xy(shape, columns, rows)
    middle = center / scale - (x, y)
    inside[int(middle[1]), int(middle[0])] = True  # one that is smaller than a pixel has a density too
    found: dict[str, Any] = {
        "area_um2": nucleus.area * plan.level0_mpp**2,
        "means": [float(each[inside].mean(dtype=np.float64)) for each in densities],
        "outline": shapely.to_wkb(
            shapely.transform(outline, lambda xy: np.round(xy * OUTLINE_STEPS) / OUTLINE_STEPS), byte_order=1
        ),
        "cytoplasm": 0.0,
        "elongation": float(elongations(inner[None])[0]),
    }
    if with_ring:
        placed = [((each / scale) - (x, y))[None] for each in (inner, rays)]
        read = read_membranes(
            densities[1], x=middle[:1], y=middle[1:], nuclei=placed[0], cells=placed[1], mpp=mpp
        )
        found["ring"] = np.rint(np.clip(read.membrane_od[0] * 100, 0, 255)).astype(np.uint8)
        found["cytoplasm"] = float(read.cytoplasm_od[0])
    return found


def _center(outline: shapely.Polygon) -> NDArray[np.float64]:
    """Return the centroid, or a point inside where that lies outside."""
    center = outline.centroid
    center = center if outline.contains(center) else outline.representative_point()
    return np.array([center.x, center.y])


def _rays(outline: shapely.Polygon, center: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where 32 even directions from the centre leave the outline for good: (32, 2) level-0 px."""
    import shapely

    turns = np.arange(RING_VALUES) * (2 * np.pi / RING_VALUES)
    directions = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    left, top, right, bottom = outline.bounds
    far = center + directions * (right - left + bottom - top)
    lines = shapely.linestrings(np.stack([np.broadcast_to(center, far.shape), far], axis=1))
    crossed = shapely.intersection(lines, outline)
    radii = [np.hypot(*(shapely.get_coordinates(each) - center).T).max() for each in crossed]
    return np.asarray(center + directions * np.array(radii)[:, None])


def _nucleus(rays: NDArray[np.float64], center: NDArray[np.float64], plan: SlidePlan) -> NDArray[np.float64]:
    """Return the outline of the nucleus that the run would have grown to this cell: (32, 2) level-0 px."""
    expansion = plan.detector.expansion_um if isinstance(plan.detector, CellDetector) else 0.0
    radii = np.hypot(*(rays - center).T)
    share = np.maximum(1 - expansion / plan.level0_mpp / radii, LEAST_NUCLEUS)
    return np.asarray(center + (rays - center) * share[:, None])


def _tiles(plan: SlidePlan, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return which tile owns each point."""
    grid = plan.grid
    column = np.minimum(x / plan.downsample // grid.core, grid.columns - 1)
    row = np.minimum(y / plan.downsample // grid.core, grid.rows - 1)
    return np.asarray(row * grid.columns + column, np.int32)
