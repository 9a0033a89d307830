"""Average precision: worked by hand, matched by falling score, pooled over images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import ScoredPoints, average_precision


def on_line(*x: float) -> np.ndarray:
    return np.column_stack((x, np.zeros(len(x))))


def test_worked_by_hand() -> None:
    # by falling score: hit (1/1), miss (1/2), hit (2/3), second hit on the first nucleus (2/4);
    # the third nucleus is never found: AP = 1/3 * 1 + 1/3 * 2/3
    image = ScoredPoints(on_line(0, 50, 10, 1), [0.9, 0.8, 0.7, 0.6], on_line(0, 10, 20))
    assert average_precision([image], radius_um=3) == pytest.approx(5 / 9)


def test_interpolation_lifts_a_dip() -> None:
    # miss, hit, hit, hit of 3: precision 0, 1/2, 2/3, 3/4; best at that recall or beyond is 3/4 throughout
    image = ScoredPoints(on_line(90, 0, 10, 20), [4, 3, 2, 1], on_line(0, 10, 20))
    assert average_precision([image], radius_um=3) == pytest.approx(0.75)


def test_images_are_pooled_before_the_curve() -> None:
    first = ScoredPoints(on_line(0), [0.5], on_line(0))
    second = ScoredPoints(on_line(90), [0.9], on_line(0))
    # by falling score: miss of the second image, hit of the first; 2 annotated
    assert average_precision([first, second], radius_um=3) == pytest.approx(0.5 * 0.5)


def test_the_surer_point_chooses_first_though_the_other_is_nearer() -> None:
    # 0.9 takes the nearest (0), which 0.5 would also need: one match, where an optimal assignment has two
    image = ScoredPoints(on_line(1, -2.5), [0.9, 0.5], on_line(0, 4))
    assert average_precision([image], radius_um=3) == pytest.approx(0.5)


def test_equal_scores_enter_the_curve_together() -> None:
    points, truth = on_line(90, 0), on_line(0)
    for order in ([0, 1], [1, 0]):
        image = ScoredPoints(points[order], [0.7, 0.7], truth)
        assert average_precision([image], radius_um=3) == pytest.approx(0.5)


def test_perfect_ranking_is_one_whatever_comes_after() -> None:
    image = ScoredPoints(on_line(0, 10, 50, 60), [0.9, 0.8, 0.2, 0.1], on_line(0, 10))
    assert average_precision([image], radius_um=3) == 1.0


def test_empty_sides() -> None:
    assert average_precision([], radius_um=3) is None
    assert average_precision([ScoredPoints(on_line(0), [1], [])], radius_um=3) is None
    assert average_precision([ScoredPoints([], [], on_line(0))], radius_um=3) == 0.0


def one_after_the_other(points: np.ndarray, truth: np.ndarray, radius: float) -> list[bool]:
    """Each point in turn takes the nearest free one."""
    free, hits = list(range(len(truth))), []
    for point in points:
        near = [(float(np.hypot(*(truth[i] - point))), i) for i in free]
        near = [pair for pair in near if pair[0] <= radius]
        hits.append(bool(near))
        if near:
            free.remove(min(near)[1])
    return hits


POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=12)


@given(POINTS, POINTS, st.sampled_from([1.0, 2.0, 3.0, 5.0]))
def test_matching_in_rounds_equals_one_after_the_other(
    predicted: list[tuple[int, int]], annotated: list[tuple[int, int]], radius: float
) -> None:
    points, truth = (np.array(p, float).reshape(-1, 2) for p in (predicted, annotated))
    scores = -np.arange(len(points), dtype=float)
    value = average_precision([ScoredPoints(points, scores, truth)], radius_um=radius)
    if not len(truth):
        assert value is None
        return
    hits = np.array(one_after_the_other(points, truth, radius), bool)
    curve = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    expected = sum(curve[i:].max() for i in np.flatnonzero(hits)) / len(truth)
    assert value == pytest.approx(expected)


def test_nonsense_is_refused() -> None:
    with pytest.raises(InvalidTableError):
        average_precision([ScoredPoints(on_line(0, 1), [0.5], on_line(0))], radius_um=3)
    with pytest.raises(InvalidTableError):
        average_precision([ScoredPoints(on_line(0), [float("nan")], on_line(0))], radius_um=3)
    with pytest.raises(InvalidTableError):
        average_precision([ScoredPoints([[0, 0, 0]], [1], on_line(0))], radius_um=3)
    with pytest.raises(SettingsError):
        average_precision([ScoredPoints(on_line(0), [1], on_line(0))], radius_um=0)
