"""Thresholds of a laboratory: fitted to control slides of known strength, or to the laboratory's own scores.

Everything works on counts of cells between the thresholds of a grid, so slides of any size cost the same, and
neither the order of slides nor that of cells matters. Every slide weighs the same, however many cells it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .flags import Flag
from .intensity import START_BINS, IntensityBins, settled_od
from .interval import BOOTSTRAP_DRAWS, BOOTSTRAP_SEED
from .membrane import MEMBRANE_CONTRAST_OD, SOME_SHARE
from .score import Interval
from .threshold import count_by_threshold

Floats = NDArray[np.float64]

LEVELS = ("negative", "weak", "moderate", "strong")
"""Strengths of control slides, rising."""
THRESHOLD_NAMES = LEVELS[1:]
"""A threshold is named after the strength that begins there."""

FEWEST_CELLS = 100
"""Cells that a slide must have: a project rule. A share of 100 cells is known to 10 points at best."""
USUAL_CONTROLS = 3
"""Control slides per level below which the result is flagged: a project rule."""
NOTABLE_ERROR = 0.20
"""Balanced error between neighbouring levels from which the result is flagged: a project rule."""
LARGEST_ERROR = 0.35
"""Balanced error beyond which a threshold has no meaning and is refused: a project rule. A coin has 0.5."""

_SAME = 12  # decimals to which errors are compared: less is the rounding of sums


@dataclass(frozen=True, slots=True, eq=False)
class StainedSlide:
    """How strongly the counted cells of one slide are stained."""

    slide: str
    """Its id."""
    counts: NDArray[np.int64]
    """(T + 1,) cells that pass exactly t thresholds of the grid, from ``count_strengths``."""

    @property
    def cells(self) -> int:
        """Cells in all."""
        return int(self.counts.sum())

    @property
    def shares(self) -> Floats:
        """(T,) share of the cells that reach each threshold, 0-1."""
        return np.asarray(np.cumsum(self.counts[::-1])[::-1][1:] / max(1, self.cells), np.float64)


Regrade = Callable[[float], Sequence[StainedSlide]]
"""Returns the same slides with the strengths that grade a cell once the weak threshold is known."""


@dataclass(frozen=True, slots=True)
class ThresholdFit:
    """Thresholds, and how well they do."""

    bins: IntensityBins
    fitted: tuple[str, ...]
    """Names of the thresholds that were fitted; the others are start values."""
    intervals: Mapping[str, Interval]
    """Of fitted thresholds, OD; none where a level has one slide only."""
    errors: Mapping[str, float]
    """Named ``<what>_fitted``, ``<what>_left_out`` and ``<what>_start``: on the slides of the fit, on each
    slide in turn by a fit without it, and with the start values. Percent points, or points of the H-score."""
    flags: tuple[str, ...]
    slides: int
    cells: int


def count_strengths(od: ArrayLike, *, thresholds: ArrayLike) -> NDArray[np.int64]:
    """Count cells between neighbouring thresholds, just as ``intensity_levels`` would grade them.

    Parameters
    ----------
    od : (N,) array
        Strength of each cell, OD (base 10).
    thresholds : (T,) array
        The grid, rising.

    Returns
    -------
    (T + 1,) int64 array
        May be added over parts of a slide.
    """
    return count_by_threshold(settled_od(od), thresholds=thresholds)


def membrane_strength(
    membrane_od: ArrayLike,
    cytoplasm_od: ArrayLike,
    *,
    some_share: float = SOME_SHARE,
    contrast: float = MEMBRANE_CONTRAST_OD,
) -> Floats:
    """Return the highest weak threshold at which ``judge_membranes`` still sees stain on each cell.

    Parameters
    ----------
    membrane_od : (N, D) array
        Ring of each cell, OD.
    cytoplasm_od : (N,) array
        Mean density of each cytoplasm, OD.
    some_share, contrast : float
        As in ``judge_membranes``.

    Returns
    -------
    (N,) float64 array
        OD; 0 where too few directions stand out from the cytoplasm, which no threshold reaches.
    """
    ring, cytoplasm = settled_od(membrane_od, dimensions=2), settled_od(cytoplasm_od)
    directions = ring.shape[1]
    needed = 1 + int(np.argmax(np.arange(1, directions + 1) / directions >= some_share))
    above = settled_od(ring - cytoplasm[:, None], dimensions=2)
    rising = np.sort(np.where(above >= contrast, ring, 0.0), axis=1)
    return np.asarray(rising[:, directions - needed], np.float64)


def fit_controls(
    slides: Sequence[StainedSlide],
    *,
    levels: Mapping[str, str],
    thresholds: ArrayLike,
    regrade: Regrade | None = None,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = BOOTSTRAP_SEED,
) -> ThresholdFit:
    """Fit the thresholds to control slides of known strength.

    Parameters
    ----------
    slides : sequence of StainedSlide
        The controls.
    levels : mapping of str to str
        One of ``LEVELS`` for each slide's id.
    thresholds : (T,) array
        The grid to choose from, rising, OD.
    regrade : callable, optional
        Strengths for moderate and strong, where they depend on the weak threshold (membranes).
    draws, seed
        Of the bootstrap: slides are drawn anew within their level.

    Returns
    -------
    ThresholdFit
        Errors are balanced: the mean of the shares of the two levels' cells on the wrong side, percent.

    Raises
    ------
    InvalidTableError
        If a level has no slide, a slide too few cells, or two slides one id.
    SettingsError
        If neighbouring levels overlap so much that a threshold has no meaning, or do not rise.

    Notes
    -----
    Where several thresholds do equally well, the middle of the longest flat stretch is taken.
    """
    grid = np.asarray(thresholds, dtype=np.float64)
    ordered = checked_slides(slides)
    _check_levels([levels[each.slide] for each in ordered])
    random = np.random.default_rng(seed)
    parts = _Parts()
    chosen: list[int] = []
    for number, name in enumerate(THRESHOLD_NAMES):
        if number == 1 and regrade is not None:
            ordered = checked_slides(regrade(float(grid[chosen[0]])))
        below, above = (
            np.stack([each.shares for each in ordered if levels[each.slide] == level])
            for level in LEVELS[number : number + 2]
        )
        start = int(np.abs(grid - START_BINS.edges[number]).argmin())
        chosen.append(_fit_boundary(parts, name, shares=(below, above), start=start))
        parts.add_interval(
            name, _draw_boundary((below, above), grid, draws=draws, random=random), below, above
        )
    _check_rising(grid[chosen])
    if any(index in (0, len(grid) - 1) for index in chosen):
        parts.flags.append(Flag.LAB_THRESHOLD_AT_LIMIT)
    used = [levels[each.slide] for each in ordered]
    if min(used.count(level) for level in LEVELS) < USUAL_CONTROLS:
        parts.flags.append(Flag.LAB_FEW_SLIDES)
    return finished_fit(
        IntensityBins(*(float(value) for value in grid[chosen])),
        THRESHOLD_NAMES,
        intervals=parts.intervals,
        errors=parts.errors,
        flags=parts.flags,
        slides=ordered,
    )


def finished_fit(
    bins: IntensityBins,
    fitted: Sequence[str],
    *,
    intervals: Mapping[str, Interval],
    errors: Mapping[str, float],
    flags: Sequence[str],
    slides: Sequence[StainedSlide],
) -> ThresholdFit:
    """Return the fit with the flags that both ways share: unstable thresholds, and no gain by fitting."""
    found = list(flags)
    held = [intervals[name] for name in THRESHOLD_NAMES if name in intervals]
    if any(low.high >= high.low for low, high in pairwise(held)):
        found.append(Flag.LAB_THRESHOLDS_UNSTABLE)
    gains: dict[str, float] = {}
    for name in errors:
        if name.endswith("_left_out"):
            kind = name.removesuffix("_left_out")
            group = "levels" if kind in THRESHOLD_NAMES else kind  # thresholds between levels count together
            gains[group] = gains.get(group, 0.0) + errors[f"{kind}_start"] - errors[name]
    if any(gain < 0 for gain in gains.values()):
        found.append(Flag.LAB_NO_BETTER_THAN_START)
    return ThresholdFit(
        bins,
        tuple(fitted),
        dict(intervals),
        {name: round(value, 6) for name, value in errors.items()},
        tuple(dict.fromkeys(str(flag) for flag in found)),
        len(slides),
        sum(each.cells for each in slides),
    )


def checked_slides(slides: Sequence[StainedSlide]) -> list[StainedSlide]:
    """Return the slides in the order of their ids, each once, each with enough cells."""
    ordered = sorted(slides, key=lambda each: each.slide)
    for first, second in pairwise(ordered):
        if first.slide == second.slide:
            raise InvalidTableError(f"the slide {first.slide} is there twice", "Name each slide once.")
    few = [f"{each.slide} ({each.cells})" for each in ordered if each.cells < FEWEST_CELLS]
    if few:
        raise InvalidTableError(
            f"fewer than {FEWEST_CELLS} counted cells on: {', '.join(few)}",
            "Leave these slides out of the list, or score a larger region.",
        )
    return ordered


def middle_of_best(errors: Floats) -> int:
    """Return the index in the middle of the longest stretch of least errors; the first of equal ones."""
    low = np.round(errors, _SAME)
    best = np.concatenate(([0], (low == low.min()).astype(np.int8), [0]))
    starts, ends = np.flatnonzero(np.diff(best) == 1), np.flatnonzero(np.diff(best) == -1)
    longest = int(np.argmax(ends - starts))
    return int((starts[longest] + ends[longest] - 1) // 2)


class _Parts:
    """What a fit to controls gathers, threshold by threshold."""

    def __init__(self) -> None:
        self.intervals: dict[str, Interval] = {}
        self.errors: dict[str, float] = {}
        self.flags: list[str] = []

    def add_interval(self, name: str, drawn: Floats, below: Floats, above: Floats) -> None:
        """Keep the percentile interval of the drawn thresholds, where both levels could be drawn from."""
        if min(len(below), len(above)) > 1:
            self.intervals[name] = percentile_interval(drawn, slides=len(below) + len(above))


def percentile_interval(drawn: Floats, *, slides: int) -> Interval:
    """Return the 95 % interval of thresholds fitted to drawn slides; its ends lie on the grid."""
    low, high = (
        np.quantile(drawn, 0.025, method="lower"),
        np.quantile(drawn, 0.975, method="higher"),
    )
    return Interval(float(low), float(high), method=f"bootstrap of {slides} slides")


def _fit_boundary(parts: _Parts, name: str, *, shares: tuple[Floats, Floats], start: int) -> int:
    """Return the index of one threshold; notes its errors, refuses levels that cannot be told apart."""
    below, above = shares
    errors = _balanced(below.mean(axis=0), above.mean(axis=0))
    index = middle_of_best(errors)
    error = float(errors[index])
    before = LEVELS[THRESHOLD_NAMES.index(name)]
    if error > LARGEST_ERROR:
        raise SettingsError(
            f"{before} and {name} controls overlap: the best threshold puts {100 * error:.0f} % of the cells "
            f"on the wrong side; at most {100 * LARGEST_ERROR:.0f} % are allowed",
            "Check the levels in the list; use controls of even stain (cell lines), or outline their tumour.",
        )
    if error > NOTABLE_ERROR:
        parts.flags.append(Flag.LAB_LEVELS_OVERLAP)
    parts.errors[f"{name}_fitted"] = 100 * error
    if min(len(below), len(above)) > 1:
        wrong = [
            np.mean(
                [
                    rest[middle_of_best(_balanced(*_without(shares, side, row)))]
                    for row, rest in enumerate(own)
                ]
            )
            for side, own in enumerate((below, 1 - above))
        ]
        parts.errors[f"{name}_left_out"] = 100 * float(np.mean(wrong))
    parts.errors[f"{name}_start"] = 100 * float(errors[start])
    return index


def _without(shares: tuple[Floats, Floats], side: int, row: int) -> tuple[Floats, Floats]:
    """Return the mean shares of both levels, one slide left out of one of them."""
    means = [level.mean(axis=0) for level in shares]
    means[side] = np.delete(shares[side], row, axis=0).mean(axis=0)
    return means[0], means[1]


def _balanced(below: Floats, above: Floats) -> Floats:
    """Return the mean of the shares of both levels on the wrong side, at each threshold: (T,)."""
    return np.asarray((below + 1 - above) / 2, np.float64)


def _draw_boundary(
    shares: tuple[Floats, Floats], grid: Floats, *, draws: int, random: np.random.Generator
) -> Floats:
    """Return the threshold for each draw of slides within the two levels, OD: (draws,)."""
    weights = [random.multinomial(len(level), np.full(len(level), 1 / len(level)), draws) for level in shares]
    below, above = (weight @ level / len(level) for weight, level in zip(weights, shares, strict=True))
    return np.array([grid[middle_of_best(row)] for row in _balanced(below, above)])


def _check_levels(levels: Sequence[str]) -> None:
    """Refuse unknown levels and controls that lack one."""
    unknown = sorted(set(levels) - set(LEVELS))
    missing = [level for level in LEVELS if level not in levels]
    if unknown or missing:
        what = (
            f"unknown levels {', '.join(unknown)}" if unknown else f"no control slide is {', '.join(missing)}"
        )
        raise InvalidTableError(what, f"Give at least one slide of each level: {', '.join(LEVELS)}.")


def _check_rising(values: Floats) -> None:
    """Refuse thresholds that do not rise: then a level is not stronger than the one before."""
    if not (np.diff(values) > 0).all():
        raise SettingsError(
            f"the fitted thresholds {', '.join(f'{value:.2f}' for value in values)} OD do not rise",
            "A control is not stronger than one of the level below: check the levels in the list.",
        )
