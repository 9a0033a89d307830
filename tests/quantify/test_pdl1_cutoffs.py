"""PD-L1: every cut-off just under, at and over it, and the table that holds them."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest

from slidelab.errors import SettingsError
from slidelab.quantify import (
    Flag,
    Pdl1Evidence,
    pdl1_cutoffs,
    score_pdl1,
)
from slidelab.quantify.pdl1_cutoffs import read_pdl1_cutoffs

from .pdl1_evidence import evidence, row

TABLE = [
    # assay, indication, measure, cut-offs with the category from there on
    ("22C3", "nsclc", "TPS", [(1, "positive (TPS 1-49 %)"), (50, "high (TPS ≥ 50 %)")]),
    ("22C3", "gastric", "CPS", [(1, "positive (CPS ≥ 1)")]),
    ("22C3", "cervical", "CPS", [(1, "positive (CPS ≥ 1)")]),
    ("22C3", "hnscc", "CPS", [(1, "positive (CPS 1-<20)"), (20, "positive (CPS ≥ 20)")]),
    ("22C3", "urothelial", "CPS", [(10, "positive (CPS ≥ 10)")]),
    ("22C3", "oesophageal-scc", "CPS", [(10, "positive (CPS ≥ 10)")]),
    ("22C3", "tnbc", "CPS", [(10, "positive (CPS ≥ 10)")]),
    (
        "28-8",
        "nsclc",
        "TPS",
        [(1, "positive (TC 1-<5 %)"), (5, "positive (TC 5-<10 %)"), (10, "positive (TC ≥ 10 %)")],
    ),
    ("28-8", "gastric", "CPS", [(5, "positive (CPS ≥ 5)")]),
    ("SP142", "tnbc", "IC", [(1, "positive (IC ≥ 1 %)")]),
    ("SP142", "urothelial", "IC", [(5, "positive (IC ≥ 5 %)")]),
    ("SP263", "nsclc", "TPS", [(1, "positive (TC 1-49 %)"), (50, "high (TC ≥ 50 %)")]),
    ("SP263", "gastric", "TAP", [(5, "positive (TAP ≥ 5 %)")]),
    ("SP263", "oesophageal-scc", "TAP", [(5, "positive (TAP ≥ 5 %)")]),
]
BESIDE = [("SP142", "nsclc"), ("SP263", "urothelial")]  # more than one measure; tested below


def with_measure(measure: str, millionths: int) -> Pdl1Evidence:
    """Return evidence whose measure is so many millionths of the whole."""
    if measure == "TPS":
        return evidence(1_000_000, millionths)
    if measure == "CPS":
        return evidence(1_000_000, 0, millionths)
    part = {"IC": "stained_immune_mm2", "TAP": "stained_mm2"}[measure]
    return evidence(500, 0, **{"tumour_mm2": 1.0, "stroma_mm2": 1.0, part: millionths / 1e6})


@pytest.mark.parametrize(("assay", "indication", "measure", "levels"), TABLE)
def test_every_cutoff_just_under_at_and_over(
    assay: str, indication: str, measure: str, levels: list[tuple[int, str]]
) -> None:
    below = pdl1_cutoffs().row(assay, indication).negative
    assert below.startswith("negative")
    for percent, name in levels:
        edge = percent * 10_000
        found = [row(assay, indication, with_measure(measure, each)) for each in (edge - 1, edge, edge + 1)]
        assert found == [below, name, name]
        below = name


def test_every_row_of_the_table_is_tested() -> None:
    assert {(assay, indication) for assay, indication, *_ in TABLE} | set(BESIDE) == set(pdl1_cutoffs().rows)


@pytest.mark.parametrize(("assay", "indication", "measure", "levels"), TABLE)
def test_the_headline_is_what_assay_and_indication_ask_for(
    assay: str, indication: str, measure: str, levels: list[tuple[int, str]]
) -> None:
    headline = score_pdl1(
        with_measure(measure, 1), assay=assay, indication=indication, immune_told=True
    ).headline
    shown = pdl1_cutoffs().assay(assay).tumour_score if measure == "TPS" else measure
    assert headline.name == f"PD-L1 {shown}"
    assert f"cut-offs {assay} {indication}, as of 20" in headline.rule


@pytest.mark.parametrize(
    ("positive", "ic_mm2", "is_positive"),
    [(500, 0.0, True), (499, 0.1, True), (499, 0.0999, False), (0, 0.0, False), (900, 0.5, True)],
)
def test_sp142_in_lung_takes_tumour_or_immune_cells(positive: int, ic_mm2: float, is_positive: bool) -> None:
    found = evidence(1000, positive, tumour_mm2=1.0, stained_immune_mm2=ic_mm2, stroma_mm2=0.3)
    category = row("SP142", "nsclc", found)
    assert category == (
        "positive (TC ≥ 50 % or IC ≥ 10 %)" if is_positive else "negative (TC < 50 % and IC < 10 %)"
    )


def test_sp142_in_lung_without_immune_area_is_decided_only_by_enough_tumour_cells() -> None:
    assert row("SP142", "nsclc", evidence(1000, 500)) == "positive (TC ≥ 50 % or IC ≥ 10 %)"
    result = score_pdl1(evidence(1000, 499), assay="SP142", indication="nsclc", immune_told=True)
    assert result.headline.category is None
    assert Flag.CUTOFF_NEEDS_MORE in result.flags


@pytest.mark.parametrize(
    ("positive", "immune_mm2", "stained_mm2", "category"),
    [
        (250, 0.0, 0.0, "high"),  # TC 25 %
        (249, 0.0, 0.0, "low or negative"),
        (0, 0.02, 0.005, "high"),  # ICP 2 %, IC+ 25 %
        (0, 0.02, 0.0049, "low or negative"),  # IC+ 24.5 %
        (0, 0.01, 0.01, "high"),  # ICP 1 % exactly, IC+ 100 %
        (0, 0.01, 0.0099, "low or negative"),  # IC+ 99 %
        (0, 0.0099, 0.0099, "low or negative"),  # ICP under 1 %
        (0, 0.0101, 0.0026, "high"),  # ICP just over 1 %
    ],
)
def test_sp263_urothelial_rule(positive: int, immune_mm2: float, stained_mm2: float, category: str) -> None:
    found = evidence(1000, positive, tumour_mm2=1.0, immune_mm2=immune_mm2, stained_immune_mm2=stained_mm2)
    assert row("SP263", "urothelial", found) == category


def test_sp263_urothelial_rule_needs_areas_only_where_they_decide() -> None:
    assert row("SP263", "urothelial", evidence(1000, 250)) == "high"
    assert row("SP263", "urothelial", evidence(1000, 249)) is None
    # no immune cells at all: IC+ is undefined, yet nothing hangs on it
    assert row("SP263", "urothelial", evidence(1000, 0, tumour_mm2=1.0, immune_mm2=0.0)) == "low or negative"


def test_withdrawn_indication_says_so() -> None:
    found = with_measure("IC", 20_000)
    assert (
        Flag.INDICATION_WITHDRAWN
        in score_pdl1(found, assay="SP142", indication="tnbc", immune_told=True).flags
    )
    other = score_pdl1(found, assay="SP142", indication="urothelial", immune_told=True)
    assert Flag.INDICATION_WITHDRAWN not in other.flags


def test_without_indication_the_assay_decides_what_comes_first() -> None:
    first = {
        assay: score_pdl1(with_measure("IC", 20_000), assay=assay, immune_told=True).headline.name
        for assay in pdl1_cutoffs().assays
    }
    assert first == {"22C3": "PD-L1 TPS", "28-8": "PD-L1 TC", "SP142": "PD-L1 IC", "SP263": "PD-L1 TC"}


def test_unknown_assays_and_indications_name_the_known_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        score_pdl1(evidence(500, 5), assay="E1L3N", immune_told=True)
    assert "SP142" in caught.value.advice
    with pytest.raises(SettingsError) as caught:
        score_pdl1(evidence(500, 5), assay="28-8", indication="tnbc", immune_told=True)
    assert "gastric, nsclc" in caught.value.advice


@pytest.fixture
def table() -> dict[str, Any]:
    text = files("slidelab.quantify").joinpath("pdl1_cutoffs.toml").read_text(encoding="utf-8")
    return copy.deepcopy(tomllib.loads(text))


def test_cutoffs_are_dated_sourced_tagged_and_read_once(table: dict[str, Any]) -> None:
    assert pdl1_cutoffs() is pdl1_cutoffs()
    assert pdl1_cutoffs().as_of == table["as_of"]
    tags = {"read", "guideline", "memory", "project"}
    for record in table["cutoff"]:
        assert record["source"]
        assert {record["tag"], *(level["tag"] for level in record["level"])} <= tags
    assert pdl1_cutoffs().row("22C3", "hnscc").levels[1].tag == "guideline"
    assert pdl1_cutoffs().row("SP263", "gastric").levels[0].tag == "memory"


BREAKAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no date": lambda table: table.pop("as_of"),
    "assay twice": lambda table: table["assay"].append(table["assay"][0]),
    "row twice": lambda table: table["cutoff"].append(copy.deepcopy(table["cutoff"][0])),
    "row of no assay": lambda table: table["cutoff"][0].update(assay="SP999"),
    "no source": lambda table: table["cutoff"][0].update(source=""),
    "no levels": lambda table: table["cutoff"][0].update(level=[]),
    "no conditions": lambda table: table["cutoff"][0]["level"][0].update(when=[]),
    "unknown measure": lambda table: table["cutoff"][0]["level"][0].update(when=["XPS >= 1"]),
    "unknown sign": lambda table: table["cutoff"][0]["level"][0].update(when=["TPS <= 1"]),
    "fractional bound": lambda table: table["cutoff"][0]["level"][0].update(when=["TPS >= 1.5"]),
    "unknown tag": lambda table: table["cutoff"][0]["level"][0].update(tag="sure"),
    "unknown headline": lambda table: table["cutoff"][0].update(headline="XPS"),
    "no least count": lambda table: table["assay"][0].update(minimum_tumour_cells=0),
    "other name of the tumour score": lambda table: table["assay"][0].update(tumour_score="TIS"),
    "no reach": lambda table: table["adjacency"].update(reach_um=0),
    "no bins": lambda table: table["bins"].pop("CPS"),
}


@pytest.mark.parametrize("what", sorted(BREAKAGES))
def test_broken_cutoffs_are_refused(table: dict[str, Any], what: str) -> None:
    read_pdl1_cutoffs(table)
    BREAKAGES[what](table)
    with pytest.raises(SettingsError):
        read_pdl1_cutoffs(table)
