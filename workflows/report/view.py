"""A report's record as texts, each bound to the place in the record that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .fact_sections import (
    AREA_NAMES,
    image_section,
    normalisation_rows,
    provenance_section,
    settings_section,
)
from .figures import Figure, RecordWriter, Row, Section, words
from .flag_advice import describe_status

__all__ = ["ReportView", "report_view"]

NARROWEST_BAND = 8.0
"""Least width of a band with its name below it, percent of the bar."""


@dataclass(frozen=True)
class ReportView:
    """All texts of a report in the order of the page."""

    record: Mapping[str, Any]
    """What ``report.json`` holds."""
    title: str
    """Of the page."""
    tone: str
    """``good``, ``look`` or ``stop``."""
    headline: Mapping[str, Figure]
    """``value``, ``unit``, ``low``, ``high``, ``level``, ``positive``, ``counted``, ``category``."""
    gauge: Mapping[str, Any] | None
    """Where value, interval and bands lie on a bar from 0 to 100, percent of its width."""
    counts: Section = field(default_factory=lambda: Section("", ()))
    """Nuclei and areas."""
    classes: Section = field(default_factory=lambda: Section("", ()))
    """Counted cells by class, where there are more than two."""
    scores: Section = field(default_factory=lambda: Section("", ()))
    """All scores."""
    sensitivity: Section = field(default_factory=lambda: Section("", ()))
    """The index at three thresholds."""
    hot_spot: Sequence[Figure] = ()
    """Caption of the hot spot."""
    fields: Sequence[Sequence[Figure]] = ()
    """Captions of the fields of view."""
    facts: Sequence[Section] = ()
    """Image, stain and provenance."""
    settings: Section = field(default_factory=lambda: Section("", ()))
    """Every setting."""


def report_view(record: Mapping[str, Any]) -> ReportView:
    """Return the texts of a report.

    Parameters
    ----------
    record : mapping
        From `report_record`.

    Returns
    -------
    ReportView
        Every number in it is read from the record and rounded half up.
    """
    writer = RecordWriter(record)
    return ReportView(
        record=record,
        title=f"{record['marker']} report: {record['slide']}",
        tone=describe_status(record["status"]).tone,
        headline=_headline(writer),
        gauge=_gauge(record),
        counts=_counts(writer),
        classes=_classes(writer),
        scores=_scores(writer),
        sensitivity=_sensitivity(writer),
        hot_spot=_hot_spot_caption(writer),
        fields=[
            _field_caption(writer, f"pictures.fields.{number}")
            for number in range(len(record["pictures"]["fields"]))
        ],
        facts=(image_section(writer), _stain(writer), _provenance(writer)),
        settings=settings_section(writer),
    )


def _headline(writer: RecordWriter) -> dict[str, Figure]:
    """Return the big number and its companions; an absent one has no text."""
    score = writer.get("scores.0")
    shown = {
        "name": writer.text("scores.0.name"),
        "unit": writer.text("scores.0.unit"),
        "positive": writer.count("scores.0.numerator"),
        "counted": writer.count("scores.0.denominator"),
        "sentence": writer.text("summary.sentence"),
    }
    nothing = words("")
    has_interval = score["interval"] is not None
    shown["level"] = writer.number("summary.level_percent", places=0) if has_interval else nothing
    shown["value"] = nothing if score["value"] is None else writer.number("scores.0.value", places=1)
    shown["category"] = nothing if score["category"] is None else writer.text("scores.0.category")
    for end in ("low", "high"):
        path = f"scores.0.interval.{end}"
        shown[end] = writer.number(path, places=1) if has_interval else nothing
    return shown


def _gauge(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the geometry of the bar beside the headline; only a percentage has one."""
    score, scale = record["scores"][0], record["category_scale"]
    if score["value"] is None or score["unit"] != "%":
        return None
    bands, start = [], 0.0
    # Without a category the bands must not suggest one.
    for number, band in enumerate(scale["bands"] if scale and score["category"] is not None else []):
        end = 100.0 if band["upto"] is None else float(band["upto"])
        path = f"category_scale.bands.{number}"
        place = Figure("" if band["upto"] is None else f"{band['upto']:g}", f"{path}.upto")
        # Below a narrow band there is no room for its name.
        fits = end - start >= NARROWEST_BAND
        name = Figure(band["name"], f"{path}.name") if fits else words("")
        bands.append({"start": start, "width": end - start, "name": name, "end": place})
        start = end
    interval = score["interval"] or {"low": score["value"], "high": score["value"]}
    return {"value": score["value"], "low": interval["low"], "high": interval["high"], "bands": bands}


def _counts(writer: RecordWriter) -> Section:
    """Return nuclei and areas, what was counted first and what was left out below."""
    dash = words("")
    noun = writer.get("words.noun")
    positive = writer.get("words.positive")
    is_plain = positive == "positive"
    rows = [
        Row(
            (
                words(f"Positive {noun}" if is_plain else positive[:1].upper() + positive[1:]),
                writer.count("counts.positive"),
                dash,
            )
        ),
        Row((words(f"Negative {noun}" if is_plain else "Others"), writer.count("counts.negative"), dash)),
        Row((words("Counted"), writer.count("counts.counted"), dash), is_strong=True),
    ]
    for number in range(len(writer.get("exclusions"))):
        path = f"exclusions.{number}"
        name = Figure(f"Excluded: {writer.get(f'{path}.words')}")
        rows.append(Row((name, writer.count(f"{path}.nuclei"), writer.number(f"{path}.area_mm2", places=2))))
    rows.append(Row((words("Found in all"), writer.count("counts.found"), dash), is_strong=True))
    for name in writer.get("areas_mm2"):
        label = AREA_NAMES.get(name, name.replace("_", " ").capitalize())
        rows.append(Row((words(label), dash, writer.number(f"areas_mm2.{name}", places=2))))
    return Section("Counts and exclusions", tuple(rows), ("", noun.capitalize(), "Area, mm²"))


def _classes(writer: RecordWriter) -> Section:
    """Return the counted cells by class; two classes are told by the counts already."""
    classes = writer.get("classes")
    if len(classes) < 3:
        return Section("", ())
    rows = [
        Row((writer.text(f"classes.{number}.name"), writer.count(f"classes.{number}.count")))
        for number in range(len(classes))
    ]
    noun = writer.get("words.noun").capitalize()
    return Section(f"{noun} by class", tuple(rows), ("Class", noun))


def _scores(writer: RecordWriter) -> Section:
    """Return one line per score."""
    rows = []
    for number, score in enumerate(writer.get("scores")):
        path = f"scores.{number}"
        # Shares of 1 and ratios say nothing with one decimal; points of a scale are whole.
        places = 1 if score["unit"] or score["value"] is None or score["value"] % 1 == 0 else 2
        interval = [words("\N{EM DASH}")] * 2
        if score["interval"] is not None:
            interval = [writer.number(f"{path}.interval.{end}", places=places) for end in ("low", "high")]
        cells = (
            writer.text(f"{path}.name"),
            writer.number(f"{path}.value", places=places),
            writer.text(f"{path}.unit"),
            *interval,
            writer.text(f"{path}.interval.method") if score["interval"] else words("\N{EM DASH}"),
            writer.count(f"{path}.numerator"),
            writer.count(f"{path}.denominator"),
            writer.text(f"{path}.category"),
            writer.text(f"{path}.status"),
        )
        rows.append(Row(cells, is_strong=number == 0))
    head = ("Score", "Value", "Unit", "Low", "High", "Interval", "Positive", "Of", "Category", "Status")
    return Section("Scores", tuple(rows), head)


def _sensitivity(writer: RecordWriter) -> Section:
    """Return the index at the threshold used and at the two ends of the band."""
    if writer.get("threshold_curve") is None:
        return Section("", ())
    by_density = bool(writer.get("threshold_curve.decides"))
    used = "Used" if by_density else "Usual"
    title = "Sensitivity to the threshold" if by_density else "What DAB density alone would give"
    rows = [
        Row(
            (
                words(label),
                writer.number(f"threshold_curve.{name}", places=2),
                writer.number(f"threshold_curve.index_{name}", places=1),
            ),
            is_strong=name == "used",
        )
        for name, label in (("low", "Lower"), ("used", used), ("high", "Higher"))
    ]
    return Section(title, tuple(rows), ("Threshold", "DAB, OD", "Index, %"))


def _hot_spot_caption(writer: RecordWriter) -> list[Figure]:
    """Return the words below the hot spot's picture."""
    caption = []
    if writer.get("hot_spot") is not None:
        caption += [
            words("Hot spot at "),
            writer.number("hot_spot.x_mm", places=2),
            words(" mm from the left, "),
            writer.number("hot_spot.y_mm", places=2),
            words(" mm from the top, radius "),
            writer.number("hot_spot.radius_um", places=0),
            words(" µm. "),
        ]
    if writer.get("pictures.hot_spot") is not None:
        caption += _field_caption(writer, "pictures.hot_spot")
    return caption


def _field_caption(writer: RecordWriter, path: str) -> list[Figure]:
    """Return the words below a field of view."""
    if not writer.get(f"{path}.counted"):
        return [words(f"No {writer.get('words.noun')} counted in this field.")]
    return [
        writer.count(f"{path}.positive"),
        words(" of "),
        writer.count(f"{path}.counted"),
        words(f" {writer.get('words.noun')} {writer.get('words.positive')} ("),
        writer.number(f"{path}.percent", places=1),
        words(" %), field of "),
        writer.number(f"{path}.side_um", places=0),
        words(" µm"),
    ]


def _stain(writer: RecordWriter) -> Section:
    """Return white point and stain vectors."""
    second = "Eosin" if "H&E" in writer.get("stain.source") else "DAB"
    rows = (
        Row((words("Vectors"), writer.text("stain.source"))),
        Row((words("White point R, G, B"), *writer.numbers("stain.background", places=0))),
        Row((words("Hematoxylin R, G, B"), *writer.numbers("stain.hematoxylin", places=3))),
        Row((words(f"{second} R, G, B"), *writer.numbers("stain.chromogen", places=3))),
        *normalisation_rows(writer),
    )
    return Section("Stain", rows)


def _provenance(writer: RecordWriter) -> Section:
    """Return software, detector and the check at the seams."""
    rows = [
        Row((words("Detector"), writer.text("detector.name"))),
        Row((words("Detector version"), writer.text("detector.version"))),
    ]
    for label, key in (("Weights' licence", "licence"), ("Weights, sha256", "sha256")):
        if writer.get(f"detector.{key}"):
            rows.append(Row((words(label), writer.text(f"detector.{key}"))))
    seam = writer.number("provenance.seam_density", places=2)
    rows.append(Row((words("Cells at tile borders, relative density"), seam)))
    return provenance_section(writer, rows)
