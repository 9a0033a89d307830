"""Dated cut-offs of the immune measures, read once from the data file beside this module and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any

from ..errors import SettingsError
from .cutoffs import Band
from .score import Status

_FILE = "immune_cutoffs.toml"

TILS = "stromal TILs"
DENSITY_SCORE = "CD3/CD8 density score"
EVIDENCE = ("guideline", "unverified", "practice", "project")


@dataclass(frozen=True, slots=True)
class ImmuneScheme:
    """The bins of one source, for one measure."""

    id: str
    title: str
    measure: str
    """``TILS`` (percent) or ``DENSITY_SCORE`` (mean percentile); bins of one say nothing about the other."""
    evidence: str
    """How well the bins are founded: one of ``EVIDENCE``."""
    source: str
    note: str
    bands: tuple[Band, ...]
    """From low to high."""

    def categorise(self, value: Fraction) -> str:
        """Return the category of an exact value; rounded values have no business here."""
        return next(band.name for band in self.bands if band.holds(value))

    @property
    def rule(self) -> str:
        """What a score's rule says of the bins: id, evidence and source."""
        return f"cut-offs {self.id} [{self.evidence}] ({self.source})"


@dataclass(frozen=True, slots=True)
class ImmuneCutoffs:
    """Everything in the data file."""

    as_of: date
    """When the file was last gone through."""
    insufficient_below_mm2: float
    review_below_mm2: float
    edge_corrected_cells: int
    """Fewest cells at least r from the edge for an edge-corrected G(r)."""
    insufficient_below_cells: int
    """Fewest cells whose distances are worth a summary."""
    insufficient_below_patients: int
    """Fewest patients of a reference cohort for a group."""
    review_below_patients: int
    schemes: Mapping[str, ImmuneScheme]

    def status_of_area(self, area_um2: int) -> Status:
        """Return what an area allows; it is compared in whole um²."""
        if area_um2 == 0:
            return Status.NOT_ASSESSABLE
        if area_um2 < self.insufficient_below_mm2 * 1_000_000:
            return Status.INSUFFICIENT
        return Status.REVIEW if area_um2 < self.review_below_mm2 * 1_000_000 else Status.OK

    def status_of_cells(self, cells: int) -> Status:
        """Return what a number of cells with distances allows."""
        if cells == 0:
            return Status.NOT_ASSESSABLE
        return Status.INSUFFICIENT if cells < self.insufficient_below_cells else Status.OK

    def status_of_cohort(self, patients: int) -> Status:
        """Return what a reference cohort allows."""
        if patients < self.insufficient_below_patients:
            return Status.INSUFFICIENT
        return Status.REVIEW if patients < self.review_below_patients else Status.OK

    def scheme(self, name: str, *, measure: str) -> ImmuneScheme:
        """Return a scheme by its id, if it is made for the measure."""
        fitting = sorted(scheme.id for scheme in self.schemes.values() if scheme.measure == measure)
        if name not in fitting:
            raise SettingsError(
                f"no cut-offs named {name!r} for {measure}", f"Choose from {', '.join(fitting)}."
            )
        return self.schemes[name]


@cache
def immune_cutoffs() -> ImmuneCutoffs:
    """Return the cut-offs that come with the package."""
    import tomllib
    from importlib.resources import files

    return read_immune_cutoffs(tomllib.loads(files(__package__).joinpath(_FILE).read_text(encoding="utf-8")))


def read_immune_cutoffs(table: Mapping[str, Any]) -> ImmuneCutoffs:
    """Check a parsed file of cut-offs and return it.

    Parameters
    ----------
    table : mapping
        As the TOML reader returns it.

    Returns
    -------
    ImmuneCutoffs

    Raises
    ------
    SettingsError
        If a key is missing, unknown or of the wrong type, or numbers are out of order.
    """
    try:
        area, neighbours, cohort = table["area"], table["neighbours"], table["cohort"]
        schemes = [_read_scheme(dict(scheme)) for scheme in table["scheme"]]
        cutoffs = ImmuneCutoffs(
            as_of=table["as_of"],
            insufficient_below_mm2=float(area["insufficient_below_mm2"]),
            review_below_mm2=float(area["review_below_mm2"]),
            edge_corrected_cells=_whole(neighbours["edge_corrected_cells"]),
            insufficient_below_cells=_whole(neighbours["insufficient_below_cells"]),
            insufficient_below_patients=_whole(cohort["insufficient_below"]),
            review_below_patients=_whole(cohort["review_below"]),
            schemes=MappingProxyType({scheme.id: scheme for scheme in schemes}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _wrong(str(error)) from error
    rising = (
        0 < cutoffs.insufficient_below_mm2 <= cutoffs.review_below_mm2
        and 0 < cutoffs.insufficient_below_patients <= cutoffs.review_below_patients
        and min(cutoffs.edge_corrected_cells, cutoffs.insufficient_below_cells) > 0
    )
    if not isinstance(cutoffs.as_of, date) or len(schemes) != len(cutoffs.schemes) or not rising:
        raise _wrong("no date, two schemes of one id, or floors out of order")
    return cutoffs


def _read_scheme(record: dict[str, Any]) -> ImmuneScheme:
    """Check one scheme: ordered bands with whole ends, the last one open."""
    bands = tuple(Band(**band) for band in record.pop("band"))
    scheme = ImmuneScheme(**record, bands=bands)
    ends = [_whole(band.upto) for band in bands[:-1]]
    if not bands or bands[-1].upto is not None or ends != sorted(set(ends)):
        raise _wrong(f"bands of {scheme.id} do not rise to an open last one")
    if scheme.measure not in (TILS, DENSITY_SCORE) or scheme.evidence not in EVIDENCE:
        raise _wrong(
            f"{scheme.id} has the unknown measure {scheme.measure!r} or evidence {scheme.evidence!r}"
        )
    return scheme


def _whole(value: Any) -> int:
    """Return the value if it is a whole number; True is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _wrong(what: str) -> SettingsError:
    """Say what is wrong with the file."""
    return SettingsError(f"immune cut-offs: {what}", f"Compare with the {_FILE} that comes with the package.")
