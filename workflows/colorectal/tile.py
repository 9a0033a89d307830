"""One tile: class and gland maps of its core, and the cells that it owns, landed as one file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DeviceFullError
from ...models import CellTable
from ...models.tissue_classes import COLORECTAL_CLASSES
from ...tiling import ResultStore, Tile, halves, stage_key, tissue_windows
from ...wsi import Plane, Slide, open_slide
from ..runs.inputs import SlideInput
from ..slides.normalised_plane import NormalisedPlane
from .plan import COARSEST, STRIDE, GradingPlan, load_grading_plan
from .tissue_reader import GLAND_STEP, SignetReader, TissueReader
from .tumour_nuclei import NucleusReader, TumourNuclei, tumour_nuclei

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GradingStage", "SignetCells", "TileMaps", "TileSummary", "grade_tile", "read_tile"]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

STAGE_VERSION = 2
"""Raised whenever the same settings would give other maps."""
NEAR_CARCINOMA = 26
"""Nuclei count where the class map gives carcinoma at least this probability, 255ths: a tenth. Low, so that
nearly all stroma of a carcinoma is looked at; the tumour's outlines decide later. A nucleus goes by the one
cell of the map that it lies in, so tiles of any size keep the same ones."""
NUCLEI_SIDE = 512
"""Side of the windows in which nuclei are sought, plane px; larger ones take much memory."""


@dataclass(frozen=True)
class SignetCells:
    """Signet-ring cells by their centres."""

    x: Floats
    """(N,) level-0 px."""
    y: Floats
    """(N,) level-0 px."""
    probability: NDArray[np.float32]
    """(N,) 0-1."""

    def __len__(self) -> int:
        return len(self.x)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> SignetCells:
        """Return the chosen cells."""
        return SignetCells(self.x[rows], self.y[rows], self.probability[rows])

    @classmethod
    def joined(cls, parts: Sequence[SignetCells]) -> SignetCells:
        """Return the cells of several parts, none of them too."""
        x, y = (np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)]) for name in "xy")
        told = [np.empty(0, np.float32), *(part.probability for part in parts)]
        return cls(x, y, np.concatenate(told))


@dataclass(frozen=True)
class TileMaps:
    """What was seen in a tile's core; 0 on glass."""

    classes: Bytes
    """(K, h, w) probability of each class, 255ths; a cell is 16 px wide."""
    glands: Bytes
    """(4 h, 4 w) probability of gland, 255ths; a cell is 4 px wide."""
    signet: SignetCells
    """Cells whose centres the core owns; none where nobody looked."""
    nuclei: TumourNuclei | None = None
    """Epithelial nuclei near carcinoma; None: nobody looked."""


@dataclass(frozen=True)
class TileSummary:
    """What travels back from a tile: counts and seconds, never maps."""

    tile: int
    cells: int
    """Signet-ring cells."""
    seconds: dict[str, float]
    """Wall seconds by phase: ``decode``, ``network``, ``signet``, ``nuclei``, ``write``."""


@dataclass(frozen=True)
class GradingStage:
    """The reading stage of one slide: what reads, and where its results go."""

    folder: Path
    """The slide's work folder."""
    tissue: TissueReader
    """Maps classes and glands."""
    signet: SignetReader | None
    """Finds signet-ring cells; None: nobody looks for them."""
    nuclei: NucleusReader | None = None
    """Finds nuclei for tumour budding; None: nobody looks for it."""

    def store(self, plan: GradingPlan) -> ResultStore:
        """Return where the tiles of this plan and these networks are kept."""
        facts = {
            "stage": STAGE_VERSION,
            "plan": plan.key,
            "tissue": self.tissue.facts(),
            "signet": None if self.signet is None else self.signet.facts(),
            "nuclei": None if self.nuclei is None else self.nuclei.facts(),
        }
        # The run's --clean removes the parts of finished slides by the beginning of this name.
        return ResultStore(self.folder / f"cells-{stage_key(facts)}")


def grade_tile(slide: SlideInput, place: Path, index: int, stage: GradingStage) -> TileSummary:
    """Work on one tile and land its maps; runs on a worker.

    Parameters
    ----------
    slide : SlideInput
        The slide.
    place : Path
        Folder of its plan; only this address travels, each worker loads the plan once.
    index : int
        The tile.
    stage : GradingStage
        The networks and the place of the results.

    Raises
    ------
    UnreadableSlideError
        If the tile's pixels cannot be read.
    """
    seconds: dict[str, float] = {}
    plan = load_grading_plan(place)
    opened = _open(str(slide.path), slide.mpp, plan.fingerprint)
    maps = read_tile(opened, plan, index=index, stage=stage, seconds=seconds)
    started = time.perf_counter()
    stage.store(plan).write(index, to_table(maps))
    seconds["write"] = time.perf_counter() - started
    return TileSummary(index, len(maps.signet), seconds)


def read_tile(
    slide: Slide, plan: GradingPlan, *, index: int, stage: GradingStage, seconds: dict[str, float]
) -> TileMaps:
    """Return the maps of a tile: a pure function of the slide, the plan and the networks.

    A cell of the maps is kept where its square touches tissue, so glass is 0 whatever a tile shows of it.
    """
    tissue, tile = plan.tissue, plan.grid[index]
    scale = tissue.downsample / plan.downsample
    windows = tissue_windows(tile, tissue.mask, scale=scale, stride=STRIDE)
    rows, columns = -(-tile.height // STRIDE), -(-tile.width // STRIDE)
    classes = np.zeros((len(COLORECTAL_CLASSES), rows, columns), np.uint8)
    glands = np.zeros((rows * GLAND_STEP, columns * GLAND_STEP), np.uint8)
    plane = plan.seen(slide.plane(plan.asked_mpp))
    for window in windows:
        _map_as_large(plane, window, tile, into=(classes, glands), reader=stage.tissue, seconds=seconds)
    kept = touches_tissue(tile, tissue.mask, scale=scale)
    classes *= kept
    glands *= np.kron(kept, np.ones((GLAND_STEP, GLAND_STEP), bool))
    cells = [_find_signet(slide, plan, window, reader=stage.signet, seconds=seconds) for window in windows]
    signet = SignetCells.joined(cells)
    signet = signet.select(tissue.covers(signet.x, signet.y))
    reader = stage.nuclei
    if reader is None or not shows_nuclei(plan, reader):
        return TileMaps(classes, glands, signet)
    near = classes[-1] >= NEAR_CARCINOMA
    found = [
        _find_nuclei(slide, plan, window, tile, near=near, reader=reader, seconds=seconds)
        for window in windows
    ]
    nuclei = TumourNuclei.joined(found)
    return TileMaps(classes, glands, signet, nuclei.select(tissue.covers(nuclei.x, nuclei.y)))


def shows_nuclei(plan: GradingPlan, reader: NucleusReader) -> bool:
    """Tell whether a slide was scanned finely enough for a detector of nuclei."""
    return plan.level0_mpp <= COARSEST * reader.mpp


def touches_tissue(tile: Tile, mask: NDArray[np.bool_], *, scale: float) -> NDArray[np.bool_]:
    """Tell which cells of a tile's class map touch tissue; ``scale`` is plane px per mask px."""
    total = np.pad(mask.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    spans = (
        (tile.y, tile.height, mask.shape[0]),
        (tile.x, tile.width, mask.shape[1]),
    )
    (top, bottom), (left, right) = (_span(*span, scale) for span in spans)
    counts = (
        total[np.ix_(bottom, right)]
        - total[np.ix_(top, right)]
        - total[np.ix_(bottom, left)]
        + total[np.ix_(top, left)]
    )
    return np.asarray(counts > 0)


def _span(start: int, length: int, size: int, scale: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first mask px and the one after the last under each cell of a row or column of cells."""
    edges = np.append(np.arange(start, start + length, STRIDE), start + length)
    first = np.clip((edges[:-1] / scale).astype(np.intp), 0, size)
    end = np.clip(((edges[1:] - 1) / scale).astype(np.intp) + 1, 0, size)
    return first, end


def _map_as_large(
    plane: Plane | NormalisedPlane,
    window: Tile,
    tile: Tile,
    *,
    into: tuple[Bytes, Bytes],
    reader: TissueReader,
    seconds: dict[str, float],
) -> None:
    """Map a window in one go, or in parts that fit the memory of the device."""
    try:
        _map_window(plane, window, tile, into=into, reader=reader, seconds=seconds)
    except DeviceFullError:
        parts = halves(window, stride=STRIDE)
        if parts is None:
            raise
        for part in parts:
            _map_as_large(plane, part, tile, into=into, reader=reader, seconds=seconds)


def _map_window(
    plane: Plane | NormalisedPlane,
    window: Tile,
    tile: Tile,
    *,
    into: tuple[Bytes, Bytes],
    reader: TissueReader,
    seconds: dict[str, float],
) -> None:
    """Read a window with its margin, map it, and write what belongs to its core into the tile's maps."""
    started = time.perf_counter()
    x, y, width, height = window.outer
    # Slide edges may leave a broken stride; a few more white rows or columns keep the network's phase.
    image = plane.read(x, y, width + -width % STRIDE, height + -height % STRIDE)
    seconds["decode"] = seconds.get("decode", 0.0) + time.perf_counter() - started
    found = reader.read(image, seconds=seconds)
    for target, values, step in zip(into, found, (STRIDE, STRIDE // GLAND_STEP), strict=True):
        margin, rows, columns = window.halo // step, -(-window.height // step), -(-window.width // step)
        top, left = (window.y - tile.y) // step, (window.x - tile.x) // step
        inner = values[..., margin : margin + rows, margin : margin + columns]
        target[..., top : top + rows, left : left + columns] = inner


def _find_signet(
    slide: Slide,
    plan: GradingPlan,
    window: Tile,
    *,
    reader: SignetReader | None,
    seconds: dict[str, float],
) -> SignetCells:
    """Return the signet-ring cells whose centres lie in the core of a window."""
    if reader is None:
        return SignetCells.joined([])
    cells = _find_cells(slide, plan, window, reader=reader, seconds=seconds)
    return SignetCells(cells.x, cells.y, cells.probability.astype(np.float32))


def _find_nuclei(
    slide: Slide,
    plan: GradingPlan,
    window: Tile,
    tile: Tile,
    *,
    near: NDArray[np.bool_],
    reader: NucleusReader,
    seconds: dict[str, float],
) -> TumourNuclei:
    """Return the epithelial nuclei in the core of a window near carcinoma; ``near`` is the tile's."""
    rows, columns = (
        slice((start - corner) // STRIDE, -(-(start + length - corner) // STRIDE))
        for start, length, corner in (
            (window.y, window.height, tile.y),
            (window.x, window.width, tile.x),
        )
    )
    if not near[rows, columns].any():
        return TumourNuclei.joined([])
    parts = halves(window, stride=STRIDE) if max(window.width, window.height) > NUCLEI_SIDE else None
    if parts is not None:
        found = [
            _find_nuclei(slide, plan, part, tile, near=near, reader=reader, seconds=seconds) for part in parts
        ]
        return TumourNuclei.joined(found)
    nuclei = tumour_nuclei(_find_cells(slide, plan, window, reader=reader, seconds=seconds))
    row, column = (
        (values / plan.downsample - corner).astype(np.intp) // STRIDE
        for values, corner in ((nuclei.y, tile.y), (nuclei.x, tile.x))
    )
    return nuclei.select(near[row, column])


def _find_cells(
    slide: Slide,
    plan: GradingPlan,
    window: Tile,
    *,
    reader: SignetReader | NucleusReader,
    seconds: dict[str, float],
) -> CellTable:
    """Return the cells, in level-0 px, whose centres lie in the core of a window."""
    started = time.perf_counter()
    plane, stride = plan.seen(slide.plane(reader.mpp)), reader.stride
    ratio = plan.downsample / plane.downsample
    left, top = (_down(start * ratio - reader.reach_px, stride) for start in (window.x, window.y))
    ends = ((window.x + window.width), (window.y + window.height))
    right, bottom = (-_down(-(end * ratio + reader.reach_px), stride) for end in ends)
    image = plane.read(left, top, right - left, bottom - top)
    seconds["decode"] = seconds.get("decode", 0.0) + time.perf_counter() - started
    cells = reader.find(image, seconds=seconds).placed(x=left, y=top, scale=plane.downsample)
    return cells.select(window.owns(cells.x / plan.downsample, cells.y / plan.downsample))


def _down(value: float, step: int) -> int:
    """Round down to a multiple."""
    return int(np.floor(value / step)) * step


@lru_cache(maxsize=2)
def _open(path: str, mpp: float | None, fingerprint: str) -> Slide:
    """Keep the last slides open in this process; the fingerprint tells a replaced file from the old one."""
    return open_slide(path, mpp=mpp)


def to_table(maps: TileMaps) -> pa.Table:
    """Turn a tile's maps into the table of one row that waits on disk."""
    import pyarrow as pa

    columns: dict[str, Any] = {
        "shape": [list(maps.classes.shape)],
        "classes": [maps.classes.tobytes()],
        "glands": [maps.glands.tobytes()],
        "signet_x": [maps.signet.x],
        "signet_y": [maps.signet.y],
        "signet_probability": [maps.signet.probability],
    }
    if maps.nuclei is not None:
        columns |= {
            "nuclei_x": [maps.nuclei.x],
            "nuclei_y": [maps.nuclei.y],
            "nuclei_sure": [maps.nuclei.sure.astype(np.uint8)],
        }
    return pa.table(columns)


def from_table(table: pa.Table) -> TileMaps:
    """Read back what `to_table` wrote."""
    row = {name: table[name][0] for name in table.column_names}
    kinds, rows, columns = row["shape"].as_py()
    classes = np.frombuffer(row["classes"].as_py(), np.uint8).reshape(kinds, rows, columns)
    glands = np.frombuffer(row["glands"].as_py(), np.uint8)
    signet = SignetCells(
        np.asarray(row["signet_x"].values, np.float64),
        np.asarray(row["signet_y"].values, np.float64),
        np.asarray(row["signet_probability"].values, np.float32),
    )
    nuclei = None
    if "nuclei_x" in row:
        nuclei = TumourNuclei(
            np.asarray(row["nuclei_x"].values, np.float64),
            np.asarray(row["nuclei_y"].values, np.float64),
            np.asarray(row["nuclei_sure"].values, np.uint8) > 0,
        )
    return TileMaps(classes, glands.reshape(rows * GLAND_STEP, columns * GLAND_STEP), signet, nuclei)
