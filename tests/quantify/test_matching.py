"""One-to-one matching: optimal, within the radius, the same by either solver."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slidelab.quantify.matching as matching
from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import match_points


def on_line(*x: float) -> np.ndarray:
    return np.column_stack((x, np.zeros(len(x))))


def best_by_trying_all(detected: np.ndarray, annotated: np.ndarray, radius: float) -> tuple[int, float]:
    """Most pairs, then least distance, over every assignment."""
    if len(detected) > len(annotated):
        detected, annotated = annotated, detected
    distance = np.hypot(*(detected[:, None] - annotated[None]).transpose(2, 0, 1))
    scores = []
    for order in permutations(range(len(annotated)), len(detected)):
        kept = [d for row, column in enumerate(order) if (d := distance[row, column]) <= radius]
        scores.append((-len(kept), sum(kept)))
    pairs, total = min(scores)
    return -pairs, float(total)


def test_nearest_first_would_lose_a_match() -> None:
    # nearest first takes 1.5 -> 0 and leaves -2.5 and 4 alone (6.5 apart); the optimum crosses over
    matches = match_points(on_line(1.5, -2.5), on_line(0, 4), radius_um=3)
    assert matches.true_positives == 2
    assert matches.annotated.tolist() == [1, 0]
    assert matches.distance_um.tolist() == [2.5, 2.5]


def test_forbidding_after_the_assignment_would_lose_a_match() -> None:
    # without a radius 3.1 + 3.1 = 6.2 beats 0.1 + 6.3 = 6.4, and then both pairs are too far apart
    matches = match_points(on_line(3.1, 6.3), on_line(0, 3.2), radius_um=3)
    assert (matches.true_positives, matches.false_positives, matches.false_negatives) == (1, 1, 1)
    assert (matches.detected.tolist(), matches.annotated.tolist()) == ([0], [1])


def test_more_matches_come_before_less_distance() -> None:
    # one perfect pair (0 apart) against two of 2.9
    matches = match_points(on_line(0, 2.9), on_line(0, -2.9), radius_um=3)
    assert matches.true_positives == 2
    assert matches.distance_um.sum() == pytest.approx(5.8)


def test_second_hit_on_one_nucleus_is_a_false_positive() -> None:
    matches = match_points(on_line(0.1, 0.5), on_line(0), radius_um=3)
    assert (matches.true_positives, matches.false_positives, matches.false_negatives) == (1, 1, 0)
    assert matches.detected.tolist() == [0]
    # F1 = 2 * 1 / (2 * 1 + 1 + 0)
    assert (matches.precision, matches.recall, matches.f1) == (0.5, 1.0, 2 / 3)


def test_radius_itself_is_allowed() -> None:
    assert match_points([[0, 0]], [[3, 4]], radius_um=5).true_positives == 1
    assert match_points([[0, 0]], [[3, 4]], radius_um=np.nextafter(5, 0)).true_positives == 0


def test_points_at_one_place_match() -> None:
    matches = match_points(on_line(7, 7, 7), on_line(7, 7), radius_um=3)
    assert (matches.true_positives, matches.distance_um.tolist()) == (2, [0.0, 0.0])


@pytest.mark.parametrize(
    ("detected", "annotated", "precision", "recall", "f1"),
    [(0, 0, None, None, None), (0, 2, None, 0.0, 0.0), (2, 0, 0.0, None, 0.0), (1, 1, 1.0, 1.0, 1.0)],
)
def test_empty_sides_give_none_rather_than_nan(
    detected: int, annotated: int, precision: float | None, recall: float | None, f1: float | None
) -> None:
    matches = match_points(on_line(*range(detected)), on_line(*range(annotated)), radius_um=0.5)
    assert (matches.precision, matches.recall, matches.f1) == (precision, recall, f1)


POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=6)


@settings(deadline=None)
@given(POINTS, POINTS, st.sampled_from([1.0, 2.0, 3.0, 5.0]), st.booleans())
def test_matching_equals_trying_everything(
    detected: list[tuple[int, int]], annotated: list[tuple[int, int]], radius: float, sparse: bool
) -> None:
    a = np.array(detected, dtype=float).reshape(-1, 2)
    b = np.array(annotated, dtype=float).reshape(-1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_DENSE_PAIRS", 0 if sparse else 10**9)
        matches = match_points(a, b, radius_um=radius)
    pairs, total = best_by_trying_all(a, b, radius)
    assert matches.true_positives == pairs
    assert matches.distance_um.sum() == pytest.approx(total)
    assert len(set(matches.detected.tolist())) == len(set(matches.annotated.tolist())) == pairs
    assert (matches.distance_um <= radius).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_both_solvers_agree_on_crowded_points(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.random((150, 2)) * 40, random.random((130, 2)) * 40
    found = []
    for pairs in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(matching, "_DENSE_PAIRS", pairs)
            matches = match_points(a, b, radius_um=5)
        found.append((matches.true_positives, round(float(matches.distance_um.sum()), 6)))
    swapped = match_points(b, a, radius_um=5)
    found.append((swapped.true_positives, round(float(swapped.distance_um.sum()), 6)))
    assert found[0] == found[1] == found[2]


def test_matching_of_5000_points_finds_nearly_all() -> None:
    random = np.random.default_rng(0)
    annotated = random.random((5000, 2)) * 700
    detected = annotated[random.permutation(5000)] + random.normal(0, 0.3, (5000, 2))
    matches = match_points(detected, annotated, radius_um=3)
    assert matches.f1 is not None
    assert matches.f1 > 0.99


def test_matching_refuses_nonsense() -> None:
    with pytest.raises(InvalidTableError):
        match_points([[0, 0, 0]], [[0, 0]], radius_um=3)
    with pytest.raises(InvalidTableError):
        match_points([[0, float("nan")]], [[0, 0]], radius_um=3)
    for radius in (0, -1, float("inf"), float("nan")):
        with pytest.raises(SettingsError):
            match_points([[0, 0]], [[0, 0]], radius_um=radius)
