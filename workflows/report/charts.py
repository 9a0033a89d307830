"""Charts of a report: threshold curve, stain histogram and map of the index. Equal input, equal bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError
from ..slides.maps import FieldMap
from ..slides.outline import Circle, outline_mask
from .pictures import FONT, INK, PALETTES, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...tiling import TissueMask

__all__ = [
    "StainHistogram",
    "ThresholdCurve",
    "draw_index_map",
    "draw_stain_histogram",
    "draw_threshold_curve",
]

MUTED = "#6b7580"
"""Secondary text and grid."""
DPI = 200
"""Sharp in print at the size a page shows."""
LEAST_NUCLEI = 20
"""A field with fewer nuclei is not coloured: its index would be chance."""


@dataclass(frozen=True)
class ThresholdCurve:
    """How the index would change with the density from which a nucleus counts as positive."""

    thresholds: NDArray[np.float64]
    """(T,) rising, OD (base 10)."""
    index: NDArray[np.float64]
    """(T,) percent."""
    used: float
    """Threshold of the result, OD."""
    low: float
    """Lower end of the thresholds to compare with, OD."""
    high: float
    """Upper end, OD."""

    def __post_init__(self) -> None:
        if self.thresholds.shape != self.index.shape or self.thresholds.ndim != 1 or not len(self.index):
            raise InvalidTableError(
                f"a curve of {self.thresholds.shape} thresholds and {self.index.shape} values",
                "Give two equally long rows.",
            )

    def at(self, threshold: float) -> float:
        """Return the index at a threshold, percent; between two of the curve, by a straight line."""
        return float(np.interp(threshold, self.thresholds, self.index))


@dataclass(frozen=True)
class StainHistogram:
    """How the nuclei's DAB densities are spread."""

    edges: NDArray[np.float64]
    """(B + 1,) rising borders of the bins, OD (base 10)."""
    counts: NDArray[np.int64]
    """(B,) counted nuclei per bin; the last bin may hold everything beyond it."""

    def __post_init__(self) -> None:
        if self.edges.ndim != 1 or len(self.edges) != len(self.counts) + 1:
            raise InvalidTableError(
                f"{len(self.edges)} borders for {len(self.counts)} bins", "Give one border more than bins."
            )


def draw_threshold_curve(
    curve: ThresholdCurve,
    *,
    density: str = "DAB, mean OD of nucleus",
    index: str = "Positive nuclei, %",
) -> bytes:
    """Draw the index over the positivity threshold as a PNG file, with the threshold used and the band."""
    figure, axes = _chart(f"Threshold: {density}", index)
    axes.axvspan(curve.low, curve.high, color="#e8edf2", linewidth=0)
    axes.plot(curve.thresholds, curve.index, color=INK, linewidth=1.6)
    value = curve.at(curve.used)
    axes.plot(
        [curve.used] * 2,
        [0, value],
        color=PALETTES["standard"].positive,
        linewidth=1.0,
        linestyle=(0, (4, 2)),
    )
    axes.plot([curve.used], [value], "o", color=PALETTES["standard"].positive, markersize=5)
    reach = max(curve.high, curve.used) * 2.2
    last = float(min(curve.thresholds[-1], max(reach, curve.thresholds[0] * 2)))
    first = float(curve.thresholds[0])
    axes.set(xlim=(first, max(last, first + 1e-6)), ylim=(0, max(1.0, float(curve.index.max()) * 1.12)))
    axes.annotate(
        f"used: {curve.used:.2f} OD",
        (curve.used, value),
        xytext=(8, 6),
        textcoords="offset points",
        color=INK,
        family=FONT,
        fontsize=8,
    )
    return png(figure)


def draw_stain_histogram(
    histogram: StainHistogram,
    *,
    threshold: float,
    density: str = "DAB, mean OD of nucleus",
    noun: str = "nuclei",
) -> bytes:
    """Draw the nuclei's DAB densities as a PNG file, negative and positive side of the threshold coloured."""
    from matplotlib.ticker import FixedLocator, StrMethodFormatter

    figure, axes = _chart(density, f"{noun.capitalize()} (square-root scale)")
    middles = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    palette = PALETTES["standard"]
    colors = np.where(middles >= threshold, palette.positive, palette.negative)
    axes.bar(
        histogram.edges[:-1],
        histogram.counts,
        width=np.diff(histogram.edges),
        align="edge",
        color=colors.tolist(),
        alpha=0.75,
        linewidth=0,
    )
    axes.axvline(threshold, color=INK, linewidth=1.0, linestyle=(0, (4, 2)))
    shown = np.flatnonzero(np.cumsum(histogram.counts) >= 0.999 * histogram.counts.sum())
    end = histogram.edges[min(len(histogram.counts), int(shown[0]) + 1)] if len(shown) else 1.0
    axes.set_xlim(float(histogram.edges[0]), float(max(end, threshold * 1.5)))
    # Negative nuclei are so many that on an even scale the positive ones would not be seen.
    axes.set_yscale("function", functions=(lambda count: np.sqrt(np.maximum(count, 0)), np.square))
    axes.yaxis.set_major_locator(FixedLocator(_root_ticks(int(histogram.counts.max()))))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return png(figure)


def draw_index_map(
    fields: FieldMap,
    *,
    tissue: TissueMask | None = None,
    hot_spot: Circle | None = None,
    index: str = "Positive nuclei, %",
    by_area: bool = False,
) -> bytes:
    """Draw the index of each field over the tissue's silhouette.

    Parameters
    ----------
    fields : FieldMap
        Counts per field. Fields with fewer than 20 nuclei stay uncoloured.
    tissue : TissueMask, optional
        Drawn as a pale silhouette.
    hot_spot : Circle, optional
        Drawn as a ring, level-0 px.
    index : str
        Words beside the colour bar.
    by_area : bool
        Show positive nuclei per mm2 in place of their share.

    Returns
    -------
    bytes
        A PNG file with a colour bar, axes in mm.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure
    from matplotlib.patches import Circle as Ring

    mm = fields.mpp / 1000  # per level-0 px
    rows, columns = fields.counted.shape
    wide, high = columns * fields.side_px * mm, rows * fields.side_px * mm
    figure = Figure(figsize=_map_size(wide, high), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    values = fields.index(least=LEAST_NUCLEI)
    if by_area:
        values = np.where(np.isnan(values), np.nan, fields.positive / (fields.side_um / 1000) ** 2)
    top = float(max(10.0, np.nanmax(values, initial=0.0)))
    if tissue is not None:
        shape = outline_mask(tissue.mask, downsample=tissue.downsample * mm)
        rings = [np.asarray(ring.coords) for part in shape.geoms for ring in (part.exterior, *part.interiors)]
        axes.add_collection(LineCollection(rings, colors="#9aa4ae", linewidths=0.7))
    picture = axes.imshow(
        values, extent=(0, wide, high, 0), cmap="YlOrBr", vmin=0, vmax=top, interpolation="nearest", zorder=0
    )
    if hot_spot is not None:
        centre, radius = (hot_spot.x * mm, hot_spot.y * mm), max(hot_spot.radius * mm, wide / 80)
        axes.add_patch(Ring(centre, radius, fill=False, edgecolor="#0b5cad", linewidth=1.4))
    axes.set(xlim=(0, wide), ylim=(high, 0), aspect="equal")
    _plain_axes(axes, "mm", "mm")
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(index, family=FONT, fontsize=8, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, labelfontfamily=FONT, colors=INK, length=2)
    return png(figure)


def _root_ticks(most: int) -> list[float]:
    """Return about five round counts that lie evenly on a square-root scale."""
    fractions = np.array([0.04, 0.16, 0.36, 0.64, 1.0]) * max(most, 1)
    powers = 10.0 ** np.floor(np.log10(np.maximum(fractions, 1)))
    return sorted({0.0, *(np.round(fractions / powers) * powers).tolist()})


def _map_size(wide: float, high: float) -> tuple[float, float]:
    """Return the size of a map's figure in inches: as wide as a column, height as the slide asks."""
    return 4.4, float(np.clip(3.5 * high / max(wide, 1e-9), 1.4, 5.0)) + 0.45


def _chart(x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """Make an empty chart in the report's style."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 2.7), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _plain_axes(axes, x_label, y_label)
    axes.grid(axis="y", color="#e3e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _plain_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Give axes thin lines and small, legible text, whatever the user's matplotlib settings are."""
    text: dict[str, Any] = {"family": FONT, "fontsize": 8, "color": INK}
    axes.set_xlabel(x_label, **text)
    axes.set_ylabel(y_label, **text)
    axes.tick_params(labelsize=7.5, labelfontfamily=FONT, labelcolor=INK, color=MUTED, length=3, width=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=MUTED, linewidth=0.6)
