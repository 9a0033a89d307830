"""PD-L1: the four scores, their bins and intervals, statuses and flags."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.quantify import (
    Flag,
    Pdl1Evidence,
    SlideResult,
    Status,
    area_score,
    score_pdl1,
)

from .pdl1_evidence import cps, evidence, row, tps


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
