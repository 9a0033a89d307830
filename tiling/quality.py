"""Which part of the tissue can be assessed: focus, pen marks, folds, bubbles and debris."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import RegionError
from ..wsi import Slide
from .closeup import share_of_pixels
from .focus import FocusSettings, find_blur
from .folds import FoldSettings, find_folds
from .ink import InkSettings, find_dye, find_strokes, is_dye
from .morphology import grow
from .overview import lookup, read_overview, read_raster, write_raster
from .specks import BubbleSettings, DebrisSettings, find_bubbles, find_debris, is_opaque
from .tissue import UM2_PER_MM2, TissueMask

__all__ = ["REASONS", "QualityMap", "QualitySettings", "assess_quality"]

REASONS = ("ok", "out_of_focus", "pen", "fold", "bubble", "debris")
"""Why a place is left out; its code is the index."""
LEAST_FIRST = ("out_of_focus", "bubble", "fold", "debris", "pen")
"""Order in which reasons are written over one another; the last hides most."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class QualitySettings:
    """How artefacts are told from tissue."""

    focus: FocusSettings = field(default_factory=FocusSettings)
    """Blur."""
    ink: InkSettings = field(default_factory=InkSettings)
    """Felt-tip strokes and marking dye."""
    fold: FoldSettings = field(default_factory=FoldSettings)
    """Folds."""
    bubble: BubbleSettings = field(default_factory=BubbleSettings)
    """Air bubbles."""
    debris: DebrisSettings = field(default_factory=DebrisSettings)
    """Dirt."""


@dataclass(frozen=True)
class QualityMap:
    """What keeps each place of a slide from being assessed, on the pixels of the tissue mask."""

    codes: NDArray[np.uint8]
    """(h, w) index into ``REASONS``; 0 also outside the tissue where nothing was found."""
    downsample: float
    """Level-0 px per map px."""
    mpp: float
    """um per map px."""
    flags: tuple[str, ...] = ()
    """``focus_not_judged``: the slide is too coarse to show blur."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a place is left out, by code; the first means that nothing was found."""
        return REASONS

    def reason_at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the code under each point.

        Parameters
        ----------
        x, y : (N,) float array
            Points, level-0 px.

        Returns
        -------
        (N,) uint8 array
            Index into ``REASONS``; 0 outside the raster.
        """
        return lookup(self.codes, x, y, downsample=self.downsample, outside=0)

    def areas_mm2(self, tissue: TissueMask) -> dict[str, float]:
        """Return the area of tissue under each reason, mm2; they add up to the area of the tissue."""
        counts = np.bincount(self.codes[tissue.mask], minlength=len(REASONS))
        return {
            reason: float(n) * self.mpp**2 / UM2_PER_MM2 for reason, n in zip(REASONS, counts, strict=True)
        }

    def assessable(self, tissue: TissueMask) -> NDArray[np.bool_]:
        """Return the tissue in which nothing was found, (h, w) bool."""
        clear: NDArray[np.bool_] = self.codes == 0
        return tissue.mask & clear

    def save(self, path: Path) -> None:
        """Write the map to one ``.npz`` file; equal maps give equal bytes."""
        facts = {
            "kind": "quality",
            "reasons": list(REASONS),
            "downsample": self.downsample,
            "mpp": self.mpp,
            "flags": list(self.flags),
        }
        write_raster(path, values=self.codes, facts=facts)

    @classmethod
    def load(cls, path: Path) -> QualityMap:
        """Read a map that :meth:`save` wrote; InvalidTableError if the file holds something else."""
        codes, facts = read_raster(path, kind="quality")
        return cls(codes=codes, downsample=facts["downsample"], mpp=facts["mpp"], flags=tuple(facts["flags"]))


def assess_quality(
    slide: Slide, tissue: TissueMask, *, settings: QualitySettings | None = None
) -> QualityMap:
    """Find what keeps tissue from being assessed.

    All detectors are conservative: what they call an artefact hardly ever is tissue, and some artefacts are
    missed. Where several meet, the one that hides most is given: pen, then debris, fold, bubble, blur.

    Parameters
    ----------
    slide : Slide
        Open slide with a trusted resolution.
    tissue : TissueMask
        Tissue of this slide.
    settings : QualitySettings, optional
        Sizes and thresholds.

    Returns
    -------
    QualityMap
        On the pixels of ``tissue``.

    Raises
    ------
    ResolutionError
        If the slide's um per pixel is not trusted.
    RegionError
        If ``tissue`` is the mask of another slide.

    Notes
    -----
    The overview is read whole; focus (1 um per pixel), dye and debris (4 um) are read in tiles of about 1 mm
    and 2 mm, and only where tissue is. The result does not depend on these tiles. About 0.1 s per mm2 of
    tissue on one core, reading included.
    """
    settings = settings or QualitySettings()
    found = _find_artefacts(slide, tissue, settings)
    found["out_of_focus"], was_judged = find_blur(
        slide,
        tissue.mask,
        hidden=found["pen"] | found["debris"] | found["bubble"],
        downsample=tissue.downsample,
        settings=settings.focus,
    )
    codes = np.zeros(tissue.mask.shape, np.uint8)
    for reason in LEAST_FIRST:
        codes[found[reason]] = REASONS.index(reason)
    flags = () if was_judged else ("focus_not_judged",)
    return QualityMap(codes=codes, downsample=tissue.downsample, mpp=tissue.mpp, flags=flags)


def _find_artefacts(slide: Slide, tissue: TissueMask, settings: QualitySettings) -> dict[str, Mask]:
    """Return where pen, debris, bubbles and folds are."""
    mask, mpp, white = tissue.mask, tissue.mpp, tissue.background
    if not mask.any():
        return dict.fromkeys(LEAST_FIRST, np.zeros(mask.shape, bool))
    image = _overview_of(slide, tissue)
    rules = (is_dye, partial(is_opaque, settings=settings.debris))
    dye, dirt = share_of_pixels(slide, mask, downsample=tissue.downsample, white=white, rules=rules)
    strokes = find_strokes(image, white=white, mpp=mpp, settings=settings.ink)
    beside_ink = ~grow(strokes, radius=2)
    pen = strokes | find_dye(dye * beside_ink, mpp=mpp, settings=settings.ink)
    debris = find_debris(dirt * beside_ink, mask, mpp=mpp, settings=settings.debris)
    bubble = find_bubbles(image, mask & ~pen, white=white, mpp=mpp, settings=settings.bubble)
    clear = mask & ~grow(pen | debris | bubble, radius=2)
    fold = find_folds(image, clear, white=white, mpp=mpp, settings=settings.fold)
    return {"pen": pen, "debris": debris, "bubble": bubble, "fold": fold}


def _overview_of(slide: Slide, tissue: TissueMask) -> NDArray[np.uint8]:
    """Return the overview on the pixels of the tissue mask."""
    image = read_overview(slide, mpp=tissue.mpp).image
    if image.shape[:2] != tissue.mask.shape:
        raise RegionError(
            f"the tissue mask is {tissue.mask.shape} px, the slide {image.shape[:2]} px at its resolution",
            "use the mask of this slide and the um per pixel it was made with",
        )
    return image
