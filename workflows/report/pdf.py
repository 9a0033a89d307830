"""Writes a slide's report as ``report.pdf``, for print and for the archive."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...errors import MissingDependencyError
from ...tiling import atomic_file
from .content import FieldPicture, ReportContent
from .flag_advice import describe_status
from .pictures import PALETTES
from .record import report_record
from .view import Figure, ReportView, Section, report_view
from .write import TEMPLATES, as_photograph, picture_kind, report_charts

__all__ = ["write_report_pdf"]

NOT_COUNTED = PALETTES["standard"].excluded
"""Colour of outlines of cells that no score counts."""


def write_report_pdf(folder: str | os.PathLike[str], content: ReportContent) -> None:
    """Write ``report.pdf`` into a slide's folder: the same record and texts as the page.

    Parameters
    ----------
    folder : str or path
        The slide's results folder; made if absent.
    content : ReportContent
        What the report says.

    Raises
    ------
    MissingDependencyError
        If the package ``typst`` is not installed.

    Notes
    -----
    Only the fonts inside ``typst`` are used and the document has no date, so equal content gives equal
    bytes with the same version of ``typst``.
    """
    try:
        import typst
    except ImportError as error:
        raise MissingDependencyError(
            "the PDF report needs the package typst", "Install it with: pip install typst"
        ) from error
    with tempfile.TemporaryDirectory(prefix="slidelab-report-") as name:
        workshop = Path(name)
        view = report_view(report_record(content))
        pictures = _lay_out_pictures(workshop, content, view)
        text = json.dumps({**_texts(view), "pictures": pictures}, ensure_ascii=False, allow_nan=False)
        (workshop / "data.json").write_text(text, encoding="utf-8")
        shutil.copyfile(TEMPLATES / "report.typ", workshop / "report.typ")
        pdf = typst.compile(str(workshop / "report.typ"), root=name, ignore_system_fonts=True, format="pdf")
    with atomic_file(Path(folder) / "report.pdf") as temporary:
        temporary.write_bytes(pdf)


def _lay_out_pictures(workshop: Path, content: ReportContent, view: ReportView) -> dict[str, Any]:
    """Put the pictures beside the template; returns their file names and captions."""
    given = content.pictures
    charts = report_charts(content)
    names: dict[str, Any] = {
        name: _put(workshop, name, charts.get(name)) for name in ("curve", "histogram", "map")
    }
    names["overview"] = _put(workshop, "overview", as_photograph(given.overview))
    hot_spot = _put(workshop, "hot-spot", _data(given.hot_spot))
    names["hot_spot"] = hot_spot and {"file": hot_spot, "words": _joined(view.hot_spot)}
    names["fields"] = [
        {"file": _put(workshop, f"field-{number}", picture.data), "words": _joined(view.fields[number])}
        for number, picture in enumerate(given.fields)
    ]
    return names


def _put(workshop: Path, name: str, data: bytes | None) -> str | None:
    """Write a picture under a name that says its format."""
    if data is None:
        return None
    file = f"{name}.{picture_kind(data)}"
    (workshop / file).write_bytes(data)
    return file


def _data(picture: FieldPicture | None) -> bytes | None:
    """Return the bytes of a picture that may be absent."""
    return None if picture is None else picture.data


def _texts(view: ReportView) -> dict[str, Any]:
    """Return the view as the values that the template reads."""
    record = view.record
    scale = record["category_scale"]
    rules = [f"{score['name']}: {score['rule']}" for score in record["scores"]]
    if scale:
        rules.append(f"Categories: {scale['title']} ({scale['source']}). {scale['note']}")
    fields, noun = record["fields"], record["words"]["noun"]
    side = f"{fields['side_um']:.0f}" if fields else ""
    return {
        "title": view.title,
        "marker": record["marker"],
        "slide": record["slide"],
        "tone": view.tone,
        "status": {
            "name": describe_status(record["status"]).name,
            "code": record["status"],
            "words": record["summary"]["status_words"],
        },
        "headline": {name: figure.text for name, figure in view.headline.items()},
        "gauge": _gauge(view.gauge),
        "advice": record["advice"],
        "notes": record["notes"],
        "noun": noun,
        "key": [[each["color"], each["name"]] for each in record["classes"]] + [[NOT_COUNTED, "not counted"]],
        "classes": _section(view.classes),
        "scores": _section(view.scores),
        "rules": rules,
        "counts": _section(view.counts),
        "sensitivity": _section(view.sensitivity),
        "map_words": f"Index in fields of {side} µm; fields with too few {noun} stay empty.",
        "methods": record["methods"],
        "facts": [_section(section) for section in view.facts],
        "settings": _section(view.settings),
        "research_use": record["research_use"],
    }


def _gauge(gauge: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the bar's geometry with plain names."""
    if gauge is None:
        return None
    bands = [{**band, "name": band["name"].text, "end": band["end"].text} for band in gauge["bands"]]
    return {**gauge, "bands": bands}


def _section(section: Section) -> dict[str, Any]:
    """Return a table as plain texts."""
    rows = [{"cells": [cell.text for cell in row.cells], "strong": row.is_strong} for row in section.rows]
    return {"title": section.title, "head": list(section.head), "rows": rows}


def _joined(figures: Iterable[Figure]) -> str:
    """Return the words of a caption."""
    return "".join(figure.text for figure in figures)
