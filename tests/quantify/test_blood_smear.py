"""Blood smears: differential, corrections, platelets, grades, and the criteria for review."""

from __future__ import annotations

import copy
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
    blood_smear_cutoffs,
    corrected_wbc,
    differential_scores,
    grade_change,
    microscope_field_mm2,
    platelet_estimate,
    platelet_ratio,
    platelets_per_field,
    positive_findings,
    review_criteria,
    schistocyte_share,
    score_smear,
)
from slidelab.quantify.blood_smear import absolute_scores, differential_status, nrbc_score
from slidelab.quantify.blood_smear_cutoffs import TAGS, read_blood_smear_cutoffs
from slidelab.quantify.cutoffs import packaged_table

USUAL = {"neutrophil": 60, "lymphocyte": 30, "monocyte": 6, "eosinophil": 3, "basophil": 1}
NORMAL = BloodCount(
    wbc=7.0,
    rbc=4.8,
    platelets=250,
    haemoglobin=14,
    haemoglobin_upper=17,
    mcv=90,
    rdw=13,
    mchc=33,
    mchc_upper=36,
    suspects=False,
    age=40,
    hours=2,
)


def white(total: int = 200, **more) -> WhiteCells:
    return WhiteCells({name: cells * total // 100 for name, cells in USUAL.items()}, **more)


def named(result: SlideResult, name: str):
    return next(score for score in result.scores if score.name == name)


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


@pytest.mark.parametrize(
    ("found", "cells", "is_preterm", "category"),
    [
        (10, 1000, False, "within normal"),
        (11, 1000, False, "suspicious"),
        (11, 1000, True, "within normal"),
        (50, 1000, True, "within normal"),
        (51, 1000, True, "suspicious"),
        (30, 999, False, None),
    ],
)
def test_schistocytes_of_1000_red_cells(found, cells, is_preterm, category):
    score = schistocyte_share(found, red_cells=cells, is_preterm=is_preterm)
    assert score.category == category
    assert (Flag.SMEAR_SCHISTOCYTES in score.flags) == (category == "suspicious")


LIMITS = {
    **dict.fromkeys(("anisocytosis", "macrocytes", "microcytes", "hypochromia", "giant platelets"), (11, 20)),
    **dict.fromkeys(("acanthocytes", "echinocytes", "elliptocytes", "ovalocytes", "spherocytes"), (5, 20)),
    **dict.fromkeys(("stomatocytes", "target cells", "teardrop cells", "polychromasia"), (5, 20)),
    "basophilic stippling": (5, 20),
    "oval macrocytes": (2, 5),
    **dict.fromkeys(("bite cells", "blister cells", "irregularly contracted cells", "sickle cells"), (1, 2)),
    "schistocytes": (1, 2),
    **dict.fromkeys(("Howell-Jolly bodies", "Pappenheimer bodies"), (2, 3)),
    "Döhle bodies": (2, 4),
    **dict.fromkeys(("neutrophil vacuoles", "hypogranulation", "hypergranulation"), (4, 8)),
}


@pytest.mark.parametrize("name", LIMITS)
def test_grades_at_their_edges(name):
    lower, upper = LIMITS[name]
    grades = [
        grade_change(name, changed, cells=10_000).category
        for changed in (0, 100 * lower - 1, 100 * lower, 100 * upper, 100 * upper + 1)
    ]
    below = "1+ (few)" if name == "schistocytes" else "not graded"
    assert grades == ["not graded", below, "2+ (moderate)", "2+ (moderate)", "3+ (many)"]


def test_every_graded_change_is_in_that_table():
    assert set(blood_smear_cutoffs().features) == set(LIMITS)


def test_grades_from_memory_are_never_passed_off_as_official():
    score = grade_change("target cells", 80, cells=1000)
    assert (score.category, score.flags) == ("2+ (moderate)", (Flag.BINS_NOT_OFFICIAL,))
    assert "not checked" in score.rule
    assert Flag.SMEAR_ANALYSER_PREFERRED in grade_change("macrocytes", 80, cells=1000).flags


@pytest.mark.parametrize(
    ("name", "cells", "status"),
    [
        ("target cells", 0, Status.NOT_ASSESSABLE),
        ("target cells", 199, Status.INSUFFICIENT),
        ("target cells", 999, Status.REVIEW),
        ("target cells", 1000, Status.OK),
        ("Döhle bodies", 19, Status.INSUFFICIENT),
        ("giant platelets", 100, Status.OK),
    ],
)
def test_few_cells_have_no_grade(name, cells, status):
    score = grade_change(name, 0, cells=cells)
    assert (score.status, score.category is None) == (status, not status.allows_category)


BORDERS = [
    # rule, measure, last value that passes unnoticed, first that does not
    ("wbc-low", "wbc", 4.0, 3.99),
    ("wbc-high", "wbc", 30.0, 30.1),
    ("platelets-low", "platelets", 100, 99),
    ("platelets-high", "platelets", 1000, 1001),
    ("haemoglobin-low", "haemoglobin", 7, 6.9),
    ("haemoglobin-high", "haemoglobin", 19, 19.1),
    ("mcv-low", "mcv", 75, 74.9),
    ("mcv-high", "mcv", 105, 105.1),
    ("rdw-high", "rdw", 22, 22.1),
    ("mchc-high", "mchc", 37.9, 38),
    ("mchc-low", "mchc", 30, 29.9),
]


def fired(blood=NORMAL, **more) -> list[str]:
    return [
        rule.id for rule in review_criteria(blood, **{"nrbc": 0, "has_suspect_cells": False, **more}).fired
    ]


def with_value(name: str, value: float) -> BloodCount:
    values = {each: getattr(NORMAL, each) for each in NORMAL.__slots__}
    return BloodCount(**{**values, name: value})


@pytest.mark.parametrize(("rule", "name", "still", "no_more"), BORDERS)
def test_criteria_of_the_blood_count_at_their_borders(rule, name, still, no_more):
    assert fired(with_value(name, still)) == []
    assert fired(with_value(name, no_more)) == [rule]


@pytest.mark.parametrize(
    ("rule", "name", "still", "no_more", "age"),
    [
        ("neutrophils-low", "neutrophil", 1.0, 0.99, 40),
        ("neutrophils-high", "neutrophil", 20.0, 20.1, 40),
        ("lymphocytes-high", "lymphocyte", 5.0, 5.1, 12),
        ("lymphocytes-high-child", "lymphocyte", 7.0, 7.1, 11),
        ("monocytes-high", "monocyte", 1.5, 1.51, 40),
        ("monocytes-high-child", "monocyte", 3.0, 3.1, 11),
        ("eosinophils-high", "eosinophil", 2.0, 2.1, 40),
        ("basophils-high", "basophil", 0.5, 0.51, 40),
    ],
)
def test_criteria_of_the_differential_at_their_borders(rule, name, still, no_more, age):
    blood = with_value("age", age)
    assert fired(blood, absolute={name: still}) == []
    assert fired(blood, absolute={name: no_more}) == [rule]


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"nrbc": 1}, "nrbc"),
        ({"has_suspect_cells": True}, "suspect-flag"),
        ({"blood": with_value("suspects", True)}, "suspect-flag"),
        ({"is_incomplete": True}, "incomplete-differential"),
        ({"blood": with_value("is_neonate", True)}, "neonate"),
    ],
)
def test_other_criteria(more, rule):
    assert fired(**more) == [rule]


def test_mcv_holds_for_fresh_samples_of_adults():
    small = {"mcv": 60.0}
    assert fired(BloodCount(**small, age=17)) == []
    assert fired(BloodCount(**small, age=18, hours=24)) == []
    assert fired(BloodCount(**small, age=18, hours=23)) == ["mcv-low"]
    assert fired(BloodCount(**small)) == ["mcv-low"]  # not known: the narrower rule holds


def test_missing_measures_are_unchecked_and_not_unmet():
    unchecked = review_criteria(BloodCount(wbc=7.0, age=40)).unchecked
    assert "wbc-low" not in unchecked
    assert {"platelets-low", "haemoglobin-high", "neutrophils-low", "nrbc", "suspect-flag"} <= set(unchecked)
    assert "lymphocytes-high-child" not in unchecked
    full = review_criteria(
        NORMAL, absolute=dict.fromkeys(USUAL, 0.4) | {"neutrophil": 4.0}, nrbc=0, has_suspect_cells=False
    )
    assert (full.fired, full.unchecked) == ((), ())


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({}, []),
        ({"blast": 1}, ["blast"]),
        ({"promyelocyte": 1}, ["promyelocyte"]),
        ({"myelocyte": 1}, ["myelocyte"]),
        ({"metamyelocyte": 4}, []),  # 2 per 100
        ({"metamyelocyte": 5}, ["metamyelocyte"]),
        ({"atypical_lymphocyte": 10}, []),  # 5 per 100
        ({"atypical_lymphocyte": 11}, ["atypical_lymphocyte"]),
        ({"plasma_cell": 1}, []),  # 1 in 200
        ({"plasma_cell": 2}, ["plasma_cell"]),
    ],
)
def test_cells_that_make_a_smear_positive(more, found):
    counts = {"neutrophil": 200 - sum(more.values()), **more}
    assert [rule.id for rule in positive_findings(counts)] == found


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"target cells": 49}, []),
        ({"target cells": 50}, ["target cells"]),
        ({"schistocytes": 9}, []),
        ({"giant platelets": 11}, ["giant platelets"]),
        ({"Döhle bodies": 2}, ["Döhle bodies"]),
        ({"neutrophil vacuoles": 4}, ["neutrophil vacuoles"]),
        ({"hypergranulation": 4}, ["hypergranulation"]),
        ({"hypogranulation": 50}, []),
    ],
)
def test_changes_from_2_plus_on_make_a_smear_positive(changed, found):
    cells = {"red cells": 1000, "neutrophils": 100, "platelets": 100}
    rules = positive_findings({"neutrophil": 100}, morphology=Morphology(cells, changed))
    assert [rule.id for rule in rules] == found


def test_nrbc_parasites_and_clumps_make_a_smear_positive():
    found = positive_findings({"neutrophil": 100}, nrbc=1, has_parasites=True, has_clumps=True)
    assert [rule.id for rule in found] == ["nrbc", "parasites", "clumps"]


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


SPOILT = {
    "no date": lambda t: t.pop("as_of"),
    "unknown tag": lambda t: t["grades"].update(tag="rumour"),
    "change twice": lambda t: t["feature"].append(dict(t["feature"][0])),
    "grades out of order": lambda t: t["feature"][0].update(many_above=5),
    "unknown cells": lambda t: t["feature"][0].update(of="stars"),
    "rule twice": lambda t: t["rule"].append(dict(t["rule"][0])),
    "rule without a limit": lambda t: t["rule"][0].pop("below"),
    "rule with two limits": lambda t: t["rule"][0].update(above="1"),
    "unknown key": lambda t: t["rule"][0].update(colour="red"),
    "cells out of order": lambda t: t["differential"].update(preferred_cells=50),
    "normal out of order": lambda t: t["platelets"].update(normal_from=30),
    "true as a number": lambda t: t["nrbc"].update(correct_above=True),
    "evidence missing": lambda t: t["evidence"].pop(),
    "unknown toxic change": lambda t: t["positive"].update(toxic=["poison"]),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_refused(how):
    table = copy.deepcopy(packaged_table("blood_smear_cutoffs.toml"))
    SPOILT[how](table)
    with pytest.raises(SettingsError, match=r"blood_smear_cutoffs\.toml"):
        read_blood_smear_cutoffs(table)


def test_packaged_file_is_dated_and_says_how_well_it_is_founded():
    table = packaged_table("blood_smear_cutoffs.toml")
    assert blood_smear_cutoffs() is blood_smear_cutoffs()
    assert blood_smear_cutoffs().as_of == table["as_of"]
    assert table["grades"]["tag"] == "memory"
    assert {table[name]["tag"] for name in ("differential", "platelets", "review")} <= set(TAGS)
    assert len(blood_smear_cutoffs().rules) == 23
