"""Dated Ki-67 cut-offs, read once from the data file beside this module and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

from ..errors import SettingsError
from .score import Status

_FILE = "ki67_cutoffs.toml"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Band:
    """One category of a scheme."""

    name: str
    upto: int | None = None
    """Upper end in percent; None for the last band."""
    inclusive: bool = False
    """Whether an index of exactly ``upto`` still belongs."""

    def holds(self, percent: Fraction) -> bool:
        """Whether an exact percentage lies at or under the upper end."""
        return self.upto is None or percent < self.upto or (self.inclusive and percent == self.upto)


@dataclass(frozen=True, slots=True)
class Scheme:
    """The cut-offs of one guideline, for one method of counting."""

    id: str
    title: str
    method: str
    """"global" or "hot spot"; cut-offs of one method say nothing about the other."""
    minimum_nuclei: int
    """Fewest tumour nuclei for a category."""
    evidence: str
    source: str
    note: str
    bands: tuple[Band, ...]
    """From low to high."""

    def categorise(self, percent: Fraction) -> str:
        """Return the category of an exact index; rounded values have no business here."""
        return next(band.name for band in self.bands if band.holds(percent))


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Everything in the data file."""

    as_of: date
    """When the file was last gone through."""
    insufficient_below: int
    review_below: int
    schemes: Mapping[str, Scheme]

    def status_of(self, nuclei: int) -> Status:
        """Return what a count of tumour nuclei allows."""
        if nuclei == 0:
            return Status.NOT_ASSESSABLE
        if nuclei < self.insufficient_below:
            return Status.INSUFFICIENT
        return Status.REVIEW if nuclei < self.review_below else Status.OK

    def scheme(self, name: str) -> Scheme:
        """Return a scheme by its id."""
        if name not in self.schemes:
            raise SettingsError(
                f"no Ki-67 cut-offs named {name!r}", f"Choose from {', '.join(sorted(self.schemes))}."
            )
        return self.schemes[name]


@cache
def ki67_cutoffs() -> Cutoffs:
    """Return the cut-offs that come with the package."""
    import tomllib
    from importlib.resources import files

    return read_cutoffs(tomllib.loads(files(__package__).joinpath(_FILE).read_text(encoding="utf-8")))


def read_cutoffs(table: Mapping[str, Any]) -> Cutoffs:
    """Check a parsed file of cut-offs and return it.

    Parameters
    ----------
    table : mapping
        As the TOML reader returns it.

    Returns
    -------
    Cutoffs

    Raises
    ------
    SettingsError
        If a key is missing, unknown or of the wrong type, or bands are out of order.
    """
    try:
        count = table["count"]
        schemes = [_read_scheme(dict(scheme)) for scheme in table["scheme"]]
        cutoffs = Cutoffs(
            as_of=_typed(table["as_of"], date),
            insufficient_below=_typed(count["insufficient_below"], int),
            review_below=_typed(count["review_below"], int),
            schemes=MappingProxyType({scheme.id: scheme for scheme in schemes}),
        )
    except (KeyError, TypeError) as error:
        raise _wrong(str(error)) from error
    if len(schemes) != len(cutoffs.schemes) or not 0 < cutoffs.insufficient_below <= cutoffs.review_below:
        raise _wrong("two schemes of one id, or counts out of order")
    return cutoffs


def _read_scheme(record: dict[str, Any]) -> Scheme:
    """Check one scheme: ordered bands with whole percentages, the last one open."""
    bands = tuple(Band(**band) for band in record.pop("band"))
    scheme = Scheme(**record, bands=bands)
    _typed(scheme.minimum_nuclei, int)
    ends = [_typed(band.upto, int) for band in bands[:-1]]
    if not bands or bands[-1].upto is not None or ends != sorted(set(ends)):
        raise _wrong(f"bands of {scheme.id} do not rise to an open last one")
    if scheme.method not in ("global", "hot spot"):
        raise _wrong(f"method {scheme.method!r} of {scheme.id} is neither global nor hot spot")
    return scheme


def _typed(value: Any, kind: type[T]) -> T:
    """Return the value if it is of the kind; True is no whole number."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def _wrong(what: str) -> SettingsError:
    """Say what is wrong with the file."""
    return SettingsError(f"Ki-67 cut-offs: {what}", f"Compare with the {_FILE} that comes with the package.")
