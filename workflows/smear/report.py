"""Writes a smear's report: ``report.json``, ``report.html`` and ``report.pdf`` from one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..report.files import ReportFiles, write_report_files
from ..report.printing import section_texts, view_texts
from ..report.write import data_uri
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
    status = status_words(record["status"])
    view = smear_view(record, tone=status.tone)
    pictures = _Pictures(
        tuple(draw_cell(report.plan, report.findings, cell) for cell in report.gallery),
        tuple(draw_fields(report.plan, report.findings)),
        draw_monolayer(report.plan, report.findings),
    )
    names, in_print = _choose_prints(view, pictures)
    files = ReportFiles(
        template="smear",
        view=view,
        status=status,
        quality=_quality(record, report),
        on_page={
            "cells": [data_uri(each) for each in pictures.cells],
            "fields": [(name, data_uri(each)) for name, each in pictures.fields],
            "monolayer": data_uri(pictures.monolayer),
        },
        printed={**_texts(view), **names},
        in_print=in_print,
    )
    write_report_files(folder, files)
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


def _choose_prints(view: SmearView, pictures: _Pictures) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the pictures of the print as the template names them, and their files."""
    groups, fields, files = [], [], {}
    for group in view.gallery:
        cells = []
        for number, figure in group.cells[:PRINTED]:
            files[f"cell-{number}.jpeg"] = pictures.cells[number]
            cells.append({"file": f"cell-{number}.jpeg", "text": figure.text})
        groups.append({"name": group.name, "color": group.color, "cells": cells})
    for number, (title, data) in enumerate(pictures.fields):
        files[f"field-{number}.jpeg"] = data
        fields.append({"file": f"field-{number}.jpeg", "name": title})
    if pictures.monolayer is not None:
        files["monolayer.jpeg"] = pictures.monolayer
    return {"gallery": groups, "fields": fields, "map": pictures.monolayer is not None}, files


def _texts(view: SmearView) -> dict[str, Any]:
    """Return the view as the values that the template reads."""
    record = view.record
    return {
        **view_texts(view),
        "headline": {name: figure.text for name, figure in view.headline.items()},
        "bar": list(view.bar),
        "differential": section_texts(view.differential),
        "counts": section_texts(view.counts),
        "criteria": [figure.text for figure in view.criteria],
        "shapes": section_texts(view.shapes),
        "states": record["smear"]["states"],
        "areas": section_texts(view.areas),
        "rules": list(view.rules),
    }
