from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slidelab.errors import SettingsError, UnsupportedSlideError
from slidelab.wsi import Region, benchmark_reading, open_slide
from slidelab.wsi.benchmark import _cover


@pytest.mark.parametrize("threads", [1, 3])
def test_both_sides_are_timed_and_equal(write_tiff, picture, threads: int) -> None:
    path = write_tiff(picture(500, 400), compression="jpeg")
    found = benchmark_reading(path, window=200, rounds=2, threads=threads)
    assert found["max_difference"] == 0
    assert found["native_mp_s"] > 0
    assert found["openslide_mp_s"] > 0
    assert found["ratio"] > 0
    assert found["openslide_new_cache_mp_s"] > 0
    assert found["openslide_default_cache_mp_s"] > 0


def test_slides_that_are_not_read_natively_say_why(data_folder: Path) -> None:
    found = benchmark_reading(data_folder / "slides" / "cmu-1-small-region-dicom", rounds=1)
    assert found["native_mp_s"] is None
    assert found["ratio"] is None
    assert found["reason"] == "dicom slides are read by openslide"
    assert found["max_difference"] == 0


def test_slides_that_openslide_refuses_cannot_be_compared(data_folder: Path) -> None:
    with pytest.raises(UnsupportedSlideError, match="cannot be compared"):
        benchmark_reading(data_folder / "slides" / "OS-2-ndpi.ome.tif")


def test_nonsense_is_refused(write_tiff, picture) -> None:
    with pytest.raises(SettingsError):
        benchmark_reading(write_tiff(picture(100, 100)), rounds=0)


def test_the_windows_cover_every_pixel_once(write_tiff, picture) -> None:
    with open_slide(write_tiff(picture(301, 207))) as slide:
        seen = np.zeros((207, 301), int)
        for window in _cover(slide, 100):
            assert isinstance(window, Region)
            seen[window.y : window.bottom, window.x : window.right] += 1
    assert (seen == 1).all()
