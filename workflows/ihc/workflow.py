"""The road that all markers on H-DAB slides share: prepare, find cells, score, show the evidence."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import SettingsError
from ...quantify import HotSpot, SlideResult, index_curve
from ...tiling import remove_leftovers, write_json
from ...wsi import Slide, open_slide
from ..report.charts import ThresholdCurve
from ..report.cohort_report import Failure
from ..report.content import CategoryScale, MarkerWords, MethodFacts, ReportContent
from ..report.pdf import write_report_pdf
from ..report.write import write_report
from ..runs.done_mark import DoneMark
from ..runs.inputs import SlideInput
from ..runs.workflow import Receipt
from ..slides.cell_rule import CellRule
from ..slides.maps import count_fields, write_maps
from ..slides.normalisation import AS_SCANNED, PROFILE_FILE, Normalisation, doubt_colours, publish_profile
from ..slides.nuclei import BlockSummary, NucleiStage, detect_tile
from ..slides.outline import outline_mask
from ..slides.plan import PlanSettings, SlidePlan, halo_of, load_plan, make_plan
from ..slides.qupath import QuPathAnnotation, write_qupath
from ..slides.stained_area import StainedArea
from ..slides.tally import THRESHOLDS, CellJudge, Tally, judge_cells, tally_cells
from ..slides.tile_detector import TileDetector, choose_detector
from .correction import Correction
from .doubt import without_categories
from .evidence import Evidence
from .recipe import write_recipe
from .report_parts import histogram_of, quality_figures, report_facts, report_pictures

if TYPE_CHECKING:
    from ..lab_profile import LabProfile
    from ..slides.tumour_region import TumourRegion

__all__ = ["IhcWorkflow"]

FINISH_VERSION = 4
"""Raised whenever the same cells would give another report."""
CURVE_BAND = 0.05
"""Half width of the threshold band that the report compares, OD."""
REVIEW_FLAGS = frozenset({"STAIN_NOT_H_DAB", "STAIN_NOT_H_E", "STAIN_DEFAULT"})
"""What the plan may find that makes every number of the slide doubtful."""


@dataclass(frozen=True)
class IhcWorkflow(ABC):
    """One marker on H-DAB slides; a marker fills in what its cells mean.

    Parameters
    ----------
    plan : PlanSettings
        Resolution, tissue, quality and tiles.
    detector : TileDetector
        What finds cells; `choose_detector` finds one by name and licence policy.
    tumour : Path, optional
        Outlines of the tumour by a user's hand (QuPath GeoJSON or ASAP XML): a file for one slide, or a
        folder with one file per slide, named after it.
    lab : LabProfile, optional
        Thresholds of a laboratory, from `calibrate_run`.
    normalise : Normalisation
        The colours that the detector sees; stains are always measured on pixels as scanned.
    """

    plan: PlanSettings = field(default_factory=PlanSettings)
    detector: TileDetector = field(default_factory=partial(choose_detector, "auto", stain="H-DAB"))
    tumour: Path | None = None
    lab: LabProfile | None = None
    normalise: Normalisation = AS_SCANNED

    name: ClassVar[str]
    """Of the workflow, such as ``ki67``."""
    words: ClassVar[MarkerWords]
    """What its report calls things."""
    needs_areas: ClassVar[bool] = False
    """Whether its score rests on the areas of cells."""
    counts_outside: ClassVar[bool] = False
    """Whether cells outside the user's outline of the tumour count for something too."""
    shows_stain: ClassVar[bool] = True
    """Whether the density of a stain decides anything that its report should chart."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot give a right number."""
        if self.lab is not None:
            self.lab.check_marker(self.name)
            if self.has_own_thresholds:
                raise SettingsError(
                    f"thresholds beside the laboratory profile {self.lab.identity}", "Give one of the two."
                )
        self.normalise.check(stain=self.plan.stain, detector=self.detector)
        halo_of(self.plan, self.detector, mpp=0.98 * self.plan.mpp)  # the plane may be 2 % finer than asked

    @abstractmethod
    def rule(self, detector: TileDetector) -> CellRule:
        """Which cells count, and what they are; with the detector fitted to the slide."""

    @abstractmethod
    def score(self, evidence: Evidence) -> SlideResult:
        """Turn what was found into the slide's result."""

    @abstractmethod
    def own_settings(self) -> dict[str, Any]:
        """Return the settings of this marker that shape its numbers, as plain JSON values."""

    @abstractmethod
    def methods(self, plan: SlidePlan) -> MethodFacts:
        """Return how cells were judged, for the methods paragraph."""

    @property
    def has_own_thresholds(self) -> bool:
        """Whether the user named thresholds of stain."""
        return False

    def look(self, evidence: Evidence) -> Evidence:
        """Measure on the slide what more the score needs."""
        return evidence

    def counted(self, tally: Tally) -> tuple[int, int] | None:
        """Return positive and all counted cells, for markers whose headline is no share of cells."""
        return None

    def hot_spot(self, tally: Tally) -> HotSpot | None:
        """Return the place of the highest index, for markers whose guideline asks for it."""
        return None

    def stained_area(
        self, slide: Slide, plan: SlidePlan, cells: Path, *, region: TumourRegion | None
    ) -> StainedArea | None:
        """Return the area that is stained, for markers whose score rests on it."""
        return None

    def scale(self, result: SlideResult) -> CategoryScale | None:
        """Return the cut-offs behind the headline's category."""
        return None

    def words_for(self, result: SlideResult) -> MarkerWords:
        """Return what the report calls things; depends on the result where its headline does."""
        return self.words

    def advice(self, result: SlideResult) -> tuple[str, ...]:
        """Return what the marker's guideline asks to do next, a sentence each."""
        return ()

    @property
    def usual_threshold(self) -> float:
        """Threshold that the charts compare with, OD."""
        return self.rule(self.detector).threshold or 0.2

    def settings(self) -> dict[str, Any]:
        """Return everything that shapes its numbers, as plain JSON values."""
        told = {} if self.tumour is None else {"tumour": self.tumour.name}
        if self.lab is not None:
            told["lab"] = self.lab.identity
        return {
            **self.own_settings(),
            "plan": asdict(self.plan),
            "detector": self.detector.facts(),
            **self.normalise.facts(),
            **told,
        }

    def thresholds_from(self) -> str:
        """Say whose thresholds they are, as the end of a sentence."""
        return "" if self.lab is None else f" (thresholds of the laboratory profile {self.lab.identity})"

    def prepare(self, slide: SlideInput, folder: Path) -> Receipt:
        """Plan the slide and say which tiles are to do; runs on a worker."""
        region = self.region(slide)  # a wrong outline shall be told before hours of work
        plan = make_plan(
            slide,
            folder=folder / "work",
            settings=self.plan,
            detector=self.detector,
            normalise=self.normalise,
        )
        finished = NucleiStage(folder / "work").store(plan).finished()
        return self._done_mark(folder, plan, region).receipt(
            plan.folder,
            tiles=plan.tiles,
            finished=finished,
            unseen_mm2=plan.unseen_mm2,
            outputs=[PROFILE_FILE],
        )

    def process(self, slide: SlideInput, folder: Path, place: Path, index: int) -> BlockSummary:
        """Find the cells of one tile; runs on a worker."""
        return detect_tile(slide, place, index, NucleiStage(folder / "work"))

    def finish(
        self, slide: SlideInput, folder: Path, place: Path, failures: tuple[Failure, ...]
    ) -> dict[str, Any]:
        """Score the slide and write its outputs; runs on a worker."""
        remove_leftovers(folder)
        plan = replace(load_plan(place), slide=slide)
        region = self.region(slide)
        store = NucleiStage(folder / "work").store(plan)
        finished = store.finished()
        tiles = [index for index in plan.tiles if index in finished]
        missing = [index for index in plan.tiles if index not in finished]
        cells = folder / "cells.parquet"
        within = None if self.counts_outside else region
        judge = CellJudge(self.rule(plan.detector), plan.quality, within)
        judge_cells(plan, store, tiles, judge=judge, path=cells)
        write_recipe(folder / "work", self, region=region)
        self.report(folder, plan, region=region, missing_mm2=plan.missing_mm2(missing) + plan.unseen_mm2)
        record: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        if not missing and not failures:
            self._done_mark(folder, plan, region).write(record)
        return record

    def report(
        self,
        folder: Path,
        plan: SlidePlan,
        *,
        region: TumourRegion | None,
        missing_mm2: float,
        correction: Correction | None = None,
    ) -> None:
        """Score the judged cells of a slide's folder and write everything that is said of them."""
        correction = correction or Correction(self.settings())
        cells, rule = folder / "cells.parquet", self.rule(plan.detector)
        tally = tally_cells(cells, plan, rule=rule, with_areas=self.needs_areas)
        # Pictures may show damage as white; no count comes from here.
        with open_slide(plan.slide.path, mpp=plan.slide.mpp, salvage=True) as opened:
            fields = count_fields(
                cells,
                classes=rule.classes,
                width=opened.width,
                height=opened.height,
                mpp=plan.level0_mpp,
            )
            evidence = Evidence(
                plan=plan,
                tally=tally,
                fields=fields,
                hot_spot=self.hot_spot(tally),
                missing_mm2=missing_mm2,
                region=region,
                stained=self.stained_area(opened, plan, cells, region=region),
                notes=(*correction.flags, *self._lab_flags(plan)),
                cells=cells,
            )
            evidence = self.look(evidence)
            result = _doubted(self.score(evidence), plan)
            content = self._content(opened, evidence, result, cells, correction=correction)
            self._write_outputs(folder, opened, evidence, content, cells)

    def region(self, slide: SlideInput) -> TumourRegion | None:
        """Read the user's outline of the tumour on a slide, if there is one."""
        if self.tumour is None:
            return None
        from ..slides.tumour_region import find_tumour_region

        return find_tumour_region(self.tumour, slide)

    def _done_mark(self, folder: Path, plan: SlidePlan, region: TumourRegion | None) -> DoneMark:
        """The mark of finished outputs."""
        facts = {
            "finish": FINISH_VERSION,
            "workflow": self.name,
            "slide": plan.slide.slide_id,
            "file": plan.slide.path.name,
            "plan_key": plan.key,
            "settings": self.settings(),
            "region": None if region is None else region.to_json(),
        }
        return DoneMark(folder, facts)

    def _content(
        self, slide: Slide, evidence: Evidence, result: SlideResult, cells: Path, *, correction: Correction
    ) -> ReportContent:
        """Gather what the report says and shows."""
        plan = evidence.plan
        return ReportContent(
            **report_facts(slide, evidence, detector=self.detector, settings=correction.told_settings()),
            result=result,
            methods=self.methods(plan),
            scale=self.scale(result),
            curve=self._curve(evidence.tally) if self.shows_stain else None,
            histogram=histogram_of(evidence.tally) if self.shows_stain else None,
            counted=self.counted(evidence.tally),
            pictures=report_pictures(slide, evidence, cells),
            words=self.words_for(result),
            advice=(*correction.sentences(result), *self.advice(result)),
        )

    def _lab_flags(self, plan: SlidePlan) -> tuple[str, ...]:
        """Say where the laboratory's profile was made with another detector."""
        if self.lab is None:
            return ()
        facts = plan.detector.facts()
        rings = f"{facts['membranes']}, {facts['expansion_um']:g} um" if "membranes" in facts else ""
        return self.lab.check_fits(
            self.name,
            plan.detector.name,
            version=str(plan.detector.version),
            sha256=str(facts.get("sha256", "")),
            mpp=self.plan.mpp,
            membranes=rings,
        )

    def _curve(self, tally: Tally) -> ThresholdCurve | None:
        """The index over the threshold of positivity."""
        index = index_curve(tally.by_threshold)
        if index is None:
            return None
        used = self.usual_threshold
        low, high = max(used - CURVE_BAND, THRESHOLDS[0]), min(used + CURVE_BAND, THRESHOLDS[-1])
        return ThresholdCurve(THRESHOLDS, index, used, low, high)

    def _write_outputs(
        self, folder: Path, slide: Slide, evidence: Evidence, content: ReportContent, cells: Path
    ) -> None:
        """Write exports, quality figures and, last, the report, whose presence says that all is there."""
        plan = evidence.plan
        annotations = [
            QuPathAnnotation("Tissue", outline_mask(plan.tissue.mask, downsample=plan.tissue.downsample))
        ]
        if evidence.tumour_outline is not None:
            annotations.append(QuPathAnnotation("Tumour region", evidence.tumour_outline, color=(200, 0, 0)))
        if content.hot_spot is not None:
            annotations.append(QuPathAnnotation("Hot spot", content.hot_spot.polygon(), color=(255, 140, 0)))
        origin = (float(slide.bounds.x), float(slide.bounds.y))
        write_qupath(
            cells,
            folder / "cells.geojson.gz",
            classes=evidence.tally.classes,
            origin=origin,
            annotations=annotations,
        )
        write_maps(folder / "maps.zarr", fields=evidence.fields, tissue=plan.tissue, quality=plan.quality)
        if content.pictures.overview is not None:
            (folder / "overlay.png").write_bytes(content.pictures.overview)
        publish_profile(plan.folder, folder, plan.normalised)
        write_json(folder / "qc.json", quality_figures(plan, content))
        write_report_pdf(folder, content)
        write_report(folder, content)


def _doubted(result: SlideResult, plan: SlidePlan) -> SlideResult:
    """Take the categories away where the stain is another: numbers may be looked at, no more."""
    if REVIEW_FLAGS & set(plan.profile.flags):
        result = without_categories(result)
    return doubt_colours(result, plan.normalised)
