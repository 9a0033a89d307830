"""Figures of a set of images with intervals that come from drawing whole cases.

Every figure is a formula of sums over images, so 2,000 resamples are one matrix product and no loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...quantify import Interval
from .image_counts import CELL_CLASSES, ImageCounts

__all__ = ["DRAWS", "SEED", "Figure", "measure_figures"]

DRAWS = 2000
"""Resamples."""
SEED = 2026
"""Of the draws; the same for all figures, sets and detectors."""
CHUNK = 4_000_000
"""Resampled detections held at once: 32 MB per array."""

FEWEST = 2
"""With fewer contributing cases there is nothing to resample."""
FLAT = 1e-9
"""What rounding leaves of a variance of zero, of numbers up to 100."""

Values = NDArray[np.float64]
Totals = Mapping[str, Values]


@dataclass(frozen=True)
class Figure:
    """One figure."""

    value: float
    interval: Interval | None
    """95 %, by drawing cases; None where one case alone contributes, or most draws leave it undefined."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        low, high = (None, None) if self.interval is None else (self.interval.low, self.interval.high)
        return {"value": self.value, "low": low, "high": high}


def measure_figures(images: Sequence[ImageCounts]) -> dict[str, Figure]:
    """Return all figures that these images allow.

    Parameters
    ----------
    images : sequence of ImageCounts
        Of one detector; one set, or several.

    Returns
    -------
    dict
        By name, in the order of `FORMULAS`, average precision last; undefined ones are absent.
    """
    if not images:
        return {}
    weights, owner = _draw_cases([f"{image.set_name}:{image.case}" for image in images])
    by_case = _sums_by_case(images, owner=owner)
    totals = {name: weights @ values for name, values in by_case.items()}
    figures = {}
    for name, formula in FORMULAS.items():
        contributing = int(np.count_nonzero(by_case.get(formula.basis, 0.0)))
        figures[name] = _figure(formula.compute(totals), cases=contributing)
    precision = _average_precisions(images, weights=weights, owner=owner, marked=totals["marked"])
    figures["average_precision"] = _figure(precision, cases=weights.shape[1])
    return {name: figure for name, figure in figures.items() if figure is not None}


def _draw_cases(cases: Sequence[str]) -> tuple[Values, NDArray[np.intp]]:
    """Return how often each case is drawn, (1 + DRAWS, cases), first all once, and the case of each image."""
    names, owner = np.unique(np.asarray(cases), return_inverse=True)
    drawn = np.random.default_rng(SEED).multinomial(names.size, np.full(names.size, 1 / names.size), DRAWS)
    return np.vstack([np.ones((1, names.size)), drawn]), owner


def _sums_by_case(images: Sequence[ImageCounts], *, owner: NDArray[np.intp]) -> dict[str, Values]:
    """Return each sum over the images of each case: name to (cases,)."""
    by_case = {}
    for name in dict.fromkeys(name for image in images for name in image.sums):
        by_image = np.array([image.sums.get(name, 0.0) for image in images])
        by_case[name] = np.asarray(np.bincount(owner, weights=by_image), np.float64)
    return by_case


def _figure(values: Values, *, cases: int) -> Figure | None:
    """Return the first value with the percentile interval of the others; None where it is undefined."""
    if not np.isfinite(values[0]):
        return None
    draws = values[1:]
    defined = draws[np.isfinite(draws)]
    if cases < FEWEST or len(defined) < (len(draws) + 1) // 2:
        return Figure(float(values[0]), None)
    low, high = np.quantile(defined, (0.025, 0.975))
    method = f"bootstrap of {cases} cases, {len(defined)} of {len(draws)} draws defined"
    return Figure(float(values[0]), Interval(float(low), float(high), method=method))


def _ratio(above: Values, below: Values) -> Values:
    """Divide; undefined where nothing is below."""
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def _get(totals: Totals, name: str) -> Values:
    """Return a sum, nothing where no image has it."""
    return totals.get(name, np.zeros_like(totals["images"]))


@dataclass(frozen=True)
class Formula:
    """How a figure follows from sums over images."""

    compute: Callable[[Totals], Values]
    """From (1 + DRAWS,) totals to as many values, NaN where undefined."""
    basis: str
    """The sum that a case contributes where it has this figure."""


def _mean(above: str, below: str, *, scale: float = 1.0) -> Formula:
    """One sum over another."""
    return Formula(lambda totals: scale * _ratio(_get(totals, above), _get(totals, below)), below)


def _f1(hits: str, found: str, marked: str) -> Formula:
    """2 hits / (found + marked)."""
    return Formula(
        lambda totals: _ratio(2 * _get(totals, hits), _get(totals, found) + _get(totals, marked)), marked
    )


def _concordance(totals: Totals) -> Values:
    """Lin's concordance correlation of the index found with the index marked."""
    count, x, y = (_get(totals, f"index_{name}") for name in ("images", "x", "y"))
    mean_x, mean_y = _ratio(x, count), _ratio(y, count)
    spread = _ratio(_get(totals, "index_xx"), count) - mean_x**2
    spread += _ratio(_get(totals, "index_yy"), count) - mean_y**2
    together = _ratio(_get(totals, "index_xy"), count) - mean_x * mean_y
    whole = spread + (mean_x - mean_y) ** 2
    # one image, or one image drawn over and over, has no correlation
    return _ratio(2 * together, np.where(spread > FLAT, whole, 0.0))


def _bias(totals: Totals) -> Values:
    """Mean of found minus marked index, points."""
    return _ratio(_get(totals, "index_y") - _get(totals, "index_x"), _get(totals, "index_images"))


def _limit(sign: float) -> Callable[[Totals], Values]:
    """Make a formula: a limit of agreement of Bland and Altman, points."""

    def formula(totals: Totals) -> Values:
        count, bias = _get(totals, "index_images"), _bias(totals)
        squares = _get(totals, "index_xx") + _get(totals, "index_yy") - 2 * _get(totals, "index_xy")
        variance = _ratio(np.maximum(squares - count * bias**2, 0.0), count - 1)
        return bias + sign * 1.96 * np.sqrt(variance)

    return formula


def _confusion(totals: Totals) -> Values:
    """Return the confusion tables, marked by called: (1 + DRAWS, 4, 4)."""
    rows = [[_get(totals, f"class:{row}:{column}") for column in CELL_CLASSES] for row in CELL_CLASSES]
    return np.moveaxis(np.array(rows), 2, 0)


def _class_accuracy(totals: Totals) -> Values:
    """Share of matched, classified nuclei with the right class."""
    table = _confusion(totals)
    return _ratio(np.trace(table, axis1=1, axis2=2), table.sum((1, 2)))


def _balanced_accuracy(totals: Totals) -> Values:
    """Mean recall over the classes that were marked."""
    table = _confusion(totals)
    recalls = _ratio(np.diagonal(table, axis1=1, axis2=2), table.sum(2))
    present = np.isfinite(recalls)
    return _ratio(np.where(present, recalls, 0.0).sum(1), present.sum(1).astype(np.float64))


FORMULAS: Mapping[str, Formula] = {
    "precision": _mean("hits", "found"),
    "recall": _mean("hits", "marked"),
    "f1": _f1("hits", "found", "marked"),
    "precision_3um": _mean("strict_hits", "found"),
    "recall_3um": _mean("strict_hits", "marked"),
    "f1_3um": _f1("strict_hits", "found", "marked"),
    "count_error": _mean("count_error", "marked", scale=100.0),
    "count_bias": _mean("count_bias", "marked", scale=100.0),
    "count_error_per_image": _mean("relative_count_error", "counted_images", scale=100.0),
    "panoptic_quality": _mean("pq", "outline_images"),
    "aggregated_jaccard": _mean("aji", "outline_images"),
    "dice": _mean("dice", "outline_images"),
    "f1_overlap": _f1("overlap_hits", "overlap_found", "overlap_marked"),
    "stain_agreement": _mean("stain_same", "stain_pairs"),
    "index_error": _mean("index_error", "index_images"),
    "index_concordance": Formula(_concordance, "index_images"),
    "index_bias": Formula(_bias, "index_images"),
    "index_low": Formula(_limit(-1.0), "index_images"),
    "index_high": Formula(_limit(1.0), "index_images"),
    "class_accuracy": Formula(_class_accuracy, "class_pairs"),
    "class_balanced_accuracy": Formula(_balanced_accuracy, "class_pairs"),
    "lymphocytes_called_tumour": _mean("lymphocytes_called", "lymphocytes"),
}
"""Every figure but average precision, as a formula of sums."""


def _average_precisions(
    images: Sequence[ImageCounts], *, weights: Values, owner: NDArray[np.intp], marked: Values
) -> Values:
    """Average precision of each resample: candidates of a case drawn twice enter the curve twice."""
    scores = np.concatenate([image.ranked.scores for image in images])
    hits = np.concatenate([image.ranked.hits for image in images])
    cases = np.repeat(owner, [len(image.ranked.scores) for image in images])
    order = np.argsort(-scores, kind="stable")
    scores, hits, cases = scores[order], hits[order], cases[order]
    if not scores.size:
        return _ratio(np.zeros_like(marked), marked)
    last_of_score = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    parts = []
    for rows in np.array_split(np.arange(len(weights)), max(1, len(weights) * len(scores) // CHUNK)):
        drawn = weights[rows][:, cases]
        found = drawn.cumsum(1)[:, last_of_score]
        right = (drawn * hits).cumsum(1)[:, last_of_score]
        precision = _ratio(right, found)
        precision = np.maximum.accumulate(np.nan_to_num(precision)[:, ::-1], axis=1)[:, ::-1]
        gained = np.diff(right, axis=1, prepend=0.0)
        parts.append(_ratio((gained * precision).sum(1), marked[rows]))
    return np.concatenate(parts)
