"""Colorectal class: its names, minimums to the um2, weak evidence, and a detector's own false cells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.models.tissue_classes import COLORECTAL_CLASSES
from slidelab.quantify import (
    ClassEvidence,
    Flag,
    FragmentEvidence,
    SignetEvidence,
    SlideResult,
    Standing,
    Status,
    call_class,
    colorectal_cutoffs,
    explain_flag,
    fragment_result,
    score_colorectal,
    signet_minimum,
    summarise_classes,
)

from .colorectal_evidence import NORMAL, UM2, fragment, of, score_of

LESIONS = ("serrated", "low_grade_in", "high_grade_in", "adenocarcinoma", "signet_ring")


# ------------------------------------------------------------------ worked example and names


def test_worked_example() -> None:
    found = fragment(
        low_grade_in=of(1.2, glands=40), high_grade_in=of(0.06, glands=2), adenocarcinoma=of(0.005)
    )
    result = score_colorectal([found])
    assert (result.headline.category, result.headline.value) == ("HGIN", 2)
    assert result.status is Status.REVIEW
    assert result.flags == (Flag.POSSIBLE_CARCINOMA,)
    assert "possible carcinoma" in explain_flag(result.flags[0]).lower()
    weak = score_of(result, "Adenocarcinoma area")
    assert (weak.value, weak.status, weak.category) == (0.005, Status.REVIEW, "below its minimum")


@pytest.mark.parametrize(
    ("evidence", "short", "rank", "vienna"),
    [
        ({"normal": NORMAL}, "Normal", 0, "1"),
        ({"polyp": of(0.5)}, "Polyp / hyperplastic", 0, "1"),
        ({"serrated": of(0.5, glands=2)}, "Serrated", 1, "3 (1 without dysplasia)"),
        ({"low_grade_in": of(0.5, glands=2)}, "LGIN", 1, "3"),
        ({"high_grade_in": of(0.5, glands=3)}, "HGIN", 2, "4.1/4.2"),
        ({"adenocarcinoma": of(0.5)}, "Adenocarcinoma", 3, "≥4.4"),
        ({"signet": SignetEvidence(5, 5)}, "Signet-ring cell carcinoma", 3, "≥4.4"),
    ],
)
def test_each_class_has_its_rank_and_vienna_category(
    evidence: dict[str, Any], short: str, rank: int, vienna: str
) -> None:
    found = fragment(**evidence)
    result, call = score_colorectal([found]), fragment_result(found)
    assert (result.headline.category, result.headline.value) == (short, rank)
    assert score_of(result, "Vienna category (revised)").category == vienna
    assert (call.category, call.rank, call.vienna) == (short, rank, vienna)


def test_both_names_are_printed() -> None:
    high = score_colorectal([fragment(high_grade_in=of(0.5))])
    assert score_of(high, "Vienna name").category == "High-grade intraepithelial neoplasia"
    assert "High-grade dysplasia" in str(score_of(high, "Western name (WHO)").category)
    assert "pTis" in str(score_of(high, "Western name (WHO)").category)
    cancer = score_colorectal([fragment(adenocarcinoma=of(0.5))])
    western = str(score_of(cancer, "Western name (WHO)").category)
    assert "beyond the muscularis mucosae" in western
    assert "pTis" in western
    assert "intramucosal" in str(score_of(cancer, "Vienna name").category)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({"adenocarcinoma": of(0.5)}, True),
        ({"signet": SignetEvidence(9, 9)}, True),
        ({"polyp": of(0.5)}, False),
    ],
)
def test_depth_is_never_claimed_for_a_carcinoma(evidence: dict[str, Any], expected: bool) -> None:
    result = score_colorectal([fragment(**evidence)])
    assert (Flag.DEPTH_NOT_ASSESSABLE in result.flags) is expected
    assert result.status is Status.OK  # a note, no doubt


def test_revised_vienna_categories_are_complete() -> None:
    vienna = {entry.category: entry for entry in colorectal_cutoffs().vienna}
    assert list(vienna) == ["1", "2", "3", "4.1", "4.2", "4.3", "4.4", "5"]
    assert {key: entry.original for key, entry in vienna.items() if entry.original} == {
        "4.4": "5.1",
        "5": "5.2",
    }
    assert vienna["4.3"].meaning == "Suspicious for invasive carcinoma"


def test_classes_are_those_of_the_network_and_one_for_cells() -> None:
    ids = tuple(entry.id for entry in colorectal_cutoffs().classes)
    assert ids == (*COLORECTAL_CLASSES, "signet_ring")


# ------------------------------------------------------------------ minimums


@pytest.mark.parametrize(
    ("name", "evidence", "is_enough"),
    [
        ("low_grade_in", of(3.0, glands=1), False),  # LGIN asks for glands alone
        ("low_grade_in", of(0.001, glands=2), True),
        ("serrated", of(3.0, glands=1), False),
        ("serrated", of(0.001, glands=2), True),
        ("high_grade_in", of(0.05 - UM2, glands=2), False),
        ("high_grade_in", of(0.05, glands=1), True),
        ("high_grade_in", of(0.001, glands=3), True),
        ("adenocarcinoma", of(0.02 - UM2, glands=9), False),
        ("adenocarcinoma", of(0.02, glands=1), True),
        ("adenocarcinoma", of(0.02, glands=0), True),
    ],
)
def test_minimums_hold_to_the_square_micrometre(name: str, evidence: ClassEvidence, is_enough: bool) -> None:
    call = call_class(fragment(normal=NORMAL, **{name: evidence}))
    entry = colorectal_cutoffs().lesion_class(name)
    assert call.result is not None
    assert call.result.id == (name if is_enough else "normal")
    assert (entry.flag in call.flags) is not is_enough
    assert (call.possible == (entry,)) is not is_enough


def test_sums_of_areas_are_compared_as_whole_square_micrometres() -> None:
    area = sum([0.001, 0.001, 0.009, 0.009])
    assert area < 0.02  # by rounding of binary numbers only
    call = call_class(fragment(normal=NORMAL, adenocarcinoma=ClassEvidence(area, 4, 0.01, 4)))
    assert call.result is not None
    assert call.result.id == "adenocarcinoma"


@pytest.mark.parametrize(("densest", "is_enough"), [(4, False), (5, True)])
def test_signet_ring_carcinoma_needs_five_cells_within_one_disc(densest: int, is_enough: bool) -> None:
    result = score_colorectal([fragment(normal=NORMAL, signet=SignetEvidence(40, densest))])
    assert result.headline.category == ("Signet-ring cell carcinoma" if is_enough else "Normal")
    assert (Flag.POSSIBLE_SIGNET_RING in result.flags) is not is_enough
    assert result.status is (Status.OK if is_enough else Status.REVIEW)


def test_signet_ring_carcinoma_is_named_before_adenocarcinoma_of_the_same_rank() -> None:
    result = score_colorectal([fragment(adenocarcinoma=of(2.0), signet=SignetEvidence(6, 5))])
    assert (result.headline.category, result.headline.value) == ("Signet-ring cell carcinoma", 3)
    assert (result.headline.numerator, result.headline.denominator) == (5, 6)


def test_single_signet_ring_cells_beside_a_carcinoma_are_for_review() -> None:
    result = score_colorectal([fragment(adenocarcinoma=of(2.0), signet=SignetEvidence(1, 1))])
    assert result.headline.category == "Adenocarcinoma"
    assert result.status is Status.REVIEW
    assert result.flags[0] == Flag.POSSIBLE_SIGNET_RING


def test_weaker_evidence_of_a_milder_class_stays_in_the_table_without_alarm() -> None:
    result = score_colorectal([fragment(adenocarcinoma=of(2.0), low_grade_in=of(0.1, glands=1))])
    assert result.status is Status.OK
    assert score_of(result, "LGIN area").status is Status.REVIEW
    assert score_of(result, "LGIN area").category == "below its minimum"


def test_evidence_of_one_class_does_not_count_towards_another() -> None:
    # together there would be three glands of high grade or worse
    result = score_colorectal(
        [fragment(normal=NORMAL, high_grade_in=of(0.04, glands=2), adenocarcinoma=of(0.019))]
    )
    assert result.headline.category == "Normal"
    assert result.flags == (Flag.POSSIBLE_CARCINOMA, Flag.POSSIBLE_HGIN)  # the most severe first
    assert result.status is Status.REVIEW


def test_no_class_at_all_when_everything_lies_below_its_minimum() -> None:
    found = fragment(high_grade_in=of(0.04, glands=2), adenocarcinoma=of(0.019))
    result = score_colorectal([found])
    assert (result.headline.category, result.headline.status) == (None, Status.INSUFFICIENT)
    assert result.headline.value == 3  # what it may be; not a reassuring zero
    assert set(result.flags) == {Flag.NO_CLASS_ESTABLISHED, Flag.POSSIBLE_CARCINOMA, Flag.POSSIBLE_HGIN}
    assert all(score.category is None for score in result.scores[:4])
    assert fragment_result(found).class_name is None
    assert fragment_result(found).possible == ("high_grade_in", "adenocarcinoma")


def test_between_normal_and_polyp_the_larger_area_decides() -> None:
    assert call_class(fragment(normal=of(0.5), polyp=of(0.4))).result.id == "normal"  # type: ignore[union-attr]
    assert call_class(fragment(normal=of(0.4), polyp=of(0.5))).result.id == "polyp"  # type: ignore[union-attr]
    assert score_colorectal([fragment(normal=of(0.4), polyp=of(0.5))]).status is Status.OK


def test_low_grade_outranks_serrated() -> None:
    both = fragment(serrated=of(1.0, glands=9), low_grade_in=of(0.1, glands=2))
    assert score_colorectal([both]).headline.category == "LGIN"


def test_serrated_lesions_are_left_to_a_person() -> None:
    result = score_colorectal([fragment(serrated=of(1.0, glands=9))])
    assert (result.status, result.flags) == (Status.REVIEW, (Flag.SERRATED_NOT_SUBTYPED,))


@pytest.mark.parametrize(("confidence", "is_low"), [(0.599, True), (0.6, False), (None, False)])
def test_an_unsure_network_asks_for_review(confidence: float | None, is_low: bool) -> None:
    result = score_colorectal([fragment(adenocarcinoma=of(2.0, confidence=confidence))])
    assert (Flag.LOW_CONFIDENCE in result.flags) is is_low
    assert result.status is (Status.REVIEW if is_low else Status.OK)


EVIDENCE = st.builds(
    ClassEvidence,
    area_mm2=st.sampled_from([0.0, 0.005, 0.0199, 0.02, 0.049, 0.05, 0.06, 1.0]),
    regions=st.integers(0, 3),
    glands=st.integers(0, 4),
    confidence=st.sampled_from([None, 0.5, 0.9]),
)
FRAGMENT = st.builds(
    FragmentEvidence,
    name=st.just("A"),
    tissue_mm2=st.sampled_from([0.0, 0.0999, 0.1, 2.0]),
    classes=st.dictionaries(st.sampled_from(COLORECTAL_CLASSES), EVIDENCE),
    signet=st.sampled_from([None, *(SignetEvidence(cells, cells) for cells in range(7))]),
)


@given(FRAGMENT)
def test_a_called_class_always_has_its_evidence_and_nothing_seen_is_dropped(found: FragmentEvidence) -> None:
    result = score_colorectal([found])
    rows = {row.class_name: row for row in summarise_classes([found])}
    call = call_class(found)
    if call.result is not None:
        assert rows[call.result.id].standing == Standing.ESTABLISHED
        assert result.headline.category == call.result.short
    severe = list(rows)[list(rows).index(call.result.id) + 1 :] if call.result is not None else LESIONS
    for name in severe:
        flag = colorectal_cutoffs().lesion_class(name).flag
        if rows[name].standing != Standing.ABSENT and flag is not None:
            assert flag in result.flags
            assert result.status is not Status.OK


@given(st.lists(FRAGMENT, max_size=4))
def test_every_result_survives_json(found: list[FragmentEvidence]) -> None:
    result = score_colorectal(found, uncertain_mm2={1: 0.5})
    assert SlideResult.from_json(json.loads(json.dumps(result.to_json()))) == result


# ------------------------------------------------------------------ a detector's own false cells


@pytest.mark.parametrize(("rate", "tissue_mm2", "least"), [(None, 5, 5), (0, 5, 5), (0.1, 5, 5)])
def test_a_precise_detector_needs_five_cells(rate: float | None, tissue_mm2: float, least: int) -> None:
    assert signet_minimum(SignetEvidence(false_per_mm2=rate), tissue_mm2) == least


def test_an_imprecise_detector_needs_more_cells_than_chance_gives_it() -> None:
    from scipy.stats import poisson

    for rate in (5.0, 20.0, 120.0):
        least = signet_minimum(SignetEvidence(false_per_mm2=rate), 5.0)
        by_chance = 50 * poisson.sf([least - 1, least - 2], rate * 0.1)
        assert by_chance[0] < 0.01
        assert least == 5 or by_chance[1] >= 0.01
    assert signet_minimum(SignetEvidence(false_per_mm2=120.0), 5.0) > 20
    assert signet_minimum(SignetEvidence(false_per_mm2=1e9), 5.0) > 1e8


def test_cells_that_chance_explains_are_for_review() -> None:
    noisy = SignetEvidence(60, 8, false_per_mm2=120.0)
    result = score_colorectal([fragment(normal=NORMAL, signet=noisy)])
    assert (result.headline.category, result.status) == ("Normal", Status.REVIEW)
    assert result.flags == (Flag.POSSIBLE_SIGNET_RING,)
