"""Elongation of outlines: that of ellipses, whatever their place, size and turn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError
from slidelab.models.nucleus_shape import elongations

TURNS = np.arange(32) * np.pi / 16


def ellipse(ratio, turn, size=10.0, place=(0.0, 0.0)):
    x, y = size * ratio * np.cos(TURNS), size * np.sin(TURNS)
    return np.stack(
        [x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1
    ) + np.array(place)


@given(ratio=st.floats(1, 6), turn=st.floats(0, 7), size=st.floats(1, 30), place=st.floats(-1e4, 1e4))
def test_it_is_the_ratio_of_an_ellipse_s_axes(ratio, turn, size, place):
    found = elongations(ellipse(ratio, turn, size, (place, -place))[None])
    np.testing.assert_allclose(found, ratio, rtol=1e-4)


def test_the_direction_round_an_outline_does_not_matter():
    outline = ellipse(2.5, 0.3)
    np.testing.assert_allclose(elongations(outline[None, ::-1]), elongations(outline[None]), rtol=1e-6)


def test_whole_pixels_of_shift_change_no_bit():
    random = np.random.default_rng(1)
    spokes = random.uniform(4, 9, (50, 32, 1)) * np.stack([np.cos(TURNS), np.sin(TURNS)], 1)
    outlines = np.round(spokes * 64) / 64 + random.integers(0, 50, (50, 1, 2))
    np.testing.assert_array_equal(elongations(outlines + np.array([2048, 777])), elongations(outlines))
    np.testing.assert_array_equal(elongations(outlines[::-1])[::-1], elongations(outlines))


def test_outlines_without_area_are_round():
    flat = np.zeros((2, 32, 2))
    flat[1, :, 0] = np.cos(TURNS)
    np.testing.assert_array_equal(elongations(flat), 1.0)
    assert elongations(np.empty((0, 32, 2))).shape == (0,)


def test_what_is_no_outline_is_refused():
    with pytest.raises(InvalidTableError, match="outlines have shape"):
        elongations(np.zeros((4, 2)))
