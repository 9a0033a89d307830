"""Damage is read around, as white, and told."""

import numpy as np
import pytest
import tifffile

from slidelab.errors import UnreadableSlideError
from slidelab.wsi import Region, open_slide


@pytest.fixture
def torn(tmp_path):
    """A one-level slide of 4 x 4 tiles, of which the one at row 1, column 2 is damaged."""
    path = tmp_path / "torn.tif"
    pixels = np.random.default_rng(1).integers(100, 200, (1024, 1024, 3), dtype=np.uint8)
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        offset, count = page.dataoffsets[6], page.databytecounts[6]
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(bytes(count))
    return path, pixels


def test_without_salvage_damage_is_an_error(torn):
    with open_slide(torn[0]) as slide, pytest.raises(UnreadableSlideError):
        slide.read_level(0, Region(0, 0, 1024, 1024))


def test_with_salvage_all_but_the_damaged_tile_is_read_and_it_is_named(torn):
    path, pixels = torn
    expected = pixels.copy()
    expected[256:512, 512:768] = 255
    with open_slide(path, salvage=True) as slide:
        assert slide.damage == ()
        assert np.array_equal(slide.read_level(0, Region(0, 0, 1024, 1024)), expected)
        assert slide.damage == (Region(512, 256, 256, 256),)


def test_salvage_survives_pickling(torn):
    import pickle

    with open_slide(torn[0], salvage=True) as slide, pickle.loads(pickle.dumps(slide)) as again:
        assert again.read_level(0, Region(512, 256, 256, 256)).min() == 255
        assert again.damage
