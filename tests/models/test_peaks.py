"""Peaks of heat maps, and which of two overlapping nuclei stays."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slidelab.models.peaks import find_peaks, highest_near, stronger_covers


def test_peaks_are_the_local_maxima_above_the_threshold_in_raster_order():
    heat = torch.full((2, 12, 12), -5.0)
    heat[0, 3, 4], heat[0, 3, 5], heat[0, 9, 0], heat[1, 11, 11] = 2.0, 1.5, 0.5, 3.0
    heat[1, 0, 0] = -2.0
    places, values = find_peaks(heat, threshold=0.0)
    assert places.tolist() == [[0, 3, 4], [0, 9, 0], [1, 11, 11]]
    assert values.tolist() == [2.0, 0.5, 3.0]


def test_two_peaks_are_never_nearer_than_the_window():
    heat = torch.from_numpy(np.random.default_rng(1).normal(size=(1, 60, 60)).astype(np.float32))
    places, _ = find_peaks(heat, threshold=-1.0)
    grid = places[:, 1:].numpy()
    apart = np.abs(grid[:, None] - grid[None]).max(2)
    assert apart[~np.eye(len(apart), dtype=bool)].min() > 2


def test_an_empty_heat_map_has_no_peaks():
    places, values = find_peaks(torch.full((1, 8, 8), -9.0), threshold=0.0)
    assert places.shape == (0, 3)
    assert values.shape == (0,)


def test_highest_near_looks_past_no_border():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    near = highest_near(maps, torch.tensor([[0, 0, 0], [0, 3, 3], [0, 1, 2]]), reach=1)
    assert near[:, 0].tolist() == [5.0, 15.0, 11.0]


def test_a_weaker_centre_inside_a_stronger_outline_is_covered():
    centres = np.array([[10.0, 10.0], [14.0, 10.0], [30.0, 10.0]])
    radii = np.full((3, 32), 8.0, np.float32)
    covered = stronger_covers(centres, radii, np.array([2.0, 1.0, 0.5], np.float32), share=0.7)
    assert covered.tolist() == [False, True, False]


def test_a_small_strong_nucleus_does_not_cover_a_neighbour_outside_it():
    centres = np.array([[10.0, 10.0], [14.0, 10.0]])
    radii = np.stack([np.full(32, 3.0), np.full(32, 9.0)]).astype(np.float32)
    assert not stronger_covers(centres, radii, np.array([2.0, 1.0], np.float32), share=0.7).any()
    # Seen from the large one the small one lies inside, but it is the stronger.
    assert stronger_covers(centres, radii, np.array([1.0, 2.0], np.float32), share=0.7).tolist() == [
        True,
        False,
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_what_is_covered_does_not_depend_on_order_or_place(seed, count):
    random = np.random.default_rng(seed)
    centres = random.integers(0, 60, (count, 2)).astype(float)
    centres = np.unique(centres, axis=0)
    radii = random.uniform(2, 12, (len(centres), 32)).astype(np.float32)
    strength = random.integers(0, 4, len(centres)).astype(np.float32)  # ties are common
    expected = stronger_covers(centres, radii, strength, share=0.7)
    order = random.permutation(len(centres))
    moved = stronger_covers(centres[order] + (4096.0, 512.0), radii[order], strength[order], share=0.7)
    assert np.array_equal(moved, expected[order])
