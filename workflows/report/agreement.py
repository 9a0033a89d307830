"""Agreement of a run with a reference: every figure with its 95 % interval, patients drawn whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...quantify import (
    Interval,
    bland_altman,
    bootstrap_by_patient,
    cohen_kappa,
    concordance,
    confusion_table,
    intraclass_correlation,
    kappa_in_words,
    mean_absolute_error,
    sensitivity_specificity,
    wilson_interval,
)

__all__ = [
    "CategoryAgreement",
    "CutoffAccuracy",
    "Estimate",
    "Units",
    "ValueAgreement",
    "agreement_at",
    "agreement_of_categories",
    "agreement_of_readers",
    "agreement_of_values",
    "kappas_of_readers",
]

Rows = NDArray[np.intp]
KAPPAS: dict[str, Literal["linear", "quadratic"] | None] = {
    "kappa": None,
    "linear_kappa": "linear",
    "quadratic_kappa": "quadratic",
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval."""

    value: float | None
    """None where it is undefined."""
    interval: Interval | None
    words: str = ""
    """What it is called, for kappa."""
    numerator: int | None = None
    """Of a share of cases."""
    denominator: int | None = None
    by_patient: Interval | None = None
    """Of a share, allowing for patients with several slides; None where each has one."""

    def to_json(self) -> dict[str, Any]:
        """Return plain types, without what does not apply."""
        record: dict[str, Any] = {
            "value": self.value,
            "interval": None if self.interval is None else self.interval.to_json(),
        }
        if self.words:
            record["words"] = self.words
        if self.denominator is not None:
            record |= {"numerator": self.numerator, "denominator": self.denominator}
        if self.by_patient is not None:
            record["interval_by_patient"] = self.by_patient.to_json()
        return record


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """The independent units of a set of cases: patients, or slides where patients are unknown."""

    names: NDArray[np.str_]
    """(N,) unit of each case."""
    noun: str
    """``patients`` or ``slides``."""

    @property
    def count(self) -> int:
        """Number of units."""
        return len(np.unique(self.names))

    @property
    def is_clustered(self) -> bool:
        """Whether a unit has more than one case."""
        return self.count < len(self.names)

    def take(self, rows: Sequence[int]) -> Units:
        """Return some cases."""
        return replace(self, names=self.names[np.asarray(rows, dtype=np.intp)])

    def bootstrap(self, statistic: Callable[[Rows], float | None]) -> Interval | None:
        """Return the interval of a statistic by drawing units whole, 2,000 times, with one seed for all."""
        interval = bootstrap_by_patient(statistic, self.names)
        return interval and replace(interval, method=interval.method.replace("patients", self.noun))

    def estimate(self, statistic: Callable[[Rows], float | None]) -> Estimate:
        """Return a statistic of all cases with its interval."""
        value = statistic(np.arange(len(self.names)))
        return Estimate(value, None if value is None else self.bootstrap(statistic))


@dataclass(frozen=True, slots=True)
class ValueAgreement:
    """Agreement on a continuous scale; the reference is the second of each pair."""

    estimates: dict[str, Estimate]
    """``icc``, ``concordance``, ``bias``, ``lower_limit``, ``upper_limit``, ``mean_absolute_error``."""

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {name: estimate.to_json() for name, estimate in self.estimates.items()}


@dataclass(frozen=True, slots=True)
class CategoryAgreement:
    """Agreement on categories."""

    categories: tuple[str, ...]
    table: NDArray[np.int64]
    """(K, K) rows: reference; columns: run."""
    estimates: dict[str, Estimate]
    """``exact`` and ``kappa``; ordered categories also ``linear_kappa`` and ``quadratic_kappa``."""
    steps: dict[str, CutoffAccuracy]
    """By category from the second up: that category or a higher one against all lower."""

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "categories": list(self.categories),
            "table_rows_reference_columns_run": self.table.tolist(),
            **{name: estimate.to_json() for name, estimate in self.estimates.items()},
            "at_or_above": {name: accuracy.to_json() for name, accuracy in self.steps.items()},
        }


@dataclass(frozen=True, slots=True)
class CutoffAccuracy:
    """How well the run calls a slide positive where the reference does."""

    sensitivity: Estimate
    specificity: Estimate

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        return {"sensitivity": self.sensitivity.to_json(), "specificity": self.specificity.to_json()}


def agreement_of_values(run: ArrayLike, reference: ArrayLike, *, units: Units) -> ValueAgreement:
    """Return agreement of (N,) values with those of a reference, both in one unit."""
    found, truth = np.asarray(run, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    both = np.column_stack((found, truth))

    def limit(name: str) -> Callable[[Rows], float | None]:
        def statistic(rows: Rows) -> float | None:
            limits = bland_altman(truth[rows], found[rows])
            return None if limits is None else float(getattr(limits, name))

        return statistic

    statistics: dict[str, Callable[[Rows], float | None]] = {
        "icc": lambda rows: _correlation(both[rows]),
        "concordance": lambda rows: concordance(truth[rows], found[rows]),
        "bias": limit("bias"),
        "lower_limit": limit("low"),
        "upper_limit": limit("high"),
        "mean_absolute_error": lambda rows: mean_absolute_error(truth[rows], found[rows]),
    }
    return ValueAgreement({name: units.estimate(statistic) for name, statistic in statistics.items()})


def agreement_of_categories(
    run: Sequence[str], reference: Sequence[str], *, categories: Sequence[str], ordered: bool, units: Units
) -> CategoryAgreement:
    """Return agreement of (N,) categories with those of a reference.

    Parameters
    ----------
    run, reference : (N,) sequence of str
        Category of each case.
    categories : (K,) sequence of str
        All categories, from low to high if ``ordered``.
    ordered : bool
        Whether weighted kappas and steps mean anything.
    units : Units
        Of the N cases.
    """
    place = {name: number for number, name in enumerate(categories)}
    found, truth = (np.array([place[name] for name in names], dtype=np.intp) for names in (run, reference))
    is_same = found == truth
    same = int(is_same.sum())
    clustered = units.bootstrap(lambda rows: float(is_same[rows].mean())) if units.is_clustered else None
    exact = Estimate(
        same / len(found) if len(found) else None,
        wilson_interval(same, len(found)) if len(found) else None,
        numerator=same,
        denominator=len(found),
        by_patient=clustered,
    )
    kappas = {
        name: _kappa(truth, found, len(categories), weights=kind, units=units)
        for name, kind in KAPPAS.items()
        if ordered or kind is None
    }
    steps = {}
    if ordered:
        steps = {
            name: _accuracy(found >= level, truth >= level, units=units)
            for level, name in enumerate(categories)
            if level
        }
    table = confusion_table(reference, run, categories=categories)
    return CategoryAgreement(tuple(categories), table, {"exact": exact, **kappas}, steps)


def agreement_at(run: ArrayLike, reference: ArrayLike, *, cutoff: float, units: Units) -> CutoffAccuracy:
    """Return sensitivity and specificity where a value at or above a cut-off is positive in both."""
    found, truth = np.asarray(run, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    return _accuracy(found >= cutoff, truth >= cutoff, units=units)


def agreement_of_readers(ratings: ArrayLike, *, units: Units) -> Estimate:
    """Return ICC(2,1) of (N, K) values, one column per reader."""
    table = np.asarray(ratings, dtype=np.float64)
    return units.estimate(lambda rows: _correlation(table[rows]))


def kappas_of_readers(
    readings: dict[str, Sequence[str]], *, categories: Sequence[str], ordered: bool, units: Units
) -> dict[str, Estimate]:
    """Return kappa of every pair of readers, quadratic for ordered categories, by "A and B"."""
    place = {name: number for number, name in enumerate(categories)}
    codes = {reader: np.array([place[name] for name in names]) for reader, names in readings.items()}
    weights: Literal["quadratic"] | None = "quadratic" if ordered else None
    return {
        f"{one} and {other}": _kappa(codes[one], codes[other], len(categories), weights=weights, units=units)
        for one, other in combinations(codes, 2)
    }


def _kappa(
    truth: Rows, found: Rows, count: int, *, weights: Literal["linear", "quadratic"] | None, units: Units
) -> Estimate:
    """Return kappa of category numbers with its interval and words."""
    cell = truth * count + found

    def statistic(rows: Rows) -> float | None:
        table = np.bincount(cell[rows], minlength=count * count).reshape(count, count)
        return cohen_kappa(table, weights=weights)

    made = units.estimate(statistic)
    return made if made.value is None else replace(made, words=kappa_in_words(made.value))


def _accuracy(found: NDArray[np.bool_], truth: NDArray[np.bool_], *, units: Units) -> CutoffAccuracy:
    """Return sensitivity and specificity with Wilson intervals, and by patient where slides cluster."""
    whole = sensitivity_specificity(truth, found)

    def share(name: Literal["sensitivity", "specificity"]) -> Estimate:
        made = getattr(whole, name)
        is_meant = truth if name == "sensitivity" else ~truth
        is_right = found == truth

        def statistic(rows: Rows) -> float | None:
            right = is_right[rows][is_meant[rows]]
            return float(right.mean()) if right.size else None

        clustered = units.bootstrap(statistic) if units.is_clustered and made.value is not None else None
        return Estimate(
            made.value,
            made.interval,
            numerator=made.numerator,
            denominator=made.denominator,
            by_patient=clustered,
        )

    return CutoffAccuracy(share("sensitivity"), share("specificity"))


def _correlation(ratings: NDArray[np.float64]) -> float | None:
    """Return ICC(2,1); None with under two cases."""
    return intraclass_correlation(ratings) if len(ratings) > 1 else None
