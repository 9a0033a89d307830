"""Where the tissue is: stained or textured pixels of the overview, against the glass around them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..wsi import Region, Slide
from .closeup import is_textured
from .evidence import CHROMA_STEP, Evidence, gather_evidence
from .glass import NO_GLASS, Glass, estimate_glass, is_featureless, luminance
from .morphology import close_gaps, count_labels, drop_pieces, fill_holes, grow, label_pieces
from .overview import coverage, lookup, read_overview, read_raster, write_raster

__all__ = ["TissueMask", "TissueSettings", "find_tissue", "find_tissue_in_image"]

Mask = NDArray[np.bool_]

METHOD = "glass-evidence-1"
"""Name and version of the method; a change of the numbers changes it."""
DARK_GREY = 60
"""Grey level below which nothing lies in a bright-field overview but ink and unscanned black."""
DARK_SHARE = 0.5
"""Share of such pixels that makes a slide a dark-field one (fluorescence, or a class map)."""
BLACK = 8
"""Grey level; some scanners fill with black what they did not scan, and such pixels show no light."""
BRIGHT_GREY = 150
"""Grey level that the brightest tenth of the scanned part reaches on a bright-field slide."""
GLASS_DISTANCE_PX = 2
"""Mask pixels around tissue that are not probed as glass."""
UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class TissueSettings:
    """How tissue is told from glass."""

    mpp: float = 8.0
    """um per pixel of the overview; fine enough for a cell cluster, coarse enough for any slide."""
    min_area_mm2: float = 0.001
    """mm2; smaller pieces are dust or lone cells (0.001 is 32 um x 32 um)."""
    margin_um: float = 8.0
    """um; stained pixels are widened by this, since the border of tissue fills its pixels by half."""
    close_um: float = 16.0
    """um; gaps up to twice this wide between stained pixels are closed: the width of a cell's lumen."""
    pale_close_um: float = 48.0
    """um; the same between pixels of pale texture: a fat cell is about 80 um wide."""
    pale_min_area_mm2: float = 0.01
    """mm2; smaller pale patches are dust and are not joined to anything."""
    hole_mm2: float = 0.005
    """mm2; smaller holes are lumina and belong to the tissue (70 um x 70 um), larger ones are glass."""
    grey_min_area_mm2: float = 1.0
    """mm2; a piece with hardly any colour counts as tissue from this size on, below it is dirt."""
    grey_max_share: float = 0.1
    """Share of the image; a colourless piece beyond it fills a small field of view and is no dirt."""
    stain_od: float = 0.03
    """OD; distance from grey from which a pixel shows stain."""
    stain_share: float = 0.05
    """Share of stained pixels that a piece below ``grey_min_area_mm2`` needs; dust has none."""
    edge_stain_od: float = 0.06
    """OD; stain that dirt along the edge of a coverslip hardly ever shows."""
    edge_stain_share: float = 0.005
    """Share of such pixels that a strip across the slide needs, else it is the edge of the coverslip."""
    edge_max_share: float = 0.3
    """Share of the slide's area that such a strip does not exceed; a pale field of view does."""


@dataclass(frozen=True)
class TissueMask:
    """Where the tissue is, on a raster over the whole slide."""

    mask: Mask
    """(h, w) True on tissue."""
    downsample: float
    """Level-0 px per mask px."""
    mpp: float
    """um per mask px."""
    background: tuple[float, float, float]
    """White point: colour of the empty glass, R, G, B, 0-255; 245 assumed where flag ``no_glass`` is set."""
    method: str = METHOD
    """Name and version of the method."""
    flags: tuple[str, ...] = ()
    """``no_tissue``, ``no_glass``, ``dark_background``, ``single_channel``."""

    @property
    def area_mm2(self) -> float:
        """Area of the tissue, mm2."""
        return float(self.mask.sum()) * self.mpp**2 / UM2_PER_MM2

    def covers(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> Mask:
        """Tell which points lie on tissue.

        Parameters
        ----------
        x, y : (N,) float array
            Points, level-0 px.

        Returns
        -------
        (N,) bool array
            False outside the raster.
        """
        return lookup(self.mask, x, y, downsample=self.downsample, outside=0)

    def fraction(self, region: Region) -> float:
        """Return the share of a region's area that is tissue (0-1); outside the raster is none."""
        return coverage(self.mask, region, downsample=self.downsample)

    def save(self, path: Path) -> None:
        """Write the mask to one ``.npz`` file; equal masks give equal bytes."""
        facts = {
            "kind": "tissue",
            "shape": list(self.mask.shape),
            "downsample": self.downsample,
            "mpp": self.mpp,
            "background": list(self.background),
            "method": self.method,
            "flags": list(self.flags),
        }
        write_raster(path, values=np.packbits(self.mask, axis=1), facts=facts)

    @classmethod
    def load(cls, path: Path) -> TissueMask:
        """Read a mask that :meth:`save` wrote; InvalidTableError if the file holds something else."""
        bits, facts = read_raster(path, kind="tissue")
        mask = np.unpackbits(bits, axis=1, count=facts["shape"][1]).astype(bool)
        red, green, blue = facts["background"]
        return cls(
            mask=mask,
            downsample=facts["downsample"],
            mpp=facts["mpp"],
            background=(red, green, blue),
            method=facts["method"],
            flags=tuple(facts["flags"]),
        )


def find_tissue(slide: Slide, *, settings: TissueSettings | None = None) -> TissueMask:
    """Find the tissue of a slide.

    Parameters
    ----------
    slide : Slide
        Open slide with a trusted resolution.
    settings : TissueSettings, optional
        Sizes and thresholds.

    Returns
    -------
    TissueMask
        Empty, with a flag that says why, on blank, fluorescence and single-channel slides.

    Raises
    ------
    ResolutionError
        If the slide's um per pixel is not trusted.

    Notes
    -----
    About 0.05 s per mm2 of tissue, and 15 bytes per pixel of overview, plus reading.
    """
    settings = settings or TissueSettings()
    overview = read_overview(slide, mpp=settings.mpp)
    found = find_tissue_in_image(overview.image, mpp=overview.mpp, settings=settings)
    found = replace(found, downsample=overview.downsample)
    return _all_tissue(found) if _glass_is_tissue(slide, found) else found


def _glass_is_tissue(slide: Slide, found: TissueMask) -> bool:
    """Tell whether what passed for glass is smooth pale tissue that fills a field of view."""
    if {"no_glass", "dark_background", "single_channel"} & set(found.flags):
        return False
    beside = ~grow(found.mask, radius=GLASS_DISTANCE_PX)
    return is_textured(slide, beside, downsample=found.downsample)


def _all_tissue(found: TissueMask) -> TissueMask:
    """Return a mask that is all tissue, in place of one that took tissue for glass."""
    return replace(found, mask=np.ones_like(found.mask), background=NO_GLASS.white, flags=("no_glass",))


def find_tissue_in_image(
    image: NDArray[np.uint8], *, mpp: float, settings: TissueSettings | None = None
) -> TissueMask:
    """Find the tissue in an overview image.

    A pixel is tissue when its stain colour, its density and the texture around it, each relative to the
    empty glass of the same slide, together suffice. No threshold is taken from the histogram of the tissue,
    so a field that is all tissue is not split, and a blank slide gives nothing.

    Parameters
    ----------
    image : (H, W, 3) uint8 array
        Overview at about 8 um per pixel, sRGB.
    mpp : float
        Resolution of ``image``, um per pixel.
    settings : TissueSettings, optional
        Sizes and thresholds.

    Returns
    -------
    TissueMask
        On the pixels of ``image`` (``downsample`` is 1).
    """
    settings = settings or TissueSettings()
    kind = _kind_problem(image)
    if kind:
        return _result(np.zeros(image.shape[:2], bool), estimate_glass(image), mpp, (kind,))
    glass = estimate_glass(image)
    if not glass.found:
        is_blank = is_featureless(image)
        everywhere = np.full(image.shape[:2], not is_blank)
        return _result(everywhere, glass, mpp, ("no_tissue",) if is_blank else ("no_glass",))
    evidence = gather_evidence(image, glass=glass, mpp=mpp)
    mask = _outline(evidence, mpp=mpp, settings=settings)
    mask = _without_dirt(mask, evidence.chroma, mpp=mpp, settings=settings)
    return _result(mask, glass, mpp, () if mask.any() else ("no_tissue",))


def _result(mask: Mask, glass: Glass, mpp: float, flags: tuple[str, ...]) -> TissueMask:
    """Return a mask on the image's own pixels."""
    return TissueMask(mask=mask, downsample=1.0, mpp=mpp, background=glass.white, flags=flags)


def _kind_problem(image: NDArray[np.uint8]) -> str | None:
    """Return the flag of an image that is no bright-field colour image, None for one that is."""
    grey = luminance(image)
    scanned = grey[grey > BLACK]
    has_light = scanned.size > 0 and float(np.quantile(scanned, 0.9)) >= BRIGHT_GREY
    is_dark = not has_light and float((grey < DARK_GREY).mean()) > DARK_SHARE
    is_colourless = bool((image == image[..., :1]).all())
    if is_colourless and (is_dark or grey.min() < BRIGHT_GREY):
        return "single_channel"
    return "dark_background" if is_dark else None


def _outline(evidence: Evidence, *, mpp: float, settings: TissueSettings) -> Mask:
    """Join the evidence to regions, and fill what belongs to them."""
    px_per_mm2 = UM2_PER_MM2 / mpp**2
    pale = drop_pieces(evidence.textured, min_px=settings.pale_min_area_mm2 * px_per_mm2)
    pale = close_gaps(pale, radius=max(1, round(settings.pale_close_um / mpp)))
    stained = grow(evidence.stained, radius=round(settings.margin_um / mpp))
    stained = close_gaps(stained, radius=max(1, round(settings.close_um / mpp)))
    return fill_holes(pale | stained, max_px=settings.hole_mm2 * px_per_mm2)


def _without_dirt(mask: Mask, chroma: NDArray[np.uint8], *, mpp: float, settings: TissueSettings) -> Mask:
    """Remove specks, grey dust and the edge of the coverslip."""
    px_per_mm2 = UM2_PER_MM2 / mpp**2
    labels, sizes = label_pieces(mask)
    area = np.maximum(sizes, 1)
    stained = count_labels(labels, size=sizes.size, where=chroma > settings.stain_od / CHROMA_STEP) / area
    deep = count_labels(labels, size=sizes.size, where=chroma > settings.edge_stain_od / CHROMA_STEP) / area
    keep = sizes >= settings.min_area_mm2 * px_per_mm2
    large = min(settings.grey_min_area_mm2 * px_per_mm2, settings.grey_max_share * mask.size)
    keep &= (sizes >= large) | (stained >= settings.stain_share)
    strip = _crosses(labels, sizes.size) & (sizes < settings.edge_max_share * mask.size)
    keep &= ~(strip & (deep < settings.edge_stain_share))
    keep[0] = False
    kept: Mask = keep[labels]
    return kept


def _crosses(labels: NDArray[np.int32], count: int) -> Mask:
    """Tell which pieces touch two opposite sides of the image."""
    result = np.zeros(count, bool)
    for first, last in ((labels[0], labels[-1]), (labels[:, 0], labels[:, -1])):
        result[np.intersect1d(first, last)] = True
    return result
