"""Pictures of a grading report: coloured lesions, a heat map, close-ups. Equal input gives equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...tiling import QualityMap, TissueMask
from ...wsi import Slide
from ..report.pictures import (
    FONT,
    INK,
    jpeg,
    legend_below,
    photo_figure,
    pixels,
    png,
    scale_bar,
    tint_excluded,
    trace_outline,
)
from ..slides.outline import outline_mask
from .class_maps import SlideMaps
from .classes import BUD_COLOR, LESION_CLASSES, SIGNET_COLOR, UNCERTAIN
from .findings import Findings
from .glands import GlandTable
from .lesions import Lesion
from .tumour_buds import BudCandidates, disc_outline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SlideView", "draw_close_up", "draw_heat_map", "draw_lesions"]

OVERVIEW_PX = 1600
"""Longest side of an overview, px."""
GLAND_TINT = 0.5
"""Share of the class's colour where a gland lies, in overviews."""
PALE = 0.6
"""Share of the tissue's own colour that overviews keep, so that the colours of classes stand out."""
CLOSE_TINT = 0.14
"""The same in close-ups, where the tissue must stay as it is."""
HEAT_TINT = 0.85
"""Share of the heat map's colour at a probability of 1; less below."""
CLOSE_UP_UM = 600.0
"""Side of a close-up, um: a dozen crypts, nuclei still to be seen."""
CLOSE_UP_PX = 640
"""Side of each half of a close-up, px."""
FINEST_MPP = 0.5
"""Close-ups are read no finer than this, um per px."""
GAP_PX = 12
"""White between the halves of a close-up."""
HIGH_GRADE = (4, 5)
"""Classes whose probability the heat map shows: high-grade neoplasia and carcinoma."""
SIGNET_DOTS = 4000
"""With more signet-ring cells than this the overview shows every n-th."""

Image = NDArray[np.uint8]
COLORS = np.array([each.rgb for each in (*LESION_CLASSES, UNCERTAIN)], np.float32)


@dataclass(frozen=True)
class SlideView:
    """The whole slide, small, with what lies on it."""

    image: Image
    """(H, W, 3) the slide."""
    mpp: float
    """um per px of ``image``."""
    downsample: float
    """Level-0 px per px of ``image``."""
    tissue: TissueMask
    quality: QualityMap
    maps: SlideMaps
    findings: Findings

    @classmethod
    def of(
        cls, slide: Slide, *, tissue: TissueMask, quality: QualityMap, maps: SlideMaps, findings: Findings
    ) -> SlideView:
        """Read the slide at the size of an overview."""
        plane = slide.plane(max(slide.mpp, slide.mpp * max(slide.width, slide.height) / OVERVIEW_PX))
        image = plane.read(0, 0, plane.width, plane.height)
        return cls(
            image,
            plane.mpp,
            plane.downsample,
            tissue=tissue,
            quality=quality,
            maps=maps,
            findings=findings,
        )


def draw_lesions(view: SlideView, *, named: Sequence[Lesion] = ()) -> bytes:
    """Draw the whole slide with its fragments, its glands and lesions in the colours of their classes.

    Parameters
    ----------
    view : SlideView
        The slide.
    named : sequence of Lesion
        Lesions whose names are written beside them.

    Returns
    -------
    bytes
        A PNG file.
    """
    findings = view.findings
    pale = np.rint(255 - (255 - view.image.astype(np.float32)) * PALE).astype(np.uint8)
    image, left_out = tint_excluded(pale, view.quality, view.downsample)
    rows, columns = _cells_under(view, view.findings.glands.labels.shape)
    image = _tinted(image, view.findings.glands, rows, columns, share=GLAND_TINT)
    axes, figure, zoom = _overview(view, image)
    for lesion in reversed(findings.by_severity):
        trace_outline(axes, lesion.outline, color=lesion.kind.color, unit=view.downsample, width=1.8)
    _write_names(axes, view, named, zoom=zoom)
    legend = [
        (each.color, each.name, True) for each in (*LESION_CLASSES, UNCERTAIN) if _occurs(each.key, findings)
    ]
    if findings.signet is not None and len(findings.signet):
        step = -(-len(findings.signet) // SIGNET_DOTS)
        x, y = (getattr(findings.signet, name)[::step] / view.downsample for name in "xy")
        axes.scatter(x, y, s=14, facecolors="none", edgecolors=SIGNET_COLOR, linewidths=0.9)
        legend.append((SIGNET_COLOR, "Signet-ring cell", False))
    if findings.buds is not None and findings.buds.disc is not None:
        _draw_buds(axes, findings.buds, unit=view.downsample)
        legend.append((BUD_COLOR, "Bud candidate", False))
    legend_below(figure, [*legend, *left_out], size=legend_size(len(legend) + len(left_out)))
    return png(figure)


def draw_heat_map(view: SlideView) -> bytes:
    """Draw how probable high-grade neoplasia or carcinoma is, over the glands of a pale slide.

    Parameters
    ----------
    view : SlideView
        The slide.

    Returns
    -------
    bytes
        A PNG file with its colour bar below.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    grey = view.image.mean(2, keepdims=True).repeat(3, 2)
    pale = 255 - (255 - grey) * PALE
    rows, columns = _cells_under(view, view.maps.glands.shape)
    height, width = view.maps.classes.shape[1:]
    coarse = (rows // 4).clip(0, height - 1)[:, None], (columns // 4).clip(0, width - 1)
    classes = view.maps.classes[(slice(None), *coarse)].astype(np.float32)
    heat = classes[list(HIGH_GRADE)].sum(0) / np.maximum(classes.sum(0), 1)
    is_gland = view.findings.glands.labels[rows[:, None], columns] > 0
    colors = colormaps["plasma_r"](heat)[..., :3] * 255
    share = (np.clip(0.25 + heat, 0, 1) * HEAT_TINT * is_gland)[..., None]
    axes, figure, _ = _overview(view, np.rint(pale * (1 - share) + colors * share).astype(np.uint8))
    for each in view.findings.pieces.fragments:
        trace_outline(axes, each.outline, unit=view.downsample)
    full = figure.get_figheight() * 100
    bar = figure.add_axes((0.03, 48 / full, 0.4, 20 / full))
    drawn: Any = figure.colorbar(
        ScalarMappable(Normalize(0, 1), "plasma_r"), cax=bar, orientation="horizontal", ticks=(0, 0.5, 1)
    )
    drawn.outline.set_linewidth(0.5)
    bar.tick_params(labelsize=16, labelfontfamily=FONT, colors=INK)
    words = "Probability of high-grade neoplasia\nor carcinoma, in glands"
    size = min(17.0, figure.get_figwidth() * 100 * 17 / 800)  # half of a picture of 800 px holds them
    figure.text(0.46, 58 / full, words, va="center", color=INK, family=FONT, fontsize=size)
    return png(figure)


def draw_close_up(slide: Slide, maps: SlideMaps, findings: Findings, lesion: Lesion) -> bytes:
    """Draw the most telling place of a lesion twice: bare on the left, its glands outlined on the right.

    Returns
    -------
    bytes
        A JPEG file.
    """
    plane = slide.plane(max(FINEST_MPP, slide.mpp))
    side = round(CLOSE_UP_UM / plane.mpp)
    left, top = (round(value / plane.downsample - side / 2) for value in lesion.centre)
    image = plane.read(left, top, side, side)
    step = plane.downsample / maps.downsample
    rows, columns = (
        ((np.arange(start, start + side) + 0.5) * step).astype(np.intp).clip(0, limit - 1)
        for start, limit in zip((top, left), findings.glands.labels.shape, strict=True)
    )
    tinted = _tinted(image, findings.glands, rows, columns, share=CLOSE_TINT)
    halves = []
    for is_bare in (True, False):
        figure, axes = photo_figure(CLOSE_UP_PX, CLOSE_UP_PX)
        axes.imshow(
            image if is_bare else tinted,
            extent=(0, side, side, 0),
            interpolation="antialiased",
            aspect="auto",
        )
        axes.set(xlim=(0, side), ylim=(side, 0))
        if not is_bare:
            _outline_glands(axes, maps, findings, box=(left, top, side), downsample=plane.downsample)
            scale_bar(axes, width=side, height=side, um_per_unit=plane.mpp, in_mm=False)
        halves.append(pixels(figure))
    gap = np.full((CLOSE_UP_PX, GAP_PX, 3), 255, np.uint8)
    return jpeg(np.concatenate([halves[0], gap, halves[1]], axis=1))


def _draw_buds(axes: Axes, buds: BudCandidates, *, unit: float) -> None:
    """Draw the candidate buds as dots, and the field that holds most; ``unit`` is level-0 px per px."""
    assert buds.disc is not None
    step = -(-len(buds) // SIGNET_DOTS)
    chosen = np.flatnonzero(buds.is_bud)[::step]
    axes.scatter(buds.x[chosen] / unit, buds.y[chosen] / unit, s=12, color=BUD_COLOR, linewidths=0)
    x, y = disc_outline(buds.disc, mpp=buds.level0_mpp).T / unit
    axes.plot(np.append(x, x[0]), np.append(y, y[0]), color=BUD_COLOR, linewidth=2.2, linestyle=(0, (4, 2)))


def legend_size(entries: int) -> float:
    """Return the size of the legend's letters, points: many names have to share one line."""
    return 20.0 if entries <= 5 else max(11.0, 100.0 / entries)


def _overview(view: SlideView, image: Image) -> tuple[Axes, Any, float]:
    """Make a figure of the whole slide with a margin below for its legend."""
    height, width = image.shape[:2]
    zoom = OVERVIEW_PX / max(height, width)
    figure, axes = photo_figure(width * zoom, height * zoom, margin_px=90)
    axes.imshow(image, extent=(0, width, height, 0), interpolation="antialiased", aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0))
    scale_bar(axes, width=width, height=height, um_per_unit=view.mpp, in_mm=True)
    return axes, figure, zoom


def _tinted(
    image: Image, glands: GlandTable, rows: NDArray[np.intp], columns: NDArray[np.intp], *, share: float
) -> Image:
    """Tint glands with the colour of their class; ``rows`` and ``columns`` are cells of the gland map."""
    told = np.where(glands.is_certain, glands.kind + 1, len(LESION_CLASSES) + 1)
    grade = np.concatenate([[0], told]).astype(np.uint8)[glands.labels[rows[:, None], columns]]
    color = np.concatenate([np.zeros((1, 3), np.float32), COLORS])[grade]
    part = ((grade > 0) * np.float32(share))[..., None]
    return np.rint(image * (1 - part) + color * part).astype(np.uint8)


def _cells_under(view: SlideView, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row and column of the gland map under the middle of each px of the overview."""
    step = view.downsample / view.maps.downsample
    rows, columns = (
        ((np.arange(size) + 0.5) * step).astype(np.intp).clip(0, limit - 1)
        for size, limit in zip(view.image.shape[:2], shape, strict=True)
    )
    return rows, columns


def _write_names(axes: Axes, view: SlideView, named: Sequence[Lesion], *, zoom: float) -> None:
    """Write the names of fragments above them, and those of lesions beside their middle."""
    from matplotlib.patheffects import withStroke

    halo: Any = [withStroke(linewidth=4, foreground="white")]
    fragments = view.findings.pieces.fragments
    for each in fragments:
        trace_outline(axes, each.outline, unit=view.downsample)
        if len(fragments) > 1:
            left, top, _, _ = (value / view.downsample for value in each.outline.bounds)
            place = left + 6 / zoom, max(top - 8 / zoom, 30 / zoom)
            axes.text(
                *place, each.name, color=INK, family=FONT, fontsize=20, weight="bold", path_effects=halo
            )
    for lesion in named:
        x, y = (value / view.downsample for value in lesion.centre)
        axes.text(
            x,
            y,
            lesion.name,
            color=INK,
            family=FONT,
            fontsize=13,
            ha="center",
            va="center",
            path_effects=halo,
        )


def _outline_glands(
    axes: Axes,
    maps: SlideMaps,
    findings: Findings,
    *,
    box: tuple[int, int, int],
    downsample: float,
) -> None:
    """Draw the glands of a close-up, ``box`` in px of the picture, in the colours of their classes."""
    left, top, side = (value * downsample / maps.downsample for value in box)
    height, width = findings.glands.labels.shape
    first = int(np.clip(np.floor(top), 0, height)), int(np.clip(np.floor(left), 0, width))
    last = int(np.clip(np.ceil(top + side), 0, height)), int(np.clip(np.ceil(left + side), 0, width))
    part = findings.glands.labels[first[0] : last[0], first[1] : last[1]]
    import shapely

    unit = maps.downsample / downsample
    corner = np.array([first[1] * unit - box[0], first[0] * unit - box[1]])
    certain, kinds = findings.glands.is_certain, findings.glands.kind
    for label in np.unique(part[part > 0]):
        kind = LESION_CLASSES[int(kinds[label - 1])] if certain[label - 1] else UNCERTAIN
        outline = outline_mask(part == label, downsample=unit)
        trace_outline(axes, shapely.transform(outline, lambda xy: xy + corner), color=kind.color, width=2.0)


def _occurs(key: str, findings: Findings) -> bool:
    """Tell whether a class, or an uncertain gland, is on the slide."""
    if key == UNCERTAIN.key:
        return bool((~findings.glands.is_certain).any())
    return any(each.kind.key == key for each in findings.lesions)
