"""Crops around cells: which pixels they hold, and pictures laid on glass without a frame."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError
from slidelab.models.cell_crops import crops_around, framed_box, lay_on_glass

IMAGE = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def test_a_crop_has_the_cell_in_its_middle() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[20, 25] = 255
    (crop,) = crops_around(image, np.array([[25.5, 20.5]]), 9)
    assert crop[4, 4].tolist() == [255, 255, 255]
    assert crop.sum() == 3 * 255


def test_what_lies_outside_is_filled() -> None:
    crops = crops_around(IMAGE, np.array([[0.0, 0.0], [500.0, 500.0]]), 16, fill=7)
    assert (crops[0, :8] == 7).all()
    assert (crops[0, 8:, 8:] == IMAGE[:8, :8]).all()
    assert (crops[1] == 7).all()


def test_without_cells_there_are_no_crops() -> None:
    assert crops_around(IMAGE, np.zeros((0, 2)), 16).shape == (0, 16, 16, 3)


@given(st.floats(0, 60), st.floats(0, 40), st.integers(0, 19), st.integers(0, 19))
def test_a_crop_does_not_depend_on_where_the_image_begins(x: float, y: float, right: int, down: int) -> None:
    centre = np.round(np.array([[x + 20, y + 20]]) * 64) / 64  # coordinates lie on a grid, as everywhere
    whole = np.pad(IMAGE, ((40, 40), (40, 40), (0, 0)))
    part = whole[down:, right:]
    first = crops_around(whole, centre + 20, 24)
    assert (crops_around(part, centre + 20 - [right, down], 24) == first).all()


def test_wrong_shapes_and_missing_places_are_refused() -> None:
    with pytest.raises(InvalidTableError, match="centres of shape"):
        crops_around(IMAGE, np.zeros((3, 3)), 16)
    with pytest.raises(InvalidTableError, match="no number"):
        crops_around(IMAGE, np.array([[np.nan, 2.0]]), 16)


def test_a_small_picture_lies_in_the_middle_on_its_own_glass() -> None:
    picture = np.full((30, 20, 3), (230, 225, 220), np.uint8)
    picture[10:20, 5:15] = 60
    framed = framed_box(picture, 64)
    assert framed.shape == (64, 64, 3)
    assert (framed[0, 0] == (230, 225, 220)).all()
    assert (framed[30:34, 30:34] == 60).all()
    rest = framed.reshape(-1, 3)[(framed != 60).any(2).ravel()]
    assert np.abs(rest.astype(int) - (230, 225, 220)).max() <= 1  # no seam


def test_of_a_large_picture_the_middle_is_taken() -> None:
    assert (framed_box(IMAGE, 32) == IMAGE[14:46, 24:56]).all()


def test_glass_meets_other_glass_without_a_seam() -> None:
    picture, ground = np.full((20, 20, 3), 240, np.uint8), np.full((64, 64, 3), (200, 210, 220), np.uint8)
    laid = lay_on_glass(picture, (22, 22), 64, ground=ground)
    assert np.abs(laid.astype(int) - ground).max() <= 1
