"""Counts of PD-L1 and the scores that they give, for tests."""

from __future__ import annotations

from slidelab.quantify import (
    Pdl1Areas,
    Pdl1Evidence,
    Score,
    combined_positive_score,
    score_pdl1,
    tumour_proportion_score,
)


def evidence(tumour: int, positive: int, immune: int | None = 0, **areas: float) -> Pdl1Evidence:
    """Return counts, with areas where there are any."""
    return Pdl1Evidence(tumour, positive, immune_positive=immune, areas=Pdl1Areas(**areas) if areas else None)


def tps(found: Pdl1Evidence, assay: str = "22C3") -> Score:
    """Return the TPS."""
    return tumour_proportion_score(found, assay=assay)


def cps(found: Pdl1Evidence, *, told: bool = True) -> Score:
    """Return the CPS by 22C3."""
    return combined_positive_score(found, assay="22C3", immune_told=told)


def row(assay: str, indication: str, found: Pdl1Evidence) -> str | None:
    """Return the category of an indication."""
    result = score_pdl1(found, assay=assay, indication=indication, immune_told=True)
    return result.headline.category
