from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slidelab.errors import RegionError, ResolutionError
from slidelab.wsi import Region, open_slide

CASES = [
    ("cmu-1-small-region.svs", None, 0.499),  # stored pixels
    ("cmu-1-small-region.svs", None, 0.7),  # 0.499 -> 0.7
    ("cmu-1-small-region.svs", None, 1.0),  # whole-number ratio 2
    ("cmu-1-small-region.svs", None, 0.3),  # finer than level 0
    ("OS-1-detail.ome.tif", None, 0.5),  # 0.2271 -> 0.5
    ("BRACS_1640_N_3_cropped.tiff", 0.25, 0.8),  # ratio 1.6 from level 1
    ("BRACS_1640_N_3_cropped.tiff", 0.25, 1.0),  # stored pixels of level 2, one column short
    ("cmu-1-small-region-dicom", None, 2.6),  # by OpenSlide, from a level of odd size
    ("kidney-48-5.tif", 0.5, 1.3),
]


@pytest.fixture(scope="module")
def whole_plane(data_folder: Path) -> Callable[..., tuple]:
    """Give a plane and all of its pixels, read once."""

    @cache
    def read(name: str, mpp: float | None, wanted: float) -> tuple:
        plane = open_slide(data_folder / "slides" / name, mpp=mpp).plane(wanted)
        return plane, plane.read(0, 0, plane.width, plane.height)

    return read


@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
@settings(max_examples=15)
def test_any_window_is_a_crop_of_the_whole_plane(whole_plane, case, data: st.DataObject) -> None:
    plane, whole = whole_plane(*case)
    x, y = data.draw(st.integers(-40, plane.width + 40)), data.draw(st.integers(-40, plane.height + 40))
    width, height = data.draw(st.integers(1, 400)), data.draw(st.integers(1, 400))
    framed = np.full((plane.height + 1000, plane.width + 1000, 3), 255, np.uint8)
    framed[500:-500, 500:-500] = whole
    expected = framed[y + 500 : y + 500 + height, x + 500 : x + 500 + width]
    window = plane.read(x, y, width, height)
    assert window.shape == (height, width, 3)
    assert window.dtype == np.uint8
    assert (window == expected).all()


def test_a_window_far_outside_is_white(write_tiff, picture) -> None:
    with open_slide(write_tiff(picture(300, 200)), mpp=0.5) as slide:
        assert (slide.plane(0.5).read(5000, -700, 30, 20) == 255).all()


@pytest.mark.parametrize(
    ("asked", "mpp", "downsample"),
    [
        (0.5, 0.499, 1.0),  # within 2 % of the stored pixels
        (0.49, 0.499, 1.0),
        (1.0, 0.998, 2.0),
        (0.7, 0.7, 0.7 / 0.499),
        (0.25, 0.25, 0.25 / 0.499),
        (4.0, 3.992, 8.0),
    ],
)
def test_plane_snaps_to_whole_ratios_within_2_percent(write_tiff, picture, asked, mpp, downsample) -> None:
    with open_slide(write_tiff(picture(300, 200), levels=1), mpp=0.499) as slide:
        plane = slide.plane(asked)
        assert plane.mpp == pytest.approx(mpp)
        assert plane.downsample == pytest.approx(downsample)


def test_plane_size_is_rounded_up(write_tiff, picture) -> None:
    with open_slide(write_tiff(picture(301, 200), levels=1), mpp=0.5) as slide:
        plane = slide.plane(1.0)
        assert (plane.width, plane.height) == (151, 100)
        assert (slide.plane(0.5).width, slide.plane(0.5).height) == (301, 200)


def test_plane_reads_the_coarsest_level_that_is_fine_enough(write_tiff, picture) -> None:
    with open_slide(write_tiff(picture(800, 640), levels=3), mpp=0.25) as slide:
        assert [slide.plane(mpp).level for mpp in (0.2, 0.25, 0.4, 0.495, 0.9, 1.0, 8.0)] == [
            0,
            0,
            0,
            1,
            1,
            2,
            2,
        ]


def test_a_stored_level_is_read_as_it_is(write_tiff, picture) -> None:
    image = picture(801, 641)
    with open_slide(write_tiff(image, levels=3), mpp=0.25) as slide:
        plane = slide.plane(1.0)
        assert (plane.read(0, 0, plane.width, plane.height) == image[::4, ::4]).all()


def test_a_coarse_plane_of_a_flat_slide_is_the_mean_of_its_pixels(write_tiff, picture) -> None:
    image = picture(640, 320)
    with open_slide(write_tiff(image, levels=1), mpp=0.25) as slide:
        plane = slide.plane(8.0)
        found = plane.read(0, 0, plane.width, plane.height)
    exact = image.reshape(10, 32, 20, 32, 3).mean(axis=(1, 3))
    assert np.abs(found - exact).max() <= 0.5


def test_slide_read_rounds_a_region_to_plane_pixels(write_tiff, picture) -> None:
    image = picture(400, 300)
    with open_slide(write_tiff(image, levels=1), mpp=0.5) as slide:
        found = slide.read(Region(101, 50, 61, 40), mpp=1.0)
        assert (found == slide.plane(1.0).read(50, 25, 30, 20)).all()


def test_plane_survives_pickling(write_tiff, picture) -> None:
    with open_slide(write_tiff(picture(400, 300)), mpp=0.4) as slide:
        plane = slide.plane(0.7)
        copy = pickle.loads(pickle.dumps(plane))
        with copy.slide:
            assert (copy.mpp, copy.width, copy.height) == (plane.mpp, plane.width, plane.height)
            assert (copy.read(10, 20, 90, 80) == plane.read(10, 20, 90, 80)).all()


def test_nonsense_is_refused(write_tiff, picture) -> None:
    with open_slide(write_tiff(picture(300, 200)), mpp=0.5) as slide:
        for mpp in (0, -1, float("nan")):
            with pytest.raises(ResolutionError):
                slide.plane(mpp)
        with pytest.raises(RegionError):
            slide.plane(0.5).read(0, 0, 0, 10)
