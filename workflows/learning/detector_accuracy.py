"""What a detector found beside what experts marked: one image at a time, and the choice of a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from ...models import CellTable, LabelledImage
from ...models.labelled.image import TUMOUR_LABELS
from ...quantify import match_points
from ...wsi import open_slide

__all__ = [
    "RADIUS_UM",
    "Comparison",
    "best_threshold",
    "compare",
    "detect_whole",
    "read_whole",
    "threshold_of_false_positives",
]

RADIUS_UM = 4.0
"""A detected nucleus matches a mark within this distance."""
CANDIDATES = tuple(np.round(np.arange(0.15, 0.66, 0.025), 3))
"""Thresholds that tuning chooses from."""

Detect = Callable[[NDArray[np.uint8]], CellTable]


@dataclass(frozen=True)
class Comparison:
    """One image: detected and marked nuclei, in um, inside the marked region."""

    image: LabelledImage
    cells: CellTable = field(repr=False)
    """Detected nuclei inside the marked region, px of the image: N rows."""
    rows: NDArray[np.intp] = field(repr=False)
    """Which marks of the image count: (M,)."""
    found: NDArray[np.float64] = field(repr=False)
    """x, y of detected nuclei, um: (N, 2)."""
    nucleus: NDArray[np.float32] = field(repr=False)
    """Probability that each is a nucleus: (N,)."""
    tumour: NDArray[np.float32] = field(repr=False)
    """Probability that each is a nucleus of tumour, or of any where the detector cannot tell: (N,)."""
    marked: NDArray[np.float64] = field(repr=False)
    """x, y of the marks that count, um: (M, 2)."""

    @property
    def score(self) -> NDArray[np.float32]:
        """The probability by which nuclei count in this image: of tumour where the marks tell tumour."""
        return self.tumour if self.image.tells_tumour else np.maximum(self.nucleus, self.tumour)

    @property
    def labels(self) -> NDArray[np.str_]:
        """What the marks that count were called: (M,)."""
        return self.image.labels[self.rows]

    def counted(self, tumour_threshold: float | None) -> NDArray[np.bool_]:
        """Tell which detected nuclei count: all, or those of tumour where the marks tell tumour.

        A detector that cannot tell tumour counts them all everywhere.
        """
        if not self.image.tells_tumour or tumour_threshold is None:
            return np.ones(len(self.found), bool)
        return np.asarray(self.tumour >= tumour_threshold)

    def counts(self, threshold: float) -> tuple[int, int, int]:
        """Return matched, detected and marked nuclei at a threshold."""
        found = self.found[self.score >= threshold]
        matches = match_points(found, self.marked, radius_um=RADIUS_UM)
        return matches.true_positives, len(found), len(self.marked)


def read_whole(image: LabelledImage, *, mpp: float, stride: int) -> tuple[NDArray[np.uint8], float, float]:
    """Read an image at a resolution through the road, enlarged with white to multiples of the stride.

    Returns
    -------
    pixels : (H, W, 3) uint8 array
    downsample : float
        Image px per plane px.
    mpp : float
        True um per plane px.
    """
    with open_slide(image.path, mpp=image.mpp) as slide:
        plane = slide.plane(mpp)
        height, width = (-(-size // stride) * stride for size in (plane.height, plane.width))
        return plane.read(0, 0, width, height), plane.downsample, plane.mpp


def detect_whole(detect: Detect, image: LabelledImage, *, mpp: float, stride: int) -> CellTable:
    """Detect the nuclei of a whole image, in px of the image."""
    pixels, downsample, _ = read_whole(image, mpp=mpp, stride=stride)
    return detect(pixels).placed(x=0.0, y=0.0, scale=downsample)


def compare(cells: CellTable, image: LabelledImage) -> Comparison:
    """Put what was found (px of the image) beside what was marked."""
    cells = cells.select(image.inside(cells.x, cells.y))
    counts = image.inside(image.x, image.y)
    if image.marked == "tumour":
        counts &= np.isin(image.labels, TUMOUR_LABELS)
    nucleus = cells.measurements.get("nucleus_probability", cells.probability)
    return Comparison(
        image,
        cells=cells,
        rows=np.flatnonzero(counts),
        found=np.column_stack([cells.x, cells.y]) * image.mpp,
        nucleus=nucleus,
        tumour=cells.measurements.get("tumour_probability", nucleus),
        marked=np.column_stack([image.x, image.y])[counts] * image.mpp,
    )


def best_threshold(comparisons: Iterable[Comparison]) -> tuple[float, float]:
    """Return the threshold of the highest F1, averaged over collections, and that F1."""
    by_set: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        by_set.setdefault(comparison.image.set_name, []).append(comparison)
    if not by_set:
        return 0.35, 0.0
    scores = [np.mean([_f1(members, threshold) for members in by_set.values()]) for threshold in CANDIDATES]
    best = int(np.argmax(scores))
    return float(CANDIDATES[best]), float(scores[best])


def threshold_of_false_positives(comparisons: Iterable[Comparison], *, per_image: float) -> float:
    """Return the least threshold at which images that hold nothing show no more than so many detections.

    Parameters
    ----------
    comparisons : iterable of Comparison
        Images with marks, or not marked throughout, are passed over: what is found there may be right.
    per_image : float
        Detections per image, on average.
    """
    empty = [one for one in comparisons if one.image.marked == "all" and not len(one.image.x)]
    if not empty:
        raise SettingsError(
            "no image to tune on is known to hold nothing", "Set false_positives to 0, or add such images."
        )
    scores = sorted((float(score) for one in empty for score in one.score), reverse=True)
    allowed = int(per_image * len(empty))
    if len(scores) <= allowed:
        return float(CANDIDATES[0])
    # Just above the first one too many, in steps that a card can show.
    return math.floor(scores[allowed] * 1000 + 1) / 1000


def _f1(comparisons: Sequence[Comparison], threshold: float) -> float:
    """F1 of all nuclei of some images together."""
    hits, found, marked = np.sum([one.counts(threshold) for one in comparisons], axis=0)
    return float(2 * hits / max(1, found + marked))
