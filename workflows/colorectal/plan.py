"""What is decided about a slide before its tiles: where tissue is, what spoils it, how it is cut."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import SettingsError, UnreadableSlideError
from ...tiling import (
    QualityMap,
    QualitySettings,
    TileGrid,
    TissueMask,
    TissueSettings,
    assess_quality,
    find_tissue,
    stage_key,
    write_json,
)
from ...wsi import Plane, open_slide, require_scorable
from ..runs.inputs import SlideInput
from ..slides.normalisation import (
    AS_SCANNED,
    Normalisation,
    NormalisationFacts,
    fit_slide_colours,
    seen_plane,
)
from ..slides.normalised_plane import NormalisedPlane
from ..slides.plan import MOST_UNSEEN, holds_tissue, load_quality, load_tissue, unseen_tissue

__all__ = ["STRIDE", "GradingPlan", "GradingSettings", "load_grading_plan", "make_grading_plan"]

PLAN_VERSION = 1
"""Raised whenever the same settings would give another plan; old results are then not reused."""
STRIDE = 16
"""Working px per cell of the class map: tiles and windows begin on multiples of this."""
COARSEST = 1.1
"""A slide may be so much coarser than the network's resolution; interpolation adds no detail."""


@dataclass(frozen=True)
class GradingSettings:
    """How a slide is prepared."""

    core_px: int = 1536
    """Side of a tile's core, px of the tissue network's plane: 4 mm2 at 1.3 um per px. The network looks far:
    small tiles read much twice; large ones take memory, about 1.2 GB a worker at this size."""
    halo_px: int | None = None
    """Margin read around a core, px; None: the reach of the tissue network."""
    tissue: TissueSettings = field(default_factory=TissueSettings)
    """How tissue is found."""
    quality: QualitySettings = field(default_factory=QualitySettings)
    """What counts as out of focus, pen, fold, bubble or debris."""


@dataclass(frozen=True)
class GradingPlan:
    """Everything that the work on one slide needs to know; lives as a small file beside its results."""

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
    """True um per px of the tissue network's plane."""
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
    normalised: NormalisationFacts | None = None
    """What became of a normalisation that was asked for."""

    def seen(self, plane: Plane) -> Plane | NormalisedPlane:
        """Return the plane that networks look at: in other colours where that was asked for."""
        return seen_plane(plane, self.folder, self.normalised)

    @property
    def tissue(self) -> TissueMask:
        """The tissue mask, loaded once per process."""
        return load_tissue(self.folder / "tissue.npz")

    @property
    def quality(self) -> QualityMap:
        """The quality map, loaded once per process."""
        return load_quality(self.folder / "quality.npz")

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the class map of the whole slide."""
        return -(-self.grid.height // STRIDE), -(-self.grid.width // STRIDE)

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


def make_grading_plan(
    slide_input: SlideInput,
    *,
    folder: Path,
    settings: GradingSettings,
    mpp: float,
    reach_px: int,
    normalise: Normalisation = AS_SCANNED,
) -> GradingPlan:
    """Prepare a slide, or read the plan that an earlier run made with the same settings.

    Parameters
    ----------
    slide_input : SlideInput
        The slide.
    folder : Path
        The slide's work folder; the plan gets a folder of its own in it.
    settings : GradingSettings
        How to prepare.
    mpp : float
        Resolution that the tissue network works at, um per px.
    reach_px : int
        How far from a place anything can influence its map, px of that resolution.
    normalise : Normalisation
        The colours that networks shall see.

    Raises
    ------
    SlidelabError
        If the slide cannot be read, is of the wrong kind, or its resolution is not known.
    """
    halo = halo_of(settings, reach_px)
    with open_slide(slide_input.path, mpp=slide_input.mpp, salvage=True) as slide:
        plane = slide.plane(mpp)
        facts = {
            "plan": PLAN_VERSION,
            "kind": "colorectal",
            "fingerprint": slide.fingerprint,
            "slide_mpp": slide.mpp,
            "mpp": mpp,
            "halo": halo,
            **asdict(settings),
            **normalise.facts(),
        }
        place = folder / f"plan-{stage_key(facts)}"
        if not (place / "plan.json").exists():
            require_scorable(slide, coarsest_mpp=COARSEST * mpp)
            _write_plan(plane, place=place, settings=settings, halo=halo, asked=(mpp, normalise))
    # The slide's file may have moved since: its content counts, not its place.
    return replace(load_grading_plan(place), slide=slide_input)


def halo_of(settings: GradingSettings, reach_px: int) -> int:
    """Return the margin read around a core, px: as asked, or the reach in whole strides.

    Raises
    ------
    SettingsError
        If less is asked for than the network's reach: maps would differ at tile borders.
    """
    if settings.halo_px is None:
        return -(-reach_px // STRIDE) * STRIDE
    if settings.halo_px < reach_px:
        raise SettingsError(
            f"a halo of {settings.halo_px} px is less than the network's reach of {reach_px} px",
            "Maps would come out wrong at tile borders: choose a larger halo.",
        )
    return settings.halo_px


def _write_plan(
    plane: Plane, *, place: Path, settings: GradingSettings, halo: int, asked: tuple[float, Normalisation]
) -> None:
    """Look at the slide and write the masks, then the plan, whose presence says that all is there."""
    slide, (mpp, normalise) = plane.slide, asked
    tissue = find_tissue(slide, settings=settings.tissue)
    quality = assess_quality(slide, tissue, settings=settings.quality)
    grid = TileGrid(plane.width, plane.height, settings.core_px, halo, STRIDE)
    tiles = [tile for tile in grid if holds_tissue(tile, grid, tissue=tissue, downsample=plane.downsample)]
    unseen = unseen_tissue(slide.damage, tissue)
    if unseen.mean() > MOST_UNSEEN:
        raise UnreadableSlideError(
            f"{slide.path.name}: {100 * unseen.mean():.0f} % of the slide cannot be read",
            "copy the file again, or scan the slide again",
        )
    place.mkdir(parents=True, exist_ok=True)
    tissue.save(place / "tissue.npz")
    quality.save(place / "quality.npz")
    value: dict[str, Any] = {
        "fingerprint": slide.fingerprint,
        "grid": asdict(grid),
        "tiles": [tile.index for tile in tiles],
        "mpp": plane.mpp,
        "downsample": plane.downsample,
        "level0_mpp": slide.mpp,
        "asked_mpp": mpp,
        "unseen_mm2": round(float(unseen.sum()) * (tissue.mpp / 1000) ** 2, 6),
        "flags": [*tissue.flags, *quality.flags],
    }
    normalised = fit_slide_colours(normalise, slide, place=place, tissue=tissue, quality=quality)
    if normalised is not None:
        value["normalised"] = normalised.to_json()
        value["flags"] = [*tissue.flags, *quality.flags, *normalised.flags]
    write_json(place / "plan.json", value)


@lru_cache(maxsize=8)
def load_grading_plan(place: Path) -> GradingPlan:
    """Read a plan back from its folder; the slide's own name and place are the caller's to fill in."""
    value: dict[str, Any] = json.loads((place / "plan.json").read_text(encoding="utf-8"))
    return GradingPlan(
        **value
        | {
            "slide": SlideInput(Path(), ""),
            "key": place.name.removeprefix("plan-"),
            "folder": place,
            "grid": TileGrid(**value["grid"]),
            "tiles": tuple(value["tiles"]),
            "flags": tuple(value["flags"]),
            "normalised": NormalisationFacts.from_json(value.get("normalised")),
        }
    )
