"""Chart of a detector validation: index found against marked, and their difference (Bland and Altman)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...quantify import bland_altman
from ..report.charts import DPI, MUTED
from ..report.pictures import FONT, INK, png
from .image_counts import ALL_KI67

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .validate_detector import DetectorReport, IndexPoint

__all__ = ["draw_index_agreement"]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito (2008): told apart by the colour-blind."""
MARKERS = "osD^vP"
"""The same sets once more by shape, for print in grey."""


def draw_index_agreement(report: DetectorReport) -> bytes:
    """Draw a row per detector: found against marked at the left, difference against mean at the right.

    Returns
    -------
    bytes
        A PNG file; equal input gives equal bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = {name: _points(report, name) for name in report.detectors}
    rows = {name: points for name, points in rows.items() if points}
    sets = list(dict.fromkeys(point.set_name for points in rows.values() for point in points))
    figure = Figure(figsize=(7.2, 0.5 + 2.9 * len(rows)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), 2, squeeze=False)
    top = max(max(point.marked, point.found) for points in rows.values() for point in points)
    widest = max(abs(point.found - point.marked) for points in rows.values() for point in points)
    for (name, points), (left, right) in zip(rows.items(), grid, strict=True):
        _scatter(left, points, sets=sets, top=1.06 * max(top, 1.0))
        _differences(right, points, sets=sets, top=1.06 * max(top, 1.0), widest=1.25 * max(widest, 1.0))
        left.set_title(name, family=FONT, fontsize=8.5, color=INK, loc="left")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=3,
        frameon=False,
        prop={"family": FONT, "size": 7.5},
        labelcolor=INK,
    )
    return png(figure)


def _points(report: DetectorReport, detector: str) -> list[IndexPoint]:
    """Return the images of the pooled row, whose limits the table gives; of all sets without such a row."""
    results = [result for result in report.results if result.detector == detector and result.points]
    pooled = [result for result in results if result.set_name == ALL_KI67]
    return [point for result in pooled or results for point in result.points]


def _scatter(axes: Axes, points: list[IndexPoint], *, sets: list[str], top: float) -> None:
    """Draw found against marked with the line of equality."""
    _house_style(axes, "Index marked, %", "Index found, %")
    axes.plot([0, top], [0, top], color=MUTED, linewidth=0.8, zorder=1)
    for number, set_name in enumerate(sets):
        members = [point for point in points if point.set_name == set_name]
        axes.plot(
            [point.marked for point in members],
            [point.found for point in members],
            label=set_name,
            **_marker(number),
        )
    axes.set(xlim=(0, top), ylim=(0, top), aspect="equal")


def _differences(axes: Axes, points: list[IndexPoint], *, sets: list[str], top: float, widest: float) -> None:
    """Draw the difference against the mean, with bias and limits of agreement."""
    _house_style(axes, "Mean of marked and found, %", "Found minus marked, points")
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    limits = bland_altman([point.marked for point in points], [point.found for point in points])
    if limits is not None:
        widest = max(widest, 1.1 * abs(limits.low), 1.1 * abs(limits.high))
        for value, style in ((limits.bias, "-"), (limits.low, (0, (4, 2))), (limits.high, (0, (4, 2)))):
            axes.axhline(value, color=INK, linewidth=0.9, linestyle=style, zorder=1)
            axes.annotate(
                f"{value:+.1f}",
                (top, value),
                xytext=(-2, 2),
                textcoords="offset points",
                ha="right",
                family=FONT,
                fontsize=7.5,
                color=INK,
            )
    for number, set_name in enumerate(sets):
        members = [point for point in points if point.set_name == set_name]
        axes.plot(
            np.array([(point.marked + point.found) / 2 for point in members]),
            np.array([point.found - point.marked for point in members]),
            **_marker(number),
        )
    axes.set(xlim=(0, top), ylim=(-widest, widest))


def _marker(number: int) -> dict[str, Any]:
    """Return how the points of a set look."""
    return {
        "marker": MARKERS[number % len(MARKERS)],
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": "none",
        "markersize": 4.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
        "alpha": 0.9,
    }


def _house_style(axes: Axes, x_label: str, y_label: str) -> None:
    """Thin lines and small, legible text, whatever the user's matplotlib settings are."""
    text: dict[str, Any] = {"family": FONT, "fontsize": 8, "color": INK}
    axes.set_xlabel(x_label, **text)
    axes.set_ylabel(y_label, **text)
    axes.tick_params(labelsize=7.5, labelfontfamily=FONT, labelcolor=INK, color=MUTED, length=3, width=0.6)
    axes.grid(color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=MUTED, linewidth=0.6)
