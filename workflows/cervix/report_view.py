"""A screening report's record as texts, each bound to the place in the record that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...quantify import round_half_up
from ..report.fact_sections import area_rows, image_section, provenance_section, settings_section
from ..report.figures import Figure, RecordWriter, Row, Section, words

__all__ = ["ScreeningView", "screening_view"]

DASH = "\N{EM DASH}"
EN_DASH = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
AREA_NAMES: Mapping[str, str] = {
    "scanned": "Scanned",
    "tissue": "Covered by cells",
    "assessed": "Of these assessed",
    "excluded": "Of these excluded",
    "missing": "Could not be read",
}
SHOWN = 0.05
"""Smaller probabilities are left out."""
MOST_CHANCES = 3
"""Classes shown below an object, the likeliest first."""
EXCLUDED_WORDS = {
    "unknown": "unknown to the model",
    "out_of_focus": "out of focus: not counted",
    "thick": "in a thick group: not counted",
}
"""Why a call does not count (`evidence.SHOWN`)."""


@dataclass(frozen=True)
class ScreeningView:
    """All texts of a report in the order of the page."""

    record: Mapping[str, Any]
    title: str
    tone: str
    """``good``, ``look`` or ``stop``."""
    code: Figure
    """The headline's code; words where there is none."""
    adequacy: Section
    classes: Section
    findings: Section
    cells: Section
    gallery: Sequence[Mapping[str, Any]]
    """Texts of each object."""
    triage: Section
    areas: Section
    facts: Sequence[Section]
    settings: Section
    rules: Sequence[str]


def screening_view(record: Mapping[str, Any], *, tone: str) -> ScreeningView:
    """Return the texts of a report.

    Parameters
    ----------
    record : mapping
        From `screening_record`.
    tone : str
        How loud the badge is.
    """
    writer = RecordWriter(record)
    category = record["scores"][0]["category"]
    return ScreeningView(
        record=record,
        title=f"{record['marker']} report: {record['slide']}",
        tone=tone,
        code=writer.text("scores.0.category") if category else words("No interpretation"),
        adequacy=_adequacy(writer),
        classes=_classes(writer),
        findings=_findings(writer),
        cells=_cells(writer),
        gallery=[_object(writer, number) for number in range(len(record["cervix"]["gallery"]))],
        triage=_triage(writer),
        areas=Section("Areas, mm²", tuple(area_rows(writer, AREA_NAMES))),
        facts=(image_section(writer), _networks(writer), provenance_section(writer)),
        settings=settings_section(writer),
        rules=tuple(dict.fromkeys(score["rule"] for score in record["scores"])),
    )


def _adequacy(writer: RecordWriter) -> Section:
    """Return squamous cells, transformation zone and obscured share."""
    rows = []
    for number, score in enumerate(writer.get("scores")):
        if score["unit"] not in ("cells", "%"):
            continue
        path = f"scores.{number}"
        places = 1 if score["unit"] == "%" else 0
        value = writer.number(f"{path}.value", places=places)
        shown = words(DASH) if score["value"] is None else value
        interval = score["interval"]
        ends: tuple[Figure, ...] = (words(DASH),)
        if interval is not None:
            low, high = (round_half_up(interval[end], places=places) for end in ("low", "high"))
            ends = (Figure(f"{low:,}{EN_DASH}{high:,}", f"{path}.interval"),)
        needed = writer.count(f"{path}.denominator") if score["unit"] == "cells" else words(DASH)
        rows.append(
            Row(
                (
                    writer.text(f"{path}.name"),
                    shown,
                    words(score["unit"]),
                    *ends,
                    needed,
                    _category(writer, path),
                )
            )
        )
    return Section("Adequacy", tuple(rows), ("", "Estimate", "", "95 % interval", "Needed", "Verdict"))


def _category(writer: RecordWriter, path: str) -> Figure:
    """Return the category of a score, or a dash."""
    return writer.text(f"{path}.category") if writer.get(f"{path}.category") else words(DASH)


def _classes(writer: RecordWriter) -> Section:
    """Return a line per class of cells."""
    rows = []
    results = writer.get("cervix.interpretations")
    for number, each in enumerate(writer.get("cervix.classes")):
        path = f"cervix.classes.{number}"
        rows.append(
            Row(
                (
                    writer.text(f"{path}.code"),
                    writer.text(f"{path}.term"),
                    writer.count(f"{path}.named"),
                    writer.count(f"{path}.accepted"),
                    writer.count(f"{path}.needed"),
                    writer.number(f"{path}.threshold", places=2),
                    writer.text(f"{path}.state"),
                ),
                is_strong=each["code"] in results,
            )
        )
    head = ("", "Term", "Named", "Accepted", "Needed", "From p", "Model")
    return Section("Cells by class", tuple(rows), head)


def _findings(writer: RecordWriter) -> Section:
    """Return a line per organism."""
    rows = []
    for number, each in enumerate(writer.get("cervix.findings")):
        path = f"cervix.findings.{number}"
        rows.append(
            Row(
                (
                    writer.text(f"{path}.term"),
                    writer.count(f"{path}.accepted"),
                    writer.count(f"{path}.needed"),
                    writer.text(f"{path}.state"),
                ),
                is_strong=each["listed"],
            )
        )
    return Section("Organisms", tuple(rows), ("", "Accepted", "Needed", "Model"))


def _cells(writer: RecordWriter) -> Section:
    """Return the cells by kind and what was looked at."""
    kinds = writer.get("cervix.kinds")
    rows = [Row((words(name.capitalize()), writer.count(f"cervix.kinds.{name}"))) for name in kinds]
    rows += [
        Row((words("Named by the model"), writer.count("cervix.looked"))),
        Row((words("Of these other or unknown"), writer.count("cervix.unknown"))),
    ]
    for number, each in enumerate(writer.get("exclusions")):
        rows.append(Row((words(f"Excluded: {each['words']}"), writer.count(f"exclusions.{number}.nuclei"))))
    return Section("Cells by their measures", tuple(rows))


def _object(writer: RecordWriter, number: int) -> dict[str, Any]:
    """Return the texts of one object of the gallery."""
    path = f"cervix.gallery.{number}"
    each = writer.get(path)
    best = sorted(each["chances"].items(), key=lambda item: -item[1])[:MOST_CHANCES]
    chances = ", ".join(f"{code} {round_half_up(value, places=2)}" for code, value in best if value >= SHOWN)
    ratio = DASH if each["nc"] is None else str(round_half_up(each["nc"], places=2))
    dark = (
        DASH
        if each["hyperchromasia"] is None
        else f"{round_half_up(each['hyperchromasia'], places=1)}{TIMES}"
    )
    told = [
        f"nucleus {round_half_up(each['nucleus_um2'], places=0)} µm²",
        f"R {round_half_up(each['size'], places=1)}",
        f"N:C {ratio}",
        f"density {dark}",
    ]
    if each["group_cells"] > 1:
        told.append(f"group of {each['group_cells']}")
    place = (
        f"{round_half_up(each['x_mm'], places=2)} mm from the left, "
        f"{round_half_up(each['y_mm'], places=2)} mm from the top"
    )
    standing = _standing(each)
    return {
        "rank": writer.count(f"{path}.rank"),
        "code": writer.text(f"{path}.code"),
        "color": each["color"],
        "probability": writer.number(f"{path}.probability", places=2),
        "standing": standing,
        "chances": chances,
        "measures": ", ".join(told),
        "place": place,
        "link": each["link"],
    }


def _standing(each: Mapping[str, Any]) -> str:
    """Return what became of an object's call."""
    if each["excluded"]:
        return EXCLUDED_WORDS[each["excluded"]]
    if each["code"] == "NILM":
        return "no call"
    return "accepted" if each["accepted"] else "below threshold"


def _triage(writer: RecordWriter) -> Section:
    """Return risk and what became of the slide."""
    own = writer.get("cervix.triage")
    cleared = "yes" if own["cleared"] else "no"
    rows = [
        Row((words("Risk, for the order of the worklist"), writer.number("cervix.risk", places=3))),
        Row((words("Cleared without reading"), Figure(cleared, "cervix.triage.cleared"))),
        Row((words("Laboratory profile"), words(own["lab"] or "none"))),
    ]
    return Section("Triage", tuple(rows))


def _networks(writer: RecordWriter) -> Section:
    """Return the networks."""
    rows = []
    for number in range(len(writer.get("networks"))):
        path = f"networks.{number}"
        rows += [
            Row((words("Model"), writer.text(f"{path}.name"))),
            Row((words("Version"), writer.text(f"{path}.version"))),
            Row((words("Resolution, µm per px"), writer.number(f"{path}.mpp", places=2))),
            Row((words("Licence"), writer.text(f"{path}.licence"))),
        ]
        if writer.get(f"{path}.sha256"):
            rows.append(Row((words("Weights, sha256"), writer.text(f"{path}.sha256"))))
    return Section("Models", tuple(rows))
