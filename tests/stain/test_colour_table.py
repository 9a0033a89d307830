"""The table is the function, for every colour, thread and layout."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from slidelab.stain.colour_table import ColourTable


def brighten(colours):
    return colours * 1.3 - 20.0 + colours[:, ::-1] * 0.1


def expected(image):
    new = np.rint(brighten(image.reshape(-1, 3).astype(float)))
    return np.clip(new, 0, 255).astype(np.uint8).reshape(image.shape)


def test_every_pixel_is_what_the_function_gives():
    image = np.random.default_rng(1).integers(0, 256, (300, 301, 3), dtype=np.uint8)
    assert np.array_equal(ColourTable(brighten).apply(image), expected(image))


def test_the_corners_of_the_cube_are_in_the_table():
    corners = np.array(np.meshgrid([0, 255], [0, 255], [0, 255])).reshape(3, -1).T.astype(np.uint8)
    assert np.array_equal(ColourTable(brighten).apply(corners), expected(corners))


def test_views_and_single_rows_are_taken():
    image = np.random.default_rng(2).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    table = ColourTable(brighten)
    assert np.array_equal(table.apply(image[::2, ::-3]), expected(image)[::2, ::-3])
    assert table.apply(image[:0]).shape == (0, 80, 3)


def test_threads_that_meet_the_same_new_colours_agree():
    image = np.random.default_rng(3).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    table = ColourTable(brighten)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(table.apply, [image] * 16))
    assert all(np.array_equal(result, expected(image)) for result in results)


def test_a_colour_is_worked_out_once():
    calls = []

    def counted(colours):
        calls.append(len(colours))
        return colours

    table = ColourTable(counted)
    image = np.random.default_rng(4).integers(0, 4, (64, 64, 3), dtype=np.uint8)
    table.apply(image)
    table.apply(image)
    assert sum(calls) == 64  # 4 x 4 x 4 colours
