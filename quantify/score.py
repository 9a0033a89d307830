"""A score with everything needed to trust it: counts, interval, status, rule and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite
from operator import index
from typing import Any

from ..errors import InvalidTableError
from .rounding import show_value


class Status(StrEnum):
    """How far a score may be used, from best to worst."""

    OK = "OK"
    REVIEW = "REVIEW"
    PARTIAL = "PARTIAL"
    INSUFFICIENT = "INSUFFICIENT"
    NOT_ASSESSABLE = "NOT_ASSESSABLE"

    @property
    def allows_category(self) -> bool:
        """Whether a score of this status may name a clinical category."""
        return self not in (Status.INSUFFICIENT, Status.NOT_ASSESSABLE)


def worst_status(*statuses: Status) -> Status:
    """Return the worst of the given statuses; OK when there is none."""
    order = list(Status)
    return max(statuses, key=order.index, default=Status.OK)


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, in the unit of the value it belongs to."""

    low: float
    high: float
    level: float = 0.95
    """Confidence level, between 0 and 1."""
    method: str = "Wilson"
    """How it was made; says what it does and does not cover."""

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low <= self.high and 0 < self.level < 1):
            raise _invalid(f"interval {self.low} to {self.high} at level {self.level} makes no sense")

    def times(self, factor: float) -> Interval:
        """Return the interval in another unit: 100 turns a share into percent."""
        return replace(self, low=self.low * factor, high=self.high * factor)

    def to_json(self) -> dict[str, Any]:
        """Return plain types, ready for a JSON writer."""
        return {"low": self.low, "high": self.high, "level": self.level, "method": self.method}


@dataclass(frozen=True, slots=True)
class Score:
    """One number that a pathologist reports, with its evidence.

    A score that cannot be assessed has value None, never 0 or NaN; one that rests on too little evidence has
    a value and no category. Both are checked when the score is made.
    """

    name: str
    value: float | None
    """In ``unit``, unrounded; None exactly when ``status`` is NOT_ASSESSABLE."""
    unit: str
    numerator: int
    denominator: int
    interval: Interval | None
    """In ``unit``."""
    status: Status
    category: str | None
    """Clinical category, decided on exact counts."""
    rule: str
    """Identifier, version and source of the rule."""
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))
        object.__setattr__(self, "flags", tuple(str(flag) for flag in self.flags))
        object.__setattr__(self, "numerator", index(self.numerator))  # a numpy integer would not go into JSON
        object.__setattr__(self, "denominator", index(self.denominator))
        if self.numerator < 0 or self.denominator < 0:
            raise _invalid(f"{self.name}: counts {self.numerator} of {self.denominator} are negative")
        if (self.value is None) != (self.status is Status.NOT_ASSESSABLE):
            raise _invalid(f"{self.name}: value {self.value} contradicts the status {self.status}")
        if self.value is None and self.interval is not None:
            raise _invalid(f"{self.name}: an interval without a value")
        if self.value is not None and not isfinite(self.value):
            raise _invalid(f"{self.name}: the value {self.value} is not a number")
        if self.category is not None and not self.status.allows_category:
            raise _invalid(f"{self.name}: {self.status} must not name the category {self.category!r}")

    @property
    def shown(self) -> str:
        """The value as a report shows it, rounded half up, with its unit."""
        if self.value is None:
            return "not assessable"
        return f"{show_value(self.value, self.unit)} {self.unit}".rstrip()

    def to_json(self) -> dict[str, Any]:
        """Return plain types, ready for a JSON writer."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "numerator": self.numerator,
            "denominator": self.denominator,
            "interval": None if self.interval is None else self.interval.to_json(),
            "status": self.status.value,
            "category": self.category,
            "rule": self.rule,
            "flags": list(self.flags),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Score:
        """Rebuild a score from what ``to_json`` returned."""
        interval = record["interval"]
        return cls(**{**record, "interval": None if interval is None else Interval(**interval)})


@dataclass(frozen=True, slots=True)
class SlideResult:
    """All scores of one marker on one slide; the first is the headline."""

    marker: str
    """For example "Ki-67"."""
    scores: tuple[Score, ...]
    status: Status
    flags: tuple[str, ...] = ()
    """Warnings about the slide and all its scores, each once, in order of appearance."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Cells left out of every count, by reason."""
    areas_mm2: Mapping[str, float] = field(default_factory=dict)
    """Areas by what they hold, mm²; "missing" is tissue that could not be read."""

    def __post_init__(self) -> None:
        if not self.scores:
            raise _invalid(f"{self.marker}: a slide result without scores")
        object.__setattr__(self, "scores", tuple(self.scores))
        object.__setattr__(self, "status", Status(self.status))
        object.__setattr__(self, "flags", tuple(dict.fromkeys(str(flag) for flag in self.flags)))
        object.__setattr__(self, "excluded", dict(self.excluded))
        object.__setattr__(self, "areas_mm2", dict(self.areas_mm2))
        if any(count < 0 for count in self.excluded.values()):
            raise _invalid(f"{self.marker}: negative count among the excluded cells {self.excluded}")
        if not all(isfinite(area) and area >= 0 for area in self.areas_mm2.values()):
            raise _invalid(f"{self.marker}: areas {self.areas_mm2} are not all finite and positive")

    @property
    def headline(self) -> Score:
        """The score that answers the question."""
        return self.scores[0]

    def with_score(self, score: Score) -> SlideResult:
        """Return the result with one more score and its flags; the status stays."""
        return replace(self, scores=(*self.scores, score), flags=(*self.flags, *score.flags))

    def to_json(self) -> dict[str, Any]:
        """Return plain types, ready for a JSON writer."""
        return {
            "marker": self.marker,
            "scores": [score.to_json() for score in self.scores],
            "status": self.status.value,
            "flags": list(self.flags),
            "excluded": {reason: int(count) for reason, count in self.excluded.items()},
            "areas_mm2": {name: float(area) for name, area in self.areas_mm2.items()},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SlideResult:
        """Rebuild a result from what ``to_json`` returned."""
        return cls(**{**record, "scores": tuple(Score.from_json(score) for score in record["scores"])})


def _invalid(what: str) -> InvalidTableError:
    """Say that a score contradicts itself, which only a programming mistake can cause."""
    return InvalidTableError(what, "Build scores with the functions of slidelab.quantify.")
