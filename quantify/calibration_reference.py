"""Thresholds of a laboratory, fitted to its own scores of some slides: percent, H-score or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError
from .agreement import mean_absolute_error
from .calibration import (
    THRESHOLD_NAMES,
    Regrade,
    StainedSlide,
    ThresholdFit,
    checked_slides,
    finished_fit,
    middle_of_best,
    percentile_interval,
)
from .flags import Flag
from .intensity import START_BINS, IntensityBins
from .interval import BOOTSTRAP_DRAWS, BOOTSTRAP_SEED
from .score import Interval

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

FEWEST_SLIDES = 3
"""Slides with a score without which nothing is fitted: a project rule."""
USUAL_SLIDES = 10
"""Slides with a score below which the result is flagged: a project rule."""
LEAST_SPREAD = {"percent": 10.0, "h_score": 30.0}
"""Least distance between the lowest and the highest score: a project rule. Slides that are all alike cannot
tell one threshold from another."""
RANGES = {"percent": 100.0, "h_score": 300.0}
"""Greatest value of each score; the least is 0."""

_SAME = 12


@dataclass(frozen=True, slots=True)
class ReferencePoint:
    """One score of one slide."""

    slide: str
    score: str
    """``percent`` or ``h_score``."""
    reference: float
    """By the laboratory."""
    fitted: float
    """With the thresholds fitted to all slides, this one included."""
    left_out: float
    """With thresholds fitted to the other slides: what to expect of a new slide."""


@dataclass(frozen=True, slots=True)
class ReferenceFit:
    """Thresholds, and each slide's scores with them."""

    fit: ThresholdFit
    points: tuple[ReferencePoint, ...]


def fit_reference(
    slides: Sequence[StainedSlide],
    *,
    scores: Mapping[str, Mapping[str, float]],
    thresholds: ArrayLike,
    regrade: Regrade | None = None,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
) -> ReferenceFit:
    """Fit the thresholds to a laboratory's scores.

    The weak threshold has the least mean absolute error of the percentage. With it, moderate and strong
    together have the least mean absolute error of the H-score.

    Parameters
    ----------
    slides : sequence of StainedSlide
        Slides with a score.
    scores : mapping
        ``percent`` (0-100) and / or ``h_score`` (0-300) to a value for each slide's id; not every slide needs
        both.
    thresholds : (T,) array
        The grid to choose from, rising, OD.
    regrade : callable, optional
        Strengths for moderate and strong, where they depend on the weak threshold (membranes). The intervals
        and errors then take those of the fitted weak threshold for fixed.
    draws, seed
        Of the bootstrap over slides.

    Returns
    -------
    ReferenceFit
        Without percentages the weak threshold is the start value; without H-scores moderate and strong are,
        moved up where they would come nearer to the weak one than the start values are.

    Raises
    ------
    InvalidTableError
        With too few slides or cells, a score out of range, or scores that are all alike.

    Notes
    -----
    Ties go to the middle of the longest flat stretch; for the pair of moderate and strong, to the best pair
    nearest to the middle of all best pairs.
    """
    grid = np.asarray(thresholds, dtype=np.float64)
    ordered = checked_slides(slides)
    wanted = {name: _column(ordered, name, scores.get(name, {})) for name in RANGES}
    if not any(np.isfinite(values).any() for values in wanted.values()):
        raise InvalidTableError("no slide has a score", "Give percent or h_score for at least three slides.")
    base = np.stack([each.shares for each in ordered])
    problem = _Problem(grid, base, base, wanted)
    everyone = np.ones((1, len(ordered)))
    if regrade is not None:
        weak = float(grid[problem.fit(everyone)[0, 0]])
        graded = np.stack([each.shares for each in checked_slides(regrade(weak))])
        problem = _Problem(grid, base, graded, wanted)
    best = problem.fit(everyone)[0]
    left_out = problem.fit(1 - np.eye(len(ordered)))
    points = problem.points(ordered, best, left_out)
    bins = problem.bins(best)
    fit = finished_fit(
        bins,
        problem.fitted,
        intervals=_intervals(problem, draws=draws, seed=seed),
        errors=_errors(points, problem),
        flags=_flags(problem, best),
        slides=ordered,
    )
    return ReferenceFit(fit, points)


class _Problem:
    """Shares of the cells of S slides over T thresholds, and the scores that they shall give."""

    def __init__(self, grid: Floats, base: Floats, graded: Floats, wanted: Mapping[str, Floats]) -> None:
        self.grid, self.base, self.graded, self.wanted = grid, base, graded, wanted
        self.has = {name: np.isfinite(values) for name, values in wanted.items()}
        self.start = [int(np.abs(grid - value).argmin()) for value in START_BINS.edges]
        self.pairs: tuple[Indices, Indices] = np.triu_indices(len(grid), 1)

    @property
    def fitted(self) -> tuple[str, ...]:
        """Names of the thresholds that the scores at hand can tell."""
        told = (self.has["percent"].any(), self.has["h_score"].any(), self.has["h_score"].any())
        return tuple(name for name, is_told in zip(THRESHOLD_NAMES, told, strict=True) if is_told)

    def fit(self, weights: Floats) -> Indices:
        """Return the indices of the thresholds for each row of weights of the slides: (M, S) to (M, 3)."""
        found = np.tile(np.array(self.start, np.intp), (len(weights), 1))
        if "weak" in self.fitted:
            # room for two more thresholds above
            errors = weights @ self._misses("percent", 100 * self.base[:, :-2])
            found[:, 0] = [middle_of_best(row) for row in errors]
        if "strong" in self.fitted:
            for weak in np.unique(found[:, 0]):
                rows = np.flatnonzero(found[:, 0] == weak)
                found[rows, 1:] = self._fit_pairs(int(weak), weights[rows])
        return found

    def _fit_pairs(self, weak: int, weights: Floats) -> Indices:
        """Return the best moderate and strong above a weak threshold, for each row of weights: (M, 2)."""
        above = self.pairs[0] > weak
        moderate, strong = self.pairs[0][above], self.pairs[1][above]
        misses = self._misses("h_score", self._h_score(weak, moderate, strong))
        best = [_middle_pair(row @ misses, moderate, strong) for row in weights]
        return np.stack([moderate[best], strong[best]], axis=1)

    def _h_score(self, weak: int, moderate: Indices, strong: Indices) -> Floats:
        """Return the H-scores of the slides for some pairs: (S, P)."""
        return 100 * (self.base[:, [weak]] + self.graded[:, moderate] + self.graded[:, strong])

    def _misses(self, name: str, values: Floats) -> Floats:
        """Return the absolute errors; 0 where the slide has no such score."""
        wanted = np.where(self.has[name], self.wanted[name], 0.0)[:, None]
        return np.where(self.has[name][:, None], np.abs(values - wanted), 0.0)

    def value(self, name: str, slide: int, at: Indices) -> float:
        """Return a slide's score at three thresholds."""
        if name == "percent":
            return float(100 * self.base[slide, at[0]])
        return float(self._h_score(int(at[0]), at[1:2], at[2:3])[slide, 0])

    def points(
        self, slides: Sequence[StainedSlide], best: Indices, left_out: Indices
    ) -> tuple[ReferencePoint, ...]:
        """Return each slide's scores beside the laboratory's."""
        return tuple(
            ReferencePoint(
                each.slide,
                name,
                float(self.wanted[name][row]),
                round(self.value(name, row, best), 6),
                round(self.value(name, row, left_out[row]), 6),
            )
            for name in RANGES
            for row, each in enumerate(slides)
            if self.has[name][row]
        )

    def bins(self, best: Indices) -> IntensityBins:
        """Return the thresholds; start values keep at least their own distances."""
        weak, moderate, strong = (float(value) for value in self.grid[best])
        if "strong" not in self.fitted:
            moderate = max(START_BINS.moderate, round(weak + START_BINS.moderate - START_BINS.weak, 6))
            strong = max(START_BINS.strong, round(moderate + START_BINS.strong - START_BINS.moderate, 6))
        return IntensityBins(weak, moderate, strong)


def _intervals(problem: _Problem, *, draws: int, seed: int) -> dict[str, Interval]:
    """Return the bootstrap intervals of the fitted thresholds, slides drawn anew."""
    slides = len(problem.base)
    drawn_slides = np.random.default_rng(seed).multinomial(slides, np.full(slides, 1 / slides), draws)
    weights = drawn_slides.astype(np.float64)
    for has in problem.has.values():
        if has.any():  # a draw without any slide of that score says nothing
            weights = weights[(weights[:, has] > 0).any(axis=1)]
    drawn = problem.grid[problem.fit(weights)]
    return {
        name: percentile_interval(drawn[:, THRESHOLD_NAMES.index(name)], slides=slides)
        for name in problem.fitted
    }


def _errors(points: Sequence[ReferencePoint], problem: _Problem) -> dict[str, float]:
    """Return the mean absolute errors of each score: fitted, left out, and with the start values."""
    rows = {slide: row for row, slide in enumerate(sorted({point.slide for point in points}))}
    errors: dict[str, float] = {}
    start = np.array(problem.start, np.intp)
    for name in RANGES:
        mine = [point for point in points if point.score == name]
        reference = [point.reference for point in mine]
        values = {
            "fitted": [point.fitted for point in mine],
            "left_out": [point.left_out for point in mine],
            "start": [problem.value(name, rows[point.slide], start) for point in mine],
        }
        for way, found in values.items():
            error = mean_absolute_error(reference, found)
            if error is not None:
                errors[f"{name}_{way}"] = error
    return errors


def _flags(problem: _Problem, best: Indices) -> list[str]:
    """Return what a reader must know of the fit."""
    flags: list[str] = []
    numbers = [int(has.sum()) for has in problem.has.values() if has.any()]
    if min(numbers) < USUAL_SLIDES:
        flags.append(Flag.LAB_FEW_SLIDES)
    if "weak" not in problem.fitted:
        flags.append(Flag.LAB_WEAK_NOT_FITTED)
    if "strong" not in problem.fitted:
        flags.append(Flag.LAB_GRADES_NOT_FITTED)
    last = len(problem.grid) - 1
    weak_at_limit = "weak" in problem.fitted and best[0] in (0, last - 2)
    if weak_at_limit or ("strong" in problem.fitted and best[2] == last):
        flags.append(Flag.LAB_THRESHOLD_AT_LIMIT)
    return flags


def _column(slides: Sequence[StainedSlide], name: str, values: Mapping[str, float]) -> Floats:
    """Return one score of the slides in their order, NaN where there is none, after checking it."""
    column = np.array([values.get(each.slide, np.nan) for each in slides], np.float64)
    given = column[~np.isnan(column)]
    if given.size == 0:
        return column
    if not ((given >= 0) & (given <= RANGES[name])).all():
        raise InvalidTableError(
            f"a reference {name} outside 0-{RANGES[name]:g}", "Correct the list of reference scores."
        )
    if given.size < FEWEST_SLIDES:
        raise InvalidTableError(
            f"{given.size} slides with a reference {name}; at least {FEWEST_SLIDES} are needed",
            f"Score more slides, {USUAL_SLIDES} or more is better, or leave the column out.",
        )
    if np.ptp(given) < LEAST_SPREAD[name]:
        raise InvalidTableError(
            f"the reference {name} spans only {np.ptp(given):.1f}; at least {LEAST_SPREAD[name]:g} is needed",
            "Add slides of other strength: slides that are all alike cannot tell thresholds apart.",
        )
    return column


def _middle_pair(errors: Floats, moderate: Indices, strong: Indices) -> int:
    """Return the best pair nearest to the middle of all best pairs; the lowest of equally near ones."""
    low = np.round(errors, _SAME)
    best = np.flatnonzero(low == low.min())
    places = np.stack([moderate[best], strong[best]], axis=1).astype(np.float64)
    apart = ((places - places.mean(axis=0)) ** 2).sum(axis=1)
    return int(best[int(np.argmin(np.round(apart, _SAME)))])
