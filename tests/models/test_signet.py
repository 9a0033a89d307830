"""Signet-ring cells: what the boxes of a partly marked set are turned into, and what is learnt from them."""

import json

import numpy as np
import pytest
from PIL import Image

from slidelab.models import read_collection, split_images
from slidelab.models.labelled import HE_SETS
from slidelab.models.labelled.signet import SIGNET_LABEL, read_signet_crops
from slidelab.models.training.batches import CropSource
from slidelab.models.training.config import TrainingConfig
from slidelab.models.training.samples import load_samples

NAME = "digestpath-signet"
SIDE = 64
CONFIG = TrainingConfig(
    name="signet-tiny.test",
    task="signet-ring-detection",
    stain="H&E",
    sources={NAME: 1.0},
    empty_share=0.5,
    phantoms=0.0,
    phantom_steps=0,
    mpp=0.5,
    scales=(1.0,),
    crop_px=32,
    batch=32,
    network={"heats": ["nucleus"], "classes": []},
)


def crop(number, kind, boxes, *, patient=None):
    return {
        "image": f"{kind[:3]}_{number:03}.jpg",
        "kind": kind,
        "patient": patient or f"{kind}-{number}",
        "source": "somewhere",
        "crop": [1000, 2000, SIDE, SIDE],
        "boxes_xyxy": boxes,
    }


@pytest.fixture
def data(tmp_path):
    """Return a function that writes a collection of grey crops."""

    def write(rows):
        folder = tmp_path / "he" / NAME
        (folder / "images").mkdir(parents=True)
        for row in rows:
            pixels = np.full((SIDE, SIDE, 3), 150, np.uint8)
            Image.fromarray(pixels).save(folder / "images" / row["image"])
        (folder / "annotations.json").write_text(json.dumps(rows), encoding="utf-8")
        return tmp_path

    return write


def test_a_box_becomes_a_centre_and_the_ellipse_that_fills_it(data):
    folder = data([crop(1, "positive", [[10, 20, 30, 50]]), crop(2, "negative", [])])
    image, empty = read_collection(folder, NAME)
    assert (image.x.tolist(), image.y.tolist()) == ([20.0], [35.0])
    assert image.labels.tolist() == [SIGNET_LABEL]
    assert (image.case, image.mpp) == ("positive-1", 0.25)
    drawn = image.load_instances()
    assert drawn.shape == (SIDE, SIDE)
    rows, columns = np.nonzero(drawn == 1)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (10, 29, 20, 49)
    assert (drawn > 0).sum() == pytest.approx(np.pi * 10 * 15, rel=0.03)
    assert empty.load_instances().max() == 0


def test_of_a_slide_with_cells_only_the_boxes_are_known_and_of_the_others_everything(data):
    folder = data([crop(1, "positive", [[9, 9, 30, 30]]), crop(2, "positive", []), crop(3, "negative", [])])
    assert [image.marked for image in read_collection(folder, NAME)] == ["some", "some", "all"]
    assert [one.holds_none for one in read_signet_crops(folder / "he" / NAME)] == [False, False, True]


def test_a_cell_that_was_cut_has_no_outline(data):
    boxes = [[0, 9, 20, 30], [9, 9, 30, 30], [40, 40, SIDE, 60], [40, 50, 60, SIDE]]
    image = read_collection(data([crop(1, "positive", boxes)]), NAME)[0]
    assert image.instance_ids.tolist() == [0, 2, 0, 0]


def test_of_two_cells_that_overlap_the_smaller_is_whole(data):
    small, large = [20, 20, 30, 30], [10, 10, 40, 40]
    image = read_collection(data([crop(1, "positive", [small, large])]), NAME)[0]
    drawn = image.load_instances()
    assert (drawn == 1).sum() == pytest.approx(np.pi * 25, rel=0.1)
    assert drawn[25, 25] == 1
    assert drawn[12, 25] == 2


def test_patients_with_cells_and_without_are_divided_apart(data):
    rows = [crop(number, "positive", [[9, 9, 30, 30]]) for number in range(7)]
    rows += [crop(number, "negative", []) for number in range(7, 47)]
    rows.append(crop(47, "positive", [[9, 9, 30, 30]], patient="positive-0"))
    parts = split_images(read_collection(data(rows), NAME))
    cells = {part: {image.case for image in members if len(image.x)} for part, members in parts.items()}
    others = {part: {image.case for image in members if not len(image.x)} for part, members in parts.items()}
    assert {part: len(cases) for part, cases in cells.items()} == {
        "training": 5,
        "tuning": 0,
        "validation": 2,
    }
    assert {part: len(cases) for part, cases in others.items()} == {
        "training": 22,
        "tuning": 8,
        "validation": 10,
    }


def test_the_cases_kept_for_validation_never_change(data_folder):
    images = read_collection(data_folder, NAME)
    assert (len(images), sum(len(image.x) for image in images)) == (124, 1271)
    parts = split_images(images)
    cases = [{image.case for image in members} for members in parts.values()]
    assert len(set().union(*cases)) == sum(map(len, cases))
    with_cells = {image.case for image in parts["validation"] if image.marked == "some"}
    assert with_cells == {"2018_67251", "D20180628401"}
    assert sum(image.marked == "all" for image in parts["validation"]) == 11
    assert sum(image.marked == "all" for image in parts["tuning"]) == 9
    assert not any(len(image.x) for image in parts["tuning"])


def test_nuclei_detectors_are_not_held_against_signet_ring_cells():
    assert NAME not in HE_SETS


def test_half_of_the_crops_hold_none_and_teach_everywhere(data):
    rows = [crop(number, "positive", [[9, 9, 30, 30], [30, 30, 50, 50]]) for number in range(6)]
    rows += [crop(9, "negative", [])]
    images = read_collection(data(rows), NAME)
    samples = load_samples(images, mpp=0.5, heats=("nucleus",), classes=())
    source = CropSource(samples, [], CONFIG)
    empty = np.array([all(sample.complete) for sample in samples])
    assert source.weights.sum() == pytest.approx(1.0)
    assert source.weights[empty].sum() == pytest.approx(0.5)
    batch = source.batch(0)
    known, peaks = batch["weight"].mean((1, 2, 3)).numpy(), batch["heat"].amax((1, 2, 3)).numpy()
    whole = known == 1.0
    assert 8 <= whole.sum() <= 24
    assert (peaks[whole] == 0).all()
    assert (known[~whole] < 0.5).all()  # the rest of a crop with cells may hold others


def test_without_that_share_images_are_drawn_as_ever(data):
    rows = [crop(1, "positive", [[9, 9, 30, 30]] * 3), crop(2, "negative", [])]
    samples = load_samples(read_collection(data(rows), NAME), mpp=0.5, heats=("nucleus",), classes=())
    source = CropSource(samples, [], CONFIG.model_copy(update={"empty_share": 0.0}))
    assert source.weights.tolist() == pytest.approx([2 / 3, 1 / 3])
