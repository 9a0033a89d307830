"""Blood smears from images to report: cells found, named and counted, the monolayer chosen, rules applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ...errors import SettingsError
from ...quantify import blood_smear_cutoffs
from ...tiling import remove_leftovers
from ..report.cohort_report import Failure
from ..runs.done_mark import DoneMark
from ..runs.inputs import SlideInput
from ..runs.workflow import Receipt
from .analyser import NO_BLOOD, BloodFacts
from .cells import gather_cells
from .exports import write_cell_table, write_geojson
from .findings import CountSettings, examine, score_findings
from .look import PartSummary, SmearStage, look_at_part
from .pictures import pick_gallery
from .plan import SmearPlan, SmearSettings, make_smear_plan
from .readers import CellReader, SmearReader, choose_red, choose_smear, choose_white
from .report import write_smear_report
from .report_record import SmearReport

__all__ = ["SmearCount"]

FINISH_VERSION = 1
"""Raised whenever the same cells would give another report."""


@dataclass(frozen=True)
class SmearCount:
    """Red cells, white cells and platelets of blood smears, with the five-part differential.

    Parameters
    ----------
    plan : SmearSettings
        How a smear is prepared.
    reader : SmearReader
        The detector; `choose_smear` finds one by name and licence policy.
    white, red : CellReader, optional
        Classifiers of white cells and of red cells' shapes; without one nobody names them, and the result
        says so.
    counting : CountSettings
        Monolayer, clumps, platelet factor.
    blood : mapping of str to BloodFacts
        What analyser and eye add, by the id of the smear; that under ``""`` holds for all others.
    """

    plan: SmearSettings = field(default_factory=SmearSettings)
    reader: SmearReader = field(default_factory=partial(choose_smear, "auto"))
    white: CellReader | None = field(default_factory=partial(choose_white, "auto"))
    red: CellReader | None = field(default_factory=partial(choose_red, "auto"))
    counting: CountSettings = field(default_factory=CountSettings)
    blood: Mapping[str, BloodFacts] = field(default_factory=dict)

    name: ClassVar[str] = "smear"

    def __post_init__(self) -> None:
        """Refuse settings that cannot give a right number."""
        factors = blood_smear_cutoffs().platelets.factors
        if self.counting.part not in factors:
            raise SettingsError(f"a part {self.counting.part!r}", f"Choose from {', '.join(factors)}.")
        if self.plan.core_px % round(self.plan.block_um / self.reader.mpp):
            raise SettingsError(
                f"tiles of {self.plan.core_px} px are no multiple of blocks of {self.plan.block_um:g} um",
                "Choose tiles that are a multiple of the blocks.",
            )

    def settings(self) -> dict[str, Any]:
        """Return everything that shapes its numbers, as plain JSON values."""
        return {
            "plan": asdict(self.plan),
            "counting": asdict(self.counting),
            "red_per_tile": self.plan.red_per_tile,
            "detector": self.reader.facts(),
            "white": None if self.white is None else self.white.facts(),
            "red": None if self.red is None else self.red.facts(),
        }

    def facts_of(self, smear: SlideInput) -> BloodFacts:
        """Return what is known of a sample beside its smear."""
        return self.blood.get(smear.slide_id, self.blood.get("", NO_BLOOD))

    def prepare(self, smear: SlideInput, folder: Path) -> Receipt:
        """Plan the smear and say which parts are to do; runs on a worker."""
        plan = make_smear_plan(smear, folder=folder / "work", settings=self.plan, reader=self.reader)
        parts = range(len(plan.parts))
        finished = self._stage(folder).store(plan).finished()
        return self._done_mark(folder, plan).receipt(plan.folder, tiles=parts, finished=finished)

    def process(self, smear: SlideInput, folder: Path, place: Path, index: int) -> PartSummary:
        """Find and name the cells of one part; runs on a worker."""
        return look_at_part(smear, place, index, self._stage(folder))

    def finish(
        self, smear: SlideInput, folder: Path, place: Path, failures: tuple[Failure, ...]
    ) -> dict[str, Any]:
        """Count, score and write the outputs; runs on a worker."""
        remove_leftovers(folder)
        plan = make_smear_plan(smear, folder=folder / "work", settings=self.plan, reader=self.reader)
        store = self._stage(folder).store(plan)
        finished = store.finished()
        parts = [part for part in range(len(plan.parts)) if part in finished]
        missing = len(plan.parts) - len(parts)
        names = (
            () if self.white is None else self.white.classes,
            () if self.red is None else self.red.classes,
        )
        cells, blocks = gather_cells(plan, store, parts, classes=(len(names[0]), len(names[1])))
        findings = examine(plan, cells, blocks, settings=self.counting, classes=names)
        facts = self.facts_of(smear)
        result = score_findings(plan, findings, facts=facts, settings=self.counting, missing=missing)
        write_cell_table(folder / "cells.parquet", plan, findings)
        write_geojson(folder, plan, findings)
        report = SmearReport(
            plan=plan,
            findings=findings,
            result=result,
            facts=facts,
            counting=self.counting,
            reader=self.reader,
            white=self.white,
            red=self.red,
            gallery=tuple(pick_gallery(plan, findings)),
            settings=self.settings(),
        )
        record = write_smear_report(folder, report)
        if not missing and not failures:
            self._done_mark(folder, plan).write(record)
        return record

    def _stage(self, folder: Path) -> SmearStage:
        """The reading stage of a smear."""
        return SmearStage(folder / "work", self.reader, self.white, self.red, self.plan.red_per_tile)

    def _done_mark(self, folder: Path, plan: SmearPlan) -> DoneMark:
        """The mark of finished outputs."""
        facts = {
            "finish": FINISH_VERSION,
            "workflow": self.name,
            "smear": plan.smear.slide_id,
            "plan_key": plan.key,
            "blood": self.facts_of(plan.smear).to_json(),
            "settings": self.settings(),
        }
        return DoneMark(folder, facts)
