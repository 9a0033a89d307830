"""Tables of a detector validation, as Markdown: a row per set, the detectors beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .case_figures import DRAWS, Figure
from .detector_accuracy import RADIUS_UM
from .image_counts import CELL_CLASSES, STRICT_RADIUS_UM
from .published_figures import published_of

if TYPE_CHECKING:
    from .validate_detector import DetectorReport, SetResult

__all__ = ["markdown_table", "validation_tables"]

MISSING = "-"


@dataclass(frozen=True)
class Column:
    """One figure of a table."""

    title: str
    figure: str
    digits: int = 3
    signed: bool = False
    is_main: bool = False
    """Printed bold."""


TABLES = (
    (
        "Nuclei found",
        (
            Column(f"F1, {RADIUS_UM:g} um", "f1", is_main=True),
            Column(f"F1, {STRICT_RADIUS_UM:g} um", "f1_3um"),
            Column("average precision", "average_precision"),
        ),
    ),
    (
        f"Precision and recall, {RADIUS_UM:g} um",
        (Column("precision", "precision"), Column("recall", "recall")),
    ),
    (
        "Number of nuclei: errors of all images summed, % of the marked nuclei",
        (
            Column("absolute error", "count_error", digits=1, is_main=True),
            Column("bias", "count_bias", digits=1, signed=True),
        ),
    ),
    (
        "Outlines",
        (
            Column("PQ", "panoptic_quality", is_main=True),
            Column("AJI", "aggregated_jaccard"),
            Column("Dice", "dice"),
            Column("F1, overlap > 0.5", "f1_overlap"),
        ),
    ),
    (
        "Labelling index",
        (
            Column("mean absolute error, points", "index_error", digits=1, is_main=True),
            Column("CCC", "index_concordance"),
            Column("same stain class", "stain_agreement"),
        ),
    ),
    (
        "Labelling index: bias and limits of agreement, points",
        (
            Column("bias", "index_bias", digits=1, signed=True, is_main=True),
            Column("lower limit", "index_low", digits=1, signed=True),
            Column("upper limit", "index_high", digits=1, signed=True),
        ),
    ),
    (
        "Cell classes of matched nuclei",
        (
            Column("accuracy", "class_accuracy", is_main=True),
            Column("balanced accuracy", "class_balanced_accuracy"),
        ),
    ),
    ("Marked lymphocytes counted as tumour", (Column("share", "lymphocytes_called_tumour"),)),
)
"""Titles and columns; a table without a single figure is left out."""


def validation_tables(report: DetectorReport) -> str:
    """Return all tables of a report, without a heading above them."""
    sections = [_basis(report)]
    sections += [_figure_table(report, title, columns=columns) for title, columns in TABLES]
    sections += [_confusion_table(result) for result in report.results if result.confusion]
    sections.append(_published_table(report))
    return "\n\n".join(section for section in sections if section) + "\n"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _basis(report: DetectorReport) -> str:
    """Say what was measured, and on how much."""
    rows = []
    for set_name in report.sets:
        result = report.result(report.detectors[0], set_name)
        rows.append([set_name, str(result.cases), str(result.images), str(result.marked)])
    text = (
        f"Part: {report.part}. Matched one to one; in brackets 95 % intervals from {DRAWS:,} draws of whole "
        "cases, none where there is one case."
    )
    return f"{text}\n\n{markdown_table(['set', 'cases', 'images', 'marked nuclei'], rows)}"


def _figure_table(report: DetectorReport, title: str, *, columns: Sequence[Column]) -> str:
    """Return one table, or nothing where no set has any of its figures."""
    rows = []
    for set_name in report.sets:
        results = [report.result(detector, set_name) for detector in report.detectors]
        cells = [_cell(result.figures.get(column.figure), column) for column in columns for result in results]
        if any(cell != MISSING for cell in cells):
            rows.append([set_name, *cells])
    if not rows:
        return ""
    several = len(report.detectors) > 1
    head = [
        f"{column.title}: {detector}" if several else column.title
        for column in columns
        for detector in report.detectors
    ]
    return f"**{title}**\n\n{markdown_table(['set', *head], rows)}"


def _cell(figure: Figure | None, column: Column) -> str:
    """Return a value with its interval."""
    if figure is None:
        return MISSING
    sign = "+" if column.signed else ""
    value = f"{figure.value:{sign}.{column.digits}f}"
    value = f"**{value}**" if column.is_main else value
    if figure.interval is None:
        return value
    low, high = (f"{end:{sign}.{column.digits}f}" for end in (figure.interval.low, figure.interval.high))
    joint = " to " if column.signed or figure.interval.low < 0 else "-"
    return f"{value} ({low}{joint}{high})"


def _confusion_table(result: SetResult) -> str:
    """Return the table of classes, marked by called."""
    rows = [
        [name, *(str(count) for count in row)]
        for name, row in zip(CELL_CLASSES, result.confusion, strict=True)
    ]
    head = ["marked as", *(f"called {name}" for name in CELL_CLASSES)]
    title = f"**Classes of matched nuclei, {result.set_name}, {result.detector}**"
    return f"{title}\n\n{markdown_table(head, rows)}"


def _published_table(report: DetectorReport) -> str:
    """Return what others have published for these sets."""
    figures = published_of(report.sets)
    if not figures:
        return ""
    sources = list(dict.fromkeys(one.source for one in figures))
    rows = [
        [
            one.set_name,
            one.method,
            one.what,
            f"{one.value:.2f}",
            one.conditions,
            f"[{1 + sources.index(one.source)}]",
        ]
        for one in figures
    ]
    table = markdown_table(["set", "method", "figure", "value", "differs from ours", "source"], rows)
    notes = "\n".join(f"{number}. {source}" for number, source in enumerate(sources, 1))
    text = "Other images and other splits: for orientation, not for ranking."
    return f"**Published figures of the same sets**\n\n{text}\n\n{table}\n\n{notes}"
