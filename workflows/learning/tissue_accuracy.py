"""Tissue networks held against graded images: classes, glands, temperature, and the figures that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...models.labelled.colorectal import GradedImage
from ...models.tissue_classes import COLORECTAL_GRADES
from ...quantify import (
    Interval,
    bootstrap_by_patient,
    calibration_error,
    cohen_kappa,
    confusion_table,
    object_dice,
    object_hausdorff,
    roc_area,
)
from ...wsi import open_slide

if TYPE_CHECKING:
    from ...models.tissue_classifier import TissueClassifier

__all__ = [
    "GLAND_GRID",
    "Figure",
    "GradedReading",
    "balanced_accuracy",
    "best_gland_threshold",
    "figures_of",
    "fit_temperature",
    "gland_figures",
    "group_probabilities",
    "read_graded",
    "rocs_of_carcinoma",
]

Floats = NDArray[np.float64]
Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

CARCINOMA = "adenocarcinoma"
THRESHOLDS = np.round(np.arange(0.2, 0.81, 0.05), 2)
"""Gland thresholds that are tried."""
GLAND_GRID = 4
"""px per cell of the gland map."""
COLDEST, HOTTEST = 0.2, 5.0
"""Temperatures that are tried, from and to."""
FEWEST_GLAND_CELLS = 12
"""Smaller pieces of a predicted gland map are no glands when objects are compared; about 320 um2."""


@dataclass(frozen=True)
class GradedReading:
    """What a network said of one image."""

    image: GradedImage
    """With what the experts said."""
    logits: NDArray[np.float32]
    """Pooled class logits, before any temperature: (K,)."""
    glands: NDArray[np.float32]
    """Probability of gland: (h, w), a quarter of the image's side."""
    truth: NDArray[np.bool_] | None
    """Glands as drawn, on the same grid; None where nobody drew them."""


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    value: float | None
    interval: Interval | None
    cases: int
    """Images that it rests on."""


def read_graded(
    classifier: TissueClassifier,
    images: Sequence[GradedImage],
    *,
    symmetries: bool = False,
    change: Change | None = None,
    scale: float = 1.0,
) -> list[GradedReading]:
    """Let a network look at graded images by the same road as slides.

    Parameters
    ----------
    classifier : TissueClassifier
        The network.
    images : sequence of GradedImage
        What to read.
    symmetries : bool
        Average over mirrored and turned views.
    change : callable, optional
        Changes the pixels (H, W, 3) before they are looked at, such as their colours.
    scale : float
        Factor by which the images' resolution is mistaken.
    """
    readings = []
    for image in images:
        pixels, downsample = _pixels(image, mpp=classifier.mpp, scale=scale)
        if change is not None:
            pixels = change(pixels)
        maps, logits = classifier.read_image(pixels)
        if symmetries:
            logits = classifier.image_logits(pixels, symmetries=True)
        height, width = (size // GLAND_GRID for size in pixels.shape[:2])
        truth = _truth(image, (height, width), step=downsample * GLAND_GRID)
        readings.append(GradedReading(image, logits, maps.glands[:height, :width], truth))
    return readings


def _pixels(image: GradedImage, *, mpp: float, scale: float) -> tuple[NDArray[np.uint8], float]:
    """Return an image at a resolution, as if its own were mistaken by a factor, and px per px of it."""
    with open_slide(image.path, mpp=image.mpp * scale) as slide:
        plane = slide.plane(mpp)
        return plane.read(0, 0, plane.width, plane.height), plane.downsample


def _truth(image: GradedImage, shape: tuple[int, int], *, step: float) -> NDArray[np.bool_] | None:
    """Return the glands as drawn on the grid of the gland map: cells of which more than half is gland."""
    drawn = image.read_glands()
    if drawn is None:
        return None
    sums = np.pad(drawn.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows = np.rint(np.arange(shape[0] + 1) * step).astype(int).clip(0, drawn.shape[0])
    columns = np.rint(np.arange(shape[1] + 1) * step).astype(int).clip(0, drawn.shape[1])
    corners = sums[np.ix_(rows, columns)]
    inside = corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1]
    area = np.outer(np.diff(rows), np.diff(columns))
    return np.asarray(2 * inside > area)


def softmax(logits: NDArray[np.floating], temperature: float) -> Floats:
    """Return logits (N, K) as probabilities."""
    scaled = np.asarray(logits, np.float64) / temperature
    raised = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True), np.float64)


def fit_temperature(readings: Sequence[GradedReading], classes: Sequence[str]) -> float:
    """Return the temperature under which the true classes are likeliest (Guo et al., ICML 2017).

    Parameters
    ----------
    readings : sequence of GradedReading
        Of the tuning cases, never of what is measured.
    classes : sequence of str
        Of the network.

    Returns
    -------
    float
        1 where no image has a class.
    """
    from scipy.optimize import minimize_scalar

    known = [one for one in readings if one.image.label in classes]
    if not known:
        return 1.0
    logits = np.stack([one.logits for one in known])
    labels = np.array([classes.index(one.image.label) for one in known])

    def surprise(log_temperature: float) -> float:
        chances = softmax(logits, float(np.exp(log_temperature)))
        return -float(np.log(np.maximum(chances[np.arange(len(labels)), labels], 1e-12)).mean())

    ends = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    best = minimize_scalar(surprise, bounds=ends, method="bounded")
    return round(float(np.exp(best.x)), 4)


def best_gland_threshold(readings: Sequence[GradedReading]) -> float:
    """Return the threshold with the best mean Dice over the tuning cases; 0.5 where no glands were drawn."""
    drawn = [one for one in readings if one.truth is not None and one.truth.any()]
    if not drawn:
        return 0.5
    means = [np.mean([dice(one, float(threshold)) for one in drawn]) for threshold in THRESHOLDS]
    return float(THRESHOLDS[int(np.argmax(means))])


def dice(reading: GradedReading, threshold: float) -> float:
    """Return Dice's coefficient of the glands of one image; 1 where neither side has any."""
    said = reading.glands >= threshold
    assert reading.truth is not None
    total = int(said.sum()) + int(reading.truth.sum())
    return 2 * int((said & reading.truth).sum()) / total if total else 1.0


def group_probabilities(
    chances: Floats, classes: Sequence[str], groups: Sequence[Sequence[str]] = COLORECTAL_GRADES
) -> Floats:
    """Add the probabilities (N, K) of classes that belong together: (N, G)."""
    return np.stack([chances[:, [classes.index(name) for name in group]].sum(1) for group in groups], 1)


def balanced_accuracy(truth: NDArray[np.intp], called: NDArray[np.intp]) -> float | None:
    """Return the mean over the true classes of the share called right; None without cases."""
    if not truth.size:
        return None
    return float(np.mean([(called[truth == number] == number).mean() for number in np.unique(truth)]))


def figures_of(
    readings: Sequence[GradedReading],
    chances: Floats,
    *,
    classes: Sequence[str],
    groups: Sequence[Sequence[str]] = COLORECTAL_GRADES,
    intervals: bool = True,
) -> dict[str, Figure]:
    """Return the figures of graded images.

    Parameters
    ----------
    readings : sequence of GradedReading
        Images with a class.
    chances : (N, K) array
        Probabilities of the classes.
    classes : sequence of str
        Of the network.
    groups : sequence of sequences of str
        Ordered grades and the classes that belong to each.
    intervals : bool
        Whether to draw patients 2,000 times for 95 % intervals.

    Returns
    -------
    dict
        ``balanced_accuracy``, ``accuracy``, ``kappa`` (quadratic), ``ece`` of the grades;
        ``balanced_accuracy_6`` of the classes; ``auc`` of carcinoma against the rest.
    """
    patients = [one.image.case for one in readings]
    labels = np.array([classes.index(one.image.label) for one in readings])
    grade = {classes.index(name): number for number, group in enumerate(groups) for name in group}
    truth = np.array([grade[int(label)] for label in labels])
    graded = group_probabilities(chances, classes, groups)
    called, confidence, best = graded.argmax(1), graded.max(1), chances.argmax(1)

    def kappa(rows: NDArray[np.intp]) -> float | None:
        table = confusion_table(
            truth[rows].tolist(), called[rows].tolist(), categories=list(range(len(groups)))
        )
        return cohen_kappa(table, weights="quadratic")

    def error(rows: NDArray[np.intp]) -> float | None:
        # Sums of probabilities may exceed 1 by rounding.
        return calibration_error(confidence[rows].clip(0, 1), called[rows] == truth[rows]).expected

    measures: dict[str, Callable[[NDArray[np.intp]], float | None]] = {
        "balanced_accuracy": lambda rows: balanced_accuracy(truth[rows], called[rows]),
        "accuracy": lambda rows: float((called[rows] == truth[rows]).mean()),
        "kappa": kappa,
        "ece": error,
        "balanced_accuracy_6": lambda rows: balanced_accuracy(labels[rows], best[rows]),
    }
    everything = np.arange(len(truth))
    figures = {
        name: Figure(
            measure(everything), bootstrap_by_patient(measure, patients) if intervals else None, len(truth)
        )
        for name, measure in measures.items()
    }
    ill = np.array([one.image.label == CARCINOMA for one in readings])
    figures["auc"] = rocs_of_carcinoma(chances, ill, classes=classes)
    return figures


def rocs_of_carcinoma(chances: Floats, ill: NDArray[np.bool_], *, classes: Sequence[str]) -> Figure:
    """Return the area under the ROC curve of the probability of carcinoma, with DeLong's interval."""
    score = chances[:, classes.index(CARCINOMA)]
    found = roc_area(score[ill], score[~ill])
    if found is None:
        return Figure(None, None, len(ill))
    return Figure(found.value, found.logit_interval or found.interval, len(ill))


def gland_figures(
    readings: Sequence[GradedReading], *, threshold: float, by_object: bool = False, mpp: float = 1.0
) -> dict[str, Figure]:
    """Return how well glands were found.

    Parameters
    ----------
    readings : sequence of GradedReading
        Images; those without drawn glands are left out.
    threshold : float
        Probability from which a place is gland.
    by_object : bool
        Also compare gland by gland; connected pieces are taken for glands on both sides.
    mpp : float
        Resolution of the images that were looked at, um per px.

    Returns
    -------
    dict
        ``dice``: mean over images; ``object_dice`` and ``object_hausdorff`` (um) by gland.
    """
    drawn = [one for one in readings if one.truth is not None and one.truth.any()]
    patients = [one.image.case for one in drawn]
    columns = {"dice": np.array([dice(one, threshold) for one in drawn])}
    if by_object:
        pairs = [(_objects(one.truth), _objects(one.glands >= threshold)) for one in drawn]
        columns["object_dice"] = np.array([object_dice(*pair) or 0.0 for pair in pairs])
        far = [object_hausdorff(*pair) for pair in pairs]
        columns["object_hausdorff"] = np.array(
            [np.nan if one is None else one * GLAND_GRID * mpp for one in far]
        )
    figures = {}
    for name, values in columns.items():
        value = float(np.nanmean(values)) if len(values) else None
        interval = _mean_interval(values, patients)
        figures[name] = Figure(value, interval, len(values))
    return figures


def _mean_interval(values: Floats, patients: Sequence[str]) -> Interval | None:
    """Return the bootstrap interval of a mean over images."""
    if len(set(patients)) < 2:
        return None
    return bootstrap_by_patient(lambda rows: float(np.nanmean(values[rows])), patients)


def _objects(mask: NDArray[np.bool_] | None) -> NDArray[np.int32]:
    """Number the connected pieces of a mask; specks are dropped."""
    from ...models.labelled.instances import components

    assert mask is not None
    return components(mask, least_px=FEWEST_GLAND_CELLS)
