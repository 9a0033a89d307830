"""Negative triage: nothing is cleared without a threshold proven on other slides of the same kind."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    AdequacyEvidence,
    CallCounts,
    CellEstimate,
    CervicalEvidence,
    Flag,
    Interval,
    TriageCalibration,
    TriageSet,
    calibrate_triage,
    score_cervical,
    slides_to_prove,
    triage_risk,
    triage_slide,
)
from slidelab.quantify.cervical_triage import TriageCounts, count_triage, pick_threshold

SCOPE = {"model": "cervix-1", "preparation": "thinprep", "scanner": "A"}


def slides(well, ill, *, name="t") -> TriageSet:
    risks = [*well, *ill]
    names = [f"{name}{number}" for number in range(len(risks))]
    abnormal = np.arange(len(risks)) >= len(well)
    return TriageSet.of(names, patients=[f"p-{each}" for each in names], risks=risks, abnormal=abnormal)


def proven(*, missed: int = 0, ill: int = 60) -> TriageCalibration:
    tuning = slides([0.1, 0.2, 0.3, 0.7], [0.4, 0.6, 0.9])
    proving = slides([0.05, 0.25, 0.5, 0.6], [0.2] * missed + [0.8] * (ill - missed), name="q")
    return calibrate_triage(tuning, proving, scope=SCOPE)


def test_threshold_clears_the_normal_slides_below_every_abnormal_one():
    assert pick_threshold(slides([0.1, 0.2, 0.3, 0.7], [0.4, 0.6, 0.9])) == 0.3


def test_a_tie_with_an_abnormal_slide_is_not_cleared():
    assert pick_threshold(slides([0.1, 0.4], [0.4, 0.9])) == 0.1


def test_a_lower_sensitivity_may_miss_its_share_and_no_more():
    tuning = slides([0.05, 0.15, 0.25, 0.95], [number / 10 for number in range(1, 11)])
    assert pick_threshold(tuning) == 0.05
    assert pick_threshold(tuning, sensitivity=Fraction(9, 10)) == 0.15
    assert pick_threshold(tuning, sensitivity=Fraction(8, 10)) == 0.25
    assert pick_threshold(tuning, sensitivity=Fraction(81, 100)) == 0.15  # 8.1 of 10 means 9


def test_nothing_to_learn_from_clears_nothing():
    assert pick_threshold(slides([0.1, 0.2], [])) is None
    assert pick_threshold(slides([0.5], [0.4])) is None
    assert pick_threshold(slides([inf], [inf])) is None
    assert count_triage(slides([0.1, 0.2], []), None) == TriageCounts(0, 0, 2, 0)


@given(
    st.lists(st.floats(0, 1), max_size=30),
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.fractions(Fraction(1, 2), 1),
)
def test_tuning_set_keeps_the_sensitivity_asked_for(well, ill, sensitivity):
    tuning = slides(well, ill)
    picked = pick_threshold(tuning, sensitivity=sensitivity)
    counts = count_triage(tuning, picked)
    assert counts.sensitivity >= sensitivity
    better = [risk for risk in well if picked is None or risk > picked]
    if better:  # the next normal slide would have cost too much
        assert count_triage(tuning, min(better)).sensitivity < sensitivity


def test_60_abnormal_slides_without_a_miss_prove_95_percent():
    calibration = proven()
    assert calibration.is_proven
    assert calibration.bound == pytest.approx(0.05 ** (1 / 60))
    assert calibration.proving == TriageCounts(abnormal=60, missed=0, normal=4, cleared=2)
    assert calibration.proving.excluded == 2
    assert calibration.proving.excluded_interval.low < 2 / 64 < calibration.proving.excluded_interval.high
    assert calibration.proving.cleared_interval.low < 0.5 < calibration.proving.cleared_interval.high


@pytest.mark.parametrize(
    ("ill", "missed", "is_proven"), [(58, 0, False), (59, 0, True), (200, 1, False), (0, 0, False)]
)
def test_few_slides_or_a_miss_prove_nothing(ill, missed, is_proven):
    calibration = proven(ill=ill, missed=missed)
    assert calibration.is_proven == is_proven
    assert (Flag.TRIAGE_NOT_PROVEN in calibration.flags) == (not is_proven)


def test_a_miss_is_borne_where_the_laboratory_asked_for_less():
    tuning, proving = slides([0.1], [0.4]), slides([0.05], [0.05] + [0.8] * 199, name="q")
    asked = calibrate_triage(tuning, proving, scope=SCOPE, sensitivity=Fraction(98, 100))
    assert asked.is_proven
    assert not replace(asked, required_bound=Fraction(99, 100)).is_proven


@pytest.mark.parametrize(
    ("bound", "missed", "slides_needed"),
    [(Fraction(95, 100), 0, 59), (Fraction(99, 100), 0, 299), (Fraction(95, 100), 1, 93)],
)
def test_slides_that_a_proof_takes(bound, missed, slides_needed):
    assert slides_to_prove(bound, missed=missed) == slides_needed
    with pytest.raises(SettingsError):
        slides_to_prove(Fraction(1))


def test_tuning_and_proving_share_no_slide_and_no_patient():
    tuning = slides([0.1], [0.4])
    with pytest.raises(InvalidTableError, match="share"):
        calibrate_triage(tuning, tuning, scope=SCOPE)
    other = TriageSet.of(["x"], patients=[tuning.patients[0]], risks=[0.5], abnormal=np.array([True]))
    with pytest.raises(InvalidTableError, match="share"):
        calibrate_triage(tuning, other, scope=SCOPE)


def test_without_calibration_nothing_is_ever_cleared():
    for risk in (0.0, 0.5, inf):
        decision = triage_slide(risk, calibration=None, scope=SCOPE)
        assert (decision.is_cleared, decision.flags) == (False, (Flag.TRIAGE_NOT_CALIBRATED,))


def test_a_proven_calibration_clears_up_to_its_threshold():
    calibration = proven()
    assert triage_slide(0.3, calibration=calibration, scope=SCOPE).is_cleared
    assert not triage_slide(0.30001, calibration=calibration, scope=SCOPE).is_cleared
    assert not triage_slide(inf, calibration=calibration, scope=SCOPE).is_cleared
    assert not triage_slide(float("nan"), calibration=calibration, scope=SCOPE).is_cleared


@pytest.mark.parametrize("change", [{"scanner": "B"}, {"model": "cervix-2"}, {"preparation": "surepath"}])
def test_another_model_preparation_or_scanner_clears_nothing(change):
    decision = triage_slide(0.0, calibration=proven(), scope={**SCOPE, **change})
    assert (decision.is_cleared, decision.flags) == (False, (Flag.TRIAGE_OTHER_SCOPE,))
    assert not triage_slide(0.0, calibration=proven(), scope={"model": "cervix-1"}).is_cleared


def test_an_unproven_calibration_clears_nothing():
    decision = triage_slide(0.0, calibration=proven(ill=10), scope=SCOPE)
    assert (decision.is_cleared, decision.flags) == (False, (Flag.TRIAGE_NOT_PROVEN,))
    nothing = calibrate_triage(slides([0.5], [0.1]), slides([0.5], [0.9] * 60, name="q"), scope=SCOPE)
    assert triage_slide(0.0, calibration=nothing, scope=SCOPE).flags == (Flag.TRIAGE_CLEARS_NOTHING,)


def test_calibration_survives_json_and_proves_itself_anew():
    calibration = proven()
    record = json.loads(json.dumps(calibration.to_json()))
    assert TriageCalibration.from_json(record) == calibration
    assert "is_proven" not in record
    record["proving"]["missed"] = 1
    assert not TriageCalibration.from_json(record).is_proven


def negative(calls=None, cells=30_000.0) -> CervicalEvidence:
    estimate = CellEstimate(cells, Interval(cells - 1, cells + 1, method="test"), int(cells))
    specimen = AdequacyEvidence("thinprep", estimate, obscured=(0, 9), transformation_zone_cells=12)
    return CervicalEvidence(CallCounts(calls or {}), 500, specimen)


def test_only_plainly_negative_slides_keep_their_risk():
    assert triage_risk(score_cervical(negative()), 0.2) == 0.2
    assert triage_risk(score_cervical(negative({"HSIL": 1})), 0.2) == inf
    assert triage_risk(score_cervical(negative({"LSIL": 3})), 0.2) == inf
    assert triage_risk(score_cervical(negative(cells=300.0)), 0.2) == inf
    assert triage_risk(score_cervical(CervicalEvidence(CallCounts(), 500)), 0.2) == inf
    assert triage_risk(score_cervical(negative(), areas_mm2={"missing": 1.0}), 0.2) == inf
    assert triage_risk(score_cervical(negative()), None) == inf
    assert triage_risk(score_cervical(negative()), float("nan")) == inf


def test_held_back_slides_neither_help_nor_hurt_the_threshold():
    assert pick_threshold(slides([0.1, 0.3, inf], [0.4, inf])) == 0.3


def test_impossible_sets_are_refused():
    with pytest.raises(InvalidTableError):
        slides([float("nan")], [0.5])
    with pytest.raises(InvalidTableError):
        TriageSet.of(["a", "a"], patients=["p", "q"], risks=[0, 1], abnormal=np.array([True, False]))
    with pytest.raises(InvalidTableError):
        TriageSet.of(["a"], patients=["p"], risks=[0], abnormal=[1])
    with pytest.raises(SettingsError):
        pick_threshold(slides([0.1], [0.2]), sensitivity=Fraction(0))
    with pytest.raises(SettingsError):
        calibrate_triage(slides([0.1], [0.2]), slides([0.1], [0.2], name="q"), scope={})
    with pytest.raises(InvalidTableError):
        TriageCounts(1, 2, 3, 4)
