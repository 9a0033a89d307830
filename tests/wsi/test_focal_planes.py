"""Focal planes: what is read depends on the place alone, and is as sharp as the sharpest plane."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from slidelab.errors import SettingsError, UnsupportedSlideError
from slidelab.wsi import Region, open_slide
from slidelab.wsi.focal_planes import FocalSlide, find_planes, open_focal, stack_name

Pixels = NDArray[np.uint8]


def _scene() -> tuple[Pixels, list[Pixels]]:
    """A sharp image, and three planes of which each has one third of it in focus."""
    rng = np.random.default_rng(3)
    sharp = np.repeat(np.repeat(rng.integers(90, 250, (48, 72, 3)), 8, 0), 8, 1).astype(np.uint8)
    planes = []
    for part in range(3):
        blurred = ndimage.gaussian_filter(sharp.astype(float), (6, 6, 0)).astype(np.uint8)
        blurred[:, part * 192 : (part + 1) * 192] = sharp[:, part * 192 : (part + 1) * 192]
        planes.append(blurred)
    return sharp, planes


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack")
    for number, plane in enumerate(_scene()[1]):
        _write(folder / f"slide_z{number}.tif", plane)
    return folder


def _write(path: Path, pixels: Pixels) -> None:
    tifffile.imwrite(
        path, pixels, tile=(128, 128), photometric="rgb", resolution=(20000, 20000), resolutionunit=3
    )


@pytest.mark.parametrize("blend", ["extended", "best"])
def test_a_pixel_is_the_same_from_every_window(stack: Path, blend: str) -> None:
    with open_focal(stack, blend=blend) as slide:  # type: ignore[arg-type]
        whole = slide.read_level(0, Region(0, 0, 576, 384))
        for x, y, width, height in ((0, 0, 1, 1), (63, 64, 130, 65), (300, 17, 211, 367), (575, 383, 1, 1)):
            part = slide.read_level(0, Region(x, y, width, height))
            assert np.array_equal(part, whole[y : y + height, x : x + width])


def test_the_composite_is_nearer_to_the_sharp_image_than_any_plane(stack: Path) -> None:
    sharp, planes = _scene()
    errors = [np.abs(plane.astype(int) - sharp).mean() for plane in planes]
    for blend in ("extended", "best"):
        with open_focal(stack, blend=blend) as slide:  # type: ignore[arg-type]
            found = slide.read_level(0, Region(0, 0, 576, 384))
        assert np.abs(found.astype(int) - sharp).mean() < 0.35 * min(errors)


def test_the_middle_plane_alone_is_that_file(stack: Path) -> None:
    with open_focal(stack, blend="middle") as slide, open_slide(stack / "slide_z1.tif") as plane:
        window = Region(5, 6, 300, 200)
        assert np.array_equal(slide.read_level(0, window), plane.read_level(0, window))


def test_any_plane_or_its_folder_stands_for_the_stack(stack: Path) -> None:
    assert stack_name(stack / "slide_z1.tif") == "slide"
    assert stack_name("biopsy.svs") is None
    assert [path.name for path in find_planes(stack / "slide_z2.tif")] == [
        "slide_z0.tif",
        "slide_z1.tif",
        "slide_z2.tif",
    ]
    with open_focal(stack) as one, open_focal(stack / "slide_z0.tif") as other:
        assert one.fingerprint == other.fingerprint
        assert isinstance(other, FocalSlide)
        assert "3 focal planes" in one.facts.reader


def test_a_stack_pickles_and_reads_the_same(stack: Path) -> None:
    with open_focal(stack, blend="best") as slide:
        again = pickle.loads(pickle.dumps(slide))
        with again:
            window = Region(100, 100, 90, 80)
            assert np.array_equal(again.read_level(0, window), slide.read_level(0, window))


def test_the_planes_of_an_ome_tiff_are_read_as_one(tmp_path: Path) -> None:
    sharp, planes = _scene()
    path = tmp_path / "slide.ome.tif"
    tifffile.imwrite(
        path,
        np.stack(planes),
        tile=(128, 128),
        photometric="rgb",
        metadata={"axes": "ZYXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
    )
    with open_focal(path, blend="best") as slide:
        assert slide.mpp == pytest.approx(0.5)
        found = slide.read_level(0, Region(0, 0, 576, 384))
    assert np.abs(found.astype(int) - sharp).mean() < 6
    with pytest.raises(UnsupportedSlideError):
        open_slide(path)


def test_glass_is_that_of_the_middle_plane(tmp_path: Path) -> None:
    for number, level in enumerate((240, 238, 236)):
        _write(tmp_path / f"glass_z{number}.tif", np.full((256, 256, 3), level, np.uint8))
    with open_focal(tmp_path) as slide:
        assert (slide.read_level(0, Region(0, 0, 256, 256)) == 238).all()


def test_a_slide_of_one_plane_opens_as_ever(tmp_path: Path) -> None:
    _write(tmp_path / "single.tif", np.full((128, 128, 3), 200, np.uint8))
    with open_focal(tmp_path / "single.tif") as slide:
        assert not isinstance(slide, FocalSlide)


def test_planes_of_different_size_and_unknown_blends_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "bad_z0.tif", np.full((128, 128, 3), 200, np.uint8))
    _write(tmp_path / "bad_z1.tif", np.full((256, 128, 3), 200, np.uint8))
    with pytest.raises(UnsupportedSlideError):
        open_focal(tmp_path / "bad_z0.tif")
    with pytest.raises(SettingsError):
        open_focal(tmp_path / "bad_z0.tif", blend="mean")  # type: ignore[arg-type]
