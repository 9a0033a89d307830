"""What is decided about a cytology slide before its tiles: where cells lie, what hides them, its grid."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...models.cytoplasm import CytoplasmSettings
from ...tiling import (
    InkSettings,
    QualityMap,
    QualitySettings,
    TileGrid,
    TissueSettings,
    assess_quality,
    find_tissue,
    stage_key,
    write_json,
)
from ...wsi import Slide, require_scorable
from ...wsi.focal_planes import Blend, FocalSlide, open_focal
from ..runs.inputs import SlideInput
from ..slides.tissue_plan import TissuePlan, describe_tiles, load_tissue, read_tiles, whole_halo
from .thickness import find_thick

__all__ = ["ScreeningPlan", "ScreeningSettings", "halo_of", "load_screening_plan", "make_screening_plan"]

PLAN_VERSION = 2
"""Raised whenever the same settings would give another plan; old results are then not reused."""
COARSEST = 1.1
"""A slide may be so much coarser than the detector's resolution; interpolation adds no detail."""
NOT_JUDGED = ("pen", "fold")
"""Reasons that say nothing on this stain."""
FILM_OD = 0.06
"""Least density of cytoplasm on conventional smears, which have a film of mucus and bacteria on the glass."""


def _cells_not_tissue() -> TissueSettings:
    """Return how cells are found that lie apart: a lone cell of 8 um must not pass for dust."""
    return TissueSettings(
        mpp=4.0,
        min_area_mm2=5e-5,
        margin_um=8.0,
        close_um=8.0,
        pale_close_um=16.0,
        pale_min_area_mm2=4e-4,
        hole_mm2=0.002,
        grey_min_area_mm2=4e-4,
        stain_share=0.02,
    )


def _quality() -> QualitySettings:
    """Return what spoils a place; eosin and orange G are no red ink."""
    return QualitySettings(ink=InkSettings(red_share=0.0))


@dataclass(frozen=True)
class ScreeningSettings:
    """How a slide is prepared."""

    preparation: str = "thinprep"
    """``thinprep``, ``surepath`` or ``conventional``: how many cells are needed, and the size of the disc."""
    lower_count: str | None = None
    """Why the laboratory accepts fewer cells: atrophy, radiation, chemotherapy or hysterectomy."""
    age: int | None = None
    """Of the woman, years."""
    blend: Blend = "extended"
    """How several focal planes become one image."""
    core_px: int = 2048
    """Side of a tile's core, px of the detector's plane: about 1 mm2."""
    halo_px: int | None = None
    """Margin read around a core, px; None: what detector, cytoplasm and crops need."""
    thorough: bool = False
    """Have every nucleus named, also plainly normal ones and neutrophils, of which else a sample is."""
    tissue: TissueSettings = field(default_factory=_cells_not_tissue)
    """How cells are found."""
    quality: QualitySettings = field(default_factory=_quality)
    """What counts as out of focus, pen, fold, bubble or debris."""

    @property
    def cytoplasm(self) -> CytoplasmSettings:
        """What counts as cytoplasm."""
        return (
            CytoplasmSettings(least_od=FILM_OD) if self.preparation == "conventional" else CytoplasmSettings()
        )


@dataclass(frozen=True, kw_only=True)
class ScreeningPlan(TissuePlan):
    """Everything that screening one slide needs to know; its tissue is where cells lie."""

    blend: Blend
    """How focal planes become one image."""
    focal_planes: int
    """How many there are."""
    scanned_mm2: float
    """Area that the scanner filled, mm2."""
    origin: tuple[int, int]
    """Upper left corner of that area, level-0 px."""

    @property
    def thick(self) -> NDArray[np.bool_]:
        """Where cells lie too thick to be seen through, on the pixels of ``tissue``."""
        return load_tissue(self.folder / "thick.npz").mask

    def areas_mm2(self) -> dict[str, float]:
        """Return the areas of cells, of what of it can be assessed, and of the scan, mm2."""
        return super().areas_mm2() | {"scanned": self.scanned_mm2}

    def obscured(self) -> tuple[int, int]:
        """Return hidden and all pixels of cells: what is too thick, out of focus, folded or under dirt."""
        cells = self.tissue
        hidden = cells.mask & (self.thick | (self.quality.codes > 0))
        return int(hidden.sum()), int(cells.mask.sum())


def make_screening_plan(
    slide_input: SlideInput,
    *,
    folder: Path,
    settings: ScreeningSettings,
    mpp: float,
    reach_px: int,
    stride: int,
) -> ScreeningPlan:
    """Prepare a slide, or read the plan that an earlier run made with the same settings.

    Parameters
    ----------
    slide_input : SlideInput
        The slide; of several focal planes any one.
    folder : Path
        The slide's work folder; the plan gets a folder of its own in it.
    settings : ScreeningSettings
        How to prepare.
    mpp : float
        Resolution that nuclei are looked for at, um per px.
    reach_px : int
        How far from its centre anything can influence a cell, px of that resolution.
    stride : int
        Tiles begin on multiples of this many px.

    Raises
    ------
    SlidelabError
        If the slide cannot be read, is of the wrong kind, or its resolution is not known.
    """
    halo = halo_of(settings, reach_px, stride)
    with open_focal(slide_input.path, mpp=slide_input.mpp, salvage=True, blend=settings.blend) as slide:
        facts = {
            "plan": PLAN_VERSION,
            "kind": "cervix",
            "fingerprint": slide.fingerprint,
            "slide_mpp": slide.mpp,
            "mpp": mpp,
            "halo": halo,
            "blend": settings.blend,
            "core_px": settings.core_px,
            "tissue": asdict(settings.tissue),
            "quality": asdict(settings.quality),
        }
        place = folder / f"plan-{stage_key(facts)}"
        if not (place / "plan.json").exists():
            require_scorable(slide, coarsest_mpp=COARSEST * mpp)
            _write_plan(slide, place=place, settings=settings, grid=(mpp, halo, stride))
    # The slide's file may have moved since: its content counts, not its place.
    return replace(load_screening_plan(place), slide=slide_input)


def halo_of(settings: ScreeningSettings, reach_px: int, stride: int) -> int:
    """Return the margin read around a core, px; see `whole_halo`."""
    return whole_halo(settings.halo_px, reach_px, stride=stride)


def _write_plan(
    slide: Slide, *, place: Path, settings: ScreeningSettings, grid: tuple[float, int, int]
) -> None:
    """Look at the slide and write the masks, then the plan, whose presence says that all is there."""
    mpp, halo, stride = grid
    plane = slide.plane(mpp)
    cells = find_tissue(slide, settings=settings.tissue)
    quality = _for_cytology(assess_quality(slide, cells, settings=settings.quality))
    thick = find_thick(slide, cells)
    tiles = TileGrid(plane.width, plane.height, settings.core_px, halo, stride)
    flags = [*cells.flags, *quality.flags]
    described = describe_tiles(plane, cells, grid=tiles, asked_mpp=mpp, flags=flags)
    place.mkdir(parents=True, exist_ok=True)
    cells.save(place / "tissue.npz")
    quality.save(place / "quality.npz")
    replace(cells, mask=thick).save(place / "thick.npz")
    bounds = slide.bounds
    value = described | {
        "blend": settings.blend,
        "focal_planes": slide.plane_count if isinstance(slide, FocalSlide) else 1,
        "scanned_mm2": bounds.width * bounds.height * (slide.mpp / 1000) ** 2,
        "origin": [bounds.x, bounds.y],
    }
    write_json(place / "plan.json", value)


def _for_cytology(found: QualityMap) -> QualityMap:
    """Return a quality map without pen and folds.

    The green and blue of Papanicolaou's stain are those of inks, and dark crowded groups look like folds:
    both would hide the very cells that are sought.
    """
    codes = found.codes.copy()
    codes[np.isin(codes, [found.reasons.index(name) for name in NOT_JUDGED])] = 0
    return replace(found, codes=codes)


@lru_cache(maxsize=8)
def load_screening_plan(place: Path) -> ScreeningPlan:
    """Read a plan back from its folder; the slide's own name and place are the caller's to fill in."""
    value = read_tiles(place)
    return ScreeningPlan(**value | {"origin": tuple(value["origin"])})
