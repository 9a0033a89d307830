"""Dated HER2 cut-offs, read once from the data file beside this module and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from typing import Any

from .cutoffs import checked, packaged_table, typed
from .score import Status

_FILE = "her2_cutoffs.toml"


@dataclass(frozen=True, slots=True)
class EvidenceLimits:
    """How many tumour cells a category needs."""

    insufficient_below: int
    review_below: int

    def status_of(self, cells: int) -> Status:
        """Return what a count of tumour cells allows."""
        if cells == 0:
            return Status.NOT_ASSESSABLE
        if cells < self.insufficient_below:
            return Status.INSUFFICIENT
        return Status.REVIEW if cells < self.review_below else Status.OK


@dataclass(frozen=True, slots=True)
class ShareLimit:
    """A share of the tumour cells that has to be passed."""

    percent: int
    inclusive: bool
    """Whether exactly that share is enough."""
    source: str

    def is_passed(self, cells: int, total: int) -> bool:
        """Whether so many of all cells pass; decided on whole numbers."""
        excess = 100 * cells - self.percent * total
        return excess > 0 or (self.inclusive and excess == 0 and total > 0)


@dataclass(frozen=True, slots=True)
class IshLimits:
    """What divides the groups of in-situ hybridisation."""

    cells: int
    ratio: Fraction
    copies_equivocal: int
    copies_positive: int
    recount_groups: tuple[int, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Her2Cutoffs:
    """Everything in the data file."""

    as_of: date
    count: EvidenceLimits
    biopsy_count: EvidenceLimits
    breast: ShareLimit
    few_intense_percent: int
    """Least percentage of cells with complete intense stain that makes a 2+ on its own."""
    gastric: ShareLimit
    """Of resections."""
    cluster_cells: int
    """Least size of a cluster in a gastric biopsy."""
    cluster_reach_um: int
    cluster_source: str
    ultralow_from: int
    """Least stained cells of the label HER2-ultralow."""
    ish: IshLimits


@cache
def her2_cutoffs() -> Her2Cutoffs:
    """Return the cut-offs that come with the package."""
    return read_her2_cutoffs(packaged_table(_FILE))


def read_her2_cutoffs(table: Mapping[str, Any]) -> Her2Cutoffs:
    """Check a parsed file of HER2 cut-offs and return it.

    Raises
    ------
    SettingsError
        If a key is missing or of the wrong type, or numbers are out of order.
    """
    with checked(_FILE):
        biopsy = table["gastric_biopsy"]
        return Her2Cutoffs(
            as_of=typed(table["as_of"], date),
            count=_evidence(table["count"]),
            biopsy_count=_evidence(table["biopsy_count"]),
            breast=_share(table["breast"]),
            few_intense_percent=_positive(table["breast"]["few_intense_percent"]),
            gastric=_share(table["gastric_resection"]),
            cluster_cells=_positive(biopsy["cells"]),
            cluster_reach_um=_positive(biopsy["reach_um"]),
            cluster_source=typed(biopsy["source"], str),
            ultralow_from=_positive(table["labels"]["ultralow_from"]),
            ish=_ish(table["ish"]),
        )


def _positive(value: Any) -> int:
    """Return a whole number of at least 1."""
    if typed(value, int) < 1:
        raise ValueError(f"{value} is not positive")
    return int(value)


def _evidence(record: Mapping[str, Any]) -> EvidenceLimits:
    """Check the counts that a category needs."""
    limits = EvidenceLimits(_positive(record["insufficient_below"]), _positive(record["review_below"]))
    if limits.insufficient_below > limits.review_below:
        raise ValueError("counts out of order")
    return limits


def _share(record: Mapping[str, Any]) -> ShareLimit:
    """Check a share of cells."""
    limit = ShareLimit(
        _positive(record["percent"]), typed(record["inclusive"], bool), typed(record["source"], str)
    )
    if limit.percent >= 100:
        raise ValueError(f"{limit.percent} % can never be passed")
    return limit


def _ish(record: Mapping[str, Any]) -> IshLimits:
    """Check the limits of in-situ hybridisation."""
    limits = IshLimits(
        cells=_positive(record["cells"]),
        ratio=Fraction(_positive(record["ratio"])),
        copies_equivocal=_positive(record["copies_equivocal"]),
        copies_positive=_positive(record["copies_positive"]),
        recount_groups=tuple(_positive(group) for group in record["recount_groups"]),
        source=typed(record["source"], str),
    )
    if limits.copies_equivocal >= limits.copies_positive:
        raise ValueError("HER2 copies out of order")
    return limits
