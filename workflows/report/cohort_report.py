"""Writes what a cohort is told: ``summary.csv``, ``failures.csv`` and ``cohort.html``."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...quantify import round_half_up
from ...tiling import atomic_file
from .flag_advice import StatusWords, describe_status
from .record import RESEARCH_USE
from .write import page_environment

__all__ = ["Failure", "SlideRow", "write_cohort_report"]

FAILED = "FAILED"
"""Status of a slide without a result."""
COUNT_COLUMNS = ("score", "value", "low", "high", "numerator", "denominator", "unit", "category", "flags")
SUMMARY_COLUMNS = ("slide", "path", "status", *COUNT_COLUMNS, "report")
FAILURE_COLUMNS = ("slide", "path", "stage", "reason", "advice")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins with one of these for a formula and may run it."""
FAILED_WORDS = StatusWords("Failed", "No result; the reason is below.", "stop")
STATUS_ORDER = (FAILED, "NOT_ASSESSABLE", "INSUFFICIENT", "PARTIAL", "REVIEW", "OK")
"""What needs a person comes first."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong with a slide."""

    slide: str
    """Name of the slide in the run."""
    path: str
    """Its file."""
    stage: str
    """Where it happened, such as ``open`` or ``tile 17``."""
    reason: str
    """What is wrong, one line."""
    advice: str
    """What to do, one line."""
    tile: int | None = None
    """The tile, if it was one."""


@dataclass(frozen=True, slots=True)
class SlideRow:
    """One slide's line of the summary."""

    slide: str
    """Name of the slide in the run."""
    path: str
    """Its file."""
    status: str
    """Status of the result, or ``FAILED``."""
    score: str | None = None
    """Name of the headline score."""
    value: float | None = None
    """In ``unit``, unrounded."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end of the interval."""
    numerator: int | None = None
    """Positive nuclei."""
    denominator: int | None = None
    """Counted nuclei."""
    unit: str | None = None
    """Such as ``%``."""
    category: str | None = None
    """Clinical category."""
    flags: tuple[str, ...] = ()
    """Codes of all warnings."""

    @property
    def report(self) -> str:
        """Where the slide's report lies, from the results folder; empty without a result."""
        return "" if self.status == FAILED else f"slides/{self.slide}/report.html"

    @classmethod
    def from_record(cls, slide: str, path: str, record: Mapping[str, Any] | None) -> SlideRow:
        """Take the line from the content of a ``report.json``; None stands for a failed slide."""
        if record is None:
            return cls(slide, path, FAILED)
        headline = record["scores"][0]
        interval = headline["interval"] or {}
        return cls(
            slide,
            path,
            status=record["status"],
            score=headline["name"],
            value=headline["value"],
            low=interval.get("low"),
            high=interval.get("high"),
            numerator=headline["numerator"],
            denominator=headline["denominator"],
            unit=headline["unit"],
            category=headline["category"],
            flags=tuple(record["flags"]),
        )


def write_cohort_report(
    folder: str | os.PathLike[str], *, title: str, rows: Sequence[SlideRow], failures: Sequence[Failure]
) -> None:
    """Write the three files into a results folder.

    Parameters
    ----------
    folder : str or path
        The run's folder.
    title : str
        Name of the workflow.
    rows : sequence of SlideRow
        Every slide of the run, failed ones too.
    failures : sequence of Failure
        Everything that went wrong.

    Notes
    -----
    The tables are sorted by slide, the page by what needs a person first. Numbers are unrounded in the
    tables and rounded on the page. ``failures.csv`` is written without failures too: empty but for its head.
    """
    place = Path(folder)
    by_name = sorted(rows, key=lambda row: _natural(row.slide))
    listed = sorted(failures, key=lambda failure: (_natural(failure.slide), _natural(failure.stage)))
    _write_table(place / "summary.csv", SUMMARY_COLUMNS, by_name)
    _write_table(place / "failures.csv", FAILURE_COLUMNS, listed)
    page = page_environment().get_template("cohort.html.j2")
    text = page.render(
        title=title,
        lines=[_line(row) for row in sorted(by_name, key=_urgency)],
        tally=_tally(by_name),
        strip=_strip(by_name),
        failures=listed,
        research_use=RESEARCH_USE,
    )
    with atomic_file(place / "cohort.html") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Any]) -> None:
    """Write objects as the lines of a CSV file: UTF-8, quoted where needed, no cell a formula."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(getattr(row, column)) for column in columns])


def _cell(value: Any) -> str | int | float:
    """Return a value as a spreadsheet may safely read it."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    text = ";".join(value) if isinstance(value, tuple) else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort names as people count: slide-2 before slide-10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]


def _urgency(row: SlideRow) -> int:
    """Return the place of a status in the order of what needs a person; the sort keeps names in order."""
    return STATUS_ORDER.index(row.status) if row.status in STATUS_ORDER else 0


def _line(row: SlideRow) -> dict[str, Any]:
    """Return what the page shows of a slide."""
    words = FAILED_WORDS if row.status == FAILED else describe_status(row.status)
    shown = {name: _rounded(getattr(row, name)) for name in ("value", "low", "high")}
    is_percent = row.unit == "%" and row.value is not None
    return {
        "row": row,
        "words": words,
        "shown": shown,
        "bar": {"value": row.value, "low": row.low, "high": row.high} if is_percent else None,
        "link": quote(row.report),  # a name may hold anything: quoted, it can only be a relative address
    }


def _rounded(value: float | None) -> str | None:
    """Round half up to one decimal."""
    return None if value is None else str(round_half_up(value, places=1))


def _tally(rows: Sequence[SlideRow]) -> list[dict[str, Any]]:
    """Return how many slides have each status, in the order of the page."""
    counts = [(status, sum(row.status == status for row in rows)) for status in STATUS_ORDER]
    return [
        {"words": FAILED_WORDS if status == FAILED else describe_status(status), "count": count}
        for status, count in counts
        if count
    ]


def _strip(rows: Sequence[SlideRow]) -> list[dict[str, Any]]:
    """Place every percentage on a strip from 0 to 100; equal places are stacked."""
    heights: dict[int, int] = {}
    dots = []
    for row in sorted((row for row in rows if row.value is not None and row.unit == "%"), key=_value):
        column = round(_value(row))
        heights[column] = heights.get(column, -1) + 1
        dots.append({"x": column, "y": heights[column], "row": row, "value": _rounded(row.value)})
    return dots


def _value(row: SlideRow) -> float:
    """Return the value of a row that has one."""
    return row.value or 0.0
