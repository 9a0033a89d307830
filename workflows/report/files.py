"""Writes the files of a report in the order that makes ``report.json`` the sign of a whole report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...tiling import atomic_file, write_json
from .flag_advice import StatusWords
from .printing import ViewTexts, print_report
from .write import write_page

__all__ = ["ReportFiles", "write_report_files"]


@dataclass(frozen=True)
class ReportFiles:
    """What the files of a report hold."""

    template: str
    """Name of the page's and the print's layout, without ending, such as ``cervix``."""
    view: ViewTexts
    """The record and its texts."""
    status: StatusWords
    """How the road words the status."""
    quality: Mapping[str, Any]
    """What a laboratory watches from run to run, for ``qc.json``."""
    on_page: Mapping[str, Any]
    """Pictures of the page as data URIs, by the names in its layout."""
    printed: Mapping[str, Any]
    """Texts of the print, as plain JSON values."""
    in_print: Mapping[str, bytes | None] = field(default_factory=dict)
    """Picture files of the print by name; absent ones are None."""
    overlay: bytes | None = None
    """PNG for ``overlay.png``; None: there is no such file."""


def write_report_files(folder: Path, files: ReportFiles) -> None:
    """Write overlay, ``qc.json``, ``report.pdf``, ``report.html`` and last ``report.json``.

    Parameters
    ----------
    folder : Path
        The slide's results folder.
    files : ReportFiles
        What they hold.

    Raises
    ------
    MissingDependencyError
        If the package ``typst`` is not installed.

    Notes
    -----
    Equal content gives equal bytes: no file holds a date, a duration or the name of a machine.
    """
    if files.overlay is not None:
        with atomic_file(folder / "overlay.png") as temporary:
            temporary.write_bytes(files.overlay)
    write_json(folder / "qc.json", files.quality)
    print_report(folder / "report.pdf", f"{files.template}.typ", texts=files.printed, pictures=files.in_print)
    record = files.view.record
    write_page(
        folder / "report.html",
        f"{files.template}.html.j2",
        {"view": files.view, "record": record, "status": files.status, **files.on_page},
    )
    write_json(folder / "report.json", record)
