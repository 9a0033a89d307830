"""WHO grade, subtypes, and what is reported of a carcinoma."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slidelab.errors import InvalidTableError
from slidelab.quantify import (
    BuddingEvidence,
    Flag,
    GlandFormation,
    GradingEvidence,
    Status,
    StromaEvidence,
    SubtypeEvidence,
    colorectal_cutoffs,
    colorectal_subtype,
    grade_adenocarcinoma,
    tumour_scores,
)
from slidelab.quantify.colorectal_subtype import BY_PATTERN

UM2 = 1e-6


@pytest.mark.parametrize(
    ("glands_mm2", "grade"),
    [
        (1.0, "low grade"),  # exactly 50.0 %
        (1.0 - UM2, "high grade"),
        (1.0 + UM2, "low grade"),
        (2.0, "low grade"),
        (0.0, "high grade"),
    ],
)
def test_half_of_the_tumour_forming_glands_is_low_grade(glands_mm2: float, grade: str) -> None:
    (score,) = grade_adenocarcinoma(GlandFormation(glands_mm2, 2.0))
    assert (score.category, score.status) == (grade, Status.OK)
    assert score.value == pytest.approx(50 * glands_mm2)
    assert (score.numerator, score.denominator) == (round(glands_mm2 * 1e6), 2_000_000)


def test_the_lowest_window_decides_and_the_whole_stands_beside_it() -> None:
    windows = [GlandFormation(1.5, 2.0), GlandFormation(0.6, 1.5), GlandFormation(1.0, 1.5)]
    lowest, whole = grade_adenocarcinoma(GlandFormation(3.1, 5.0), windows=windows)
    assert lowest.name == "WHO grade, lowest 4 mm² window"
    assert (lowest.value, lowest.category) == (40, "high grade")
    assert (whole.value, whole.category) == (62, "low grade")
    assert (lowest.status, lowest.flags) == (Status.REVIEW, (Flag.GRADE_VARIES,))
    assert whole.status is Status.OK


def test_windows_that_agree_with_the_whole_raise_nothing() -> None:
    lowest, _ = grade_adenocarcinoma(GlandFormation(3.0, 5.0), windows=[GlandFormation(1.0, 2.0)])
    assert (lowest.category, lowest.status, lowest.flags) == ("low grade", Status.OK, ())


@pytest.mark.parametrize(("tumour_mm2", "counts"), [(0.1 - UM2, False), (0.1, True)])
def test_a_window_with_little_tumour_says_nothing(tumour_mm2: float, counts: bool) -> None:
    scores = grade_adenocarcinoma(GlandFormation(3.0, 4.0), windows=[GlandFormation(0.0, tumour_mm2)])
    assert (scores[0].category == "high grade") is counts
    assert len(scores) == 1 + counts


@pytest.mark.parametrize(
    ("tumour_mm2", "status"),
    [
        (0.0, Status.NOT_ASSESSABLE),
        (0.1 - UM2, Status.INSUFFICIENT),
        (0.1, Status.REVIEW),
        (1 - UM2, Status.REVIEW),
        (1.0, Status.OK),
    ],
)
def test_little_tumour_has_no_grade(tumour_mm2: float, status: Status) -> None:
    (score,) = grade_adenocarcinoma(GlandFormation(tumour_mm2, tumour_mm2))
    assert score.status is status
    assert (score.category is not None) is status.allows_category


def test_glands_cannot_exceed_the_tumour() -> None:
    with pytest.raises(InvalidTableError):
        GlandFormation(2.0, 1.0)


# ------------------------------------------------------------------ subtypes


@pytest.mark.parametrize(
    ("evidence", "name", "also"),
    [
        (SubtypeEvidence(51, 100, 0.0, 1.0), "signet-ring cell carcinoma", ()),
        (SubtypeEvidence(50, 100, 0.0, 1.0), "adenocarcinoma NOS", ("with signet-ring features",)),
        (SubtypeEvidence(0, 100, 0.0, 1.0), "adenocarcinoma NOS", ()),
        (SubtypeEvidence(0, 100, 0.5 + UM2, 1.0), "mucinous adenocarcinoma", ()),
        (SubtypeEvidence(0, 100, 0.5, 1.0), "adenocarcinoma NOS", ()),
        (SubtypeEvidence(1, 100, 0.6, 1.0), "mucinous adenocarcinoma", ("with signet-ring features",)),
        # both above 50 %: signet-ring cells are tested first
        (SubtypeEvidence(51, 100, 0.6, 1.0), "signet-ring cell carcinoma", ("mucinous adenocarcinoma",)),
        (SubtypeEvidence(tumour_mm2=1.0, micropapillary_mm2=0.05), "micropapillary adenocarcinoma", ()),
        (SubtypeEvidence(tumour_mm2=1.0, micropapillary_mm2=0.05 - UM2), "adenocarcinoma NOS", ()),
        (SubtypeEvidence(adenoma_like_mm2=0.5, invasive_mm2=1.0), "adenoma-like adenocarcinoma", ()),
        (SubtypeEvidence(adenoma_like_mm2=0.5 - UM2, invasive_mm2=1.0), "adenocarcinoma NOS", ()),
        (SubtypeEvidence(neuroendocrine_mm2=0.3, tumour_mm2=1.0), "mixed neuroendocrine (MiNEN)", ()),
        (SubtypeEvidence(neuroendocrine_mm2=0.7, tumour_mm2=1.0), "mixed neuroendocrine (MiNEN)", ()),
        (SubtypeEvidence(neuroendocrine_mm2=0.3 - UM2, tumour_mm2=1.0), "adenocarcinoma NOS", ()),
        (SubtypeEvidence(neuroendocrine_mm2=0.7 + UM2, tumour_mm2=1.0), "adenocarcinoma NOS", ()),
        (SubtypeEvidence(signet_cells=0, tumour_cells=0), "adenocarcinoma NOS", ()),
        (SubtypeEvidence(), "adenocarcinoma NOS", ()),
    ],
)
def test_subtypes(evidence: SubtypeEvidence, name: str, also: tuple[str, ...]) -> None:
    subtype = colorectal_subtype(evidence)
    assert (subtype.name, subtype.also) == (name, also)


@pytest.mark.parametrize(
    ("evidence", "is_measured"),
    [
        (SubtypeEvidence(0, 100, 0.0, 1.0), True),
        (SubtypeEvidence(0, 100), False),
        (SubtypeEvidence(mucin_mm2=0.0, tumour_mm2=1.0), False),
        (SubtypeEvidence(0, 0, 0.0, 1.0), False),
    ],
)
def test_nos_means_something_only_if_cells_and_mucin_were_measured(
    evidence: SubtypeEvidence, is_measured: bool
) -> None:
    assert colorectal_subtype(evidence).is_measured is is_measured


def test_subtypes_without_a_share_are_left_to_a_person() -> None:
    assert len(BY_PATTERN) == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: SubtypeEvidence(signet_cells=2, tumour_cells=1),
        lambda: SubtypeEvidence(signet_cells=-1),
        lambda: SubtypeEvidence(mucin_mm2=2.0, tumour_mm2=1.0),
        lambda: SubtypeEvidence(mucin_mm2=-1.0),
        lambda: SubtypeEvidence(tumour_mm2=float("nan")),
    ],
    ids=range(5),
)
def test_a_part_beyond_its_whole_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidTableError):
        make()


# ------------------------------------------------------------------ all of it


def test_everything_of_a_tumour_is_experimental_and_for_review() -> None:
    scores = tumour_scores(
        GradingEvidence(
            whole=GlandFormation(3.0, 4.0),
            windows=(GlandFormation(1.0, 2.0),),
            subtype=SubtypeEvidence(0, 500, 0.1, 5.0),
            budding=BuddingEvidence(12),
            stroma=StromaEvidence(1.0, 2.0, 4),
        )
    )
    assert [(score.name, score.category) for score in scores] == [
        ("WHO grade, lowest 4 mm² window", "low grade"),
        ("WHO grade, whole tumour", "low grade"),
        ("Signet-ring cells of tumour cells", "adenocarcinoma NOS"),
        ("Mucin of tumour area", None),
        ("Tumour budding", "Bd3"),
        ("Tumour-stroma ratio", "stroma-low"),
        ("Tumour-stroma ratio, to the nearest 10", None),
    ]
    assert {score.status for score in scores} == {Status.REVIEW}
    assert all(Flag.COLORECTAL_EXPERIMENTAL in score.flags for score in scores)
    assert tumour_scores(GradingEvidence()) == ()


def test_the_grade_of_another_subtype_says_so() -> None:
    evidence = GradingEvidence(
        whole=GlandFormation(3.0, 4.0), subtype=SubtypeEvidence(mucin_mm2=4.0, tumour_mm2=5.0)
    )
    grade, mucin = tumour_scores(evidence)
    assert Flag.GRADE_FOR_USUAL_TYPE in grade.flags
    assert mucin.category == "mucinous adenocarcinoma"
    assert (mucin.value, mucin.numerator, mucin.denominator) == (80, 4_000_000, 5_000_000)


def test_too_little_stays_too_little() -> None:
    (grade,) = tumour_scores(GradingEvidence(whole=GlandFormation(0.01, 0.02)))
    assert grade.status is Status.INSUFFICIENT


def test_cutoffs_are_those_of_the_who() -> None:
    cutoffs = colorectal_cutoffs()
    assert cutoffs.grade.window_um2 == 4_000_000
    assert cutoffs.grade.low_from_percent == 50
