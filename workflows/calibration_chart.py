"""Picture of a calibration: control levels with their thresholds, or scores against the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..quantify import LEVELS, THRESHOLD_NAMES
from .report.charts import DPI, MUTED
from .report.pictures import FONT, INK, png
from .slides.tally import THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from ..quantify import ReferencePoint, StainedSlide
    from .calibrate import Calibration

__all__ = ["draw_calibration"]

LOWER, UPPER = "#0072b2", "#d55e00"
"""The weaker and the stronger of two levels (Okabe and Ito 2008: told apart by the colour-blind)."""
BAND = "#e8edf2"
BINS_TOGETHER = 2
"""Steps of the grid in one bar: 0.02 OD."""
TEXT: dict[str, Any] = {"family": FONT, "fontsize": 8, "color": INK}
SCORES = {"percent": ("percent positive", 100.0), "h_score": ("H-score", 300.0)}
"""Words and greatest value of each score."""


def draw_calibration(calibration: Calibration) -> bytes:
    """Draw what a calibration rests on.

    Parameters
    ----------
    calibration : Calibration
        Of controls: a row per threshold with the two levels that it parts, each slide a thin line.
        Of a reference: the fitted scores against the laboratory's, and those of each slide left out.

    Returns
    -------
    bytes
        A PNG file; equal input gives equal bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = [] if calibration.levels else [*dict.fromkeys(point.score for point in calibration.points)]
    size = (3.7 * max(1, len(kinds)) + 0.3, 4.3) if kinds else (6.2, 6.0)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    profile = calibration.profile
    figure.suptitle(profile.identity, **TEXT | {"fontsize": 9}, x=0.02, ha="left")
    if kinds:
        for axes, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
            points = [point for point in calibration.points if point.score == kind]
            _draw_scores(axes, points, kind=kind, errors=calibration.fit.errors)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=2,
            frameon=False,
            prop={"family": FONT, "size": 7.5},
            labelcolor=INK,
        )
        return png(figure)
    rows = figure.subplots(3, 1, sharex=True)
    for number, axes in enumerate(rows):
        _draw_boundary(axes, calibration, number=number)
    rows[0].set_xlim(0.0, _end(calibration))
    words = "DAB of the membrane, OD" if profile.detector.membranes else "DAB, mean OD of nucleus"
    rows[-1].set_xlabel(words, **TEXT)
    return png(figure)


def _draw_boundary(axes: Axes, calibration: Calibration, *, number: int) -> None:
    """Draw the two levels that a threshold parts."""
    from matplotlib.ticker import PercentFormatter

    name, slides = THRESHOLD_NAMES[number], calibration.graded if number else calibration.slides
    value, fit = calibration.profile.bins.edges[number], calibration.fit
    _house_style(axes)
    interval = fit.intervals.get(name)
    if interval is not None:
        axes.axvspan(interval.low, interval.high, color=BAND, linewidth=0, zorder=0)
    for level, color in zip(LEVELS[number : number + 2], (LOWER, UPPER), strict=True):
        shares = np.stack([_bars(each) for each in slides if calibration.levels[each.slide] == level])
        edges = _edges(shares.shape[1])
        axes.stairs(shares.mean(axis=0), edges, fill=True, color=color, alpha=0.35, zorder=2, label=level)
        for one in shares:
            axes.stairs(one, edges, color=color, linewidth=0.5, alpha=0.8, zorder=3)
    axes.axvline(value, color=INK, linewidth=1.0, linestyle=(0, (4, 2)), zorder=4)
    words = f"{name} from {value:.2f} OD"
    if interval is not None:
        words += f" (95 %: {interval.low:.2f}-{interval.high:.2f})"
    words += f"; wrong side {fit.errors[f'{name}_fitted']:.1f} %"
    if f"{name}_left_out" in fit.errors:
        words += f", on slides left out {fit.errors[f'{name}_left_out']:.1f} %"
    axes.set_title(words, loc="left", **TEXT)
    axes.set_ylabel("cells of a slide", **TEXT)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="upper right", frameon=False, prop={"family": FONT, "size": 7.5}, labelcolor=INK)


def _draw_scores(axes: Axes, points: Sequence[ReferencePoint], *, kind: str, errors: Any) -> None:
    """Draw fitted scores and those of left-out slides against the laboratory's."""
    words, top = SCORES[kind]
    _house_style(axes)
    axes.plot([0, top], [0, top], color=MUTED, linewidth=0.8, zorder=1)
    reference = [point.reference for point in points]
    for point in points:
        axes.plot([point.reference] * 2, [point.fitted, point.left_out], color=MUTED, linewidth=0.6, zorder=2)
    axes.plot(
        reference,
        [point.left_out for point in points],
        "o",
        markerfacecolor="white",
        markeredgecolor=UPPER,
        markersize=5,
        zorder=3,
        label="slide left out of the fit",
    )
    axes.plot(
        reference,
        [point.fitted for point in points],
        "o",
        color=LOWER,
        markersize=3.4,
        zorder=4,
        label="fitted to all slides",
    )
    axes.set(xlim=(-0.02 * top, 1.02 * top), ylim=(-0.02 * top, 1.02 * top), aspect="equal")
    axes.set_xlabel(f"{words}, laboratory", **TEXT)
    axes.set_ylabel(f"{words}, slidelab", **TEXT)
    found = [errors[f"{kind}_{way}"] for way in ("fitted", "left_out", "start")]
    title = "mean error {:.1f}, left out {:.1f} (start values {:.1f})".format(*found)
    axes.set_title(title, loc="left", **TEXT | {"fontsize": 7.5})


def _bars(slide: StainedSlide) -> NDArray[np.float64]:
    """Return the shares of a slide's cells in bars of 0.02 OD; the last holds everything beyond."""
    counts = np.concatenate([np.zeros(1), slide.counts])  # the first count runs from 0 to 0.02, two steps
    counts = np.pad(counts, (0, len(counts) % BINS_TOGETHER))
    together: NDArray[np.float64] = counts.reshape(-1, BINS_TOGETHER).sum(axis=1) / max(1, slide.cells)
    return together


def _edges(bars: int) -> NDArray[np.float64]:
    """Return the borders of the bars, OD."""
    step = float(THRESHOLDS[1] - THRESHOLDS[0])
    return np.asarray(np.arange(bars + 1) * step * BINS_TOGETHER, np.float64)


def _end(calibration: Calibration) -> float:
    """Return where the densities end, OD: all bars but a thousandth of the cells."""
    shares = np.max([_bars(each) for each in (*calibration.slides, *calibration.graded)], axis=0)
    last = np.flatnonzero(shares > 0.001)[-1]
    return float(max(_edges(len(shares))[last + 1], calibration.profile.bins.strong + 0.1))


def _house_style(axes: Axes) -> None:
    """Thin lines and small, legible text, whatever the user's matplotlib settings are."""
    axes.tick_params(labelsize=7.5, labelfontfamily=FONT, labelcolor=INK, color=MUTED, length=3, width=0.6)
    axes.grid(color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=MUTED, linewidth=0.6)
