"""Reads what a finished run says of its slides: headline, status and category, from the files it wrote."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import RunFolderError
from ...quantify import Status
from .cohort_report import FAILED, SUMMARY_COLUMNS
from .reference_table import spreadsheet_text

__all__ = ["RunValue", "RunValues", "read_run"]


@dataclass(frozen=True, slots=True)
class RunValue:
    """The headline of one slide."""

    slide: str
    """Id of the slide in the run."""
    status: str
    """Status of the result, or ``FAILED``."""
    value: float | None
    """Unrounded."""
    category: str | None
    report: str
    """Where its report lies, from the run's folder; empty without one."""

    @property
    def is_comparable(self) -> bool:
        """Whether the number rests on enough to be held against a reference."""
        return self.status != FAILED and Status(self.status).allows_category and self.value is not None


@dataclass(frozen=True, slots=True)
class RunValues:
    """The headlines of a run."""

    workflow: str
    """Such as ``ki67``; empty where the run does not say."""
    score: str
    """Name of the score."""
    unit: str
    slides: tuple[RunValue, ...]
    bands: tuple[tuple[str, float | None], ...]
    """Categories from low to high with their upper ends; empty where the run has no cut-offs."""
    bands_title: str
    """Whose cut-offs they are."""
    result_sha256: str
    """Digest of the run's results; empty where the run does not say."""


def read_run(folder: Path) -> RunValues:
    """Read the headlines of a finished run.

    Parameters
    ----------
    folder : Path
        The run's folder, with ``summary.csv`` and a ``report.json`` per slide.

    Returns
    -------
    RunValues
        In the order of ``summary.csv``.

    Raises
    ------
    RunFolderError
        If the folder holds no finished run, or its slides have different scores.
    """
    summary = folder / "summary.csv"
    if not summary.is_file():
        raise RunFolderError(
            f"{folder} holds no finished run: there is no summary.csv",
            "Name the --out folder of a finished run.",
        )
    with summary.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if not set(SUMMARY_COLUMNS) <= set(reader.fieldnames or ()):
            raise RunFolderError(f"{summary} is not the summary of a run", "Run the slides again.")
        rows = list(reader)
    scores = {(row["score"], row["unit"]) for row in rows if row["score"]}
    if len(scores) > 1:
        names = ", ".join(sorted(f"{name} ({unit})" for name, unit in scores))
        raise RunFolderError(f"{summary} mixes scores: {names}", "Validate one score at a time.")
    score, unit = next(iter(scores), ("", ""))
    slides = tuple(_value(row) for row in rows)
    scale = _scale(folder, slides)
    facts = _read_json(folder / "run.json")
    return RunValues(
        workflow=str(facts.get("workflow", "")),
        score=spreadsheet_text(score),
        unit=spreadsheet_text(unit),
        slides=slides,
        bands=tuple((str(band["name"]), band["upto"]) for band in scale.get("bands", ())),
        bands_title=str(scale.get("title", "")),
        result_sha256=str(facts.get("result_sha256", "")),
    )


def _value(row: dict[str, str]) -> RunValue:
    """Turn a line of the summary into a value."""
    return RunValue(
        slide=spreadsheet_text(row["slide"]),
        status=row["status"],
        value=float(row["value"]) if row["value"] else None,
        category=spreadsheet_text(row["category"]) or None,
        report=spreadsheet_text(row["report"]),
    )


def _scale(folder: Path, slides: tuple[RunValue, ...]) -> dict[str, Any]:
    """Return the cut-offs of the first report that names some."""
    for slide in slides:
        if slide.report:
            scale = _read_json((folder / slide.report).with_suffix(".json")).get("category_scale")
            if scale:
                return dict(scale)
    return {}


def _read_json(path: Path) -> dict[str, Any]:
    """Return an object from a JSON file; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunFolderError(f"{path} is no JSON file", "Run the slides again.") from error
    return value
