"""Blood smears: the criteria for review by a person, at their borders, and what makes a smear positive."""

from __future__ import annotations

import pytest

from slidelab.quantify import (
    BloodCount,
    Morphology,
    positive_findings,
    review_criteria,
)

from .smear_evidence import NORMAL, USUAL, with_value

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
