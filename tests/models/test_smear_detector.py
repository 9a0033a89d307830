"""The shipped detector of blood cells: thresholds by class, cells of phantoms, real fields."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slidelab.models import read_collection, split_images
from slidelab.models.labelled.smear_fields import SMEAR_KINDS, read_smear_fields
from slidelab.models.loading import load_detector
from slidelab.models.registry import Registry
from slidelab.models.star_detector import StarDetector
from slidelab.quantify import match_points
from slidelab.quantify.box_precision import ScoredBoxes, box_average_precision, box_hits, box_overlaps
from slidelab.workflows.learning.detector_accuracy import detect_whole
from slidelab.wsi.phantom.smear import SmearPhantom, paint_smear_field


@pytest.fixture(scope="module")
def detector() -> StarDetector:
    """Return the shipped detector."""
    entry = Registry(folders=[], policy="permissive").default(task="blood-cell-detection", stain="Romanowsky")
    assert entry.card.classes == SMEAR_KINDS
    return load_detector(entry, device="cpu")


def test_boxes_overlap_by_their_share():
    first = np.array([[0.0, 0, 10, 10]])
    second = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(box_overlaps(first, second), [[1, 1 / 3, 0]])


def test_each_annotated_box_is_found_once():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [40, 40, 50, 50]]
    image = ScoredBoxes(boxes, [0.5, 0.9, 0.8], [[0, 0, 10, 10]])
    assert box_hits(image).tolist() == [-1, 0, -1]


def test_precision_of_a_worked_example():
    # Found: right, wrong, right of three: precision 1 up to recall 1/3, then 2/3 up to 2/3, then nothing.
    boxes = [[0, 0, 10, 10], [70, 70, 80, 80], [20, 20, 30, 30]]
    marked = [[0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]]
    value = box_average_precision([ScoredBoxes(boxes, [0.9, 0.8, 0.7], marked)])
    assert value == pytest.approx(1 / 3 + 2 / 9)
    assert box_average_precision([ScoredBoxes([], [], [])]) is None


def test_thresholds_of_the_card_hold_by_class(detector: StarDetector):
    assert len(detector.settings.class_thresholds) == len(SMEAR_KINDS)
    image, _ = paint_smear_field(SmearPhantom(width=512, height=512, seed=1, thick=0.0, thin=0.0))
    none = replace(detector.settings, class_thresholds=(0.999, 0.1, 0.1))
    strict = StarDetector(detector.session, mpp=detector.mpp, settings=none).detect(image)
    assert not (strict.labels == 0).any()
    assert (strict.labels == 2).any()
    assert (detector.detect(image).labels == 0).any()
    assert detector.faint().settings.class_thresholds == ()


@pytest.mark.parametrize("scanner", ["a", "b"])
def test_cells_of_phantoms_are_found_and_told_apart(detector: StarDetector, scanner: str):
    settings = SmearPhantom(
        width=768, height=640, seed=4, scanner=scanner, white_per_mm2=250.0, thick=0.0, thin=0.0
    )
    image, truth = paint_smear_field(settings)
    cells = detector.detect(image)
    kinds = np.array([0, 2, 1, 1, 1, 1, 1])[truth.kind]
    for kind, least in enumerate((0.98, 0.80, 0.90)):
        found = np.stack([cells.x, cells.y], 1)[cells.labels == kind] * settings.mpp
        marked = np.stack([truth.x, truth.y], 1)[kinds == kind]
        assert match_points(found, marked, radius_um=3.0).f1 >= least, SMEAR_KINDS[kind]


def test_cells_do_not_depend_on_the_window(detector: StarDetector):
    image, _ = paint_smear_field(SmearPhantom(width=768, height=768, seed=2, thick=0.0, thin=0.0))
    whole = detector.detect(image)
    part = detector.detect(np.ascontiguousarray(image[:, 256:]))
    reach = 104 + 2 * 44 + 40
    inner = whole.x >= 256 + reach
    moved = part.x + 256 >= 256 + reach
    np.testing.assert_array_equal(whole.x[inner], part.x[moved] + 256)
    np.testing.assert_array_equal(whole.probability[inner], part.probability[moved])
    np.testing.assert_array_equal(whole.labels[inner], part.labels[moved])


def test_boxes_of_real_fields_are_found(detector: StarDetector, data_folder: Path):
    fields = {each.name: each for each in read_smear_fields(data_folder / "bloodsmear" / "draaslan-rbc-wbc")}
    images = split_images(read_collection(data_folder, "draaslan-rbc-wbc"))["validation"][::2]
    stride = detector.session.network.settings.stride
    for kind in (0, 1):
        scored = []
        for image in images:
            cells = detect_whole(detector.detect, image, mpp=detector.mpp, stride=stride)
            boxes = np.concatenate([cells.outlines.min(1), cells.outlines.max(1)], 1).clip(0, 256)
            own, field = cells.labels == kind, fields[image.name]
            marked = field.boxes[field.labels == SMEAR_KINDS[kind]]
            scored.append(ScoredBoxes(boxes[own], cells.probability[own], marked))
        value = box_average_precision(scored)
        assert value is not None
        assert value >= 0.80
