"""HER2 of a slide: membrane classes cell by cell, the score 0-3+ and what it asks for next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...quantify import (
    BiopsyClusters,
    Flag,
    Her2Counts,
    IntensityBins,
    Ish,
    SlideResult,
    biopsy_clusters,
    her2_cutoffs,
    score_her2,
)
from ...quantify.her2 import Specimen
from ..report.content import MarkerWords, MethodFacts
from ..report.fields_of_view import FIELD_SEED
from ..slides.cell_detector import CellDetector
from ..slides.membrane_rule import HER2_CLASSES, Her2Rule
from ..slides.plan import SlidePlan
from ..slides.tally import Tally
from ..slides.tile_detector import TileDetector
from .doubt import doubt_nuclear_stain
from .evidence import Evidence
from .report_parts import limits_of
from .workflow import IhcWorkflow

__all__ = ["Her2"]

LIMIT = "Densities and completeness of membrane stain are project rules: no guideline puts numbers to them."

GASTRIC_LEVELS = np.array([3, 2, 3, 2, 1, 0, 0])
"""Strength of each of ``HER2_CLASSES`` by the gastric rules: complete stain is 2 at least."""


@dataclass(frozen=True)
class Her2(IhcWorkflow):
    """HER2 in breast (ASCO/CAP 2018, 2023) and gastric cancer (CAP/ASCP/ASCO 2016).

    Parameters
    ----------
    plan, tumour, lab
        As in `IhcWorkflow`.
    detector : TileDetector
        What finds nuclei; cells are grown from them, and their membranes read.
    bins : IntensityBins, optional
        Densities of faint, moderate and intense membranes; start values by default.
    specimen : {"breast", "gastric resection", "gastric biopsy"}
        Which rules hold.
    ish : Ish, optional
        Result of in-situ hybridisation, breast only.
    """

    bins: IntensityBins | None = None
    specimen: Specimen = "breast"
    ish: Ish | None = None

    name = "her2"
    words = MarkerWords(
        noun="tumour cells",
        positive="with complete intense membrane stain",
        density="DAB of complete membranes, mean OD",
        index="Complete intense membrane stain, % of tumour cells",
    )

    def __post_init__(self) -> None:
        """See to it that cells, not only nuclei, are found."""
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

    def rule(self, detector: TileDetector) -> Her2Rule:
        """Which cells count, and what their membranes show."""
        return Her2Rule(self.chosen_bins, detector.tumour_threshold, self.specimen != "breast")

    def own_settings(self) -> dict[str, Any]:
        """Thresholds, specimen and in-situ hybridisation."""
        ish = None if self.ish is None else asdict(self.ish)
        return {"bins": asdict(self.chosen_bins), "specimen": self.specimen, "ish": ish}

    def score(self, evidence: Evidence) -> SlideResult:
        """Turn counts into the slide's result."""
        tally = evidence.tally
        numbers = np.bincount(tally.code, minlength=len(HER2_CLASSES)).tolist()
        counts = Her2Counts(
            complete_intense=numbers[0],
            complete_weak=numbers[1],
            incomplete_intense=numbers[2],
            incomplete_moderate=numbers[2] + numbers[3],
            incomplete_faint=numbers[4],
            none=numbers[5] + numbers[6],
        )
        result = score_her2(
            counts,
            specimen=self.specimen,
            clusters=_clusters(tally) if self.specimen == "gastric biopsy" else None,
            ish=self.ish,
            excluded=tally.excluded,
            areas_mm2=evidence.areas_mm2,
            flags=evidence.flags,
        )
        return doubt_nuclear_stain(result, numbers[6])

    def advice(self, result: SlideResult) -> tuple[str, ...]:
        """Say when in-situ hybridisation is due."""
        if Flag.HER2_REFLEX_ISH not in result.flags:
            return ()
        return ("Equivocal: reflex in-situ hybridisation (ISH) is asked for before HER2 can be reported.",)

    def methods(self, plan: SlidePlan) -> MethodFacts:
        """Return how membranes were judged."""
        bins, cutoffs = self.chosen_bins, her2_cutoffs()
        judged = (
            "cells were grown around them, and along 32 directions DAB was read where the membrane lies; a "
            f"direction was stained from {bins.weak:g} OD, a membrane complete from 90 % of its directions, "
            f"faint, moderate or intense by the mean of its stained directions ({bins.weak:g}, "
            f"{bins.moderate:g} and {bins.strong:g} OD); stain of the cytoplasm alone did not count"
        )
        source = cutoffs.breast.source if self.specimen == "breast" else cutoffs.gastric.source
        part = "complete intense" if self.specimen == "breast" else "intense"
        return MethodFacts(
            tissue_method=plan.tissue.method,
            positive_od=bins.strong,
            tumour_threshold=plan.detector.tumour_threshold,
            field_seed=FIELD_SEED,
            limits=(
                *limits_of(self.detector),
                LIMIT,
            ),
            judged=judged + self.thresholds_from(),
            scored=f"is the percentage of tumour cells with {part} membrane stain; categories: {source}",
        )


def _clusters(tally: Tally) -> BiopsyClusters:
    """Find the largest clusters of stained cells."""
    known = tally.code < len(HER2_CLASSES)
    return biopsy_clusters(tally.x_um[known], tally.y_um[known], levels=GASTRIC_LEVELS[tally.code[known]])
