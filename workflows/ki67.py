"""Ki-67 labelling index of a slide: prepare it, find nuclei tile by tile, score, and show the evidence."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..quantify import (
    HOT_SPOT_COUNT,
    HOT_SPOT_MAX_RADIUS_UM,
    Flag,
    HotSpot,
    SlideResult,
    Status,
    bootstrap_index_interval,
    find_hot_spot,
    index_curve,
    score_ki67,
    worst_status,
)
from ..tiling import remove_leftovers, stage_key, write_json
from ..wsi import Slide, open_slide
from .report.charts import StainHistogram, ThresholdCurve
from .report.cohort_report import Failure
from .report.content import (
    CategoryScale,
    DetectorFacts,
    MethodFacts,
    Provenance,
    ReportContent,
    ReportPictures,
    ResolutionFacts,
    SlideFacts,
)
from .report.fields_of_view import FIELD_SEED, cut_field, draw_fields
from .report.pdf import write_report_pdf
from .report.pictures import draw_overview
from .report.write import write_report
from .runs.inputs import SlideInput
from .runs.provenance import describe_software
from .runs.workflow import Receipt
from .slides.maps import FieldMap, count_fields, write_maps
from .slides.nuclear_rule import NuclearRule
from .slides.nuclei import BlockSummary, NucleiStage, detect_tile
from .slides.outline import Circle, outline_mask
from .slides.plan import PlanSettings, SlidePlan, halo_of, load_plan, make_plan
from .slides.qupath import QuPathAnnotation, write_qupath
from .slides.tally import THRESHOLDS, Tally, seam_density, tally_cells
from .slides.tile_detector import LearnedDetector, TileDetector, choose_detector

__all__ = ["Ki67"]

FINISH_VERSION = 2
"""Raised whenever the same cells would give another report."""

POSITIVE_OD = 0.2
"""Mean DAB density of a positive nucleus: QuPath's default for weak staining. Calibrate it per laboratory."""

CURVE_BAND = 0.05
"""Half width of the threshold band that the report compares, OD."""

OVERVIEW_PX = 1600
"""Longest side of the overview picture, px."""

REVIEW_FLAGS = frozenset({"STAIN_NOT_H_DAB", "STAIN_DEFAULT"})
"""What the plan may find that makes every number of the slide doubtful."""


@dataclass(frozen=True)
class Ki67:
    """The Ki-67 workflow.

    Parameters
    ----------
    positive_od : float, optional
        Least mean DAB density of a positive nucleus, OD (base 10). By default the network's class decides,
        and with the baseline detector `POSITIVE_OD`.
    plan : PlanSettings
        Resolution, tissue, quality and tiles.
    detector : TileDetector
        What finds nuclei; `choose_detector` finds one by name and licence policy.

    Examples
    --------
    >>> from slidelab import Ki67, RunOptions, find_slides, run_cohort  # doctest: +SKIP
    >>> run_cohort(Ki67(), find_slides(["case.svs"]), options=RunOptions("results"))  # doctest: +SKIP
    """

    positive_od: float | None = None
    plan: PlanSettings = field(default_factory=PlanSettings)
    detector: TileDetector = field(default_factory=partial(choose_detector, "auto", stain="H-DAB"))

    name = "ki67"

    def __post_init__(self) -> None:
        """Refuse settings that cannot give a right number."""
        if self.positive_od is not None and not THRESHOLDS[0] <= self.positive_od <= THRESHOLDS[-1]:
            raise SettingsError(
                f"a positivity threshold of {self.positive_od} OD, outside {THRESHOLDS[0]}-{THRESHOLDS[-1]}",
                "Give the mean DAB optical density (base 10), such as 0.2.",
            )
        halo_of(self.plan, self.detector, mpp=0.98 * self.plan.mpp)  # the plane may be 2 % finer than asked

    def rule(self, detector: TileDetector) -> NuclearRule:
        """Which nuclei count, and which of them are positive; with the detector fitted to the slide."""
        by_density = self.positive_od is not None or not detector.tells_positive
        threshold = (self.positive_od or POSITIVE_OD) if by_density else None
        return NuclearRule(threshold, detector.tumour_threshold)

    def settings(self) -> dict[str, Any]:
        """Return everything that shapes its numbers, as plain JSON values."""
        return {
            "positive_od": self.rule(self.detector).positive_od,
            "plan": asdict(self.plan),
            "detector": self.detector.facts(),
        }

    def prepare(self, slide: SlideInput, folder: Path) -> Receipt:
        """Plan the slide and say which tiles are to do; runs on a worker."""
        plan = make_plan(slide, folder=folder / "work", settings=self.plan, detector=self.detector)
        finished = NucleiStage(folder / "work").store(plan).finished()
        todo = tuple(index for index in plan.tiles if index not in finished)
        done = self._done_file(folder, plan)
        unseen = plan.unseen_mm2
        if done.is_file() and (folder / "report.json").is_file():
            record = json.loads(done.read_text(encoding="utf-8"))
            return Receipt(plan.folder, len(plan.tiles), (), record, unseen)
        # Results of other settings must not be taken for those of this run, should it fail half-way.
        for name in ("report.json", "report.html", "report.pdf"):
            (folder / name).unlink(missing_ok=True)
        return Receipt(plan.folder, len(plan.tiles), todo, None, unseen)

    def process(self, slide: SlideInput, folder: Path, place: Path, index: int) -> BlockSummary:
        """Find the nuclei of one tile; runs on a worker."""
        return detect_tile(slide, place, index, NucleiStage(folder / "work"))

    def finish(
        self, slide: SlideInput, folder: Path, place: Path, failures: tuple[Failure, ...]
    ) -> dict[str, Any]:
        """Score the slide and write its outputs; runs on a worker."""
        remove_leftovers(folder)
        plan = replace(load_plan(place), slide=slide)
        stage = NucleiStage(folder / "work")
        store = stage.store(plan)
        finished = store.finished()
        tiles = [index for index in plan.tiles if index in finished]
        missing = [index for index in plan.tiles if index not in finished]
        cells = folder / "cells.parquet"
        tally = tally_cells(plan, store, tiles, rule=self.rule(plan.detector), path=cells)
        hot_spot = find_hot_spot(tally.x_um, tally.y_um, tally.positive)
        # Pictures may show damage as white; no count comes from here.
        with open_slide(slide.path, mpp=slide.mpp, salvage=True) as opened:
            fields = count_fields(cells, width=opened.width, height=opened.height, mpp=plan.level0_mpp)
            result = self._score(
                plan, tally, hot_spot, fields, missing_mm2=plan.missing_mm2(missing) + plan.unseen_mm2
            )
            content = self._content(opened, plan, stage, tally, hot_spot, fields, result)
            self._write_outputs(folder, opened, plan, content, cells)
        record: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        if not missing and not failures:
            write_json(self._done_file(folder, plan), record)
        return record

    def _done_file(self, folder: Path, plan: SlidePlan) -> Path:
        """The mark of finished outputs; its name carries all that they depend on."""
        facts = {
            "finish": FINISH_VERSION,
            "slide": plan.slide.slide_id,
            "file": plan.slide.path.name,
            "plan_key": plan.key,
            "software": describe_software(),
            "settings": self.settings(),
        }
        return folder / "work" / f"done-{stage_key(facts)}.json"

    def _score(
        self,
        plan: SlidePlan,
        tally: Tally,
        hot_spot: HotSpot | None,
        fields: FieldMap,
        *,
        missing_mm2: float,
    ) -> SlideResult:
        """Turn counts into the slide's result."""
        positive = int(tally.positive.sum())
        held = fields.counted > 0
        told = plan.detector.tumour_threshold is not None
        flags = [*plan.flags, Flag.TUMOUR_BY_MODEL if told else Flag.TUMOUR_NOT_SEPARATED]
        if plan.slide.mpp is not None:
            flags.append("RESOLUTION_BY_USER")
        areas = plan.areas_mm2() | ({"missing": missing_mm2} if missing_mm2 > 0 else {})
        result = score_ki67(
            positive,
            len(tally.positive) - positive,
            hot_spot=hot_spot,
            field_interval=bootstrap_index_interval(fields.positive[held], fields.counted[held]),
            excluded=tally.excluded,
            areas_mm2=areas,
            flags=flags,
        )
        if REVIEW_FLAGS & set(plan.flags):
            # The number may be looked at, but no clinical category can rest on another stain.
            scores = tuple(replace(score, category=None) for score in result.scores)
            result = replace(result, scores=scores, status=worst_status(result.status, Status.REVIEW))
        return result

    def _content(
        self,
        slide: Slide,
        plan: SlidePlan,
        stage: NucleiStage,
        tally: Tally,
        hot_spot: HotSpot | None,
        fields: FieldMap,
        result: SlideResult,
    ) -> ReportContent:
        """Gather what the report says and shows."""
        circle = None
        if hot_spot is not None:
            mpp = plan.level0_mpp
            circle = Circle(hot_spot.x_um / mpp, hot_spot.y_um / mpp, hot_spot.radius_um / mpp)
        software = describe_software()
        resolution = slide.resolution
        lost = plan.quality.areas_mm2(plan.tissue)
        lost.pop(plan.quality.reasons[0], None)  # the first "reason" is the area that counts
        return ReportContent(
            slide=SlideFacts(
                plan.slide.slide_id,
                slide.path.name,
                slide.vendor,
                slide.width,
                slide.height,
                plan.fingerprint,
            ),
            result=result,
            resolution=ResolutionFacts(
                x=resolution.x or plan.level0_mpp,
                y=resolution.y or plan.level0_mpp,
                source=resolution.source,
                is_override=plan.slide.mpp is not None,
                working_mpp=plan.mpp,
                problems=resolution.problems,
            ),
            stain=plan.profile,
            detector=_detector_facts(self.detector),
            methods=MethodFacts(
                tissue_method=plan.tissue.method,
                positive_od=self.rule(plan.detector).positive_od,
                tumour_threshold=plan.detector.tumour_threshold,
                positive_od_source="default" if self.positive_od is None else "user",
                hot_spot_nuclei=HOT_SPOT_COUNT,
                hot_spot_radius_um=HOT_SPOT_MAX_RADIUS_UM,
                field_seed=FIELD_SEED,
                limits=_limits(self.detector),
            ),
            provenance=Provenance(
                slidelab=software["slidelab"],
                git=software["git"],
                settings=self.settings(),
                seam_density=seam_density(plan, tally),
                software=software,
            ),
            excluded_mm2={reason: area for reason, area in lost.items() if area > 0},
            scale=_category_scale(),
            hot_spot=circle,
            curve=self._curve(tally),
            histogram=_histogram(tally),
            fields=fields,
            tissue=plan.tissue,
            pictures=self._pictures(slide, plan, stage, circle, draw_fields(tally.x_um, tally.y_um)),
        )

    def _curve(self, tally: Tally) -> ThresholdCurve | None:
        """The index over the threshold of positivity."""
        index = index_curve(tally.by_threshold)
        if index is None:
            return None
        used = self.positive_od or POSITIVE_OD
        return ThresholdCurve(
            THRESHOLDS, index, used, max(used - CURVE_BAND, THRESHOLDS[0]), used + CURVE_BAND
        )

    def _pictures(
        self,
        slide: Slide,
        plan: SlidePlan,
        stage: NucleiStage,
        circle: Circle | None,
        centres: list[tuple[float, float]],
    ) -> ReportPictures:
        """Photographs that let a pathologist check the result by eye."""
        overview = slide.plane(max(slide.mpp, slide.mpp * max(slide.width, slide.height) / OVERVIEW_PX))
        cut = [
            cut_field(
                slide,
                plan,
                stage.store(plan),
                (x / plan.level0_mpp, y / plan.level0_mpp),
                rule=self.rule(plan.detector),
            )
            for x, y in centres
        ]
        hot = None
        if circle is not None:
            hot = cut_field(
                slide,
                plan,
                stage.store(plan),
                (circle.x, circle.y),
                rule=self.rule(plan.detector),
                side_um=2.1 * circle.radius * plan.level0_mpp,
                ring=circle,
            )
        return ReportPictures(
            overview=draw_overview(
                overview.read(0, 0, overview.width, overview.height),
                mpp=overview.mpp,
                downsample=overview.downsample,
                tissue=plan.tissue,
                quality=plan.quality,
                hot_spot=circle,
            ),
            hot_spot=hot,
            fields=tuple(cut),
        )

    def _write_outputs(
        self, folder: Path, slide: Slide, plan: SlidePlan, content: ReportContent, cells: Path
    ) -> None:
        """Write exports, quality figures and, last, the report, whose presence says that all is there."""
        assert content.fields is not None
        annotations = [
            QuPathAnnotation("Tissue", outline_mask(plan.tissue.mask, downsample=plan.tissue.downsample))
        ]
        if content.hot_spot is not None:
            annotations.append(QuPathAnnotation("Hot spot", content.hot_spot.polygon(), color=(255, 140, 0)))
        origin = (float(slide.bounds.x), float(slide.bounds.y))
        write_qupath(cells, folder / "cells.geojson.gz", origin=origin, annotations=annotations)
        write_maps(folder / "maps.zarr", fields=content.fields, tissue=plan.tissue, quality=plan.quality)
        if content.pictures.overview is not None:
            (folder / "overlay.png").write_bytes(content.pictures.overview)
        write_json(folder / "qc.json", _quality_figures(plan, content))
        write_report_pdf(folder, content)
        write_report(folder, content)


def _quality_figures(plan: SlidePlan, content: ReportContent) -> dict[str, Any]:
    """What a laboratory watches from run to run."""
    result = content.result
    return {
        "slide": plan.slide.slide_id,
        "status": result.status.value,
        "flags": list(result.flags),
        "areas_mm2": dict(result.areas_mm2),
        "excluded_mm2": dict(content.excluded_mm2),
        "excluded_cells": dict(result.excluded),
        "seam_density": content.provenance.seam_density,
        "mpp": {"x": content.resolution.x, "y": content.resolution.y, "source": content.resolution.source},
        "working_mpp": plan.mpp,
        "stain_profile": plan.profile.to_json(),
        "tiles": {"with_tissue": len(plan.tiles), "in_grid": len(plan.grid)},
    }


def _detector_facts(detector: TileDetector) -> DetectorFacts:
    """What the report says of the detector."""
    if not isinstance(detector, LearnedDetector):
        return DetectorFacts(detector.name, detector.version)
    return DetectorFacts(detector.name, detector.version, licence=detector.licence, sha256=detector.sha256)


def _limits(detector: TileDetector) -> tuple[str, ...]:
    """Known limits of the detector, a sentence each."""
    if isinstance(detector, LearnedDetector):
        return detector.limits
    return ("Nuclei are found by unmixing and blob detection, without training; tumour is not told apart.",)


def _category_scale() -> CategoryScale:
    """The cut-offs behind the category."""
    from ..quantify import ki67_cutoffs

    scheme = ki67_cutoffs().scheme("ikwg-2021")
    bands = tuple((band.name, None if band.upto is None else float(band.upto)) for band in scheme.bands)
    return CategoryScale(scheme.title, scheme.source, bands, scheme.note)


def _histogram(tally: Tally) -> StainHistogram | None:
    """How the counted nuclei's DAB densities are spread, in bins of 0.01 OD."""
    import numpy as np

    if not tally.by_threshold.sum():
        return None
    edges = np.concatenate([[0.0], THRESHOLDS, [THRESHOLDS[-1] + 0.01]])
    return StainHistogram(edges, tally.by_threshold)
