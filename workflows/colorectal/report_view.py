"""A grading report's record as texts, each bound to the place in the record that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...quantify import Status, round_half_up
from ...quantify.flags import Flag
from ..report.fact_sections import (
    area_rows,
    image_section,
    network_rows,
    normalisation_rows,
    provenance_section,
    settings_section,
)
from ..report.figures import Figure, RecordWriter, Row, Section, words
from .classes import LESION_CLASSES

__all__ = ["GradingView", "Part", "grading_view"]

DASH = "\N{EM DASH}"
PARTS_SHOWN = 0.02
"""Probabilities below this are left out of a bar."""
SLIVER = 0.4
"""Least width of a part of a bar, percent: the smallest lesion must stay visible."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a bar that shows shares."""

    name: str
    color: str
    width: float
    """Percent of the bar."""
    text: str
    """Its share in words."""


@dataclass(frozen=True)
class GradingView:
    """All texts of a report in the order of the page."""

    record: Mapping[str, Any]
    title: str
    tone: str
    """``good``, ``look`` or ``stop``."""
    headline: Mapping[str, Figure]
    """``name``, ``short``, ``long``, ``western``, ``vienna``; the last four empty without a class."""
    bar: Sequence[Part]
    """Area of glands by class."""
    classes: Section
    fragments: Section
    """Empty where there is one fragment."""
    tumour: Section
    """What was measured of a carcinoma; empty where nothing was."""
    gallery: Sequence[Mapping[str, Any]]
    """Caption and probabilities of each close-up."""
    areas: Section
    facts: Sequence[Section]
    settings: Section
    rules: Sequence[str]
    is_tall: bool
    """Whether the overviews stand side by side rather than below each other."""


def grading_view(record: Mapping[str, Any], *, tone: str) -> GradingView:
    """Return the texts of a report.

    Parameters
    ----------
    record : mapping
        From `grading_record`.
    tone : str
        How loud the badge is.
    """
    writer = RecordWriter(record)
    own = record["colorectal"]
    return GradingView(
        record=record,
        title=f"{record['marker']} report: {record['slide']}",
        tone=tone,
        headline=_headline(writer),
        bar=_bar(own),
        classes=_classes(writer),
        fragments=_fragments(writer),
        tumour=_tumour(writer),
        gallery=[_close_up(writer, number) for number in range(len(own["gallery"]))],
        areas=_areas(writer),
        facts=(image_section(writer), _networks(writer), provenance_section(writer)),
        settings=settings_section(writer),
        rules=tuple(dict.fromkeys(score["rule"] for score in record["scores"])),
        is_tall=record["image"]["height"] > record["image"]["width"],
    )


def _headline(writer: RecordWriter) -> dict[str, Figure]:
    """Return the class with its names; an absent one has no text."""
    shown = {"name": writer.text("scores.0.name"), "sentence": writer.text("summary.sentence")}
    has_class = writer.get("colorectal.class") is not None
    for name in ("short", "name", "western", "vienna"):
        key = "long" if name == "name" else name
        shown[key] = writer.text(f"colorectal.class.{name}") if has_class else words("")
    return shown


def _bar(own: Mapping[str, Any]) -> list[Part]:
    """Return the area of glands by class, uncertain ones last."""
    rows = [(each["short"], each["color"], each["area_mm2"]) for each in own["classes"]]
    rows.append(("Uncertain", "#5c6670", own["uncertain"]["area_mm2"]))
    total = sum(area for _, _, area in rows)
    if not total:
        return []
    widths = [max(100 * area / total, SLIVER) if area else 0.0 for _, _, area in rows]
    scale = 100 / sum(widths)
    return [
        Part(name, color, width * scale, f"{100 * area / total:.1f} %")
        for (name, color, area), width in zip(rows, widths, strict=True)
        if area
    ]


def _classes(writer: RecordWriter) -> Section:
    """Return a line per class, the severest first, uncertain glands last."""
    rows = []
    count = len(writer.get("colorectal.classes"))
    for number in reversed(range(count)):
        path = f"colorectal.classes.{number}"
        each = writer.get(path)
        if each["class_name"] == "signet_ring":
            rows.append(_signet_row(writer, path))
            continue
        if each["standing"] == "absent":
            rows.append(Row((writer.text(f"{path}.short"), *[words(DASH)] * 7)))
            continue
        rows.append(
            Row(
                (
                    writer.text(f"{path}.short"),
                    writer.number(f"{path}.area_mm2", places=3),
                    _percent(each["share"], f"{path}.share"),
                    writer.count(f"{path}.regions"),
                    writer.number(f"{path}.largest_mm2", places=3),
                    writer.count(f"{path}.glands"),
                    writer.number(f"{path}.confidence", places=2),
                    writer.text(f"{path}.standing"),
                ),
                is_strong=_is_result(writer, each["class_name"]),
            )
        )
    if writer.get("colorectal.uncertain.glands"):
        path = "colorectal.uncertain"
        cells = (
            writer.number(f"{path}.area_mm2", places=3),
            *[words(DASH)] * 3,
            writer.count(f"{path}.glands"),
        )
        rows.append(Row((words("Uncertain"), *cells, words(DASH), words("counted apart"))))
    head = ("Class", "Area, mm²", "Of tissue", "Lesions", "Largest, mm²", "Glands", "Confidence", "Evidence")
    return Section("What was found", tuple(rows), head)


def _signet_row(writer: RecordWriter, path: str) -> Row:
    """Return the line of signet-ring cells, which have no area."""
    if writer.get("colorectal.signet") is None:
        told: tuple[Figure, ...] = (*[words(DASH)] * 6, words("not looked for"))
        return Row((words("Signet-ring cells"), *told))
    cells, densest = writer.count("colorectal.signet.cells"), writer.count("colorectal.signet.densest")
    told = (Figure(f"{cells.text} cells", cells.path), words(DASH), words(DASH))
    rest = (Figure(f"{densest.text} in 0.1 mm²", densest.path), words(DASH), words(DASH))
    is_strong = _is_result(writer, "signet_ring")
    return Row(
        (words("Signet-ring cells"), *told, *rest, writer.text(f"{path}.standing")), is_strong=is_strong
    )


def _is_result(writer: RecordWriter, key: str) -> bool:
    """Tell whether a class is the slide's."""
    entry = writer.get("colorectal.class")
    return bool(entry is not None and entry["id"] == key)


def _percent(value: float | None, path: str) -> Figure:
    """Show a share in percent."""
    return words(DASH) if value is None else Figure(f"{100 * value:.1f} %", path)


def _fragments(writer: RecordWriter) -> Section:
    """Return a line per fragment; a single one is told by the slide."""
    fragments = writer.get("colorectal.fragments")
    if len(fragments) < 2:
        return Section("", ())
    rows = []
    for number, each in enumerate(fragments):
        path = f"colorectal.fragments.{number}"
        rows.append(
            Row(
                (
                    writer.text(f"{path}.name"),
                    writer.text(f"{path}.category"),
                    writer.text(f"{path}.vienna"),
                    Figure(", ".join(each["possible"]) or DASH, f"{path}.possible"),
                    writer.number(f"{path}.tissue_mm2", places=2),
                    Figure(_areas_in_words(each), f"{path}.areas_mm2"),
                    writer.text(f"{path}.status_name"),
                )
            )
        )
    head = ("", "Class", "Vienna", "Also possible", "Tissue, mm²", "Glands by class, mm²", "Status")
    return Section("Fragments", tuple(rows), head)


def _areas_in_words(fragment: Mapping[str, Any]) -> str:
    """Return what was found in a fragment, the severest first, such as "HGIN 0.060, Normal 0.120"."""
    told = [
        f"{kind.name} {round_half_up(fragment['areas_mm2'][kind.key], places=3)}"
        for kind in reversed(LESION_CLASSES)
        if kind.key in fragment["areas_mm2"]
    ]
    if fragment["signet_cells"]:
        told.insert(0, f"{fragment['signet_cells']:,} signet-ring cells")
    return ", ".join(told) or DASH


def _tumour(writer: RecordWriter) -> Section:
    """Return the scores that nobody has held against pathologists yet."""
    rows = []
    for number, score in enumerate(writer.get("scores")):
        if Flag.COLORECTAL_EXPERIMENTAL in score["flags"]:
            path = f"scores.{number}"
            shown = (writer.number(f"{path}.value", places=1), writer.text(f"{path}.unit"))
            is_none = score["status"] == Status.NOT_ASSESSABLE
            told = Figure("not assessable", f"{path}.status") if is_none else writer.text(f"{path}.category")
            rows.append(Row((writer.text(f"{path}.name"), *shown, told)))
    head = ("Score", "Value", "Unit", "Category")
    return Section("Carcinoma, experimental", tuple(rows), head) if rows else Section("", ())


def _close_up(writer: RecordWriter, number: int) -> dict[str, Any]:
    """Return caption and probabilities of a close-up."""
    path = f"colorectal.gallery.{number}"
    each = writer.get(path)
    caption = [
        writer.text(f"{path}.name"),
        words(": "),
        writer.number(f"{path}.area_mm2", places=3),
        words(" mm² in "),
        writer.count(f"{path}.glands"),
        words(f" gland{'' if each['glands'] == 1 else 's'}, "),
        writer.number(f"{path}.x_mm", places=2),
        words(" mm from the left, "),
        writer.number(f"{path}.y_mm", places=2),
        words(" mm from the top."),
    ]
    parts = [
        Part(kind.name, kind.color, 100 * value, f"{value:.2f}")
        for kind in reversed(LESION_CLASSES)
        if (value := each["probability"][kind.key]) >= PARTS_SHOWN
    ]
    return {"short": writer.text(f"{path}.short"), "color": each["color"], "caption": caption, "parts": parts}


def _areas(writer: RecordWriter) -> Section:
    """Return the areas of the slide and what was left out of them."""
    rows = area_rows(writer)
    for number, each in enumerate(writer.get("exclusions")):
        value = writer.number(f"exclusions.{number}.area_mm2", places=2)
        rows.append(Row((words(f"Excluded: {each['words']}"), value)))
    return Section("Areas, mm²", tuple(rows))


def _networks(writer: RecordWriter) -> Section:
    """Return the networks and what became of a normalisation of the pixels they saw."""
    return Section("Networks", (*network_rows(writer), *normalisation_rows(writer)))
