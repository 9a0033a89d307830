"""ER and PR: worked examples, every edge of category and Allred score, statuses, controls, assembly."""

from __future__ import annotations

import copy
import json
import tomllib
from fractions import Fraction
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    Allred,
    Control,
    Controls,
    Flag,
    Interval,
    SlideResult,
    Status,
    allred,
    allred_score,
    average_intensity,
    control_flags,
    explain_flag,
    h_score,
    intensity_word,
    percent_positive,
    receptor_cutoffs,
    score_hormone_receptor,
)
from slidelab.quantify.receptor_cutoffs import read_receptor_cutoffs

Counts = tuple[int, int, int, int]
COUNTS = st.tuples(*[st.integers(0, 400)] * 4)
FINE = Controls("as expected", "as expected")  # type: ignore[arg-type]

WORKED = [
    # counts, percent, ours, QuPath, H-score, ER category
    ((300, 50, 100, 50), 40.0, (4, 2), (4, 2), 80.0, "ER positive"),
    ((900, 50, 30, 20), 10.0, (2, 2), (3, 2), 17.0, "ER low positive"),
    ((995, 5, 0, 0), 0.5, (1, 1), (1, 1), 0.5, "ER negative"),
    ((990, 10, 0, 0), 1.0, (2, 1), (2, 1), 1.0, "ER low positive"),
    ((200, 100, 100, 200), 200 / 3, (5, 2), (5, 2), 150.0, "ER positive"),
    ((100, 0, 0, 900), 90.0, (5, 3), (5, 3), 270.0, "ER positive"),
    ((1000, 0, 0, 0), 0.0, (0, 0), (0, 0), 0.0, "ER negative"),
]


@pytest.mark.parametrize(("counts", "percent", "ours", "qupath", "h", "category"), WORKED)
def test_worked_examples(
    counts: Counts, percent: float, ours: tuple[int, int], qupath: tuple[int, int], h: float, category: str
) -> None:
    assert percent_positive("ER", counts).value == percent
    assert percent_positive("ER", counts).category == category
    assert allred(counts) == Allred(*ours)
    assert allred(counts, convention="qupath") == Allred(*qupath)
    assert h_score("ER", counts).value == h


def test_worked_example_intensity_is_the_mean_of_stained_nuclei() -> None:
    # (100 + 200 + 600) / 400 = 2.25
    score = average_intensity("ER", (200, 100, 100, 200))
    assert (score.value, score.category) == (2.25, "moderate")


@pytest.mark.parametrize(
    ("positive", "er", "pr"),
    [
        (0, "ER negative", "PR negative"),
        (999, "ER negative", "PR negative"),  # 0.999 %, shown as 1.0
        (1000, "ER low positive", "PR positive"),  # 1 % exactly
        (10_000, "ER low positive", "PR positive"),  # 10 % exactly
        (10_001, "ER positive", "PR positive"),  # shown as 10
        (100_000, "ER positive", "PR positive"),
    ],
)
def test_categories_are_decided_on_exact_counts(positive: int, er: str, pr: str) -> None:
    counts = (100_000 - positive, 0, positive, 0)
    assert percent_positive("ER", counts).category == er
    assert percent_positive("PR", counts).category == pr


def test_er_of_0_9_percent_is_negative_though_it_rounds_to_1() -> None:
    assert percent_positive("ER", (991, 9, 0, 0)).category == "ER negative"


def test_low_positive_comes_with_its_advice_and_never_for_pr() -> None:
    assert percent_positive("ER", (950, 50, 0, 0)).flags == (Flag.ER_LOW_POSITIVE,)
    assert percent_positive("ER", (800, 200, 0, 0)).flags == ()
    assert percent_positive("PR", (950, 50, 0, 0)).flags == ()
    assert "low positive" in explain_flag(Flag.ER_LOW_POSITIVE)


@pytest.mark.parametrize(
    ("total", "status", "has_category"),
    [
        (1, Status.INSUFFICIENT, False),
        (99, Status.INSUFFICIENT, False),
        (100, Status.REVIEW, True),
        (499, Status.REVIEW, True),
        (500, Status.OK, True),
    ],
)
def test_status_and_category_follow_the_count(total: int, status: Status, has_category: bool) -> None:
    counts = (total - 1, 1, 0, 0)
    for score in (
        percent_positive("ER", counts),
        allred_score("ER", counts),
        average_intensity("ER", counts),
    ):
        assert (score.status, score.category is not None) == (status, has_category)
        assert score.value is not None
    assert h_score("ER", counts).status is status


def test_no_nuclei_are_not_assessable() -> None:
    result = score_hormone_receptor("PR", (0, 0, 0, 0))
    assert result.status is Status.NOT_ASSESSABLE
    assert {score.value for score in result.scores} == {None}
    assert {score.category for score in result.scores} == {None}
    assert {score.interval for score in result.scores} == {None}


def test_percent_carries_counts_interval_and_rule() -> None:
    score = percent_positive("ER", (300, 50, 100, 50))
    assert (score.name, score.unit, score.numerator, score.denominator) == (
        "ER positive nuclei",
        "%",
        200,
        500,
    )
    assert score.interval is not None
    assert score.interval.method == "Wilson"
    assert "er-asco-cap-2020" in score.rule
    assert "Allison" in score.rule


@pytest.mark.parametrize(
    ("convention", "at"),
    [
        # proportion scores just under, at and just over 1 %, 10 %, 1/3 and 2/3
        ("ours", [(1, 2, 2), (2, 2, 3), (3, 3, 4), (4, 5, 5)]),
        ("qupath", [(1, 2, 2), (2, 3, 3), (3, 4, 4), (4, 5, 5)]),
        ("original", [(1, 1, 2), (2, 2, 3), (3, 3, 4), (4, 4, 5)]),
    ],
)
def test_allred_proportion_at_every_edge(convention: str, at: list[tuple[int, int, int]]) -> None:
    total = 300_000
    for share, expected in zip(
        (Fraction(1, 100), Fraction(1, 10), Fraction(1, 3), Fraction(2, 3)), at, strict=True
    ):
        edge = int(share * total)
        found = tuple(
            allred((total - k, k, 0, 0), convention=convention).proportion for k in (edge - 1, edge, edge + 1)
        )
        assert found == expected


@pytest.mark.parametrize("convention", ["ours", "qupath", "original"])
def test_allred_of_one_stained_nucleus_is_2_and_of_none_is_0(convention: str) -> None:
    assert allred((9999, 1, 0, 0), convention=convention).total == 2
    assert allred((9999, 0, 0, 0), convention=convention).total == 0


@pytest.mark.parametrize(
    ("stained", "intensity", "word"),
    [
        ((1, 0, 0), 1, "weak"),
        ((4, 8, 0), 1, "weak"),  # mean 20/12 = 5/3 exactly: not above
        ((4, 9, 0), 2, "moderate"),  # 22/13 = 1.69
        ((0, 8, 4), 2, "moderate"),  # 28/12 = 7/3 exactly: not above
        ((0, 8, 5), 3, "strong"),  # 31/13 = 2.38
        ((0, 0, 1), 3, "strong"),
    ],
)
def test_intensity_is_strict_at_five_and_seven_thirds(
    stained: tuple[int, int, int], intensity: int, word: str
) -> None:
    counts = (100, *stained)
    assert allred(counts).intensity == intensity
    assert intensity_word(counts) == word


def test_intensity_without_stained_nuclei_is_none() -> None:
    assert intensity_word((500, 0, 0, 0)) is None
    score = average_intensity("ER", (500, 0, 0, 0))
    assert (score.status, score.flags) == (Status.NOT_ASSESSABLE, (Flag.NO_STAINED_NUCLEI,))


def test_allred_option_of_a_least_percentage() -> None:
    assert allred((990, 10, 0, 0), minimum_percent=1) == Allred(2, 1)
    assert allred((991, 9, 0, 0), minimum_percent=1) == Allred(0, 0)


@pytest.mark.parametrize(
    ("counts", "total", "category"),
    [((1000, 0, 0, 0), 0, "negative"), ((995, 5, 0, 0), 2, "negative"), ((990, 10, 0, 0), 3, "positive")],
)
def test_allred_is_positive_from_3(counts: Counts, total: int, category: str) -> None:
    score = allred_score("ER", counts)
    assert (score.value, score.category) == (total, category)
    assert score.rule.endswith("convention ours")


def test_allred_says_where_conventions_differ() -> None:
    assert allred_score("ER", (900, 50, 30, 20)).flags == (Flag.ALLRED_CONVENTIONS_DIFFER,)
    assert allred_score("ER", (300, 50, 100, 50)).flags == ()
    assert allred_score("ER", (990, 10, 0, 0), convention="original").value == 2


def test_unknown_names_are_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        allred((1, 1, 1, 1), convention="mine")
    assert "qupath" in caught.value.advice
    with pytest.raises(SettingsError):
        allred_score("ER", (0, 0, 0, 0), convention="mine")
    with pytest.raises(SettingsError):
        percent_positive("AR", (1, 1, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(InvalidTableError):
        allred((0, 0, 0, 0))


@pytest.mark.parametrize("counts", [(1, 2, 3), (1, 2, 3, 4, 5), (1, -1, 0, 0)])
def test_wrong_counts_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(InvalidTableError):
        score_hormone_receptor("ER", counts)


def test_h_score_names_how_its_interval_was_made() -> None:
    score = h_score("ER", (300, 50, 100, 50))
    assert (score.numerator, score.denominator, score.unit) == (400, 500, "of 300")
    assert score.interval is not None
    assert "delta method" in score.interval.method
    # variance of 0, 1, 2, 3 in the shares .6, .1, .2, .1: 1.8 - 0.8² = 1.16
    # 1.96 * 100 * sqrt(1.16 / 500) = 9.44
    assert score.interval.low == pytest.approx(80 - 9.44, abs=0.15)
    assert score.interval.high == pytest.approx(80 + 9.44, abs=0.15)


@pytest.mark.parametrize("counts", [(500, 0, 0, 0), (0, 500, 0, 0), (0, 0, 0, 500)])
def test_h_score_is_never_certain(counts: Counts) -> None:
    score = h_score("ER", counts)
    assert score.interval is not None
    assert score.interval.low < score.interval.high
    assert 0 <= score.interval.low <= (score.value or 0) <= score.interval.high <= 300


def test_h_score_interval_covers_what_it_claims() -> None:
    random = np.random.default_rng(3)
    shares = np.array([0.55, 0.2, 0.15, 0.1])
    truth = 100 * float(shares @ np.arange(4))
    intervals = [h_score("ER", row.tolist()).interval for row in random.multinomial(200, shares, size=400)]
    covered = [each is not None and each.low <= truth <= each.high for each in intervals]
    assert 0.92 <= np.mean(covered) <= 0.98


@given(COUNTS)
def test_bounds_hold_for_any_counts(counts: Counts) -> None:
    total = sum(counts)
    if total == 0:
        return
    h, percent = h_score("PR", counts), percent_positive("PR", counts)
    assert h.value is not None
    assert percent.value is not None
    assert percent.value - 1e-9 <= h.value <= 3 * percent.value + 1e-9
    assert h.interval is not None
    assert 0 <= h.interval.low <= h.value <= h.interval.high <= 300
    for convention in ("ours", "qupath", "original"):
        assert allred(counts, convention=convention).total in {0, 2, 3, 4, 5, 6, 7, 8}


@given(COUNTS, st.integers(0, 2))
def test_a_stronger_nucleus_never_lowers_h_score_or_proportion(counts: Counts, level: int) -> None:
    if counts[level] == 0:
        return
    stronger = list(counts)
    stronger[level] -= 1
    stronger[level + 1] += 1
    before, after = h_score("ER", counts).value, h_score("ER", stronger).value
    assert before is not None
    assert after is not None
    assert after > before
    for convention in ("ours", "qupath", "original"):
        ranks = [allred(each, convention=convention).proportion for each in (counts, stronger)]
        assert ranks[0] <= ranks[1]


@given(COUNTS)
def test_conventions_differ_by_one_at_most_and_in_one_direction(counts: Counts) -> None:
    if sum(counts) == 0:
        return
    original, ours, qupath = (
        allred(counts, convention=name).total for name in ("original", "ours", "qupath")
    )
    assert original <= ours <= qupath <= original + 1


@pytest.mark.parametrize(
    ("counts", "is_needed"),
    [
        ((1000, 0, 0, 0), True),
        ((900, 0, 0, 100), True),  # 10 % exactly, strong
        ((899, 0, 0, 101), False),
        ((100, 900, 0, 0), True),  # 90 %, weak
        ((100, 0, 900, 0), False),
        ((0, 0, 0, 0), False),
    ],
)
def test_controls_are_asked_for_with_little_or_weak_stain(counts: Counts, is_needed: bool) -> None:
    assert (Flag.CONTROL_CHECK_NEEDED in control_flags("ER", counts)) is is_needed
    assert (Flag.CONTROL_CHECK_NEEDED in control_flags("PR", counts)) is is_needed


LOW, WEAK, FULL = (950, 0, 0, 50), (100, 900, 0, 0), (100, 0, 0, 900)
ABSENT, GOOD, BAD, UNKNOWN = Control.ABSENT, Control.AS_EXPECTED, Control.FAILED, Control.NOT_STATED


@pytest.mark.parametrize(
    ("marker", "counts", "internal", "external", "expected"),
    [
        ("ER", LOW, GOOD, GOOD, {Flag.CONTROLS_AS_EXPECTED}),
        ("ER", LOW, GOOD, UNKNOWN, {Flag.CONTROL_CHECK_NEEDED}),
        ("ER", LOW, UNKNOWN, GOOD, {Flag.CONTROL_CHECK_NEEDED}),
        ("ER", LOW, GOOD, ABSENT, {Flag.CONTROL_CHECK_NEEDED}),
        ("ER", LOW, ABSENT, GOOD, {Flag.INTERNAL_CONTROL_ABSENT, Flag.TEST_ANOTHER_SPECIMEN}),
        ("PR", LOW, ABSENT, GOOD, {Flag.INTERNAL_CONTROL_ABSENT}),
        ("ER", WEAK, ABSENT, GOOD, {Flag.INTERNAL_CONTROL_ABSENT}),
        ("ER", FULL, ABSENT, GOOD, set()),
        ("ER", FULL, GOOD, GOOD, set()),
        ("ER", FULL, BAD, GOOD, {Flag.CONTROL_FAILED}),
        ("ER", LOW, GOOD, BAD, {Flag.CONTROL_FAILED}),
    ],
)
def test_controls_say_what_they_show(
    marker: Any, counts: Counts, internal: Control, external: Control, expected: set[Flag]
) -> None:
    assert set(control_flags(marker, counts, controls=Controls(internal, external))) == expected


def test_controls_refuse_other_words() -> None:
    with pytest.raises(ValueError, match="fine"):
        Controls("fine")  # type: ignore[arg-type]


def test_result_puts_the_percentage_first() -> None:
    result = score_hormone_receptor(
        "ER", (300, 50, 100, 50), excluded={"fold": 3}, areas_mm2={"tissue": 12.0}, flags=("MY_OWN",)
    )
    assert [score.name for score in result.scores] == [
        "ER positive nuclei",
        "ER average intensity",
        "ER H-score",
        "ER Allred score",
    ]
    assert (result.marker, result.headline.value, result.status) == ("ER", 40.0, Status.OK)
    assert (result.excluded, result.areas_mm2, result.flags) == ({"fold": 3}, {"tissue": 12.0}, ("MY_OWN",))


def test_result_offers_the_field_interval_beside_wilson() -> None:
    by_field = Interval(1.0, 9.0, method="bootstrap of 40 fields")
    result = score_hormone_receptor("ER", (950, 50, 0, 0), field_interval=by_field)
    assert result.scores[1].name == "ER positive nuclei, by field"
    assert (result.scores[1].interval, result.scores[1].category) == (by_field, None)
    assert result.headline.category == "ER low positive"


def test_result_is_for_review_until_controls_are_stated() -> None:
    counts = (950, 0, 30, 20)
    asked = score_hormone_receptor("ER", counts)
    assert (asked.status, asked.headline.status) == (Status.REVIEW, Status.OK)
    assert Flag.CONTROL_CHECK_NEEDED in asked.flags
    assert asked.headline.category == "ER low positive"
    assert score_hormone_receptor("ER", counts, controls=FINE).status is Status.OK


def test_result_with_a_failed_control_names_no_category() -> None:
    result = score_hormone_receptor("ER", (950, 50, 0, 0), controls=Controls(external=Control.FAILED))
    assert result.status is Status.REVIEW
    assert {score.category for score in result.scores} == {None}
    assert Flag.CONTROL_FAILED in result.flags
    assert Flag.ER_LOW_POSITIVE not in result.flags


def test_result_is_partial_where_tissue_is_missing() -> None:
    result = score_hormone_receptor("PR", (300, 50, 100, 50), areas_mm2={"missing": 0.1})
    assert result.status is Status.PARTIAL
    assert Flag.AREA_MISSING in result.flags


def test_result_survives_json() -> None:
    counts = tuple(np.array([900, 50, 30, 20]))
    result = score_hormone_receptor("ER", counts)
    assert SlideResult.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.fixture
def table() -> dict[str, Any]:
    text = files("slidelab.quantify").joinpath("receptor_cutoffs.toml").read_text(encoding="utf-8")
    return copy.deepcopy(tomllib.loads(text))


def test_cutoffs_are_dated_sourced_and_read_once(table: dict[str, Any]) -> None:
    assert receptor_cutoffs() is receptor_cutoffs()
    assert receptor_cutoffs().cutoffs.as_of == table["as_of"]
    for part in (table["count"], table["control"], table["intensity"], table["allred"], *table["scheme"]):
        assert part["source"]
        assert part["evidence"] in {"guideline", "tool", "project"}


BREAKAGES = {
    "no date": lambda table: table.pop("as_of"),
    "no pr": lambda table: table["scheme"].pop(),
    "advice on nothing": lambda table: table["control"].update(advisory_category="ER grey"),
    "percent as text": lambda table: table["control"].update(check_upto_percent="10"),
    "two words": lambda table: table["intensity"]["band"].pop(1),
    "fraction that is none": lambda table: table["intensity"]["band"][0].update(upto="5/x"),
    "float": lambda table: table["intensity"]["band"][0].update(upto=1.67),
    "falling": lambda table: table["allred"]["convention"][0]["band"][1].update(upto=60),
    "five proportion scores": lambda table: table["allred"]["convention"][0]["band"].pop(0),
}


@pytest.mark.parametrize("what", sorted(BREAKAGES))
def test_broken_cutoffs_are_refused(table: dict[str, Any], what: str) -> None:
    read_receptor_cutoffs(table)
    BREAKAGES[what](table)
    with pytest.raises(SettingsError):
        read_receptor_cutoffs(table)
