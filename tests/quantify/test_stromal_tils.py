"""Stromal TILs: an area ratio, its bins with their evidence, its rounding, its status."""

from __future__ import annotations

from math import pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import Flag, Interval, Status, immune_cutoffs, rounded_tils, stromal_tils
from slidelab.quantify.immune_cutoffs import EVIDENCE, read_immune_cutoffs


def test_2500_discs_of_8_um_in_a_quarter_more_than_a_square_millimetre():
    # 2500 x pi x 4 um x 4 um = 125 664 um2; of 1 250 000 um2: 10.05 %
    score = stromal_tils(2500 * pi * 16, 1.25e6)
    assert round(score.value, 2) == 10.05
    assert round(score.numerator / 1e6, 4) == 0.1257
    assert (score.numerator, score.denominator, score.unit) == (125_664, 1_250_000, "%")
    assert (score.status, score.category) == (Status.OK, "intermediate")
    rounded = rounded_tils(score)
    assert (rounded.value, rounded.category, rounded.status) == (10.0, None, Status.OK)


@pytest.mark.parametrize(
    ("percent", "category"),
    [
        (0, "low"),
        (10, "low"),
        (10.0001, "intermediate"),
        (39.9999, "intermediate"),
        (40, "high"),
        (100, "high"),
    ],
)
def test_bins_of_the_figure(percent, category):
    assert stromal_tils(percent * 20_000, 2e6).category == category


@pytest.mark.parametrize(
    ("scheme", "percent", "category"),
    [
        ("lpbc-50", 49.99, "not lymphocyte-predominant"),
        ("lpbc-50", 50, "lymphocyte-predominant"),
        ("lpbc-60", 50, "not lymphocyte-predominant"),
        ("lpbc-60", 60, "lymphocyte-predominant"),
        ("til-5", 4.99, "below 5 %"),
        ("til-5", 5, "5 % or more"),
        ("til-30", 30, "30 % or more"),
    ],
)
def test_other_cutoffs_in_use(scheme, percent, category):
    assert stromal_tils(percent * 20_000, 2e6, scheme=scheme).category == category


def test_bins_carry_their_evidence_and_are_never_passed_off_as_official():
    score = stromal_tils(2e5, 2e6)
    assert "til-figure [unverified]" in score.rule
    assert Flag.BINS_NOT_OFFICIAL in score.flags
    assert all(scheme.evidence in EVIDENCE for scheme in immune_cutoffs().schemes.values())


def test_cutoffs_of_another_measure_are_refused():
    with pytest.raises(SettingsError, match="density-3"):
        stromal_tils(1.0, 2e6, scheme="density-3")


@pytest.mark.parametrize(
    ("mm2", "status", "has_category"),
    [
        (0.0999, Status.INSUFFICIENT, False),
        (0.1, Status.REVIEW, True),
        (0.9999, Status.REVIEW, True),
        (1.0, Status.OK, True),
    ],
)
def test_status_follows_the_area_of_stroma(mm2, status, has_category):
    score = stromal_tils(0.2 * mm2 * 1e6, mm2 * 1e6)
    assert score.status is status
    assert (score.category is not None) is has_category
    assert score.value == pytest.approx(20, abs=0.001)


def test_no_stroma_is_not_zero():
    score = stromal_tils(0.0, 0.0, interval=Interval(0.0, 1.0))
    assert (score.value, score.status, score.category, score.interval) == (
        None,
        Status.NOT_ASSESSABLE,
        None,
        None,
    )
    assert score.flags == (Flag.NO_STROMA,)
    assert rounded_tils(score).value is None


def test_no_resolution_no_area():
    score = stromal_tils(None, None)
    assert (score.value, score.status, score.flags) == (
        None,
        Status.NOT_ASSESSABLE,
        (Flag.RESOLUTION_UNKNOWN,),
    )


@pytest.mark.parametrize("areas", [(-1.0, 10.0), (2e6, 1e6), (1.0, float("nan"))])
def test_impossible_areas_are_refused(areas):
    with pytest.raises(InvalidTableError):
        stromal_tils(*areas)


@pytest.mark.parametrize(
    ("percent", "rounded"), [(2.4999, 0), (2.5, 5), (7.5, 10), (12.4999, 10), (12.5, 15), (97.5, 100)]
)
def test_rounding_to_the_nearest_5_goes_half_up(percent, rounded):
    assert rounded_tils(stromal_tils(percent * 1e5, 1e7)).value == rounded


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_the_rounded_score_lies_within_half_a_step(covered, free):
    score = stromal_tils(float(covered), float(covered + free))
    assert abs(rounded_tils(score).value - score.value) <= 2.5 + 1e-9


@given(st.integers(0, 10**7), st.integers(10**6, 10**8))
def test_the_share_depends_on_areas_only_not_on_their_size(covered, free):
    once, thrice = (stromal_tils(k * covered, k * (covered + free)) for k in (1, 3))
    assert once.value == pytest.approx(thrice.value)
    assert once.category == thrice.category


def cutoffs_table():
    import tomllib
    from importlib.resources import files

    return tomllib.loads(
        files("slidelab.quantify").joinpath("immune_cutoffs.toml").read_text(encoding="utf-8")
    )


def test_the_packaged_file_is_dated_and_reads_back():
    table = cutoffs_table()
    assert read_immune_cutoffs(table).as_of == table["as_of"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda table: table.pop("as_of"),
        lambda table: table["area"].update(insufficient_below_mm2=5),
        lambda table: table["neighbours"].update(edge_corrected_cells=True),
        lambda table: table["scheme"][0].update(measure="mitoses"),
        lambda table: table["scheme"][0].update(evidence="hearsay"),
        lambda table: table["scheme"][0].update(extra=1),
        lambda table: table["scheme"][0]["band"].reverse(),
        lambda table: table["scheme"].append(table["scheme"][0]),
        lambda table: table.update(as_of="yesterday"),
    ],
    ids=["undated", "floors", "true", "measure", "evidence", "key", "order", "twice", "date"],
)
def test_a_spoilt_file_of_cutoffs_is_refused(spoil):
    table = cutoffs_table()
    spoil(table)
    with pytest.raises(SettingsError, match="immune cut-offs"):
        read_immune_cutoffs(table)
