"""Writes a grading report: ``report.json``, ``report.html`` and ``report.pdf`` from one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...quantify import SlideResult
from ..report.files import ReportFiles, write_report_files
from ..report.printing import joined_text, section_texts, view_texts
from ..report.write import as_photograph, data_uri
from .class_maps import SlideMaps
from .findings import Findings
from .fragments import SpecimenKind
from .pictures import SlideView, draw_close_up, draw_heat_map, draw_lesions
from .plan import GradingPlan
from .report_record import gallery_of, grading_record, status_words
from .report_view import GradingView, Part, grading_view
from .tissue_reader import SignetReader, TissueReader
from .tumour_nuclei import NucleusReader

if TYPE_CHECKING:
    from ...wsi import Slide

__all__ = ["GradingReport", "quality_figures", "write_grading_report"]


@dataclass(frozen=True)
class GradingReport:
    """All that a report says of one slide."""

    slide: Slide
    """The open slide, for its pictures."""
    plan: GradingPlan
    maps: SlideMaps
    findings: Findings
    result: SlideResult
    tissue: TissueReader
    signet: SignetReader | None
    nuclei: NucleusReader | None
    kind: SpecimenKind
    settings: Mapping[str, Any]
    """Every setting that shapes the numbers, as plain JSON values."""


@dataclass(frozen=True)
class _Pictures:
    """Photographs of a report."""

    lesions: bytes
    """PNG."""
    heat: bytes
    """PNG."""
    close_ups: tuple[bytes, ...]
    """JPEG, in the order of the gallery."""


def write_grading_report(folder: Path, report: GradingReport) -> None:
    """Write the report of a slide, its overview and its quality figures; ``report.json`` comes last.

    Parameters
    ----------
    folder : Path
        The slide's results folder.
    report : GradingReport
        What was found.

    Notes
    -----
    Equal findings give equal bytes: no file holds a date, a duration or the name of a machine.
    """
    record = grading_record(report)
    status = status_words(record["status"])
    view = grading_view(record, tone=status.tone)
    pictures = _draw(report)
    overview, heat = as_photograph(pictures.lesions), as_photograph(pictures.heat)
    files = ReportFiles(
        template="colorectal",
        view=view,
        status=status,
        quality=quality_figures(report),
        on_page={
            "overview": data_uri(overview),
            "heat": data_uri(heat),
            "close_ups": [data_uri(each) for each in pictures.close_ups],
        },
        printed=_texts(view),
        in_print={
            "overview.jpeg": overview,
            "heat.jpeg": heat,
            **{f"close-up-{number}.jpeg": data for number, data in enumerate(pictures.close_ups)},
        },
        overlay=pictures.lesions,
    )
    write_report_files(folder, files)


def quality_figures(report: GradingReport) -> dict[str, Any]:
    """Return what a laboratory watches from run to run."""
    plan, result, resolution = report.plan, report.result, report.slide.resolution
    lost = plan.quality.areas_mm2(plan.tissue)
    return {
        "slide": plan.slide.slide_id,
        "status": result.status.value,
        "flags": list(result.flags),
        "areas_mm2": dict(result.areas_mm2),
        "excluded_mm2": {reason: lost[reason] for reason in plan.quality.reasons[1:] if lost[reason] > 0},
        "excluded_cells": dict(result.excluded),
        "fragments": len(report.findings.pieces.fragments),
        "glands": len(report.findings.glands),
        "uncertain_mm2": report.findings.uncertain_mm2,
        "mpp": {"x": resolution.x, "y": resolution.y, "source": resolution.source},
        "working_mpp": plan.mpp,
        "white": list(plan.tissue.background),
        "plan": plan.key,
        "tiles": {"with_tissue": len(plan.tiles), "in_grid": len(plan.grid)},
    }


def _draw(report: GradingReport) -> _Pictures:
    """Draw what a pathologist checks the result with."""
    plan = report.plan
    view = SlideView.of(
        report.slide, tissue=plan.tissue, quality=plan.quality, maps=report.maps, findings=report.findings
    )
    gallery = gallery_of(report)
    return _Pictures(
        lesions=draw_lesions(view, named=gallery),
        heat=draw_heat_map(view),
        close_ups=tuple(draw_close_up(report.slide, report.maps, report.findings, each) for each in gallery),
    )


def _texts(view: GradingView) -> dict[str, Any]:
    """Return the view as the values that the template reads."""
    return {
        **view_texts(view),
        "headline": {name: figure.text for name, figure in view.headline.items()},
        "bar": [_part(part) for part in view.bar],
        "classes": section_texts(view.classes),
        "fragments": section_texts(view.fragments),
        "tumour": section_texts(view.tumour),
        "gallery": [
            {
                "short": each["short"].text,
                "color": each["color"],
                "words": joined_text(each["caption"]),
                "parts": [_part(part) for part in each["parts"]],
                "file": f"close-up-{number}.jpeg",
            }
            for number, each in enumerate(view.gallery)
        ],
        "areas": section_texts(view.areas),
        "is_tall": view.is_tall,
        "rules": list(view.rules),
    }


def _part(part: Part) -> dict[str, Any]:
    """Return a part of a bar as plain values."""
    return {"name": part.name, "color": part.color, "width": part.width, "text": part.text}
