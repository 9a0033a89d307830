"""Colorectal class of fragment and slide: minimums to the um2, names, weak evidence, statuses, pooling."""

from __future__ import annotations

import copy
import json
import pickle
import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.models.tissue_classes import COLORECTAL_CLASSES
from slidelab.quantify import (
    ClassEvidence,
    Flag,
    FragmentEvidence,
    GlandFormation,
    GradingEvidence,
    Score,
    SignetEvidence,
    SlideResult,
    Standing,
    Status,
    call_class,
    colorectal_cutoffs,
    explain_flag,
    fragment_result,
    pool_fragments,
    score_colorectal,
    signet_minimum,
    summarise_classes,
)
from slidelab.quantify.colorectal_cutoffs import read_colorectal_cutoffs

NONE_SEEN = SignetEvidence()
UM2 = 1e-6
NORMAL = ClassEvidence(1.0, 2, 0.6, 50)
LESIONS = ("serrated", "low_grade_in", "high_grade_in", "adenocarcinoma", "signet_ring")


def of(area_mm2: float, *, glands: int = 1, confidence: float | None = 0.9) -> ClassEvidence:
    """Return evidence of one lesion."""
    return ClassEvidence(area_mm2, 1, area_mm2, glands, confidence)


def fragment(
    name: str = "A",
    *,
    tissue_mm2: float = 5.0,
    signet: SignetEvidence | None = NONE_SEEN,
    **classes: ClassEvidence,
) -> FragmentEvidence:
    """Return a fragment with the given classes."""
    return FragmentEvidence(name, tissue_mm2, classes, signet)


def score_of(result: SlideResult, name: str) -> Score:
    """Return a score by its name."""
    return next(score for score in result.scores if score.name == name)


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


# ------------------------------------------------------------------ too little


def test_nothing_is_not_assessable() -> None:
    for found in ([], [fragment()], [fragment(tissue_mm2=0)], [fragment(normal=ClassEvidence())]):
        result = score_colorectal(found)
        assert (result.status, result.headline.value) == (Status.NOT_ASSESSABLE, None)
        assert Flag.NO_EPITHELIUM in result.flags
    assert fragment_result(fragment()).status is Status.NOT_ASSESSABLE


@pytest.mark.parametrize(
    ("tissue_mm2", "status", "category"),
    [
        (0.1 - UM2, Status.INSUFFICIENT, None),
        (0.1, Status.REVIEW, "Adenocarcinoma"),
        (1 - UM2, Status.REVIEW, "Adenocarcinoma"),
        (1.0, Status.OK, "Adenocarcinoma"),
    ],
)
def test_little_tissue(tissue_mm2: float, status: Status, category: str | None) -> None:
    result = score_colorectal([fragment(tissue_mm2=tissue_mm2, adenocarcinoma=of(0.05))])
    assert (result.status, result.headline.category) == (status, category)
    assert result.headline.value == 3
    assert (Flag.LITTLE_TISSUE in result.flags) is (status is not Status.OK)
    assert (Flag.POSSIBLE_CARCINOMA in result.flags) is (status is Status.INSUFFICIENT)  # never hidden


def test_a_small_fragment_of_a_large_biopsy_is_enough_for_its_class() -> None:
    call = fragment_result(fragment(tissue_mm2=0.2, low_grade_in=of(0.1, glands=2)))
    assert (call.category, call.status, call.flags) == ("LGIN", Status.OK, ())


def test_uncertain_glands_are_counted_apart_and_ask_for_review() -> None:
    result = score_colorectal([fragment(normal=NORMAL)], uncertain_mm2={0: 0.02, 2: 0.01})
    assert (result.status, result.flags) == (Status.REVIEW, (Flag.UNCERTAIN_GLANDS,))
    assert score_of(result, "Uncertain glands").value == 0.03
    assert result.headline.category == "Normal"
    sure = score_colorectal([fragment(normal=NORMAL)])
    assert sure.status is Status.OK
    assert "Uncertain glands" not in [score.name for score in sure.scores]


@pytest.mark.parametrize(
    ("uncertain", "status"),
    [
        ({0: 0.0}, Status.OK),
        ({0: 0.1}, Status.OK),  # of 1.1 mm2 less than a tenth
        ({0: 0.12}, Status.REVIEW),  # of 1.12 mm2 more than a tenth
        ({1: 0.1}, Status.OK),  # no worse than what is reported
        ({2: 1e-4}, Status.REVIEW),  # may be worse, so any area counts
        ({0: 0.05, 3: 1e-4}, Status.REVIEW),
    ],
)
def test_uncertain_glands_ask_for_review_where_they_may_change_the_result(
    uncertain: dict[int, float], status: Status
) -> None:
    found = fragment(low_grade_in=of(1.0, glands=40))
    assert score_colorectal([found], uncertain_mm2=uncertain).status is status


@pytest.mark.parametrize(
    ("false_mm2", "category", "flagged"),
    [
        (0.0, "HGIN", False),
        (0.02, "HGIN", False),  # 0.06 mm2 are exactly three times what mistakes make
        (0.021, "LGIN", True),
    ],
)
def test_a_class_must_be_three_times_what_mistakes_on_milder_glands_make(
    false_mm2: float, category: str, flagged: bool
) -> None:
    severe = ClassEvidence(area_mm2=0.06, regions=1, largest_mm2=0.06, glands=6, false_mm2=false_mm2)
    found = fragment(low_grade_in=of(1.2, glands=60), high_grade_in=severe)
    result = score_colorectal([found])
    assert result.headline.category == category
    assert (Flag.POSSIBLE_HGIN in result.flags) is flagged
    assert result.status is (Status.REVIEW if flagged else Status.OK)


def test_worse_glands_speak_for_a_class_against_mistakes() -> None:
    severe = ClassEvidence(area_mm2=0.06, regions=1, largest_mm2=0.06, glands=6, false_mm2=0.033)
    found = fragment(low_grade_in=of(1.2, glands=60), high_grade_in=severe, adenocarcinoma=of(0.04))
    rows = {row.class_name: row.standing for row in summarise_classes([found])}
    assert rows["high_grade_in"] == Standing.ESTABLISHED
    weak = fragment(low_grade_in=of(1.2, glands=60), high_grade_in=severe)
    assert {row.class_name: row.standing for row in summarise_classes([weak])}[
        "high_grade_in"
    ] == Standing.MISTAKABLE


def test_mistakes_add_up_over_fragments() -> None:
    severe = ClassEvidence(area_mm2=0.06, regions=1, largest_mm2=0.06, glands=6, false_mm2=0.02)
    pooled = pool_fragments([fragment(high_grade_in=severe), fragment(high_grade_in=severe)])
    assert pooled.classes["high_grade_in"].false_mm2 == pytest.approx(0.04)


def test_only_uncertain_glands_make_no_class() -> None:
    result = score_colorectal([fragment()], uncertain_mm2={3: 0.5})
    assert (result.status, result.flags) == (Status.NOT_ASSESSABLE, (Flag.UNCERTAIN_GLANDS,))


def test_tissue_that_could_not_be_read_makes_the_result_partial() -> None:
    result = score_colorectal([fragment(normal=NORMAL)], areas_mm2={"missing": 0.4}, flags=["PEN"])
    assert (result.status, result.flags) == (Status.PARTIAL, ("PEN", Flag.AREA_MISSING))


def test_signet_ring_cells_that_nobody_looked_for_are_not_none() -> None:
    result = score_colorectal([fragment(normal=NORMAL, signet=None)])
    cells = score_of(result, "Signet-ring cells")
    assert (cells.value, cells.status) == (None, Status.NOT_ASSESSABLE)
    assert Flag.SIGNET_NOT_LOOKED_FOR in result.flags
    assert result.headline.status is Status.OK
    looked = score_colorectal([fragment(normal=NORMAL)])
    assert score_of(looked, "Signet-ring cells").value == 0
    assert Flag.SIGNET_NOT_LOOKED_FOR not in looked.flags


def test_looking_in_some_fragments_only_is_told() -> None:
    found = [fragment("A", normal=NORMAL), fragment("B", normal=NORMAL, signet=None)]
    assert Flag.SIGNET_NOT_LOOKED_FOR in score_colorectal(found).flags


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


# ------------------------------------------------------------------ fragments


def test_fragments_are_pooled() -> None:
    whole = pool_fragments(
        [
            fragment("A", tissue_mm2=2, high_grade_in=ClassEvidence(0.03, 1, 0.03, 1, 0.9), signet=None),
            fragment("B", tissue_mm2=3, high_grade_in=ClassEvidence(0.01, 2, 0.008, 2, 0.5)),
            fragment("C", signet=SignetEvidence(7, 4, 0.5)),
            fragment("D", signet=SignetEvidence(3, 3, 0.2)),
        ]
    )
    found = whole.classes["high_grade_in"]
    assert (whole.tissue_mm2, found.regions, found.glands, found.largest_mm2) == (15, 3, 3, 0.03)
    assert found.area_mm2 == pytest.approx(0.04)
    assert found.confidence == pytest.approx(0.8)
    assert whole.signet == SignetEvidence(10, 4, 0.5)  # no disc reaches across glass
    assert pool_fragments([]).signet is None
    assert pool_fragments([fragment("A", signet=None)]).signet is None


def test_the_slide_adds_up_what_no_fragment_has_alone() -> None:
    found = [fragment(name, normal=NORMAL, high_grade_in=of(0.03)) for name in "AB"]
    result = score_colorectal(found)
    assert result.headline.category == "HGIN"
    assert [score_of(result, f"Fragment {name}").category for name in "AB"] == ["Normal", "Normal"]
    assert [fragment_result(one).flags for one in found] == [(Flag.POSSIBLE_HGIN,)] * 2
    assert (result.status, result.flags) == (Status.OK, ())  # nothing merely possible is left


def test_the_slide_has_the_class_of_its_worst_fragment() -> None:
    found = [fragment("A", normal=NORMAL), fragment("B", adenocarcinoma=of(0.3)), fragment("C")]
    result = score_colorectal(found, kind="resection")
    assert result.headline.name == "Colorectal resection class"
    assert result.headline.category == "Adenocarcinoma"
    assert (result.headline.numerator, result.headline.denominator) == (300_000, 15_000_000)
    statuses = [score_of(result, f"Fragment {name}").status for name in "ABC"]
    assert statuses == [Status.OK, Status.OK, Status.NOT_ASSESSABLE]
    assert Flag.NO_EPITHELIUM not in result.flags


def test_summary_and_scores_hold_area_share_lesions_and_largest() -> None:
    found = fragment(low_grade_in=ClassEvidence(1.25, 3, 0.5, 20, 0.8))
    row = {row.class_name: row for row in summarise_classes([found])}["low_grade_in"]
    assert (row.short, row.area_mm2, row.share, row.regions, row.largest_mm2) == ("LGIN", 1.25, 0.25, 3, 0.5)
    assert (row.glands, row.confidence, row.standing) == (20, 0.8, "enough evidence")
    result = score_colorectal([found])
    names = ("LGIN area", "LGIN share of tissue", "LGIN lesions", "LGIN largest lesion")
    assert [score_of(result, name).value for name in names] == [1.25, 25, 3, 0.5]
    assert [score_of(result, name).shown for name in names] == ["1.25 mm²", "25 %", "3 lesions", "0.50 mm²"]
    assert score_of(result, "HGIN area").value == 0
    assert "HGIN lesions" not in [score.name for score in result.scores]


def test_summary_without_tissue_has_no_share() -> None:
    assert {row.share for row in summarise_classes([fragment(tissue_mm2=0, normal=NORMAL)])} == {None}
    result = score_colorectal([fragment(tissue_mm2=0, normal=NORMAL)])
    assert score_of(result, "Normal share of tissue").status is Status.NOT_ASSESSABLE


def test_grading_is_for_carcinomas_only() -> None:
    grading = GradingEvidence(whole=GlandFormation(1.0, 2.0))
    cancer = score_colorectal([fragment(adenocarcinoma=of(2.0))], grading=grading)
    assert score_of(cancer, "WHO grade, whole tumour").category == "low grade"
    assert Flag.COLORECTAL_EXPERIMENTAL in cancer.flags
    assert cancer.headline.status is Status.OK
    benign = score_colorectal([fragment(normal=NORMAL)], grading=grading)
    assert not [score.name for score in benign.scores if "grade" in score.name.lower()]


def test_fragments_travel_between_workers() -> None:
    found = fragment(normal=NORMAL)
    assert pickle.loads(pickle.dumps(found)) == found


# ------------------------------------------------------------------ wrong input


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClassEvidence(area_mm2=-1),
        lambda: ClassEvidence(area_mm2=float("nan")),
        lambda: ClassEvidence(largest_mm2=float("inf")),
        lambda: ClassEvidence(regions=-1),
        lambda: ClassEvidence(glands=-1),
        lambda: ClassEvidence(confidence=1.1),
        lambda: SignetEvidence(3, 4),
        lambda: SignetEvidence(3, 0),
        lambda: SignetEvidence(-1, -1),
        lambda: SignetEvidence(false_per_mm2=-1),
        lambda: FragmentEvidence("A", -1, {}),
        lambda: FragmentEvidence("A", 1, {"signet_ring": ClassEvidence()}),
        lambda: FragmentEvidence("A", 1, {"cancer": ClassEvidence()}),
        lambda: score_colorectal([], uncertain_mm2={0: -1}),
    ],
    ids=range(14),
)
def test_impossible_evidence_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidTableError):
        make()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SettingsError, match="smear"):
        score_colorectal([], kind="smear")  # type: ignore[arg-type]


# ------------------------------------------------------------------ the data file


def table() -> dict[str, Any]:
    """Return the packaged file, parsed."""
    text = files("slidelab.quantify").joinpath("colorectal_cutoffs.toml").read_text(encoding="utf-8")
    return copy.deepcopy(tomllib.loads(text))


def test_every_section_names_its_source_and_how_well_it_is_founded() -> None:
    sections = [value for value in table().values() if isinstance(value, dict)]
    assert len(sections) == 11
    for section in sections:
        assert section["source"]
        assert section["evidence"] in ("guideline", "unverified", "project")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t.pop("as_of"),
        lambda t: t["class"].reverse(),
        lambda t: t["class"].append(t["class"][-1]),
        lambda t: t["class"].pop(),
        lambda t: t["class"][3].pop("minimum_glands"),
        lambda t: t["class"][3].pop("flag"),
        lambda t: t["class"][3].update(minimum_glands=0),
        lambda t: t["class"][3].update(flag="NO_SUCH_FLAG"),
        lambda t: t["class"][3].update(minimum_cells=4),
        lambda t: t["class"][0].update(rank=1),
        lambda t: t["tissue"].update(insufficient_below_um2=2_000_000),
        lambda t: t["signet"].update(chance=1.0),
        lambda t: t["signet"].update(disc_um2=0.1),
        lambda t: t["confidence"].update(review_below_percent=100),
        lambda t: t["budding"].update(grades=[]),
        lambda t: t["grade"].update(low_from_percent=True),
        lambda t: t["subtype"].pop("mixed_from_percent"),
        lambda t: t["stroma"].update(high_above_percent=0),
    ],
    ids=range(18),
)
def test_a_spoilt_file_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    spoilt = table()
    assert read_colorectal_cutoffs(spoilt) == colorectal_cutoffs()
    spoil(spoilt)
    with pytest.raises(SettingsError, match=r"colorectal_cutoffs\.toml"):
        read_colorectal_cutoffs(spoilt)
