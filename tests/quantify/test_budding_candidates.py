"""What may be said of tumour buds that a network found."""

import pytest

from slidelab.errors import InvalidTableError
from slidelab.quantify import BuddingEvidence, GlandFormation, GradingEvidence, Status, tumour_scores
from slidelab.quantify.budding_candidates import budding_scores
from slidelab.quantify.flags import Flag


def test_a_count_by_a_person_is_the_score_as_before():
    (score,) = budding_scores(BuddingEvidence(12))
    assert (score.value, score.category, score.status, score.flags) == (12, "Bd3", Status.OK, ())
    score, clusters = budding_scores(BuddingEvidence(4, clusters=2))
    assert (score.category, clusters.value, clusters.unit) == ("Bd1", 2, "clusters")


@pytest.mark.parametrize(
    "known",
    [
        {"false_buds": 5.0},
        {"false_buds": 1.0, "false_limit": 5.0},
        {"false_buds": None},
        {"false_buds": 0.0, "found_share": 0.89},
        {"false_buds": 0.0, "found_share": None},
    ],
)
def test_candidates_with_too_many_errors_are_no_count(known):
    counted, candidates, false, clusters = budding_scores(BuddingEvidence(12, clusters=3, **known))
    assert (counted.status, counted.value, counted.category) == (Status.NOT_ASSESSABLE, None, None)
    assert (counted.numerator, counted.denominator) == (0, 0)
    assert counted.flags == (Flag.BUDDING_NOT_COUNTED,)
    assert (candidates.value, candidates.category, candidates.status) == (12, None, Status.REVIEW)
    assert false.value == known.get("false_buds")
    assert (clusters.value, clusters.status) == (3, Status.REVIEW)


def test_no_candidate_is_no_bd1_either():
    counted, candidates, _ = budding_scores(BuddingEvidence(0, false_buds=2.0, found_share=0.3))
    assert (counted.status, counted.category) == (Status.NOT_ASSESSABLE, None)
    assert candidates.value == 0


@pytest.mark.parametrize(("buds", "grade"), [(14, "Bd3"), (12, None), (8, "Bd2"), (6, None), (3, "Bd1")])
def test_few_false_buds_leave_a_grade_that_they_do_not_decide(buds, grade):
    counted, _, false = budding_scores(BuddingEvidence(buds, false_buds=3.0, found_share=0.95))
    assert (counted.value, counted.category, counted.status) == (buds, grade, Status.REVIEW)
    assert Flag.BUDDING_HOLDS_FALSE in counted.flags
    assert (false.value, false.unit) == (3.0, "candidates")


@pytest.mark.parametrize("known", [{"false_buds": -1.0}, {"false_buds": float("nan")}, {"found_share": 1.1}])
def test_impossible_errors_are_refused(known):
    with pytest.raises(InvalidTableError):
        BuddingEvidence(3, **known)


def test_all_of_it_is_experimental_and_never_better_than_review():
    evidence = GradingEvidence(
        whole=GlandFormation(0.0, 0.0), budding=BuddingEvidence(14, false_buds=1.0, found_share=1.0)
    )
    scores = tumour_scores(evidence)
    assert all(Flag.COLORECTAL_EXPERIMENTAL in score.flags for score in scores)
    assert {score.status for score in scores} == {Status.NOT_ASSESSABLE, Status.REVIEW}


def test_a_carcinoma_of_which_nothing_was_measured_has_no_grade_and_says_so():
    (grade,) = tumour_scores(GradingEvidence(whole=GlandFormation(0.0, 0.0)))
    assert (grade.status, grade.value, grade.category) == (Status.NOT_ASSESSABLE, None, None)
    assert Flag.GRADE_NOT_MEASURED in grade.flags
