"""``cohort.csv``: a line per smear with its counts, differential and platelets."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...quantify import FIVE_PARTS
from ...tiling import atomic_file
from ..runs.workflow import CohortRun

__all__ = ["write_smear_cohort"]

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins with one of these for a formula and may run it."""
COUNTS = {
    "Red cells counted": "red_cells",
    "White cells counted": "white_cells",
    "Platelets counted": "platelets",
}
PLATELETS = {
    "Platelets per oil field": "platelets_per_field",
    "Platelet estimate": "platelet_estimate_giga_per_l",
}
COLUMNS = (
    "smear",
    "status",
    "category",
    "fields",
    *COUNTS.values(),
    "white_cells_named",
    *(
        f"{name}_{what}"
        for name in (*FIVE_PARTS, "unclassified")
        for what in ("cells", "percent", "low", "high")
    ),
    *(f"{name}{end}" for name in PLATELETS.values() for end in ("", "_low", "_high", "_status")),
    "flags",
    "report",
)


def write_smear_cohort(run: CohortRun) -> Path:
    """Write ``cohort.csv`` into a run's folder; unrounded numbers, empty where there is none.

    Smears that failed have a line with their status alone.
    """
    path = run.out / "cohort.csv"
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="")
        writer.writeheader()
        for outcome in sorted(run.outcomes, key=lambda each: each.slide.slide_id):
            row = {"smear": outcome.slide.slide_id, "status": outcome.status}
            if outcome.record:
                row |= _row(outcome.record)
                row["report"] = f"slides/{outcome.slide.slide_id}/report.html"
            writer.writerow({name: _safe(value) for name, value in row.items()})
    return path


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of one smear."""
    row: dict[str, Any] = {
        "category": record["scores"][0]["category"],
        "white_cells_named": record["scores"][0]["numerator"],
        "fields": record["smear"]["fields"],
        "flags": " ".join(record["flags"]),
    }
    for score in record["scores"]:
        name, interval = score["name"], score["interval"] or {}
        if name in COUNTS:
            row[COUNTS[name]] = score["numerator"]
        elif name in PLATELETS:
            row |= {
                PLATELETS[name]: score["value"],
                f"{PLATELETS[name]}_low": interval.get("low"),
                f"{PLATELETS[name]}_high": interval.get("high"),
                f"{PLATELETS[name]}_status": score["status"],
            }
        elif score["rule"].startswith("smear.differential/"):
            known = "unclassified" if name.startswith("Unclassified") else name.lower().removesuffix("s")
            row |= {
                f"{known}_cells": score["numerator"],
                f"{known}_percent": score["value"],
                f"{known}_low": interval.get("low"),
                f"{known}_high": interval.get("high"),
            }
    return row


def _safe(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula, and nothing for None."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
