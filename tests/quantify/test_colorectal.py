"""Colorectal result of a slide: too little or uncertain evidence, statuses, and pooled fragments."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    ClassEvidence,
    Flag,
    FragmentEvidence,
    GlandFormation,
    GradingEvidence,
    SignetEvidence,
    Standing,
    Status,
    fragment_result,
    pool_fragments,
    score_colorectal,
    summarise_classes,
)

from .colorectal_evidence import NORMAL, UM2, fragment, of, score_of

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
