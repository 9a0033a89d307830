"""Numbers of the blood smear, read once from the data file beside this module and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any

from ..errors import SettingsError
from .cutoffs import checked, packaged_table, typed
from .score import Status

_FILE = "blood_smear_cutoffs.toml"
TAGS = ("read", "guideline", "memory", "project")
CELL_KINDS = ("red cells", "neutrophils", "platelets")


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit that a number passes below, above, or at and above."""

    below: Fraction | None = None
    above: Fraction | None = None
    least_above: Fraction | None = None

    def __post_init__(self) -> None:
        if sum(end is not None for end in (self.below, self.above, self.least_above)) != 1:
            raise ValueError("a rule needs exactly one of below, above and least_above")

    def is_passed(self, value: float | Fraction) -> bool:
        """Whether a value passes; decided exactly."""
        if self.below is not None:
            return value < self.below
        if self.above is not None:
            return value > self.above
        return self.least_above is not None and value >= self.least_above


@dataclass(frozen=True, slots=True)
class DifferentialLimits:
    """How many white cells a differential needs."""

    cells: int
    preferred_cells: int
    few_leucocytes_below: Fraction
    few_leucocytes_cells: int
    source: str


@dataclass(frozen=True, slots=True)
class PlateletLimits:
    """How platelets are estimated."""

    fields: int
    field_number: float
    objective: int
    factors: Mapping[str, int]
    """Platelets per uL for each platelet per field: of the "monolayer" and of the "wedge"."""
    normal_from: int
    normal_upto: int
    agrees_within_percent: int
    ratio_red_cells: int
    source: str


@dataclass(frozen=True, slots=True)
class SchistocyteLimits:
    """When schistocytes are suspicious."""

    red_cells: int
    normal_upto_percent: int
    normal_upto_percent_preterm: int
    source: str


@dataclass(frozen=True, slots=True)
class EvidenceLimits:
    """Fewest cells for a grade."""

    insufficient_below: int
    review_below: int

    def status_of(self, cells: int) -> Status:
        """Return what a count of cells allows."""
        if cells == 0:
            return Status.NOT_ASSESSABLE
        if cells < self.insufficient_below:
            return Status.INSUFFICIENT
        return Status.REVIEW if cells < self.review_below else Status.OK


@dataclass(frozen=True, slots=True)
class Feature:
    """A change of cells and its grades."""

    name: str
    of: str
    """One of ``CELL_KINDS``: whose share it is."""
    moderate_from: int
    many_above: int
    few_from_any: bool = False
    analyser: bool = False
    """Whether the analyser's own figure is to be preferred."""

    def grade(self, changed: int, cells: int) -> int:
        """Return 0 (not graded), 1 (few), 2 (moderate) or 3 (many); decided on whole numbers."""
        percent = Fraction(100 * changed, cells)
        if percent > self.many_above:
            return 3
        if percent >= self.moderate_from:
            return 2
        return 1 if self.few_from_any and changed else 0


@dataclass(frozen=True, slots=True)
class ReviewRule:
    """A criterion for manual review."""

    id: str
    words: str
    value: str
    bound: Bound
    before_age: int | None = None
    from_age: int | None = None
    within_hours: int | None = None


@dataclass(frozen=True, slots=True)
class PositiveRule:
    """A number of cells that makes a smear positive."""

    id: str
    """The class of cell."""
    words: str
    seen: int | None
    """Cells seen, from here on; None where the number per 100 decides."""
    bound: Bound | None


@dataclass(frozen=True, slots=True)
class BloodSmearCutoffs:
    """Everything in the data file."""

    as_of: date
    differential: DifferentialLimits
    nrbc_correct_above: int
    nrbc_source: str
    platelets: PlateletLimits
    schistocytes: SchistocyteLimits
    evidence: Mapping[str, EvidenceLimits]
    features: Mapping[str, Feature]
    grades_source: str
    rules: tuple[ReviewRule, ...]
    review_source: str
    positive_grade: int
    toxic: tuple[str, ...]
    positive_cells: tuple[PositiveRule, ...]

    def feature(self, name: str) -> Feature:
        """Return a change by its name."""
        if name not in self.features:
            raise SettingsError(f"no change named {name!r}", f"Choose from {', '.join(self.features)}.")
        return self.features[name]


@cache
def blood_smear_cutoffs() -> BloodSmearCutoffs:
    """Return the cut-offs that come with the package."""
    return read_blood_smear_cutoffs(packaged_table(_FILE))


def read_blood_smear_cutoffs(table: Mapping[str, Any]) -> BloodSmearCutoffs:
    """Check a parsed file of cut-offs and return it.

    Raises
    ------
    SettingsError
        If a key is missing, unknown or of the wrong type, or numbers are out of order.
    """
    with checked(_FILE):
        for name in ("differential", "nrbc", "platelets", "schistocytes", "grades", "review"):
            if table[name]["tag"] not in TAGS:
                raise ValueError(f"[{name}] has an unknown tag")
        features = [each for record in table["feature"] for each in _read_features(record)]
        cutoffs = BloodSmearCutoffs(
            as_of=typed(table["as_of"], date),
            differential=_read_differential(table["differential"]),
            nrbc_correct_above=_positive(table["nrbc"]["correct_above"]),
            nrbc_source=typed(table["nrbc"]["source"], str),
            platelets=_read_platelets(table["platelets"]),
            schistocytes=_read_schistocytes(table["schistocytes"]),
            evidence=MappingProxyType({each["of"]: _read_evidence(each) for each in table["evidence"]}),
            features=MappingProxyType({each.name: each for each in features}),
            grades_source=typed(table["grades"]["source"], str),
            rules=tuple(_read_rule(record) for record in table["rule"]),
            review_source=typed(table["review"]["source"], str),
            positive_grade=_positive(table["positive"]["grade"]),
            toxic=tuple(table["positive"]["toxic"]),
            positive_cells=tuple(_read_positive(record) for record in table["positive_cells"]),
        )
        if len(features) != len(cutoffs.features) or not set(cutoffs.toxic) <= set(cutoffs.features):
            raise ValueError("two changes of one name, or a toxic change that is not defined")
        if len({rule.id for rule in cutoffs.rules}) != len(cutoffs.rules):
            raise ValueError("two rules of one id")
        if set(cutoffs.evidence) != set(CELL_KINDS):
            raise ValueError("evidence for other kinds of cells")
    return cutoffs


def _read_differential(record: Mapping[str, Any]) -> DifferentialLimits:
    """Check the counts of a differential."""
    limits = DifferentialLimits(
        cells=_positive(record["cells"]),
        preferred_cells=_positive(record["preferred_cells"]),
        few_leucocytes_below=Fraction(typed(record["few_leucocytes_below"], str)),
        few_leucocytes_cells=_positive(record["few_leucocytes_cells"]),
        source=typed(record["source"], str),
    )
    if not limits.few_leucocytes_cells <= limits.cells <= limits.preferred_cells:
        raise ValueError("cells of the differential out of order")
    return limits


def _read_platelets(record: Mapping[str, Any]) -> PlateletLimits:
    """Check how platelets are estimated."""
    factors = {name: _positive(record[f"factor_{name}"]) for name in ("monolayer", "wedge")}
    limits = PlateletLimits(
        fields=_positive(record["fields"]),
        field_number=float(Fraction(typed(record["field_number"], str))),
        objective=_positive(record["objective"]),
        factors=MappingProxyType(factors),
        normal_from=_positive(record["normal_from"]),
        normal_upto=_positive(record["normal_upto"]),
        agrees_within_percent=_positive(record["agrees_within_percent"]),
        ratio_red_cells=_positive(record["ratio_red_cells"]),
        source=typed(record["source"], str),
    )
    if limits.normal_from >= limits.normal_upto:
        raise ValueError("normal platelets out of order")
    return limits


def _read_schistocytes(record: Mapping[str, Any]) -> SchistocyteLimits:
    """Check the limits of schistocytes."""
    return SchistocyteLimits(
        red_cells=_positive(record["red_cells"]),
        normal_upto_percent=_positive(record["normal_upto_percent"]),
        normal_upto_percent_preterm=_positive(record["normal_upto_percent_preterm"]),
        source=typed(record["source"], str),
    )


def _read_evidence(record: Mapping[str, Any]) -> EvidenceLimits:
    """Check the counts that a grade needs."""
    limits = EvidenceLimits(_positive(record["insufficient_below"]), _positive(record["review_below"]))
    if limits.insufficient_below > limits.review_below:
        raise ValueError(f"cells of {record['of']} out of order")
    return limits


def _read_features(record: Mapping[str, Any]) -> list[Feature]:
    """Check changes that share their grades."""
    entry = dict(record)
    features = [Feature(name=name, **entry) for name in entry.pop("names")]
    for each in features:
        if each.of not in CELL_KINDS or not 0 < each.moderate_from < each.many_above:
            raise ValueError(f"grades of {each.name} out of order, or of unknown cells")
    return features


def _read_rule(record: Mapping[str, Any]) -> ReviewRule:
    """Check one criterion for review."""
    entry = dict(record)
    return ReviewRule(bound=_bound(entry), **entry)


def _read_positive(record: Mapping[str, Any]) -> PositiveRule:
    """Check one criterion of a positive smear."""
    entry = dict(record)
    seen = entry.pop("seen", None)
    return PositiveRule(seen=seen, bound=None if seen is not None else _bound(entry), **entry)


def _bound(entry: dict[str, Any]) -> Bound:
    """Take the limit out of an entry."""
    names = ("below", "above", "least_above")
    return Bound(**{name: Fraction(entry.pop(name)) for name in names if name in entry})


def _positive(value: Any) -> int:
    """Return a whole number of at least 1."""
    if typed(value, int) < 1:
        raise ValueError(f"{value} is not positive")
    return int(value)
