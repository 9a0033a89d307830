"""Readers of labelled images, on collections made here: traps of the real ones in small."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from slidelab.errors import SettingsError, SlideNotFoundError
from slidelab.models import read_collection
from slidelab.models.labelled.instances import centroids, components, fill_polygons


@pytest.fixture
def place(tmp_path):
    """Make an empty collection below the folder of its kind."""

    def make(kind, name):
        folder = tmp_path / kind / name
        folder.mkdir(parents=True)
        return folder

    return make


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)


def test_dcis_markers_are_brought_from_the_scan_to_the_half_size_image(place, tmp_path):
    folder = place("ihc", "ki67-dcis-points")
    save(folder / "images" / "7-01.jpg", np.full((40, 60, 3), 255, np.uint8))
    (folder / "markers").mkdir()
    (folder / "markers" / "7-01.csv").write_text("type,x,y\n1,22,18\n2,102,58\n")
    mask = np.zeros((80, 120), np.uint8)
    mask[:40, :60] = 255
    save(folder / "region" / "7-01.png", mask)
    (image,) = read_collection(tmp_path, "ki67-dcis-points")
    assert image.x.tolist() == [10, 50]  # x / 2 - 1
    assert image.y.tolist() == [10, 30]  # y / 2 + 1
    assert image.labels.tolist() == ["Positive", "Negative"]
    assert image.inside(image.x, image.y).tolist() == [True, False]
    assert (image.mpp, image.marked) == (0.5, "tumour")


def test_shidc_names_lymphocytes_and_keeps_crops_of_one_patient_together(place, tmp_path):
    folder = place("ihc", "ki67-shidc-sample")
    for name in ("p1_0299_1", "p1_0299_10", "p2_0001_3"):
        save(folder / f"{name}.jpg", np.full((20, 20, 3), 255, np.uint8))
        points = [{"x": 4, "y": 5, "label_id": kind} for kind in (1, 2, 3)]
        (folder / f"{name}.json").write_text(json.dumps(points))
    images = read_collection(tmp_path, "ki67-shidc-sample")
    assert [image.case for image in images] == ["p1_0299", "p1_0299", "p2_0001"]
    assert images[0].labels.tolist() == ["Positive", "Negative", "Lymphocyte"]
    assert images[0].positive.tolist() == [True, False, False]


def test_the_pilot_masks_are_dark_where_nuclei_are(place, tmp_path):
    folder = place("ihc", "ki67-nuclei-pilot")
    save(folder / "1.jpg", np.full((40, 40, 3), 255, np.uint8))
    mask = np.full((40, 40), 255, np.uint8)
    mask[4:12, 6:16] = 0
    mask[30:33, 30:33] = 0  # a speck
    save(folder / "1_mask.png", mask)
    (image,) = read_collection(tmp_path, "ki67-nuclei-pilot")
    assert (image.x.tolist(), image.y.tolist()) == ([11.0], [8.0])
    assert image.labels.tolist() == ["Tumour"]
    instances = image.load_instances()
    assert (instances[5, 7], instances[31, 31], instances[0, 0]) == (1, 0, 0)


def test_bent_copies_of_tnbc_are_not_scored_for_shape(place, tmp_path):
    folder = place("he", "tnbc-naylor")
    rows = []
    for name, geometry, origin in (("a", "native", "FlexUNet"), ("b", "warped", "Slightly")):
        save(folder / "images" / f"{name}.jpg", np.full((20, 20, 3), 200, np.uint8))
        save(folder / "masks" / f"{name}.png", np.eye(20, dtype=np.uint16))
        rows.append({"image": f"{name}.jpg", "geometry": geometry, "from": origin, "patient_guess": "4"})
    with (folder / "index.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    native, warped = read_collection(tmp_path, "tnbc-naylor")
    assert (native.shape_scored, warped.shape_scored) == (True, False)
    assert (native.mpp, warped.mpp) == (0.25, 0.2)
    assert native.case == warped.case == "patient-4"


def test_a_nucls_point_without_outline_is_kept_as_a_point(place, tmp_path):
    folder = place("he", "nucls-sample")
    save(folder / "images" / "train_1.png", np.full((30, 30, 3), 200, np.uint8))
    instances = np.zeros((30, 30), np.uint16)
    instances[2:8, 2:8] = 5
    instances[20:24, 20:24] = 9
    save(folder / "labels" / "train_1_inst.png", instances)
    (folder / "labels" / "train_1_points.csv").write_text("4,4,0\n15,10,2\n")
    (image,) = read_collection(tmp_path, "nucls-sample")
    assert image.instance_ids.tolist() == [5, 9, 0]
    assert image.labels.tolist() == ["Epithelial", "Nucleus", "Inflammatory"]
    assert (image.x[2], image.y[2]) == (15.5, 10.5)


def test_touching_specks_and_holes_of_a_mask_are_numbered_from_one():
    mask = np.zeros((10, 20), bool)
    mask[1:5, 1:5] = True
    mask[1:5, 8:12] = True
    mask[7, 15] = True
    instances = components(mask, least_px=4)
    ids, x, y = centroids(instances)
    assert ids.tolist() == [1, 2]
    assert x.tolist() == [3.0, 10.0]
    assert y.tolist() == [3.0, 3.0]


def test_a_polygon_holds_the_pixels_whose_centres_lie_in_it():
    square = [(2.0, 3.0), (6.0, 3.0), (6.0, 8.0), (2.0, 8.0)]
    drawn = fill_polygons([square, [(0, 0), (1, 1)]], width=10, height=10)
    assert drawn.sum() == 4 * 5
    assert drawn[3:8, 2:6].all()


def test_an_unknown_and_an_absent_collection_are_named(tmp_path):
    with pytest.raises(SlideNotFoundError, match="ki67-dcis-points"):
        read_collection(tmp_path, "ki67-dcis-points")
    with pytest.raises(SettingsError, match="ki67-unheard-of"):
        read_collection(tmp_path, "ki67-unheard-of")
