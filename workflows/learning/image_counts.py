"""What is counted on one image: sums from which every figure of a set follows, whichever cases are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models import CellTable, LabelledImage
from ...quantify import (
    Matches,
    aggregated_jaccard,
    confusion_table,
    dice_of_masks,
    match_points,
    panoptic_quality,
)
from .detector_accuracy import RADIUS_UM, Comparison, compare
from .image_detectors import ImageDetector

__all__ = [
    "ALL_KI67",
    "CELL_CLASSES",
    "STRICT_RADIUS_UM",
    "ImageCounts",
    "RankedHits",
    "count_image",
    "draw_outlines",
]

STRICT_RADIUS_UM = 3.0
"""The second matching radius: about 12 px at 40x, as HoVer-Net's published figures have it."""
ALL_KI67 = "all Ki-67 sets"
"""Name of the row that pools the sets whose nuclei were marked stained or not."""
CELL_CLASSES = ("Epithelial", "Inflammatory", "Stromal", "Other")
"""Classes that a confusion table is made of."""


@dataclass(frozen=True)
class RankedHits:
    """Detected nuclei with how sure the detector was: what average precision is computed from."""

    scores: NDArray[np.float64] = field(repr=False)
    """Confidence: (N,)."""
    hits: NDArray[np.bool_] = field(repr=False)
    """Whether each took a mark that no surer one had taken: (N,)."""


@dataclass(frozen=True)
class ImageCounts:
    """One image and one detector."""

    set_name: str
    name: str
    case: str
    """Patient or slide: what is drawn."""
    sums: Mapping[str, float] = field(repr=False)
    """Everything that adds up over images, by name."""
    ranked: RankedHits = field(repr=False)
    """For average precision."""
    index: tuple[float, float] | None = None
    """Labelling index marked and found, percent; None where either side has no nucleus or no stain class."""


def count_image(detector: ImageDetector, image: LabelledImage) -> ImageCounts:
    """Run a detector over an image and count."""
    detector = detector.fitted_to(image)
    compared = compare(detector.find(image), image)
    chosen = compared.counted(detector.tumour_threshold)
    cells = compared.cells.select(chosen)
    matches = match_points(compared.found[chosen], compared.marked, radius_um=RADIUS_UM)
    strict = match_points(compared.found[chosen], compared.marked, radius_um=STRICT_RADIUS_UM)
    index = _index(cells, compared.labels)
    sums = {
        "images": 1.0,
        "marked": float(len(compared.marked)),
        "found": float(len(cells)),
        "hits": float(matches.true_positives),
        "strict_hits": float(strict.true_positives),
        **_count_errors(len(cells), len(compared.marked)),
        **_index_sums(index),
        **_stain_sums(cells, matches, labels=compared.labels),
        **_class_sums(cells, matches, labels=compared.labels),
        **_lymphocyte_sums(compared, chosen),
        **_outline_sums(cells, matches, compared=compared),
    }
    candidates = detector.candidates(image)
    ranked = _rank(compared if candidates is None else compare(candidates, image))
    return ImageCounts(image.set_name, image.name, image.case, sums=sums, ranked=ranked, index=index)


def draw_outlines(cells: CellTable, *, width: int, height: int) -> NDArray[np.int32]:
    """Draw outlines into an instance map of an image; where two overlap the surer one lies on top.

    Parameters
    ----------
    cells : CellTable
        In px of the image.
    width, height : int
        Size of the image, px.

    Returns
    -------
    (height, width) int32 array
        0 is background, row + 1 each nucleus; a pixel belongs to the outline that its centre lies in.
    """
    from skimage.draw import polygon

    fill: Any = polygon
    canvas = np.zeros((height, width), np.int32)
    for row in np.argsort(cells.probability, kind="stable"):
        outline = cells.outlines[row] - 0.5
        canvas[fill(outline[:, 1], outline[:, 0], canvas.shape)] = row + 1
    return canvas


def _count_errors(found: int, marked: int) -> dict[str, float]:
    """Error of the number of nuclei; as a share only where any was marked."""
    errors = {"count_error": abs(float(found - marked)), "count_bias": float(found - marked)}
    if marked:
        errors |= {"counted_images": 1.0, "relative_count_error": abs(found - marked) / marked}
    return errors


def _is_positive(cells: CellTable) -> NDArray[np.bool_] | None:
    """Tell which cells are stained; None where the detector does not tell."""
    if not {"Positive", "Negative"} <= set(cells.classes):
        return None
    return np.asarray(cells.labels == cells.classes.index("Positive"))


def _index(cells: CellTable, labels: NDArray[np.str_]) -> tuple[float, float] | None:
    """Labelling index marked and found, percent."""
    told = np.isin(labels, ("Positive", "Negative"))
    positive = _is_positive(cells)
    if positive is None or not told.any() or not positive.size:
        return None
    return 100.0 * float(np.mean(labels[told] == "Positive")), 100.0 * float(positive.mean())


def _index_sums(index: tuple[float, float] | None) -> dict[str, float]:
    """Moments of the two indices: mean error, concordance and limits of agreement follow from them."""
    if index is None:
        return {}
    marked, found = index
    return {
        "index_images": 1.0,
        "index_error": abs(found - marked),
        "index_x": marked,
        "index_y": found,
        "index_xx": marked * marked,
        "index_yy": found * found,
        "index_xy": marked * found,
    }


def _stain_sums(cells: CellTable, matches: Matches, *, labels: NDArray[np.str_]) -> dict[str, float]:
    """Agreement on stained or not, of matched nuclei."""
    positive, truth = _is_positive(cells), labels[matches.annotated]
    told = np.isin(truth, ("Positive", "Negative"))
    if positive is None or not told.any():
        return {}
    same = positive[matches.detected] == (truth == "Positive")
    return {"stain_pairs": float(told.sum()), "stain_same": float(same[told].sum())}


def _class_sums(cells: CellTable, matches: Matches, *, labels: NDArray[np.str_]) -> dict[str, float]:
    """Confusion of `CELL_CLASSES`, marked by called, of matched nuclei that an expert has classified."""
    if not set(CELL_CLASSES) & set(cells.classes):
        return {}
    truth = labels[matches.annotated]
    called = np.array(cells.classes)[cells.labels][matches.detected]
    told = np.isin(truth, CELL_CLASSES) & np.isin(called, CELL_CLASSES)
    table = confusion_table(truth[told].tolist(), called[told].tolist(), categories=CELL_CLASSES)
    cells_of_table = {
        f"class:{marked}:{found}": float(table[row, column])
        for row, marked in enumerate(CELL_CLASSES)
        for column, found in enumerate(CELL_CLASSES)
    }
    return {"class_pairs": float(table.sum()), **cells_of_table}


def _lymphocyte_sums(compared: Comparison, chosen: NDArray[np.bool_]) -> dict[str, float]:
    """How many marked lymphocytes are counted as tumour, in images where tumour was marked.

    All nuclei are matched with all marks, so a lymphocyte beside a tumour nucleus is not taken for it.
    """
    image = compared.image
    inside = np.flatnonzero(image.inside(image.x, image.y))
    lymphocyte = image.labels[inside] == "Lymphocyte"
    if image.marked != "tumour" or not lymphocyte.any():
        return {}
    marks = np.column_stack([image.x, image.y])[inside] * image.mpp
    matches = match_points(compared.found, marks, radius_um=RADIUS_UM)
    called = chosen[matches.detected] & lymphocyte[matches.annotated]
    return {"lymphocytes": float(lymphocyte.sum()), "lymphocytes_called": float(called.sum())}


def _outline_sums(cells: CellTable, matches: Matches, *, compared: Comparison) -> dict[str, float]:
    """Agreement of outlines; nuclei that were marked by a point alone have none and are left out."""
    image = compared.image
    if image.load_instances is None or image.instance_ids is None or not image.shape_scored:
        return {}
    truth = image.load_instances()
    alone = image.instance_ids[compared.rows[matches.annotated]] == 0
    kept = np.ones(len(cells), bool)
    kept[matches.detected[alone]] = False
    drawn = draw_outlines(cells.select(kept), width=truth.shape[1], height=truth.shape[0])
    quality = panoptic_quality(truth, drawn)
    jaccard, dice = aggregated_jaccard(truth, drawn), dice_of_masks(truth, drawn)
    if quality.pq is None or jaccard is None or dice is None:
        return {}  # nothing marked and nothing found: such an image says nothing about outlines
    return {
        "outline_images": 1.0,
        "pq": quality.pq,
        "aji": jaccard,
        "dice": dice,
        "overlap_hits": float(quality.true_positives),
        "overlap_found": float(quality.true_positives + quality.false_positives),
        "overlap_marked": float(quality.true_positives + quality.false_negatives),
    }


def _rank(compared: Comparison) -> RankedHits:
    """Let each candidate, surest first, take the nearest mark within the radius that is still free."""
    from scipy.spatial import cKDTree

    scores = np.asarray(compared.score, np.float64)
    hits = np.zeros(len(scores), bool)
    if not len(scores) or not len(compared.marked):
        return RankedHits(scores, hits)
    near = cKDTree(compared.marked).query_ball_point(compared.found, RADIUS_UM)
    free = np.ones(len(compared.marked), bool)
    for row in np.argsort(-scores, kind="stable"):
        marks = [mark for mark in near[row] if free[mark]]
        if marks:
            away = np.hypot(*(compared.marked[marks] - compared.found[row]).T)
            free[marks[int(away.argmin())]] = False
            hits[row] = True
    return RankedHits(scores, hits)
