from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from slidelab.errors import UnreadableSlideError, UnsupportedSlideError
from slidelab.wsi import Region, open_slide


def whole(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        return slide.read_level(0, Region(0, 0, slide.width, slide.height))


@pytest.mark.parametrize("name", ["field.png", "field.bmp", "field.tif", "field.webp"])
def test_lossless_images_come_back_as_they_are(tmp_path: Path, picture, name: str) -> None:
    image = picture(123, 77)
    options = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(image).save(tmp_path / name, **options)
    assert np.array_equal(whole(tmp_path / name), image)


def test_a_jpeg_comes_back_as_pillow_reads_it(tmp_path: Path, picture) -> None:
    path = tmp_path / "field.jpg"
    Image.fromarray(picture(123, 77)).save(path)
    with Image.open(path) as image:
        assert np.array_equal(whole(path), np.asarray(image))


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "jpeg"])
def test_untiled_tiff_is_read_whole(tmp_path: Path, picture, compression: str | None) -> None:
    path = tmp_path / "field.tif"
    tifffile.imwrite(path, picture(123, 77), compression=compression, photometric="rgb", rowsperstrip=16)
    with open_slide(path) as slide:
        assert slide.facts.reader == "plain"
    assert np.array_equal(whole(path), tifffile.imread(path))


def test_the_real_untiled_tiff_is_read_whole(data_folder: Path) -> None:
    path = data_folder / "slides" / "kidney-48-5.tif"
    assert np.array_equal(whole(path), tifffile.imread(path))


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    Image.fromarray(pixels).save(tmp_path / "field.png")
    found = whole(tmp_path / "field.png")
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[1, 1].tolist() == [255, 255, 255]


def test_palette_images_are_read_in_colour(tmp_path: Path, picture) -> None:
    image = Image.fromarray(picture(50, 40)).convert("P")
    image.save(tmp_path / "field.png")
    assert np.array_equal(whole(tmp_path / "field.png"), np.asarray(image.convert("RGB")))


def test_a_grey_image_is_called_no_stain(tmp_path: Path, picture) -> None:
    Image.fromarray(picture(50, 40)[..., 0]).save(tmp_path / "field.png")
    with open_slide(tmp_path / "field.png") as slide:
        assert slide.problems == ("one channel: not a stained slide",)


@pytest.mark.parametrize(("name", "mode"), [("field.png", "I;16"), ("field.jpg", "CMYK")])
def test_images_that_are_no_8_bit_pictures_are_refused(tmp_path: Path, name: str, mode: str) -> None:
    Image.new(mode, (20, 20)).save(tmp_path / name)
    with pytest.raises(UnsupportedSlideError, match="not 8-bit RGB"):
        open_slide(tmp_path / name)


@pytest.mark.parametrize("name", ["field.png", "field.jpg", "field.tif"])
def test_an_image_cut_short_is_refused(tmp_path: Path, picture, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(picture(123, 77)).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UnreadableSlideError):
        open_slide(path)


def test_a_screen_density_is_not_a_resolution(tmp_path: Path, picture) -> None:
    Image.fromarray(picture(50, 40)).save(tmp_path / "field.png", dpi=(72, 72))
    with open_slide(tmp_path / "field.png") as slide:
        assert not slide.resolution.trusted
        assert "um is outside the plausible" in slide.resolution.problems[0]


def test_a_microscope_density_is_one(tmp_path: Path, picture) -> None:
    path = tmp_path / "field.tif"
    tifffile.imwrite(
        path, picture(50, 40), photometric="rgb", resolution=(20000, 20000), resolutionunit="CENTIMETER"
    )
    with open_slide(path) as slide:
        assert slide.resolution.source == "tiff:XResolution"
        assert slide.mpp == pytest.approx(0.5)


def test_untiled_ome_tiff_takes_the_resolution_of_its_xml(tmp_path: Path, picture) -> None:
    path = tmp_path / "field.ome.tif"
    about = {"axes": "YXS", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.00025}
    about["PhysicalSizeYUnit"] = "mm"
    tifffile.imwrite(path, picture(50, 40), photometric="rgb", metadata=about, ome=True)
    with open_slide(path) as slide:
        assert (slide.vendor, slide.resolution.source) == ("ome-tiff", "ome:PhysicalSizeX")
        assert slide.mpp == pytest.approx(0.25)


def test_two_untiled_grey_pages_are_fluorescence(tmp_path: Path, picture) -> None:
    path = tmp_path / "field.tif"
    with tifffile.TiffWriter(path) as tiff:
        for channel in range(2):
            tiff.write(picture(50, 40)[..., channel], metadata=None)
    with pytest.raises(UnsupportedSlideError, match=r"fluorescence image \(2 channels\)"):
        open_slide(path)
