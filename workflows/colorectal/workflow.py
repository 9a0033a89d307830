"""Colorectal grading from slide to report: maps of the tissue, lesions with their class, Vienna category."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, get_args

from ...errors import SettingsError
from ...quantify import GradingEvidence, SlideResult, score_colorectal
from ...tiling import remove_leftovers
from ...wsi import open_slide
from ..report.cohort_report import Failure
from ..runs.done_mark import DoneMark
from ..runs.inputs import SlideInput
from ..runs.workflow import Receipt
from ..slides.normalisation import AS_SCANNED, PROFILE_FILE, Normalisation, doubt_colours, publish_profile
from ..slides.zarr_maps import fresh_group
from .class_maps import SlideMaps, stitch_maps, write_labels
from .exports import write_lesions, write_objects
from .findings import Findings, examine
from .fragments import SpecimenKind
from .plan import GradingPlan, GradingSettings, halo_of, load_grading_plan, make_grading_plan
from .report import GradingReport, write_grading_report
from .tile import GradingStage, TileSummary, grade_tile
from .tissue_reader import SignetReader, TissueReader, choose_signet, choose_tissue
from .tumour_field import with_known_errors
from .tumour_nuclei import NucleusReader

__all__ = ["ColorectalGrading"]

FINISH_VERSION = 2
"""Raised whenever the same maps would give another report."""


@dataclass(frozen=True)
class ColorectalGrading:
    """Lesions of colorectal slides, found, outlined and graded.

    Parameters
    ----------
    plan : GradingSettings
        Tissue, quality and tiles.
    tissue : TissueReader
        The network that maps classes and glands; `choose_tissue` finds one by name and licence policy.
    signet : SignetReader, optional
        The network that finds signet-ring cells; without it nobody looks for them, and the result says so.
    kind : {"biopsy", "resection"}
        Fragments of a biopsy are reported one by one; a resection is one piece.
    normalise : Normalisation
        The colours that networks see.
    nuclei : NucleusReader, optional
        The network that finds nuclei of epithelium, for tumour budding on resections (experimental); without
        it nobody looks for buds.
    """

    plan: GradingSettings = field(default_factory=GradingSettings)
    tissue: TissueReader = field(default_factory=partial(choose_tissue, "auto"))
    signet: SignetReader | None = field(default_factory=choose_signet)
    kind: SpecimenKind = "biopsy"
    normalise: Normalisation = AS_SCANNED
    nuclei: NucleusReader | None = None

    name: ClassVar[str] = "colorectal"

    def __post_init__(self) -> None:
        """Refuse settings that cannot give a right map."""
        if self.kind not in get_args(SpecimenKind):
            raise SettingsError(
                f"a specimen of kind {self.kind!r}", f"Choose from {', '.join(get_args(SpecimenKind))}."
            )
        if self.nuclei is not None and self.kind != "resection":
            raise SettingsError(
                "tumour budding on a biopsy, which has no invasive front",
                "Grade it as a resection (--kind resection).",
            )
        halo_of(self.plan, self.tissue.reach_px)

    def settings(self) -> dict[str, Any]:
        """Return everything that shapes its numbers, as plain JSON values."""
        return {
            "kind": self.kind,
            "plan": asdict(self.plan),
            "tissue": self.tissue.facts(),
            "signet": None if self.signet is None else self.signet.facts(),
            "nuclei": None if self.nuclei is None else self.nuclei.facts(),
            **self.normalise.facts(),
        }

    def prepare(self, slide: SlideInput, folder: Path) -> Receipt:
        """Plan the slide and say which tiles are to do; runs on a worker."""
        plan = make_grading_plan(
            slide,
            folder=folder / "work",
            settings=self.plan,
            mpp=self.tissue.mpp,
            reach_px=self.tissue.reach_px,
            normalise=self.normalise,
        )
        finished = self._stage(folder).store(plan).finished()
        return self._done_mark(folder, plan).receipt(
            plan.folder,
            tiles=plan.tiles,
            finished=finished,
            unseen_mm2=plan.unseen_mm2,
            outputs=[PROFILE_FILE],
        )

    def process(self, slide: SlideInput, folder: Path, place: Path, index: int) -> TileSummary:
        """Map one tile; runs on a worker."""
        return grade_tile(slide, place, index, self._stage(folder))

    def finish(
        self, slide: SlideInput, folder: Path, place: Path, failures: tuple[Failure, ...]
    ) -> dict[str, Any]:
        """Grade the slide and write its outputs; runs on a worker."""
        remove_leftovers(folder)
        plan = replace(load_grading_plan(place), slide=slide)
        store = self._stage(folder).store(plan)
        finished = store.finished()
        tiles = [index for index in plan.tiles if index in finished]
        missing = [index for index in plan.tiles if index not in finished]
        with fresh_group(folder / "maps.zarr") as root:
            maps = stitch_maps(plan, store, tiles, root=root)
            findings = examine(
                plan,
                maps,
                threshold=self.tissue.gland_threshold,
                kind=self.kind,
                signet_looked_for=self.signet is not None,
                signet_false_per_mm2=None if self.signet is None else self.signet.false_per_mm2,
                mistakes=self.tissue.mistakes,
            )
            write_labels(root, plan, findings.glands.grades())
        result = self.score(plan, findings, missing_mm2=plan.missing_mm2(missing) + plan.unseen_mm2)
        record = self._write_outputs(folder, plan, maps, findings=findings, result=result)
        if not missing and not failures:
            self._done_mark(folder, plan).write(record)
        return record

    def _stage(self, folder: Path) -> GradingStage:
        """The reading stage of a slide."""
        return GradingStage(folder / "work", self.tissue, self.signet, self.nuclei)

    def _tumour(self, findings: Findings) -> GradingEvidence | None:
        """Return what was found of a carcinoma, with how often these networks are known to be wrong."""
        if self.nuclei is None:
            return findings.tumour
        return with_known_errors(
            findings.tumour,
            false_per_mm2=self.nuclei.false_buds.get(self.tissue.name),
            found_share=self.nuclei.found_share,
        )

    def score(self, plan: GradingPlan, findings: Findings, *, missing_mm2: float) -> SlideResult:
        """Apply the rules to what was found."""
        areas = plan.areas_mm2()
        areas |= {"glands": float(findings.glands.area_mm2.sum())}
        lost = plan.quality.areas_mm2(plan.tissue)
        lost.pop(plan.quality.reasons[0], None)
        if excluded := sum(lost.values()):
            areas["excluded"] = excluded
        if missing_mm2 > 0:
            areas["missing"] = missing_mm2
        result = score_colorectal(
            findings.evidence,
            kind=self.kind,
            uncertain_mm2=findings.uncertain_by_rank,
            grading=self._tumour(findings),
            flags=plan.flags,
            excluded=findings.signet_excluded,
            areas_mm2=areas,
        )
        return doubt_colours(result, plan.normalised, learnt=self.tissue.learnt_colours)

    def _write_outputs(
        self, folder: Path, plan: GradingPlan, maps: SlideMaps, *, findings: Findings, result: SlideResult
    ) -> dict[str, Any]:
        """Write exports, quality figures and, last, the report, whose presence says that all is there."""
        # Pictures may show damage as white; no number comes from here.
        with open_slide(plan.slide.path, mpp=plan.slide.mpp, salvage=True) as opened:
            origin = (float(opened.bounds.x), float(opened.bounds.y))
            write_lesions(folder / "lesions.geojson", findings, origin=origin)
            write_objects(folder / "glands.geojson.gz", findings, maps, origin=origin)
            report = GradingReport(
                slide=opened,
                plan=plan,
                maps=maps,
                findings=findings,
                result=result,
                tissue=self.tissue,
                signet=self.signet,
                nuclei=self.nuclei,
                kind=self.kind,
                settings=self.settings(),
            )
            publish_profile(plan.folder, folder, plan.normalised)
            write_grading_report(folder, report)
        record: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return record

    def _done_mark(self, folder: Path, plan: GradingPlan) -> DoneMark:
        """The mark of finished outputs."""
        facts = {
            "finish": FINISH_VERSION,
            "workflow": self.name,
            "slide": plan.slide.slide_id,
            "file": plan.slide.path.name,
            "plan_key": plan.key,
            "settings": self.settings(),
        }
        return DoneMark(folder, facts)
