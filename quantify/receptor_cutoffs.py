"""Dated cut-offs of the hormone receptors, read once from the data file beside this module and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from ..errors import SettingsError
from .cutoffs import Band, Cutoffs, checked, packaged_table, read_bands, read_cutoffs, typed

_FILE = "receptor_cutoffs.toml"


@dataclass(frozen=True, slots=True)
class ReceptorCutoffs:
    """Everything in the data file."""

    cutoffs: Cutoffs
    """Counts, and the categories of ER and PR."""
    control_upto_percent: int
    """At or under it the controls have to be reported."""
    advisory_category: str
    """The category that goes with an advisory comment."""
    intensity: tuple[Band, ...]
    """Mean strength of stained nuclei, 1-3, in words, from low to high."""
    allred_positive_from: int
    """Least Allred total that is positive."""
    allred: Mapping[str, tuple[Band, ...]]
    """Proportion scores 0-5 by convention."""

    def convention(self, name: str) -> tuple[Band, ...]:
        """Return the proportion scores of a convention."""
        if name not in self.allred:
            raise SettingsError(
                f"no Allred convention named {name!r}", f"Choose from {', '.join(sorted(self.allred))}."
            )
        return self.allred[name]


@cache
def receptor_cutoffs() -> ReceptorCutoffs:
    """Return the cut-offs that come with the package."""
    return read_receptor_cutoffs(packaged_table(_FILE))


def read_receptor_cutoffs(table: Mapping[str, Any]) -> ReceptorCutoffs:
    """Check a parsed file of ER and PR cut-offs and return it.

    Raises
    ------
    SettingsError
        If a key is missing or of the wrong type, or bands are out of order.
    """
    cutoffs = read_cutoffs(table, file=_FILE)
    with checked(_FILE):
        control, intensity, allred = table["control"], table["intensity"], table["allred"]
        found = ReceptorCutoffs(
            cutoffs=cutoffs,
            control_upto_percent=typed(control["check_upto_percent"], int),
            advisory_category=typed(control["advisory_category"], str),
            intensity=read_bands(intensity["band"], of="intensity"),
            allred_positive_from=typed(allred["positive_from"], int),
            allred=MappingProxyType(
                {each["id"]: read_bands(each["band"], of=each["id"]) for each in allred["convention"]}
            ),
        )
        _check(found)
    return found


def _check(found: ReceptorCutoffs) -> None:
    """Refuse tables that the arithmetic cannot use."""
    if {f"{marker}-asco-cap-2020" for marker in ("er", "pr")} - set(found.cutoffs.schemes):
        raise ValueError("no categories for ER, or none for PR")
    names = {band.name for scheme in found.cutoffs.schemes.values() for band in scheme.bands}
    if found.advisory_category not in names:
        raise ValueError(f"no category {found.advisory_category!r} to advise on")
    if len(found.intensity) != 3:
        raise ValueError("intensity needs three words")
    for name, bands in found.allred.items():
        if [band.name for band in bands] != list("012345"):
            raise ValueError(f"proportion scores of {name} are not 0 to 5")
