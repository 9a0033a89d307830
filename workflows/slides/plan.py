"""What is decided about a slide before its tiles: where tissue is, what spoils it, its colours."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from ...stain import StainProfile, fit_h_dab, published_h_e, unmix
from ...tiling import (
    InkSettings,
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
from .cell_detector import network_of, with_tumour_threshold
from .normalisation import AS_SCANNED, Normalisation, NormalisationFacts, fit_slide_colours, seen_plane
from .normalised_plane import NormalisedPlane
from .tile_detector import TileDetector, restore_detector
from .tissue_plan import TissuePlan, describe_tiles, read_tiles, whole_halo
from .tissue_sample import sample_tissue

__all__ = ["PlanSettings", "SlidePlan", "halo_of", "load_plan", "make_plan"]

PLAN_VERSION = 3
"""Raised whenever the same settings would give another plan; old results are then not reused."""


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


@dataclass(frozen=True, kw_only=True)
class SlidePlan(TissuePlan):
    """Everything that finding the cells of one slide needs to know."""

    profile: StainProfile
    """Colours of the slide."""
    detector: TileDetector
    """The detector, fitted to the slide."""
    normalised: NormalisationFacts | None = None
    """What became of a normalisation that was asked for."""

    def seen(self, plane: Plane) -> Plane | NormalisedPlane:
        """Return the plane that networks look at: in other colours where that was asked for."""
        return seen_plane(plane, self.folder, self.normalised)


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
        tiles = describe_tiles(plane, tissue, grid=grid, asked_mpp=settings.mpp, flags=())
        place.mkdir(parents=True, exist_ok=True)
        tissue.save(place / "tissue.npz")
        quality.save(place / "quality.npz")
        profile, fitted, normalised = self._fit(plane, place, tissue=tissue, quality=quality)
        value: dict[str, Any] = {
            **tiles,
            "path": str(slide_input.path),
            "slide_id": slide_input.slide_id,
            "mpp_override": slide_input.mpp,
            "profile": profile.to_json(),
            "detector": fitted.to_json(),
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
    """Return the margin read around a core, px; see `whole_halo`."""
    return whole_halo(settings.halo_px, detector.reach_px(mpp), stride=detector.stride)


@lru_cache(maxsize=8)
def load_plan(place: Path) -> SlidePlan:
    """Read a plan back from its folder."""
    value = read_tiles(place)
    slide = SlideInput(Path(value.pop("path")), value.pop("slide_id"), value.pop("mpp_override"))
    return SlidePlan(
        **value
        | {
            "slide": slide,
            "profile": StainProfile.from_json(value["profile"]),
            "detector": restore_detector(value["detector"]),
            "normalised": NormalisationFacts.from_json(value.get("normalised")),
        }
    )
