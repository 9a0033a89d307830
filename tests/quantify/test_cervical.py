"""The result of a cervical slide: every row of the rule's table, and what must never be called negative."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    AdequacyEvidence,
    CallCounts,
    CellEstimate,
    CervicalEvidence,
    Flag,
    Interval,
    SlideResult,
    Status,
    asc_sil_ratio,
    cervical_cutoffs,
    interpret_calls,
    report_lines,
    score_cervical,
)

SQUAMOUS = ("SCC", "HSIL", "ASC-H", "LSIL", "ASC-US")


def estimate(cells: float) -> CellEstimate:
    return CellEstimate(cells, Interval(cells * 0.98, cells * 1.02, method="test"), int(cells))


def specimen(cells: float = 30_000, zone: int | None = 40, **more) -> AdequacyEvidence:
    more = {"preparation": "thinprep", "obscured": (0, 100), **more}
    return AdequacyEvidence(squamous=estimate(cells), transformation_zone_cells=zone, **more)


def evidence(calls=None, *, small=None, found=None, judged=500, of=None, **more) -> CervicalEvidence:
    counts = CallCounts(calls or {}, small or {}, found or {})
    return CervicalEvidence(counts, judged, specimen() if of is None else of, **more)


def result(calls=None, **more) -> SlideResult:
    return score_cervical(evidence(calls, **more))


def categories(found: SlideResult) -> list[str | None]:
    return [score.category for score in found.scores if score.name.startswith("Bethesda")]


def test_row_2_hsil():
    found = result({"HSIL": 2})
    assert (found.headline.category, found.status, found.headline.value) == ("HSIL", Status.OK, 4)
    assert (found.headline.numerator, found.headline.denominator) == (2, 500)


def test_row_1_asc_h_among_lsil_and_asc_us():
    call = interpret_calls(CallCounts({"ASC-H": 1, "LSIL": 5, "ASC-US": 20}))
    assert call.interpretations == ("LSIL",)
    assert (call.supports["ASC-H"], call.supports["LSIL"], call.supports["ASC-US"]) == (1, 6, 26)
    assert dict(call.open_calls) == {"ASC-H": 1}
    found = result({"ASC-H": 1, "LSIL": 5, "ASC-US": 20})
    assert (found.headline.category, found.status) == ("LSIL", Status.REVIEW)
    assert Flag.CERVICAL_CALLS_UNEXPLAINED in found.flags


def test_row_2_lsil_and_3_asc_us():
    call = interpret_calls(CallCounts({"LSIL": 2, "ASC-US": 3}))
    assert (call.interpretations, call.supports["LSIL"], call.supports["ASC-US"]) == (("ASC-US",), 2, 5)
    assert result({"LSIL": 2, "ASC-US": 3}).status is Status.OK


def test_row_1_hsil_and_nothing_else_is_never_nilm():
    found = result({"HSIL": 1})
    assert (found.headline.category, found.status) == (None, Status.REVIEW)
    assert found.headline.value == 4  # what is suspected, for the order of a worklist
    assert Flag.CERVICAL_NILM_WITHHELD in found.flags
    assert "NILM" not in categories(found)


def test_row_1_hsil_and_1_asc_h():
    found = result({"HSIL": 1, "ASC-H": 1})
    assert (found.headline.category, found.status, found.headline.numerator) == ("ASC-H", Status.REVIEW, 2)
    assert dict(interpret_calls(CallCounts({"HSIL": 1, "ASC-H": 1})).open_calls) == {"HSIL": 1}


def test_row_4_lsil_and_a_group_of_agc():
    found = result({"LSIL": 4, "AGC": 1})
    assert categories(found) == ["AGC-NOS", "LSIL"]
    assert (found.status, found.headline.value) == (Status.OK, 3)


def test_row_no_call_6000_cells_4_zone_cells_and_candida():
    case = evidence(found={"CANDIDA": 3}, of=specimen(6000, 4))
    found = score_cervical(case)
    assert (found.headline.category, found.status, found.headline.value) == ("NILM", Status.OK, 0)
    by_name = {score.name: score for score in found.scores}
    assert by_name["Squamous cells"].category == "satisfactory for evaluation"
    assert by_name["Transformation zone cells"].category == "absent"
    assert by_name["Fungal organisms morphologically consistent with Candida spp."].value == 3
    assert report_lines(case) == (
        "satisfactory for evaluation; borderline squamous cellularity; transformation zone component absent",
        "Negative for intraepithelial lesion or malignancy",
        "Fungal organisms morphologically consistent with Candida spp.",
    )


def test_row_no_call_3900_cells():
    case = evidence(of=specimen(3900))
    found = score_cervical(case)
    assert (found.headline.category, found.status) == (None, Status.INSUFFICIENT)
    cells = next(score for score in found.scores if score.name == "Squamous cells")
    assert (cells.category, cells.status, cells.denominator) == (
        "unsatisfactory for evaluation",
        Status.OK,
        5000,
    )
    assert report_lines(case)[0].startswith("unsatisfactory for evaluation (scant squamous cells)")
    assert len(report_lines(case)) == 1  # no interpretation of an unsatisfactory specimen


@pytest.mark.parametrize(
    ("code", "enough"),
    [("SCC", 2), ("HSIL", 2), ("ASC-H", 2), ("LSIL", 3), ("ASC-US", 5), ("AGC", 1), ("AIS", 1), ("ADC", 1)],
)
def test_each_class_needs_its_number_of_calls(code, enough):
    known = cervical_cutoffs().tbs_class(code)
    assert interpret_calls(CallCounts({code: enough})).headline == known.code
    if enough > 1:
        assert interpret_calls(CallCounts({code: enough - 1})).interpretations == ()


@pytest.mark.parametrize(
    ("code", "rank", "term"),
    [
        ("NILM", 0, "Negative for intraepithelial lesion or malignancy"),
        ("ASC-US", 1, "Atypical squamous cells of undetermined significance"),
        ("LSIL", 2, "Low-grade squamous intraepithelial lesion (HPV / mild dysplasia / CIN 1)"),
        ("ASC-H", 3, "Atypical squamous cells, cannot exclude HSIL"),
        ("AGC-EC", 3, "Atypical endocervical cells"),
        ("AGC-EM", 3, "Atypical endometrial cells"),
        ("AGC-NOS", 3, "Atypical glandular cells (NOS)"),
        ("AGC-FN", 4, "Atypical endocervical / glandular cells, favor neoplastic"),
        ("HSIL", 4, "High-grade squamous intraepithelial lesion (CIN 2, CIN 3/CIS)"),
        ("AIS", 5, "Endocervical adenocarcinoma in situ"),
        ("SCC", 6, "Squamous cell carcinoma"),
        ("ADC", 6, "Adenocarcinoma: endocervical, endometrial, extrauterine, NOS"),
        ("OTH-M", 6, "Other malignant neoplasms"),
    ],
)
def test_terms_and_ranks(code, rank, term):
    known = cervical_cutoffs().tbs_class(code)
    assert (known.rank, known.term) == (rank, term)


def test_more_severe_calls_count_for_milder_classes():
    assert interpret_calls(CallCounts({"SCC": 1, "HSIL": 1})).headline == "HSIL"
    assert interpret_calls(CallCounts({"HSIL": 1, "LSIL": 1, "ASC-US": 3})).headline == "ASC-US"
    assert interpret_calls(CallCounts({"HSIL": 1, "LSIL": 1, "ASC-US": 3})).open_calls == {"HSIL": 1}


def test_lines_do_not_support_each_other():
    call = interpret_calls(CallCounts({"HSIL": 1}, {"AIS": 1}))
    assert (call.interpretations, dict(call.open_calls)) == ((), {"HSIL": 1, "AIS": 1})
    assert interpret_calls(CallCounts({"ADC": 1, "ASC-US": 4})).interpretations == ("ADC",)


def test_lsil_with_enough_asc_h_are_two_interpretations():
    found = result({"ASC-H": 2, "LSIL": 5})
    assert categories(found) == ["ASC-H", "LSIL"]
    assert interpret_calls(CallCounts({"ASC-H": 2, "LSIL": 2})).interpretations == ("ASC-H",)
    assert interpret_calls(CallCounts({"HSIL": 2, "LSIL": 9})).interpretations == ("HSIL",)


def test_equal_ranks_put_the_squamous_result_first():
    assert interpret_calls(CallCounts({"SCC": 2, "ADC": 1})).interpretations == ("SCC", "ADC")
    assert interpret_calls(CallCounts({"HSIL": 2, "AIS": 1})).interpretations == ("AIS", "HSIL")


def test_kinds_of_agc_that_differ_are_not_specified_otherwise():
    assert interpret_calls(CallCounts({"AGC-EC": 2})).headline == "AGC-EC"
    assert interpret_calls(CallCounts({"AGC-EC": 1, "AGC-EM": 1})).headline == "AGC-NOS"
    assert interpret_calls(CallCounts({"AGC-FN": 1, "AGC-EC": 1})).headline == "AGC-FN"
    own = cervical_cutoffs().with_rules(calls={"AGC-EC": 3, "AGC-EM": 3, "AGC-NOS": 2})
    assert interpret_calls(CallCounts({"AGC-EC": 1, "AGC-EM": 1}), cutoffs=own).headline == "AGC-NOS"
    assert interpret_calls(CallCounts({"AGC-EC": 2}), cutoffs=own).headline == "AGC-NOS"
    assert interpret_calls(CallCounts({"AGC-EC": 3}), cutoffs=own).headline == "AGC-EC"


def test_a_small_glandular_group_asks_for_a_person():
    found = result(small={"AGC": 1})
    assert (found.headline.category, found.status) == (None, Status.REVIEW)
    beside = result({"LSIL": 4}, small={"AGC": 1})
    assert (beside.headline.category, beside.status) == ("LSIL", Status.REVIEW)


def test_few_mild_calls_are_not_cleared_either():
    for calls in ({"ASC-US": 1}, {"LSIL": 2}, {"ASC-US": 4}):
        found = result(calls)
        assert (found.headline.category, found.status) == (None, Status.REVIEW)


@given(st.dictionaries(st.sampled_from(SQUAMOUS), st.integers(0, 6)), st.sampled_from(SQUAMOUS))
def test_one_more_call_never_makes_a_result_milder(calls, added):
    def rank(tally):
        headline = interpret_calls(CallCounts(tally)).headline
        return 0 if headline is None else cervical_cutoffs().classes[headline].rank

    assert rank({**calls, added: calls.get(added, 0) + 1}) >= rank(calls)


@given(
    st.dictionaries(st.sampled_from((*SQUAMOUS, "AGC", "AIS", "ADC", "OTH-M")), st.integers(1, 6)),
    st.booleans(),
)
def test_a_slide_with_any_accepted_call_is_never_nilm(calls, is_small):
    found = result(small=calls) if is_small else result(calls)
    assert (found.headline.category == "NILM") == (not calls)
    assert found.status is Status.OK or calls


def test_abnormal_calls_make_a_scant_specimen_satisfactory():
    case = evidence({"ASC-US": 5}, of=specimen(300))
    found = score_cervical(case)
    assert (found.headline.category, found.status) == ("ASC-US", Status.OK)
    assert Flag.CERVICAL_SATISFACTORY_BY_FINDING in found.flags
    assert "scant squamous cells, satisfactory because of abnormal cells" in report_lines(case)[0]


def test_a_lone_call_on_a_scant_specimen_is_for_review_and_not_unsatisfactory():
    case = evidence({"HSIL": 1}, of=specimen(300))
    found = score_cervical(case)
    assert (found.headline.category, found.status) == (None, Status.REVIEW)
    assert "unsatisfactory" not in " ".join(report_lines(case))
    assert report_lines(case)[1] == "No interpretation: single abnormal cells have to be looked at"


def test_without_adequacy_a_slide_is_not_negative_but_may_be_abnormal():
    negative = score_cervical(CervicalEvidence(CallCounts(), 500))
    assert (negative.headline.category, negative.status) == (None, Status.REVIEW)
    assert Flag.CERVICAL_ADEQUACY_UNKNOWN in negative.flags
    abnormal = score_cervical(CervicalEvidence(CallCounts({"HSIL": 3}), 500))
    assert (abnormal.headline.category, abnormal.status) == ("HSIL", Status.OK)


def test_a_slide_on_which_nothing_was_judged_is_not_assessable():
    found = result(judged=0)
    assert (found.headline.value, found.headline.category) == (None, None)
    assert found.status is Status.NOT_ASSESSABLE


def test_a_rejected_specimen_has_no_result_at_all():
    held = evidence({"HSIL": 5}, found={"CANDIDA": 3}, of=specimen(rejected="broken slide"))
    assert report_lines(held) == ("unsatisfactory for evaluation (specimen rejected: broken slide)",)
    found = score_cervical(held)
    assert not [score for score in found.scores if "Candida" in score.name]
    assert (found.headline.value, found.status) == (None, Status.NOT_ASSESSABLE)
    assert categories(found) == [None]
    assert Flag.CERVICAL_REJECTED in found.flags


def test_organisms_are_listed_with_any_result():
    found = result({"HSIL": 2}, found={"TRICHOMONAS": 2, "FLORA": 2, "ACTINOMYCES": 1})
    names = [score.name for score in found.scores]
    assert "Trichomonas vaginalis" in names
    assert "Bacteria morphologically consistent with Actinomyces spp." in names
    assert not any("flora" in name for name in names)  # two clue cells are no shift


def test_legacy_labels_never_reach_a_report():
    case = evidence(found={"CHLAMYDIA": 50, "COCCI": 50, "HERPES": 1})
    assert report_lines(case)[-1] == "Cellular changes consistent with herpes simplex virus"
    names = " ".join(score.name for score in score_cervical(case).scores)
    assert "hlamydia" not in names
    assert "Cocci" not in names
    untrained = {each.code for each in cervical_cutoffs().findings.values() if not each.trained}
    assert {"CHLAMYDIA", "COCCI", "CMV"} <= untrained
    assert cervical_cutoffs().finding("COCCI").state == "no training data"
    assert cervical_cutoffs().finding("CANDIDA").state == "trained"


@pytest.mark.parametrize(
    ("age", "calls", "note"),
    [
        (44, {}, None),
        (
            45,
            {},
            "Endometrial cells in a woman 45 years or older, negative for squamous intraepithelial lesion",
        ),
        (60, {"LSIL": 3}, "Endometrial cells in a woman 45 years or older"),
        (None, {}, "Endometrial cells; to be reported from 45 years on, and the age is not known"),
    ],
)
def test_endometrial_cells_are_reported_from_45_on(age, calls, note):
    case = evidence(calls, endometrial_cells=1, age=age)
    assert (report_lines(case)[-1] == note) == (note is not None)
    flags = score_cervical(case).flags
    assert (Flag.CERVICAL_AGE_UNKNOWN in flags) == (age is None)
    assert (Flag.CERVICAL_ENDOMETRIAL_CELLS in flags) == (age is not None and age >= 45)


def test_hsil_may_be_suspicious_for_invasion():
    case = evidence({"HSIL": 4}, invasion_suspected=True)
    assert report_lines(case)[1].endswith(", with features suspicious for invasion")
    assert not report_lines(evidence({"LSIL": 4}, invasion_suspected=True))[1].endswith("invasion")


def test_calibrated_rules_replace_the_start_values():
    own = cervical_cutoffs().with_rules(thresholds={"HSIL": 0.9}, calls={"ASC-US": 2, "AGC": 3})
    assert interpret_calls(CallCounts({"ASC-US": 2}), cutoffs=own).headline == "ASC-US"
    assert interpret_calls(CallCounts({"AGC": 1}), cutoffs=own).interpretations == ()
    assert own.classes["HSIL"].threshold == 0.9
    assert cervical_cutoffs().classes["ASC-US"].calls == 5
    for wrong in ({"thresholds": {"HSIL": 0}}, {"calls": {"HSIL": 0}}, {"calls": {"LSIL-H": 1}}):
        with pytest.raises(SettingsError):
            cervical_cutoffs().with_rules(**wrong)


def test_missing_area_makes_a_negative_result_partial():
    found = score_cervical(evidence(), areas_mm2={"missing": 2.0})
    assert (found.status, found.headline.category) == (Status.PARTIAL, "NILM")


def test_result_survives_json():
    found = result({"LSIL": 4, "AGC": 1}, found={"CANDIDA": 1})
    assert SlideResult.from_json(found.to_json()) == found


def test_impossible_evidence_is_refused():
    with pytest.raises(InvalidTableError):
        CervicalEvidence(CallCounts({"HSIL": 5}), judged=4)
    with pytest.raises(InvalidTableError):
        CallCounts({"HSIL": -1})
    with pytest.raises(SettingsError):
        CallCounts({"LSIL-H": 1})


def test_asc_sil_ratio_counts_each_slide_once():
    slides = [("ASC-US",), ("ASC-H", "LSIL"), ("LSIL",), ("HSIL",), ("NILM",), ("AGC-NOS",), (), ("ASC-H",)]
    assert asc_sil_ratio(slides) == (2, 3, 2 / 3)
    assert asc_sil_ratio([("ASC-US",), ("SCC",)]) == (1, 0, None)
