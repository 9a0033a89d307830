"""The lists that a calibration starts from: slides with their level, or with a reference score."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from ..errors import InvalidTableError
from ..quantify import LEVELS

__all__ = ["read_controls", "read_reference"]

LEVEL_WORDS: Mapping[str, str] = {
    **{level: level for level in LEVELS},
    **{str(number): level for number, level in enumerate(LEVELS)},
    **{f"{number}+": level for number, level in enumerate(LEVELS) if number},
}
"""How a list may name a level."""
SCORES = ("percent", "h_score")
"""Columns of reference scores."""


def read_controls(path: Path, *, slides: Mapping[str, str]) -> dict[str, str]:
    """Read the level of each control slide.

    Parameters
    ----------
    path : Path
        CSV with the columns ``slide`` and ``level``: negative, weak, moderate, strong, or 0, 1+, 2+, 3+.
    slides : mapping of str to str
        The id of a slide of the run by each name that a list may give it.

    Returns
    -------
    dict of str to str
        Level by the slide's id.

    Raises
    ------
    InvalidTableError
        If the file cannot be read, a column is missing, or a line names no slide of the run or no level.
    """
    levels: dict[str, str] = {}
    for number, row in _rows(path, slides=slides, columns=("level",)):
        word = row["level"].lower()
        if word not in LEVEL_WORDS:
            raise InvalidTableError(
                f"line {number} of {path.name}: {row['level']!r} is no level",
                "Write negative, weak, moderate or strong, or 0, 1+, 2+ or 3+.",
            )
        levels[row["slide"]] = LEVEL_WORDS[word]
    return levels


def read_reference(path: Path, *, slides: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Read the laboratory's own scores.

    Parameters
    ----------
    path : Path
        CSV with the column ``slide`` and at least one of ``percent`` and ``h_score``; a cell may be empty.
    slides : mapping of str to str
        As in `read_controls`.

    Returns
    -------
    dict
        ``percent`` and ``h_score``, each a score by the slide's id.

    Raises
    ------
    InvalidTableError
        As `read_controls`; also if a score is no number.
    """
    scores: dict[str, dict[str, float]] = {name: {} for name in SCORES}
    for number, row in _rows(path, slides=slides, columns=SCORES):
        for name in SCORES:
            text = row.get(name, "").removesuffix("%").strip()
            if not text:
                continue
            try:
                scores[name][row["slide"]] = float(text)
            except ValueError as error:
                raise InvalidTableError(
                    f"line {number} of {path.name}: {name} {text!r} is no number",
                    "Write a number such as 12.5, or leave the cell empty.",
                ) from error
    return scores


def _rows(
    path: Path, *, slides: Mapping[str, str], columns: tuple[str, ...]
) -> list[tuple[int, dict[str, str]]]:
    """Return the lines with their numbers; ``slide`` is turned into the slide's id."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidTableError(f"the list {path} cannot be read", "Give a CSV file in UTF-8.") from error
    header = text.partition("\n")[0]
    semicolons = ";" in header and "," not in header  # as spreadsheets write it where the comma is decimal
    reader = csv.DictReader(text.splitlines(), delimiter=";" if semicolons else ",")
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if "slide" not in names or not set(columns) & set(names):
        raise InvalidTableError(
            f"{path.name} has the columns {', '.join(names) or '(none)'}",
            f"Its first line must name the columns: slide,{','.join(columns)}",
        )
    reader.fieldnames = names
    found: dict[str, int] = {}
    rows = []
    for number, raw in enumerate(reader, start=2):
        row = {name: (raw.get(name) or "").strip() for name in names}
        if semicolons:
            row |= {name: row[name].replace(",", ".") for name in names if name != "slide"}
        row["slide"] = _known(row["slide"], slides, place=f"line {number} of {path.name}")
        if row["slide"] in found:
            raise InvalidTableError(
                f"line {number} of {path.name}: {row['slide']} stands in line {found[row['slide']]} too",
                "Name each slide once.",
            )
        found[row["slide"]] = number
        rows.append((number, row))
    if not rows:
        raise InvalidTableError(f"{path.name} names no slide", "Write a line per slide.")
    return rows


def _known(name: str, slides: Mapping[str, str], *, place: str) -> str:
    """Return the id of a slide of the run, or say which there are."""
    if name not in slides:
        some = ", ".join(sorted(set(slides.values()))[:5])
        raise InvalidTableError(
            f"{place}: the run has no slide {name!r}", f"Name slides as the run does, such as: {some}."
        )
    return slides[name]
