"""The hot spot equals the full search, whatever the order, place or turn of the nuclei."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slidelab.quantify.windows as windows
from slidelab.errors import InvalidTableError, SettingsError
from slidelab.quantify import HotSpot, find_hot_spot

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]


def search_everything(cells: Cells, count: int, max_radius: float = 500.0) -> HotSpot | None:
    """The rule word by word: sort all nuclei around each nucleus, unstained first among equally far ones."""
    x, y, positive = cells
    best, best_rank = None, None
    for i in range(len(x)) if len(x) >= count else ():
        dx, dy = x - x[i], y - y[i]
        squared = dx * dx + dy * dy
        nearest = np.lexsort((positive, squared))[:count]
        radius = float(np.sqrt(squared[nearest[-1]]))
        stained = int(positive[nearest].sum())
        rank = (-stained, radius, y[i], x[i])
        if radius <= max_radius and (best_rank is None or rank < best_rank):
            best_rank = rank
            best = HotSpot(float(x[i]), float(y[i]), radius, positive=stained, total=count)
    return best


def make_cells(kind: str, n: int, seed: int) -> Cells:
    """Random, clustered, lattice (ties of distance), doubled (ties of place) or stray nuclei."""
    random = np.random.default_rng(seed)
    xy = random.random((n, 2)) * 20 * np.sqrt(n)
    if kind == "clustered":
        xy = xy[random.integers(0, max(1, n // 30), n)] + random.normal(0, 8, (n, 2))
    elif kind == "lattice":
        xy = np.round(xy / 16) * 16
    elif kind == "doubled":
        xy = xy[random.integers(0, max(1, n // 2), n)]
    elif kind == "stray":
        xy *= np.where(random.random((n, 1)) < 0.1, 50, 1)
    rate = random.choice([0.0, 0.05, 0.3, 1.0])
    slope = rate * (xy[:, 0] > np.median(xy[:, 0])) if random.random() < 0.5 else rate
    return xy[:, 0], xy[:, 1], random.random(n) < slope


KINDS = st.sampled_from(["random", "clustered", "lattice", "doubled", "stray"])


@settings(deadline=None, max_examples=250)
@given(
    KINDS,
    st.integers(1, 150),
    st.integers(1, 60),
    st.sampled_from([20.0, 64.0, 500.0]),
    st.integers(0, 2**32 - 1),
)
def test_hot_spot_equals_the_full_search(kind: str, n: int, count: int, max_radius: float, seed: int) -> None:
    cells = make_cells(kind, n, seed)
    found = find_hot_spot(*cells, count=count, max_radius_um=max_radius, workers=1)
    assert found == search_everything(cells, count, max_radius)


@pytest.mark.parametrize("kind", ["random", "clustered", "lattice", "doubled", "stray"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hot_spot_of_500_equals_the_full_search(kind: str, seed: int) -> None:
    cells = make_cells(kind, 2500, seed)
    assert find_hot_spot(*cells) == search_everything(cells, 500)


def test_hot_spot_does_not_depend_on_blocks_or_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = make_cells("lattice", 3000, 5)
    whole = find_hot_spot(*cells, workers=1)
    assert find_hot_spot(*cells, workers=2) == whole
    monkeypatch.setattr(windows, "_BLOCK", 700)
    assert find_hot_spot(*cells) == whole


@settings(deadline=None, max_examples=60)
@given(KINDS, st.integers(30, 200), st.integers(0, 2**32 - 1))
def test_hot_spot_does_not_depend_on_order(kind: str, n: int, seed: int) -> None:
    x, y, positive = make_cells(kind, n, seed)
    order = np.random.default_rng(seed).permutation(n)
    expected = find_hot_spot(x, y, positive, count=25, workers=1)
    assert find_hot_spot(x[order], y[order], positive[order], count=25, workers=1) == expected


@settings(deadline=None, max_examples=60)
@given(
    st.integers(30, 200),
    st.integers(-(2**20), 2**20),
    st.integers(-(2**20), 2**20),
    st.integers(0, 2**32 - 1),
)
def test_hot_spot_moves_and_turns_with_the_slide(n: int, dx: int, dy: int, seed: int) -> None:
    # whole micrometres: moving and quarter turns are exact, and many distances tie
    x, y, positive = make_cells("random", n, seed)
    x, y = np.round(x / 4), np.round(y / 4)
    hot = find_hot_spot(x, y, positive, count=25, workers=1)
    assert hot is not None
    moved = find_hot_spot(x + dx, y + dy, positive, count=25, workers=1)
    assert moved == HotSpot(hot.x_um + dx, hot.y_um + dy, hot.radius_um, positive=hot.positive, total=25)
    for turned in ((-y, x), (-x, -y), (y, -x)):
        found = find_hot_spot(*turned, positive, count=25, workers=1)
        assert found is not None
        assert (found.positive, found.radius_um) == (hot.positive, hot.radius_um)


def test_hot_spot_turns_by_any_angle() -> None:
    x, y, positive = make_cells("clustered", 1500, 11)
    hot = find_hot_spot(x, y, positive, count=100)
    assert hot is not None
    for angle in (0.3, 1.1, 2.9):
        c, s = np.cos(angle), np.sin(angle)
        found = find_hot_spot(c * x - s * y, s * x + c * y, positive, count=100)
        assert found is not None
        assert found.positive == hot.positive
        assert found.radius_um == pytest.approx(hot.radius_um)
        assert found.x_um == pytest.approx(c * hot.x_um - s * hot.y_um)


def test_hot_spot_survives_huge_coordinates() -> None:
    x, y, positive = make_cells("lattice", 400, 4)
    near, far = find_hot_spot(x, y, positive, count=50), find_hot_spot(x + 2.0**36, y, positive, count=50)
    assert near is not None
    assert far is not None
    assert (far.positive, far.radius_um, far.x_um - 2.0**36) == (near.positive, near.radius_um, near.x_um)


def test_hot_spot_takes_single_precision() -> None:
    x, y, positive = make_cells("random", 600, 8)
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    exact = x32.astype(np.float64), y32.astype(np.float64), positive
    assert find_hot_spot(x32, y32, positive, count=80) == search_everything(exact, 80)


def test_planted_hot_spot_is_found() -> None:
    # a lattice of 10 um; all nuclei within 126.5 um of (1000, 600) are stained: 500 fit within 130 um
    grid = np.arange(0, 2000, 10.0)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    positive = np.hypot(x - 1000, y - 600) < 126.5
    hot = find_hot_spot(x, y, positive)
    assert hot is not None
    assert (hot.x_um, hot.y_um, hot.total) == (1000, 600, 500)
    assert hot.positive == min(500, int(positive.sum()))


def test_unstained_nuclei_on_the_rim_come_first() -> None:
    # centre (0, 0) stained; four neighbours at exactly 10, three of them stained, one seat left
    x, y = np.array([0.0, 10, -10, 0, 0]), np.array([0.0, 0, 0, 10, -10])
    positive = np.array([True, True, True, True, False])
    hot = find_hot_spot(x, y, positive, count=2)
    # the centre takes the unstained one, 1 of 2; each stained neighbour pairs with the centre, 2 of 2
    assert hot is not None
    assert (hot.positive, hot.radius_um, hot.x_um, hot.y_um) == (2, 10, -10, 0)


def test_equal_index_prefers_the_smaller_radius_then_the_upper_left() -> None:
    x, y = np.array([0.0, 3, 100, 102, 200, 202]), np.zeros(6)
    hot = find_hot_spot(x, y, np.ones(6, dtype=bool), count=2)
    assert hot is not None
    assert (hot.radius_um, hot.x_um) == (2, 100)


def test_window_of_exactly_the_largest_radius_counts() -> None:
    x, y, positive = np.array([0.0, 300]), np.array([0.0, 400]), np.array([True, False])
    assert find_hot_spot(x, y, positive, count=2, max_radius_um=500) is not None
    assert find_hot_spot(x, y, positive, count=2, max_radius_um=499.9) is None


def test_wide_window_does_not_hide_a_smaller_cooler_one() -> None:
    # stained nuclei far apart, half-stained ones close together
    x = np.array([0.0, 400, 800, 5000, 5010, 5020])
    hot = find_hot_spot(
        x, np.zeros(6), np.array([True, True, True, True, False, False]), count=3, max_radius_um=50
    )
    assert hot is not None
    assert (hot.positive, hot.x_um) == (1, 5010)


def test_too_few_nuclei_have_no_hot_spot() -> None:
    x, y, positive = make_cells("random", 499, 0)
    assert find_hot_spot(x, y, positive) is None
    assert find_hot_spot([], [], []) is None


def test_all_nuclei_at_one_place_are_one_window() -> None:
    positive = np.arange(900) < 600
    hot = find_hot_spot(np.full(900, 3.0), np.full(900, 4.0), positive)
    # 300 unstained come first, 200 of the stained fill the window
    assert hot == HotSpot(3.0, 4.0, 0.0, positive=200, total=500)


def test_hot_spot_has_index_and_interval() -> None:
    hot = HotSpot(0, 0, 100, positive=120, total=500)
    assert (hot.index, hot.negative) == (24.0, 380)
    assert (round(hot.interval.low, 2), round(hot.interval.high, 2)) == (20.46, 27.93)


@pytest.mark.parametrize("settings_", [{"count": 0}, {"max_radius_um": 0}, {"max_radius_um": float("nan")}])
def test_hot_spot_refuses_bad_settings(settings_: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        find_hot_spot([0.0], [0.0], [True], **settings_)


def test_hot_spot_refuses_bad_columns() -> None:
    with pytest.raises(InvalidTableError):
        find_hot_spot([0.0, 1.0], [0.0], [True, False])
    with pytest.raises(InvalidTableError):
        find_hot_spot([float("inf")], [0.0], [True])
    with pytest.raises(InvalidTableError):
        find_hot_spot([0.0], [0.0], [0.3])
