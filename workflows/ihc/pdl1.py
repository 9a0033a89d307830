"""PD-L1 of a slide: TPS, CPS and the area scores, with the cut-off of assay and tumour."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...quantify import (
    CellKind,
    IntensityBins,
    Pdl1Areas,
    SlideResult,
    count_pdl1_cells,
    pdl1_cutoffs,
    score_pdl1,
)
from ..report.content import MarkerWords, MethodFacts
from ..report.fields_of_view import FIELD_SEED
from ..slides.cell_detector import CellDetector
from ..slides.cell_rule import Role
from ..slides.membrane_rule import IMMUNE_POSITIVE, TUMOUR_NUCLEAR, TUMOUR_POSITIVE, Pdl1Rule
from ..slides.plan import SlidePlan
from ..slides.stained_area import StainedArea, measure_stained_area
from ..slides.tally import Tally
from ..slides.tile_detector import TileDetector
from .doubt import doubt_nuclear_stain
from .evidence import Evidence
from .report_parts import limits_of
from .workflow import IhcWorkflow

if TYPE_CHECKING:
    from ...wsi import Slide
    from ..slides.tumour_region import TumourRegion

__all__ = ["Pdl1"]

AREA_SCORES = (" IC", " TAP", " ICP", " IC+")
"""Ends of the names of scores that are shares of an area."""
IMMUNE_RIM_UM = 2.0
"""How far an immune cell reaches beyond its nucleus, um: as for stromal lymphocytes, a project rule."""


@dataclass(frozen=True)
class Pdl1(IhcWorkflow):
    """PD-L1 (TPS, CPS, IC, TAP) by assay and tumour.

    Parameters
    ----------
    plan, tumour, lab
        As in `IhcWorkflow`.
    detector : TileDetector
        What finds nuclei; cells are grown from them, and their membranes read.
    assay : {"22C3", "28-8", "SP142", "SP263"}
        Antibody and platform: decides which scores and cut-offs hold.
    indication : str, optional
        Such as ``nsclc``: decides which score comes first and where it is positive.
    bins : IntensityBins, optional
        The weak density decides which membranes are stained; start values by default.
    """

    assay: str = "22C3"
    indication: str | None = None
    bins: IntensityBins | None = None

    name = "pdl1"
    words = MarkerWords(
        noun="tumour cells",
        positive="PD-L1 positive",
        density="DAB of the membrane, OD",
        index="PD-L1 positive tumour cells, %",
    )
    needs_areas = True

    def __post_init__(self) -> None:
        """Refuse unknown assays and tumours before any work; see to it that cells are found."""
        cutoffs = pdl1_cutoffs()
        cutoffs.assay(self.assay)
        if self.indication is not None:
            cutoffs.row(self.assay, self.indication)
        if not isinstance(self.detector, CellDetector):
            object.__setattr__(self, "detector", CellDetector(self.detector))
        super().__post_init__()

    @property
    def has_own_thresholds(self) -> bool:
        """Whether the user named thresholds of stain."""
        return self.bins is not None

    @property
    def chosen_bins(self) -> IntensityBins:
        """Thresholds in use."""
        return self.bins or (IntensityBins() if self.lab is None else self.lab.bins)

    def rule(self, detector: TileDetector) -> Pdl1Rule:
        """Which cells are of the tumour or immune, and which of them are stained."""
        return Pdl1Rule(self.chosen_bins, detector.tumour_threshold)

    def own_settings(self) -> dict[str, Any]:
        """Assay, tumour and thresholds."""
        return {"assay": self.assay, "indication": self.indication, "bins": asdict(self.chosen_bins)}

    def score(self, evidence: Evidence) -> SlideResult:
        """Turn counts and areas into the slide's result."""
        tally, rule = evidence.tally, self.rule(evidence.plan.detector)
        is_tumour = tally.of_role(Role.POSITIVE, Role.NEGATIVE)
        stained = tally.of_role(Role.POSITIVE) | (tally.code == rule.classes.index(IMMUNE_POSITIVE))
        found = count_pdl1_cells(
            np.where(is_tumour, CellKind.TUMOUR, CellKind.IMMUNE),
            membrane=stained,
            cytoplasm=stained,
            positions_um=np.stack([tally.x_um, tally.y_um], axis=1),
            finds={CellKind.TUMOUR, CellKind.IMMUNE} if rule.finds_immune else {CellKind.TUMOUR},
        )
        result = score_pdl1(
            replace(found, areas=_areas(evidence)),
            assay=self.assay,
            indication=self.indication,
            immune_told=False,
            excluded=tally.excluded,
            areas_mm2=evidence.areas_mm2,
            flags=evidence.flags,
        )
        return doubt_nuclear_stain(result, tally.by_class[TUMOUR_NUCLEAR.name])

    def words_for(self, result: SlideResult) -> MarkerWords:
        """Say what the headline rests on: cells, stained cells of all kinds, or areas."""
        headline = result.headline
        if headline.unit == "CPS":
            told = "{part} stained tumour and immune cells, {whole} tumour cells"
        elif headline.name.endswith(AREA_SCORES):
            told = "{part} of {whole} \N{MICRO SIGN}m\N{SUPERSCRIPT TWO} covered"
        else:
            return self.words
        return replace(self.words, evidence=told)

    def counted(self, tally: Tally) -> tuple[int, int] | None:
        """Return stained and all tumour cells."""
        positive = int(tally.of_role(Role.POSITIVE).sum())
        return positive, int(tally.of_role(Role.POSITIVE, Role.NEGATIVE).sum())

    def stained_area(
        self, slide: Slide, plan: SlidePlan, cells: Path, *, region: TumourRegion | None
    ) -> StainedArea | None:
        """Measure the area that stained immune cells cover."""
        return measure_stained_area(
            slide,
            plan,
            cells,
            least_od=self.chosen_bins.weak,
            tumour=TUMOUR_POSITIVE.name,
            region=region,
        )

    def methods(self, plan: SlidePlan) -> MethodFacts:
        """Return how cells were judged."""
        bins = self.chosen_bins
        judged = (
            "cells were grown around them, and along 32 directions DAB was read where the membrane lies; a "
            f"tumour cell was positive when at least a tenth of its membrane reached {bins.weak:g} OD and "
            "stood out from the cytoplasm; round nuclei beside the tumour were taken for immune cells, "
            f"positive when membrane or cytoplasm reached {bins.weak:g} OD"
        )
        return MethodFacts(
            tissue_method=plan.tissue.method,
            positive_od=bins.weak,
            tumour_threshold=plan.detector.tumour_threshold,
            field_seed=FIELD_SEED,
            limits=(
                *limits_of(self.detector),
                "Lymphocytes and macrophages were not told apart, nor from plasma cells and granulocytes: "
                "scores that rest on immune cells are experimental.",
            ),
            judged=judged + self.thresholds_from(),
            scored="rests on these counts",
        )


def _areas(evidence: Evidence) -> Pdl1Areas | None:
    """Return the areas that IC, TAP and ICP need; None without assessed tissue."""
    area = evidence.stained
    if area is None or area.whole <= 0:
        return None
    rims = evidence.tally.rim_area_um2(IMMUNE_RIM_UM) / 1e6
    immune = max(float(rims[2] + rims[3]), area.beside_tumour)
    return Pdl1Areas(
        tumour_mm2=area.whole,
        stained_immune_mm2=area.beside_tumour,
        stained_mm2=area.covered,
        immune_mm2=min(immune, area.whole),
    )
