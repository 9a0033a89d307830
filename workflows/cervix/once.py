"""One slide screened in this process, without report: for tests, figures and one's own programs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ...wsi.focal_planes import open_focal
from ..runs.inputs import SlideInput
from .cells import ScreenedCells, measure_slide
from .decision import ScreeningResult, decide
from .evidence import Findings, examine
from .nuclei import NucleusTable
from .plan import ScreeningPlan, load_screening_plan
from .workflow import CervicalScreening

__all__ = ["Screened", "screen_slide"]


@dataclass(frozen=True, eq=False)
class Screened:
    """All that is known of a screened slide."""

    plan: ScreeningPlan
    cells: ScreenedCells
    found: Findings
    outcome: ScreeningResult


def screen_slide(workflow: CervicalScreening, slide: SlideInput, *, folder: Path) -> Screened:
    """Screen one slide.

    Parameters
    ----------
    workflow : CervicalScreening
        With its networks.
    slide : SlideInput
        The slide; of several focal planes any one.
    folder : Path
        Where plan and tiles are kept; a second call finds them done.

    Raises
    ------
    SlidelabError
        If the slide cannot be read, or its resolution is not known.
    """
    receipt = workflow.prepare(slide, folder)
    for index in receipt.todo:
        workflow.process(slide, folder, receipt.place, index)
    plan = replace(load_screening_plan(receipt.place), slide=slide)
    store = workflow.stage(folder).store(plan)
    parts = [NucleusTable.from_table(store.read(index)) for index in plan.tiles]
    nuclei = NucleusTable.joined(parts, classes=len(workflow.calls.codes))
    cells = measure_slide(plan, nuclei, calls=workflow.calls)
    cutoffs = None if workflow.lab is None else workflow.lab.cutoffs
    found = examine(plan, cells, calls=workflow.calls, settings=workflow.plan, cutoffs=cutoffs)
    counted = workflow.score(plan, found, missing_mm2=plan.unseen_mm2)
    with open_focal(slide.path, mpp=slide.mpp, blend=plan.blend) as opened:
        scope = workflow.scope(opened)
    calibration = None if workflow.lab is None else workflow.lab.triage
    outcome = decide(counted, risk=found.risk, calibration=calibration, scope=scope)
    return Screened(plan, cells, found, outcome)
