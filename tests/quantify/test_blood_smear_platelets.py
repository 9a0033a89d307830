"""Platelets of blood smears: per field, estimated, by ratio to red cells, and where there is no number."""

from __future__ import annotations

import pytest

from slidelab.quantify import (
    Flag,
    PlateletFields,
    SmearEvidence,
    Status,
    microscope_field_mm2,
    platelet_estimate,
    platelet_ratio,
    platelets_per_field,
    score_smear,
)

from .smear_evidence import NORMAL, named, white


def test_12_platelets_per_field_are_180_or_240():
    monolayer = platelet_estimate(PlateletFields((12,) * 10, clumps=False))
    wedge = platelet_estimate(PlateletFields((12,) * 10, part="wedge", clumps=False))
    assert (monolayer.value, wedge.value) == (180, 240)
    assert monolayer.interval.low < 180 < monolayer.interval.high
    assert Flag.SMEAR_FACTOR_NOT_CALIBRATED in monolayer.flags
    own = platelet_estimate(PlateletFields((12,) * 10, factor=17_000, clumps=False))
    assert (own.value, own.flags) == (204, ())


@pytest.mark.parametrize(
    ("counts", "category"),
    [((7, 8) * 5, "low"), ((8,) * 10, "normal"), ((20,) * 10, "normal"), ((20, 21) * 5, "high")],
)
def test_8_to_20_per_field_are_normal(counts, category):
    assert platelets_per_field(PlateletFields(counts)).category == category


def test_fewer_than_10_fields_have_no_category():
    score = platelets_per_field(PlateletFields((12,) * 9))
    assert (score.status, score.category, score.value) == (Status.INSUFFICIENT, None, 12)
    assert Flag.SMEAR_FEW_FIELDS in score.flags


def test_images_are_scaled_to_an_oil_field():
    oil = microscope_field_mm2(22, objective=100)
    half = PlateletFields((6,) * 20, field_mm2=oil / 2)
    assert platelets_per_field(half).value == pytest.approx(12)
    assert platelets_per_field(half).status is Status.OK
    assert platelets_per_field(PlateletFields((6,) * 19, field_mm2=oil / 2)).status is Status.INSUFFICIENT
    assert platelet_estimate(half).value == pytest.approx(180)


@pytest.mark.parametrize("found", [{"clumps": True}, {"satellitism": True}])
def test_clumps_and_satellitism_suppress_the_number(found):
    fields = PlateletFields((12,) * 10, **found)
    for score in (platelets_per_field(fields), platelet_estimate(fields)):
        assert (score.value, score.interval, score.status) == (None, None, Status.NOT_ASSESSABLE)
        assert Flag.SMEAR_PLATELET_CLUMPS in score.flags
    evidence = SmearEvidence(white(), fields, platelets_beside_red_cells=(60, 1000), blood=NORMAL)
    result = score_smear(evidence)
    assert named(result, "Platelets by ratio to red cells").value is None
    assert result.status is Status.REVIEW


@pytest.mark.parametrize(
    ("analyser", "agrees"), [(180, True), (144, True), (143, False), (240, True), (241, False), (0, False)]
)
def test_estimate_is_held_against_the_analyser(analyser, agrees):
    flags = platelet_estimate(PlateletFields((12,) * 10), analyser=analyser).flags
    assert (Flag.SMEAR_PLATELETS_DISAGREE in flags) == (not agrees)


def test_ratio_method():
    score = platelet_ratio(50, 1000, rbc=5.0)
    assert (score.value, score.status, score.unit) == (250, Status.OK, "10⁹/L")
    assert score.interval.low < 250 < score.interval.high
    assert platelet_ratio(50, 999, rbc=5.0).status is Status.INSUFFICIENT
    assert platelet_ratio(0, 0, rbc=5.0).value is None
    assert platelet_ratio(0, 1000, rbc=5.0).interval.high > 0
