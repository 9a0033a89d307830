"""Boxes of blood cells become ellipses that may overlap, and what nobody boxed is unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slidelab.models.labelled import COLLECTIONS, read_collection, split_images
from slidelab.models.labelled.smear_fields import SMEAR_KINDS, known_ground, read_smear_fields
from slidelab.models.training.crops import draw_crop
from slidelab.models.training.ellipses import ellipse_radii, shift_ellipses, turn_ellipses
from slidelab.models.training.samples import load_samples

HEADER = "file,class,xmin,ymin,xmax,ymax\n"


def disc(image: np.ndarray, x: float, y: float, radius: float, color: tuple[int, int, int]) -> None:
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    image[np.hypot(columns - x, rows - y) <= radius] = color


@pytest.fixture
def bccd(tmp_path: Path) -> Path:
    """Return a folder as BCCD has it: a field with a boxed and an unboxed red cell, and a boxed platelet."""
    place = tmp_path / "bloodsmear" / "bccd"
    (place / "images").mkdir(parents=True)
    image = np.full((200, 300, 3), 230, np.uint8)
    disc(image, 60, 100, 50, (190, 140, 140))
    disc(image, 220, 100, 50, (190, 140, 140))
    disc(image, 140, 30, 18, (120, 90, 170))
    Image.fromarray(image).save(place / "images" / "BloodImage_00041.jpg", quality=95)
    (place / "boxes.csv").write_text(
        HEADER
        + "BloodImage_00041.jpg,RBC,10,50,110,150\n" * 2
        + "BloodImage_00041.jpg,Platelets,122,12,158,48\n"
        + "BloodImage_00041.jpg,RBC,20,20,20,90\n",
        encoding="utf-8",
    )
    return tmp_path


def test_box_given_twice_counts_once_and_an_empty_one_not_at_all(bccd: Path):
    (field,) = read_smear_fields(bccd / "bloodsmear" / "bccd")
    assert field.labels.tolist() == ["RBC", "Platelet"]
    assert field.case == "bccd-02"  # the third block of twenty
    np.testing.assert_allclose(field.ellipses, [[60, 100, 50, 50], [140, 30, 18, 18]])


def test_unboxed_stain_is_unknown_and_the_ground_is_known(bccd: Path):
    (image,) = read_collection(bccd, "bccd")
    assert image.load_known is not None
    known = image.load_known()
    assert known[100, 60]
    assert known[30, 140]
    assert known[190, 150]
    assert not known[100, 220]
    assert image.inside(np.array([60.0, 220.0]), np.array([100.0, 100.0])).tolist() == [True, False]


def test_pale_centre_of_an_unboxed_cell_is_no_ground():
    image = np.full((120, 120, 3), 230, np.uint8)
    disc(image, 60, 60, 40, (190, 140, 140))
    disc(image, 60, 60, 12, (230, 228, 228))
    assert not known_ground(image, np.empty((0, 4)), mpp=0.1, dirt_is_boxed=True)[60, 60]


def test_small_spot_without_a_box_is_dirt_only_where_platelets_are_boxed():
    image = np.full((120, 120, 3), 230, np.uint8)
    disc(image, 60, 60, 10, (120, 90, 170))  # 3.1 um2
    for boxed in (True, False):
        assert known_ground(image, np.empty((0, 4)), mpp=0.1, dirt_is_boxed=boxed)[60, 60] == boxed


def test_radii_of_a_circle_are_the_same_from_its_middle():
    radii, weight = ellipse_radii(
        np.array([[41.0, 61.0, 20.0, 20.0]]), np.array([[30, 20]]), rays=32, side=128
    )
    np.testing.assert_allclose(radii, 20.0, rtol=1e-6)
    assert weight.all()


def test_radii_reach_the_ellipse_from_any_place_in_it():
    ellipse = np.array([[60.0, 50.0, 30.0, 12.0]])
    place = np.array([[27, 33]])  # y 55, x 67
    radii, _ = ellipse_radii(ellipse, place, rays=32, side=256)
    angle = np.arange(32) * 2 * np.pi / 32
    x, y = 67 + radii[0] * np.cos(angle), 55 + radii[0] * np.sin(angle)
    np.testing.assert_allclose(((x - 60) / 30) ** 2 + ((y - 50) / 12) ** 2, 1.0, rtol=1e-5)


def test_rays_that_leave_the_image_are_unknown_and_so_is_a_place_outside():
    ellipse = np.array([[10.0, 50.0, 20.0, 20.0], [10.0, 50.0, 20.0, 20.0]])
    _, weight = ellipse_radii(ellipse, np.array([[24, 4], [60, 60]]), rays=32, side=128)
    assert weight[0, 0] == 1  # to the right
    assert weight[0, 16] == 0  # to the left
    assert not weight[1].any()


@pytest.mark.parametrize("number", range(8))
def test_ellipses_turn_with_their_image(number: int):
    image = np.zeros((64, 64), bool)
    rows, columns = np.mgrid[:64, :64] + 0.5
    image[((columns - 40) / 18) ** 2 + ((rows - 20) / 9) ** 2 <= 1] = True
    turned = image[:, ::-1] if number >= 4 else image
    for _ in range(number % 4):
        turned = np.rot90(turned)
    (ellipse,) = turn_ellipses(np.array([[40.0, 20.0, 18.0, 9.0]]), number, side=64)
    x, y, across, down = ellipse
    again = ((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 <= 1
    assert (again == turned).all()


def test_images_without_ellipses_stay_without():
    assert turn_ellipses(None, 3, side=10) is None
    assert shift_ellipses(None, np.ones(0, bool), x=1, y=1) is None


def test_overlapping_cells_keep_their_whole_outline_in_a_crop(bccd: Path):
    boxes = bccd / "bloodsmear" / "bccd" / "boxes.csv"
    boxes.write_text(
        HEADER + "BloodImage_00041.jpg,RBC,10,50,110,150\nBloodImage_00041.jpg,RBC,60,50,160,150\n"
    )
    images = read_collection(bccd, "bccd")
    (sample,) = load_samples(images, mpp=images[0].mpp, heats=("nucleus",), classes=SMEAR_KINDS)
    crop = draw_crop(sample, np.random.default_rng(3), side=192, rays=32)
    assert crop.classes.tolist() == [0, 0]
    whole = crop.ray_weight.all(1)
    assert whole.any()
    mean = np.sqrt((crop.radii[whole] ** 2).mean(1))
    np.testing.assert_allclose(mean, 50.0, rtol=0.05)


@pytest.mark.parametrize("name", ["bccd", "draaslan-rbc-wbc"])
def test_real_collections_are_open_and_split_by_blocks(data_folder: Path, name: str):
    images = read_collection(data_folder, name)
    assert COLLECTIONS[name].is_open
    assert COLLECTIONS[name].licence == "MIT"
    parts = split_images(images)
    cases = [{image.case for image in part} for part in parts.values()]
    assert all(parts.values())
    assert not cases[0] & cases[1]
    assert not (cases[0] | cases[1]) & cases[2]
    labels = {str(label) for image in images for label in image.labels}
    assert labels == set(SMEAR_KINDS if name == "bccd" else SMEAR_KINDS[:2])


@pytest.mark.parametrize("name", ["bccd", "draaslan-rbc-wbc"])
def test_scale_of_real_collections_is_that_of_their_median_red_cell(data_folder: Path, name: str):
    medians = []
    for field in read_smear_fields(data_folder / "bloodsmear" / name):
        with Image.open(field.path) as opened:
            size = np.array(opened.size)
        inside = (field.boxes[:, :2] > 2).all(1) & (field.boxes[:, 2:] < size - 3).all(1)
        sides = (field.boxes[:, 2:] - field.boxes[:, :2])[inside & (field.labels == "RBC")]
        if len(sides) >= 4:
            medians.append(np.median(np.sqrt(sides.prod(1))))
    assert np.median(medians) * field.mpp == pytest.approx(7.5, rel=0.01)
