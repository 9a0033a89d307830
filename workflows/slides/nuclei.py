"""One tile of a nuclear stain: read, unmix, detect, keep what the tile owns, and land it on disk."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DeviceFullError
from ...models import CellTable
from ...stain import unmix
from ...tiling import ResultStore, Tile, halves, stage_key, tissue_windows
from ...wsi import Plane, open_slide
from ..runs.inputs import SlideInput
from .cell_file import FURTHER_COLUMNS, RING, polygons_to_wkb, ring_column
from .normalised_plane import NormalisedPlane
from .plan import SlidePlan, load_plan

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BlockSummary", "NucleiStage", "detect_tile", "find_nuclei"]

MEASUREMENTS = ("hematoxylin_od_mean", "dab_od_mean", *(name for name in FURTHER_COLUMNS if name != RING))
"""Measurements that go into the cell file, as far as the detector makes them."""
STAGE_VERSION = 2
"""Raised whenever the same settings would give other cells."""


@dataclass(frozen=True)
class NucleiStage:
    """The detection stage of one slide: where its results go."""

    folder: Path
    """The slide's work folder."""

    def store(self, plan: SlidePlan) -> ResultStore:
        """Return where the tiles of this plan and detector are kept."""
        facts = {
            "stage": STAGE_VERSION,
            "plan": plan.key,
            "detector": plan.detector.facts(),
        }
        return ResultStore(self.folder / f"cells-{stage_key(facts)}")


@dataclass(frozen=True)
class BlockSummary:
    """What travels back from a tile: counts and seconds, never cells."""

    tile: int
    cells: int
    seconds: dict[str, float]
    """Wall seconds by phase: ``decode``, ``unmix``, those of the detector, ``write``."""


def detect_tile(slide: SlideInput, place: Path, index: int, stage: NucleiStage) -> BlockSummary:
    """Work on one tile and land its cells; runs on a worker.

    Parameters
    ----------
    slide : SlideInput
        The slide.
    place : Path
        Folder of its plan; only this address travels, each worker loads the plan once.
    index : int
        The tile.
    stage : NucleiStage
        Place of the results.

    Raises
    ------
    UnreadableSlideError
        If the tile's pixels cannot be read.
    """
    seconds: dict[str, float] = {}
    plan = load_plan(place)
    plane = open_plane(str(slide.path), slide.mpp, plan.asked_mpp, plan.fingerprint)
    cells = find_nuclei(plane, plan, index=index, seconds=seconds)
    started = time.perf_counter()
    stage.store(plan).write(index, fragment(cells, index))
    seconds["write"] = time.perf_counter() - started
    return BlockSummary(index, len(cells), seconds)


def find_nuclei(plane: Plane, plan: SlidePlan, *, index: int, seconds: dict[str, float]) -> CellTable:
    """Return the nuclei that a tile owns, in level-0 px: a pure function of the slide and the plan.

    Parameters
    ----------
    plane : Plane
        The slide at its working resolution.
    plan : SlidePlan
        Tissue, stain profile, fitted detector and grid.
    index : int
        The tile.
    seconds : dict
        Receives the wall seconds of ``decode`` and ``unmix``, and the phases of the detector: ``network``
        and ``post``, or ``detect``.
    """
    tissue, tile = plan.tissue, plan.grid[index]
    windows = tissue_windows(
        tile,
        tissue.mask,
        scale=tissue.downsample / plan.downsample,
        stride=plan.detector.stride,
    )
    cells = CellTable.joined(
        [_find_as_large(plane, plan, window, seconds=seconds) for window in windows or [tile]]
    )
    # Glass is not looked at: how much of it a tile happens to show must not change the result.
    return cells.select(tissue.covers(cells.x, cells.y))


def _find_as_large(plane: Plane, plan: SlidePlan, window: Tile, *, seconds: dict[str, float]) -> CellTable:
    """Return the nuclei of a window in one go, or in parts that fit the memory of the device."""
    try:
        return _find_in_window(plane, plan, window, seconds=seconds)
    except DeviceFullError:
        parts = halves(window, stride=plan.detector.stride)
        if parts is None:
            raise
    return CellTable.joined([_find_as_large(plane, plan, part, seconds=seconds) for part in parts])


def _find_in_window(plane: Plane, plan: SlidePlan, window: Tile, *, seconds: dict[str, float]) -> CellTable:
    """Return the nuclei whose centres lie in the core of a window, in level-0 px."""
    detector, spent = plan.detector, dict[str, float]()
    x, y, width, height = window.outer
    clock = [time.perf_counter()]
    # Slide edges may leave an odd side; a few more white rows or columns keep the detector's phase.
    size = width + -width % detector.stride, height + -height % detector.stride
    seen = plan.seen(plane)
    if isinstance(seen, NormalisedPlane):
        image, shown = seen.read_both(x, y, *size)
    else:
        image = shown = plane.read(x, y, *size)
    clock.append(time.perf_counter())
    densities = unmix(image, plan.profile)  # stain is measured on pixels as scanned, whatever is shown
    if plan.profile.second_stain != "DAB":
        densities[1] = 0  # no DAB on this slide, and no other stain may pass for it
    clock.append(time.perf_counter())
    cells = detector.detect(shown, densities, mpp=plan.mpp, seconds=spent)
    spent |= {"decode": clock[1] - clock[0], "unmix": clock[2] - clock[1]}
    for phase, value in spent.items():
        seconds[phase] = seconds.get(phase, 0.0) + value
    return cells.select(window.owns(cells.x + x, cells.y + y)).placed(x=x, y=y, scale=plan.downsample)


@lru_cache(maxsize=2)
def open_plane(path: str, mpp: float | None, asked_mpp: float, fingerprint: str) -> Plane:
    """Keep the last slides open in this process; the fingerprint tells a replaced file from the old one."""
    return open_slide(path, mpp=mpp).plane(asked_mpp)


def fragment(cells: CellTable, index: int) -> pa.Table:
    """Turn a tile's cells into the table that waits on disk for the finaliser."""
    import numpy as np
    import pyarrow as pa

    columns: dict[str, Any] = {
        "x": cells.x,
        "y": cells.y,
        "probability": cells.probability,
        "area_um2": cells.area_um2,
        **{
            name: np.asarray(cells.measurements[name], np.float32)
            for name in MEASUREMENTS
            if name in cells.measurements
        },
        "tile": np.full(len(cells), index, np.int32),
    }
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    if cells.rings.shape[1]:
        table = table.append_column(RING, ring_column(cells.rings))
    return table.append_column("geometry", polygons_to_wkb(cells.outlines))
