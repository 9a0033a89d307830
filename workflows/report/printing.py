"""Prints a report: texts and pictures go into a template, out comes a PDF."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ...errors import MissingDependencyError
from ...tiling import atomic_file
from .figures import Figure, Section
from .write import TEMPLATES

__all__ = ["ViewTexts", "joined_text", "print_report", "section_texts", "view_texts"]


class ViewTexts(Protocol):
    """What the views of all roads have in common."""

    @property
    def record(self) -> Mapping[str, Any]:
        """What ``report.json`` holds."""

    @property
    def title(self) -> str:
        """Of the page."""

    @property
    def tone(self) -> str:
        """``good``, ``look`` or ``stop``."""

    @property
    def facts(self) -> Sequence[Section]:
        """Image, networks and provenance."""

    @property
    def settings(self) -> Section:
        """Every setting."""


def print_report(
    path: Path, template: str, *, texts: Mapping[str, Any], pictures: Mapping[str, bytes | None]
) -> None:
    """Write a PDF; fonts and all else come with ``typst``, so equal content gives equal bytes.

    Parameters
    ----------
    path : Path
        The PDF; replaced in one step once it is whole.
    template : str
        Name of a template of this package, such as ``cervix.typ``.
    texts : mapping
        Plain JSON values that the template reads.
    pictures : mapping of str to bytes
        Picture files by the names that the texts give them; absent ones are None.

    Raises
    ------
    MissingDependencyError
        If the package ``typst`` is not installed.
    """
    try:
        import typst
    except ImportError as error:
        raise MissingDependencyError(
            "the PDF report needs the package typst", "Install it with: pip install typst"
        ) from error
    with tempfile.TemporaryDirectory(prefix="slidelab-report-") as name:
        workshop = Path(name)
        for file, data in pictures.items():
            if data is not None:
                (workshop / file).write_bytes(data)
        told = json.dumps(texts, ensure_ascii=False, allow_nan=False)
        (workshop / "data.json").write_text(told, encoding="utf-8")
        shutil.copyfile(TEMPLATES / template, workshop / template)
        pdf = typst.compile(str(workshop / template), root=name, ignore_system_fonts=True, format="pdf")
    with atomic_file(path) as temporary:
        temporary.write_bytes(pdf)


def view_texts(view: ViewTexts) -> dict[str, Any]:
    """Return the texts that every printed report shows, as plain values."""
    record = view.record
    return {
        "title": view.title,
        "marker": record["marker"],
        "slide": record["slide"],
        "tone": view.tone,
        "status": {
            "name": record["summary"]["status_name"],
            "code": record["status"],
            "words": record["summary"]["status_words"],
        },
        "notes": record["notes"],
        "methods": record["methods"],
        "limits": record["limits"],
        "facts": [section_texts(section) for section in view.facts],
        "settings": section_texts(view.settings),
        "research_use": record["research_use"],
    }


def section_texts(section: Section) -> dict[str, Any]:
    """Return a table as plain texts."""
    rows = [{"cells": [cell.text for cell in row.cells], "strong": row.is_strong} for row in section.rows]
    return {"title": section.title, "head": list(section.head), "rows": rows}


def joined_text(figures: Iterable[Figure]) -> str:
    """Return the words of a caption."""
    return "".join(figure.text for figure in figures)
