"""Images of colorectal tissue as the network sees them, and how far they form glands.

For scripts/accuracy_tumour.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from slidelab.models import LabelledImage
from slidelab.models.labelled.colorectal import GradedImage
from slidelab.models.tissue_classifier import TissueClassifier
from slidelab.quantify import bootstrap_by_patient
from slidelab.workflows.colorectal.class_maps import SlideMaps
from slidelab.workflows.colorectal.gland_formation import gland_formation
from slidelab.workflows.colorectal.tile import SignetCells
from slidelab.workflows.colorectal.tissue_reader import to_bytes
from slidelab.workflows.learning.detector_accuracy import read_whole

GRADES = ("moderately differentiated", "moderately-to-poorly differentiated", "poorly differentiated")
"""Of the malignant images of GlaS, from the best differentiated."""
BENIGN = ("healthy", "adenomatous")
WHITE = 0.85
"""A pixel is pale if all its channels reach this share of the image's white."""

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """One image of tissue as the tissue network sees it."""

    image: GradedImage
    maps: SlideMaps
    """Without nuclei; a level-0 px is a px of the image."""
    threshold: float
    pale: Mask
    """(h, w) cells of the gland map that are mostly pale."""
    drawn: Mask
    """(H, W) glands as drawn, px of the image."""


def look(image: GradedImage, tissue: TissueClassifier) -> Scene:
    """Map the glands of an image, and where it is pale."""
    pixels, downsample, mpp = read_whole(labelled(image), mpp=tissue.mpp, stride=tissue.stride)
    drawn = image.read_glands()
    assert drawn is not None
    height, width = (int(size / downsample) // 4 * 4 for size in drawn.shape)
    found, _ = tissue.read_image(pixels[:height, :width])
    rows, columns = height // 4, width // 4
    classes, glands = to_bytes(found.classes), to_bytes(found.glands)
    glands[rows:], glands[:, columns:] = 0, 0
    inner = pixels[:height, :width]
    bright = inner >= WHITE * np.percentile(inner.reshape(-1, 3), 99.5, axis=0)
    cells = bright.all(-1).reshape(rows, 4, columns, 4).sum((1, 3)) >= 8
    maps = SlideMaps(classes, glands, SignetCells.joined([]), mpp=4 * mpp, downsample=4 * downsample)
    return Scene(image, maps, tissue.thresholds.gland_threshold, cells, drawn)


def labelled(image: GradedImage) -> LabelledImage:
    """Turn a graded image into one without marks."""
    none = np.empty(0)
    labels = np.empty(0, "<U1")
    return LabelledImage(
        image.set_name, image.name, image.case, image.path, image.mpp, x=none, y=none, labels=labels
    )


def formation_table(scenes: Sequence[Scene]) -> str:
    """Say how the gland-forming share goes with the grade."""
    text = [
        "Gland-forming share of the epithelium, GlaS (rank correlation with the grade of malignant images, "
        "95 % by patient; it should be near -1):",
        "",
        f"| glands | {' | '.join((*BENIGN, *GRADES))} | correlation |",
        f"|{'---|' * (len(BENIGN) + len(GRADES) + 2)}",
    ]
    graded = [scene for scene in scenes if scene.image.detail in (*BENIGN, *GRADES)]
    for words, is_drawn in (("found", False), ("as drawn", True)):
        shares = np.array([share_of(scene, is_drawn=is_drawn) for scene in graded])
        grade = np.array([scene.image.detail for scene in graded])
        means = [
            f"{100 * shares[grade == each].mean():.0f} %, {int((shares[grade == each] < 0.5).sum())} of "
            f"{int((grade == each).sum())} under 50"
            for each in (*BENIGN, *GRADES)
        ]
        rows = np.flatnonzero(np.isin(grade, GRADES))
        rank = np.array([GRADES.index(each) for each in grade[rows]])
        told = correlation(shares[rows], rank, [graded[row].image.case for row in rows])
        text.append(f"| {words} | {' | '.join(means)} | {told} |")
    return "\n".join(text) + "\n"


def correlation(shares: Floats, rank: NDArray[np.intp], cases: Sequence[str]) -> str:
    """Return Spearman's coefficient with its interval."""

    def statistic(rows: NDArray[np.intp]) -> float | None:
        if len(np.unique(rank[rows])) < 2 or len(np.unique(shares[rows])) < 2:
            return None
        return float(spearmanr(rank[rows], shares[rows]).statistic)

    value, interval = statistic(np.arange(len(rank))), bootstrap_by_patient(statistic, cases)
    if value is None:
        return "-"
    spread = "" if interval is None else f" ({interval.low:.2f} to {interval.high:.2f})"
    return f"{value:.2f}{spread}"


def share_of(scene: Scene, *, is_drawn: bool) -> float:
    """Return the gland-forming share of an image, 0-1; 0 without epithelium."""
    rows, columns = scene.pale.shape
    tumour = scene.maps.glands[:rows, :columns] >= round(255 * scene.threshold)
    if is_drawn:
        row, column = (
            ((np.arange(count) + 0.5) * scene.maps.downsample).astype(int).clip(0, size - 1)
            for count, size in zip((rows, columns), scene.drawn.shape, strict=True)
        )
        tumour = scene.drawn[row[:, None], column]
    found = gland_formation(tumour, scene.pale, um=scene.maps.mpp)
    return float(found.share) if found.tumour_um2 else 0.0
