"""Nearest neighbours: worked distances, laws of the estimators, and what edge correction is for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import AssessedRegion, Neighbours, find_neighbours, random_labelling
from slidelab.quantify.nearest_neighbour import (
    area_under_kaplan_meier_g,
    area_under_raw_g,
    border_g,
    kaplan_meier_g,
    mean_random_distance_um,
    nearest_distances_um,
    random_g,
    raw_g,
)

D = np.array([5.0, 12, 18, 25, 40])
B = np.array([3.0, 30, 50, 10, 100])
FIELD = AssessedRegion(np.ones((200, 200), bool), 1.0)

distances = arrays(float, st.integers(1, 40), elements=st.floats(0, 100))


def pairs():
    return st.integers(1, 40).flatmap(
        lambda n: st.tuples(*(arrays(float, n, elements=st.integers(0, 60).map(float)) for _ in range(2)))
    )


def test_worked_estimators_at_20_um():
    assert raw_g(D, [20.0]) == pytest.approx([0.6])  # 5, 12, 18 of five
    assert border_g(D, B, radii_um=[20.0]) == pytest.approx([2 / 3])  # b >= 20: 12, 18, 40
    # ends 3c 10c 12e 18e 40e: 1 - (1 - 1/3)(1 - 1/2)
    assert kaplan_meier_g(D, B, radii_um=[20.0]) == pytest.approx([2 / 3])


def test_worked_random_pattern():
    # 500 per mm2: 1 - exp(-0.0005 x pi x 400) = .4665; 1 / (2 sqrt(.0005)) = 22.36
    assert random_g([20.0], intensity=500e-6)[0] == pytest.approx(0.4665, abs=5e-5)
    assert mean_random_distance_um(500e-6) == pytest.approx(22.36, abs=0.005)


def test_worked_areas_under_g():
    # raw: (15 + 8 + 2) / 5 / 20; Kaplan-Meier: steps 1/3 at 12 and at 18
    assert area_under_raw_g(D) == pytest.approx(0.25)
    assert area_under_kaplan_meier_g(D, B) == pytest.approx((8 / 3 + 2 / 3) / 20)


def test_a_target_exactly_at_the_radius_or_at_the_edge_counts():
    assert raw_g([20.0], [20.0]) == [1.0]
    assert border_g([20.0], [20.0], radii_um=[20.0]) == [1.0]
    assert kaplan_meier_g([20.0], [20.0], radii_um=[20.0]) == [1.0]


def test_a_reduced_sample_without_cells_is_undefined():
    assert np.isnan(border_g(D, B, radii_um=[200.0])[0])


@given(pairs())
def test_kaplan_meier_rises_and_stays_between_0_and_1(columns):
    found = kaplan_meier_g(*columns, radii_um=np.arange(70.0))
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= 0).all()


@given(distances)
def test_raw_g_rises_to_1(distance):
    found = raw_g(distance, np.arange(102.0))
    assert (np.diff(found) >= 0).all()
    assert found[-1] == 1


@given(distances)
def test_without_an_edge_all_estimators_agree(distance):
    far, radii = np.full_like(distance, np.inf), np.arange(0, 100, 7.0)
    raw = raw_g(distance, radii)
    assert kaplan_meier_g(distance, far, radii_um=radii) == pytest.approx(raw, abs=1e-12)
    assert border_g(distance, far, radii_um=radii) == pytest.approx(raw, abs=1e-12)
    assert area_under_kaplan_meier_g(distance, far) == pytest.approx(area_under_raw_g(distance), abs=1e-12)


@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_cells_does_not_matter(columns, random):
    order = list(range(len(columns[0])))
    random.shuffle(order)
    radii = [5.0, 20.0, 50.0]
    for estimate in (kaplan_meier_g, border_g):
        one = estimate(*columns, radii_um=radii)
        other = estimate(*(column[order] for column in columns), radii_um=radii)
        assert np.array_equal(one, other, equal_nan=True)


@given(pairs())
def test_the_area_is_that_of_the_step_function(columns):
    grid = np.arange(0.5, 20, 1.0)  # whole distances: G is constant within each um
    area = kaplan_meier_g(*columns, radii_um=grid).mean()
    assert area_under_kaplan_meier_g(*columns) == pytest.approx(area, abs=1e-9)


def poisson(random, *, per_mm2, side=200.0):
    return random.uniform(0, side, (random.poisson(per_mm2 * side * side / 1e6), 2))


def test_a_random_pattern_agrees_with_chance_and_edge_correction_removes_the_bias():
    random = np.random.default_rng(7)
    radius, raw, corrected, border = 30.0, [], [], []
    for _ in range(300):
        cells, targets = poisson(random, per_mm2=2000), poisson(random, per_mm2=500)
        found = find_neighbours(cells, targets, region=FIELD, workers=1)
        raw.append(raw_g(found.distance_um, [radius])[0])
        corrected.append(kaplan_meier_g(found.distance_um, found.edge_um, radii_um=[radius])[0])
        border.append(border_g(found.distance_um, found.edge_um, radii_um=[radius])[0])
    chance = random_g([radius], intensity=500e-6)[0]
    error = {name: np.std(values) / np.sqrt(300) for name, values in (("km", corrected), ("rs", border))}
    assert abs(np.mean(corrected) - chance) < 3 * error["km"]
    assert abs(np.mean(border) - chance) < 3 * error["rs"]
    assert np.mean(raw) < chance - 5 * np.std(raw) / np.sqrt(300)


def test_clustered_targets_are_nearer_and_regular_ones_farther_than_chance():
    random = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(np.arange(10, 200, 20.0), np.arange(10, 200, 20.0)), axis=-1).reshape(-1, 2)
    cluster = 100 + random.normal(0, 10, (100, 2))
    regular, clustered = (find_neighbours(each, None, region=FIELD) for each in (grid, cluster))
    assert regular.clark_evans() == pytest.approx(20 / (1 / (2 * np.sqrt(100 / 40_000))))
    assert regular.clark_evans() > 1.5
    assert clustered.clark_evans() < 0.6


def test_a_cell_is_not_its_own_neighbour():
    points = [[50.0, 50.0], [53.0, 54.0], [150.0, 150.0]]
    assert nearest_distances_um(points, None) == pytest.approx([5.0, 5.0, np.hypot(97, 96)])
    assert nearest_distances_um([[1.0, 1.0], [1.0, 1.0]], None).tolist() == [0.0, 0.0]


def test_without_targets_distances_are_infinite_and_g_is_0():
    for targets in (np.zeros((0, 2)), [[500.0, 500.0]], None):  # none, one outside the region, only itself
        found = find_neighbours([[50.0, 50.0]], targets, region=FIELD)
        assert np.isinf(found.distance_um).all()
        assert not found.has_target
        assert kaplan_meier_g(found.distance_um, found.edge_um, radii_um=[20.0, 50.0]).tolist() == [0, 0]
        assert (found.median_um(), found.clark_evans()) == (None, None)


def test_cells_outside_the_region_are_left_out_and_counted():
    mask = np.ones((200, 200), bool)
    mask[:, 100:] = False
    found = find_neighbours(
        [[10, 10], [150, 10]], [[20, 10], [148, 10], [300, 10]], region=AssessedRegion(mask, 1.0)
    )
    assert (found.distance_um.tolist(), found.targets, found.outside) == ([10.0], 1, 3)
    assert found.intensity == 1 / 20_000


def test_edge_distances_go_to_the_mask_not_to_its_box():
    mask = np.ones((200, 200), bool)
    mask[90:110, 90:110] = False
    found = find_neighbours([[115.0, 100.0]], [[10.0, 10.0]], region=AssessedRegion(mask, 1.0))
    assert found.edge_um.tolist() == [5.0]


def test_no_cells_is_not_guessed_at():
    found = find_neighbours(np.zeros((0, 2)), [[1.0, 1.0]], region=FIELD)
    assert (found.median_um(), found.clark_evans()) == (None, None)
    with pytest.raises(InvalidTableError):
        raw_g(found.distance_um, [20.0])
    with pytest.raises(InvalidTableError):
        kaplan_meier_g([1.0, 2.0], [1.0], radii_um=[20.0])


def test_inside_counts_cells_a_radius_away_from_the_edge():
    assert Neighbours(D, B, targets=5, area_um2=1e6).inside(30.0) == 3


def two_kinds(seed=1, count=60):
    random = np.random.default_rng(seed)
    return random.uniform(0, 200, (count, 2)), random.uniform(0, 200, (count, 2))


def test_shuffled_kinds_depend_on_the_seed_only():
    cells, targets = two_kinds()
    options = {"region": FIELD, "runs": 39}
    one = random_labelling(cells, targets, **options)
    again = random_labelling(cells[::-1], targets[::-1], **options)
    other = random_labelling(cells, targets, seed=1, **options)
    assert (one.low == again.low).all()
    assert (one.high == again.high).all()
    assert (one.mean == again.mean).all()
    assert (one.mean != other.mean).any()


def test_bounds_hold_a_random_pattern_and_not_an_attraction():
    cells, targets = two_kinds()
    random = np.random.default_rng(5)
    drawn_to = np.clip(targets + random.normal(0, 3, targets.shape), 0, 199.9)
    for places, is_inside in ((cells, True), (drawn_to, False)):
        bounds = random_labelling(places, targets, region=FIELD).interval(10.0)
        found = find_neighbours(places, targets, region=FIELD)
        at_10 = kaplan_meier_g(found.distance_um, found.edge_um, radii_um=[10.0])[0]
        assert bool(bounds.low <= at_10 <= bounds.high) is is_inside
    assert bounds.level == pytest.approx(0.95)
    assert "199 runs" in bounds.method


def test_bounds_cover_95_percent_of_random_patterns():
    inside = 0
    for seed in range(50):
        cells, targets = two_kinds(seed + 100, count=25)
        bounds = random_labelling(cells, targets, region=FIELD, runs=39, estimator="raw").interval(20.0)
        at_20 = raw_g(nearest_distances_um(cells, targets), [20.0])[0]
        inside += bounds.low <= at_20 <= bounds.high
    assert inside >= 45


def test_shuffling_needs_two_kinds_and_enough_runs():
    assert random_labelling(np.zeros((0, 2)), [[1.0, 1.0]], region=FIELD) is None
    with pytest.raises(SettingsError):
        random_labelling([[1.0, 1.0]], [[2.0, 2.0]], region=FIELD, runs=19)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_distances_are_those_of_a_full_search(seed):
    cells, targets = two_kinds(seed, count=20)
    full = np.hypot(*(cells[:, None] - targets).transpose(2, 0, 1)).min(axis=1)
    assert nearest_distances_um(cells, targets) == pytest.approx(full)
