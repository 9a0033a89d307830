"""What every plan of a slide holds: where tissue is, what spoils it, and how the slide is cut into tiles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError, UnreadableSlideError
from ...tiling import QualityMap, Tile, TileGrid, TissueMask
from ...wsi import Plane, Region
from ..runs.inputs import SlideInput

__all__ = ["TissuePlan", "describe_tiles", "load_tissue", "read_tiles", "whole_halo"]

MOST_UNSEEN = 0.5
"""With more than this share of the slide unreadable there is no result, not even a partial one."""


@dataclass(frozen=True, kw_only=True)
class TissuePlan:
    """What the work on one slide needs to know whatever is asked of it; lives beside its results."""

    slide: SlideInput
    key: str
    """Digest of the slide's content and of the settings: names the folder of the plan."""
    fingerprint: str
    """The slide's fingerprint."""
    folder: Path
    """Where the plan and its masks lie."""
    grid: TileGrid
    tiles: tuple[int, ...]
    """Tiles of the grid that hold tissue."""
    mpp: float
    """True um per px of the working plane."""
    downsample: float
    """Level-0 px per plane px."""
    level0_mpp: float
    """um per level-0 px."""
    asked_mpp: float
    """Resolution asked for; `Slide.plane` turns it into ``mpp``."""
    unseen_mm2: float
    """Area that could not be read while looking for tissue: what lies there is unknown, mm2."""
    flags: tuple[str, ...]
    """What the plan found that a reader of the result must know."""

    @property
    def tissue(self) -> TissueMask:
        """The tissue mask, loaded once per process."""
        return load_tissue(self.folder / "tissue.npz")

    @property
    def quality(self) -> QualityMap:
        """The quality map, loaded once per process."""
        return load_quality(self.folder / "quality.npz")

    def areas_mm2(self) -> dict[str, float]:
        """Return the areas of tissue and of what of it can be assessed, mm2."""
        tissue = self.tissue
        assessed = int(self.quality.assessable(tissue).sum()) * (tissue.mpp / 1000) ** 2
        return {"tissue": tissue.area_mm2, "assessed": assessed}

    def missing_mm2(self, tiles: list[int]) -> float:
        """Return how much tissue lies in the cores of ``tiles``, mm2."""
        total = 0.0
        for index in tiles:
            region = self.grid.region(self.grid[index], downsample=self.downsample)
            total += self.tissue.fraction(region) * region.width * region.height
        return total * self.level0_mpp**2 / 1e6


def describe_tiles(
    plane: Plane, tissue: TissueMask, *, grid: TileGrid, asked_mpp: float, flags: Sequence[str]
) -> dict[str, Any]:
    """Return the fields of a `TissuePlan` that follow from a slide's tissue, as plain JSON values.

    Parameters
    ----------
    plane : Plane
        The working plane.
    tissue : TissueMask
        Where tissue is.
    grid : TileGrid
        How the plane is cut.
    asked_mpp : float
        Resolution that was asked for, um per px.
    flags : sequence of str
        Of tissue, quality and whatever else was looked at.

    Raises
    ------
    UnreadableSlideError
        If more than half of the slide cannot be read.
    """
    slide = plane.slide
    unseen = _unseen(slide.damage, tissue)
    if unseen.mean() > MOST_UNSEEN:
        raise UnreadableSlideError(
            f"{slide.path.name}: {100 * unseen.mean():.0f} % of the slide cannot be read",
            "copy the file again, or scan the slide again",
        )
    held = [tile for tile in grid if _holds_tissue(tile, grid, tissue=tissue, downsample=plane.downsample)]
    return {
        "fingerprint": slide.fingerprint,
        "grid": asdict(grid),
        "tiles": [tile.index for tile in held],
        "mpp": plane.mpp,
        "downsample": plane.downsample,
        "level0_mpp": slide.mpp,
        "asked_mpp": asked_mpp,
        "unseen_mm2": round(float(unseen.sum()) * (tissue.mpp / 1000) ** 2, 6),
        "flags": list(flags),
    }


def read_tiles(place: Path) -> dict[str, Any]:
    """Read what lies in a plan's folder; the slide's own name and place are the caller's to fill in."""
    value: dict[str, Any] = json.loads((place / "plan.json").read_text(encoding="utf-8"))
    return value | {
        "slide": SlideInput(Path(), ""),
        "key": place.name.removeprefix("plan-"),
        "folder": place,
        "grid": TileGrid(**value["grid"]),
        "tiles": tuple(value["tiles"]),
        "flags": tuple(value["flags"]),
    }


def whole_halo(halo_px: int | None, reach_px: float, *, stride: int) -> int:
    """Return the margin read around a core, px: as asked, or the reach in whole strides.

    Raises
    ------
    SettingsError
        If less is asked for than the reach: results would differ at tile borders.
    """
    if halo_px is None:
        return int(-(-reach_px // stride) * stride)
    if halo_px < reach_px:
        raise SettingsError(
            f"a halo of {halo_px} px is less than the reach of {reach_px:.0f} px",
            "Results at tile borders would come out wrong: choose a larger halo.",
        )
    return halo_px


@lru_cache(maxsize=4)
def load_tissue(path: Path) -> TissueMask:
    """Load a tissue mask once per process."""
    return TissueMask.load(path)


@lru_cache(maxsize=4)
def load_quality(path: Path) -> QualityMap:
    """Load a quality map once per process."""
    return QualityMap.load(path)


def _unseen(damage: tuple[Region, ...], tissue: TissueMask) -> NDArray[np.bool_]:
    """Mark the pixels of the tissue mask that damaged windows touch."""
    unseen = np.zeros(tissue.mask.shape, bool)
    scale = tissue.downsample
    for region in damage:
        rows = slice(int(region.y / scale), int(np.ceil(region.bottom / scale)))
        unseen[rows, int(region.x / scale) : int(np.ceil(region.right / scale))] = True
    return unseen


def _holds_tissue(tile: Tile, grid: TileGrid, *, tissue: TissueMask, downsample: float) -> bool:
    """Tell whether any tissue lies in a tile's core."""
    return bool(tissue.fraction(grid.region(tile, downsample=downsample)) > 0)
