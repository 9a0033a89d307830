"""Ki-67 index: worked examples, status and category rules, assembly of a slide's result."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    Flag,
    HotSpot,
    Interval,
    SlideResult,
    Status,
    explain_flag,
    fda_high_ki67,
    hot_spot_score,
    labelling_index,
    neuroendocrine_grade,
    pooled_index,
    score_ki67,
)

HOT = HotSpot(x_um=10.0, y_um=20.0, radius_um=110.0, positive=200, total=500)


@pytest.mark.parametrize(
    ("positive", "total", "value", "low", "high", "category"),
    [
        (120, 500, 24.0, 20.46, 27.93, "intermediate"),  # 100 * 120 / 500
        (25, 500, 5.0, 3.41, 7.28, "low"),  # exactly 5: still low
        (150, 500, 30.0, 26.15, 34.16, "high"),  # exactly 30: already high
    ],
)
def test_labelling_index_worked_examples(
    positive: int, total: int, value: float, low: float, high: float, category: str
) -> None:
    score = labelling_index(positive, total - positive)
    assert score.value == value
    assert score.interval is not None
    assert (round(score.interval.low, 2), round(score.interval.high, 2)) == (low, high)
    assert (score.category, score.status) == (category, Status.OK)
    assert (score.numerator, score.denominator, score.unit) == (positive, total, "%")


def test_labelling_index_of_0_in_100() -> None:
    score = labelling_index(0, 100)
    assert (score.value, score.status, score.category) == (0.0, Status.INSUFFICIENT, None)
    assert score.interval is not None
    assert score.interval.low == 0
    assert score.interval.high == pytest.approx(3.70, abs=0.005)


def test_labelling_index_without_nuclei_is_not_zero() -> None:
    score = labelling_index(0, 0)
    assert (score.value, score.interval, score.category) == (None, None, None)
    assert score.status is Status.NOT_ASSESSABLE


@pytest.mark.parametrize(
    ("positive", "total", "category"),
    [
        # shown as 5.0 yet above 5: 1001 / 20000 = 5.005 %
        (1001, 20_000, "intermediate"),
        (1000, 20_000, "low"),
        # shown as 30 yet below: 5999 / 20000 = 29.995 %
        (5999, 20_000, "intermediate"),
        (6000, 20_000, "high"),
        # one nucleus in three hundred million decides
        (15_000_001, 300_000_000, "intermediate"),
        (15_000_000, 300_000_000, "low"),
        (89_999_999, 300_000_000, "intermediate"),
    ],
)
def test_category_is_decided_on_exact_counts(positive: int, total: int, category: str) -> None:
    assert labelling_index(positive, total - positive).category == category


@pytest.mark.parametrize(
    ("total", "status", "has_category"),
    [
        (199, Status.INSUFFICIENT, False),
        (200, Status.REVIEW, True),
        (499, Status.REVIEW, True),
        (500, Status.OK, True),
    ],
)
def test_status_and_category_follow_the_count(total: int, status: Status, has_category: bool) -> None:
    score = labelling_index(50, total - 50)
    assert score.status is status
    assert score.value == 100 * 50 / total
    assert (score.category is not None) is has_category


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_weak_score_never_names_a_category(positive: int, negative: int) -> None:
    score = labelling_index(positive, negative)
    assert (score.category is None) == (positive + negative < 200)
    assert (score.value is None) == (positive + negative == 0)


@pytest.mark.parametrize(("positive", "negative"), [(-1, 600), (10, -1)])
def test_labelling_index_refuses_negative_counts(positive: int, negative: int) -> None:
    with pytest.raises(InvalidTableError):
        labelling_index(positive, negative)


def test_labelling_index_refuses_unknown_cutoffs() -> None:
    with pytest.raises(SettingsError):
        labelling_index(1, 2, scheme="guess")


def test_rule_names_the_cutoffs_used() -> None:
    assert "ikwg-2021" in labelling_index(120, 380).rule


def test_pooled_index_of_four_fields() -> None:
    # (10 + 40 + 40 + 6) / (100 + 200 + 100 + 100) = 96 / 500 = 19.2 %
    score = pooled_index([10, 40, 40, 6], [100, 200, 100, 100])
    assert (score.value, score.numerator, score.denominator) == (19.2, 96, 500)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=20), st.randoms())
def test_pooled_index_does_not_depend_on_the_order_of_fields(
    fields: list[tuple[int, int]], random: object
) -> None:
    counts = np.array([(k, k + n) for k, n in fields], dtype=np.int64).reshape(-1, 2)
    shuffled = counts.copy()
    random.shuffle(order := list(range(len(fields))))  # type: ignore[attr-defined]
    shuffled = counts[order]
    assert pooled_index(counts[:, 0], counts[:, 1]) == pooled_index(shuffled[:, 0], shuffled[:, 1])


def test_hot_spot_score_warns_of_its_bias_and_borrows_no_global_category() -> None:
    score = hot_spot_score(HOT, nuclei=10_000)
    assert (score.value, score.status, score.category) == (40.0, Status.OK, None)
    assert score.flags == (Flag.HOT_SPOT_BIASED_UPWARD,)
    assert "biased upward" in explain_flag(score.flags[0])


@pytest.mark.parametrize(
    ("nuclei", "reason"), [(499, Flag.HOT_SPOT_TOO_FEW_CELLS), (500, Flag.HOT_SPOT_NONE_WITHIN_RADIUS)]
)
def test_missing_hot_spot_says_why(nuclei: int, reason: Flag) -> None:
    score = hot_spot_score(None, nuclei=nuclei)
    assert (score.status, score.value, score.flags) == (Status.NOT_ASSESSABLE, None, (reason,))


@pytest.mark.parametrize(
    ("positive", "total", "grade"),
    [
        (14, 500, "G1"),  # 2.8 %
        (15, 500, "G2"),  # 3.0 % exactly
        (100, 500, "G2"),  # 20 % exactly
        (101, 500, "G3"),  # 20.2 %
        (2999, 100_000, "G1"),  # 2.999 % is shown as 3.0
        (20_001, 100_000, "G3"),  # 20.001 % is shown as 20
    ],
)
def test_neuroendocrine_grade(positive: int, total: int, grade: str) -> None:
    assert neuroendocrine_grade(positive, total - positive).category == grade


def test_neuroendocrine_grade_needs_500_nuclei() -> None:
    score = neuroendocrine_grade(10, 489)
    assert (score.category, score.status) == (None, Status.REVIEW)
    assert Flag.BELOW_SCHEME_MINIMUM in score.flags


@pytest.mark.parametrize(
    ("positive", "total", "category"),
    [(40, 200, "20 % or more"), (39, 200, "below 20 %"), (19_999, 100_000, "below 20 %"), (100, 199, None)],
)
def test_fda_cutoff_includes_20_percent_and_needs_200_nuclei(
    positive: int, total: int, category: str | None
) -> None:
    assert fda_high_ki67(positive, total - positive).category == category


def test_score_ki67_puts_the_global_index_first() -> None:
    result = score_ki67(120, 380, hot_spot=HOT, excluded={"fold": 7}, areas_mm2={"tissue": 50.0})
    assert [score.name for score in result.scores] == ["Ki-67 labelling index", "Ki-67 hot spot"]
    assert (result.headline.value, result.status) == (24.0, Status.OK)
    assert result.flags == (Flag.HOT_SPOT_BIASED_UPWARD,)
    assert (result.excluded, result.areas_mm2) == ({"fold": 7}, {"tissue": 50.0})


def test_score_ki67_offers_the_field_interval_beside_wilson() -> None:
    by_field = Interval(15.0, 33.0, method="bootstrap of 40 fields")
    result = score_ki67(120, 380, hot_spot=HOT, field_interval=by_field)
    assert result.headline.interval is not None
    assert result.headline.interval.method == "Wilson"
    assert result.scores[1].interval == by_field
    assert [score.category for score in result.scores] == ["intermediate", None, None]


def test_score_ki67_is_partial_where_tissue_is_missing() -> None:
    result = score_ki67(120, 380, hot_spot=HOT, areas_mm2={"tissue": 50.0, "missing": 0.4})
    assert result.status is Status.PARTIAL
    assert Flag.AREA_MISSING in result.flags
    whole = score_ki67(120, 380, hot_spot=HOT, areas_mm2={"tissue": 50.0, "missing": 0.0})
    assert whole.status is Status.OK


def test_score_ki67_missing_tissue_does_not_hide_too_few_nuclei() -> None:
    result = score_ki67(10, 90, hot_spot=None, areas_mm2={"missing": 0.4})
    assert result.status is Status.INSUFFICIENT
    assert Flag.AREA_MISSING in result.flags


def test_score_ki67_without_nuclei_is_not_assessable() -> None:
    result = score_ki67(0, 0, hot_spot=None, field_interval=None)
    assert result.status is Status.NOT_ASSESSABLE
    assert [score.value for score in result.scores] == [None, None]


def test_score_ki67_without_hot_spot_asks_for_review_and_keeps_its_index() -> None:
    result = score_ki67(120, 380, hot_spot=None)
    assert (result.status, result.headline.status) == (Status.REVIEW, Status.OK)
    assert result.headline.category == "intermediate"
    assert Flag.HOT_SPOT_NONE_WITHIN_RADIUS in result.flags


def test_score_ki67_passes_flags_through() -> None:
    result = score_ki67(120, 380, hot_spot=HOT, flags=(Flag.TUMOUR_NOT_SEPARATED, "MY_OWN"))
    assert result.flags[:2] == ("TUMOUR_NOT_SEPARATED", "MY_OWN")
    assert result.status is Status.OK


def test_score_ki67_survives_json() -> None:
    result = score_ki67(
        np.int64(120),
        np.int64(380),
        hot_spot=HOT,
        excluded={"pen": np.int64(3)},
        areas_mm2={"missing": np.float32(1)},
    )
    assert SlideResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_every_flag_has_a_sentence_and_strangers_pass() -> None:
    assert all(explain_flag(flag).endswith(".") for flag in Flag)
    assert explain_flag("MY_OWN") == "MY_OWN"
