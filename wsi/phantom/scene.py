"""The quantities under one window that cytoplasm and stroma are painted from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .cells import TUMOUR, Cells
from .field import Field
from .texture import PERIOD, Floats, Grid, Textures, sample

CELL_REACH_UM = 14.0  # farthest that a cell's cytoplasm is drawn from its nucleus
EDGE_SOFTNESS_UM = 4.0


def ramp(value: NDArray[np.floating[Any]], width: float) -> Floats:
    """Return a smooth step from 0 at ``value`` 0 to 1 at ``width``."""
    step = np.clip(value * np.float32(1.0 / width), 0.0, 1.0)
    return np.asarray(step * step * (3.0 - 2.0 * step), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Scene:
    """Maps of one window, each (h, w) float32."""

    tissue: Floats
    "1 in tissue, 0 on glass and in empty spaces, soft at the border."
    nest: Floats
    "1 inside tumour nests, 0 in stroma, soft at the border."
    rim: Floats
    "1 on the border of a nest, where tissue tends to shrink away, falling to 0 within a few um."
    fibre: Floats
    "Stroma fibres that run along the nests, about -1 to 1."
    border: Floats
    "1 where two tumour cells meet, 0 within them."
    tone: Floats
    "One random value per tumour cell, -1 to 1."
    slow: Floats
    "Change of thickness and stain over the slide, mean 0, standard deviation 1."
    grain: Floats
    mottle: Floats
    cloud: Floats


def build_scene(field: Field, textures: Textures, cells: Cells, *, grid: Grid) -> Scene:
    """Return the maps of a window; ``cells`` must hold all nuclei that reach into it."""
    mottle = sample(textures.mottle, grid)
    cloud = sample(textures.cloud, grid, stretch=1.37)
    grain = sample(textures.grain, grid)
    nests = field.nests.on(grid)
    nest_depth = (nests - np.float32(field.nest_level)) * np.float32(field.nest_scale)
    lumen_depth = (field.lumens.on(grid) - np.float32(field.lumen_level)) * np.float32(field.nest_scale)
    roughness = 1.2 * mottle
    tissue = ramp(field.tissue_on(grid) + roughness, EDGE_SOFTNESS_UM)
    tissue *= 1.0 - ramp(lumen_depth + roughness + 4.0, EDGE_SOFTNESS_UM)
    border, tone = _cell_maps(cells, grid)
    return Scene(
        tissue=tissue,
        nest=ramp(nest_depth + roughness + 3.0, 6.0),
        rim=np.exp(-np.square((nest_depth + 3.0 + 2.5 * cloud) * np.float32(1.0 / 3.0)))
        * ramp(cloud + 0.9, 1.6),
        fibre=_fibres(field.fibre_phase_on(grid, nests), mottle, cloud),
        border=border,
        tone=tone,
        slow=field.slow.on(grid),
        grain=grain,
        mottle=mottle,
        cloud=cloud,
    )


def _fibres(phase: Floats, mottle: Floats, cloud: Floats) -> Floats:
    """Return wavy lines along the level lines of a field, broken up by noise."""
    turn = np.float32(2.0 * math.pi)
    coarse = np.sin(turn * np.float32(1.0 / 8.5) * phase + 0.8 * mottle + 1.8 * cloud)
    fine = np.sin(turn * np.float32(1.0 / 3.1) * phase + 1.0 * mottle - 2.6 * cloud)
    return np.asarray(0.6 * coarse + 0.4 * fine, dtype=np.float32)


def _cell_maps(cells: Cells, grid: Grid) -> tuple[Floats, Floats]:
    """Return the borders between tumour cells and one tone per cell, from the nearest two nuclei."""
    tumour = cells.take(cells.kind == TUMOUR)
    if len(tumour) < 2:
        blank = np.zeros((grid.height, grid.width), dtype=np.float32)
        return blank, blank
    fine = Grid(
        grid.x,
        grid.y,
        width=grid.width,
        height=grid.height,
        mpp=grid.mpp,
        node_um=max(1.0, 2.0 * grid.mpp),
    )
    x, y = fine.mesh()
    tree = cKDTree(np.column_stack((tumour.x, tumour.y)))
    distance, nearest = tree.query(
        np.column_stack((x.ravel(), y.ravel())), k=2, distance_upper_bound=2.0 * CELL_REACH_UM
    )
    first, second = distance.T
    known = first < CELL_REACH_UM
    apart = np.where(known, np.minimum(second, 2.0 * CELL_REACH_UM) - first, 99.0)
    border = np.exp(-np.square(apart / 1.5)).astype(np.float32)
    value = np.append(tumour.shift[:, 0] * (2.0 / PERIOD) - 1.0, 0.0)
    tone = np.where(known, value[nearest[:, 0]], 0.0).astype(np.float32)
    return fine.refine(border.reshape(x.shape)), fine.refine(tone.reshape(x.shape))
