"""Ki-67 labelling index of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import SettingsError
from ...quantify import (
    HOT_SPOT_COUNT,
    HOT_SPOT_MAX_RADIUS_UM,
    HotSpot,
    SlideResult,
    find_hot_spot,
    ki67_cutoffs,
    score_ki67,
)
from ..report.content import CategoryScale, MarkerWords, MethodFacts
from ..report.fields_of_view import FIELD_SEED
from ..slides.cell_rule import Role
from ..slides.nuclear_rule import NuclearRule
from ..slides.plan import SlidePlan
from ..slides.tally import THRESHOLDS, Tally
from ..slides.tile_detector import TileDetector
from .evidence import Evidence
from .report_parts import limits_of, scale_of
from .workflow import IhcWorkflow

__all__ = ["Ki67"]

POSITIVE_OD = 0.2
"""Mean DAB density of a positive nucleus: QuPath's default for weak staining. Calibrate it per laboratory."""


@dataclass(frozen=True)
class Ki67(IhcWorkflow):
    """The Ki-67 workflow.

    Parameters
    ----------
    plan, detector, tumour
        As in `IhcWorkflow`.
    positive_od : float, optional
        Least mean DAB density of a positive nucleus, OD (base 10). By default the network's class decides,
        and with the baseline detector `POSITIVE_OD`.

    Examples
    --------
    >>> from slidelab import Ki67, RunOptions, find_slides, run_cohort  # doctest: +SKIP
    >>> run_cohort(Ki67(), find_slides(["case.svs"]), options=RunOptions("results"))  # doctest: +SKIP
    """

    positive_od: float | None = None

    name = "ki67"
    words = MarkerWords()

    def __post_init__(self) -> None:
        """Refuse settings that cannot give a right number."""
        if self.positive_od is not None and not THRESHOLDS[0] <= self.positive_od <= THRESHOLDS[-1]:
            raise SettingsError(
                f"a positivity threshold of {self.positive_od} OD, outside {THRESHOLDS[0]}-{THRESHOLDS[-1]}",
                "Give the mean DAB optical density (base 10), such as 0.2.",
            )
        super().__post_init__()

    def rule(self, detector: TileDetector) -> NuclearRule:
        """Which nuclei count, and which of them are positive; with the detector fitted to the slide."""
        by_density = self.chosen_od is not None or not detector.tells_positive
        threshold = (self.chosen_od or POSITIVE_OD) if by_density else None
        return NuclearRule(threshold, detector.tumour_threshold)

    @property
    def has_own_thresholds(self) -> bool:
        """Whether the user named thresholds of stain."""
        return self.positive_od is not None

    @property
    def chosen_od(self) -> float | None:
        """Threshold that somebody chose: on the command line, or by calibration."""
        return self.positive_od or (None if self.lab is None else self.lab.bins.weak)

    def own_settings(self) -> dict[str, Any]:
        """Threshold in use."""
        return {"positive_od": self.rule(self.detector).positive_od}

    @property
    def usual_threshold(self) -> float:
        """Threshold that the charts compare with, OD."""
        return self.chosen_od or POSITIVE_OD

    def hot_spot(self, tally: Tally) -> HotSpot | None:
        """Return the 500 neighbours with the highest index."""
        return find_hot_spot(tally.x_um, tally.y_um, tally.of_role(Role.POSITIVE))

    def score(self, evidence: Evidence) -> SlideResult:
        """Turn counts into the slide's result."""
        positive = int(evidence.tally.of_role(Role.POSITIVE).sum())
        return score_ki67(
            positive,
            len(evidence.tally.code) - positive,
            hot_spot=evidence.hot_spot,
            field_interval=evidence.field_interval,
            excluded=evidence.tally.excluded,
            areas_mm2=evidence.areas_mm2,
            flags=evidence.flags,
        )

    def methods(self, plan: SlidePlan) -> MethodFacts:
        """Return how nuclei were judged."""
        return MethodFacts(
            tissue_method=plan.tissue.method,
            positive_od=self.rule(plan.detector).positive_od,
            tumour_threshold=plan.detector.tumour_threshold,
            positive_od_source=self._source(),
            hot_spot_nuclei=HOT_SPOT_COUNT,
            hot_spot_radius_um=HOT_SPOT_MAX_RADIUS_UM,
            field_seed=FIELD_SEED,
            limits=limits_of(self.detector),
        )

    def _source(self) -> str:
        """Who set the threshold."""
        if self.positive_od is None and self.lab is not None:
            return f"laboratory profile {self.lab.identity}"
        return "default" if self.positive_od is None else "user"

    def scale(self, result: SlideResult) -> CategoryScale | None:
        """Return the cut-offs behind the category."""
        return scale_of(ki67_cutoffs().scheme("ikwg-2021"))
