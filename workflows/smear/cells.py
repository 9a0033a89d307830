"""All cells of a smear as columns, gathered from the parts, and what each counts for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...tiling import ResultStore
from .look import part_blocks
from .plan import SmearPlan
from .readers import KINDS

__all__ = ["PLATELET", "RED", "WHITE", "BlockTable", "SmearCells", "gather_cells"]

RED, WHITE, PLATELET = range(len(KINDS))
VERTICES = 32

Floats = NDArray[np.float32]


def _no_answers() -> Floats:
    """Stand in for answers where no classifier was asked."""
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class SmearCells:
    """Cells of a smear, one row each."""

    image: NDArray[np.int32]
    """Number of the image in the plan: (N,)."""
    part: NDArray[np.int32]
    """Part that owns it: (N,)."""
    kind: NDArray[np.uint8]
    """Index into `KINDS`: (N,)."""
    x: NDArray[np.float64]
    """Centroid, px of the image: (N,)."""
    y: NDArray[np.float64]
    """(N,)"""
    area_um2: Floats
    """(N,)"""
    probability: Floats
    """The detector's confidence: (N,)."""
    cut: NDArray[np.bool_]
    """Whether the border of the image cuts it: (N,)."""
    block: NDArray[np.int32]
    """Row of the `BlockTable`: (N,)."""
    outline: NDArray[np.float64] = field(repr=False)
    """Vertices, px of the image: (N, V, 2)."""
    mpp: Floats
    """um per px of its image: (N,)."""
    white: Floats = field(default_factory=_no_answers, repr=False)
    """Probabilities of the white-cell classes, 0 where nobody was asked: (N, classes or 0)."""
    white_unknown: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool), repr=False)
    red: Floats = field(default_factory=_no_answers, repr=False)
    """Probabilities of the red cells' shapes: (N, classes or 0)."""
    red_unknown: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool), repr=False)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def diameter_um(self) -> NDArray[np.float64]:
        """Diameter of the circle of the same area, um: (N,)."""
        return np.asarray(np.sqrt(4 / np.pi * self.area_um2.astype(np.float64)))

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> SmearCells:
        """Return the chosen rows; columns that nobody filled stay empty."""
        chosen: dict[str, Any] = {}
        for each in fields(self):
            column = getattr(self, each.name)
            chosen[each.name] = column[rows] if len(column) == len(self) else column
        return SmearCells(**chosen)


@dataclass(frozen=True)
class BlockTable:
    """Squares of a slide, or whole fields, with what was seen in each."""

    image: NDArray[np.int32]
    """Number of the image: (B,)."""
    number: NDArray[np.int32]
    """Of the block in its image, row by row: (B,)."""
    area_mm2: NDArray[np.float64]
    """Inside the image: (B,)."""
    stained: NDArray[np.float64]
    """Share that is stained: (B,)."""

    def __len__(self) -> int:
        return len(self.image)


def gather_cells(
    plan: SmearPlan, store: ResultStore, parts: Sequence[int], *, classes: tuple[int, int]
) -> tuple[SmearCells, BlockTable]:
    """Read the landed parts.

    Parameters
    ----------
    plan : SmearPlan
        Of the smear.
    store : ResultStore
        Where its parts lie.
    parts : sequence of int
        Those that are finished, in their order.
    classes : (int, int)
        Number of classes of the white-cell and of the red-cell classifier, 0 for none.
    """
    tables = [(part, store.read(part)) for part in parts]
    totals: dict[tuple[int, int], NDArray[np.int64]] = {}
    for part, table in tables:
        for number, px, stained in part_blocks(table):
            key = (plan.parts[part][0], number)
            totals[key] = totals.get(key, np.zeros(2, np.int64)) + np.array([px, stained])
    keys = sorted(totals)
    row_of = {key: row for row, key in enumerate(keys)}
    sums = np.array([totals[key] for key in keys], np.float64).reshape(-1, 2)
    px_mm2 = np.array([_pixel_mm2(plan, image) for image, _ in keys])
    blocks = BlockTable(
        image=np.array([image for image, _ in keys], np.int32),
        number=np.array([number for _, number in keys], np.int32),
        area_mm2=sums[:, 0] * px_mm2,
        stained=sums[:, 1] / np.maximum(sums[:, 0], 1),
    )
    found = [_read(plan, part, table, row_of, classes=classes) for part, table in tables]
    return _joined(found, classes=classes), blocks


def _pixel_mm2(plan: SmearPlan, image: int) -> float:
    """Return the area of a px of the detector's plane of an image, mm2."""
    each = plan.images[image]
    return float((each.mpp * each.downsample / 1000) ** 2)


def _read(
    plan: SmearPlan,
    part: int,
    table: Any,
    row_of: dict[tuple[int, int], int],
    *,
    classes: tuple[int, int],
) -> SmearCells:
    """Turn the table of a part into columns."""
    number, count = plan.parts[part][0], table.num_rows

    def column(name: str) -> NDArray[Any]:
        return np.asarray(table[name].combine_chunks().to_numpy(zero_copy_only=False))

    def wide(name: str, width: int, kind: Any) -> NDArray[Any]:
        if name not in table.column_names:
            return np.zeros((count, width), kind)
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, kind).reshape(count, width)

    def told(name: str) -> NDArray[np.bool_]:
        return column(name).astype(bool) if name in table.column_names else np.zeros(count, bool)

    return SmearCells(
        image=np.full(count, number, np.int32),
        part=np.full(count, part, np.int32),
        kind=column("kind").astype(np.uint8),
        x=column("x"),
        y=column("y"),
        area_um2=column("area_um2").astype(np.float32),
        probability=column("probability").astype(np.float32),
        cut=column("cut").astype(bool),
        block=np.array([row_of[number, block] for block in column("block").tolist()], np.int32),
        outline=wide("outline", 2 * VERTICES, np.float64).reshape(count, VERTICES, 2),
        mpp=np.full(count, plan.images[number].mpp, np.float32),
        white=wide("white", classes[0], np.float32),
        white_unknown=told("white_unknown"),
        red=wide("red", classes[1], np.float32),
        red_unknown=told("red_unknown"),
    )


def _joined(tables: Sequence[SmearCells], *, classes: tuple[int, int]) -> SmearCells:
    """Return the rows of several tables, of none too."""
    if tables:
        return SmearCells(
            **{
                each.name: np.concatenate([getattr(table, each.name) for table in tables])
                for each in fields(SmearCells)
            }
        )
    empty = np.empty(0, np.float32)
    whole, flags = np.empty(0, np.int32), np.empty(0, bool)
    places = np.empty(0, np.float64)
    return SmearCells(
        image=whole,
        part=whole,
        kind=np.empty(0, np.uint8),
        x=places,
        y=places,
        area_um2=empty,
        probability=empty,
        cut=flags,
        block=whole,
        outline=np.empty((0, VERTICES, 2)),
        mpp=empty,
        white=np.empty((0, classes[0]), np.float32),
        white_unknown=flags,
        red=np.empty((0, classes[1]), np.float32),
        red_unknown=flags,
    )
