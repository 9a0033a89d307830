"""Writes a slide's report: ``report.json`` for programs and ``report.html`` for people, from one record."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tiling import atomic_file, write_json
from .charts import draw_index_map, draw_stain_histogram, draw_threshold_curve
from .content import ReportContent
from .flag_advice import describe_status
from .record import report_record
from .view import report_view

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = [
    "as_photograph",
    "data_uri",
    "page_environment",
    "picture_kind",
    "report_charts",
    "write_page",
    "write_report",
]

TEMPLATES = Path(__file__).with_name("templates")
"""Page layouts and their style sheet."""


def write_report(folder: str | os.PathLike[str], content: ReportContent) -> dict[str, Any]:
    """Write ``report.json`` and ``report.html`` into a slide's folder.

    Both are made from one record, so they cannot disagree. The page is one file: style and pictures are
    inside, nothing is fetched, everything that came from a slide is escaped, scripts are forbidden.

    Parameters
    ----------
    folder : str or path
        The slide's results folder; made if absent.
    content : ReportContent
        What the report says.

    Returns
    -------
    dict
        What ``report.json`` holds: the fields of `SlideResult.to_json` at the top level, then the rest.

    Notes
    -----
    Equal content gives equal bytes: neither file holds a date, a duration or the name of a machine.
    """
    place = Path(folder)
    record = report_record(content)
    write_json(place / "report.json", record)
    view = report_view(record)
    charts = report_charts(content)
    values = {
        "view": view,
        "record": record,
        "status": describe_status(record["status"]),
        "charts": {name: data_uri(charts.get(name)) for name in ("curve", "histogram", "map")},
        "overview": data_uri(as_photograph(content.pictures.overview)),
        "hot_spot": data_uri(content.pictures.hot_spot.data if content.pictures.hot_spot else None),
        "fields": [data_uri(picture.data) for picture in content.pictures.fields],
    }
    write_page(place / "report.html", "report.html.j2", values)
    return record


def report_charts(content: ReportContent) -> Mapping[str, bytes]:
    """Draw the charts that the content has numbers for: PNG files by name."""
    charts, words = {}, content.words
    if content.curve is not None:
        charts["curve"] = draw_threshold_curve(content.curve, density=words.density, index=words.index)
    if content.histogram is not None:
        # Where the network decides there is no threshold; the chart then shows the usual one.
        threshold = content.methods.positive_od or (content.curve.used if content.curve else 0.2)
        charts["histogram"] = draw_stain_histogram(
            content.histogram, threshold=threshold, density=words.density, noun=words.noun
        )
    if content.fields is not None and content.fields.counted.any():
        charts["map"] = draw_index_map(
            content.fields,
            tissue=content.tissue,
            hot_spot=content.hot_spot,
            index=words.map or words.index,
            by_area=bool(words.map),
        )
    return charts


def write_page(path: Path, template: str, values: Mapping[str, Any]) -> None:
    """Write a page in one step.

    Parameters
    ----------
    path : Path
        The page.
    template : str
        Name of a layout of this package, such as ``report.html.j2``.
    values : mapping
        What the layout shows, by the names in it.
    """
    text = page_environment().get_template(template).render(**values)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page_environment() -> Environment:
    """Return the page maker: everything is escaped, an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["style"] = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))
    return environment


def as_photograph(picture: bytes | None) -> bytes | None:
    """Return a large PNG as JPEG: on a page it is as good and a fifth of the size."""
    if picture is None:
        return None
    from PIL import Image

    stream = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").save(stream, "JPEG", quality=86)
    return stream.getvalue()


def picture_kind(data: bytes) -> str:
    """Return ``png`` or ``jpeg``, from the first bytes of a picture."""
    return "png" if data.startswith(b"\x89PNG") else "jpeg"


def data_uri(data: bytes | None) -> str | None:
    """Return a picture as text that a page can hold."""
    if data is None:
        return None
    return f"data:image/{picture_kind(data)};base64,{base64.b64encode(data).decode()}"
