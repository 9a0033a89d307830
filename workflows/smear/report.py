"""Writes a smear's report: ``report.json``, ``report.html`` and ``report.pdf`` from one record."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import MissingDependencyError
from ...tiling import atomic_file, write_json
from ..report.view import Section
from ..report.write import TEMPLATES, data_uri, page_environment
from .pictures import draw_cell, draw_fields, draw_monolayer
from .report_record import SmearReport, smear_record, status_words
from .report_view import SmearView, smear_view

__all__ = ["write_smear_report"]

PRINTED = 8
"""Cells of each class in the printed report."""


@dataclass(frozen=True)
class _Pictures:
    """Photographs of a report, JPEG."""

    cells: tuple[bytes, ...]
    """In the order of the gallery."""
    fields: tuple[tuple[str, bytes], ...]
    monolayer: bytes | None


def write_smear_report(folder: Path, report: SmearReport) -> dict[str, Any]:
    """Write the report of a smear and its quality figures; ``report.json`` comes last.

    Returns
    -------
    dict
        What ``report.json`` holds.

    Notes
    -----
    Equal findings give equal bytes: no file holds a date, a duration or the name of a machine.
    """
    record = smear_record(report)
    view = smear_view(record, tone=status_words(record["status"]).tone)
    pictures = _Pictures(
        tuple(draw_cell(report.plan, report.findings, cell) for cell in report.gallery),
        tuple(draw_fields(report.plan, report.findings)),
        draw_monolayer(report.plan, report.findings),
    )
    write_json(folder / "qc.json", _quality(record, report))
    _write_pdf(folder / "report.pdf", view, pictures)
    text = (
        page_environment()
        .get_template("smear.html.j2")
        .render(
            view=view,
            record=record,
            status=status_words(record["status"]),
            cells=[data_uri(each) for each in pictures.cells],
            fields=[(name, data_uri(each)) for name, each in pictures.fields],
            monolayer=data_uri(pictures.monolayer),
        )
    )
    with atomic_file(folder / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(folder / "report.json", record)
    return record


def _quality(record: dict[str, Any], report: SmearReport) -> dict[str, Any]:
    """Return what a laboratory watches from run to run."""
    own = record["smear"]
    counted = {score["name"]: score["value"] for score in record["scores"] if score["unit"] == "cells"}
    return {
        "slide": record["slide"],
        "status": record["status"],
        "flags": record["flags"],
        "areas_mm2": record["areas_mm2"],
        "excluded_cells": record["excluded"],
        "cells": counted,
        **{name: own[name] for name in ("fields", "median_red_um", "clumps", "rosettes", "blocks", "scale")},
        "mpp": {"x": record["resolution"]["x"], "source": record["resolution"]["source"]},
        "plan": report.plan.key,
    }


def _write_pdf(path: Path, view: SmearView, pictures: _Pictures) -> None:
    """Write the printed report; fonts and all else come with ``typst``, so equal content, equal bytes."""
    try:
        import typst
    except ImportError as error:
        raise MissingDependencyError(
            "the PDF report needs the package typst", "Install it with: pip install typst"
        ) from error
    with tempfile.TemporaryDirectory(prefix="slidelab-report-") as name:
        workshop = Path(name)
        groups = []
        for group in view.gallery:
            shown = group.cells[:PRINTED]
            for number, _ in shown:
                (workshop / f"cell-{number}.jpeg").write_bytes(pictures.cells[number])
            cells = [{"file": f"cell-{number}.jpeg", "text": figure.text} for number, figure in shown]
            groups.append({"name": group.name, "color": group.color, "cells": cells})
        fields = []
        for number, (title, data) in enumerate(pictures.fields):
            (workshop / f"field-{number}.jpeg").write_bytes(data)
            fields.append({"file": f"field-{number}.jpeg", "name": title})
        if pictures.monolayer is not None:
            (workshop / "monolayer.jpeg").write_bytes(pictures.monolayer)
        told = {**_texts(view), "gallery": groups, "fields": fields, "map": pictures.monolayer is not None}
        text = json.dumps(told, ensure_ascii=False, allow_nan=False)
        (workshop / "data.json").write_text(text, encoding="utf-8")
        shutil.copyfile(TEMPLATES / "smear.typ", workshop / "smear.typ")
        pdf = typst.compile(str(workshop / "smear.typ"), root=name, ignore_system_fonts=True, format="pdf")
    with atomic_file(path) as temporary:
        temporary.write_bytes(pdf)


def _texts(view: SmearView) -> dict[str, Any]:
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
        "bar": list(view.bar),
        "notes": record["notes"],
        "differential": _section(view.differential),
        "counts": _section(view.counts),
        "criteria": [figure.text for figure in view.criteria],
        "shapes": _section(view.shapes),
        "states": record["smear"]["states"],
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
