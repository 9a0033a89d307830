"""Joins a run with a reference slide by slide and compares it with each reader and with their consensus."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError, SettingsError
from .agreement import (
    CategoryAgreement,
    CutoffAccuracy,
    Estimate,
    Units,
    ValueAgreement,
    agreement_at,
    agreement_of_categories,
    agreement_of_readers,
    agreement_of_values,
    kappas_of_readers,
)
from .reference_table import ReferenceTable
from .run_values import RunValue, RunValues

__all__ = [
    "CategoryOrder",
    "Comparison",
    "Joined",
    "Readers",
    "compare_readers",
    "compare_run",
    "join_slides",
]

NAMED_AT_MOST = 10
"""Slides that one line of an error names."""


@dataclass(frozen=True, slots=True)
class CategoryOrder:
    """The categories of a comparison."""

    names: tuple[str, ...]
    """From low to high, if ``is_known``."""
    is_known: bool
    source: str
    """What the order rests on."""


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """A run and a reference, slide by slide."""

    compared: tuple[RunValue, ...]
    """Slides in both that the run could score."""
    apart: tuple[RunValue, ...]
    """Slides in both that it could not: failed, too little evidence, not assessable."""
    only_in_run: tuple[str, ...]
    only_in_reference: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]]
    """By reader and slide; without readings that were not made."""
    categories: Mapping[str, Mapping[str, str]]
    order: CategoryOrder
    patients: Mapping[str, str] | None
    """Patient of each slide."""

    @property
    def readers(self) -> tuple[str, ...]:
        """Every reader, by name."""
        return tuple(sorted(self.values))

    def units(self, slides: Sequence[str]) -> Units:
        """Return the independent units of some slides."""
        if self.patients is None:
            return Units(np.array(slides, dtype=np.str_), "slides")
        return Units(np.array([self.patients[slide] for slide in slides], dtype=np.str_), "patients")


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The run against one reading of each slide."""

    reader: str
    """A reader, or the consensus of several."""
    pairs: NDArray[np.float64]
    """(N, 2) values of run and reference; none where only categories were read."""
    slides: tuple[str, ...]
    """Slides compared by value or category."""
    units: int
    """Patients, or slides where patients are unknown."""
    values: ValueAgreement | None
    categories: CategoryAgreement | None
    cutoffs: Mapping[float, CutoffAccuracy]
    without_reading: tuple[str, ...]
    """Slides that this reader did not read, or on which there is no consensus."""

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "reader": self.reader,
            "slides": len(self.slides),
            "units": self.units,
            "pairs": len(self.pairs),
            "values": None if self.values is None else self.values.to_json(),
            "categories": None if self.categories is None else self.categories.to_json(),
            "cutoffs": [{"cutoff": cutoff, **made.to_json()} for cutoff, made in self.cutoffs.items()],
            "without_reading": list(self.without_reading),
        }


@dataclass(frozen=True, slots=True)
class Readers:
    """How far several readers agree with one another: what a run can be asked for."""

    icc: Estimate | None
    """ICC(2,1) of the readers, on slides that all of them read."""
    icc_with_run: Estimate | None
    """The same with the run as one more reader."""
    slides: int
    """Slides with a value by every reader."""
    kappas: Mapping[str, Estimate]
    """Of each pair, on slides with a category by every reader; quadratic where the order is known."""

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "icc": self.icc and self.icc.to_json(),
            "icc_with_run": self.icc_with_run and self.icc_with_run.to_json(),
            "slides_read_by_all": self.slides,
            "kappas": {pair: kappa.to_json() for pair, kappa in self.kappas.items()},
        }


def join_slides(run: RunValues, reference: ReferenceTable, *, allow_unmatched: bool = False) -> Joined:
    """Join a run with a reference by slide id.

    Parameters
    ----------
    run : RunValues
        Headlines of the run.
    reference : ReferenceTable
        Readings.
    allow_unmatched : bool
        Compare the slides that both have, and list the others, instead of refusing.

    Returns
    -------
    Joined

    Raises
    ------
    InvalidTableError
        If a slide is in one of them only, no slide can be compared, or a category is unknown.
    """
    known = {slide.slide: slide for slide in run.slides}
    twice = [name for name, times in Counter(slide.slide for slide in run.slides).items() if times > 1]
    if twice:
        raise InvalidTableError(f"the run names slides twice: {_named(twice)}", "Run the slides again.")
    only_run = tuple(name for name in known if name not in set(reference.slides))
    only_reference = tuple(name for name in reference.slides if name not in known)
    if (only_run or only_reference) and not allow_unmatched:
        sides = [("in the run only", only_run), ("in the reference only", only_reference)]
        told = "; ".join(f"{where}: {_named(names)}" for where, names in sides if names)
        raise InvalidTableError(
            f"run and reference are not of the same slides; {told}",
            "Use the ids of summary.csv, or --allow-unmatched to compare the others and list these.",
        )
    both = [slide for slide in run.slides if slide.slide in set(reference.slides)]
    compared = tuple(slide for slide in both if slide.is_comparable)
    if not compared:
        raise InvalidTableError(
            f"none of {len(both)} slides in both run and reference has a score to compare",
            "Look at their status in summary.csv.",
        )
    order = _order(run, compared, reference)
    spelt = {name.casefold(): name for name in order.names}
    return Joined(
        compared=compared,
        apart=tuple(slide for slide in both if not slide.is_comparable),
        only_in_run=only_run,
        only_in_reference=only_reference,
        values={
            reader: {
                slide: each.value
                for slide, each in reference.by_reader(reader).items()
                if each.value is not None
            }
            for reader in reference.readers
        },
        categories={
            reader: {
                slide: spelt[each.category.casefold()]
                for slide, each in reference.by_reader(reader).items()
                if each.category is not None
            }
            for reader in reference.readers
        },
        order=order,
        patients=reference.patients,
    )


def compare_run(joined: Joined, *, cutoffs: Sequence[float]) -> list[Comparison]:
    """Compare a run with its reference.

    Parameters
    ----------
    joined : Joined
        From ``join_slides``.
    cutoffs : sequence of float
        Where sensitivity and specificity are given, in the score's unit.

    Returns
    -------
    list of Comparison
        One for a single reader. For several: their consensus first (mean of the values; the category that
        most of them gave, none where two are given equally often), then each reader.

    Raises
    ------
    InvalidTableError
        If there is nothing to compare.
    SettingsError
        If a cut-off is no number.
    """
    if not all(isfinite(cutoff) for cutoff in cutoffs):
        raise SettingsError("a cut-off is no number", "Give --cutoff 10, for example.")
    names = joined.readers
    made = [
        _compare(joined, name, joined.values[name], joined.categories[name], sorted(set(cutoffs)))
        for name in names
    ]
    if len(names) > 1:
        title = f"consensus of {len(names)} readers"
        made.insert(0, _compare(joined, title, _means(joined), _majorities(joined), sorted(set(cutoffs))))
    if not any(each.slides for each in made):
        raise InvalidTableError(
            "run and reference have neither values nor categories in common",
            "Give a column 'value' in the score's unit, or 'category' for a run that names categories.",
        )
    return made


def compare_readers(joined: Joined) -> Readers | None:
    """Return how far the readers agree with one another; None with fewer than two."""
    names = joined.readers
    if len(names) < 2:
        return None
    run = {slide.slide: slide.value for slide in joined.compared}
    valued = [slide for slide in run if all(slide in joined.values[name] for name in names)]
    named = [slide for slide in run if all(slide in joined.categories[name] for name in names)]
    icc = with_run = None
    if valued:
        ratings = np.array([[joined.values[name][slide] for name in names] for slide in valued])
        icc = agreement_of_readers(ratings, units=joined.units(valued))
        found = np.array([[run[slide]] for slide in valued], dtype=np.float64)
        with_run = agreement_of_readers(np.hstack((ratings, found)), units=joined.units(valued))
    kappas = {}
    if named:
        kappas = kappas_of_readers(
            {name: [joined.categories[name][slide] for slide in named] for name in names},
            categories=joined.order.names,
            ordered=joined.order.is_known,
            units=joined.units(named),
        )
    return Readers(icc, with_run, len(valued), kappas)


def _compare(
    joined: Joined,
    reader: str,
    values: Mapping[str, float],
    categories: Mapping[str, str],
    cutoffs: list[float],
) -> Comparison:
    """Compare the run with one reading per slide."""
    valued = [slide for slide in joined.compared if slide.slide in values]
    named = [slide for slide in joined.compared if slide.slide in categories and slide.category is not None]
    pairs = np.array([[slide.value, values[slide.slide]] for slide in valued], dtype=np.float64).reshape(
        -1, 2
    )
    units = joined.units([slide.slide for slide in valued])
    spelt = {name.casefold(): name for name in joined.order.names}
    used = {slide.slide for slide in (*valued, *named)}
    slides = tuple(slide.slide for slide in joined.compared if slide.slide in used)
    by_category = None
    if named:
        by_category = agreement_of_categories(
            [spelt[(slide.category or "").casefold()] for slide in named],
            [categories[slide.slide] for slide in named],
            categories=joined.order.names,
            ordered=joined.order.is_known,
            units=joined.units([slide.slide for slide in named]),
        )
    return Comparison(
        reader=reader,
        pairs=pairs,
        slides=slides,
        units=joined.units(slides).count,
        values=agreement_of_values(pairs[:, 0], pairs[:, 1], units=units) if valued else None,
        categories=by_category,
        cutoffs={each: agreement_at(pairs[:, 0], pairs[:, 1], cutoff=each, units=units) for each in cutoffs}
        if valued
        else {},
        without_reading=tuple(slide.slide for slide in joined.compared if slide.slide not in used),
    )


def _means(joined: Joined) -> dict[str, float]:
    """Return the mean value of those who read each slide."""
    read: dict[str, list[float]] = {}
    for by_slide in joined.values.values():
        for slide, value in by_slide.items():
            read.setdefault(slide, []).append(value)
    return {slide: fmean(values) for slide, values in read.items()}


def _majorities(joined: Joined) -> dict[str, str]:
    """Return the category that most readers gave each slide, where one is given most often."""
    read: dict[str, Counter[str]] = {}
    for by_slide in joined.categories.values():
        for slide, category in by_slide.items():
            read.setdefault(slide, Counter())[category] += 1
    agreed = {}
    for slide, votes in read.items():
        (first, most), *others = votes.most_common(2)
        if not others or others[0][1] < most:
            agreed[slide] = first
    return agreed


def _order(run: RunValues, compared: Sequence[RunValue], reference: ReferenceTable) -> CategoryOrder:
    """Find all categories and, if it can be known, their order."""
    given = [reading.category for reading in reference.readings if reading.category is not None]
    found = [slide.category for slide in compared if slide.category is not None]
    if run.bands:
        names = tuple(name for name, _ in run.bands)
        known = {name.casefold() for name in names}
        strange = sorted({name for name in (*given, *found) if name.casefold() not in known})
        if strange:
            raise InvalidTableError(
                f"unknown categories: {_named(strange)}", f"The run's categories are {', '.join(names)}."
            )
        return CategoryOrder(names, is_known=True, source="cut-offs of the run")
    spelt: dict[str, str] = {}
    for name in (*found, *given):
        spelt.setdefault(name.casefold(), name)
    names = tuple(spelt.values())
    numbered = [re.fullmatch(r"(\D*)(\d+)(\D*)", name) for name in names]
    if names and all(numbered) and len({match[1] for match in numbered if match}) == 1:
        ranks = {name: int(match[2]) for name, match in zip(names, numbered, strict=True) if match}
        if len(set(ranks.values())) == len(names):
            return CategoryOrder(tuple(sorted(names, key=ranks.__getitem__)), True, "numbers in the names")
    return _order_by_value(names, compared)


def _order_by_value(names: tuple[str, ...], compared: Sequence[RunValue]) -> CategoryOrder:
    """Order categories by the median value that the run gave them, if each has one of its own."""
    values: dict[str, list[float]] = {name.casefold(): [] for name in names}
    for slide in compared:
        if slide.category is not None and slide.value is not None:
            values[slide.category.casefold()].append(slide.value)
    middle = {name: median(values[name.casefold()]) for name in names if values[name.casefold()]}
    if len(set(middle.values())) == len(names) > 1:
        return CategoryOrder(tuple(sorted(names, key=middle.__getitem__)), True, "values of the run")
    return CategoryOrder(tuple(sorted(names)), False, "unknown")


def _named(names: Sequence[str]) -> str:
    """Name the first of many."""
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
