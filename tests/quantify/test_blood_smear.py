"""Blood smears: differential, corrections for nucleated red cells, and the result of a smear."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    BloodCount,
    Flag,
    Morphology,
    PlateletFields,
    SlideResult,
    SmearEvidence,
    Status,
    WhiteCells,
    corrected_wbc,
    differential_scores,
    grade_change,
    platelet_ratio,
    score_smear,
)
from slidelab.quantify.blood_smear import absolute_scores, differential_status, nrbc_score

from .smear_evidence import NORMAL, USUAL, named, white, with_value


@pytest.mark.parametrize(("cells", "total", "low", "high"), [(5, 100, 1.64, 11.28), (10, 200, 2.42, 9.00)])
def test_every_percentage_has_the_exact_interval(cells, total, low, high):
    score = differential_scores(WhiteCells({"eosinophil": cells, "neutrophil": total - cells}))[3]
    assert (score.name, score.value) == ("Eosinophils", 5)
    assert (round(score.interval.low, 2), round(score.interval.high, 2)) == (low, high)


@pytest.mark.parametrize(
    ("cells", "wbc", "status"),
    [
        (0, None, Status.NOT_ASSESSABLE),
        (99, None, Status.INSUFFICIENT),
        (99, 1.0, Status.INSUFFICIENT),
        (49, 0.9, Status.INSUFFICIENT),
        (50, 0.9, Status.REVIEW),
        (100, None, Status.OK),
        (100, 0.5, Status.OK),
    ],
)
def test_a_differential_needs_100_cells_or_50_where_there_are_few(cells, wbc, status):
    assert differential_status(cells, wbc=wbc) is status


def test_so_says_the_report():
    few = score_smear(SmearEvidence(WhiteCells({"neutrophil": 50}), blood=BloodCount(wbc=0.8)))
    assert Flag.SMEAR_FEW_LEUCOCYTES in few.flags
    assert few.status is Status.REVIEW
    assert Flag.SMEAR_TOO_FEW_CELLS in score_smear(SmearEvidence(white(50))).flags
    assert Flag.SMEAR_UNDER_200 in score_smear(SmearEvidence(white(100))).flags
    assert Flag.SMEAR_UNDER_200 not in score_smear(SmearEvidence(white(200))).flags


def test_smudge_cells_are_apart_unless_they_are_said_to_be_lymphocytes():
    apart = white(100, smudge=25)
    assert (apart.total, apart.classified["lymphocyte"]) == (100, 30)
    assert Flag.SMEAR_SMUDGE_CELLS in score_smear(SmearEvidence(apart)).flags
    cll = white(100, smudge=25, smudge_as_lymphocytes=True)
    assert (cll.total, cll.classified["lymphocyte"]) == (125, 55)
    assert Flag.SMEAR_SMUDGE_AS_LYMPHOCYTES in score_smear(SmearEvidence(cll)).flags


def test_wbc_15_with_25_nrbc_is_12_and_60_percent_neutrophils_are_7_2():
    assert corrected_wbc(15.0, 25, counts_nrbc=True) == 12.0
    result = score_smear(SmearEvidence(white(200, nrbc=50), blood=BloodCount(wbc=15.0, counts_nrbc=True)))
    assert named(result, "White cells, corrected").value == 12.0
    assert named(result, "Neutrophils, absolute").value == pytest.approx(7.2)
    assert named(result, "Neutrophils").value == 60
    assert Flag.SMEAR_WBC_CORRECTED in result.flags


@pytest.mark.parametrize(
    ("nrbc", "counts", "above", "wbc"),
    [
        (5, True, None, 10.0),  # corrected above 5 only
        (5.5, True, None, 1000 / 105.5),
        (5, True, 1, 1000 / 105),
        (10, True, 10, 10.0),
        (50, False, None, 10.0),  # the analyser knows them apart
        (0, True, 0, 10.0),
    ],
)
def test_correction_follows_the_laboratorys_limit(nrbc, counts, above, wbc):
    assert corrected_wbc(10.0, nrbc, counts_nrbc=counts, above=above) == pytest.approx(wbc)


def test_nrbc_are_per_100_white_cells_and_not_among_them():
    cells = white(200, nrbc=7)
    assert (cells.total, cells.nrbc_per_100) == (200, Fraction(7, 2))
    score = nrbc_score(cells)
    assert (score.value, score.unit, score.flags) == (3.5, "per 100 WBC", (Flag.SMEAR_NRBC,))
    assert score.interval.low < 3.5 < score.interval.high
    assert nrbc_score(white(200, nrbc=0)).flags == ()
    assert nrbc_score(WhiteCells({}, nrbc=3)).status is Status.NOT_ASSESSABLE


@given(
    st.dictionaries(st.sampled_from((*USUAL, "blast", "unclassified")), st.integers(0, 200), min_size=1),
    st.floats(0.1, 100),
)
def test_percentages_add_up_to_100_and_absolute_counts_to_the_white_count(counts, wbc):
    cells = WhiteCells(counts)
    if cells.total:
        assert sum(score.value for score in differential_scores(cells)) == pytest.approx(100)
        assert sum(score.value for score in absolute_scores(cells, wbc=wbc)) == pytest.approx(wbc)
    for score in differential_scores(cells):
        assert (score.value is None) == (cells.total == 0)


def test_a_usual_smear_meets_no_criterion():
    evidence = SmearEvidence(
        white(200, nrbc=0),
        PlateletFields((16,) * 10, clumps=False, satellitism=False, factor=15_000),
        platelets_beside_red_cells=(52, 1000),
        morphology=Morphology({"red cells": 1000}, {"target cells": 3, "schistocytes": 2}),
        parasites=False,
        blood=NORMAL,
    )
    result = score_smear(evidence)
    assert (result.status, result.headline.category) == (Status.OK, "no criterion met")
    assert [score.name for score in result.scores[1:6]] == [
        "Neutrophils",
        "Lymphocytes",
        "Monocytes",
        "Eosinophils",
        "Basophils",
    ]
    assert named(result, "Platelet estimate").value == 240
    assert named(result, "Target cells").category == "not graded"
    assert SlideResult.from_json(result.to_json()) == result


def test_a_blast_makes_the_smear_positive_and_names_why():
    counts = {"neutrophil": 199, "blast": 1}
    result = score_smear(SmearEvidence(WhiteCells(counts, nrbc=0), blood=NORMAL))
    assert (result.headline.category, result.status) == ("smear positive", Status.REVIEW)
    assert named(result, "Positive smear: Blasts").value == 1
    assert {Flag.SMEAR_POSITIVE, Flag.SMEAR_REVIEW_CRITERIA} <= set(result.flags)
    assert named(result, "Blasts").interval.high > 0.5


def test_a_high_count_alone_asks_for_review():
    result = score_smear(SmearEvidence(white(200, nrbc=0), blood=with_value("wbc", 35.0)))
    assert (result.headline.category, result.status) == ("manual review", Status.REVIEW)
    assert named(result, "Manual review: White cells over 30.0 x 10⁹/L").value == 35


def test_too_few_cells_give_no_category_and_an_empty_smear_no_value():
    few = score_smear(SmearEvidence(white(50), blood=NORMAL))
    assert (few.status, few.headline.category) == (Status.INSUFFICIENT, None)
    assert any("Incomplete" in score.name for score in few.scores)
    nothing = score_smear(SmearEvidence(WhiteCells({})))
    assert (nothing.status, nothing.headline.value) == (Status.NOT_ASSESSABLE, None)


def test_impossible_evidence_is_refused():
    with pytest.raises(InvalidTableError):
        WhiteCells({"erythroblast": 3})
    with pytest.raises(InvalidTableError):
        WhiteCells({"neutrophil": -1})
    with pytest.raises(InvalidTableError):
        BloodCount(wbc=-1)
    with pytest.raises(InvalidTableError):
        Morphology({"red cells": 10}, {"target cells": 11})
    with pytest.raises(InvalidTableError):
        Morphology({"white cells": 10})
    with pytest.raises(SettingsError):
        Morphology({"red cells": 10}, {"odd cells": 1})
    with pytest.raises(SettingsError):
        PlateletFields((1,), part="edge")
    with pytest.raises(InvalidTableError):
        PlateletFields(())
    with pytest.raises(InvalidTableError):
        corrected_wbc(10.0, -1, counts_nrbc=True)
    with pytest.raises(InvalidTableError):
        platelet_ratio(1, 10, rbc=0)
    with pytest.raises(InvalidTableError):
        grade_change("target cells", 5, cells=4)
