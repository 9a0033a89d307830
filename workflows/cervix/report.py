"""Writes a screening report: ``report.json``, ``report.html`` and ``report.pdf`` from one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...quantify import CervicalCutoffs
from ..report.files import ReportFiles, write_report_files
from ..report.printing import section_texts, view_texts
from ..report.write import as_photograph, data_uri
from ..slides.tile_detector import LearnedDetector
from .call_reader import CallReader
from .decision import ScreeningResult
from .evidence import Findings
from .lab import CervixLab
from .pictures import draw_object, draw_places
from .plan import ScreeningPlan, ScreeningSettings
from .report_record import screening_record, status_words
from .report_view import ScreeningView, screening_view

if TYPE_CHECKING:
    from ...wsi import Slide

__all__ = ["ScreeningReport", "quality_figures", "write_screening_report"]


@dataclass(frozen=True)
class ScreeningReport:
    """All that a report says of one slide."""

    slide: Slide
    """The open slide, for its pictures."""
    plan: ScreeningPlan
    found: Findings
    outcome: ScreeningResult
    detector: LearnedDetector
    calls: CallReader
    lab: CervixLab | None
    scope: Mapping[str, str]
    """What a calibration on this slide would hold for."""
    choices: ScreeningSettings
    """Preparation and the like."""
    settings: Mapping[str, Any]
    """Every setting that shapes the numbers, as plain JSON values."""
    viewer: str = ""
    """Address of a slide viewer with ``{slide}``, ``{x}`` and ``{y}`` in it."""

    @property
    def cutoffs(self) -> CervicalCutoffs | None:
        """Cut-offs of the laboratory; None: those of the package."""
        return None if self.lab is None else self.lab.cutoffs


def write_screening_report(folder: Path, report: ScreeningReport) -> None:
    """Write the report of a slide, its overview and its quality figures; ``report.json`` comes last.

    Parameters
    ----------
    folder : Path
        The slide's results folder.
    report : ScreeningReport
        What was found.

    Notes
    -----
    Equal findings give equal bytes: no file holds a date, a duration or the name of a machine.
    """
    record = screening_record(report)
    status = status_words(record["status"])
    view = screening_view(record, tone=status.tone)
    overlay = draw_places(report.slide, report.found)
    overview = as_photograph(overlay)
    objects = [draw_object(report.slide, each["x"], each["y"]) for each in record["cervix"]["gallery"]]
    files = ReportFiles(
        template="cervix",
        view=view,
        status=status,
        quality=quality_figures(report),
        on_page={"overview": data_uri(overview), "objects": [data_uri(each) for each in objects]},
        printed=_texts(view),
        in_print={
            "overview.jpeg": overview,
            **{f"object-{number}.jpeg": data for number, data in enumerate(objects)},
        },
        overlay=overlay,
    )
    write_report_files(folder, files)


def quality_figures(report: ScreeningReport) -> dict[str, Any]:
    """Return what a laboratory watches from run to run."""
    plan, result, resolution = report.plan, report.outcome.result, report.slide.resolution
    hidden, covered = plan.obscured()
    return {
        "slide": plan.slide.slide_id,
        "status": result.status.value,
        "flags": list(result.flags),
        "areas_mm2": dict(result.areas_mm2),
        "excluded_cells": dict(result.excluded),
        "obscured": hidden / covered if covered else None,
        "nuclei": len(report.found.cells),
        "looked": len(report.found.rows),
        "unknown": report.found.unknown,
        "intermediate_um2": report.found.cells.reference.nuclear_um2,
        "intermediate_cells": report.found.cells.reference.cells,
        "focal_planes": plan.focal_planes,
        "mpp": {"x": resolution.x, "y": resolution.y, "source": resolution.source},
        "working_mpp": plan.mpp,
        "white": list(plan.tissue.background),
        "plan": plan.key,
        "tiles": {"with_cells": len(plan.tiles), "in_grid": len(plan.grid)},
    }


def _texts(view: ScreeningView) -> dict[str, Any]:
    """Return the view as the values that the template reads."""
    record = view.record
    own = record["cervix"]
    return {
        **view_texts(view),
        "code": view.code.text,
        "preparation": own["preparation"]["title"],
        "lines": own["lines"],
        "adequacy": section_texts(view.adequacy),
        "classes": section_texts(view.classes),
        "findings": section_texts(view.findings),
        "cells": section_texts(view.cells),
        "triage": section_texts(view.triage),
        "gallery": [
            {
                "rank": each["rank"].text,
                "code": each["code"].text,
                "color": each["color"],
                "probability": each["probability"].text,
                "standing": each["standing"],
                "words": f"{each['measures']}; {each['place']}",
                "file": f"object-{number}.jpeg",
            }
            for number, each in enumerate(view.gallery)
        ],
        "areas": section_texts(view.areas),
        "rules": list(view.rules),
    }
