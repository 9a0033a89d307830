"""Terms and numbers of cervical cytology, read once from the data file beside this module and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import cache
from math import pi
from types import MappingProxyType
from typing import Any

from ..errors import SettingsError
from .cutoffs import checked, packaged_table, typed

_FILE = "cervical_cutoffs.toml"

NILM = "NILM"
LINES = ("squamous", "glandular", "other")
"""Classes of one line are counted together."""
TAGS = ("read", "guideline", "memory", "project")


@dataclass(frozen=True, slots=True)
class TbsClass:
    """One interpretation of the Bethesda System and what a slide needs for it."""

    code: str
    term: str
    """As the report has to word it."""
    rank: int
    """Severity, 0 for NILM to 6."""
    line: str
    """One of ``LINES``, or "none" for NILM."""
    tzone_needed: bool
    tag: str
    threshold: Fraction = Fraction(1, 2)
    """Least probability of an accepted call."""
    calls: int = 1
    """Accepted calls, of this class or more severe ones of its line, that make the result."""
    group_cells: int = 1
    """Cells that a call must hold to count."""
    forces_review: bool = True
    """Whether a single call that no result explains asks for a person."""
    addition: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """An organism or a change that is listed beside any interpretation."""

    code: str
    term: str
    kind: str
    calls: int
    """Accepted calls from which it is listed."""
    tag: str
    reported: bool = True
    """False for labels of training data that no report may show."""
    trained: bool = True
    """False where no training data exist."""

    @property
    def state(self) -> str:
        """What a list of classes says of it."""
        return "trained" if self.trained else "no training data"


@dataclass(frozen=True, slots=True)
class Preparation:
    """A way of making the slide."""

    id: str
    title: str
    minimum_cells: int
    borderline_cells: int
    tag: str
    area_mm2: float | None
    """Of the disc of cells; None where it has no fixed size."""


@dataclass(frozen=True, slots=True)
class AdequacyLimits:
    """When a specimen is satisfactory."""

    lower_minimum_cells: int
    lower_reasons: tuple[str, ...]
    rejections: tuple[str, ...]
    fields: int
    partly_obscured_percent: int
    obscured_percent: int
    transformation_zone_cells: int
    squamous_kinds: tuple[str, ...]
    transformation_zone_kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NucleusLimits:
    """Sizes of nuclei, as multiples of the slide's own intermediate ones, and N:C ratios."""

    intermediate_um2: int
    metaplastic_um2: int
    reference_cells: int
    normal_below: Fraction
    asc_us_from: Fraction
    lsil_above: Fraction
    metaplastic_asc_us_from: Fraction
    asc_h_from: Fraction
    nc_asc_h_from: Fraction
    nc_hsil_above: Fraction
    hyperchromatic_from: Fraction
    atrophy_from_age: int
    atrophy_upto_age: int


@dataclass(frozen=True, slots=True)
class GalleryLimits:
    """How many objects a person is shown."""

    tiles: int
    tiles_per_organism: int
    apart_um: int


@dataclass(frozen=True, slots=True)
class TriageLimits:
    """What a threshold that clears slides has to keep and to prove."""

    sensitivity: Fraction
    lower_bound: Fraction
    confidence: Fraction


@dataclass(frozen=True, slots=True)
class CervicalCutoffs:
    """Everything in the data file."""

    as_of: date
    source: str
    classes: Mapping[str, TbsClass]
    findings: Mapping[str, Finding]
    preparations: Mapping[str, Preparation]
    adequacy: AdequacyLimits
    nuclei: NucleusLimits
    gallery: GalleryLimits
    triage: TriageLimits
    merge_um: int
    finding_threshold: Fraction
    endometrial_code: str
    endometrial_term: str
    endometrial_from_age: int
    no_lesion: str

    def tbs_class(self, code: str) -> TbsClass:
        """Return a class by its code or an alias of it."""
        found = self.classes.get(code)
        if found is None:
            found = next((each for each in self.classes.values() if code in each.aliases), None)
        if found is None:
            raise SettingsError(f"no Bethesda class {code!r}", f"Choose from {', '.join(self.classes)}.")
        return found

    def line(self, name: str) -> tuple[TbsClass, ...]:
        """Return the classes of a line, the most severe first."""
        members = [each for each in self.classes.values() if each.line == name]
        return tuple(sorted(members, key=lambda each: -each.rank))

    def preparation(self, name: str) -> Preparation:
        """Return a preparation by its id."""
        if name not in self.preparations:
            raise SettingsError(f"no preparation {name!r}", f"Choose from {', '.join(self.preparations)}.")
        return self.preparations[name]

    def finding(self, code: str) -> Finding:
        """Return a finding by its code."""
        if code not in self.findings:
            raise SettingsError(f"no finding {code!r}", f"Choose from {', '.join(self.findings)}.")
        return self.findings[code]

    def with_rules(
        self, *, thresholds: Mapping[str, float] | None = None, calls: Mapping[str, int] | None = None
    ) -> CervicalCutoffs:
        """Return the cut-offs with calibrated thresholds and counts of some classes."""
        classes = dict(self.classes)
        for code, threshold in (thresholds or {}).items():
            found = self.tbs_class(code)
            classes[found.code] = replace(classes[found.code], threshold=_probability(threshold))
        for code, count in (calls or {}).items():
            found = self.tbs_class(code)
            if typed(count, int) < 1:
                raise SettingsError(f"{code} from {count} calls on", "Use 1 call or more.")
            classes[found.code] = replace(classes[found.code], calls=count)
        return replace(self, classes=MappingProxyType(classes))


@cache
def cervical_cutoffs() -> CervicalCutoffs:
    """Return the cut-offs that come with the package."""
    return read_cervical_cutoffs(packaged_table(_FILE))


def read_cervical_cutoffs(table: Mapping[str, Any]) -> CervicalCutoffs:
    """Check a parsed file of cut-offs and return it.

    Raises
    ------
    SettingsError
        If a key is missing, unknown or of the wrong type, or numbers are out of order.
    """
    with checked(_FILE):
        classes = [_read_class(record) for record in table["class"]]
        findings = [_read_finding(record) for record in table["finding"]]
        preparations = [_read_preparation(name, record) for name, record in table["preparation"].items()]
        endometrial = table["endometrial"]
        cutoffs = CervicalCutoffs(
            as_of=typed(table["as_of"], date),
            source=typed(table["source"], str),
            classes=MappingProxyType({each.code: each for each in classes}),
            findings=MappingProxyType({each.code: each for each in findings}),
            preparations=MappingProxyType({each.id: each for each in preparations}),
            adequacy=_read_adequacy(table["adequacy"]),
            nuclei=_read_nuclei(table["nuclei"]),
            gallery=GalleryLimits(**_positives(table["gallery"])),
            triage=_read_triage(table["triage"]),
            merge_um=_positive(table["calls"]["merge_um"]),
            finding_threshold=_probability(Fraction(typed(table["calls"]["finding_threshold"], str))),
            endometrial_code=typed(endometrial["code"], str),
            endometrial_term=typed(endometrial["term"], str),
            endometrial_from_age=_positive(endometrial["from_age"]),
            no_lesion=typed(endometrial["no_lesion"], str),
        )
        names = [name for each in classes for name in (each.code, *each.aliases)]
        if len(set(names)) != len(names) or len(findings) != len(cutoffs.findings):
            raise ValueError("two entries of one code")
        if NILM not in cutoffs.classes or cutoffs.classes[NILM].rank != 0:
            raise ValueError("NILM is missing, or not of rank 0")
    return cutoffs


def _read_class(record: Mapping[str, Any]) -> TbsClass:
    """Check one interpretation."""
    entry = dict(record)
    entry["aliases"] = tuple(entry.get("aliases", ()))
    if "threshold" in entry:
        entry["threshold"] = _probability(Fraction(typed(entry["threshold"], str)))
    found = TbsClass(**entry)
    if found.line not in (*LINES, "none") or found.tag not in TAGS:
        raise ValueError(f"{found.code} has the unknown line {found.line!r} or tag {found.tag!r}")
    _positive(found.calls)
    _positive(found.group_cells)
    if typed(found.rank, int) < 0 or (found.line == "none") != (found.rank == 0):
        raise ValueError(f"rank {found.rank} of {found.code} does not fit its line")
    return found


def _read_finding(record: Mapping[str, Any]) -> Finding:
    """Check one organism or change."""
    found = Finding(**record)
    _positive(found.calls)
    if found.tag not in TAGS:
        raise ValueError(f"{found.code} has the unknown tag {found.tag!r}")
    return found


def _read_preparation(name: str, record: Mapping[str, Any]) -> Preparation:
    """Check one preparation; its area comes from the diameter of the disc."""
    diameter = Fraction(record["diameter_mm"]) if "diameter_mm" in record else None
    preparation = Preparation(
        id=name,
        title=typed(record["title"], str),
        minimum_cells=_positive(record["minimum_cells"]),
        borderline_cells=_positive(record["borderline_cells"]),
        tag=typed(record["tag"], str),
        area_mm2=None if diameter is None else pi * float(diameter / 2) ** 2,
    )
    if preparation.minimum_cells >= preparation.borderline_cells:
        raise ValueError(f"cells of {name} out of order")
    return preparation


def _read_adequacy(record: Mapping[str, Any]) -> AdequacyLimits:
    """Check what a satisfactory specimen needs."""
    entry: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in record.items()
    }
    typed(entry.pop("tag"), str)
    limits = AdequacyLimits(**entry)
    _positive(limits.lower_minimum_cells)
    _positive(limits.fields)
    _positive(limits.transformation_zone_cells)
    if not 0 < typed(limits.partly_obscured_percent, int) < typed(limits.obscured_percent, int) < 100:
        raise ValueError("obscured shares out of order")
    if set(limits.squamous_kinds) & set(limits.transformation_zone_kinds):
        raise ValueError("a kind of cell is both squamous and of the transformation zone")
    return limits


def _read_nuclei(record: Mapping[str, Any]) -> NucleusLimits:
    """Check sizes: each text an exact number, in order."""
    typed(record["tag"], str)
    numbers = {key: value for key, value in record.items() if key != "tag"}
    entry: dict[str, Any] = {
        key: Fraction(value) if isinstance(value, str) else value for key, value in numbers.items()
    }
    limits = NucleusLimits(**entry)
    if not limits.normal_below < limits.asc_us_from < limits.lsil_above:
        raise ValueError("sizes of nuclei out of order")
    if not 0 < limits.nc_asc_h_from < limits.nc_hsil_above < 1:
        raise ValueError("N:C ratios out of order")
    for count in (limits.intermediate_um2, limits.metaplastic_um2, limits.reference_cells):
        _positive(count)
    return limits


def _read_triage(record: Mapping[str, Any]) -> TriageLimits:
    """Check what clearing slides needs."""
    limits = TriageLimits(
        sensitivity=Fraction(_positive(record["sensitivity_percent"]), 100),
        lower_bound=Fraction(_positive(record["lower_bound_percent"]), 100),
        confidence=Fraction(typed(record["confidence"], str)),
    )
    if not (limits.sensitivity <= 1 and limits.lower_bound < 1 and Fraction(1, 2) < limits.confidence < 1):
        raise ValueError("limits of the triage out of range")
    return limits


def _positives(record: Mapping[str, Any]) -> dict[str, int]:
    """Return the whole numbers of a table without its tag."""
    return {key: _positive(value) for key, value in record.items() if key != "tag"}


def _positive(value: Any) -> int:
    """Return a whole number of at least 1."""
    if typed(value, int) < 1:
        raise ValueError(f"{value} is not positive")
    return int(value)


def _probability(value: float | Fraction) -> Fraction:
    """Return a probability above 0; at 0 every object would be a call."""
    if not 0 < value <= 1:
        raise SettingsError(f"a threshold of {value}", "Use a probability above 0 and up to 1.")
    return Fraction(value)
