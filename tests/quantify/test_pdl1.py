"""PD-L1: who counts, the four scores, bins, the table of cut-offs, statuses and flags."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from fractions import Fraction
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    CellKind,
    Flag,
    Pdl1Areas,
    Pdl1Evidence,
    Score,
    SlideResult,
    Status,
    area_score,
    combined_positive_score,
    count_pdl1_cells,
    pdl1_cutoffs,
    score_pdl1,
    tumour_proportion_score,
)
from slidelab.quantify.pdl1_cutoffs import read_pdl1_cutoffs

ALL_KINDS = tuple(CellKind)


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


def test_worked_example_plasma_cells_do_not_count() -> None:
    # 120 tumour cells, 30 stained, beside them stained: 18 lymphocytes, 6 macrophages, 9 plasma cells
    kinds = ["tumour"] * 120 + ["lymphocyte"] * 18 + ["macrophage"] * 6 + ["plasma cell"] * 9
    stained = np.array([True] * 30 + [False] * 90 + [True] * 33)
    found = count_pdl1_cells(
        kinds,
        membrane=stained,
        cytoplasm=np.zeros(153, dtype=bool),
        positions_um=np.zeros((153, 2)),
        finds=ALL_KINDS,
    )
    assert (tps(found).value, cps(found).value) == (25.0, 45.0)
    assert found.left_out == {"plasma cell": 9}


def test_worked_example_cps_is_capped_at_100_and_keeps_the_raw_number() -> None:
    found = evidence(100, 95, 40)
    score = cps(found)
    assert (score.value, score.shown) == (100.0, "100 CPS")
    assert (score.numerator, score.denominator) == (135, 100)
    assert score.flags == (Flag.CPS_CAPPED,)
    raw = score_pdl1(found, assay="22C3", immune_told=True).scores[-1]
    assert (raw.name, raw.value, raw.category) == ("PD-L1 CPS before the cap", 135.0, None)


def test_worked_example_99_tumour_cells_are_insufficient() -> None:
    result = score_pdl1(evidence(99, 60), assay="22C3", indication="nsclc", immune_told=True)
    assert (result.status, result.headline.category) == (Status.INSUFFICIENT, None)
    assert result.headline.value == 100 * 60 / 99


def test_worked_example_tps_of_three_quarters_is_below_1() -> None:
    found = evidence(400, 3, 0)
    assert (tps(found).value, tps(found).category) == (0.75, "<1")
    assert row("22C3", "nsclc", found) == "negative (TPS < 1 %)"


def test_worked_example_cps_of_1_is_positive() -> None:
    found = evidence(1000, 5, 5)
    assert (cps(found).value, cps(found).category) == (1.0, "1-<10")
    assert row("22C3", "gastric", found) == "positive (CPS ≥ 1)"


def test_worked_example_tap() -> None:
    found = evidence(500, 10, 5, tumour_mm2=2.00, stained_mm2=0.13)
    result = score_pdl1(found, assay="SP263", indication="gastric", immune_told=True)
    assert (result.headline.name, result.headline.value) == ("PD-L1 TAP", 6.5)
    assert result.headline.category == "positive (TAP ≥ 5 %)"


@pytest.mark.parametrize(
    ("positive", "total", "name"),
    [
        (0, 100, "<1"),
        (9999, 10**6, "<1"),
        (10**4, 10**6, "1-49"),
        (499_999, 10**6, "1-49"),
        (5, 10, None),
        (50, 100, "≥50"),
    ],
)
def test_bins_of_tps(positive: int, total: int, name: str | None) -> None:
    assert tps(evidence(total, positive)).category == name


@pytest.mark.parametrize(
    ("immune", "name"),
    [
        (0, "<1"),
        (9, "<1"),
        (10, "1-<10"),
        (99, "1-<10"),
        (100, "10-<20"),
        (199, "10-<20"),
        (200, "≥20"),
        (1500, "≥20"),
    ],
)
def test_bins_of_cps(immune: int, name: str) -> None:
    assert cps(evidence(1000, 0, immune)).category == name


@pytest.mark.parametrize(
    ("mm2", "name"),
    [
        (0.0, "IC0"),
        (0.0099, "IC0"),
        (0.01, "IC1"),
        (0.0499, "IC1"),
        (0.05, "IC2"),
        (0.0999, "IC2"),
        (0.1, "IC3"),
    ],
)
def test_bins_of_ic(mm2: float, name: str) -> None:
    found = evidence(500, 0, tumour_mm2=1.0, stained_immune_mm2=mm2, stroma_mm2=0.5)
    assert area_score("IC", found, assay="SP142", immune_told=True).category == name


@pytest.mark.parametrize(
    ("positive", "name"), [(9, "TC0"), (10, "TC1"), (49, "TC1"), (50, "TC2"), (499, "TC2"), (500, "TC3")]
)
def test_bins_of_tumour_cells_by_sp142(positive: int, name: str) -> None:
    score = tps(evidence(1000, positive), "SP142")
    assert (score.name, score.category) == ("PD-L1 TC", name)


def test_areas_are_compared_as_written_not_as_stored() -> None:
    # the float 0.15 lies under 0.15, and so would the share under 5 %
    found = evidence(500, 0, tumour_mm2=3.0, stained_immune_mm2=0.15, stroma_mm2=1.0)
    assert Fraction(0.15) / Fraction(3.0) < Fraction(5, 100)
    assert row("SP142", "urothelial", found) == "positive (IC ≥ 5 %)"


def test_area_scores_carry_whole_square_micrometres() -> None:
    found = evidence(500, 0, tumour_mm2=2.0, stained_mm2=0.13, immune_mm2=0.5, stained_immune_mm2=0.125)
    score = area_score("TAP", found, assay="SP263", immune_told=True)
    assert (score.numerator, score.denominator, score.unit, score.interval) == (130_000, 2_000_000, "%", None)
    assert area_score("ICP", found, assay="SP263", immune_told=True).value == 25.0
    assert area_score("IC+", found, assay="SP263", immune_told=True).value == 25.0


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


@pytest.mark.parametrize(
    ("assay", "tumour", "status"),
    [
        ("22C3", 99, Status.INSUFFICIENT),
        ("22C3", 100, Status.OK),
        ("28-8", 99, Status.INSUFFICIENT),
        ("28-8", 100, Status.OK),
        ("SP263", 99, Status.INSUFFICIENT),
        ("SP263", 100, Status.OK),
        ("SP142", 49, Status.INSUFFICIENT),
        ("SP142", 50, Status.OK),
        ("22C3", 0, Status.NOT_ASSESSABLE),
    ],
)
def test_every_assay_has_its_least_number_of_tumour_cells(assay: str, tumour: int, status: Status) -> None:
    found = evidence(
        tumour, 0, tumour_mm2=1.0, stained_immune_mm2=0.1, stained_mm2=0.1, immune_mm2=0.2, stroma_mm2=0.1
    )
    result = score_pdl1(found, assay=assay, immune_told=True)
    assert result.status is status
    for score in result.scores:
        assert score.status is status
        assert status.allows_category or score.category is None


def test_sp142_needs_stroma() -> None:
    without = evidence(500, 0, tumour_mm2=1.0, stained_immune_mm2=0.1, stroma_mm2=0.0)
    result = score_pdl1(without, assay="SP142", indication="tnbc", immune_told=True)
    assert (result.status, result.headline.category) == (Status.INSUFFICIENT, None)
    assert Flag.PDL1_NO_STROMA in result.flags
    unknown = evidence(500, 0, tumour_mm2=1.0, stained_immune_mm2=0.1)
    result = score_pdl1(unknown, assay="SP142", indication="tnbc", immune_told=True)
    assert (result.status, result.headline.category) == (Status.OK, "positive (IC ≥ 1 %)")
    assert Flag.STROMA_NOT_CHECKED in result.flags


def test_sp142_without_stroma_decides_nothing_by_immune_cells() -> None:
    found = evidence(1000, 0, tumour_mm2=1.0, stained_immune_mm2=0.2, stroma_mm2=0.0)
    assert row("SP142", "nsclc", found) is None


def test_immune_cells_that_nobody_looked_for_are_not_none() -> None:
    found = evidence(500, 50, None)
    assert (cps(found).value, cps(found).status) == (None, Status.NOT_ASSESSABLE)
    assert cps(found).flags == (Flag.IMMUNE_CELLS_NOT_COUNTED,)
    result = score_pdl1(found, assay="22C3", indication="gastric", immune_told=False)
    assert (result.status, result.headline.category) == (Status.NOT_ASSESSABLE, None)
    assert Flag.IMMUNE_CELLS_NOT_COUNTED in result.flags
    assert tps(found).value == 10.0


def test_lymphocytes_without_macrophages_are_refused() -> None:
    with pytest.raises(InvalidTableError):
        Pdl1Evidence(100, 10, lymphocytes_positive=3)
    assert Pdl1Evidence(100, 10, 3, 4, 5).combined_immune == 12


def test_immune_cells_that_were_not_told_apart_make_scores_experimental() -> None:
    areas = {
        "tumour_mm2": 1.0,
        "stained_immune_mm2": 0.1,
        "stained_mm2": 0.2,
        "immune_mm2": 0.2,
        "stroma_mm2": 0.3,
    }
    result = score_pdl1(evidence(500, 50, 20, **areas), assay="SP142", immune_told=False)
    for score in result.scores:
        rests_on_immune_cells = score.name != "PD-L1 TC"
        assert (Flag.EXPERIMENTAL in score.flags) is rests_on_immune_cells
        assert score.status is (Status.REVIEW if rests_on_immune_cells else Status.OK)
    assert result.status is Status.REVIEW


def test_experimental_scores_do_not_lower_a_headline_that_rests_on_tumour_cells() -> None:
    result = score_pdl1(evidence(500, 50, 20), assay="22C3", indication="nsclc", immune_told=False)
    assert (result.status, result.headline.flags) == (Status.OK, ())
    assert Flag.EXPERIMENTAL in result.flags


def test_experimental_marks_a_tumour_headline_whose_cutoff_asks_for_immune_cells() -> None:
    found = evidence(500, 50, 20, tumour_mm2=1.0, immune_mm2=0.5, stained_immune_mm2=0.2)
    result = score_pdl1(found, assay="SP263", indication="urothelial", immune_told=False)
    assert (result.headline.category, result.headline.status) == ("high", Status.REVIEW)
    assert Flag.EXPERIMENTAL in result.headline.flags


def test_experimental_marks_the_uncapped_score_too() -> None:
    raw = score_pdl1(evidence(100, 95, 40), assay="22C3", immune_told=False).scores[-1]
    assert (raw.status, raw.flags) == (Status.REVIEW, (Flag.EXPERIMENTAL,))


def test_missing_area_makes_a_headline_not_assessable() -> None:
    result = score_pdl1(evidence(500, 50, 20), assay="SP142", indication="tnbc", immune_told=True)
    assert (result.headline.name, result.status) == ("PD-L1 IC", Status.NOT_ASSESSABLE)
    assert Flag.AREA_NOT_MEASURED in result.flags
    assert [score.name for score in result.scores] == ["PD-L1 IC", "PD-L1 TC", "PD-L1 CPS"]
    empty = evidence(500, 50, tumour_mm2=0.0, stained_immune_mm2=0.0)
    assert area_score("IC", empty, assay="SP142", immune_told=True).status is Status.NOT_ASSESSABLE


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


def test_result_keeps_what_was_left_out() -> None:
    found = Pdl1Evidence(500, 50, 10, 5, left_out={"plasma cell": 4, "fold": 1})
    result = score_pdl1(
        found,
        assay="22C3",
        immune_told=True,
        excluded={"fold": 2},
        areas_mm2={"missing": 0.2},
        flags=("MY_OWN",),
    )
    assert result.excluded == {"fold": 3, "plasma cell": 4}
    assert result.status is Status.PARTIAL
    assert result.flags == ("MY_OWN", Flag.AREA_MISSING)
    assert SlideResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_cps_interval_is_named_and_honest_at_zero() -> None:
    score = cps(evidence(100, 0, 0))
    assert score.interval is not None
    assert "MOVER" in score.interval.method
    assert score.interval.low == 0
    # z² = 3.84: 3.7 stained tumour cells and 3.84 immune cells cannot be excluded
    assert score.interval.high == pytest.approx(100 * np.hypot(0.037, 0.0384), abs=0.05)


def test_cps_interval_covers_what_it_claims() -> None:
    random = np.random.default_rng(5)
    positives, immunes = random.binomial(200, 0.06, size=400), random.poisson(200 * 0.08, size=400)
    covered = []
    for positive, immune in zip(positives.tolist(), immunes.tolist(), strict=True):
        interval = cps(evidence(200, positive, immune)).interval
        covered.append(interval is not None and interval.low <= 14 <= interval.high)
    assert 0.92 <= np.mean(covered) <= 0.98


@given(st.integers(1, 3000), st.data())
def test_bounds_hold_for_any_counts(tumour: int, data: st.DataObject) -> None:
    positive, immune = data.draw(st.integers(0, tumour)), data.draw(st.integers(0, 2 * tumour))
    found = evidence(tumour, positive, immune)
    share, combined = tps(found).value, cps(found).value
    assert share is not None
    assert combined is not None
    assert 0 <= share <= combined <= 100
    more = cps(evidence(tumour, positive, immune + 1))
    assert more.value is not None
    assert more.value >= combined
    assert more.interval is not None
    assert 0 <= more.interval.low <= more.value <= more.interval.high <= 100


@pytest.mark.parametrize("counts", [(10, 11, 0), (-1, 0, 0), (10, -1, 0), (10, 5, -1)])
def test_wrong_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidTableError):
        evidence(*counts)


@pytest.mark.parametrize(
    "areas",
    [
        {"tumour_mm2": -1.0},
        {"tumour_mm2": float("nan")},
        {"tumour_mm2": 1.0, "stained_mm2": 1.1},
        {"tumour_mm2": 1.0, "immune_mm2": -0.1},
        {"tumour_mm2": 1.0, "immune_mm2": 0.1, "stained_immune_mm2": 0.2},
    ],
)
def test_wrong_areas_are_refused(areas: dict[str, float]) -> None:
    with pytest.raises(InvalidTableError):
        Pdl1Areas(**areas)


def count_one(
    kind: str, *, membrane: bool, cytoplasm: bool, x_um: float = 0.0, linked: bool = True
) -> Pdl1Evidence:
    """Count one cell beside an unstained tumour cell at the origin."""
    return count_pdl1_cells(
        ["tumour", kind],
        membrane=[False, membrane],
        cytoplasm=[False, cytoplasm],
        positions_um=[[0.0, 0.0], [x_um, 0.0]],
        finds=ALL_KINDS,
        linked=[True, linked],
    )


@pytest.mark.parametrize("membrane", [True, False])
@pytest.mark.parametrize("cytoplasm", [True, False])
def test_tumour_cells_need_membrane_stain_and_always_count_below(membrane: bool, cytoplasm: bool) -> None:
    found = count_one("tumour", membrane=membrane, cytoplasm=cytoplasm)
    assert (found.tumour, found.tumour_positive, found.combined_immune) == (2, int(membrane), 0)


@pytest.mark.parametrize("kind", ["lymphocyte", "macrophage", "immune"])
@pytest.mark.parametrize("membrane", [True, False])
@pytest.mark.parametrize("cytoplasm", [True, False])
def test_immune_cells_count_with_any_stain_in_the_numerator_of_cps_only(
    kind: str, membrane: bool, cytoplasm: bool
) -> None:
    found = count_one(kind, membrane=membrane, cytoplasm=cytoplasm)
    assert (found.tumour, found.tumour_positive) == (1, 0)
    assert found.combined_immune == int(membrane or cytoplasm)


@pytest.mark.parametrize("kind", sorted(set(CellKind) - {"tumour", "lymphocyte", "macrophage", "immune"}))
def test_other_cells_count_nowhere(kind: str) -> None:
    found = count_one(kind, membrane=True, cytoplasm=True)
    assert (found.tumour, found.tumour_positive, found.combined_immune) == (1, 0, 0)
    assert found.left_out == {kind: 1}
    assert count_one(kind, membrane=False, cytoplasm=False).left_out == {}


def test_immune_cells_count_within_half_a_millimetre_of_the_tumour() -> None:
    assert count_one("lymphocyte", membrane=True, cytoplasm=False, x_um=500.0).combined_immune == 1
    beyond = count_one("lymphocyte", membrane=True, cytoplasm=False, x_um=500.1)
    assert (beyond.combined_immune, beyond.left_out) == (0, {"far from tumour": 1})


def test_immune_cells_of_something_else_count_nowhere() -> None:
    found = count_one("macrophage", membrane=True, cytoplasm=True, linked=False)
    assert (found.combined_immune, found.left_out) == (0, {"not linked to tumour": 1})


def test_without_tumour_no_immune_cell_is_adjacent() -> None:
    found = count_pdl1_cells(
        ["lymphocyte"], membrane=[True], cytoplasm=[False], positions_um=[[0.0, 0.0]], finds=ALL_KINDS
    )
    assert (found.tumour, found.combined_immune) == (0, 0)
    empty = count_pdl1_cells([], membrane=[], cytoplasm=[], positions_um=np.zeros((0, 2)), finds=ALL_KINDS)
    assert (empty.tumour, empty.combined_immune, empty.left_out) == (0, 0, {})


def test_a_detector_of_tumour_alone_leaves_immune_cells_unknown() -> None:
    alone = {"membrane": [True], "cytoplasm": [False], "positions_um": [[0.0, 0.0]]}
    assert count_pdl1_cells(["tumour"], finds=[CellKind.TUMOUR], **alone).combined_immune is None
    unspecified = count_pdl1_cells(["tumour"], finds=[CellKind.TUMOUR, CellKind.IMMUNE], **alone)
    assert (unspecified.combined_immune, unspecified.lymphocytes_positive) == (0, None)
    with pytest.raises(SettingsError):
        count_pdl1_cells(["tumour"], finds=[CellKind.TUMOUR, CellKind.LYMPHOCYTE], **alone)
    with pytest.raises(InvalidTableError):
        count_pdl1_cells(["immune"], finds=[CellKind.TUMOUR], **alone)


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidTableError):
        count_pdl1_cells(
            ["tumour"] * 2, membrane=[True], cytoplasm=[True], positions_um=[[0.0, 0.0]], finds=ALL_KINDS
        )
    with pytest.raises(SettingsError):
        count_pdl1_cells(
            ["tumour"],
            membrane=[True],
            cytoplasm=[True],
            positions_um=[[0.0, 0.0]],
            finds=ALL_KINDS,
            reach_um=0,
        )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ALL_KINDS), st.booleans(), st.booleans(), st.integers(0, 2000), st.booleans()
        ),
        max_size=30,
    ),
    st.randoms(),
)
def test_counts_ignore_order_and_lose_no_stained_cell(cells: list[tuple[Any, ...]], random: object) -> None:
    def count(rows: list[tuple[Any, ...]]) -> Pdl1Evidence:
        return count_pdl1_cells(
            [str(row[0]) for row in rows],
            membrane=np.array([row[1] for row in rows], dtype=bool),
            cytoplasm=np.array([row[2] for row in rows], dtype=bool),
            positions_um=np.array([(row[3], 0.0) for row in rows]).reshape(-1, 2),
            finds=ALL_KINDS,
            linked=np.array([row[4] for row in rows], dtype=bool),
        )

    shuffled = list(cells)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found = count(cells)
    assert found == count(shuffled)
    stained = sum(row[1] if row[0] is CellKind.TUMOUR else row[1] or row[2] for row in cells)
    assert found.tumour_positive + (found.combined_immune or 0) + sum(found.left_out.values()) == stained


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
