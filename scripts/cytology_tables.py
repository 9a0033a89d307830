"""Tables, cards and plain values of the cell classifiers' figures, for scripts/accuracy_cytology.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cytology_readings import Reading
from numpy.typing import NDArray

from slidelab.models.cell_classifier import CellClassifier
from slidelab.quantify import confusion_table
from slidelab.workflows.learning.cell_accuracy import (
    CellFigure,
)

SCRIPT = "scripts/accuracy_cytology.py"
Row = tuple[str, str, CellFigure, float | None]
"""Data, figure's name, figure, and what was wanted."""


def describe(classifier: CellClassifier) -> str:
    """Return a line on a model."""
    thresholds = classifier.thresholds
    return (
        f"Crops of {classifier.side} px at {classifier.mpp:g} um per px. Temperature "
        f"{thresholds.temperature:g}, unknown below {thresholds.reject_below:g}, "
        f"{thresholds.views:g} view(s). Intervals: 95 %; Wilson for shares, DeLong for areas, 2,000 draws of "
        "photographs, fields or pictures for the others."
    )


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure as text."""
    return "-" if value is None else f"{value:.{digits}f}"


def table(head: Sequence[object], lines: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


def figure_table(rows: Sequence[Row]) -> str:
    """Return the figures of a model."""
    lines = []
    for data, name, figure, wanted in rows:
        inside = figure.interval
        reached = number(figure.value)
        if inside is not None:
            reached += f" ({number(inside.low)}-{number(inside.high)})"
        lines.append([data, name, "-" if wanted is None else wanted, reached, figure.cells])
    return table(["data", "figure", "wanted", "reached", "cells"], lines)


def confusion(reading: Reading, classes: Sequence[str]) -> str:
    """Return a confusion table of the classes that occur."""
    called = [classes[best] for best in reading.logits.argmax(1)]
    counts = confusion_table(reading.labels.tolist(), called, categories=list(classes))
    seen = counts.sum(1) > 0
    return table(
        ["", *classes], [row for row, kept in zip(named_rows(classes, counts), seen, strict=True) if kept]
    )


def named_rows(names: Sequence[str], counts: NDArray[np.int64]) -> list[list[object]]:
    """Return lines of a table with their names."""
    return [[name, *line.tolist()] for name, line in zip(names, counts, strict=True)]


def plain_row(row: Row) -> dict[str, Any]:
    """Return a figure as plain values."""
    data, name, figure, wanted = row
    inside = figure.interval
    return {
        "set": data,
        "name": name,
        "value": figure.value,
        "low": inside.low if inside else None,
        "high": inside.high if inside else None,
        "n": figure.cells,
        "wanted": wanted,
    }


def metric(row: Row) -> Mapping[str, Any]:
    """Return a figure as a model card holds it."""
    values = plain_row(row)
    del values["wanted"]
    rounded = {
        key: values[key] if values[key] is None else round(values[key], 4) for key in ("value", "low", "high")
    }
    return {**values, **rounded, "part": "validation", "script": SCRIPT}


def write_between(page: Path, text: str) -> None:
    """Put the tables between the marks of a page."""
    begin, end = "<!-- begin cytology -->", "<!-- end cytology -->"
    head, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(f"{head}{begin}\n\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")
