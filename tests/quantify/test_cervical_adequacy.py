"""Adequacy: the estimate of squamous cells, its table of counts per field, and every rule of satisfactory."""

from __future__ import annotations

import numpy as np
import pytest

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    AdequacyEvidence,
    CellEstimate,
    Flag,
    Interval,
    Status,
    count_for_adequacy,
    judge_adequacy,
    microscope_field_mm2,
    squamous_cells_by_area,
    squamous_cells_by_fields,
)
from slidelab.quantify.cervical_adequacy import SATISFACTORY, UNSATISFACTORY, adequacy_scores
from slidelab.quantify.cervical_cellularity import cells_per_field, preparation_area_mm2

FN22_40X = microscope_field_mm2(22, objective=40)


def estimate(cells: float, spread: float = 0.01, **more) -> CellEstimate:
    interval = Interval(cells * (1 - spread), cells * (1 + spread), method="test")
    return CellEstimate(cells, interval, int(cells), **more)


def evidence(cells: float | None = 30_000, **more) -> AdequacyEvidence:
    more = {"preparation": "thinprep", "obscured": (0, 100), "transformation_zone_cells": 20, **more}
    return AdequacyEvidence(squamous=None if cells is None else estimate(cells), **more)


def test_preparations_are_discs_of_their_diameter():
    assert round(preparation_area_mm2("thinprep"), 1) == 314.2
    assert round(preparation_area_mm2("surepath"), 1) == 132.7
    assert preparation_area_mm2("conventional") is None
    assert preparation_area_mm2("conventional", smear_mm2=900.0) == 900


@pytest.mark.parametrize(
    ("preparation", "objective", "field_number", "count"),
    [
        ("thinprep", 40, 20, 3.1),
        ("thinprep", 40, 22, 3.8),
        ("thinprep", 10, 20, 50.0),
        ("thinprep", 10, 22, 60.5),
        ("surepath", 40, 20, 7.4),
        ("surepath", 40, 22, 9.0),
        ("surepath", 10, 20, 118.3),
        ("surepath", 10, 22, 143.2),
    ],
)
def test_counts_per_field_that_give_5000(preparation, objective, field_number, count):
    field = microscope_field_mm2(field_number, objective=objective)
    # the published table rounds twice: SurePath, 22, 40x is 8.9497, then 8.95, then 9.0
    assert cells_per_field(5000, preparation=preparation, field_mm2=field) == pytest.approx(count, abs=0.0504)


@pytest.mark.parametrize(
    ("counts", "cells", "verdict"),
    [
        ([4, 4, 4, 4, 4, 4, 4, 4, 5, 5], 5554, SATISFACTORY),
        ([3, 3, 3, 3, 3, 4, 4, 4, 4, 4], 4628, UNSATISFACTORY),
    ],
)
def test_thinprep_fields_of_mean_4_2_and_3_5(counts, cells, verdict):
    found = squamous_cells_by_fields(counts, preparation="thinprep", field_mm2=FN22_40X)
    assert round(found.value) == cells
    assert found.interval.low < found.value < found.interval.high
    judged = judge_adequacy(
        AdequacyEvidence("thinprep", found, obscured=(0, 1), transformation_zone_cells=20)
    )
    assert judged.verdict == verdict
    if verdict == SATISFACTORY:
        assert "borderline squamous cellularity" in judged.notes
        assert Flag.CERVICAL_CELLS_NEAR_MINIMUM in judged.flags  # 42 cells do not tell 5554 from 4999
        assert judged.needs_review
    abnormal = judge_adequacy(AdequacyEvidence("thinprep", found, obscured=(0, 1)), has_abnormal_result=True)
    assert abnormal.verdict == SATISFACTORY


def test_fewer_than_10_fields_are_no_estimate():
    found = squamous_cells_by_fields([40] * 9, preparation="thinprep", field_mm2=FN22_40X)
    judged = judge_adequacy(AdequacyEvidence("thinprep", found, obscured=(0, 1)))
    assert (found.is_enough, judged.verdict, judged.needs_review) == (False, None, True)
    assert Flag.CERVICAL_FEW_FIELDS in judged.flags
    cells = adequacy_scores(AdequacyEvidence("thinprep", found), judged)[0]
    assert (cells.status, cells.category) == (Status.INSUFFICIENT, None)
    assert squamous_cells_by_fields([40] * 10, preparation="thinprep", field_mm2=FN22_40X).is_enough


@pytest.mark.parametrize(
    ("preparation", "cells", "verdict", "is_borderline"),
    [
        ("thinprep", 4999.9, UNSATISFACTORY, False),
        ("thinprep", 5000, SATISFACTORY, True),
        ("surepath", 5000, SATISFACTORY, True),
        ("surepath", 4999, UNSATISFACTORY, False),
        ("thinprep", 20_000, SATISFACTORY, True),
        ("thinprep", 20_001, SATISFACTORY, False),
        ("conventional", 7999, UNSATISFACTORY, False),
        ("conventional", 8000, SATISFACTORY, True),
        ("conventional", 12_001, SATISFACTORY, False),
    ],
)
def test_minimum_of_each_preparation(preparation, cells, verdict, is_borderline):
    judged = judge_adequacy(evidence(cells, preparation=preparation))
    assert judged.verdict == verdict
    assert (Flag.CERVICAL_BORDERLINE_CELLS in judged.flags) == is_borderline


@pytest.mark.parametrize("reason", ["atrophy", "radiation", "chemotherapy", "hysterectomy"])
def test_lower_counts_are_accepted_for_a_reason(reason):
    assert judge_adequacy(evidence(1999, lower_count=reason)).verdict == UNSATISFACTORY
    judged = judge_adequacy(evidence(2000, lower_count=reason))
    assert judged.verdict == SATISFACTORY
    assert Flag.CERVICAL_LOWER_COUNT_ACCEPTED in judged.flags
    assert judge_adequacy(evidence(2000)).verdict == UNSATISFACTORY
    assert Flag.CERVICAL_LOWER_COUNT_ACCEPTED not in judge_adequacy(evidence(6000, lower_count=reason)).flags


@pytest.mark.parametrize(
    ("hidden", "verdict", "is_noted"),
    [
        (4999, SATISFACTORY, False),
        (5000, SATISFACTORY, True),
        (7500, SATISFACTORY, True),
        (7501, UNSATISFACTORY, False),
    ],
)
def test_obscured_share_is_decided_on_whole_cells(hidden, verdict, is_noted):
    judged = judge_adequacy(evidence(obscured=(hidden, 10_000)))
    assert judged.verdict == verdict
    assert ("partially obscured" in judged.notes) == is_noted
    abnormal = judge_adequacy(evidence(obscured=(hidden, 10_000)), has_abnormal_result=True)
    assert (abnormal.verdict, abnormal.reasons) == (SATISFACTORY, ())


@pytest.mark.parametrize("bad", [{"cells": 4000}, {"obscured": (80, 100)}])
def test_a_lone_call_leaves_an_inadequate_specimen_to_a_person(bad):
    judged = judge_adequacy(evidence(**bad), has_open_call=True)
    assert (judged.verdict, judged.needs_review) == (None, True)


@pytest.mark.parametrize(
    ("cells", "state", "flag"),
    [
        (10, "present", None),
        (9, "absent", Flag.CERVICAL_NO_TRANSFORMATION_ZONE),
        (None, "not assessed", Flag.CERVICAL_ZONE_NOT_ASSESSED),
    ],
)
def test_transformation_zone_is_named_and_never_makes_unsatisfactory(cells, state, flag):
    judged = judge_adequacy(evidence(transformation_zone_cells=cells))
    assert (judged.verdict, judged.transformation_zone) == (SATISFACTORY, state)
    assert not judged.needs_review
    zone_flags = [each for each in judged.flags if "ZONE" in each]
    assert zone_flags == ([] if flag is None else [flag])


def test_transformation_zone_is_not_required_beside_hsil_and_hard_in_atrophy():
    beside = judge_adequacy(
        evidence(transformation_zone_cells=0), has_abnormal_result=True, needs_transformation_zone=False
    )
    assert beside.transformation_zone == "not required"
    there = judge_adequacy(evidence(), has_abnormal_result=True, needs_transformation_zone=False)
    assert there.transformation_zone == "present"
    atrophy = judge_adequacy(evidence(transformation_zone_cells=0, lower_count="atrophy"))
    assert "the transformation zone is hard to judge in atrophy" in atrophy.notes
    vault = judge_adequacy(evidence(transformation_zone_cells=0, lower_count="hysterectomy"))
    assert vault.transformation_zone == "not required"


@pytest.mark.parametrize("reason", ["no label", "broken slide"])
def test_rejected_specimens_are_unsatisfactory_whatever_they_hold(reason):
    judged = judge_adequacy(evidence(rejected=reason), has_abnormal_result=True)
    assert judged.verdict == UNSATISFACTORY
    assert judged.statement == f"unsatisfactory for evaluation (specimen rejected: {reason})"


def test_what_nobody_measured_is_not_taken_for_none():
    uncounted = judge_adequacy(evidence(None))
    assert (uncounted.verdict, uncounted.needs_review) == (None, True)
    unseen = judge_adequacy(evidence(obscured=None))
    assert (unseen.verdict, unseen.needs_review) == (SATISFACTORY, True)
    assert Flag.CERVICAL_OBSCURED_NOT_MEASURED in unseen.flags
    scores = adequacy_scores(evidence(None, obscured=None), uncounted)
    assert [score.value for score in scores] == [None, 20, None]


def test_endocervical_and_metaplastic_cells_do_not_replace_squamous_ones():
    kinds = {"superficial": 10, "intermediate": 5, "metaplastic": 7, "endocervical": 4, "neutrophil": 99}
    assert count_for_adequacy(kinds) == (15, 11)


def test_area_estimate_scales_what_was_analysed_to_the_disc():
    disc = preparation_area_mm2("thinprep")
    counts, areas = [30, 50, 20, 60], [disc / 8] * 4
    found = squamous_cells_by_area(counts, areas, preparation="thinprep")
    assert found.value == pytest.approx(320)
    assert (found.counted, found.interval.low < 320 < found.interval.high) == (160, True)
    more = squamous_cells_by_area(counts, [disc] * 4, preparation="thinprep")
    assert more.value == 160  # cells beyond the disc are cells too: never scaled down


def test_area_estimate_of_clumped_cells_is_less_sure():
    areas = [1.0] * 10
    even = squamous_cells_by_area([50] * 10, areas, preparation="surepath")
    clumped = squamous_cells_by_area([0] * 9 + [500], areas, preparation="surepath")
    assert even.value == clumped.value
    assert clumped.interval.high - clumped.interval.low > 3 * (even.interval.high - even.interval.low)


def test_area_interval_covers_the_truth():
    random = np.random.default_rng(5)
    disc, held = preparation_area_mm2("surepath"), 0
    for _ in range(200):
        areas = random.uniform(0.5, 1.5, size=40)
        counts = random.poisson(areas * random.gamma(20, 2.0, size=40))
        found = squamous_cells_by_area(counts, areas, preparation="surepath")
        held += found.interval.low <= 40 * disc <= found.interval.high
    assert held / 200 >= 0.92


def test_conventional_smear_without_an_area_is_taken_as_counted():
    assert squamous_cells_by_area([9000], [400.0], preparation="conventional").value == 9000
    scaled = squamous_cells_by_area([9000], [400.0], preparation="conventional", smear_mm2=800.0)
    assert scaled.value == 18_000


def test_impossible_evidence_is_refused():
    with pytest.raises(SettingsError):
        squamous_cells_by_fields([4] * 10, preparation="conventional", field_mm2=FN22_40X)
    with pytest.raises(SettingsError):
        preparation_area_mm2("thinprep", smear_mm2=300.0)
    with pytest.raises(InvalidTableError):
        squamous_cells_by_area([4], [0.0], preparation="thinprep")
    with pytest.raises(InvalidTableError):
        AdequacyEvidence("thinprep", obscured=(5, 4))
    for wrong in ({"preparation": "cytospin"}, {"lower_count": "haste"}, {"rejected": "ugly"}):
        with pytest.raises(SettingsError):
            AdequacyEvidence(**{"preparation": "thinprep", **wrong})
