"""Writes a screening report: ``report.json``, ``report.html`` and ``report.pdf`` from one record."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MissingDependencyError
from ...quantify import CervicalCutoffs
from ...tiling import atomic_file, write_json
from ..report.view import Section
from ..report.write import TEMPLATES, as_photograph, data_uri, page_environment
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


@dataclass(frozen=True)
class _Pictures:
    """Photographs of a report."""

    overview: bytes
    """PNG."""
    objects: tuple[bytes, ...]
    """JPEG, in the order of the gallery."""


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
    view = screening_view(record, tone=status_words(record["status"]).tone)
    gallery = record["cervix"]["gallery"]
    pictures = _Pictures(
        draw_places(report.slide, report.found),
        tuple(draw_object(report.slide, each["x"], each["y"]) for each in gallery),
    )
    with atomic_file(folder / "overlay.png") as temporary:
        temporary.write_bytes(pictures.overview)
    write_json(folder / "qc.json", quality_figures(report))
    _write_pdf(folder / "report.pdf", view, pictures)
    page = page_environment().get_template("cervix.html.j2")
    text = page.render(
        view=view,
        record=record,
        status=status_words(record["status"]),
        overview=data_uri(as_photograph(pictures.overview)),
        objects=[data_uri(each) for each in pictures.objects],
    )
    with atomic_file(folder / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(folder / "report.json", record)


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


def _write_pdf(path: Path, view: ScreeningView, pictures: _Pictures) -> None:
    """Write the printed report; fonts and all else come with ``typst``, so equal content, equal bytes."""
    try:
        import typst
    except ImportError as error:
        raise MissingDependencyError(
            "the PDF report needs the package typst", "Install it with: pip install typst"
        ) from error
    with tempfile.TemporaryDirectory(prefix="slidelab-report-") as name:
        workshop = Path(name)
        (workshop / "overview.jpeg").write_bytes(as_photograph(pictures.overview) or b"")
        for number, data in enumerate(pictures.objects):
            (workshop / f"object-{number}.jpeg").write_bytes(data)
        text = json.dumps(_texts(view), ensure_ascii=False, allow_nan=False)
        (workshop / "data.json").write_text(text, encoding="utf-8")
        shutil.copyfile(TEMPLATES / "cervix.typ", workshop / "cervix.typ")
        pdf = typst.compile(str(workshop / "cervix.typ"), root=name, ignore_system_fonts=True, format="pdf")
    with atomic_file(path) as temporary:
        temporary.write_bytes(pdf)


def _texts(view: ScreeningView) -> dict[str, Any]:
    """Return the view as the values that the template reads."""
    record = view.record
    own = record["cervix"]
    return {
        "title": view.title,
        "marker": record["marker"],
        "slide": record["slide"],
        "tone": view.tone,
        "status": {
            "name": record["summary"]["status_name"],
            "code": record["status"],
            "words": record["summary"]["status_words"],
        },
        "code": view.code.text,
        "preparation": own["preparation"]["title"],
        "lines": own["lines"],
        "notes": record["notes"],
        "adequacy": _section(view.adequacy),
        "classes": _section(view.classes),
        "findings": _section(view.findings),
        "cells": _section(view.cells),
        "triage": _section(view.triage),
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
        "areas": _section(view.areas),
        "rules": list(view.rules),
        "methods": record["methods"],
        "limits": record["limits"],
        "facts": [_section(section) for section in view.facts],
        "settings": _section(view.settings),
        "research_use": record["research_use"],
    }


def _section(section: Section) -> dict[str, Any]:
    """Return a table as plain texts."""
    rows = [{"cells": [cell.text for cell in row.cells], "strong": row.is_strong} for row in section.rows]
    return {"title": section.title, "head": list(section.head), "rows": rows}
