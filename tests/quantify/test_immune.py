"""The immune result of a slide: headline, statuses and flags of its parts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slidelab.errors import InvalidTableError
from slidelab.quantify import (
    FOUR_DENSITIES,
    AssessedRegion,
    Flag,
    Nearness,
    Neighbours,
    ReferenceCohort,
    RegionCount,
    SlideResult,
    Status,
    TilMeasure,
    estimator_for,
    explain_flag,
    find_neighbours,
    nearness_scores,
    random_labelling,
    score_immune,
)

TILS = TilMeasure(lymphocyte_um2=4e5, stroma_um2=2e6, lymphocytes=3000)
FOUR = {name: RegionCount(200, 2.0) for name in FOUR_DENSITIES}
COHORT = ReferenceCohort("made/1", dict.fromkeys(FOUR_DENSITIES, np.arange(200.0)))


def nearness(cells=100, *, edge=100.0, targets=50, distance=10.0):
    found = np.full(cells, distance if targets else np.inf)
    return Nearness("CD8+ to tumour", Neighbours(found, np.full(cells, edge), targets=targets, area_um2=1e6))


def by_name(scores):
    return {score.name: score for score in scores}


def test_everything_together_begins_with_tils():
    result = score_immune(tils=TILS, densities=FOUR, cohort=COHORT, nearness=[nearness()])
    names = [score.name for score in result.scores]
    assert names[:4] == [
        "Stromal TILs",
        "Stromal TILs, to the nearest 5",
        "Lymphocytes in stroma",
        "CD3/CD8 density score",
    ]
    assert result.headline.value == 20.0
    assert by_name(result.scores)["Lymphocytes in stroma"].value == 1500.0
    assert result.status is Status.OK
    assert SlideResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_densities_without_a_cohort_give_no_score_and_say_so():
    result = score_immune(densities=FOUR)
    assert [score.name for score in result.scores] == list(FOUR_DENSITIES)
    assert Flag.NO_REFERENCE_COHORT in result.flags
    assert Flag.NO_REFERENCE_COHORT not in score_immune(tils=TILS).flags
    assert Flag.NO_REFERENCE_COHORT not in score_immune(densities=FOUR, cohort=COHORT).flags


def test_other_densities_stand_alone():
    result = score_immune(densities={"Plasma cells": RegionCount(10, 2.0)})
    assert (result.headline.value, result.flags) == (5.0, ())


@pytest.mark.parametrize(
    ("stroma", "status"), [(0.0, Status.NOT_ASSESSABLE), (5e4, Status.INSUFFICIENT), (5e5, Status.REVIEW)]
)
def test_the_headline_decides_the_status(stroma, status):
    tils = TilMeasure(lymphocyte_um2=stroma / 10, stroma_um2=stroma, lymphocytes=0)
    assert score_immune(tils=tils, nearness=[nearness()]).status is status


def test_a_weak_second_score_asks_for_review_no_more():
    assert score_immune(tils=TILS, nearness=[nearness(5)]).status is Status.REVIEW


def test_missing_tissue_makes_the_result_partial():
    result = score_immune(tils=TILS, areas_mm2={"stroma": 2.0, "missing": 0.1})
    assert result.status is Status.PARTIAL
    assert Flag.AREA_MISSING in result.flags


def test_excluded_cells_and_those_outside_the_region_are_counted():
    region = AssessedRegion(np.ones((50, 50), bool), 1.0)
    pair = Nearness("a to b", find_neighbours([[5, 5], [90, 90]], [[9, 5]], region=region))
    result = score_immune(nearness=[pair], excluded={"fold": 7}, flags=["NO_GLASS"])
    assert result.excluded == {"fold": 7, "outside_region": 1}
    assert result.flags[0] == "NO_GLASS"


def test_nothing_measured_is_an_error():
    with pytest.raises(InvalidTableError):
        score_immune()


def test_g_is_reported_at_all_radii_20_um_first():
    scores = nearness_scores(nearness())
    assert [score.name.split(": ")[1] for score in scores] == [
        "G(20 µm)",
        "G(10 µm)",
        "G(30 µm)",
        "G(50 µm)",
        "mean G over 0-20 µm",
        "median distance",
        "Clark-Evans index",
    ]
    assert [score.value for score in scores[:4]] == [1.0] * 4
    assert scores[4].value == pytest.approx(0.5)  # all at 10 um
    assert (scores[5].value, scores[5].unit) == (10.0, "µm")
    assert scores[6].value == pytest.approx(10 * 2 * np.sqrt(50e-6))
    assert (scores[0].numerator, scores[0].denominator, scores[0].status) == (100, 100, Status.OK)


@pytest.mark.parametrize(("inside", "estimator"), [(29, "raw"), (30, "kaplan-meier")])
def test_edge_correction_needs_30_cells_inside(inside, estimator):
    edge = np.r_[np.full(inside, 20.0), np.full(60 - inside, 19.9)]
    found = Neighbours(np.full(60, 19.95), edge, targets=9, area_um2=1e6)
    assert estimator_for(found) == estimator
    g20 = nearness_scores(Nearness("a to b", found))[0]
    assert estimator in g20.rule
    assert (Flag.EDGE_CORRECTION_SKIPPED in g20.flags) is (estimator == "raw")
    assert g20.status is (Status.REVIEW if estimator == "raw" else Status.OK)
    assert g20.value == 1.0


@pytest.mark.parametrize(
    ("cells", "status"), [(0, Status.NOT_ASSESSABLE), (29, Status.INSUFFICIENT), (30, Status.OK)]
)
def test_status_follows_the_number_of_cells(cells, status):
    scores = nearness_scores(nearness(cells))
    assert scores[0].status is status
    assert (scores[0].value is None) is (cells == 0)
    assert all(score.category is None for score in scores)


def test_without_a_target_g_is_0_and_distances_are_not_assessable():
    scores = by_name(nearness_scores(nearness(targets=0)))
    g20, median = scores["CD8+ to tumour: G(20 µm)"], scores["CD8+ to tumour: median distance"]
    assert (g20.value, g20.status, g20.flags) == (0.0, Status.REVIEW, (Flag.NO_TARGET,))
    assert (median.value, median.status, median.flags) == (None, Status.NOT_ASSESSABLE, (Flag.NO_TARGET,))
    assert scores["CD8+ to tumour: mean G over 0-20 µm"].value == 0


def test_chance_stands_beside_g_with_its_bounds():
    region = AssessedRegion(np.ones((200, 200), bool), 1.0)
    cells, targets = np.random.default_rng(1).uniform(0, 200, (2, 80, 2))
    chance = random_labelling(cells, targets, region=region, runs=39)
    found = find_neighbours(cells, targets, region=region)
    beside = nearness_scores(Nearness("a to b", found, chance))[1]
    assert beside.name == "a to b: G(20 µm), kinds shuffled"
    assert beside.interval.low <= beside.value <= beside.interval.high
    assert "random labelling" in beside.interval.method
    raw = random_labelling(cells, targets, region=region, runs=39, estimator="raw")
    with pytest.raises(InvalidTableError, match="random labelling"):
        nearness_scores(Nearness("a to b", found, raw))


def test_every_flag_of_the_immune_measures_has_its_sentence():
    for flag in (
        "BINS_NOT_OFFICIAL",
        "NO_TARGET",
        "EDGE_CORRECTION_SKIPPED",
        "NO_REFERENCE_COHORT",
        "NO_STROMA",
    ):
        assert explain_flag(flag).endswith(".")
