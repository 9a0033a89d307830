"""Dated PD-L1 cut-offs by assay and indication, read from the data file beside this module and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any

from ..errors import SettingsError
from .cutoffs import Band, checked, packaged_table, read_bands, typed

_FILE = "pdl1_cutoffs.toml"

MEASURES = ("TPS", "CPS", "IC", "TAP", "ICP", "IC+")
"""Everything that a cut-off may ask for."""
IMMUNE_MEASURES = frozenset(MEASURES) - {"TPS"}
"""Those that rest on immune cells."""
TAGS = ("read", "guideline", "memory", "project")


@dataclass(frozen=True, slots=True)
class Assay:
    """An antibody clone with its platform."""

    id: str
    title: str
    tumour_score: str
    """What its labelling calls the percentage of tumour cells: TPS or TC."""
    headline: str
    """The measure that is reported first where no indication is named."""
    minimum_tumour_cells: int
    needs_stroma: bool
    """Whether stroma has to be on the slide too."""
    tag: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison, such as IC+ >= 25."""

    measure: str
    sign: str
    """">=", ">" or "="."""
    bound: int

    def holds(self, values: Mapping[str, Fraction]) -> bool | None:
        """Whether it holds; None where the measure is not known."""
        value = values.get(self.measure)
        if value is None:
            return None
        if self.sign == "=":
            return value == self.bound
        return value > self.bound or (self.sign == ">=" and value == self.bound)


@dataclass(frozen=True, slots=True)
class Level:
    """A category above negative."""

    name: str
    alternatives: tuple[tuple[Condition, ...], ...]
    """One of them must hold; of that one, every condition."""
    tag: str

    def holds(self, values: Mapping[str, Fraction]) -> bool | None:
        """Whether the level is reached; None where a measure that decides is not known."""
        return _any(tuple(_all(tuple(each.holds(values) for each in one)) for one in self.alternatives))


@dataclass(frozen=True, slots=True)
class Pdl1Cutoff:
    """What one assay's result means in one tumour."""

    assay: str
    indication: str
    title: str
    headline: str
    """The measure that is reported first."""
    negative: str
    """Name of the category where no level holds."""
    levels: tuple[Level, ...]
    """From low to high."""
    source: str
    tag: str
    """How well the row is known; a level may be known less well."""
    withdrawn: str = ""
    """What has been taken back since, if anything."""

    @property
    def measures(self) -> frozenset[str]:
        """Everything that the category may depend on."""
        conditions = (each for level in self.levels for one in level.alternatives for each in one)
        return frozenset(each.measure for each in conditions)

    def categorise(self, values: Mapping[str, Fraction]) -> str | None:
        """Return the highest level that holds; None where a measure that decides is missing."""
        for level in reversed(self.levels):
            holds = level.holds(values)
            if holds is None:
                return None
            if holds:
                return level.name
        return self.negative


@dataclass(frozen=True, slots=True)
class Pdl1Cutoffs:
    """Everything in the data file."""

    as_of: date
    adjacency_um: int
    """How far from the nearest tumour cell an immune cell counts."""
    assays: Mapping[str, Assay]
    bins: Mapping[str, tuple[Band, ...]]
    rows: Mapping[tuple[str, str], Pdl1Cutoff]

    def assay(self, name: str) -> Assay:
        """Return an assay by its clone."""
        if name not in self.assays:
            raise SettingsError(
                f"no PD-L1 assay named {name!r}", f"Choose from {', '.join(sorted(self.assays))}."
            )
        return self.assays[name]

    def indications(self, assay: str) -> tuple[str, ...]:
        """Return the indications that an assay has cut-offs for."""
        return tuple(sorted(indication for clone, indication in self.rows if clone == self.assay(assay).id))

    def row(self, assay: str, indication: str) -> Pdl1Cutoff:
        """Return the cut-offs of an assay in an indication."""
        known = self.indications(assay)
        if indication not in known:
            raise SettingsError(
                f"no PD-L1 cut-offs of {assay} for {indication!r}",
                f"Choose from {', '.join(known)}, or none.",
            )
        return self.rows[assay, indication]


@cache
def pdl1_cutoffs() -> Pdl1Cutoffs:
    """Return the cut-offs that come with the package."""
    return read_pdl1_cutoffs(packaged_table(_FILE))


def read_pdl1_cutoffs(table: Mapping[str, Any]) -> Pdl1Cutoffs:
    """Check a parsed file of PD-L1 cut-offs and return it.

    Raises
    ------
    SettingsError
        If a key is missing, unknown or of the wrong type, or a condition cannot be read.
    """
    with checked(_FILE):
        assays = [Assay(**record) for record in table["assay"]]
        rows = [_row(dict(record)) for record in table["cutoff"]]
        bins = {name: read_bands(bands, of=name) for name, bands in table["bins"].items() if name != "tag"}
        found = Pdl1Cutoffs(
            as_of=typed(table["as_of"], date),
            adjacency_um=typed(table["adjacency"]["reach_um"], int),
            assays=MappingProxyType({assay.id: assay for assay in assays}),
            bins=MappingProxyType(bins),
            rows=MappingProxyType({(row.assay, row.indication): row for row in rows}),
        )
        if len(found.assays) != len(assays) or len(found.rows) != len(rows):
            raise ValueError("an assay or a cut-off twice")
        _check(found)
    return found


def _row(record: dict[str, Any]) -> Pdl1Cutoff:
    """Read one row of the table."""
    levels = tuple(_level(**level) for level in record.pop("level"))
    if not levels:
        raise ValueError("a cut-off without levels")
    return Pdl1Cutoff(**record, levels=levels)


def _level(name: str, when: list[str], tag: str) -> Level:
    """Read one level with its conditions."""
    alternatives = tuple(tuple(_condition(each) for each in typed(one, str).split(" and ")) for one in when)
    if not alternatives or tag not in TAGS:
        raise ValueError(f"level {name!r} without conditions, or with the tag {tag!r}")
    return Level(name, alternatives, tag)


def _condition(text: str) -> Condition:
    """Read one comparison."""
    measure, sign, bound = text.split()
    if measure not in MEASURES or sign not in (">=", ">", "="):
        raise ValueError(f"condition {text!r} cannot be read")
    return Condition(measure, sign, int(bound))


def _check(found: Pdl1Cutoffs) -> None:
    """Refuse tables that the arithmetic cannot use."""
    if found.adjacency_um <= 0 or {"TPS", "CPS", "IC", "TC"} - set(found.bins):
        raise ValueError("no reach of adjacency, or bins missing")
    for assay in found.assays.values():
        if typed(assay.minimum_tumour_cells, int) < 1 or assay.tumour_score not in ("TPS", "TC"):
            raise ValueError(
                f"assay {assay.id} without a least count, or with the score {assay.tumour_score!r}"
            )
    for row in found.rows.values():
        if row.assay not in found.assays or row.tag not in TAGS or not typed(row.source, str):
            raise ValueError(f"cut-off {row.assay} {row.indication} has no assay, tag or source")
        if row.headline not in MEASURES:
            raise ValueError(f"cut-off {row.assay} {row.indication} reports {row.headline!r} first")


def _all(found: tuple[bool | None, ...]) -> bool | None:
    """All of them, where None is unknown."""
    return False if False in found else None if None in found else True


def _any(found: tuple[bool | None, ...]) -> bool | None:
    """Any of them, where None is unknown."""
    return True if True in found else None if None in found else False
