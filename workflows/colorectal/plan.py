"""What is decided about a slide before its tiles: where tissue is, what spoils it, how it is cut."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from ...tiling import (
    QualitySettings,
    TileGrid,
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
from ..slides.tissue_plan import TissuePlan, describe_tiles, read_tiles, whole_halo

__all__ = ["STRIDE", "GradingPlan", "GradingSettings", "halo_of", "load_grading_plan", "make_grading_plan"]

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


@dataclass(frozen=True, kw_only=True)
class GradingPlan(TissuePlan):
    """Everything that grading one slide needs to know; its plane is that of the tissue network."""

    normalised: NormalisationFacts | None = None
    """What became of a normalisation that was asked for."""

    def seen(self, plane: Plane) -> Plane | NormalisedPlane:
        """Return the plane that networks look at: in other colours where that was asked for."""
        return seen_plane(plane, self.folder, self.normalised)

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the class map of the whole slide."""
        return -(-self.grid.height // STRIDE), -(-self.grid.width // STRIDE)


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
    """Return the margin read around a core, px; see `whole_halo`."""
    return whole_halo(settings.halo_px, reach_px, stride=STRIDE)


def _write_plan(
    plane: Plane, *, place: Path, settings: GradingSettings, halo: int, asked: tuple[float, Normalisation]
) -> None:
    """Look at the slide and write the masks, then the plan, whose presence says that all is there."""
    slide, (mpp, normalise) = plane.slide, asked
    tissue = find_tissue(slide, settings=settings.tissue)
    quality = assess_quality(slide, tissue, settings=settings.quality)
    grid = TileGrid(plane.width, plane.height, settings.core_px, halo, STRIDE)
    flags = [*tissue.flags, *quality.flags]
    value = describe_tiles(plane, tissue, grid=grid, asked_mpp=mpp, flags=flags)
    place.mkdir(parents=True, exist_ok=True)
    tissue.save(place / "tissue.npz")
    quality.save(place / "quality.npz")
    normalised = fit_slide_colours(normalise, slide, place=place, tissue=tissue, quality=quality)
    if normalised is not None:
        value["normalised"] = normalised.to_json()
        value["flags"] = [*flags, *normalised.flags]
    write_json(place / "plan.json", value)


@lru_cache(maxsize=8)
def load_grading_plan(place: Path) -> GradingPlan:
    """Read a plan back from its folder; the slide's own name and place are the caller's to fill in."""
    value = read_tiles(place)
    return GradingPlan(**value | {"normalised": NormalisationFacts.from_json(value.get("normalised"))})
