"""Writes a slide's report as ``report.pdf``, for print and for the archive."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .content import ReportContent
from .pictures import PALETTES
from .printing import joined_text, print_report, section_texts, view_texts
from .record import report_record
from .view import ReportView, report_view
from .write import as_photograph, picture_kind, report_charts

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
    view = report_view(report_record(content))
    names, pictures = _name_pictures(content, view)
    texts = {**_texts(view), "pictures": names}
    print_report(Path(folder) / "report.pdf", "report.typ", texts=texts, pictures=pictures)


def _name_pictures(content: ReportContent, view: ReportView) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return file names and captions of the pictures as the template reads them, and the files."""
    given = content.pictures
    charts = report_charts(content)
    files: dict[str, bytes] = {}
    names: dict[str, Any] = {
        name: _keep(files, name, charts.get(name)) for name in ("curve", "histogram", "map")
    }
    names["overview"] = _keep(files, "overview", as_photograph(given.overview))
    hot_spot = _keep(files, "hot-spot", given.hot_spot.data if given.hot_spot else None)
    names["hot_spot"] = hot_spot and {"file": hot_spot, "words": joined_text(view.hot_spot)}
    names["fields"] = [
        {"file": _keep(files, f"field-{number}", picture.data), "words": joined_text(view.fields[number])}
        for number, picture in enumerate(given.fields)
    ]
    return names, files


def _keep(files: dict[str, bytes], name: str, data: bytes | None) -> str | None:
    """Put a picture among the files under a name that says its format; returns that name."""
    if data is None:
        return None
    file = f"{name}.{picture_kind(data)}"
    files[file] = data
    return file


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
        **view_texts(view),
        "headline": {name: figure.text for name, figure in view.headline.items()},
        "gauge": _gauge(view.gauge),
        "advice": record["advice"],
        "noun": noun,
        "key": [[each["color"], each["name"]] for each in record["classes"]] + [[NOT_COUNTED, "not counted"]],
        "classes": section_texts(view.classes),
        "scores": section_texts(view.scores),
        "rules": rules,
        "counts": section_texts(view.counts),
        "sensitivity": section_texts(view.sensitivity),
        "map_words": f"Index in fields of {side} µm; fields with too few {noun} stay empty.",
    }


def _gauge(gauge: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the bar's geometry with plain names."""
    if gauge is None:
        return None
    bands = [{**band, "name": band["name"].text, "end": band["end"].text} for band in gauge["bands"]]
    return {**gauge, "bands": bands}
