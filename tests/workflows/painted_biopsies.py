"""Painted slides of which every gland is known, readers of paint, and the colorectal road with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy import ndimage

from slidelab.errors import UnreadableSlideError
from slidelab.models import CellTable
from slidelab.workflows import SlideInput
from slidelab.workflows.colorectal.class_maps import SlideMaps, stitch_maps, write_labels
from slidelab.workflows.colorectal.findings import Findings, examine
from slidelab.workflows.colorectal.plan import load_grading_plan
from slidelab.workflows.colorectal.tile import GradingStage
from slidelab.workflows.colorectal.workflow import ColorectalGrading
from slidelab.workflows.slides.zarr_maps import fresh_group

MPP = 1.3
STROMA = (222, 168, 196)
GREENS = (60, 78, 96, 114, 132, 150)
"""Green value of the glands of each class; red and blue are those of haematoxylin."""
SIGNET = (120, 40, 90)
"""A square of this colour is a signet-ring cell."""


@dataclass(frozen=True)
class Gland:
    """A round gland: centre and radius in px, class by its place in the list."""

    x: int
    y: int
    radius: int
    kind: int


def paint(
    path: Path,
    *,
    size: tuple[int, int],
    fragments: Sequence[tuple[int, int, int, int]],
    glands: Sequence[Gland],
    signet: Sequence[tuple[int, int]] = (),
) -> Path:
    """Paint fragments (x, y, width, height) with glands on white glass, as a tiled TIFF."""
    width, height = size
    image = np.full((height, width, 3), 245, np.uint8)
    noise = np.random.default_rng(5).integers(-9, 10, (height, width, 1))
    for x, y, wide, high in fragments:
        image[y : y + high, x : x + wide] = STROMA
    rows, columns = np.mgrid[:height, :width]
    for each in glands:
        inside = (columns - each.x) ** 2 + (rows - each.y) ** 2 <= each.radius**2
        image[inside] = (150, GREENS[each.kind], 170)
    for x, y in signet:
        image[y - 4 : y + 4, x - 4 : x + 4] = SIGNET
    tissue = image[..., :1] < 240
    image = np.where(tissue, np.clip(image.astype(int) + noise // 3, 0, 255), image).astype(np.uint8)
    tifffile.imwrite(
        path,
        image,
        tile=(256, 256),
        photometric="rgb",
        compression="deflate",
        resolution=(1e4 / MPP, 1e4 / MPP),
        resolutionunit="CENTIMETER",
    )
    return path


@dataclass(frozen=True)
class PaintReader:
    """Reads classes and glands off the paint, with whole numbers, looking 24 px around."""

    name: str = "painted-reader.test"
    version: str = "1"
    mpp: float = MPP
    reach_px: int = 40
    gland_threshold: float = 0.5
    learnt_colours: str = "none"
    mistakes: tuple[tuple[int, int, float], ...] = ()
    licence: str = "none"
    sha256: str = "0" * 64
    limits: tuple[str, ...] = ("It can only read paint.",)
    runs_on_card: bool = False
    doubt: float = 0.0
    """Share of the probability that goes to all classes alike."""

    def read(self, image: Any, *, seconds: dict[str, float]) -> tuple[Any, Any]:
        green = image[..., 1].astype(np.int64)
        is_gland = (image[..., 0] < 190).astype(np.int64)
        share = _mean(is_gland * 255, 4)
        kinds = np.abs(green[..., None] - np.array(GREENS)).argmin(-1)
        votes = np.stack([_wide((kinds == kind) * is_gland) for kind in range(len(GREENS))])
        votes = votes[:, 8::16, 8::16]
        total = np.maximum(votes.sum(0), 1)
        sure = (votes * 255 * 1000 // total) / 1000
        mixed = (1 - self.doubt) * sure + self.doubt * 255 / len(GREENS)
        seconds["network"] = seconds.get("network", 0.0) + 0.001
        return np.rint(mixed).astype(np.uint8), share.astype(np.uint8)

    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "doubt": self.doubt}


@dataclass(frozen=True)
class PaintSignet:
    """Finds squares of one colour; works at its own resolution."""

    name: str = "painted-signet.test"
    version: str = "1"
    mpp: float = 1.3
    stride: int = 16
    reach_px: int = 16
    licence: str = "none"
    sha256: str = "1" * 64
    limits: tuple[str, ...] = ()
    false_per_mm2: float | None = None

    def find(self, image: Any, *, seconds: dict[str, float]) -> CellTable:
        near = np.abs(image.astype(int) - SIGNET).max(-1) < 12
        labels, count = ndimage.label(near)
        centres = ndimage.center_of_mass(near, labels, range(1, count + 1)) if count else []
        y, x = np.array(centres, float).reshape(-1, 2).T + 0.5
        return CellTable(
            x=x,
            y=y,
            outlines=np.zeros((len(x), 4, 2)),
            area_um2=np.full(len(x), 100, np.float32),
            probability=np.full(len(x), 0.9, np.float32),
            labels=np.zeros(len(x), np.uint8),
        )

    def facts(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True)
class BrokenReader(PaintReader):
    """Cannot look at the fragment with the carcinoma."""

    def read(self, image: Any, *, seconds: dict[str, float]) -> tuple[Any, Any]:
        is_carcinoma = (np.abs(image[..., 1].astype(int) - GREENS[CARCINOMA]) < 5) & (image[..., 0] < 190)
        if is_carcinoma.sum() > 9000:
            raise UnreadableSlideError("the tile is damaged", "copy the file again")
        return super().read(image, seconds=seconds)


def _mean(values: Any, step: int) -> Any:
    """Whole-number mean of each square."""
    height, width = values.shape
    return values.reshape(height // step, step, width // step, step).sum((1, 3)) // step**2


def _wide(values: Any) -> Any:
    """Sum over 49 x 49 px around each px."""
    return _box(_box(values.astype(np.int64), 0), 1)


def _box(values: Any, axis: int) -> Any:
    """Sum over 49 px along an axis."""
    return ndimage.convolve1d(values, np.ones(49, np.int64), axis, mode="constant")


NORMAL, POLYP, SERRATED, LGIN, HGIN, CARCINOMA = range(6)
FRAGMENTS = [(96, 96, 600, 400), (960, 112, 500, 400), (208, 720, 1000, 300)]
GLANDS = [
    *(Gland(160 + 110 * number, 200, 30, NORMAL) for number in range(4)),
    *(Gland(1060 + 84 * number, 220, 32, HGIN) for number in range(3)),
    *(Gland(1060 + 84 * number, 450, 32, LGIN) for number in range(2)),
    Gland(320, 860, 58, CARCINOMA),
    *(Gland(600 + 90 * number, 860, 34, LGIN) for number in range(3)),
]
CELLS = [(1000 + 24 * column, 820 + 30 * row) for column in range(4) for row in range(2)]


def workflow(**given: Any) -> ColorectalGrading:
    """The workflow with readers of paint."""
    return ColorectalGrading(**{"tissue": PaintReader(), "signet": PaintSignet()} | given)


def run(made: ColorectalGrading, slide: SlideInput, folder: Path, *, without: Sequence[int] = ()) -> Any:
    """Walk the whole road in this process; tiles of ``without`` are left out."""
    receipt = made.prepare(slide, folder)
    for index in receipt.todo:
        if index not in without:
            made.process(slide, folder, receipt.place, index)
    return made.finish(slide, folder, receipt.place, ())


def look(made: ColorectalGrading, slide: SlideInput, folder: Path) -> tuple[SlideMaps, Findings]:
    """Walk the road up to the findings; no report is written."""
    receipt = made.prepare(slide, folder)
    for index in receipt.todo:
        made.process(slide, folder, receipt.place, index)
    plan = load_grading_plan(receipt.place)
    store = GradingStage(folder / "work", made.tissue, made.signet).store(plan)
    with fresh_group(folder / "maps.zarr") as root:
        maps = stitch_maps(plan, store, plan.tiles, root=root)
        found = examine(plan, maps, threshold=0.5, kind=made.kind, signet_looked_for=made.signet is not None)
        write_labels(root, plan, found.glands.grades())
    return maps, found
