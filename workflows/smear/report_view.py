"""A smear report's record as texts, each bound to the place in the record that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...quantify import round_half_up
from ..report.fact_sections import image_section, network_rows, provenance_section, settings_section
from ..report.figures import Figure, RecordWriter, Row, Section, words

__all__ = ["GalleryGroup", "SmearView", "smear_view"]

DASH = "\N{EM DASH}"


@dataclass(frozen=True)
class GalleryGroup:
    """The cells of one class."""

    name: str
    color: str
    cells: tuple[tuple[int, Figure], ...]
    """Place in the gallery, and the probability."""


@dataclass(frozen=True)
class SmearView:
    """All texts of a report in the order of the page."""

    record: Mapping[str, Any]
    title: str
    tone: str
    """``good``, ``look`` or ``stop``."""
    headline: Mapping[str, Figure]
    bar: Sequence[Mapping[str, Any]]
    differential: Section
    counts: Section
    criteria: Sequence[Figure]
    shapes: Section
    gallery: Sequence[GalleryGroup]
    areas: Section
    facts: Sequence[Section]
    settings: Section
    rules: Sequence[str]


def smear_view(record: Mapping[str, Any], *, tone: str) -> SmearView:
    """Return the texts of a report.

    Parameters
    ----------
    record : mapping
        From `smear_record`.
    tone : str
        How loud the badge is.
    """
    writer = RecordWriter(record)
    return SmearView(
        record=record,
        title=f"{record['marker']} report: {record['slide']}",
        tone=tone,
        headline=_headline(writer),
        bar=[
            {**each, "text": f"{round_half_up(each['percent'], places=1)} %"}
            for each in record["smear"]["bar"]
        ],
        differential=_differential(writer),
        counts=_counts(writer),
        criteria=[writer.text(f"scores.{at}.name") for at in record["smear"]["scores"]["criteria"]],
        shapes=_shapes(writer),
        gallery=_gallery(writer),
        areas=_areas(writer),
        facts=(
            image_section(writer),
            Section("Networks", tuple(network_rows(writer))),
            provenance_section(writer),
        ),
        settings=settings_section(writer),
        rules=tuple(dict.fromkeys(score["rule"] for score in record["scores"])),
    )


def _headline(writer: RecordWriter) -> dict[str, Figure]:
    """Return the number of white cells named with what follows from the criteria."""
    score, nothing = writer.get("scores.0"), words("")
    return {
        "name": writer.text("scores.0.name"),
        "value": nothing if score["value"] is None else writer.number("scores.0.value", places=0),
        "needed": writer.count("scores.0.denominator"),
        "category": nothing if score["category"] is None else writer.text("scores.0.category"),
        "sentence": writer.text("summary.sentence"),
    }


def _ends(writer: RecordWriter, at: int, *, places: int) -> list[Figure]:
    """Return the ends of a score's interval, or dashes."""
    if writer.get(f"scores.{at}.interval") is None:
        return [words(DASH), words(DASH)]
    return [writer.number(f"scores.{at}.interval.{end}", places=places) for end in ("low", "high")]


def _differential(writer: RecordWriter) -> Section:
    """Return cells, percentage and interval of each class, with absolute counts where there are some."""
    own = writer.get("smear.scores")
    if not any(writer.get(f"scores.{at}.denominator") for at in own["differential"]):
        return Section("", ())
    absolute = {writer.get(f"scores.{at}.name").split(",")[0]: at for at in own["absolute"]}
    rows = []
    for at in own["differential"]:
        name = writer.get(f"scores.{at}.name")
        cells = [
            writer.text(f"scores.{at}.name"),
            writer.count(f"scores.{at}.numerator"),
            writer.number(f"scores.{at}.value", places=1),
            *_ends(writer, at, places=1),
        ]
        if absolute:
            cells += [
                writer.number(f"scores.{absolute[name]}.value", places=2),
                *_ends(writer, absolute[name], places=2),
            ]
        rows.append(Row(tuple(cells)))
    head = ("Class", "Cells", "%", "95 % from", "to")
    more = ("10⁹/L", "95 % from", "to") if absolute else ()
    return Section("Differential", tuple(rows), (*head, *more))


def _counts(writer: RecordWriter) -> Section:
    """Return all other scores, a line each."""
    rows = []
    for at in writer.get("smear.scores.others"):
        path = f"scores.{at}"
        places = 0 if writer.get(f"{path}.unit") == "cells" else 1
        rows.append(
            Row(
                (
                    writer.text(f"{path}.name"),
                    writer.number(f"{path}.value", places=places),
                    writer.text(f"{path}.unit"),
                    *_ends(writer, at, places=places),
                    writer.text(f"{path}.category"),
                    writer.text(f"{path}.status"),
                )
            )
        )
    return Section(
        "Counts and platelets", tuple(rows), ("", "Value", "Unit", "95 % from", "to", "", "Status")
    )


def _shapes(writer: RecordWriter) -> Section:
    """Return the shapes of red cells."""
    rows = [
        Row(
            (
                writer.text(f"scores.{at}.name"),
                writer.count(f"scores.{at}.numerator"),
                writer.number(f"scores.{at}.value", places=1),
                *_ends(writer, at, places=1),
                writer.text(f"scores.{at}.status"),
            )
        )
        for at in writer.get("smear.scores.shapes")
    ]
    head = ("Change", "Cells", "%", "95 % from", "to", "Status")
    return Section("Shapes of red cells (experimental)", tuple(rows), head) if rows else Section("", ())


def _gallery(writer: RecordWriter) -> list[GalleryGroup]:
    """Return the cells of the gallery by class."""
    groups: dict[str, list[tuple[int, Figure]]] = {}
    colors = {}
    for number, cell in enumerate(writer.get("smear.gallery")):
        figure = writer.number(f"smear.gallery.{number}.probability", places=2)
        groups.setdefault(cell["group"], []).append((number, figure))
        colors[cell["group"]] = cell["color"]
    return [GalleryGroup(_plural(name), colors[name], tuple(cells)) for name, cells in groups.items()]


def _plural(name: str) -> str:
    """Return a class as a heading."""
    if name in ("WBC", "unclassified", "hypochromia", "uncategorised"):
        return {"WBC": "White cells, not named", "unclassified": "Unclassified white cells"}.get(
            name, name.capitalize()
        )
    return f"{name[:1].upper()}{name[1:]}s"


def _areas(writer: RecordWriter) -> Section:
    """Return areas, and what was left out."""
    names = {
        "smear": "Smear, mm²",
        "assessed": "Counted in, mm²",
        "monolayer": "Monolayer, mm²",
        "too_thick": "Too thick, mm²",
        "too_thin": "Too thin, mm²",
        "no_red_cells": "Without red cells, mm²",
        "missing": "Not readable, mm²",
    }
    rows = [
        Row((words(names.get(name, name)), writer.number(f"areas_mm2.{name}", places=4)))
        for name in writer.get("areas_mm2")
    ]
    for number in range(len(writer.get("exclusions"))):
        path = f"exclusions.{number}"
        rows.append(
            Row((words(f"Cells left out: {writer.get(path)['words']}"), writer.count(f"{path}.cells")))
        )
    rows.append(
        Row((words("White cells cut by the border, not named"), writer.count("smear.white_cut_by_border")))
    )
    if writer.get("smear.median_red_um") is not None:
        rows.append(Row((words("Median red cell, µm"), writer.number("smear.median_red_um", places=2))))
    return Section("Areas and exclusions", tuple(rows))
