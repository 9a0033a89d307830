"""The immune microenvironment of a tumour: stromal TILs on H&E slides, densities of stained immune cells."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ..quantify import (
    FOUR_DENSITIES,
    LabellingEnvelope,
    Nearness,
    Neighbours,
    RegionCount,
    SlideResult,
    Status,
    TilMeasure,
    TumourRegions,
    estimator_for,
    find_neighbours,
    immune_cutoffs,
    random_labelling,
    score_immune,
    worst_status,
)
from ..tiling import QualitySettings
from .ihc.evidence import Evidence
from .ihc.report_parts import limits_of
from .ihc.workflow import IhcWorkflow
from .immune_cohort import CohortTable, OtherMarker
from .immune_regions import BRIDGE_UM, NEST_RIM_UM, Ground, found_tumour, ground_of, nest_nuclei
from .immune_stroma import NEST_GAP_UM, StromaFields, count_in, measure_stroma
from .report.content import CategoryScale, MarkerWords, MethodFacts
from .report.fields_of_view import FIELD_SEED
from .slides.cell_detector import CellDetector
from .slides.cell_file import CLASS_PROBABILITIES
from .slides.cell_rule import Role
from .slides.immune_rule import LYMPHOCYTE, TUMOUR, HeRule, StainedCellRule
from .slides.outline import outline_mask
from .slides.plan import PlanSettings, SlidePlan
from .slides.tally import Tally
from .slides.tile_detector import TileDetector, choose_detector

if TYPE_CHECKING:
    import shapely

__all__ = ["HeImmune", "ImmuneEvidence", "StainedImmune"]

Points = NDArray[np.float64]

BY_HAND, BY_MODEL, NOT_OUTLINED = "TUMOUR_BORDER_BY_HAND", "TUMOUR_REGION_BY_MODEL", "TUMOUR_NOT_OUTLINED"
KINDS_BY_MODEL = "CELL_KINDS_BY_MODEL"
OF_INDICES = frozenset({"TUMOUR_BY_ANNOTATION", "TUMOUR_BY_MODEL", "TUMOUR_NOT_SEPARATED"})
"""Flags that speak of which cells an index counts; here regions are measured, and other flags say how."""
SHUFFLED_CELLS = 200_000
"""With more cells than this no kinds are shuffled: 199 searches would take longer than the slide."""
RIM_UM = 2.0
"""How far an immune cell reaches beyond its nucleus, um: as for stromal TILs, a project rule."""
LEAST_OD = 0.2
"""Start value of the density of a stained cell, OD (base 10)."""


@dataclass(frozen=True)
class ImmuneEvidence(Evidence):
    """What was measured of a slide beside its cells."""

    ground: Ground = field(kw_only=True)
    """Assessed tissue and tumour."""
    regions: TumourRegions = field(kw_only=True)
    """Core and invasive margin."""
    stroma: StromaFields | None = field(default=None, kw_only=True)
    """Stroma inside the tumour, on H&E slides."""

    @property
    def tumour_outline(self) -> shapely.MultiPolygon | None:
        """The border that core and margin are measured from."""
        if self.region is not None or not self.ground.tumour.any():
            return super().tumour_outline
        import shapely

        left, top = (start / self.plan.level0_mpp for start in self.ground.assessed.origin_um)
        outline = outline_mask(self.ground.tumour, downsample=self.ground.mpp / self.plan.level0_mpp)
        moved: shapely.MultiPolygon = shapely.transform(outline, lambda xy: xy + np.array([left, top]))
        return moved

    @property
    def areas_mm2(self) -> dict[str, float]:
        """Areas of tissue, tumour, core, margin and stroma, mm2."""
        areas = super().areas_mm2
        areas.pop("tumour region", None)  # tissue that was excluded counts in it
        if self.ground.tumour.any():
            areas |= self.ground.areas_mm2(self.regions)
        return areas if self.stroma is None else areas | {"stroma": float(self.stroma.stroma_um2.sum()) / 1e6}


@dataclass(frozen=True)
class _Immune(IhcWorkflow):
    """What both kinds of slides share."""

    counts_outside = True

    def __post_init__(self) -> None:
        """Refuse a laboratory's profile: there is none of these markers."""
        if self.lab is not None:
            raise SettingsError("a laboratory's profile of another marker", "Give --positive-od instead.")
        super().__post_init__()

    @abstractmethod
    def border_flag(self, evidence: ImmuneEvidence) -> str:
        """Say how the tumour was found."""

    def density_counts(self, evidence: ImmuneEvidence, points: Points, name: str) -> dict[str, RegionCount]:
        """Return cells and area of core and margin; an empty core comes last, or it would be the headline."""
        made = {}
        for part in ("core", "margin"):
            mask = getattr(evidence.regions, part)
            sums = count_in(points, mask, evidence.ground)
            area = float(np.count_nonzero(mask)) * evidence.ground.mpp**2 / 1e6
            made[f"{name} {part}"] = RegionCount(int(sums.parts.sum()), area, sums.interval(1e6))
        return dict(sorted(made.items(), key=lambda each: each[1].area_mm2 == 0))

    def scored(self, evidence: ImmuneEvidence, **measures: Any) -> SlideResult:
        """Make the slide's result of what was measured."""
        result = score_immune(
            excluded=evidence.tally.excluded,
            areas_mm2=evidence.areas_mm2,
            flags=(
                self.border_flag(evidence),
                *(flag for flag in evidence.flags if flag not in OF_INDICES),
            ),
            **measures,
        )
        flags = tuple(dict.fromkeys(result.flags))
        return replace(result, flags=flags)

    def counted(self, tally: Tally) -> tuple[int, int] | None:
        """Return immune cells and all nuclei that were told."""
        return int(tally.of_role(Role.POSITIVE).sum()), len(tally.code)


@dataclass(frozen=True)
class HeImmune(_Immune):
    """Stromal TILs, density of lymphocytes and their nearness to tumour, on H&E slides.

    Parameters
    ----------
    plan, tumour
        As in `IhcWorkflow`; the stain is set to H&E. Without an outline the tumour is found from its nuclei.
    detector : TileDetector
        A network that tells epithelial, inflammatory and stromal nuclei.
    scheme : str
        Cut-offs of stromal TILs, an id of the packaged file.
    """

    plan: PlanSettings = field(default_factory=lambda: PlanSettings(stain="H&E", quality=QualitySettings()))
    detector: TileDetector = field(default_factory=partial(choose_detector, "auto", stain="H&E"))
    scheme: str = "til-figure"

    name = "immune-he"
    words = MarkerWords(
        noun="nuclei",
        positive="of immune cells",
        index="Immune cells, % of nuclei",
        evidence="{part} of {whole} µm² of stroma under lymphocytes and plasma cells",
        map="Lymphocytes and plasma cells per mm²",
    )
    shows_stain = False

    def __post_init__(self) -> None:
        """Refuse detectors that cannot tell lymphocytes, and unknown cut-offs."""
        if not set(CLASS_PROBABILITIES) <= set(self.detector.probabilities):
            raise SettingsError(
                f"{self.detector.name} does not tell lymphocytes from other cells",
                "Use a network for H&E with the classes Epithelial, Inflammatory and Stromal.",
            )
        immune_cutoffs().scheme(self.scheme, measure="stromal TILs")
        object.__setattr__(self, "plan", replace(self.plan, stain="H&E"))
        super().__post_init__()

    def rule(self, detector: TileDetector) -> HeRule:
        """Which nuclei are of which kind."""
        return HeRule()

    def own_settings(self) -> dict[str, Any]:
        """Cut-offs of the category."""
        return {"scheme": self.scheme}

    def look(self, evidence: Evidence) -> ImmuneEvidence:
        """Find tumour and stroma, and what lymphocytes cover of it."""
        ground = ground_of(evidence.plan, evidence.region)
        nests = nest_nuclei(_places(evidence.tally, TUMOUR.name))
        if evidence.region is None:
            ground = replace(ground, tumour=found_tumour(ground.assessed, nests))
        stroma = measure_stroma(_cells(evidence), ground, nests_um=nests, mpp=evidence.plan.level0_mpp)
        return ImmuneEvidence(**_members(evidence), ground=ground, regions=ground.regions(), stroma=stroma)

    def border_flag(self, evidence: ImmuneEvidence) -> str:
        """Say how the tumour was found."""
        return BY_MODEL if evidence.region is None else BY_HAND

    def score(self, evidence: Evidence) -> SlideResult:
        """Turn areas, counts and distances into the slide's result."""
        assert isinstance(evidence, ImmuneEvidence)
        assert evidence.stroma is not None
        stroma, lymphocytes = evidence.stroma, _places(evidence.tally, LYMPHOCYTE.name)
        tils = TilMeasure(
            lymphocyte_um2=float(stroma.covered_um2.sum()),
            stroma_um2=float(stroma.stroma_um2.sum()),
            lymphocytes=stroma.lymphocytes,
            interval=stroma.interval,
            scheme=self.scheme,
        )
        result = self.scored(
            evidence,
            tils=tils,
            densities=self.density_counts(evidence, lymphocytes, "Lymphocytes"),
            nearness=[_nearness_of_tumour(evidence, lymphocytes)],
        )
        result = replace(result, flags=(result.flags[0], KINDS_BY_MODEL, *result.flags[1:]))
        if evidence.region is not None:
            return result
        return replace(result, status=worst_status(result.status, Status.REVIEW))

    def advice(self, result: SlideResult) -> tuple[str, ...]:
        """Say at the top how tumour was found."""
        if BY_MODEL not in result.flags:
            return ()
        return ("Experimental: nobody outlined the tumour; its border was found from epithelial nuclei.",)

    def scale(self, result: SlideResult) -> CategoryScale | None:
        """Return the cut-offs behind the category."""
        scheme = immune_cutoffs().scheme(self.scheme, measure="stromal TILs")
        bands = tuple((band.name, None if band.upto is None else float(band.upto)) for band in scheme.bands)
        return CategoryScale(scheme.title, scheme.source, bands, scheme.note)

    def methods(self, plan: SlidePlan) -> MethodFacts:
        """Return how tumour, stroma and lymphocytes were found."""
        border = (
            "the user's outline"
            if self.tumour is not None
            else f"found by growing nests together that lie less than {2 * BRIDGE_UM:g} µm apart"
        )
        judged = (
            "each nucleus was of the kind that the network found most probable; nests were epithelial nuclei "
            f"with four others within 40 µm, gaps of less than {2 * NEST_GAP_UM:g} µm closed, and reached "
            f"{NEST_RIM_UM:g} µm beyond the outermost centres; the border of the tumour was {border}; stroma "
            "was assessed tissue inside that border and outside of nests"
        )
        return MethodFacts(
            tissue_method=plan.tissue.method,
            positive_od=None,
            field_seed=FIELD_SEED,
            limits=(
                *limits_of(self.detector),
                "Fat, vessels, necrosis, normal and in-situ epithelium are not told from stroma and tumour.",
            ),
            judged=judged,
            scored=(
                f"is the share of that stroma under lymphocytes and plasma cells, with a rim of {RIM_UM:g} µm"
            ),
        )


@dataclass(frozen=True)
class StainedImmune(_Immune):
    """Density of stained immune cells in core and invasive margin, and how they cluster, on H-DAB slides.

    Parameters
    ----------
    plan, tumour
        As in `IhcWorkflow`. Without an outline the density is that of the whole tissue.
    detector : TileDetector
        What finds nuclei; a rim of 2 um around each stands for its cytoplasm and membrane.
    marker : str
        Name of the marker: ``CD3`` and ``CD8`` are part of the density score.
    positive_od : float, optional
        Least mean DAB density of nucleus or rim, OD; 0.2 by default.
    cohort : CohortTable, optional
        Fixed reference cohort of the density score; needs ``other`` and ``tumour``.
    other : OtherMarker, optional
        Densities of the other marker's slides, paired by name.
    """

    marker: str = "CD8"
    positive_od: float | None = None
    cohort: CohortTable | None = None
    other: OtherMarker | None = None

    name = "immune-ihc"

    def __post_init__(self) -> None:
        """Refuse a score that cannot be made; see to it that rims are measured."""
        if self.cohort is not None and (self.other is None or self.tumour is None):
            raise SettingsError(
                "a reference cohort without the other marker's run or without outlines of the tumour",
                "The density score is made of CD3 and CD8 in core and margin: give --other-run and --tumour.",
            )
        if self.positive_od is not None and not 0 < self.positive_od <= 2.5:
            raise SettingsError(f"a threshold of {self.positive_od} OD", "Choose one above 0 and up to 2.5.")
        if not isinstance(self.detector, CellDetector):
            object.__setattr__(self, "detector", CellDetector(self.detector, expansion_um=RIM_UM))
        super().__post_init__()

    @property
    def words(self) -> MarkerWords:  # type: ignore[override]
        """What its report calls things."""
        return MarkerWords(
            noun="cells",
            positive=f"{self.marker}+",
            density="DAB of nucleus or rim, mean OD",
            index=f"{self.marker}+ cells, % of all cells",
            evidence=f"{{part}} {self.marker}+ cells in {{whole}} µm²",
            map=f"{self.marker}+ cells per mm²",
        )

    @property
    def least_od(self) -> float:
        """Density in use."""
        return LEAST_OD if self.positive_od is None else self.positive_od

    def rule(self, detector: TileDetector) -> StainedCellRule:
        """Which cells are stained."""
        return StainedCellRule(self.marker, self.least_od)

    def own_settings(self) -> dict[str, Any]:
        """Marker, threshold, cohort and the other marker's run."""
        told: dict[str, Any] = {"marker": self.marker, "positive_od": self.least_od}
        if self.cohort is not None:
            told["cohort"] = {"name": self.cohort.name, "sha256": self.cohort.sha256}
        if self.other is not None:
            told["other_run"] = {"name": self.other.run, "sha256": self.other.sha256}
        return told

    def look(self, evidence: Evidence) -> ImmuneEvidence:
        """Lay the user's outline over the assessed tissue."""
        ground = ground_of(evidence.plan, evidence.region)
        return ImmuneEvidence(**_members(evidence), ground=ground, regions=ground.regions())

    def border_flag(self, evidence: ImmuneEvidence) -> str:
        """Say whose border it is."""
        return NOT_OUTLINED if evidence.region is None else BY_HAND

    def score(self, evidence: Evidence) -> SlideResult:
        """Turn counts and distances into the slide's result."""
        assert isinstance(evidence, ImmuneEvidence)
        stained, assessed = _places(evidence.tally, f"{self.marker}+"), evidence.ground.assessed
        if evidence.region is None:
            sums = count_in(stained, assessed.mask, evidence.ground)
            area = assessed.area_um2 / 1e6
            counts = {
                f"{self.marker} in tissue": RegionCount(int(sums.parts.sum()), area, sums.interval(1e6))
            }
        else:
            counts = self.density_counts(evidence, stained, self.marker)
        four = counts | (self.other.of(evidence.plan.slide.slide_id) if self.other is not None else {})
        is_whole = all(name in four and four[name].area_mm2 for name in FOUR_DENSITIES)
        neighbours = find_neighbours(stained, None, region=assessed, workers=1)
        result = self.scored(
            evidence,
            densities=four if is_whole else counts,
            cohort=self.cohort.reference() if self.cohort is not None and is_whole else None,
            nearness=[Nearness(f"{self.marker}+ to {self.marker}+", neighbours)],
        )
        flags = result.flags
        if self.cohort is not None and not is_whole:
            flags = (*(flag for flag in flags if flag != "NO_REFERENCE_COHORT"), "DENSITIES_INCOMPLETE")
        return replace(result, marker=f"{result.marker}, {self.marker}", flags=flags)

    def advice(self, result: SlideResult) -> tuple[str, ...]:
        """Say at the top what the density is of."""
        if NOT_OUTLINED not in result.flags:
            return ()
        return (
            "Density of the whole tissue: without an outline of the tumour (--tumour) there is neither core "
            "nor invasive margin.",
        )

    def methods(self, plan: SlidePlan) -> MethodFacts:
        """Return how stained cells were found."""
        judged = (
            f"a rim of {RIM_UM:g} µm was grown around them; a cell was {self.marker}+ when the mean DAB "
            f"density of its nucleus or of its rim was at least {self.least_od:g}"
        )
        return MethodFacts(
            tissue_method=plan.tissue.method,
            positive_od=self.least_od,
            field_seed=FIELD_SEED,
            limits=(
                *limits_of(self.detector),
                "The rim of an unstained cell that touches a stained one may look stained.",
            ),
            judged=judged,
            scored="rests on these cells; the invasive margin reaches 360 µm to both sides of the border",
        )


def _places(tally: Tally, name: str) -> Points:
    """Return the places (N, 2) of the counted cells of a class, um."""
    rows = tally.code == next(number for number, each in enumerate(tally.classes) if each.name == name)
    return np.stack([tally.x_um[rows], tally.y_um[rows]], axis=1)


def _members(evidence: Evidence) -> dict[str, Any]:
    """Return the members of the evidence that all markers have."""
    return {each.name: getattr(evidence, each.name) for each in fields(Evidence)}


def _cells(evidence: Evidence) -> Any:
    """Return the file of judged cells."""
    assert evidence.cells is not None  # the road that all markers share gives it
    return evidence.cells


def _nearness_of_tumour(evidence: ImmuneEvidence, lymphocytes: Points) -> Nearness:
    """Measure from the tumour's nuclei to the next lymphocyte, and what chance would give."""
    tumour = _places(evidence.tally, TUMOUR.name)
    tumour = tumour[evidence.ground.part(evidence.ground.tumour).contains(tumour)]
    region = evidence.ground.assessed
    found = find_neighbours(tumour, lymphocytes, region=region, workers=1)
    return Nearness("Tumour to lymphocyte", found, _chance(found, tumour, lymphocytes, evidence))


def _chance(
    found: Neighbours, tumour: Points, lymphocytes: Points, evidence: ImmuneEvidence
) -> LabellingEnvelope | None:
    """Shuffle the kinds, unless there are too many cells."""
    if len(tumour) + len(lymphocytes) > SHUFFLED_CELLS:
        return None
    estimator: Any = estimator_for(found)
    return random_labelling(tumour, lymphocytes, region=evidence.ground.assessed, estimator=estimator)
