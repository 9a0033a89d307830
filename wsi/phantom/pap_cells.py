"""Places and shapes of the cells of a Pap phantom, drawn once for the whole slide from its seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .pap_kinds import ABNORMAL, KINDS_OF_CELL, PapSettings
from .sites import push_apart
from .texture import Array, Floats, stream

__all__ = ["KIND_NAMES", "VERTICES", "PapCells", "draw_cells"]

KIND_NAMES = tuple(KINDS_OF_CELL)
VERTICES = 48
EDGE_UM = 40.0
"""Glass along the slide's edges."""
CROWD_UM = 1.0
"""Room between the cells of a sheet, um; negative would let them overlap."""
SHEET_SHARE = 0.72
"""Cells of a sheet stand so much closer than those of a loose group."""
GAP_UM = 3.0
"""Room between cells of a thin-layer preparation, um."""
LOBES = 3
"""Of a neutrophil's nucleus."""


@dataclass(frozen=True, eq=False)
class PapCells:
    """All cells of a slide, one row per cell."""

    x: Array
    """Middle of the nucleus, um: (n,)."""
    y: Array
    """um."""
    kind: NDArray[np.uint8]
    """Index into ``KIND_NAMES``."""
    group: NDArray[np.int32]
    """Number of the group, from 0; every cell belongs to one."""
    nucleus: Floats
    """(n, VERTICES) radius of the nucleus at even angles, um."""
    cell: Floats
    """(n, VERTICES) radius of the whole cell, um."""
    offset: Floats
    """(n, 2) middle of the cell against that of the nucleus, um."""
    hematoxylin: Floats
    """Mean optical density of the nucleus."""
    cyan: Floats
    """Optical density of the cytoplasm's blue-green."""
    pink: Floats
    """Optical density of its eosin."""
    depth: Floats
    """Height of the cell against the middle plane, um."""
    shift: NDArray[np.int32]
    """(n, 2) place in the texture of the chromatin, texels."""

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> PapCells:
        """Return some of the rows."""
        return PapCells(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @property
    def reach(self) -> Floats:
        """How far a cell extends from the middle of its nucleus at most, um: (n,)."""
        away = np.hypot(self.offset[:, 0], self.offset[:, 1])
        return np.asarray(np.maximum(self.cell.max(1) + away, self.nucleus.max(1)), np.float32)


def draw_cells(settings: PapSettings) -> PapCells:
    """Draw all cells of a slide."""
    rng = stream(settings.seed, 101)
    groups = _groups(settings, rng)
    kinds = np.array([KIND_NAMES.index(name) for name, _ in groups], np.uint8)
    sizes = np.array([cells for _, cells in groups], np.intp)
    radius = _group_radius(kinds, sizes)
    width, height = settings.width * settings.mpp, settings.height * settings.mpp
    low = EDGE_UM + radius
    place = np.column_stack(
        [low + rng.uniform(size=len(low)) * np.maximum(side - 2 * low, 1.0) for side in (width, height)]
    )
    for _ in range(4):
        place = push_apart(place, radius + GAP_UM / 2)
        for axis, side in enumerate((width, height)):
            place[:, axis] = np.clip(place[:, axis], low, np.maximum(side - low, low))
    return _members(settings, rng, kinds=kinds, sizes=sizes, place=place)


def _groups(settings: PapSettings, rng: np.random.Generator) -> list[tuple[str, int]]:
    """Return kind and number of cells of each group on the slide."""
    squamous = round(settings.squamous_per_mm2 * settings.area_mm2)
    superficial = round(squamous * settings.superficial_share)
    wanted = [
        ("superficial", superficial),
        ("intermediate", squamous - superficial),
        ("metaplastic", settings.metaplastic),
        ("endocervical", settings.endocervical),
        ("neutrophil", round(settings.neutrophils_per_mm2 * settings.area_mm2)),
        *((name, settings.lesions.get(name, 0)) for name in ABNORMAL),
    ]
    found = []
    for name, number in wanted:
        least, most = KINDS_OF_CELL[name].group
        found += [(name, int(size)) for size in rng.integers(least, most + 1, number)]
    return found


def _group_radius(kinds: NDArray[np.uint8], sizes: NDArray[np.intp]) -> Array:
    """Return how much room each group takes, um."""
    cell = np.array([_radius(each.nucleus_um2 / each.nc) for each in KINDS_OF_CELL.values()])[kinds]
    return np.where(sizes > 1, 1.25 * cell * np.sqrt(sizes), 1.1 * cell)


def _members(
    settings: PapSettings,
    rng: np.random.Generator,
    *,
    kinds: NDArray[np.uint8],
    sizes: NDArray[np.intp],
    place: Array,
) -> PapCells:
    """Draw the cells of all groups."""
    group = np.repeat(np.arange(len(kinds)), sizes)
    kind, n = kinds[group], len(group)
    facts = [KINDS_OF_CELL[name] for name in KIND_NAMES]

    def of(name: str) -> Array:
        return np.array([getattr(each, name) for each in facts], np.float64)[kind]

    area = of("nucleus_um2") * np.clip(rng.normal(1.0, of("spread"), n), 0.7, 1.4)
    whole = area / np.clip(of("nc") * rng.normal(1.0, 0.08, n), 0.01, 0.85)
    nucleus = _outlines(rng, area, ragged=of("ragged"), stretch=of("stretch"))
    cell = _outlines(rng, whole, ragged=np.where(of("nc") < 0.1, 0.07, 0.03), stretch=np.full(n, 1.12))
    angle, away = rng.uniform(0, 2 * math.pi, n), np.sqrt(rng.uniform(0, 1, n))
    slack = 0.35 * np.maximum(cell.min(1) - nucleus.max(1) - 1.0, 0.0)
    offset = np.column_stack([slack * away * np.cos(angle), slack * away * np.sin(angle)])
    # However ragged, a nucleus lies inside its cell.
    cell = np.maximum(cell, (nucleus.max(1) + np.hypot(*offset.T) + 0.4)[:, None])
    room = _radius(whole) * np.where(of("crowded") > 0, SHEET_SHARE, 1.0)
    spot = place[group] + _within_groups(rng, sizes, room)
    stain = [of(name) * np.clip(rng.normal(1.0, 0.08, n), 0.75, 1.25) for name in ("cyan", "pink")]
    depth = (rng.uniform(-0.5, 0.5, len(kinds)) * settings.depth_um * (settings.planes > 1))[group]
    return PapCells(
        x=spot[:, 0] - offset[:, 0],
        y=spot[:, 1] - offset[:, 1],
        kind=kind,
        group=group.astype(np.int32),
        nucleus=nucleus.astype(np.float32),
        cell=cell.astype(np.float32),
        offset=offset.astype(np.float32),
        hematoxylin=(of("hematoxylin") * np.clip(rng.normal(1.0, 0.06, n), 0.8, 1.2)).astype(np.float32),
        cyan=stain[0].astype(np.float32),
        pink=stain[1].astype(np.float32),
        depth=depth.astype(np.float32),
        shift=rng.integers(0, 1024, (n, 2)).astype(np.int32),
    )


def _within_groups(rng: np.random.Generator, sizes: NDArray[np.intp], radius: Array) -> Array:
    """Return where each cell lies against the middle of its group, um: sunflower seeds, a little shaken."""
    turn = np.repeat(rng.uniform(0, 2 * math.pi, len(sizes)), sizes)
    number = np.concatenate([np.arange(size) for size in sizes]) if len(sizes) else np.zeros(0)
    single = np.repeat(sizes == 1, sizes)
    far = np.where(single, 0.0, (1.9 * radius + CROWD_UM) * np.sqrt(0.35 + number) / math.sqrt(1.35))
    angle = turn + number * math.pi * (3 - math.sqrt(5))
    return np.column_stack([far * np.cos(angle), far * np.sin(angle)])


def _outlines(rng: np.random.Generator, area: Array, *, ragged: Array, stretch: Array) -> Array:
    """Return radii (n, VERTICES) of ellipses with uneven borders, of exactly the given areas, um."""
    n, angle = len(area), np.arange(VERTICES) * (2 * math.pi / VERTICES)
    turned = angle[None] - rng.uniform(0, 2 * math.pi, n)[:, None]
    long = np.sqrt(np.clip(stretch * rng.normal(1.0, 0.04, n), 1.0, None))[:, None]
    radius = 1.0 / np.hypot(np.cos(turned) / long, np.sin(turned) * long)
    for wave in (2, 3, 4, 5, 7):
        size = ragged[:, None] * rng.normal(0.0, 1.0 / math.sqrt(wave), (n, 1))
        radius *= 1.0 + size * np.cos(wave * angle[None] + rng.uniform(0, 2 * math.pi, (n, 1)))
    radius = np.maximum(radius, 0.4)
    own = 0.5 * math.sin(2 * math.pi / VERTICES) * (radius * np.roll(radius, -1, axis=1)).sum(1)
    return np.asarray(radius * np.sqrt(area / own)[:, None])


def _radius(area: float | Array) -> Array:
    """Return the radius of a disc."""
    return np.sqrt(np.asarray(area) / math.pi)
