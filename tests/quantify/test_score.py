"""Scores refuse to contradict themselves and survive a trip through JSON."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from slidelab.errors import InvalidTableError
from slidelab.quantify import Interval, Score, SlideResult, Status, worst_status

SCORE = Score(
    name="Ki-67",
    value=24.0,
    unit="%",
    numerator=120,
    denominator=500,
    interval=Interval(20.5, 27.9),
    status=Status.OK,
    category="intermediate",
    rule="test/1",
    flags=("A",),
)
RESULT = SlideResult(
    marker="Ki-67",
    scores=(SCORE, replace(SCORE, value=None, interval=None, category=None, status=Status.NOT_ASSESSABLE)),
    status=Status.REVIEW,
    flags=("A", "B", "A"),
    excluded={"fold": 3},
    areas_mm2={"tissue": 12.5},
)


def test_score_survives_json() -> None:
    assert Score.from_json(json.loads(json.dumps(SCORE.to_json()))) == SCORE


def test_slide_result_survives_json() -> None:
    assert SlideResult.from_json(json.loads(json.dumps(RESULT.to_json()))) == RESULT


def test_slide_result_survives_pickle() -> None:
    assert pickle.loads(pickle.dumps(RESULT)) == RESULT


def test_score_turns_numpy_counts_into_plain_ones() -> None:
    score = replace(SCORE, numerator=np.int64(120), denominator=np.uint32(500))
    assert json.loads(json.dumps(score.to_json()))["denominator"] == 500


def test_score_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SCORE.value = 1.0  # type: ignore[misc]


def test_slide_result_keeps_its_own_copy_of_the_counts() -> None:
    excluded = {"fold": 3}
    result = replace(RESULT, excluded=excluded)
    excluded["fold"] = 99
    assert result.excluded == {"fold": 3}


def test_slide_result_says_each_flag_once_in_order() -> None:
    assert RESULT.flags == ("A", "B")


def test_slide_result_headline_is_the_first_score() -> None:
    assert RESULT.headline is RESULT.scores[0]


def test_slide_result_with_score_adds_flags_and_keeps_status() -> None:
    more = RESULT.with_score(replace(SCORE, name="grade", flags=("C",)))
    assert [score.name for score in more.scores] == ["Ki-67", "Ki-67", "grade"]
    assert (more.flags, more.status) == (("A", "B", "C"), Status.REVIEW)


@pytest.mark.parametrize(
    "change",
    [
        {"value": None},
        {"value": float("nan")},
        {"value": float("inf")},
        {"status": Status.NOT_ASSESSABLE},
        {"status": Status.INSUFFICIENT},  # still names a category
        {"numerator": -1},
        {"value": None, "status": Status.NOT_ASSESSABLE, "category": None},  # an interval of nothing
    ],
)
def test_score_refuses_contradictions(change: dict[str, object]) -> None:
    with pytest.raises(InvalidTableError):
        replace(SCORE, **change)


@pytest.mark.parametrize("ends", [(2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_interval_refuses_ends_that_make_no_sense(ends: tuple[float, float]) -> None:
    with pytest.raises(InvalidTableError):
        Interval(*ends)


@pytest.mark.parametrize(
    "change", [{"scores": ()}, {"excluded": {"fold": -1}}, {"areas_mm2": {"tissue": float("nan")}}]
)
def test_slide_result_refuses_nonsense(change: dict[str, object]) -> None:
    with pytest.raises(InvalidTableError):
        replace(RESULT, **change)


def test_worst_status_follows_the_order_of_use() -> None:
    assert worst_status() is Status.OK
    assert worst_status(Status.REVIEW, Status.OK) is Status.REVIEW
    assert worst_status(Status.PARTIAL, Status.REVIEW) is Status.PARTIAL
    assert worst_status(Status.PARTIAL, Status.INSUFFICIENT) is Status.INSUFFICIENT
    assert worst_status(Status.NOT_ASSESSABLE, Status.INSUFFICIENT) is Status.NOT_ASSESSABLE


def test_shown_says_not_assessable_instead_of_zero() -> None:
    assert SCORE.shown == "24 %"
    assert RESULT.scores[1].shown == "not assessable"
