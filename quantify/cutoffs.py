"""Dated cut-offs, read from the data files beside this module and checked; the Ki-67 ones are read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from itertools import pairwise
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
    upto: int | Fraction | None = None
    """Upper end, in percent unless the scheme says otherwise; None for the last band."""
    inclusive: bool = False
    """Whether an index of exactly ``upto`` still belongs."""

    def holds(self, value: Fraction) -> bool:
        """Whether an exact value lies at or under the upper end."""
        return self.upto is None or value < self.upto or (self.inclusive and value == self.upto)


def band_of(bands: Sequence[Band], value: Fraction) -> str:
    """Return the name of the first band, from low to high, that holds an exact value."""
    return next(band.name for band in bands if band.holds(value))


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
        return band_of(self.bands, percent)


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
                f"no cut-offs named {name!r}", f"Choose from {', '.join(sorted(self.schemes))}."
            )
        return self.schemes[name]


@cache
def ki67_cutoffs() -> Cutoffs:
    """Return the cut-offs that come with the package."""
    return read_cutoffs(packaged_table(_FILE))


def packaged_table(file: str) -> dict[str, Any]:
    """Return a data file of this folder as the TOML reader gives it."""
    import tomllib
    from importlib.resources import files

    return tomllib.loads(files(__package__).joinpath(file).read_text(encoding="utf-8"))


def read_cutoffs(table: Mapping[str, Any], *, file: str = _FILE) -> Cutoffs:
    """Check a parsed file of cut-offs and return its counts and schemes.

    Parameters
    ----------
    table : mapping
        As the TOML reader returns it. Keys other than ``as_of``, ``count`` and ``scheme`` are not looked at.
    file : str
        Its name, for messages.

    Returns
    -------
    Cutoffs

    Raises
    ------
    SettingsError
        If a key is missing, unknown or of the wrong type, or bands are out of order.
    """
    with checked(file):
        count = table["count"]
        schemes = [_read_scheme(dict(scheme)) for scheme in table["scheme"]]
        cutoffs = Cutoffs(
            as_of=typed(table["as_of"], date),
            insufficient_below=typed(count["insufficient_below"], int),
            review_below=typed(count["review_below"], int),
            schemes=MappingProxyType({scheme.id: scheme for scheme in schemes}),
        )
        if len(schemes) != len(cutoffs.schemes):
            raise ValueError("two schemes of one id")
        if not 0 < cutoffs.insufficient_below <= cutoffs.review_below:
            raise ValueError("counts out of order")
    return cutoffs


@contextmanager
def checked(file: str) -> Iterator[None]:
    """Turn whatever a wrong entry raises into one error that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        what = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise SettingsError(
            f"{file}: {what}", f"Compare with the {file} that comes with the package."
        ) from error


def read_bands(records: Sequence[Mapping[str, Any]], *, of: str) -> tuple[Band, ...]:
    """Check bands: rising ends, the last one open."""
    bands = tuple(Band(**{**record, **_end(record)}) for record in records)
    ends = [band.upto for band in bands[:-1]]
    rising = all(a is not None and b is not None and a < b for a, b in pairwise(ends))
    if not bands or bands[-1].upto is not None or None in ends or not rising:
        raise ValueError(f"bands of {of} do not rise to an open last one")
    return bands


def typed(value: Any, kind: type[T]) -> T:
    """Return the value if it is of the kind; True is no whole number."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def exact_number(value: Any) -> int | Fraction:
    """Return a whole number as it is and a text such as "100/3" as a fraction; floats are refused."""
    return Fraction(value) if isinstance(value, str) else typed(value, int)


def _end(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the exact upper end of a band, if it has one."""
    return {"upto": exact_number(record["upto"])} if "upto" in record else {}


def _read_scheme(record: dict[str, Any]) -> Scheme:
    """Check one scheme: ordered bands, a known method."""
    bands = read_bands(record.pop("band"), of=record["id"])
    scheme = Scheme(**record, bands=bands)
    typed(scheme.minimum_nuclei, int)
    if scheme.method not in ("global", "hot spot"):
        raise ValueError(f"method {scheme.method!r} of {scheme.id} is neither global nor hot spot")
    return scheme
