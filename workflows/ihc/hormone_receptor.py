"""Oestrogen and progesterone receptor of a slide: percent, intensity, H-score, Allred, category."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from ...quantify import (
    Controls,
    IntensityBins,
    SlideResult,
    receptor_cutoffs,
    score_hormone_receptor,
)
from ...quantify.hormone_receptor import Receptor
from ..report.content import CategoryScale, MarkerWords, MethodFacts
from ..report.fields_of_view import FIELD_SEED
from ..slides.nuclear_rule import INTENSITIES, IntensityRule
from ..slides.plan import SlidePlan
from ..slides.tile_detector import TileDetector
from .evidence import Evidence
from .report_parts import limits_of, scale_of
from .workflow import IhcWorkflow

__all__ = ["EstrogenReceptor", "HormoneReceptor", "ProgesteroneReceptor"]


@dataclass(frozen=True)
class HormoneReceptor(IhcWorkflow):
    """A nuclear receptor in breast cancer (ASCO/CAP 2020; Allred; H-score).

    Parameters
    ----------
    plan, detector, tumour, lab
        As in `IhcWorkflow`.
    bins : IntensityBins, optional
        Densities of weak, moderate and strong nuclei; start values by default. Density decides and not the
        network's class: that has learnt from Ki-67, where faint brown is no question, and misses weak nuclei.
    controls : Controls
        What a person saw of the internal and the external control.
    """

    bins: IntensityBins | None = None
    controls: Controls = field(default_factory=Controls)

    receptor: ClassVar[Receptor]
    words = MarkerWords()

    def rule(self, detector: TileDetector) -> IntensityRule:
        """Which nuclei count, and how strongly they are stained."""
        return IntensityRule(self.chosen_bins, detector.tumour_threshold)

    @property
    def has_own_thresholds(self) -> bool:
        """Whether the user named thresholds of stain."""
        return self.bins is not None

    @property
    def chosen_bins(self) -> IntensityBins:
        """Thresholds in use: the user's, the laboratory's, or the start values."""
        return self.bins or (IntensityBins() if self.lab is None else self.lab.bins)

    def own_settings(self) -> dict[str, Any]:
        """Thresholds in use, and the controls."""
        return {
            "bins": asdict(self.chosen_bins),
            "controls": {name: str(value) for name, value in asdict(self.controls).items()},
        }

    @property
    def usual_threshold(self) -> float:
        """Threshold that the charts compare with, OD."""
        return self.chosen_bins.weak

    def score(self, evidence: Evidence) -> SlideResult:
        """Turn counts into the slide's result."""
        numbers = np.bincount(evidence.tally.code, minlength=len(INTENSITIES))
        return score_hormone_receptor(
            self.receptor,
            numbers[: len(INTENSITIES)].tolist(),
            field_interval=evidence.field_interval,
            controls=self.controls,
            excluded=evidence.tally.excluded,
            areas_mm2=evidence.areas_mm2,
            flags=evidence.flags,
        )

    def methods(self, plan: SlidePlan) -> MethodFacts:
        """Return how nuclei were judged."""
        used = self.chosen_bins
        judged = (
            f"a nucleus was weak, moderate or strong from a mean DAB density of {used.weak:g}, "
            f"{used.moderate:g} and {used.strong:g}"
        )
        return MethodFacts(
            tissue_method=plan.tissue.method,
            positive_od=used.weak,
            tumour_threshold=plan.detector.tumour_threshold,
            field_seed=FIELD_SEED,
            limits=limits_of(self.detector),
            judged=judged + self.thresholds_from(),
        )

    def scale(self, result: SlideResult) -> CategoryScale | None:
        """Return the cut-offs behind the category."""
        scheme = receptor_cutoffs().cutoffs.scheme(f"{self.receptor.lower()}-asco-cap-2020")
        return scale_of(scheme)


@dataclass(frozen=True)
class EstrogenReceptor(HormoneReceptor):
    """The oestrogen receptor (ER): negative, low positive or positive."""

    name = "er"
    receptor = "ER"


@dataclass(frozen=True)
class ProgesteroneReceptor(HormoneReceptor):
    """The progesterone receptor (PR): negative or positive."""

    name = "pr"
    receptor = "PR"
