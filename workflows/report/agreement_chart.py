"""Chart of a run against a reference: values side by side, and their difference (Bland and Altman)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...quantify import bland_altman
from .charts import DPI, MUTED
from .pictures import FONT, INK, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_agreement"]

COLOUR = "#0072b2"
"""Blue of Okabe and Ito (2008)."""


def draw_agreement(
    run: NDArray[np.float64],
    reference: NDArray[np.float64],
    *,
    unit: str,
    cutoffs: Sequence[float] = (),
) -> bytes:
    """Draw the run against the reference at the left, difference against mean at the right.

    Parameters
    ----------
    run, reference : (N,) float64 array
        Values of the same slides, at least one.
    unit : str
        Of both.
    cutoffs : sequence of float
        Drawn as dotted lines.

    Returns
    -------
    bytes
        A PNG file; equal input gives equal bytes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.5), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    given = f", {unit}" if unit else ""
    low, high = _span(np.concatenate((run, reference)))
    _style(left, f"Reference{given}", f"Run{given}")
    left.plot([low, high], [low, high], color=MUTED, linewidth=0.8, zorder=1)
    for cutoff in cutoffs:
        for line in (left.axvline, left.axhline):
            line(cutoff, color=MUTED, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
    left.plot(reference, run, **_marker(len(run)))
    left.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    step = ", points" if unit == "%" else given  # a difference of percentages
    _style(right, f"Mean of run and reference{given}", f"Run minus reference{step}")
    _draw_limits(right, run, reference, end=high)
    right.plot((run + reference) / 2, run - reference, **_marker(len(run)))
    right.set(xlim=(low, high))
    return png(figure)


def _draw_limits(axes: Axes, run: NDArray[np.float64], reference: NDArray[np.float64], *, end: float) -> None:
    """Draw bias and limits of agreement, and leave room for them."""
    axes.axhline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    limits = bland_altman(reference, run)
    widest = float(np.abs(run - reference).max())
    if limits is not None:
        widest = max(widest, abs(limits.low), abs(limits.high))
        for value, style in ((limits.bias, "-"), (limits.low, (0, (4, 2))), (limits.high, (0, (4, 2)))):
            axes.axhline(value, color=INK, linewidth=0.9, linestyle=style, zorder=1)
            axes.annotate(
                f"{value:+.1f}",
                (end, value),
                xytext=(-2, 2),
                textcoords="offset points",
                ha="right",
                family=FONT,
                fontsize=7.5,
                color=INK,
            )
    axes.set_ylim(-1.25 * (widest or 1.0), 1.25 * (widest or 1.0))


def _span(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of both axes; 0 is shown unless values lie below it."""
    low, high = min(0.0, float(values.min())), max(float(values.max()), 0.0)
    room = 0.05 * (high - low) or 1.0
    return low - (room if low < 0 else 0.02 * (high - low)), high + room


def _marker(count: int) -> dict[str, Any]:
    """Return how a slide looks; many slides are drawn smaller."""
    return {
        "marker": "o",
        "color": COLOUR,
        "linestyle": "none",
        "markersize": 5.0 if count < 100 else 3.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
        "alpha": 0.85,
        "clip_on": False,
        "zorder": 3,
    }


def _style(axes: Axes, x_label: str, y_label: str) -> None:
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
