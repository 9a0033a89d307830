"""Finds and names the cells of one tile of a smear: a pure function of image, plan and networks."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UnreadableSlideError
from ...models import CellTable
from ...tiling import ResultStore, Tile, stage_key
from ...wsi import Slide, open_slide
from .plan import SmearImage, SmearPlan, load_smear_plan
from .readers import KINDS, CellReader, SmearReader

if TYPE_CHECKING:
    import pyarrow as pa

    from ..runs.inputs import SlideInput

__all__ = ["PartSummary", "SmearStage", "look_at_part", "part_blocks"]

STAGE_VERSION = 1
"""Raised whenever the same plan would give other cells."""
STAINED = 0.88
"""Green below this share of the lightest part is stained: a pale red cell absorbs about a fifth."""
CUT_UM = 0.6
"""An outline that leaves the image by so much is that of a cut cell."""
BATCH = 64
"""Crops that are read before they are named: bounds memory."""
WHITE, RED = KINDS.index("WBC"), KINDS.index("RBC")


@dataclass(frozen=True)
class SmearStage:
    """The reading stage of a smear: its networks, and where its parts lie."""

    folder: Path
    """The smear's work folder."""
    reader: SmearReader
    white: CellReader | None
    red: CellReader | None
    red_per_tile: int

    def store(self, plan: SmearPlan) -> ResultStore:
        """Where the parts of a plan lie."""
        facts = {
            "stage": STAGE_VERSION,
            "plan": plan.key,
            "detector": self.reader.facts(),
            "white": None if self.white is None else self.white.facts(),
            "red": None if self.red is None else self.red.facts(),
            "red_per_tile": self.red_per_tile,
        }
        return ResultStore(self.folder / f"cells-{stage_key(facts)}")


@dataclass(frozen=True)
class PartSummary:
    """What a part sends back."""

    index: int
    cells: int
    seconds: dict[str, float]


def look_at_part(smear: SlideInput, place: Path, part: int, stage: SmearStage) -> PartSummary:
    """Find and name the cells of one part and land them; runs on a worker.

    Raises
    ------
    UnreadableSlideError
        If the part stands for an image that could not be opened.
    """
    plan = load_smear_plan(place)
    bad = plan.bad_part(part)
    if bad is not None:
        raise UnreadableSlideError(f"{bad.name}: {bad.reason}", bad.advice)
    image, tile = plan.tile(part)
    path = smear.path / image.name if smear.path.is_dir() else smear.path
    seconds: dict[str, float] = {}
    slide = _open(str(path), image.mpp, image.fingerprint)
    table = read_part(slide, plan, image=image, tile=tile, stage=stage, seconds=seconds)
    started = time.perf_counter()
    stage.store(plan).write(part, table)
    seconds["write"] = time.perf_counter() - started
    return PartSummary(part, table.num_rows, seconds)


def read_part(
    slide: Slide,
    plan: SmearPlan,
    *,
    image: SmearImage,
    tile: Tile,
    stage: SmearStage,
    seconds: dict[str, float],
) -> pa.Table:
    """Return the cells that a tile owns, with what its blocks show."""
    started = time.perf_counter()
    plane, stride = slide.plane(plan.asked_mpp), stage.reader.stride
    x, y, width, height = tile.outer
    pixels = plane.read(x, y, width + -width % stride, height + -height % stride)
    seconds["decode"] = time.perf_counter() - started
    cells = stage.reader.find(pixels, seconds=seconds)
    own = tile.owns(cells.x + x, cells.y + y)
    inner = pixels[tile.halo : tile.halo + tile.height, tile.halo : tile.halo + tile.width]
    blocks = _blocks(inner, tile, image, block_px=plan.block_px)
    block = _block_of(cells.x[own] + x, cells.y[own] + y, image, block_px=plan.block_px)
    placed = cells.select(own).placed(x=float(x), y=float(y), scale=plane.downsample)
    started = time.perf_counter()
    is_white = placed.labels == WHITE
    is_shaped = _spread(np.flatnonzero((placed.labels == RED) & ~_is_cut(placed, image)), stage.red_per_tile)
    white = _name(slide, placed, np.flatnonzero(is_white), reader=stage.white)
    red = _name(slide, placed, is_shaped, reader=stage.red)
    seconds["classify"] = time.perf_counter() - started
    return _to_table(placed, block, white, red, cut=_is_cut(placed, image), blocks=blocks)


@dataclass(frozen=True)
class _Named:
    """Answers of a classifier for all cells of a table; rows without an answer are 0 and not asked."""

    probability: NDArray[np.float32]
    """(N, classes)"""
    unknown: NDArray[np.bool_]
    """Asked, and none of the classes is likely: (N,)."""


def _name(
    slide: Slide, cells: CellTable, rows: NDArray[np.intp], *, reader: CellReader | None
) -> _Named | None:
    """Name some cells; None without a classifier."""
    if reader is None:
        return None
    probability = np.zeros((len(cells), len(reader.classes)), np.float32)
    unknown = np.zeros(len(cells), bool)
    plane = slide.plane(reader.mpp)
    centres = np.stack([cells.x, cells.y], axis=1)[rows] / plane.downsample
    corners = np.floor(centres - reader.side / 2 + 0.5).astype(np.int64)
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        crops = [
            plane.read(int(x), int(y), reader.side, reader.side) for x, y in corners[start : start + BATCH]
        ]
        probability[some], unknown[some] = reader.read(np.stack(crops))
    return _Named(probability, unknown)


def _spread(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """Return at most so many of the rows, spread evenly."""
    if len(rows) <= most:
        return rows
    return np.asarray(rows[np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))])


def _is_cut(cells: CellTable, image: SmearImage) -> NDArray[np.bool_]:
    """Tell which cells the border of the image cuts."""
    if not len(cells):
        return np.zeros(0, bool)
    slack = CUT_UM / image.mpp
    low, high = cells.outlines.min(1), cells.outlines.max(1)
    size = np.array([image.width, image.height])
    return np.asarray(((low < -slack) | (high > size + slack)).any(1))


def _blocks(pixels: NDArray[np.uint8], tile: Tile, image: SmearImage, *, block_px: int) -> list[list[int]]:
    """Return number, px and stained px of each block of a tile."""
    stained = pixels[..., 1] < STAINED * image.white
    if not block_px:
        return [[0, int(stained.size), int(stained.sum())]]
    across = -(-image.grid.width // block_px)
    found = []
    for top in range(0, tile.height, block_px):
        for left in range(0, tile.width, block_px):
            part = stained[top : top + block_px, left : left + block_px]
            number = (tile.y + top) // block_px * across + (tile.x + left) // block_px
            found.append([number, int(part.size), int(part.sum())])
    return found


def _block_of(
    x: NDArray[np.float64], y: NDArray[np.float64], image: SmearImage, *, block_px: int
) -> NDArray[np.int32]:
    """Return the block of each place, plane px."""
    if not block_px:
        return np.zeros(len(x), np.int32)
    across = -(-image.grid.width // block_px)
    return np.asarray((y // block_px) * across + x // block_px, np.int32)


def _to_table(
    cells: CellTable,
    block: NDArray[np.int32],
    white: _Named | None,
    red: _Named | None,
    *,
    cut: NDArray[np.bool_],
    blocks: list[list[int]],
) -> pa.Table:
    """Turn cells into the table that waits on disk."""
    import pyarrow as pa

    count, vertices = len(cells), cells.outlines.shape[1]
    outlines = pa.array(cells.outlines.astype(np.float64).reshape(count, -1).ravel(), pa.float64())
    columns: dict[str, Any] = {
        "kind": cells.labels,
        "x": cells.x,
        "y": cells.y,
        "area_um2": cells.area_um2,
        "probability": cells.probability,
        "cut": cut,
        "block": block,
        "outline": pa.FixedSizeListArray.from_arrays(outlines, 2 * vertices),
    }
    for name, named in (("white", white), ("red", red)):
        if named is not None:
            flat = pa.array(named.probability.ravel(), pa.float32())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, named.probability.shape[1])
            columns[f"{name}_unknown"] = named.unknown
    return pa.table(columns).replace_schema_metadata({"blocks": json.dumps(blocks)})


def part_blocks(table: pa.Table) -> list[list[int]]:
    """Return number, px and stained px of the blocks of a part."""
    found: list[list[int]] = json.loads(table.schema.metadata[b"blocks"])
    return found


@lru_cache(maxsize=4)
def _open(path: str, mpp: float, fingerprint: str) -> Slide:
    """Keep the last images open in this process; the fingerprint tells a replaced file from the old one."""
    return open_slide(path, mpp=mpp)
