"""The real collections are read where the experts put their marks."""

from functools import cache

import numpy as np
import pytest
from PIL import Image

from slidelab.models import COLLECTIONS, KI67_SETS, read_collection, split_images

COUNTS = {
    "ki67-bcdata-sample": (19, 19, 2182),
    "ki67-shidc-sample": (18, 12, 2205),
    "ki67-glioma-nuclei": (4, 2, 2070),
    "ki67-nuclei-pilot": (4, 4, 1356),
    "ki67-deepliif-sample": (2, 2, 183),  # the third picture is a strip of six without a mask of that kind
    "erpr-endonuke-tiles": (12, 12, 1599),
    "dsb2018-stained": (78, 76, 3109),
    "tnbc-naylor": (18, 6, 1370),
    "nucls-sample": (10, 10, 494),
    "gbm40": (21, 21, 2749),
    "cpm15": (11, 11, 2000),
    "crchistophenotypes": (53, 53, 15801),
}
"""Images, cases and marks, as the collections' own notes have them."""
VALIDATION = {
    "ki67-dcis-points": {"10712-09", "11955-10", "17762-05", "1M07_Annotation_2", "24774-10", "9817-05"},
    "ki67-bcdata-sample": {"14", "15", "18", "5", "8"},
    "ki67-shidc-sample": {"p1_0299", "p2_0183", "p2_0191"},
    "ki67-glioma-nuclei": {"1309620"},
    "tnbc-naylor": {"patient-1", "patient-3"},
    "gbm40": {"03", "11", "17", "19", "23", "27"},
    "cpm15": {"image01", "image06", "image15"},
}
"""Some of the cases that no network may ever learn from."""


@cache
def collection(folder, name):
    return tuple(read_collection(folder, name))


@pytest.mark.parametrize("name", COUNTS)
def test_a_collection_has_the_images_and_marks_of_its_notes(data_folder, name):
    images = collection(data_folder, name)
    counted = (len(images), len({image.case for image in images}), sum(len(image.x) for image in images))
    assert counted == COUNTS[name]


def test_every_dcis_image_is_read(data_folder):
    images = collection(data_folder, "ki67-dcis-points")
    assert len(images) == len(list((data_folder / "ihc" / "ki67-dcis-points" / "images").iterdir()))


@pytest.mark.parametrize("name", COLLECTIONS)
def test_marks_lie_inside_their_images(data_folder, name):
    for image in collection(data_folder, name):
        with Image.open(image.path) as opened:
            width, height = opened.size
        slack = 4  # some were set by hand on another rendering of the image
        assert ((image.x > -slack) & (image.x < width + slack)).all(), image.name
        assert ((image.y > -slack) & (image.y < height + slack)).all(), image.name
        assert len(image.x) == len(image.y) == len(image.labels)


@pytest.mark.parametrize("name", [name for name, each in COLLECTIONS.items() if each.target == "nuclei"])
def test_marks_lie_on_something_dark(data_folder, name):
    # A shifted or mirrored reading, or an inverted mask, would put them on the background.
    darker = []
    for image in collection(data_folder, name):
        with Image.open(image.path) as opened:
            grey = np.asarray(opened.convert("L"), float)
        columns = np.clip(image.x.astype(int), 0, grey.shape[1] - 1)
        rows = np.clip(image.y.astype(int), 0, grey.shape[0] - 1)
        if len(rows):
            darker.append(grey[rows, columns].mean() < np.median(grey))
    assert np.mean(darker) > 0.9


@pytest.mark.parametrize("name", COLLECTIONS)
def test_no_case_is_in_two_parts(data_folder, name):
    parts = split_images(collection(data_folder, name))
    cases = [{image.case for image in members} for members in parts.values()]
    assert sum(len(members) for members in parts.values()) == len(collection(data_folder, name))
    assert len(set().union(*cases)) == sum(len(members) for members in cases)
    assert parts["validation"]
    assert parts["training"]


@pytest.mark.parametrize("name", VALIDATION)
def test_the_cases_kept_for_validation_never_change(data_folder, name):
    chosen = {image.case for image in split_images(collection(data_folder, name))["validation"]}
    assert chosen == VALIDATION[name]


@pytest.mark.parametrize("name", ["ki67-nuclei-pilot", "ki67-deepliif-sample", "dsb2018-stained", "gbm40"])
def test_outlines_cover_nuclei_and_not_the_background(data_folder, name):
    image = collection(data_folder, name)[0]
    instances = image.load_instances()
    with Image.open(image.path) as opened:
        grey = np.asarray(opened.convert("L"), float)
    assert instances.shape == grey.shape
    assert 0.02 < (instances > 0).mean() < 0.6
    assert grey[instances > 0].mean() < grey[instances == 0].mean() - 10
    assert set(image.instance_ids.tolist()) == set(np.unique(instances).tolist()) - {0}


def test_shapes_of_bent_tnbc_copies_are_not_scored(data_folder):
    images = collection(data_folder, "tnbc-naylor")
    assert sum(image.shape_scored for image in images) == 6
    assert not any(image.shape_scored for image in images if "distorted" in image.name)


def test_dcis_markers_fit_their_image_better_than_neighbouring_readings(data_folder):
    # x / 2 - 1 and y / 2 + 1 put markers on nuclei; a shift of half a nucleus must make them paler.
    here, shifted = [], []
    for image in collection(data_folder, "ki67-dcis-points")[:6]:
        with Image.open(image.path) as opened:
            grey = np.asarray(opened.convert("L"), float)
        for list_, dx, dy in (
            (here, 0, 0),
            (shifted, 8, 0),
            (shifted, -8, 0),
            (shifted, 0, 8),
            (shifted, 0, -8),
        ):
            columns = np.clip((image.x + dx).astype(int), 0, grey.shape[1] - 1)
            rows = np.clip((image.y + dy).astype(int), 0, grey.shape[0] - 1)
            list_.append(grey[rows, columns].mean())
    assert np.mean(here) < np.mean(shifted) - 5


def test_points_outside_the_marked_region_are_told_apart(data_folder):
    images = collection(data_folder, "ki67-dcis-points")
    assert np.mean([image.inside(image.x, image.y).mean() for image in images]) > 0.95
    corner = np.array([4.0])
    assert not all(image.inside(corner, corner)[0] for image in images)


def test_every_ki67_set_marks_both_stained_and_unstained_nuclei(data_folder):
    for name in KI67_SETS:
        labels = {label for image in collection(data_folder, name) for label in image.labels.tolist()}
        assert {"Positive", "Negative"} <= labels <= {"Positive", "Negative", "Lymphocyte"}
