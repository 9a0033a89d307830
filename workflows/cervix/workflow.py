"""Cervical screening from slide to report: nuclei, cells, calls, adequacy, the Bethesda result, a gallery."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ...errors import SettingsError
from ...quantify import CervicalCutoffs, SlideResult, cervical_cutoffs, score_cervical
from ...tiling import remove_leftovers
from ...wsi import Slide
from ...wsi.focal_planes import open_focal
from ..report.cohort_report import Failure
from ..runs.done_mark import DoneMark
from ..runs.inputs import SlideInput
from ..runs.workflow import Receipt
from ..slides.tile_detector import LearnedDetector
from .call_reader import CallReader, choose_calls
from .cells import measure_slide
from .decision import ScreeningResult, decide
from .evidence import Findings, examine
from .exports import write_cells, write_gallery
from .find_nuclei import WORKING_MPP, choose_nuclei
from .lab import CervixLab
from .nuclei import NucleusTable
from .plan import ScreeningPlan, ScreeningSettings, load_screening_plan, make_screening_plan
from .report import ScreeningReport, write_screening_report
from .tile import ScreeningStage, TileSummary, reach_of, screen_tile, stride_of

__all__ = ["CervicalScreening"]

FINISH_VERSION = 2
"""Raised whenever the same nuclei would give another report."""


@dataclass(frozen=True)
class CervicalScreening:
    """Cervical slides by the Bethesda System.

    Parameters
    ----------
    plan : ScreeningSettings
        Preparation, focal planes, quality and tiles.
    detector : LearnedDetector
        The network that finds nuclei.
    calls : CallReader
        What names cells; `choose_calls` finds one by name and licence policy.
    lab : CervixLab, optional
        The laboratory's calibration; without one every result asks for a person.
    viewer : str
        Address of a slide viewer with ``{slide}``, ``{x}`` and ``{y}`` in it, level-0 px; links of the
        gallery lead there. Without one they lead to the GeoJSON.
    """

    plan: ScreeningSettings = field(default_factory=ScreeningSettings)
    detector: LearnedDetector = field(default_factory=choose_nuclei)
    calls: CallReader = field(default_factory=partial(choose_calls, "auto"))
    lab: CervixLab | None = None
    viewer: str = ""

    name: ClassVar[str] = "cervix"

    def __post_init__(self) -> None:
        """Refuse preparations that nobody knows, and addresses that lead nowhere."""
        cervical_cutoffs().preparation(self.plan.preparation)
        try:
            self.viewer.format(slide="", x=0, y=0)
        except (LookupError, ValueError) as error:
            raise SettingsError(
                f"the viewer's address {self.viewer!r}", "Use {slide}, {x} and {y} in it, nothing else."
            ) from error
        if self.viewer and not self.viewer.startswith(("https://", "http://")):
            raise SettingsError(f"the viewer's address {self.viewer!r}", "Begin it with https:// or http://.")

    @property
    def runs_on_card(self) -> bool:
        """Whether a network computes on an accelerator."""
        return self.detector.runs_on_card or self.calls.runs_on_card

    def settings(self) -> dict[str, Any]:
        """Return everything that shapes its numbers, as plain JSON values."""
        return {
            "plan": asdict(self.plan),
            "detector": self.detector.facts(),
            "calls": self.calls.facts(),
            "lab": None if self.lab is None else self.lab.facts(),
            "viewer": self.viewer,
        }

    def scope(self, slide: Slide) -> dict[str, str]:
        """Return what a calibration on this slide would hold for."""
        return {
            "model": f"{self.calls.name} {self.calls.version} {self.calls.sha256[:12]}".strip(),
            "detector": f"{self.detector.name} {self.detector.version} {self.detector.sha256[:12]}",
            "preparation": self.plan.preparation,
            "thorough": str(self.plan.thorough),
            "scanner": f"{slide.vendor} {slide.mpp:.3f} um/px",
        }

    def prepare(self, slide: SlideInput, folder: Path) -> Receipt:
        """Plan the slide and say which tiles are to do; runs on a worker."""
        plan = make_screening_plan(
            slide,
            folder=folder / "work",
            settings=self.plan,
            mpp=WORKING_MPP,
            reach_px=reach_of(self.detector, self.plan.cytoplasm),
            stride=stride_of(self.detector),
        )
        finished = self.stage(folder).store(plan).finished()
        return self._done_mark(folder, plan).receipt(
            plan.folder,
            tiles=plan.tiles,
            finished=finished,
            unseen_mm2=plan.unseen_mm2,
        )

    def process(self, slide: SlideInput, folder: Path, place: Path, index: int) -> TileSummary:
        """Look at one tile; runs on a worker."""
        return screen_tile(slide, place, index, self.stage(folder))

    def finish(
        self, slide: SlideInput, folder: Path, place: Path, failures: tuple[Failure, ...]
    ) -> dict[str, Any]:
        """Judge the slide and write its outputs; runs on a worker."""
        remove_leftovers(folder)
        plan = replace(load_screening_plan(place), slide=slide)
        store = self.stage(folder).store(plan)
        finished = store.finished()
        parts = [NucleusTable.from_table(store.read(index)) for index in plan.tiles if index in finished]
        missing = [index for index in plan.tiles if index not in finished]
        nuclei = NucleusTable.joined(parts, classes=len(self.calls.codes))
        cells = measure_slide(plan, nuclei, calls=self.calls)
        cutoffs = None if self.lab is None else self.lab.cutoffs
        found = examine(plan, cells, calls=self.calls, settings=self.plan, cutoffs=cutoffs)
        counted = self.score(plan, found, missing_mm2=plan.missing_mm2(missing) + plan.unseen_mm2)
        # Pictures may show damage as white; no number comes from here.
        with open_focal(slide.path, mpp=slide.mpp, salvage=True, blend=plan.blend) as opened:
            calibration = None if self.lab is None else self.lab.triage
            scope = self.scope(opened)
            outcome = decide(counted, risk=found.risk, calibration=calibration, scope=scope)
            record = self._write_outputs(folder, plan, found, outcome=outcome, slide=opened, scope=scope)
        if not missing and not failures:
            self._done_mark(folder, plan).write(record)
        return record

    def stage(self, folder: Path) -> ScreeningStage:
        """The looking stage of a slide."""
        return ScreeningStage(
            folder / "work", self.detector, self.calls, self.plan.cytoplasm, self.plan.thorough
        )

    def score(self, plan: ScreeningPlan, found: Findings, *, missing_mm2: float) -> SlideResult:
        """Apply the slide rules to what was found."""
        areas = plan.areas_mm2()
        lost = plan.quality.areas_mm2(plan.tissue)
        lost.pop(plan.quality.reasons[0], None)
        if excluded := sum(lost.values()):
            areas["excluded"] = excluded
        if missing_mm2 > 0:
            areas["missing"] = missing_mm2
        cutoffs: CervicalCutoffs | None = None if self.lab is None else self.lab.cutoffs
        return score_cervical(
            found.evidence,
            cutoffs=cutoffs,
            excluded=found.cells.excluded(),
            areas_mm2=areas,
            flags=(*plan.flags, *found.cells.reference.flags, *found.doubts),
        )

    def _write_outputs(
        self,
        folder: Path,
        plan: ScreeningPlan,
        found: Findings,
        *,
        outcome: ScreeningResult,
        slide: Slide,
        scope: dict[str, str],
    ) -> dict[str, Any]:
        """Write exports, quality figures and, last, the report, whose presence says that all is there."""
        write_cells(folder / "cells.parquet", found, codes=self.calls.codes)
        origin = (float(slide.bounds.x), float(slide.bounds.y))
        write_gallery(folder / "gallery.geojson", found, codes=self.calls.codes, plan=plan, origin=origin)
        report = ScreeningReport(
            slide=slide,
            plan=plan,
            found=found,
            outcome=outcome,
            detector=self.detector,
            calls=self.calls,
            lab=self.lab,
            scope=scope,
            choices=self.plan,
            settings=self.settings(),
            viewer=self.viewer,
        )
        write_screening_report(folder, report)
        record: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return record

    def _done_mark(self, folder: Path, plan: ScreeningPlan) -> DoneMark:
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
