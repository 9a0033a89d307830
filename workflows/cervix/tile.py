"""One tile of a cytology slide: nuclei, their borders and cells, and what the classifier says of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DeviceFullError
from ...models.cell_crops import crops_around
from ...models.cells import CellTable
from ...models.cytoplasm import (
    METHOD,
    CytoplasmSettings,
    red_density,
    refine_nuclei,
    trace_cells,
)
from ...models.star_outlines import polygon_area
from ...tiling import ResultStore, Tile, halves, stage_key, tissue_windows
from ...wsi import Slide
from ...wsi.focal_planes import Blend, open_focal
from ..runs.inputs import SlideInput
from ..slides.tile_detector import LearnedDetector
from .call_reader import CallReader
from .find_nuclei import WORKING_MPP, find_nuclei, shrink_of
from .first_look import FirstLook, look_first
from .nuclei import RAYS, NucleusTable
from .plan import ScreeningPlan, load_screening_plan

__all__ = ["ScreeningStage", "TileSummary", "reach_of", "screen_tile", "stride_of"]

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]

STAGE_VERSION = 3
"""Raised whenever the same settings would give other nuclei."""
LEAST_CONTRAST = 0.10
"""Optical density by which a nucleus stands out; less is a crease, a shadow or far out of focus."""
SAME_MPP = 0.02
"""Share by which the resolutions of two networks may differ and still share pixels."""


@dataclass(frozen=True)
class TileSummary:
    """What travels back from a tile: counts and seconds, never cells."""

    tile: int
    cells: int
    """Nuclei."""
    seconds: dict[str, float]
    """Wall seconds by phase: ``decode``, ``network``, ``post``, ``cytoplasm``, ``classify``, ``write``."""


@dataclass(frozen=True)
class ScreeningStage:
    """The looking stage of one slide: what looks, and where its results go."""

    folder: Path
    """The slide's work folder."""
    detector: LearnedDetector
    """Finds nuclei."""
    calls: CallReader
    """Names cells."""
    cytoplasm: CytoplasmSettings
    """What counts as cytoplasm."""
    thorough: bool = False
    """Whether every nucleus is named."""

    def store(self, plan: ScreeningPlan) -> ResultStore:
        """Return where the tiles of this plan and these networks are kept."""
        facts = {
            "stage": STAGE_VERSION,
            "plan": plan.key,
            "detector": self.detector.facts(),
            "calls": self.calls.facts(),
            "cytoplasm": [METHOD, self.cytoplasm.least_od],
            "thorough": self.thorough,
        }
        # The run's --clean removes the parts of finished slides by the beginning of this name.
        return ResultStore(self.folder / f"cells-{stage_key(facts)}")


def reach_of(detector: LearnedDetector, cytoplasm: CytoplasmSettings) -> int:
    """Return how far from a nucleus' centre anything can change what is landed of it, working px."""
    seen = max(shrink_of(detector) * detector.reach_px(detector.mpp), cytoplasm.reach_px(WORKING_MPP))
    # Whether a nucleus is alone depends on those beside it, which are looked at themselves.
    return int(np.ceil(seen + FirstLook().alone_um / WORKING_MPP))


def stride_of(detector: LearnedDetector) -> int:
    """Return the working px that tiles begin on multiples of."""
    return shrink_of(detector) * detector.stride


def screen_tile(slide: SlideInput, place: Path, index: int, stage: ScreeningStage) -> TileSummary:
    """Work on one tile and land its nuclei; runs on a worker.

    Parameters
    ----------
    slide : SlideInput
        The slide.
    place : Path
        Folder of its plan; only this address travels, each worker loads the plan once.
    index : int
        The tile.
    stage : ScreeningStage
        What looks, and the place of the results.

    Raises
    ------
    UnreadableSlideError
        If the tile's pixels cannot be read.
    """
    seconds: dict[str, float] = {}
    plan = load_screening_plan(place)
    opened = _open(str(slide.path), slide.mpp, plan.blend, plan.fingerprint)
    cells = look_at_tile(opened, plan, index=index, stage=stage, seconds=seconds)
    started = time.perf_counter()
    stage.store(plan).write(index, cells.to_table())
    _spend(seconds, "write", started)
    return TileSummary(index, len(cells), seconds)


def look_at_tile(
    slide: Slide, plan: ScreeningPlan, *, index: int, stage: ScreeningStage, seconds: dict[str, float]
) -> NucleusTable:
    """Return the nuclei that a tile owns: a pure function of the slide, the plan and the networks."""
    cells, tile = plan.tissue, plan.grid[index]
    windows = tissue_windows(
        tile, cells.mask, scale=cells.downsample / plan.downsample, stride=stride_of(stage.detector)
    )
    parts = [_as_large(slide, plan, window, stage=stage, seconds=seconds) for window in windows]
    table = NucleusTable.joined(parts, classes=len(stage.calls.codes))
    # Glass is not looked at: how much of it a tile happens to show must not change the result.
    return table.select(cells.covers(table.x, table.y))


def _as_large(
    slide: Slide, plan: ScreeningPlan, window: Tile, *, stage: ScreeningStage, seconds: dict[str, float]
) -> NucleusTable:
    """Look at a window in one go, or in parts that fit the memory of the device."""
    try:
        return _look(slide, plan, window, stage=stage, seconds=seconds)
    except DeviceFullError:
        parts = halves(window, stride=stride_of(stage.detector))
        if parts is None:
            raise
    found = [_as_large(slide, plan, part, stage=stage, seconds=seconds) for part in parts]
    return NucleusTable.joined(found, classes=len(stage.calls.codes))


def _look(
    slide: Slide, plan: ScreeningPlan, window: Tile, *, stage: ScreeningStage, seconds: dict[str, float]
) -> NucleusTable:
    """Return the nuclei whose centres lie in the core of a window."""
    detector, mpp, white = stage.detector, plan.mpp, plan.tissue.background
    started = time.perf_counter()
    x, y, width, height = window.outer
    stride = stride_of(detector)
    # Slide edges may leave a broken stride; a few more white rows or columns keep the network's phase.
    image = slide.plane(plan.asked_mpp).read(x, y, width + -width % stride, height + -height % stride)
    _spend(seconds, "decode", started)
    red = red_density(image, white)
    spent: dict[str, float] = {}
    found = find_nuclei(image, red, detector, seconds=spent)
    for phase, value in spent.items():
        seconds[phase] = seconds.get(phase, 0.0) + value
    started = time.perf_counter()
    borders, contrast, steep = refine_nuclei(red, found.x, found.y, radii=_radii(found), mpp=mpp)
    keep = contrast >= LEAST_CONTRAST
    found, borders, contrast, steep = found.select(keep), borders[keep], contrast[keep], steep[keep]
    area = np.asarray(polygon_area(borders) * np.float32(mpp**2) if len(found) else found.area_um2)
    rays = trace_cells(
        image, found.x, found.y, nuclear_um2=area, white=white, mpp=mpp, settings=stage.cytoplasm
    )
    wanted = look_first(found.x + x, found.y + y, area_um2=area, rays_um=rays, mpp=mpp) | stage.thorough
    _spend(seconds, "cytoplasm", started)
    own = window.owns(found.x + x, found.y + y)
    found, wanted = found.select(own), wanted[own]
    started = time.perf_counter()
    crops = _crops(slide, plan, found.select(wanted), image=image, corner=(x, y), calls=stage.calls)
    chance = np.zeros((len(found), len(stage.calls.codes)), np.float32)
    unknown = np.zeros(len(found), bool)
    if wanted.any():
        chance[wanted], unknown[wanted] = stage.calls.look(crops)
    _spend(seconds, "classify", started)
    return NucleusTable(
        x=(found.x + x) * plan.downsample,
        y=(found.y + y) * plan.downsample,
        area_um2=area[own],
        found=found.probability,
        od=found.measurements["hematoxylin_od_mean"],
        contrast=contrast[own],
        steepness=steep[own],
        nucleus_px=borders[own] * np.float32(plan.downsample),
        rays_um=rays[own],
        looked=wanted,
        unknown=unknown,
        chance=chance,
    )


def _radii(cells: CellTable) -> Floats:
    """Return how far the border of each nucleus lies from its centre along the rays, px: (N, RAYS).

    The detector's rays start at a peak beside the centre; the turn that this makes is a fraction of a ray.
    """
    away = cells.outlines - np.stack([cells.x, cells.y], axis=1)[:, None]
    if not len(cells):
        return np.empty((0, RAYS), np.float32)
    return np.hypot(away[..., 0], away[..., 1]).astype(np.float32)


def _crops(
    slide: Slide,
    plan: ScreeningPlan,
    cells: CellTable,
    *,
    image: Image,
    corner: tuple[int, int],
    calls: CallReader,
) -> Image:
    """Cut the classifier's crops around cells given in px of the image."""
    places = np.stack([cells.x, cells.y], axis=1)
    if not calls.side:
        return np.empty((len(cells), 0, 0, 3), np.uint8)
    if abs(calls.mpp / plan.mpp - 1) <= SAME_MPP:
        return crops_around(image, places, calls.side)
    plane, side = slide.plane(calls.mpp), calls.side
    ratio = plan.downsample / plane.downsample
    starts = np.floor((places + np.array(corner)) * ratio - side / 2 + 0.5).astype(int)
    if not len(cells):
        return np.empty((0, side, side, 3), np.uint8)
    # One reading for all: its pixels are the same as those of a reading for each.
    (left, top), (right, bottom) = starts.min(axis=0), starts.max(axis=0) + side
    whole = plane.read(int(left), int(top), int(right - left), int(bottom - top))
    return np.stack([whole[y - top :, x - left :][:side, :side] for x, y in starts.tolist()])


def _spend(seconds: dict[str, float], phase: str, started: float) -> None:
    """Add the wall seconds since ``started`` to a phase."""
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - started


@lru_cache(maxsize=2)
def _open(path: str, mpp: float | None, blend: Blend, fingerprint: str) -> Slide:
    """Keep the last slides open in this process; the fingerprint tells a replaced file from the old one."""
    return open_focal(path, mpp=mpp, blend=blend)
