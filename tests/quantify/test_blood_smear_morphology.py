"""Changed cells of blood smears: grades and schistocytes, at their edges."""

from __future__ import annotations

import pytest

from slidelab.quantify import (
    Flag,
    Status,
    blood_smear_cutoffs,
    grade_change,
    schistocyte_share,
)


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
