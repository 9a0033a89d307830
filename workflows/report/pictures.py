"""Pictures of a report: fields of view with outlines, overviews and maps. Equal input gives equal bytes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RegionError
from ..slides.cell_rule import CellClass, Role
from ..slides.nuclear_rule import NEGATIVE, POSITIVE
from ..slides.outline import Circle, outline_mask

if TYPE_CHECKING:
    import shapely
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ...tiling import QualityMap, TissueMask

__all__ = [
    "PALETTES",
    "Crop",
    "CropCells",
    "Palette",
    "draw_crop",
    "draw_crop_pair",
    "draw_overview",
    "jpeg",
    "legend_below",
    "nice_length",
    "photo_figure",
    "scale_bar",
    "tint_excluded",
    "trace_outline",
]

FONT = "DejaVu Sans"
"""Comes with matplotlib, so that text looks the same on every machine."""
INK = "#1d232a"
"""Text and axes."""
OVERVIEW_PX = 1600
"""Longest side of an overview picture."""
CROP_PX = (560, 900)
"""Least and greatest side of a field of view as drawn: legible in print, and a page stays a few MB."""
LINE_UM = 0.48
"""Width of an outline, um: a sixteenth of a nucleus."""
LINE_PX = (1.4, 2.6)
"""Least and greatest width of an outline, px."""
TINT = 0.45
"""Share of the reason's colour where something is left out."""
GAP_PX = 12
"""White between the halves of a pair."""
JPEG_QUALITY = 86
"""Photographs are JPEG without chroma subsampling: a tenth of PNG's size, outlines stay crisp."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Line colours, as #rrggbb."""

    positive: str
    """Positive nuclei."""
    negative: str
    """Negative nuclei."""
    excluded: str
    """Nuclei left out."""

    def of(self, cell_class: CellClass) -> str:
        """Return the colour of a class: its own, unless the palette has one for it."""
        told = {POSITIVE.name: self.positive, NEGATIVE.name: self.negative}
        return told.get(cell_class.name, "#{:02x}{:02x}{:02x}".format(*cell_class.color))


PALETTES: Mapping[str, Palette] = {
    "standard": Palette(positive="#ff1f3d", negative="#1747ff", excluded="#5c6670"),
    "colour-blind": Palette(positive="#d55e00", negative="#0072b2", excluded="#5c6670"),
}
"""Red and blue as pathologists know them, and vermillion and blue of Okabe and Ito (2008)."""

DRAWING_ORDER = (Role.NEGATIVE, Role.BESIDE, Role.POSITIVE)
"""Positive cells are drawn last, so that no other hides them."""

TUMOUR_COLOR = "#c4007a"
"""Border of the tumour as a whole."""
HOT_SPOT_COLOR = "#ffd400"
"""Ring of the hot spot."""
REASON_COLORS = ("#7b3294", "#008837", "#e66101", "#0571b0", "#a6611a", "#ca0020")
"""Tints of what was left out of the count, in the order of the quality map's reasons."""


@dataclass(frozen=True, slots=True)
class Crop:
    """Pixels of a field of view and where they lie."""

    image: NDArray[np.uint8]
    """(H, W, 3) sRGB."""
    x: float
    """Left edge, level-0 px."""
    y: float
    """Upper edge, level-0 px."""
    downsample: float
    """Level-0 px per px of ``image``."""
    mpp: float
    """um per px of ``image``."""


@dataclass(frozen=True, slots=True)
class CropCells:
    """Nuclei of a field of view; those outside are cut at its border."""

    outlines: Sequence[shapely.Polygon] | NDArray[np.object_]
    """N outlines, level-0 px."""
    labels: Sequence[str]
    """N classes."""
    excluded: Sequence[str]
    """N reasons, empty for a counted nucleus."""
    classes: Sequence[CellClass] = (POSITIVE, NEGATIVE)
    """What the labels stand for."""


def draw_crop(crop: Crop, cells: CropCells | None = None, *, palette: Palette | None = None) -> bytes:
    """Draw a field of view with thin outlines and a scale bar.

    Parameters
    ----------
    crop : Crop
        What to show.
    cells : CropCells, optional
        Outlines to lay over it.
    palette : Palette, optional
        Line colours; ``PALETTES["standard"]`` by default.

    Returns
    -------
    bytes
        A JPEG file.
    """
    return jpeg(_paint_crop(crop, cells, palette or PALETTES["standard"]))


def draw_crop_pair(
    crop: Crop, cells: CropCells, *, palette: Palette | None = None, ring: Circle | None = None
) -> bytes:
    """Draw a field of view twice, bare on the left; outlined, with ``ring`` and scale bar, on the right.

    See `draw_crop` for the rest; ``ring`` is in level-0 px.
    """
    colors = palette or PALETTES["standard"]
    bare = _paint_crop(crop, None, colors, is_bare=True)
    outlined = _paint_crop(crop, cells, colors, ring=ring)
    gap = np.full((bare.shape[0], GAP_PX, 3), 255, np.uint8)
    return jpeg(np.concatenate([bare, gap, outlined], axis=1))


def draw_overview(
    image: NDArray[np.uint8],
    *,
    mpp: float,
    downsample: float,
    tissue: TissueMask | None = None,
    quality: QualityMap | None = None,
    hot_spot: Circle | None = None,
    tumour: shapely.MultiPolygon | None = None,
) -> bytes:
    """Draw the whole slide with its tissue, what was left out, tumour, hot spot, a scale bar and a legend.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        The whole slide, small.
    mpp : float
        um per px of ``image``.
    downsample : float
        Level-0 px per px of ``image``.
    tissue : TissueMask, optional
        Its border is drawn.
    quality : QualityMap, optional
        What is not counted is tinted, a colour per reason; only reasons that occur enter the legend.
    hot_spot : Circle, optional
        Drawn as a ring; one too small to be seen keeps a least size.
    tumour : shapely.MultiPolygon, optional
        Its border is drawn; level-0 px.

    Returns
    -------
    bytes
        A PNG file, its longest side 1600 px, legend below the slide.
    """
    height, width = image.shape[:2]
    zoom = OVERVIEW_PX / max(height, width)
    figure, axes = photo_figure(width * zoom, height * zoom, margin_px=90)
    legend: list[tuple[str, str, bool]] = []
    if quality is not None:
        image, legend = tint_excluded(image, quality, downsample)
    axes.imshow(image, extent=(0, width, height, 0), interpolation="antialiased", aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0))
    if tissue is not None:
        trace_outline(axes, outline_mask(tissue.mask, downsample=tissue.downsample / downsample))
        legend.insert(0, (INK, "tissue", False))
    if tumour is not None:
        trace_outline(axes, tumour, color=TUMOUR_COLOR, unit=downsample)
        legend.append((TUMOUR_COLOR, "tumour", False))
    if hot_spot is not None:
        radius = max(hot_spot.radius / downsample, 9 / zoom)
        _ring(axes, Circle(hot_spot.x / downsample, hot_spot.y / downsample, radius))
        legend.append((HOT_SPOT_COLOR, "hot spot", False))
    legend_below(figure, legend)
    scale_bar(axes, width=width, height=height, um_per_unit=mpp, in_mm=True)
    return png(figure)


def nice_length(longest: float) -> float:
    """Return the greatest of 1, 2 or 5 times a power of ten that is at most ``longest``."""
    if not longest > 0:
        raise RegionError(f"a scale bar of {longest} um", "The picture must have a size.")
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9)))


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file without the text that names software and versions."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None}, facecolor="white")
    return stream.getvalue()


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Return pixels as a JPEG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return stream.getvalue()


def _paint_crop(
    crop: Crop,
    cells: CropCells | None,
    palette: Palette,
    *,
    ring: Circle | None = None,
    is_bare: bool = False,
) -> NDArray[np.uint8]:
    """Return the pixels of a field of view with its outlines and scale bar."""
    from PIL import Image

    height, width = crop.image.shape[:2]
    zoom = _crop_zoom(height, width)
    size = (round(width * zoom), round(height * zoom))
    method = Image.Resampling.BICUBIC if zoom >= 1 else Image.Resampling.BOX
    resized = Image.fromarray(crop.image).resize(size, method)
    figure, axes = photo_figure(*size)
    axes.imshow(np.asarray(resized), extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0))
    if cells is not None:
        _draw_cells(axes, crop, cells, palette)
    if ring is not None:
        place = (ring.x - crop.x) / crop.downsample, (ring.y - crop.y) / crop.downsample
        _ring(axes, Circle(*place, ring.radius / crop.downsample))
    if not is_bare:
        scale_bar(axes, width=width, height=height, um_per_unit=crop.mpp, in_mm=False)
    return pixels(figure)


def _crop_zoom(height: int, width: int) -> float:
    """Return by how much a field of view is enlarged, in whole steps, or shrunk."""
    least, greatest = CROP_PX
    if max(height, width) > greatest:
        return greatest / max(height, width)
    return float(np.ceil(least / min(height, width)))


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure as (H, W, 3) uint8 pixels."""
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def photo_figure(width_px: float, height_px: float, *, margin_px: float = 0) -> tuple[Figure, Axes]:
    """Make a figure that is all picture, but for a white margin below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    full = height_px + margin_px
    figure = Figure(figsize=(width_px / 100, full / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, margin_px / full, 1, height_px / full))
    axes.set_axis_off()
    return figure, axes


def _draw_cells(axes: Axes, crop: Crop, cells: CropCells, palette: Palette) -> None:
    """Lay the outlines over a field of view, excluded ones first so that counted ones stay visible."""
    from matplotlib.collections import PolyCollection

    um_per_px = crop.mpp * crop.image.shape[1] / axes.get_window_extent().width
    width_px = float(np.clip(LINE_UM / um_per_px, *LINE_PX))
    colors = {each.name: palette.of(each) for each in cells.classes if each.role is not Role.OUT}
    order = [each.name for role in DRAWING_ORDER for each in cells.classes if each.role is role]
    for wanted in ("", *order):
        corners = [
            (np.asarray(outline.exterior.coords) - (crop.x, crop.y)) / crop.downsample
            for outline, label, reason in zip(cells.outlines, cells.labels, cells.excluded, strict=True)
            if ("" if reason or label not in colors else label) == wanted
        ]
        color = colors.get(wanted, palette.excluded)
        axes.add_collection(
            PolyCollection(corners, facecolors="none", edgecolors=color, linewidths=width_px * 0.72)
        )


def tint_excluded(
    image: NDArray[np.uint8], quality: QualityMap, downsample: float
) -> tuple[NDArray[np.uint8], list[tuple[str, str, bool]]]:
    """Tint the places that are not counted; returns the picture and the legend of the reasons that occur.

    Done in the picture's own pixels: a second layer would cost matplotlib as much memory as the slide is
    large.
    """
    from matplotlib.colors import to_rgb

    step = downsample / quality.downsample
    rows, columns = (
        np.minimum(((np.arange(size) + 0.5) * step).astype(np.int64), limit - 1)
        for size, limit in zip(image.shape[:2], quality.codes.shape, strict=True)
    )
    codes = quality.codes[rows[:, None], columns]
    tinted, legend = image.copy(), []
    for code, reason in enumerate(quality.reasons):
        place = codes == code
        if code and place.any():
            color = REASON_COLORS[(code - 1) % len(REASON_COLORS)]
            tint = np.array(to_rgb(color)) * 255
            tinted[place] = np.rint(tinted[place] * (1 - TINT) + tint * TINT).astype(np.uint8)
            legend.append((color, reason.replace("_", " "), True))
    return tinted, legend


def trace_outline(
    axes: Axes,
    outline: shapely.MultiPolygon,
    *,
    color: str = INK,
    unit: float = 1.0,
    width: float = 1.1,
) -> None:
    """Draw the rings of an outline, in px of ``unit``, as lines of so many points on a pale halo."""
    from matplotlib.collections import LineCollection

    rings = [
        np.asarray(ring.coords) / unit for part in outline.geoms for ring in (part.exterior, *part.interiors)
    ]
    for line, wide in (("white", width + 1.5), (color, width)):
        axes.add_collection(LineCollection(rings, colors=line, linewidths=wide))


def _ring(axes: Axes, circle: Circle) -> None:
    """Draw a ring that is seen on dark and on pale ground."""
    from matplotlib.patches import Circle as Ring

    for color, width in ((INK, 4.2), (HOT_SPOT_COLOR, 2.2)):
        axes.add_patch(
            Ring((circle.x, circle.y), circle.radius, fill=False, edgecolor=color, linewidth=width)
        )


LETTER_WIDTH = 0.58
"""Mean width of a letter, in units of its size."""
BOX_WIDTH = 3.2
"""Width of a legend's box and the gaps beside it, in the same units."""


def legend_below(figure: Figure, entries: Iterable[tuple[str, str, bool]], *, size: float = 20) -> None:
    """Write names beside filled or hollow boxes of their colour, in the white margin below a picture.

    Names that are too long for a row take two, and smaller letters where the picture is narrow.
    """
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=color if is_filled else "white", edgecolor=color, linewidth=2.5, label=name)
        for color, name, is_filled in entries
    ]
    if handles:
        letters = sum(LETTER_WIDTH * len(str(handle.get_label())) + BOX_WIDTH for handle in handles)
        room = figure.get_figwidth() * 72 / (letters * size)
        rows = 1 if room >= 1 else 2
        size = min(size, size * room * rows * 0.9)
        figure.legend(
            handles=handles,
            loc="lower left",
            ncols=-(-len(handles) // rows),
            frameon=False,
            prop={"family": FONT, "size": size},
            labelcolor=INK,
            handlelength=1.0,
            columnspacing=1.4,
        )


def scale_bar(axes: Axes, *, width: float, height: float, um_per_unit: float, in_mm: bool) -> None:
    """Draw a scale bar of a round length in the lower right corner, a fixed share of the picture in size."""
    from matplotlib.patches import Rectangle

    length = nice_length(width * um_per_unit / 4)
    text = f"{length / 1000:g} mm" if in_mm else f"{length:g} µm"
    bar, side = length / um_per_unit, min(width, height)
    text_height, thick, edge = side * (0.02 if in_mm else 0.032), side / 100, side / 50
    points = text_height / 0.72 * _points_per_unit(axes, width)  # capitals are 0.72 of the font's size
    box_width = max(bar, text_height * 0.95 * len(text)) + 2 * edge
    box_height = text_height * 1.5 + thick + 2 * edge
    left, top = width - box_width - edge, height - box_height - edge
    axes.add_patch(Rectangle((left, top), box_width, box_height, facecolor="white", alpha=0.85, linewidth=0))
    axes.add_patch(
        Rectangle(
            (left + (box_width - bar) / 2, top + box_height - edge - thick),
            bar,
            thick,
            facecolor=INK,
            linewidth=0,
        )
    )
    axes.text(
        left + box_width / 2,
        top + box_height - edge - thick - text_height * 0.4,
        text,
        ha="center",
        va="baseline",
        color=INK,
        family=FONT,
        fontsize=points,
    )


def _points_per_unit(axes: Axes, width: float) -> float:
    """Return points (1/72 inch) per unit of the picture's axes."""
    figure: Any = axes.get_figure()
    return float(figure.get_figwidth() * 72 / width)
