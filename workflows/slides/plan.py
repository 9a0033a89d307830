"""What is decided about a slide before its tiles: where tissue is, what spoils it, its colours."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError, UnreadableSlideError
from ...stain import StainProfile, fit_h_dab, published_h_e, unmix
from ...tiling import (
    InkSettings,
    QualityMap,
    QualitySettings,
    Tile,
    TileGrid,
    TissueMask,
    TissueSettings,
    assess_quality,
    find_tissue,
    stage_key,
    write_json,
)
from ...wsi import Plane, Region, open_slide, require_scorable
from ..runs.inputs import SlideInput
from .cell_detector import network_of, with_tumour_threshold
from .normalisation import AS_SCANNED, Normalisation, NormalisationFacts, fit_slide_colours, seen_plane
from .normalised_plane import NormalisedPlane
from .tile_detector import TileDetector, restore_detector
from .tissue_sample import sample_tissue

__all__ = [
    "MOST_UNSEEN",
    "PlanSettings",
    "SlidePlan",
    "holds_tissue",
    "load_plan",
    "load_quality",
    "load_tissue",
    "make_plan",
    "unseen_tissue",
]

PLAN_VERSION = 3
"""Raised whenever the same settings would give another plan; old results are then not reused."""

MOST_UNSEEN = 0.5
"""With more than this share of the slide unreadable there is no result, not even a partial one."""


@dataclass(frozen=True)
class PlanSettings:
    """How a slide is prepared."""

    mpp: float = 0.5
    """Working resolution, um per px: nuclei are 12-20 px wide, as QuPath's default has it."""
    core_px: int = 2048
    """Side of a tile's core, plane px: about 1 mm2 and one second of work."""
    halo_px: int | None = None
    """Margin read around a core, plane px; None: the detector's reach."""
    tissue: TissueSettings = field(default_factory=TissueSettings)
    """How tissue is found."""
    quality: QualitySettings = field(default_factory=lambda: QualitySettings(ink=InkSettings(red_share=0.4)))
    """What counts as out of focus, pen, fold, bubble or debris; an H-DAB slide has no eosin to spare."""
    stain: Literal["H-DAB", "H&E"] = "H-DAB"
    """What the slide is stained with: which vectors are fitted, or taken as published."""


@dataclass(frozen=True)
class SlidePlan:
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
    """True um per px of the working plane."""
    downsample: float
    """Level-0 px per plane px."""
    level0_mpp: float
    """um per level-0 px."""
    asked_mpp: float
    """Resolution asked for; `Slide.plane` turns it into ``mpp``."""
    profile: StainProfile
    """Colours of the slide."""
    detector: TileDetector
    """The detector, fitted to the slide."""
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


def make_plan(
    slide_input: SlideInput,
    *,
    folder: Path,
    settings: PlanSettings,
    detector: TileDetector,
    normalise: Normalisation = AS_SCANNED,
) -> SlidePlan:
    """Prepare a slide, or read the plan that an earlier run made with the same settings.

    Parameters
    ----------
    slide_input : SlideInput
        The slide.
    folder : Path
        The slide's work folder; the plan gets a folder of its own in it.
    settings : PlanSettings
        How to prepare.
    detector : TileDetector
        What will look for nuclei; it is fitted to the slide here.
    normalise : Normalisation
        The colours that it shall see.

    Raises
    ------
    SlidelabError
        If the slide cannot be read, is of the wrong kind, or its resolution is not known.
    """
    with open_slide(slide_input.path, mpp=slide_input.mpp, salvage=True) as slide:
        plane = slide.plane(settings.mpp)
        facts = {
            "plan": PLAN_VERSION,
            "fingerprint": slide.fingerprint,
            "mpp": slide.mpp,
            "detector": detector.facts(),
            **_told(settings),
            **normalise.facts(),
        }
        key = stage_key(facts)
        place = folder / f"plan-{key}"
        if not (place / "plan.json").exists():
            require_scorable(slide)
            planner = _Planner(settings, detector, normalise)
            planner.write(plane, slide_input, place=place)
    plan = load_plan(place)
    if network_of(detector) is not None:
        # The weights may have moved since, or run elsewhere: their content counts, not their place.
        here = with_tumour_threshold(detector, plan.detector.tumour_threshold)
        if plan.detector != here:
            value = json.loads((place / "plan.json").read_text(encoding="utf-8"))
            write_json(place / "plan.json", value | {"detector": here.to_json()})
            load_plan.cache_clear()
            plan = load_plan(place)
    # The same holds for the slide's file.
    return replace(plan, slide=slide_input)


def _told(settings: PlanSettings) -> dict[str, Any]:
    """Return what shapes a plan; those of H-DAB slides keep the keys from before there were others."""
    told = asdict(settings)
    if settings.stain == "H-DAB":
        del told["stain"]
    return told


@dataclass(frozen=True)
class _Planner:
    """Looks at a slide and writes its plan."""

    settings: PlanSettings
    detector: TileDetector
    normalise: Normalisation

    def write(self, plane: Plane, slide_input: SlideInput, *, place: Path) -> None:
        """Write the masks and colours, then the plan, whose presence says that all is there."""
        slide, settings = plane.slide, self.settings
        tissue = find_tissue(slide, settings=settings.tissue)
        quality = assess_quality(slide, tissue, settings=settings.quality)
        halo = halo_of(settings, self.detector, mpp=plane.mpp)
        grid = TileGrid(plane.width, plane.height, settings.core_px, halo, self.detector.stride)
        tiles = [
            tile for tile in grid if holds_tissue(tile, grid, tissue=tissue, downsample=plane.downsample)
        ]
        place.mkdir(parents=True, exist_ok=True)
        tissue.save(place / "tissue.npz")
        quality.save(place / "quality.npz")
        profile, fitted, normalised = self._fit(plane, place, tissue=tissue, quality=quality)
        unseen = unseen_tissue(slide.damage, tissue)
        if unseen.mean() > MOST_UNSEEN:
            raise UnreadableSlideError(
                f"{slide.path.name}: {100 * unseen.mean():.0f} % of the slide cannot be read",
                "copy the file again, or scan the slide again",
            )
        value: dict[str, Any] = {
            "path": str(slide_input.path),
            "slide_id": slide_input.slide_id,
            "mpp_override": slide_input.mpp,
            "fingerprint": slide.fingerprint,
            "key": place.name.removeprefix("plan-"),
            "grid": asdict(grid),
            "tiles": [tile.index for tile in tiles],
            "mpp": plane.mpp,
            "downsample": plane.downsample,
            "level0_mpp": slide.mpp,
            "asked_mpp": settings.mpp,
            "profile": profile.to_json(),
            "detector": fitted.to_json(),
            "unseen_mm2": round(float(unseen.sum()) * (tissue.mpp / 1000) ** 2, 6),
            "flags": [*tissue.flags, *quality.flags, *profile.flags],
        }
        if normalised is not None:
            value["normalised"] = normalised.to_json()
            value["flags"] = list(dict.fromkeys([*value["flags"], *normalised.flags]))
        write_json(place / "plan.json", value)

    def _fit(
        self, plane: Plane, place: Path, *, tissue: TissueMask, quality: QualityMap
    ) -> tuple[StainProfile, TileDetector, NormalisationFacts | None]:
        """Fit stains, the colours that networks shall see, and the detector, to clean tissue."""
        clean = quality.assessable(tissue)
        where = clean if clean.any() else tissue.mask
        samples = sample_tissue(plane, where, downsample=tissue.downsample)
        red, green, blue = (float(value) for value in tissue.background)
        fit = fit_h_dab if self.settings.stain == "H-DAB" else published_h_e
        profile = fit(samples.reshape(-1, 3), (red, green, blue))
        densities = [unmix(sample, profile) for sample in samples]
        normalised = fit_slide_colours(
            self.normalise, plane.slide, place=place, tissue=tissue, quality=quality
        )
        seen = seen_plane(plane, place, normalised)
        if seen is not plane:  # densities stay those of the pixels as scanned
            samples = sample_tissue(seen, where, downsample=tissue.downsample)
        fitted = self.detector.fitted(list(samples), densities, mpp=plane.mpp)
        return profile, fitted, normalised


def halo_of(settings: PlanSettings, detector: TileDetector, *, mpp: float) -> int:
    """Return the margin read around a core, px: as asked, or the detector's reach in whole strides.

    Raises
    ------
    SettingsError
        If less is asked for than the detector's reach: cells at tile borders would come out wrong.
    """
    reach = detector.reach_px(mpp)
    if settings.halo_px is None:
        return int(-(-reach // detector.stride) * detector.stride)
    if settings.halo_px < reach:
        raise SettingsError(
            f"a halo of {settings.halo_px} px is less than the detector's reach of {reach:.0f} px",
            "Nuclei at tile borders would come out wrong: choose a larger halo.",
        )
    return settings.halo_px


def unseen_tissue(damage: tuple[Region, ...], tissue: TissueMask) -> NDArray[np.bool_]:
    """Mark the pixels of the tissue mask that damaged windows touch."""
    unseen = np.zeros(tissue.mask.shape, bool)
    scale = tissue.downsample
    for region in damage:
        rows = slice(int(region.y / scale), int(np.ceil(region.bottom / scale)))
        unseen[rows, int(region.x / scale) : int(np.ceil(region.right / scale))] = True
    return unseen


def holds_tissue(tile: Tile, grid: TileGrid, *, tissue: TissueMask, downsample: float) -> bool:
    """Tell whether any tissue lies in a tile's core."""
    return bool(tissue.fraction(grid.region(tile, downsample=downsample)) > 0)


@lru_cache(maxsize=8)
def load_plan(place: Path) -> SlidePlan:
    """Read a plan back from its folder."""
    value: dict[str, Any] = json.loads((place / "plan.json").read_text(encoding="utf-8"))
    return SlidePlan(
        slide=SlideInput(Path(value["path"]), value["slide_id"], value["mpp_override"]),
        key=value["key"],
        fingerprint=value["fingerprint"],
        folder=place,
        grid=TileGrid(**value["grid"]),
        tiles=tuple(value["tiles"]),
        mpp=value["mpp"],
        downsample=value["downsample"],
        level0_mpp=value["level0_mpp"],
        asked_mpp=value["asked_mpp"],
        profile=StainProfile.from_json(value["profile"]),
        detector=restore_detector(value["detector"]),
        unseen_mm2=value["unseen_mm2"],
        flags=tuple(value["flags"]),
        normalised=NormalisationFacts.from_json(value.get("normalised")),
    )


@lru_cache(maxsize=4)
def load_tissue(path: Path) -> TissueMask:
    """Load a tissue mask once per process."""
    return TissueMask.load(path)


@lru_cache(maxsize=4)
def load_quality(path: Path) -> QualityMap:
    """Load a quality map once per process."""
    return QualityMap.load(path)
