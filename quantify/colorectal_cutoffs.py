"""Dated colorectal rules, read once from the data file beside this module and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from math import pi
from typing import Any

from .cutoffs import Band, checked, packaged_table, read_bands, typed
from .flags import Flag
from .score import Status

_FILE = "colorectal_cutoffs.toml"

SIGNET_RING = "signet_ring"
"""The class that cells decide, not glands."""


@dataclass(frozen=True, slots=True)
class LesionClass:
    """One class of the result: its names, and what it takes to call it."""

    id: str
    short: str
    """As reports show it."""
    name: str
    """By the Vienna classification, as East Asian reports have it."""
    western: str
    """As the WHO and Western reports have it."""
    rank: int
    """0 no neoplasia, 1 low grade, 2 high grade, 3 carcinoma."""
    vienna: str
    """Category of the revised Vienna classification."""
    minimum_glands: int | None = None
    minimum_um2: int | None = None
    """Either minimum is enough; a class with neither needs no minimum."""
    minimum_cells: int | None = None
    """Signet-ring cells within one disc."""
    flag: Flag | None = None
    """Raised where something of the class was found, but less than its minimum."""

    @property
    def has_minimum(self) -> bool:
        """Whether finding anything is not enough."""
        return self.flag is not None


@dataclass(frozen=True, slots=True)
class ViennaCategory:
    """A category of the revised Vienna classification."""

    category: str
    meaning: str
    original: str | None = None
    """Its number in the first edition, where that differs."""


@dataclass(frozen=True, slots=True)
class AreaLimits:
    """How much area a category needs, whole um²."""

    insufficient_below_um2: int
    review_below_um2: int

    def status_of(self, area_um2: int) -> Status:
        """Return what an area allows."""
        if area_um2 == 0:
            return Status.NOT_ASSESSABLE
        if area_um2 < self.insufficient_below_um2:
            return Status.INSUFFICIENT
        return Status.REVIEW if area_um2 < self.review_below_um2 else Status.OK


@dataclass(frozen=True, slots=True)
class GradeCutoffs:
    """Of the WHO grade by gland formation."""

    low_from_percent: int
    window_um2: int
    window_floor_um2: int
    """Tumour epithelium that a window must hold."""
    area: AreaLimits
    """Of tumour epithelium."""
    source: str


@dataclass(frozen=True, slots=True)
class SubtypeCutoffs:
    """Shares that make a subtype, percent."""

    signet_above: int
    mucinous_above: int
    mixed_from: int
    micropapillary_from: int
    adenoma_like_from: int
    source: str


@dataclass(frozen=True, slots=True)
class BuddingCutoffs:
    """Of tumour budding."""

    bud_cells_max: int
    field_radius_um: int
    scan_fields: int
    grades: tuple[Band, ...]
    insufficient_below_um2: int
    source: str

    @property
    def field_mm2(self) -> float:
        """Area of the field that counts are given for: 0.785 mm²."""
        return pi * (self.field_radius_um / 1000) ** 2


@dataclass(frozen=True, slots=True)
class StromaCutoffs:
    """Of the tumour-stroma ratio."""

    high_above_percent: int
    step_percent: int
    window_radius_um: int
    area: AreaLimits
    """Of stroma and tumour epithelium together."""
    source: str

    @property
    def window_mm2(self) -> float:
        """Area of the window that is scored: 3.14 mm²."""
        return pi * (self.window_radius_um / 1000) ** 2


@dataclass(frozen=True, slots=True)
class ColorectalCutoffs:
    """Everything in the data file."""

    as_of: date
    classes: tuple[LesionClass, ...]
    """From least to most severe."""
    vienna: tuple[ViennaCategory, ...]
    names_source: str
    minimums_source: str
    signet_disc_um2: int
    signet_chance: float
    """Share of slides without signet-ring cells on which false ones may make a carcinoma."""
    tissue: AreaLimits
    confidence_review_below: float
    """Mean probability, 0-1."""
    mistakes_factor: int
    """How many times the area that a network's mistakes would make a class must cover."""
    uncertain_review_from: float
    """Share of the area of all glands from which uncertain ones ask for a person, 0-1."""
    grade: GradeCutoffs
    subtype: SubtypeCutoffs
    budding: BuddingCutoffs
    stroma: StromaCutoffs

    @property
    def gland_classes(self) -> tuple[LesionClass, ...]:
        """The classes that glands have: all but signet-ring cell carcinoma."""
        return tuple(entry for entry in self.classes if entry.id != SIGNET_RING)

    @property
    def signet_disc_mm2(self) -> float:
        """Area of the disc in which signet-ring cells are counted, mm²."""
        return self.signet_disc_um2 / 1e6

    def lesion_class(self, name: str) -> LesionClass:
        """Return a class by its id."""
        return next(entry for entry in self.classes if entry.id == name)


@cache
def colorectal_cutoffs() -> ColorectalCutoffs:
    """Return the rules that come with the package."""
    return read_colorectal_cutoffs(packaged_table(_FILE))


def read_colorectal_cutoffs(table: Mapping[str, Any]) -> ColorectalCutoffs:
    """Check a parsed file of colorectal rules and return it.

    Raises
    ------
    SettingsError
        If a key is missing or of the wrong type, or numbers are out of order.
    """
    with checked(_FILE):
        return ColorectalCutoffs(
            as_of=typed(table["as_of"], date),
            classes=_classes(table["class"]),
            vienna=tuple(ViennaCategory(**record) for record in table["vienna"]),
            names_source=typed(table["names"]["source"], str),
            minimums_source=typed(table["minimums"]["source"], str),
            signet_disc_um2=_positive(table["signet"]["disc_um2"]),
            signet_chance=_share(table["signet"]["chance"]),
            tissue=_area(table["tissue"]),
            confidence_review_below=_percent(table["confidence"]["review_below_percent"]) / 100,
            mistakes_factor=_positive(table["mistakes"]["factor"]),
            uncertain_review_from=_percent(table["uncertain"]["review_from_percent"]) / 100,
            grade=_grade(table["grade"]),
            subtype=_subtype(table["subtype"]),
            budding=_budding(table["budding"]),
            stroma=_stroma(table["stroma"]),
        )


def _classes(records: list[Mapping[str, Any]]) -> tuple[LesionClass, ...]:
    """Check the classes: ranks that never fall, and a flag exactly where there is a minimum."""
    classes = tuple(LesionClass(**{**record, **_class_flag(record)}) for record in records)
    if len({entry.id for entry in classes}) != len(classes):
        raise ValueError("two classes of one id")
    if any(low.rank > high.rank for low, high in pairwise(classes)):
        raise ValueError("classes are not ordered by rank")
    for entry in classes:
        _check_minimum(entry)
    if classes[-1].id != SIGNET_RING:
        raise ValueError(f"the most severe class is not {SIGNET_RING}")
    return classes


def _check_minimum(entry: LesionClass) -> None:
    """Check that a class has minimums, a flag and a rank above 0, or none of them."""
    minimums = [entry.minimum_glands, entry.minimum_um2, entry.minimum_cells]
    given = [_positive(value) for value in minimums if value is not None]
    if bool(given) != entry.has_minimum or entry.has_minimum != (typed(entry.rank, int) > 0):
        raise ValueError(f"class {entry.id} has a rank, a minimum or a flag without the others")
    if (entry.id == SIGNET_RING) != (entry.minimum_cells is not None):
        raise ValueError(f"class {entry.id}: only {SIGNET_RING} is decided by cells")


def _class_flag(record: Mapping[str, Any]) -> dict[str, Flag]:
    """Return the flag of a class, if it has one."""
    return {"flag": Flag(record["flag"])} if "flag" in record else {}


def _area(record: Mapping[str, Any]) -> AreaLimits:
    """Check the areas that a category needs."""
    limits = AreaLimits(_positive(record["insufficient_below_um2"]), _positive(record["review_below_um2"]))
    if limits.insufficient_below_um2 > limits.review_below_um2:
        raise ValueError("areas out of order")
    return limits


def _grade(record: Mapping[str, Any]) -> GradeCutoffs:
    """Check the cut-offs of the grade."""
    return GradeCutoffs(
        low_from_percent=_percent(record["low_from_percent"]),
        window_um2=_positive(record["window_um2"]),
        window_floor_um2=_positive(record["window_floor_um2"]),
        area=_area(record),
        source=typed(record["source"], str),
    )


def _subtype(record: Mapping[str, Any]) -> SubtypeCutoffs:
    """Check the shares of the subtypes."""
    return SubtypeCutoffs(
        signet_above=_percent(record["signet_above_percent"]),
        mucinous_above=_percent(record["mucinous_above_percent"]),
        mixed_from=_percent(record["mixed_from_percent"]),
        micropapillary_from=_percent(record["micropapillary_from_percent"]),
        adenoma_like_from=_percent(record["adenoma_like_from_percent"]),
        source=typed(record["source"], str),
    )


def _budding(record: Mapping[str, Any]) -> BuddingCutoffs:
    """Check the cut-offs of budding."""
    return BuddingCutoffs(
        bud_cells_max=_positive(record["bud_cells_max"]),
        field_radius_um=_positive(record["field_radius_um"]),
        scan_fields=_positive(record["scan_fields"]),
        grades=read_bands(record["grades"], of="budding"),
        insufficient_below_um2=_positive(record["insufficient_below_um2"]),
        source=typed(record["source"], str),
    )


def _stroma(record: Mapping[str, Any]) -> StromaCutoffs:
    """Check the cut-offs of the tumour-stroma ratio."""
    return StromaCutoffs(
        high_above_percent=_percent(record["high_above_percent"]),
        step_percent=_percent(record["step_percent"]),
        window_radius_um=_positive(record["window_radius_um"]),
        area=_area(record),
        source=typed(record["source"], str),
    )


def _positive(value: Any) -> int:
    """Return a whole number of at least 1."""
    if typed(value, int) < 1:
        raise ValueError(f"{value} is not positive")
    return int(value)


def _percent(value: Any) -> int:
    """Return a whole percentage that is neither nothing nor all."""
    if not 0 < typed(value, int) < 100:
        raise ValueError(f"{value} % bounds nothing")
    return int(value)


def _share(value: Any) -> float:
    """Return a share between nothing and all."""
    if not 0 < typed(value, float) < 1:
        raise ValueError(f"{value} is no share")
    return float(value)
