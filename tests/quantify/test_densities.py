"""Densities in core and margin, and their score against a fixed cohort."""

from __future__ import annotations

from fractions import Fraction
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import (
    FOUR_DENSITIES,
    Flag,
    ReferenceCohort,
    RegionCount,
    Status,
    cell_density,
    cells_in_mask,
    density_score,
    fill_polygons,
    tumour_regions,
)
from slidelab.quantify.densities import mean_percentile_score, poisson_interval


def cohort(patients=100):
    values = np.arange(patients, dtype=float) * 10
    return ReferenceCohort("made/1", dict.fromkeys(FOUR_DENSITIES, values))


def four(*cells, area_mm2=2.0):
    return [
        cell_density(RegionCount(count, area_mm2), name=name)
        for name, count in zip(FOUR_DENSITIES, cells, strict=True)
    ]


def test_density_is_cells_per_square_millimetre():
    score = cell_density(RegionCount(400, 2.5), name="CD8 core")
    assert (score.value, score.unit, score.shown) == (160.0, "cells/mm²", "160 cells/mm²")
    assert (score.numerator, score.denominator) == (400, 2_500_000)
    assert score.status is Status.OK
    assert score.category is None


def test_poisson_interval_has_the_textbook_ends():
    # Garwood: 0 -> 0 to 3.689; 10 -> 4.795 to 18.39
    assert (poisson_interval(0).low, round(poisson_interval(0).high, 3)) == (0.0, 3.689)
    assert (round(poisson_interval(10).low, 3), round(poisson_interval(10).high, 2)) == (4.795, 18.39)


@pytest.mark.parametrize(
    ("mm2", "status"),
    [(0.09, Status.INSUFFICIENT), (0.1, Status.REVIEW), (0.99, Status.REVIEW), (1.0, Status.OK)],
)
def test_status_follows_the_area(mm2, status):
    assert cell_density(RegionCount(5, mm2), name="x").status is status


def test_no_area_no_density_and_no_resolution_neither():
    empty, unknown = (cell_density(RegionCount(0, area), name="x") for area in (0.0, None))
    assert (empty.value, empty.status, empty.flags) == (None, Status.NOT_ASSESSABLE, (Flag.REGION_EMPTY,))
    assert (unknown.value, unknown.flags) == (None, (Flag.RESOLUTION_UNKNOWN,))


@pytest.mark.parametrize("count", [RegionCount(-1, 1.0), RegionCount(3, 0.0), RegionCount(3, -1.0)])
def test_impossible_counts_are_refused(count):
    with pytest.raises(InvalidTableError):
        cell_density(count, name="x")


@pytest.mark.parametrize("mpp", [4.0, 10.0, 20.0])
def test_the_margin_of_a_straight_border_reaches_360_um_to_both_sides(mpp):
    tumour = np.zeros((5, int(2000 / mpp)), bool)
    tumour[:, int(1000 / mpp) :] = True  # border at x = 1000 um
    regions = tumour_regions(tumour, mpp=mpp)
    x = (np.arange(tumour.shape[1]) + 0.5) * mpp
    assert regions.margin[2].tolist() == (np.abs(x - 1000) <= 360).tolist()
    assert regions.core[2].tolist() == (x > 1360).tolist()


def test_core_and_margin_of_a_round_tumour_have_the_areas_of_geometry():
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = 2000 + 1000 * np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    tumour = fill_polygons([circle], shape=(1000, 1000), mpp=4.0)
    areas = tumour_regions(tumour, mpp=4.0).areas_mm2  # half a pixel of 4 um in 640 um is 0.6 % of the area
    assert areas["core"] == pytest.approx(np.pi * 0.64**2, rel=0.01)
    assert areas["margin"] == pytest.approx(np.pi * (1.36**2 - 0.64**2), rel=0.01)


def test_core_and_margin_never_overlap_and_lie_on_tissue():
    random = np.random.default_rng(2)
    tumour, tissue = np.zeros((120, 120), bool), random.random((120, 120)) > 0.3
    tumour[30:90, 30:90] = True
    regions = tumour_regions(tumour, mpp=20.0, tissue=tissue)
    assert not (regions.core & regions.margin).any()
    assert not ((regions.core | regions.margin) & ~tissue).any()
    assert not (regions.core & ~tumour).any()


def test_a_hole_in_the_tissue_makes_no_margin():
    tumour = np.ones((100, 100), bool)
    tumour[:, :30] = False
    tissue = np.ones_like(tumour)
    tissue[40:50, 80:90] = False
    with_hole, without = (tumour_regions(tumour, mpp=20.0, tissue=each) for each in (tissue, None))
    assert (with_hole.margin == (without.margin & tissue)).all()


def test_a_tumour_without_border_is_all_core():
    full, none = (tumour_regions(np.full((9, 9), value), mpp=50.0) for value in (True, False))
    assert full.core.all()
    assert not full.margin.any()
    assert not (none.core | none.margin).any()


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(InvalidTableError):
        tumour_regions(np.ones((4, 4), bool), mpp=1.0, tissue=np.ones((4, 5), bool))


def test_cells_are_counted_where_their_centres_lie():
    mask = np.array([[True, False], [False, True]])
    assert cells_in_mask([[1, 1], [11, 1], [11, 11], [30, 5]], mask, mpp=10.0) == 2


@pytest.mark.parametrize(
    ("percentiles", "mean", "category"),
    [
        ((10, 40, 60, 30), 35.0, "intermediate"),
        ((25, 25, 25, 25), 25.0, "low"),
        ((70, 70, 70, 70), 70.0, "intermediate"),
        ((25, 25, 25, Fraction("25.0001")), 25.000025, "intermediate"),
        ((70, 70, 70, 71), 70.25, "high"),
        ((0, 0, 0, 0), 0.0, "low"),
        ((100, 100, 100, 100), 100.0, "high"),
    ],
)
def test_worked_percentiles(percentiles, mean, category):
    score = mean_percentile_score(percentiles)
    assert (score.value, score.category, score.unit) == (mean, category, "percentile")
    assert Fraction(score.numerator, score.denominator) * 100 == sum(map(Fraction, percentiles)) / 4


@pytest.mark.parametrize(
    ("mean", "group"), [(10, 0), (10.5, 1), (25, 1), (26, 2), (70, 2), (71, 3), (95, 3), (95.5, 4), (100, 4)]
)
def test_five_groups(mean, group):
    assert mean_percentile_score([mean] * 4, scheme="density-5").category == f"group {group}"


def test_a_density_takes_its_place_in_the_cohort():
    # 100 patients with 0, 10, ..., 990 cells per mm2: 105 lies above 11 of them; 100 above 10 and equals one
    assert cohort().percentile("CD3 core", 105.0) == 11
    assert cohort().percentile("CD3 core", 100.0) == Fraction(21, 2)
    score = density_score(four(210, 810, 1210, 610), cohort=cohort())  # 105, 405, 605, 305 cells per mm2
    assert (score.value, score.category, score.status) == ((11 + 41 + 61 + 31) / 4, "intermediate", Status.OK)
    assert "made/1 of 100 patients" in score.rule


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2000), min_size=4, max_size=4), st.integers(0, 3))
def test_more_cells_never_lower_the_score(cells, which):
    more = [count + 100 * (place == which) for place, count in enumerate(cells)]
    low, high = (density_score(four(*each), cohort=cohort()) for each in (cells, more))
    assert 0 <= low.value <= high.value <= 100


@pytest.mark.parametrize(
    ("patients", "status", "flagged"),
    [
        (19, Status.INSUFFICIENT, True),
        (20, Status.REVIEW, True),
        (99, Status.REVIEW, True),
        (100, Status.OK, False),
    ],
)
def test_a_small_cohort_is_no_cohort(patients, status, flagged):
    score = density_score(four(1, 1, 1, 1), cohort=cohort(patients))
    assert score.status is status
    assert (Flag.REFERENCE_COHORT_SMALL in score.flags) is flagged
    assert (score.category is None) is (status is Status.INSUFFICIENT)


def test_three_of_four_densities_give_no_score():
    score = density_score(four(1, 1, 1, 1)[:3], cohort=cohort())
    assert (score.value, score.status, score.category) == (None, Status.NOT_ASSESSABLE, None)
    assert "CD8 margin" in score.rule
    assert score.flags == (Flag.DENSITIES_INCOMPLETE,)


def test_densities_of_too_small_regions_give_no_group():
    score = density_score(four(1, 1, 1, 1, area_mm2=0.05), cohort=cohort())
    assert (score.status, score.category) == (Status.INSUFFICIENT, None)


@pytest.mark.parametrize("percentiles", [(1, 2, 3), (1, 2, 3, 101), (-1, 2, 3, 4)])
def test_impossible_percentiles_are_refused(percentiles):
    with pytest.raises(InvalidTableError):
        mean_percentile_score(percentiles)


def test_cutoffs_of_tils_are_refused():
    with pytest.raises(SettingsError):
        mean_percentile_score([1] * 4, scheme="til-figure")


@pytest.mark.parametrize(
    "densities",
    [
        {},
        {name: [1.0, 2.0] for name in FOUR_DENSITIES[:3]},
        dict(zip(FOUR_DENSITIES, ([1.0], [1.0], [1.0], [1.0, 2.0]), strict=True)),
        {name: [1.0, np.nan] for name in FOUR_DENSITIES},
        {name: [] for name in FOUR_DENSITIES},
    ],
)
def test_a_broken_cohort_is_refused(densities):
    with pytest.raises(InvalidTableError, match="reference cohort"):
        ReferenceCohort("x", {name: np.array(values) for name, values in densities.items()})


def test_the_trade_name_is_never_used():
    score = density_score(four(1, 1, 1, 1), cohort=cohort())
    assert score.name == "CD3/CD8 density score"
    folder = files("slidelab.quantify")
    for name in ("densities.py", "immune.py", "immune_cutoffs.toml", "flags.py"):
        assert "immunoscore" not in folder.joinpath(name).read_text(encoding="utf-8").lower()
