"""Calls of cells and groups on a cervical slide: which are accepted, which are one object, how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError
from .cervical_cutoffs import NILM, CervicalCutoffs, cervical_cutoffs


@dataclass(frozen=True, slots=True)
class CallTable:
    """Objects that a network called, one per row: cells, groups and organisms."""

    x_um: NDArray[np.float64]
    """(N,) centres, um."""
    y_um: NDArray[np.float64]
    codes: tuple[str, ...]
    """Of each object: an interpretation ("HSIL", "NILM"), or the code of a finding ("CANDIDA")."""
    probability: NDArray[np.float64]
    """(N,) of that class, 0-1, calibrated."""
    cells: NDArray[np.int64]
    """(N,) cells of the object; 1 for a single one."""
    excluded: tuple[str, ...]
    """"" or why the object may not count: out of focus, in an excluded area."""

    @classmethod
    def of(
        cls,
        x_um: ArrayLike,
        y_um: ArrayLike,
        *,
        codes: ArrayLike,
        probability: ArrayLike,
        cells: ArrayLike | None = None,
        excluded: ArrayLike | None = None,
    ) -> CallTable:
        """Check columns of one length and return them as a table; all objects are single cells by default."""
        x, y = np.asarray(x_um, dtype=np.float64), np.asarray(y_um, dtype=np.float64)
        names = tuple(str(code) for code in np.asarray(codes).ravel())
        sizes = np.ones(x.size, dtype=np.int64) if cells is None else np.asarray(cells)
        reasons = ("",) * x.size if excluded is None else tuple(str(each) for each in np.asarray(excluded))
        chance = np.asarray(probability, dtype=np.float64)
        sound = x.ndim == 1 and {x.size} == {y.size, len(names), sizes.size, len(reasons), chance.size}
        sound = sound and bool(np.isfinite(x).all() and np.isfinite(y).all())
        sound = sound and bool(((chance >= 0) & (chance <= 1)).all())  # NaN is neither
        if not sound or sizes.dtype.kind not in "iu" or (sizes < 1).any():
            raise InvalidTableError(
                "calls whose columns differ in length or hold impossible values",
                "Give finite positions, probabilities of 0-1 and one cell or more for each object.",
            )
        return cls(x, y, names, chance, sizes.astype(np.int64), reasons)


@dataclass(frozen=True, slots=True)
class CallCounts:
    """Accepted calls of a slide by class, each object once."""

    counting: Mapping[str, int] = field(default_factory=dict)
    """Calls that count towards a result."""
    undersized: Mapping[str, int] = field(default_factory=dict)
    """Accepted groups with fewer cells than a group of their class must hold; they only ask for a person."""
    findings: Mapping[str, int] = field(default_factory=dict)
    """Organisms and other findings."""

    def __post_init__(self) -> None:
        cutoffs = cervical_cutoffs()
        for name in ("counting", "undersized"):
            tally: dict[str, int] = {}
            for code, number in getattr(self, name).items():
                known = cutoffs.tbs_class(code).code
                tally[known] = tally.get(known, 0) + _count(number)
            tally.pop(NILM, None)
            object.__setattr__(self, name, _positive_only(tally))
        found = {cutoffs.finding(code).code: _count(number) for code, number in self.findings.items()}
        object.__setattr__(self, "findings", _positive_only(found))

    @property
    def total(self) -> int:
        """Accepted calls of abnormal cells and groups."""
        return sum(self.counting.values()) + sum(self.undersized.values())

    def of_class(self, code: str) -> int:
        """Return the accepted calls of one class, groups of too few cells included."""
        return self.counting.get(code, 0) + self.undersized.get(code, 0)


def count_calls(calls: CallTable, *, cutoffs: CervicalCutoffs | None = None) -> CallCounts:
    """Count the accepted calls of a slide.

    Parameters
    ----------
    calls : CallTable
        Everything the network called.
    cutoffs : CervicalCutoffs, optional
        With thresholds of their own (``with_rules``); those of the package by default.

    Returns
    -------
    CallCounts
        A call is accepted if its probability reaches the threshold of its class and nothing excludes it.
        Accepted calls of one line nearer to each other than 10 um are one object: the most severe one stays,
        then the most probable; it holds as many cells as the largest of them.
    """
    limits = cutoffs or cervical_cutoffs()
    accepted = np.flatnonzero([_is_accepted(calls, row, cutoffs=limits) for row in range(len(calls.codes))])
    counting: dict[str, int] = {}
    undersized: dict[str, int] = {}
    findings: dict[str, int] = {}
    for row, cells in merge_calls(calls, accepted, cutoffs=limits).items():
        code = calls.codes[row]
        if code in limits.findings:
            findings[code] = findings.get(code, 0) + 1
            continue
        known = limits.tbs_class(code)
        tally = counting if cells >= known.group_cells else undersized
        tally[known.code] = tally.get(known.code, 0) + 1
    return CallCounts(counting, undersized, findings)


def merge_calls(
    calls: CallTable, rows: ArrayLike, *, cutoffs: CervicalCutoffs | None = None
) -> Mapping[int, int]:
    """Return the rows that stay after detections of one object are merged, each with its number of cells.

    A row stays if no row before it, in order of severity, then probability, then place, is of its line and
    nearer than 10 um. Exactly 10 um apart are two objects. Findings are merged with their own kind only.
    """
    limits = cutoffs or cervical_cutoffs()
    by_line: dict[str, list[int]] = {}
    for row in np.asarray(rows, dtype=np.intp).tolist():
        by_line.setdefault(_line(calls.codes[row], limits), []).append(row)
    kept: dict[int, int] = {}
    for members in by_line.values():
        members.sort(key=lambda row: _order(calls, row, limits))
        kept.update(_merge_line(calls, members, reach_um=limits.merge_um))
    return MappingProxyType(dict(sorted(kept.items())))


def _merge_line(calls: CallTable, rows: list[int], *, reach_um: float) -> dict[int, int]:
    """Merge rows of one line, already in the order in which they stay."""
    from scipy.spatial import cKDTree

    points = np.stack([calls.x_um[rows], calls.y_um[rows]], axis=1)
    neighbours = cKDTree(points).query_ball_point(points, reach_um)
    owner = np.full(len(rows), -1)
    cells: dict[int, int] = {}
    for place, row in enumerate(rows):
        if owner[place] >= 0:
            continue
        apart = np.hypot(*(points[neighbours[place]] - points[place]).T)
        near = [each for each, gap in zip(neighbours[place], apart, strict=True) if gap < reach_um]
        free = [each for each in near if owner[each] < 0]
        owner[free] = place
        cells[row] = int(max(calls.cells[rows[each]] for each in free))
    return cells


def _is_accepted(calls: CallTable, row: int, *, cutoffs: CervicalCutoffs) -> bool:
    """Whether a call may count; NILM objects never do."""
    code = calls.codes[row]
    if calls.excluded[row]:
        return False
    if code in cutoffs.findings:
        return bool(calls.probability[row] >= cutoffs.finding_threshold)
    known = cutoffs.tbs_class(code)
    return known.code != NILM and bool(calls.probability[row] >= known.threshold)


def _line(code: str, cutoffs: CervicalCutoffs) -> str:
    """Return what a call is merged with."""
    return code if code in cutoffs.findings else cutoffs.tbs_class(code).line


def _order(calls: CallTable, row: int, cutoffs: CervicalCutoffs) -> tuple[float, ...]:
    """Return the key by which rows stay; places make it independent of the order of the table."""
    rank = 0 if calls.codes[row] in cutoffs.findings else cutoffs.tbs_class(calls.codes[row]).rank
    return (-rank, -calls.probability[row], calls.y_um[row], calls.x_um[row], -calls.cells[row])


def _count(number: int) -> int:
    """Return a count."""
    if index(number) < 0:
        raise InvalidTableError(f"a count of {number}", "Counts cannot be negative.")
    return index(number)


def _positive_only(tally: Mapping[str, int]) -> Mapping[str, int]:
    """Return a tally without zeros that nobody can change."""
    return MappingProxyType({code: number for code, number in tally.items() if number})
