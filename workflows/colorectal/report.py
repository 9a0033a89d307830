"""Writes a grading report: ``report.json``, ``report.html`` and ``report.pdf`` from one record."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MissingDependencyError
from ...quantify import SlideResult
from ...tiling import atomic_file, write_json
from ..report.view import Figure, Section
from ..report.write import TEMPLATES, as_photograph, data_uri, page_environment
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
    view = grading_view(record, tone=status_words(record["status"]).tone)
    pictures = _draw(report)
    with atomic_file(folder / "overlay.png") as temporary:
        temporary.write_bytes(pictures.lesions)
    write_json(folder / "qc.json", quality_figures(report))
    _write_pdf(folder / "report.pdf", view, pictures)
    page = page_environment().get_template("colorectal.html.j2")
    text = page.render(
        view=view,
        record=record,
        status=status_words(record["status"]),
        overview=data_uri(as_photograph(pictures.lesions)),
        heat=data_uri(as_photograph(pictures.heat)),
        close_ups=[data_uri(each) for each in pictures.close_ups],
    )
    with atomic_file(folder / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(folder / "report.json", record)


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


def _write_pdf(path: Path, view: GradingView, pictures: _Pictures) -> None:
    """Write the printed report; fonts and all else come with ``typst``, so equal content, equal bytes."""
    try:
        import typst
    except ImportError as error:
        raise MissingDependencyError(
            "the PDF report needs the package typst", "Install it with: pip install typst"
        ) from error
    with tempfile.TemporaryDirectory(prefix="slidelab-report-") as name:
        workshop = Path(name)
        files = {"overview.jpeg": as_photograph(pictures.lesions), "heat.jpeg": as_photograph(pictures.heat)}
        files |= {f"close-up-{number}.jpeg": each for number, each in enumerate(pictures.close_ups)}
        for file, data in files.items():
            (workshop / file).write_bytes(data or b"")
        text = json.dumps(_texts(view), ensure_ascii=False, allow_nan=False)
        (workshop / "data.json").write_text(text, encoding="utf-8")
        shutil.copyfile(TEMPLATES / "colorectal.typ", workshop / "colorectal.typ")
        pdf = typst.compile(
            str(workshop / "colorectal.typ"), root=name, ignore_system_fonts=True, format="pdf"
        )
    with atomic_file(path) as temporary:
        temporary.write_bytes(pdf)


def _texts(view: GradingView) -> dict[str, Any]:
    """Return the view as the values that the template reads."""
    record = view.record
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
        "headline": {name: figure.text for name, figure in view.headline.items()},
        "bar": [_part(part) for part in view.bar],
        "notes": record["notes"],
        "classes": _section(view.classes),
        "fragments": _section(view.fragments),
        "tumour": _section(view.tumour),
        "gallery": [
            {
                "short": each["short"].text,
                "color": each["color"],
                "words": _joined(each["caption"]),
                "parts": [_part(part) for part in each["parts"]],
                "file": f"close-up-{number}.jpeg",
            }
            for number, each in enumerate(view.gallery)
        ],
        "areas": _section(view.areas),
        "is_tall": view.is_tall,
        "rules": list(view.rules),
        "methods": record["methods"],
        "limits": record["limits"],
        "facts": [_section(section) for section in view.facts],
        "settings": _section(view.settings),
        "research_use": record["research_use"],
    }


def _part(part: Part) -> dict[str, Any]:
    """Return a part of a bar as plain values."""
    return {"name": part.name, "color": part.color, "width": part.width, "text": part.text}


def _section(section: Section) -> dict[str, Any]:
    """Return a table as plain texts."""
    rows = [{"cells": [cell.text for cell in row.cells], "strong": row.is_strong} for row in section.rows]
    return {"title": section.title, "head": list(section.head), "rows": rows}


def _joined(figures: Iterable[Figure]) -> str:
    """Return the words of a caption."""
    return "".join(figure.text for figure in figures)
