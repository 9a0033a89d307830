"""Reads a laboratory's reference: a CSV list of slides with values or categories by one or more readers."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from ...errors import InvalidTableError, SettingsError

__all__ = ["Reading", "ReferenceTable", "read_reference", "spreadsheet_text"]

COLUMNS = ("slide", "value", "category", "patient", "reader")
ONE_READER = "reference"
"""Name of the reader where the list has no column for it."""
ADVICE = "Its first line must name the columns: slide, value and/or category, optionally patient and reader."


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader says of one slide."""

    slide: str
    """Id of the slide in the run."""
    reader: str
    value: float | None
    """In the unit of the run's score."""
    category: str | None


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """All readings of a reference list."""

    readings: tuple[Reading, ...]
    """In the order of the list."""
    patients: Mapping[str, str] | None
    """Patient of each slide; None where the list has no such column."""
    ignored_columns: tuple[str, ...] = ()
    """Columns that mean nothing here."""

    @property
    def slides(self) -> tuple[str, ...]:
        """Every slide once, in the order of the list."""
        return tuple(dict.fromkeys(reading.slide for reading in self.readings))

    @property
    def readers(self) -> tuple[str, ...]:
        """Every reader once, by name."""
        return tuple(sorted({reading.reader for reading in self.readings}))

    def by_reader(self, reader: str) -> dict[str, Reading]:
        """Return the readings of one reader by slide."""
        return {reading.slide: reading for reading in self.readings if reading.reader == reader}


def read_reference(path: Path) -> ReferenceTable:
    """Read a reference list.

    Parameters
    ----------
    path : Path
        CSV file, UTF-8, with commas, or with semicolons and then either decimal point or comma. Columns
        ``slide``, ``value`` and/or ``category``, optionally ``patient`` and ``reader``; others are ignored
        and named in the result. An empty value or category is a reading that was not made.

    Returns
    -------
    ReferenceTable

    Raises
    ------
    SettingsError
        If the file is not there or no text.
    InvalidTableError
        If a column is missing, a slide occurs twice for one reader or belongs to two patients, a number is
        none, or there are no lines.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise SettingsError(
            f"cannot read the reference {path}: {error.strerror}", "Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"the reference {path} is no UTF-8 text", "Save it as CSV UTF-8.") from error
    head = lines[0] if lines else ""
    separator = ";" if head.count(";") > head.count(",") else ","
    rows = csv.reader(lines, delimiter=separator)
    columns = [name.strip().lower() for name in next(rows, [])]
    _check_columns(path, columns)
    readings: list[Reading] = []
    patients: dict[str, str] = {}
    for number, cells in enumerate(rows, start=2):
        row = {name: spreadsheet_text(cell.strip()) for name, cell in zip(columns, cells, strict=False)}
        if not any(row.values()):
            continue
        readings.append(_reading(row, f"line {number} of {path.name}", decimal_comma=separator == ";"))
        if "patient" in columns:
            _note_patient(patients, row, f"line {number} of {path.name}")
    _check_readings(path, readings)
    unknown = tuple(name for name in columns if name not in COLUMNS)
    return ReferenceTable(tuple(readings), patients if "patient" in columns else None, unknown)


def spreadsheet_text(cell: str) -> str:
    """Take away the quote that keeps a spreadsheet from running a cell as a formula."""
    return cell[1:] if len(cell) > 1 and cell[0] == "'" and cell[1] in "=+-@\t\r" else cell


def _check_columns(path: Path, columns: list[str]) -> None:
    """Refuse a list without the columns that are needed."""
    twice = [name for name, times in Counter(columns).items() if times > 1 and name in COLUMNS]
    if twice:
        raise InvalidTableError(f"{path.name} has the column {twice[0]!r} twice", ADVICE)
    if "slide" not in columns or not {"value", "category"} & set(columns):
        missing = "slide" if "slide" not in columns else "value or category"
        raise InvalidTableError(f"{path.name} has no column {missing}", ADVICE)


def _reading(row: Mapping[str, str], place: str, *, decimal_comma: bool) -> Reading:
    """Turn one line into a reading."""
    slide, text = row.get("slide", ""), row.get("value", "")
    if not slide:
        raise InvalidTableError(f"{place} names no slide", "Fill in the column 'slide'.")
    try:
        value = float(text.replace(",", ".") if decimal_comma else text) if text else None
    except ValueError:
        value = float("nan")
    if value is not None and not isfinite(value):
        raise InvalidTableError(
            f"{place}: value {text!r} is no number", "Write a number such as 12.5, or nothing."
        )
    reader = row.get("reader", ONE_READER)
    if not reader:
        raise InvalidTableError(f"{place} names no reader", "Fill in the column 'reader' or leave it out.")
    return Reading(slide, reader, value, row.get("category") or None)


def _note_patient(patients: dict[str, str], row: Mapping[str, str], place: str) -> None:
    """Remember the patient of a slide."""
    slide, patient = row["slide"], row.get("patient", "")
    if not patient:
        raise InvalidTableError(f"{place} names no patient", "Fill in the column 'patient' or leave it out.")
    if patients.setdefault(slide, patient) != patient:
        raise InvalidTableError(
            f"{place}: slide {slide} belongs to {patients[slide]} and to {patient}",
            "Name one patient per slide.",
        )


def _check_readings(path: Path, readings: list[Reading]) -> None:
    """Refuse an empty list and slides that one reader read twice."""
    if not readings:
        raise InvalidTableError(f"{path.name} holds no readings", ADVICE)
    times = Counter((reading.slide, reading.reader) for reading in readings)
    twice = [slide for (slide, _), count in times.items() if count > 1]
    if twice:
        raise InvalidTableError(
            f"{path.name} has more than one reading by one reader of: {', '.join(dict.fromkeys(twice))}",
            "Keep one line per slide, or name the readers in a column 'reader'.",
        )
