"""What the CD3/CD8 density score needs beside a slide: a reference cohort, and the other marker's slides."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidTableError, RunFolderError
from ..quantify import FOUR_DENSITIES, ReferenceCohort, RegionCount

__all__ = ["CohortTable", "OtherMarker", "read_cohort", "read_other_marker"]

MARKER_IN_NAME = re.compile(r"cd[ _-]?[38]", re.IGNORECASE)
"""What the names of two slides of one patient may differ in."""


@dataclass(frozen=True)
class CohortTable:
    """Densities of a fixed cohort, as read from a file."""

    name: str
    """Of the file, without its ending."""
    sha256: str
    """Digest of the file."""
    densities: Mapping[str, tuple[float, ...]]
    """Cells per mm2 of each patient, by the four names such as ``CD3 core``."""

    def reference(self) -> ReferenceCohort:
        """Return it as what percentiles are taken of."""
        return ReferenceCohort(f"{self.name} {self.sha256[:12]}", dict(self.densities))  # type: ignore[arg-type]


@dataclass(frozen=True)
class OtherMarker:
    """Densities of the other marker's slides, from a run that is done."""

    run: str
    """Name of its folder."""
    sha256: str
    """Digest of what was read."""
    counts: Mapping[str, Mapping[str, tuple[int, int]]]
    """Cells and area in um2, by density, by the slide's name without its marker."""

    def of(self, slide_id: str) -> dict[str, RegionCount]:
        """Return the densities of the slide that belongs to another one; empty without it."""
        found = self.counts.get(_patient(slide_id), {})
        return {name: RegionCount(cells, area / 1e6) for name, (cells, area) in found.items()}


def read_cohort(path: Path) -> CohortTable:
    """Read a reference cohort: a CSV with the columns CD3 core, CD3 margin, CD8 core and CD8 margin.

    One row per patient, cells per mm2; further columns are left alone. Semicolons and decimal commas are
    read too.

    Raises
    ------
    InvalidTableError
        If a column is missing or a value is no density.
    """
    content = path.read_bytes()
    text = content.decode("utf-8-sig")
    separator = ";" if ";" in text.partition("\n")[0] else ","
    rows = list(csv.DictReader(text.splitlines(), delimiter=separator))
    columns = {_plain(name): name for name in (rows[0] if rows else {}) if name}
    missing = [name for name in FOUR_DENSITIES if _plain(name) not in columns]
    if missing:
        raise InvalidTableError(
            f"{path.name} lacks the columns {', '.join(missing)}",
            "Give one row per patient with the four densities in cells per mm2.",
        )
    try:
        densities = {
            name: tuple(float((row[columns[_plain(name)]] or "").replace(",", ".")) for row in rows)
            for name in FOUR_DENSITIES
        }
    except ValueError as error:
        raise InvalidTableError(
            f"{path.name} holds a density that is no number: {error}", "Leave incomplete patients out."
        ) from error
    table = CohortTable(path.stem, hashlib.sha256(content).hexdigest(), densities)
    table.reference()  # which checks them
    return table


def read_other_marker(run: Path) -> OtherMarker:
    """Read the densities of core and margin from the reports of a run.

    Raises
    ------
    RunFolderError
        If the run has none, or two of its slides have one name but for the marker.
    """
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for path in sorted((run / "slides").glob("*/report.json")):
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        counts = {
            score["name"]: (int(score["numerator"]), int(score["denominator"]))
            for score in record["scores"]
            if score["name"] in FOUR_DENSITIES
        }
        patient = _patient(record["slide"])
        if counts and patient in found:
            raise RunFolderError(
                f"{run.name} has two slides of {patient or record['slide']}", "Keep one slide per patient."
            )
        if counts:
            found[patient] = counts
    if not found:
        raise RunFolderError(
            f"{run.name} holds no densities of CD3 or CD8 in core and margin",
            "Give the folder of `slidelab measure immune --stain cd3 --tumour ...` of the same patients.",
        )
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    return OtherMarker(run.name, digest, found)


def _patient(slide_id: str) -> str:
    """Return the name of a slide without its marker."""
    return MARKER_IN_NAME.sub("", slide_id).strip(" _-.").casefold()


def _plain(name: str) -> str:
    """Return the name of a column without case and separators."""
    return re.sub(r"[\s_-]+", "", name).casefold()
