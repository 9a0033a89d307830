"""What every collection is turned into: an image whose nuclei an expert has marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["TUMOUR_LABELS", "LabelledImage"]

TUMOUR_LABELS = ("Positive", "Negative", "Tumour")
"""Marks that say: this is a nucleus of the tumour."""


@dataclass(frozen=True)
class LabelledImage:
    """One image whose nuclei an expert has marked."""

    set_name: str
    """Name of the collection."""
    name: str
    """Name of the image in it."""
    case: str
    """Patient or slide; images of one case are never divided between training and validation."""
    path: Path
    """The image file."""
    mpp: float
    """um per px of the image."""
    x: NDArray[np.float64] = field(repr=False)
    """Marked nuclei, px of the image: (N,)."""
    y: NDArray[np.float64] = field(repr=False)
    """Marked nuclei, px: (N,)."""
    labels: NDArray[np.str_] = field(repr=False)
    """What each nucleus was marked as: (N,). ``Positive`` and ``Negative`` are tumour nuclei of a nuclear
    stain, ``Nucleus`` says nothing more."""
    marked: str = "all"
    """``"all"`` nuclei were marked, only those of ``"tumour"``, or only ``"some"``: then what is not marked
    says nothing."""
    scale_stated: bool = False
    """False when ``mpp`` was judged from nuclear size."""
    region: Path | None = None
    """Mask image (255 inside) of the part that was marked; outside nothing is known."""
    instance_ids: NDArray[np.int32] | None = field(default=None, repr=False)
    """Label of each nucleus in the instance map, 0 where it has no outline: (N,)."""
    load_instances: Callable[[], NDArray[np.int32]] | None = field(default=None, repr=False)
    """Returns the instance map, (H, W), 0 = background; None when only points were marked."""
    ellipses: NDArray[np.float64] | None = field(default=None, repr=False)
    """Outlines of cells that may overlap, in place of an instance map: centre x, y and half width and height
    of the ellipse in the box of each cell, px of the image: (N, 4)."""
    load_known: Callable[[], NDArray[np.bool_]] | None = field(default=None, repr=False)
    """Returns where it is known what the image shows, (H, W), in place of ``region``."""
    shape_scored: bool = True
    """False when outlines were bent or merged by others: fit to train on, not to score shapes."""
    part: str | None = None
    """Part of the split that its owner has fixed (`PARTS`); None leaves it to the digest of the case."""

    @property
    def tells_tumour(self) -> bool:
        """Whether the marks say which nuclei are of the tumour, so that only those can be counted."""
        return self.marked == "tumour" or bool(np.isin(self.labels, TUMOUR_LABELS).any())

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether each nucleus was marked as stained: (N,)."""
        return np.asarray(self.labels == "Positive")

    def read_region(self, *, width: int, height: int) -> NDArray[np.bool_]:
        """Return where nuclei were marked, on a grid over the whole image.

        Parameters
        ----------
        width, height : int
            Size of the grid.

        Returns
        -------
        (height, width) bool array
        """
        if self.load_known is not None:
            mask = self.load_known()
        elif self.region is not None:
            from PIL import Image

            with Image.open(self.region) as opened:
                mask = np.asarray(opened.convert("L")) > 127
        else:
            return np.ones((height, width), bool)
        rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
        columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
        return np.asarray(mask[np.ix_(rows, columns)])

    def inside(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points of the image lie where nuclei were marked.

        Parameters
        ----------
        x, y : (N,) float array
            Points, px of the image.
        """
        if self.region is None and self.load_known is None:
            return np.ones(np.shape(x), bool)
        from ...wsi import open_slide

        with open_slide(self.path, mpp=self.mpp) as slide:
            width, height = slide.width, slide.height
        mask = self.read_region(width=width, height=height)
        columns = np.clip(np.asarray(x).astype(int), 0, width - 1)
        rows = np.clip(np.asarray(y).astype(int), 0, height - 1)
        return np.asarray(mask[rows, columns])
